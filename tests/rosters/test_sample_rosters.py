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
USERS = {
    "sds-v2": ("sds-v2", {"organizations": 5, "classes": 4, "people": 29, "enrollments": 29}),
    "sds-v2.1": (
        "sds-v2.1",
        {"organizations": 4, "terms": 2, "courses": 3, "classes": 2, "people": 8, "person_roles": 7}
        | {"enrollments": 6, "contacts": 3, "demographics": 6, "flags": 3},
    ),
    "oneroster-1.1-bulk-minimal": ("oneroster-1.1", {"organizations": 1, "terms": 5, "classes": 2, "people": 6}),
    "oneroster-1.1-bulk-small-district": (
        "oneroster-1.1",
        {"organizations": 4, "terms": 2, "courses": 91, "classes": 119, "people": 268, "enrollments": 1855},
    ),
    "oneroster-1.1-bulk-generated": (
        "oneroster-1.1",
        {"organizations": 3, "terms": 3, "courses": 8, "classes": 15, "people": 33, "enrollments": 109},
    ),
    "oneroster-1.2-bulk-generated": (
        "oneroster-1.2",
        {"organizations": 3, "classes": 15, "people": 33, "person_roles": 34, "enrollments": 109, "person_accounts": 3},
    ),
}
# What these samples really have wrong, by file and rule.
FLAWS = {
    "oneroster-1.1-bulk-minimal": {("missing-referenced-file", "classes.csv")},
    # Every row is called active, which a whole file does not need: said, and no more than that.
    "oneroster-1.1-bulk-small-district": {
        ("status-in-bulk", f"{name}.csv")
        for name in ("academicSessions", "classes", "courses", "demographics", "enrollments", "orgs", "users")
    },
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


@pytest.mark.parametrize("name", USERS)
def test_a_sample_with_a_list_of_users_is_read_whole(samples: Path, check: Check, name: str) -> None:
    """Its format is told, every row becomes a record, and nothing is found but what is really wrong."""
    result = check(Roster({path.name: path.read_bytes() for path in (samples / name).iterdir()}))
    form, counts = USERS[name]
    assert result.checked.format == form
    assert {(one.rule, one.file) for one in result.findings} == FLAWS.get(name, set())
    assert {table: len(result.rows(table, "line")) for table in counts} == counts


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
