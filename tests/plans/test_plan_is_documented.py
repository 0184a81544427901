"""The page about plans has a row for every guard, limit, step, rule, scope and recipe there is, with its default."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from schoolsync.plan.policy import PRIVILEGED, RECIPE_FIELDS, Guards, Recipe, Scope
from schoolsync.plan.steps import RULES, Op
from schoolsync.plan.verdicts import Guard

PAGE = (Path(__file__).parents[2] / "docs" / "plan.md").read_text("utf-8")


@pytest.mark.parametrize("guard", get_args(Guard))
def test_every_guard_has_its_row(guard: str) -> None:
    """And no row is about a guard that is gone."""
    assert f"\n| `{guard}` |" in PAGE
    section = PAGE.split("\n## Guards\n")[1].split("\n## ")[0]
    assert {*re.findall(r"\n\| `([a-z-]+)` \|", section)} == {*get_args(Guard)}


@pytest.mark.parametrize("field", msgspec.structs.fields(Guards), ids=lambda one: one.encode_name)
def test_every_limit_is_named_with_its_default(field: msgspec.structs.FieldInfo) -> None:
    """Numbers stand beside the name; what is off by default needs the name alone."""
    default = field.default
    shown = f"`{field.encode_name}`"
    assert shown in PAGE
    if isinstance(default, int | float) and not isinstance(default, bool):
        assert re.search(rf"{shown} \(?{default:g}\b", PAGE), f"{shown} {default:g}"


@pytest.mark.parametrize("op", get_args(Op))
def test_every_kind_of_step_has_its_row(op: str) -> None:
    """In the table of steps."""
    assert re.search(rf"\n\| [^|]*`{op}`[^|]* \|", PAGE)


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_has_its_row(rule: str) -> None:
    """In the table of rules."""
    assert f"\n| `{rule}` |" in PAGE


@pytest.mark.parametrize(
    "name",
    [
        *(field.encode_name for kind in (Scope, Recipe) for field in msgspec.structs.fields(kind)),
        *RECIPE_FIELDS,
        *PRIVILEGED,
    ],
)
def test_every_part_of_scopes_and_recipes_is_named(name: str) -> None:
    """As it is written in the settings of a profile."""
    assert f"`{name}`" in PAGE
