"""The vendors' own sample rosters are read without a complaint."""

from __future__ import annotations

from pathlib import Path

import pytest

from schoolsync.plan.policy import Matching, Policy

from .conftest import Check, Roster

SETS = {
    "sds-v1-25-users": {"organizations": 2, "classes": 2, "people": 24, "enrollments": 46},
    "sds-v1-100-users": {"organizations": 2, "classes": 28, "people": 98, "enrollments": 630},
    "sds-v1-min": {"organizations": 2, "classes": 2, "people": 24, "enrollments": 46},
}
MATCHING = Policy(
    profile_name="x",
    matching=(
        Matching(role="student", source="Username", target="userPrincipalName", domain="a.example"),
        Matching(role="teacher", source="Username", target="userPrincipalName", domain="a.example"),
    ),
)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("policy", [None, MATCHING], ids=["inferred", "matching"])
def test_a_sample_is_clean(samples: Path, check: Check, name: str, policy: Policy | None) -> None:
    """Every row becomes a record."""
    result = check(Roster({path.name: path.read_bytes() for path in (samples / name).iterdir()}), policy=policy)
    assert result.findings == []
    assert {table: len(result.rows(table, "line")) for table in SETS[name]} == SETS[name]


def test_a_samples_dates_are_american(samples: Path, check: Check) -> None:
    """7/1/2017 is the first of July."""
    files = {path.name: path.read_bytes() for path in (samples / "sds-v1-25-users").iterdir()}
    result = check(Roster(files))
    assert result.rows("classes", "term_start, term_end")[0] == ("2017-07-01", "2018-06-30")
    assert ("13001", "2000-04-02") in result.rows("people", "source_id, birth_date")


def test_a_sample_without_names_cannot_create_accounts(samples: Path, check: Check, creating: Policy) -> None:
    """The minimal sample is for matching: a creating profile misses names and passwords."""
    files = {path.name: path.read_bytes() for path in (samples / "sds-v1-min").iterdir()}
    result = check(Roster(files), policy=creating)
    assert sorted({finding.column for finding in result.findings if finding.column}) == [
        "First Name",
        "Last Name",
        "Password",
    ]
    assert result.checked.fatal
