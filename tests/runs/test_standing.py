"""Why the directory has nothing of what the roster has: every reason that an explanation gives, over a kept roster."""

from __future__ import annotations

from pathlib import Path

import duckdb
import msgspec
import pytest

from schoolsync import ticks
from schoolsync.plan.policy import Customization, Policy, Scope
from schoolsync.roster import tables
from schoolsync.runs import kept_roster
from schoolsync.runs.explained import Record
from schoolsync.runs.standing import standing

NOW = ticks.parse("2026-11-26T08:00:00Z")
PLAIN = Policy(profile_name="District", domains={"student": "s.example", "teacher": "t.example"})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder with the roster of two schools."""
    run = tmp_path_factory.mktemp("run")
    with duckdb.connect() as db:
        for statement in tables.ddl():
            db.execute(statement)
        rows: dict[str, list[dict[str, object]]] = {
            "organizations": [{"source_id": s, "is_school": True, "line": 2} for s in ("north", "south")],
            "classes": [
                {"source_id": "M1", "school_id": "north", "term_start": "2026-08-17", "term_end": "2026-12-18"},
                {"source_id": "OLD", "school_id": "north", "term_start": "2020-08-17", "term_end": "2020-12-18"},
                {"source_id": "S1", "school_id": "south"},
            ],
            "people": [
                {"source_id": "ana", "role": "student", "school_id": "north", "grade": "7", "enabled": True},
                {"source_id": "bo", "role": "student", "school_id": "south", "grade": "8", "enabled": True},
                {"source_id": "off", "role": "student", "school_id": "north", "grade": "7", "enabled": False},
                {"source_id": "tom", "role": "teacher", "school_id": "north", "enabled": True},
                {"source_id": "mum", "role": "none", "school_id": "north", "enabled": True},
            ],
            "enrollments": [
                {"class_id": "M1", "source_id": "ana", "role": "student", "line": 2},
                {"class_id": "OLD", "source_id": "ana", "role": "student", "line": 3},
                {"class_id": "S1", "source_id": "ana", "role": "student", "line": 4, "end_date": "2026-11-26"},
                {"class_id": "M1", "source_id": "bo", "role": "student", "line": 5, "begin_date": "2026-11-27"},
                {"class_id": "M1", "source_id": "off", "role": "student", "line": 6},
                {"class_id": "M1", "source_id": "tom", "role": "teacher", "person_role": "teacher", "line": 7},
                {"class_id": "S1", "source_id": "tom", "role": "none", "person_role": "teacher", "line": 8},
            ],
            "left_out": [
                {"kind": "people", "role": "student", "source_id": "bad", "rule": "unknown-reference", "line": 9},
                {"kind": "enrollments", "source_id": "M1", "other": "bad", "rule": "unknown-reference", "line": 9},
            ],
        }
        for table, records in rows.items():
            for record in records:
                full = {"person_role": "student", "file": "a.csv", "line": 2} | record
                known = {name: value for name, value in full.items() if name in tables.TABLES[table]}
                names, marks = ", ".join(known), ", ".join("?" * len(known))
                db.execute(f"INSERT INTO roster.{table} ({names}) VALUES ({marks})", list(known.values()))
        kept_roster.keep(db, run, kept_roster.Note(reading="", columns=None, absent=()))
    return run


def told(folder: Path, policy: Policy, one: tuple[str, str], inside: tuple[str, str] | None = None) -> list[Record]:
    with duckdb.connect() as db:
        return standing(
            db,
            folder=str(folder),
            one=[one],
            inside=None if inside is None else [inside],
            policy=msgspec.to_builtins(policy),
            now=NOW,
        )


def policy(**changed: object) -> Policy:
    return msgspec.structs.replace(PLAIN, **changed)


SCOPED = {
    "school": policy(scope=Scope(schools=("south",))),
    "grade": policy(scope=Scope(grades=("8",))),
    "role": policy(scope=Scope(roles=("teacher",))),
    "terms": policy(scope=Scope(current_terms=True)),
}
STARTS = policy(customizations={"studentEnrollment": Customization(start=NOW + 1)})


@pytest.mark.parametrize(
    ("how", "one", "inside", "says"),
    [
        (PLAIN, ("person", "ana"), None, None),
        (PLAIN, ("person", "mum"), None, "neither a student's nor a teacher's"),
        (PLAIN, ("person", "bad"), None, "left out for its mistake"),
        (SCOPED["school"], ("person", "ana"), None, "scope leaves it out"),
        (SCOPED["school"], ("school", "north"), None, "scope leaves it out"),
        (SCOPED["school"], ("class", "S1"), None, None),
        (SCOPED["grade"], ("person", "ana"), None, "scope leaves it out"),
        (SCOPED["grade"], ("person", "bo"), None, None),
        (SCOPED["role"], ("person", "ana"), None, "scope leaves it out"),
        (SCOPED["role"], ("person", "tom"), None, None),
        (SCOPED["terms"], ("class", "OLD"), None, "Its term: 2020-08-17 to 2020-12-18."),
        (SCOPED["terms"], ("class", "M1"), None, None),
        (policy(customizations={"section": Customization(deferred=True)}), ("class", "M1"), None, "isSyncDeferred"),
        (PLAIN, ("person", "ana"), ("class", "M1"), None),
        (PLAIN, ("person", "ana"), ("class", "S1"), "It is over: 2026-11-26"),
        (PLAIN, ("person", "bo"), ("class", "M1"), "It has not begun: 2026-11-27"),
        (PLAIN, ("person", "off"), ("class", "M1"), "not enabled"),
        (PLAIN, ("person", "tom"), ("class", "S1"), "neither a student's nor a teacher's"),
        (PLAIN, ("person", "bad"), ("class", "M1"), "left out for its mistake"),
        (STARTS, ("person", "ana"), ("class", "M1"), "synchronizationStartDate"),
        (STARTS, ("person", "tom"), ("class", "M1"), None),
        (SCOPED["terms"], ("person", "ana"), ("class", "OLD"), "scope leaves the class or the person out"),
        (SCOPED["grade"], ("person", "ana"), ("class", "M1"), "scope leaves the class or the person out"),
    ],
)
def test_every_reason(
    folder: Path, how: Policy, one: tuple[str, str], inside: tuple[str, str] | None, says: str | None
) -> None:
    """What the roster has and the profile does not want now is told with its reason and its line."""
    wanted = one[0] if inside is None else "membership"
    (found,) = [record for record in told(folder, how, one, inside) if record.what == wanted]
    assert found.line is not None
    assert (found.reason is None) == (says is None), found.reason
    assert says is None or says in (found.reason or "")


def test_what_the_roster_does_not_have(folder: Path) -> None:
    """Nothing is said of what is not there; without a kept roster the question has no answer."""
    assert told(folder, PLAIN, ("person", "nobody")) == []
    assert [one.what for one in told(folder, PLAIN, ("person", "bo"), ("class", "S1"))] == ["person", "class"]
    with pytest.raises(FileNotFoundError):
        told(folder / "none", PLAIN, ("person", "ana"))
