# ruff: noqa: S608  # what is put into these statements are names of ours; values are bound
"""What the newest checked roster says of one object or membership, and why the directory has nothing of it today.

Works in the reader process, over the roster that a run keeps. Scope and dates are asked of the very code that makes
plans, over the few records that are meant.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import duckdb
import msgspec

from schoolsync import roster_engine, ticks
from schoolsync.plan import scope
from schoolsync.plan.desired import Terms
from schoolsync.plan.policy import KINDS, Policy
from schoolsync.roster import tables
from schoolsync.runs import kept_roster
from schoolsync.runs.explained import Record
from schoolsync.runs.object_reader import findings_at
from schoolsync.runs.places import FINDINGS

Meant = Sequence[tuple[str, str]]
"""Kind (school, class or person) and SIS ID of all that may be meant: of one object, or of as many as are not known."""

_RECORDS = {"school": "organizations", "class": "classes", "person": "people"}
_COLUMNS = {
    "school": "NULL, NULL, NULL, NULL",
    "class": "NULL, school_id, term_start, term_end",
    "person": "role, school_id, NULL, NULL",
}
_MOST = 10


def standing(
    db: duckdb.DuckDBPyConnection,
    *,
    folder: str,
    one: Meant,
    inside: Meant | None,
    policy: Mapping[str, object],
    now: int,
) -> list[Record]:
    """What a run's roster has of `one`, of `inside`, and of the membership of the one in the other.

    `policy` is the profile's as JSON values. Raises FileNotFoundError when the run has kept no roster.
    """
    run = Path(folder)
    note = kept_roster.note(run)
    if note is None:
        raise FileNotFoundError(folder)
    terms = Terms(
        tenant_id="",
        profile=0,
        living=(),
        policy=msgspec.convert(policy, Policy),
        now=now,
        columns=note.columns,
        absent=note.absent,
    )
    # A database of its own: the canonical tables are filled with the few records that are meant.
    with roster_engine.opened(memory_limit="128MB", scratch="", threads=1) as own:
        for statement in tables.ddl():
            own.execute(statement)
        return _Standing(own, run, terms).records(one, inside)


class _Standing:
    """The few records that are meant."""

    def __init__(self, db: duckdb.DuckDBPyConnection, run: Path, terms: Terms) -> None:
        self._db = db
        self._run = run
        self._terms = terms

    def records(self, one: Meant, inside: Meant | None) -> list[Record]:
        """What the roster has of them, with why the directory has nothing of it."""
        meant = [*dict.fromkeys((*map(tuple, one), *map(tuple, inside or ())))]
        for kind in _RECORDS:
            ids = [source_id for of, source_id in meant if of == kind]
            if ids:
                self._take(_RECORDS[kind], "source_id IN (SELECT unnest($ids))", ids=ids)
                if kind == "person":
                    self._take("person_organizations", "source_id IN (SELECT unnest($ids))", ids=ids)
        everything = [source_id for _, source_id in meant]
        self._take("left_out", "source_id IN (SELECT unnest($ids)) OR other IN (SELECT unnest($ids))", ids=everything)
        found = [record for kind, source_id in meant for record in self._of(kind, source_id)]
        people, classes = _ids(one, "person"), _ids(inside or (), "class")
        if people and classes:
            where = "source_id IN (SELECT unnest($people)) AND class_id IN (SELECT unnest($classes))"
            self._take("enrollments", where, people=people, classes=classes)
            found += self._memberships(people, classes)
        return [*self._reasoned(found)]

    def _take(self, table: str, where: str, **values: object) -> None:
        relation = kept_roster.relation(self._run, table)
        self._db.execute(f"INSERT INTO roster.{table} BY NAME SELECT * FROM {relation} WHERE {where}", values)

    def _of(self, kind: str, source_id: str) -> Iterator[Record]:
        """The records of an object, then those that were left out."""
        where = {"school": "AND is_school"}.get(kind, "")
        rows = self._db.execute(
            f"SELECT {_COLUMNS[kind]}, file, line FROM roster.{_RECORDS[kind]} WHERE source_id = $1 {where} "
            f"ORDER BY line LIMIT {_MOST}",
            [source_id],
        ).fetchall()
        for role, school, begins, ends, file, line in rows:
            yield Record(
                what=kind, role=role, source_id=source_id, school=school, begins=begins, ends=ends, file=file, line=line
            )
        left = f"SELECT role, rule, file, line FROM roster.left_out WHERE kind = $1 AND source_id = $2 LIMIT {_MOST}"
        for role, rule, file, line in self._db.execute(left, [_RECORDS[kind], source_id]).fetchall():
            yield Record(what=kind, role=role, source_id=source_id, rule=rule, file=file, line=line)

    def _memberships(self, people: Sequence[str], classes: Sequence[str]) -> Iterator[Record]:
        """The enrollments of a person in a class, then those that were left out."""
        rows = self._db.execute(
            "SELECT role, source_id, begin_date::VARCHAR, end_date::VARCHAR, file, line FROM roster.enrollments "
            f"ORDER BY begin_date, line LIMIT {_MOST}"
        ).fetchall()
        for role, source_id, begins, ends, file, line in rows:
            yield Record(
                what="membership", role=role, source_id=source_id, begins=begins, ends=ends, file=file, line=line
            )
        left = self._db.execute(
            "SELECT role, other, rule, file, line FROM roster.left_out WHERE kind = 'enrollments' "
            f"AND source_id IN (SELECT unnest($classes)) AND other IN (SELECT unnest($people)) LIMIT {_MOST}",
            {"people": people, "classes": classes},
        ).fetchall()
        for role, source_id, rule, file, line in left:
            yield Record(what="membership", role=role, source_id=source_id, rule=rule, file=file, line=line)

    def _reasoned(self, found: Sequence[Record]) -> Iterator[Record]:
        """The same with the reason why a record is none of the directory's business today."""
        disabled = self._pairs("SELECT role, source_id FROM roster.people WHERE NOT coalesce(enabled, true)")
        scope.narrow(self._db, self._terms)
        outside = self._pairs("SELECT kind, source_id FROM outside.records")
        inside = {line for (line,) in self._db.execute("SELECT line FROM roster.enrollments").fetchall()}
        for one in found:
            kind = {"school": "school", "class": "section"}.get(one.what, one.role or "")
            reason = None
            if one.rule is not None:
                reason = self._why_left_out(one)
            elif one.what == "membership":
                reason = self._why_no_member(one, disabled, is_inside=one.line in inside)
            elif kind == "none":
                reason = "Its role is neither a student's nor a teacher's: the directory has no such people."
            elif (kind, one.source_id) in outside:
                reason = "The profile's scope leaves it out."
                if self._terms.policy.scope.dates and (one.begins or one.ends):
                    reason += f" Its term: {one.begins or 'no first day'} to {one.ends or 'no last day'}."
            elif self._deferred(kind):
                reason = "The profile leaves this kind alone for now (isSyncDeferred)."
            yield msgspec.structs.replace(one, reason=reason)

    def _why_left_out(self, one: Record) -> str:
        """The finding that a record is left out for."""
        message = f"The finding {one.rule} says why."
        if one.file is not None and one.line is not None:
            said = findings_at(self._db, self._run / FINDINGS, [(one.file, one.line)])
            for found in said.get((one.file.rpartition("/")[2].lower(), one.line), ()):
                if found.rule == one.rule:
                    message = found.message
        return f"It was left out for its mistake. {message}"

    def _pairs(self, query: str) -> set[tuple[str, str]]:
        return {(str(kind), str(source_id)) for kind, source_id in self._db.execute(query).fetchall()}

    def _why_no_member(self, one: Record, disabled: set[tuple[str, str]], *, is_inside: bool) -> str | None:
        """Why a membership that the roster has is none today."""
        day = ticks.day(self._terms.now, self._terms.policy.time_zone).isoformat()
        if one.role not in ("student", "teacher"):
            return "The role that it gives is neither a student's nor a teacher's."
        if one.ends is not None and one.ends <= day:
            return f"It is over: {one.ends} was the first day without it."
        if one.begins is not None and one.begins > day:
            return f"It has not begun: {one.begins} is its first day."
        if any((role, one.source_id) in disabled for role in ("student", "teacher")):
            return "The roster has the person as not enabled: such people keep the account and are in no class."
        if self._deferred({"student": "studentEnrollment", "teacher": "teacherRoster"}[one.role]):
            return "The profile leaves this kind alone for now (isSyncDeferred)."
        if one.role == "student" and self._terms.waits_until is not None:
            return "Pupils are not put into classes before the profile's synchronizationStartDate."
        return None if is_inside else "The profile's scope leaves the class or the person out."

    def _deferred(self, kind: str) -> bool:
        return kind in KINDS and self._terms.deferred(kind)


def _ids(meant: Meant, kind: str) -> list[str]:
    return [source_id for of, source_id in meant if of == kind]
