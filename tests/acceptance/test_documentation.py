"""What the documentation must not forget: whatever a user can type, meet or be told is on its page."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
import typer.main

from schoolsync.settings import PREFIX, Settings

DOCS = Path(__file__).parents[2] / "docs"
STATES = ("provisioning", "provisioned", "provisioningFailed", "deleting", "deletionFailed")
STATUSES = (
    "paused",
    "inProgress",
    "success",
    "error",
    "validationError",
    "quarantined",
    "extracting",
    "validating",
    "unknownFutureValue",
)


def page(name: str) -> str:
    return (DOCS / name).read_text("utf-8")


def test_every_command_and_option_is_documented() -> None:
    """docs/commands.md names each command, and each of its own options, as they are typed."""
    from schoolsync.cli.app import app

    text = page("commands.md")
    missing = []

    def look(command: object, name: str) -> None:
        children = getattr(command, "commands", None)
        if children:
            for child, inner in children.items():
                look(inner, f"{name} {child}")
            return
        if f"schoolsync{name}" not in text:
            missing.append(f"schoolsync{name}")
        for parameter in getattr(command, "params", []):
            for option in parameter.opts:
                if option.startswith("--") and option not in {"--help"} and option not in text:
                    missing.append(f"schoolsync{name} {option}")

    look(typer.main.get_command(app), "")
    assert not missing


def test_every_setting_is_documented() -> None:
    """docs/settings.md names each setting, the prefix of its variable, and its default."""
    text = page("settings.md")
    assert PREFIX in text
    missing = [entry.name for entry in fields(Settings) if f"`{entry.name}`" not in text]
    assert not missing
    known = {entry.name for entry in fields(Settings)}
    rows = re.findall(r"^\| `(\w+)`", text, re.MULTILINE)
    assert set(rows) <= known, "a setting is documented that does not exist"


def test_every_route_is_documented() -> None:
    """docs/routes.md has each operation with its method and path."""
    from schoolsync.graph.routes import ROUTES

    text = page("routes.md")
    missing = [
        f"{route.method} {route.template}" for route in ROUTES if f"| `{route.method} /{route.template}` |" not in text
    ]
    assert not missing


def test_every_rule_is_documented() -> None:
    """docs/rules.md has each rule id that a finding can carry."""
    from schoolsync.roster.rules import RULES

    text = page("rules.md")
    ids = [getattr(rule, "id", rule) for rule in RULES]
    assert ids
    missing = [rule for rule in ids if f"`{rule}`" not in text]
    assert not missing


def test_every_state_of_a_run_is_documented() -> None:
    """docs/operations.md explains each state of a run."""
    from schoolsync.runs.states import RunState

    text = page("operations.md")
    missing = [state.value for state in RunState if f"`{state.value}`" not in text]
    assert not missing


def test_every_cause_of_a_run_is_documented() -> None:
    """docs/operations.md says what each cause means, and names none that there is not."""
    from schoolsync.runs.states import Cause

    table = page("operations.md").partition("| cause | who or what began it |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(Cause)


@pytest.mark.parametrize("value", [*STATES, *STATUSES])
def test_every_state_and_status_of_a_profile_is_documented(value: str) -> None:
    """docs/profiles.md, with the page of its own for the status, explains each value a client can be shown."""
    assert f"`{value}`" in page("profiles.md") + page("profile-status.md")


def test_every_link_between_pages_leads_somewhere() -> None:
    """Relative links of README and docs name files that are there."""
    pages = [DOCS.parent / "README.md", DOCS.parent / "CONTRIBUTING.md", *DOCS.rglob("*.md")]
    broken = []
    for path in pages:
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", path.read_text("utf-8")):
            if not (path.parent / target).exists():
                broken.append(f"{path.name} -> {target}")
    assert not broken
