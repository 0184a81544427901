"""For every rule, a roster that breaks it and nothing else, made from one that breaks none; docs/rules.md shows it."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest

from schoolsync.roster.rules import RULES
from schoolsync.testing.rosters import DIRT

from ..german import assert_german
from . import rule_page

# Columns whose values no report may repeat, in whatever format.
_PERSONAL = {
    *("password", "birthdate", "email", "secondary email", "phone", "sms", "username", "first name", "last name"),
    *("givenname", "familyname", "middlename", "middle name", "state id"),
}


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A roster without a single finding for every format that rules are shown in."""
    folder = tmp_path_factory.mktemp("clean")
    rule_page.clean_rosters(folder)
    return folder


@pytest.fixture(scope="module")
def page() -> dict[str, str]:
    """What docs/rules.md says of every rule."""
    return rule_page.sections(rule_page.PAGE.read_text(encoding="utf-8"))


def personal(folder: Path) -> set[str]:
    """What stands in a roster's personal columns, where it can be read."""
    told = set()
    for path in folder.glob("*.csv"):
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            for row in csv.DictReader(line[:10_000].replace("\0", "") for line in file):
                told |= {str(value).strip() for name, value in row.items() if (name or "").lower() in _PERSONAL}
    return {value for value in told if len(value) > 3}


def test_every_rule_has_an_example() -> None:
    """And no example is left of a rule that there is not any more."""
    assert set(DIRT) == set(RULES)


@pytest.mark.parametrize("name", sorted({dirt.format for dirt in DIRT.values()}))
def test_the_rosters_to_spoil_break_no_rule(clean: Path, tmp_path: Path, name: str) -> None:
    """Every rule has a roster that does not break it: this one."""
    assert rule_page.checked(clean / name, tmp_path / "scratch", kind=name).all == ()


@pytest.mark.parametrize("rule", sorted(DIRT))
def test_the_example_breaks_its_rule_alone(clean: Path, tmp_path: Path, page: dict[str, str], rule: str) -> None:
    """Once; and in three rows, where it is about rows, three times. The page has the roster and the whole sentence."""
    dirt = DIRT[rule]
    for times in (1, 3) if dirt.repeated else (1,):
        folder, found = rule_page.spoiled(clean, tmp_path, rule, times=times)
        counts = Counter(one.rule for one in found.all)
        assert set(counts) - dirt.also == {rule}
        assert counts[rule] >= times
        if times == 1:
            shown = rule_page.example(clean, folder, rule, found)
            assert shown.strip() in page[rule], "python tests/rosters/rule_page.py writes the examples anew"
    said = " ".join(f"{one.message} {one.hint or ''}" for one in found.all)
    assert "{" not in said
    assert_german(*(one.message for one in found.all), *(one.hint for one in found.all))
    assert [value for value in personal(folder) if value in said] == []
    assert all(one.file and one.help == f"docs/rules.md#{one.rule}" for one in found.all)
    if dirt.repeated:
        assert all(one.line is not None and one.line > 1 for one in found.all if one.rule == rule), "rows have a line"
    if "{column}" in RULES[rule].says:
        assert all(one.column is not None and one.column in one.message for one in found.all if one.rule == rule)
