# ruff: noqa: S608  # what is put into these statements are names of ours; values are bound
"""A process that reads the steps of a stored plan: the question on standard input, one page on standard output.

Whoever answers requests starts it for one answer, so that neither DuckDB nor its memory stays there. Steps of links
name keys alone; whose they are is looked up in the snapshot that was stored with the plan.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from schoolsync.plan.kinds import LINK_SIDES
from schoolsync.plan.steps import FRESH, RULES
from schoolsync.runs.plan_question import NOT_KEPT, Change, Page, PlannedStep, Question
from schoolsync.runs.stored_plan import KEYS, Description, Plans, is_applied

_OBJECTS = {"school": "schools", "class": "classes", "person": "people"}
_LEFT_OUT = frozenset({"source_id", "account_name", "licenses", "user_type", "primary_role"})
"""Columns that a preview does not show as changes: they follow from others."""


def main() -> int:
    """Answer one question about the plan of the run whose folder is the argument."""
    folder = Path(sys.argv[1])
    question = msgspec.json.decode(sys.stdin.buffer.read(), type=Question)
    plan = Plans(folder).latest()
    if plan is None or not (folder / plan.folder).is_dir():
        return NOT_KEPT
    sys.stdout.buffer.write(msgspec.json.encode(read(folder, plan, question)))
    return 0


def read(folder: Path, plan: Description, question: Question) -> Page:
    """The page of steps that `question` picks."""
    db = duckdb.connect(config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"})
    _names(db, folder, plan)
    found: list[PlannedStep] = []
    skip, number = question.skip, 0
    count = 0
    for part, op, table, record, path in _files(folder, plan):
        columns = [name for name, *_ in db.execute("DESCRIBE FROM read_parquet($1)", [str(path)]).fetchall()]
        condition, values = _condition(question, part, op, table, record, columns)
        if condition is not None:
            source = (
                "(SELECT * EXCLUDE (file_row_number), file_row_number AS place "
                "FROM read_parquet($path, file_row_number = true)) AS s"
            )
            values["path"] = str(path)
            joined = _joins(table)
            ((several,),) = db.execute(f"SELECT count(*) FROM {source} {joined} WHERE {condition}", values).fetchall()
            count += several
            room = question.top - len(found)
            if room and skip < several:
                rows = db.execute(
                    f"SELECT s.*, {_shown(table)} FROM {source} {joined} WHERE {condition} "
                    f"ORDER BY place LIMIT {room} OFFSET {skip}",
                    values,
                )
                names = [column[0] for column in rows.description or ()]
                for row in rows.fetchall():
                    found.append(_step(dict(zip(names, row, strict=True)), part, op, table, record, number))
            skip = max(0, skip - several)
        ((rows_there,),) = db.execute("SELECT count(*) FROM read_parquet($1)", [str(path)]).fetchall()
        number += rows_there
    return Page(plan=plan.planned.plan, count=count, steps=tuple(found))


def _files(folder: Path, plan: Description) -> Iterator[tuple[str, str, str, str, Path]]:
    """The files of the steps in their order, each once; what a window puts off comes last."""
    for batch in plan.batches:
        if batch.group == 0:
            yield "apply", batch.op, batch.table, batch.record, folder / plan.folder / batch.file
    for entry in plan.deferred:
        yield "deferred", entry.op, entry.table, entry.record, folder / plan.folder / entry.file


def _names(db: duckdb.DuckDBPyConnection, folder: Path, plan: Description) -> None:
    """`known.<objects>`: id and SIS ID of every object, by the keys that the steps use."""
    made = folder / plan.folder / "snapshot"
    snapshot = made if made.is_dir() else folder / "snapshot"
    db.execute("CREATE SCHEMA known")
    for objects in _OBJECTS.values():
        path = snapshot / f"{objects}.parquet"
        place = "source_id" if objects == "schools" else "school_source_id"
        role = "primary_role" if objects == "people" else "NULL::VARCHAR"
        names = f"SELECT key, id, source_id, {place} AS of_school, {role} AS role FROM read_parquet('{path}')"
        if not path.is_file():
            names = "SELECT 0::BIGINT AS key, '' AS id, '' AS source_id, '' AS of_school, '' AS role LIMIT 0"
        real = f"key - {plan.first_key} + {FRESH}"
        db.execute(f"""
            CREATE VIEW known.{objects} AS
            SELECT * FROM ({names})
            UNION ALL SELECT {real}, id, source_id, of_school, role FROM ({names}) WHERE key >= {plan.first_key}
        """)


def _joins(table: str) -> str:
    if table in _OBJECTS.values():
        return ""
    left, right = LINK_SIDES[table]  # type: ignore[index]  # stored names are those of tables
    return (
        f'LEFT JOIN known.{_OBJECTS[left]} AS l ON l.key = s."{left}" '
        f'LEFT JOIN known.{_OBJECTS[right]} AS r ON r.key = s."{right}"'
    )


def _shown(table: str) -> str:
    if table in _OBJECTS.values():
        return "1"
    left = "l.id AS l_id, l.source_id AS l_source, l.of_school AS l_school"
    return f"{left}, r.id AS r_id, r.source_id AS r_source, r.role"


def _link_kind(table: str, columns: list[str]) -> str:
    if "kind" in columns:
        return "s.kind"
    if table == "class_people":
        return "CASE WHEN s.teacher THEN 'teacherRoster' ELSE 'studentEnrollment' END"
    return "'schoolSections'" if table == "school_classes" else "r.role || 'Schools'"


def _condition(
    question: Question, part: str, op: str, table: str, record: str, columns: list[str]
) -> tuple[str | None, dict[str, object]]:
    """The condition that picks the rows of one file, with its values; None when it picks none."""
    values: dict[str, object] = {}
    terms = ["true"]
    if question.op not in (None, op) or question.part not in (None, part):
        return None, values
    if question.rule is not None:
        terms.append("s.rule = $rule")
        values["rule"] = question.rule
    objects = table in _OBJECTS.values()
    if question.kind is not None:
        if objects and record != question.kind:
            return None, values
        if not objects:
            terms.append(f"{_link_kind(table, columns)} = $kind")
            values["kind"] = question.kind
    if question.school is not None:
        terms.append(f"{'s.of_school' if 'of_school' in columns else 'l.of_school'} = $school")
        values["school"] = question.school
    if question.object is not None:
        ends = ("s.id", "s.source_id") if objects else ("l.id", "l.source_id", "r.id", "r.source_id")
        terms.append("(" + " OR ".join(f"{end} = $object" for end in ends) + ")")
        values["object"] = question.object
    return " AND ".join(terms), values


def _step(row: dict[str, object], part: str, op: str, table: str, record: str, first: int) -> PlannedStep:
    objects = table in _OBJECTS.values()
    changes = tuple(
        Change(field=name, before=_text(row.get(f"was_{name}")), after=_text(value))
        for name, value in row.items()
        if is_applied(name, op) and name not in KEYS and name in _fields(row) and value != row.get(f"was_{name}")
    )
    if objects:
        return PlannedStep(
            number=first + int(str(row["place"])),
            op=op,
            kind=record,
            object_id=_text(row.get("id")),
            source_id=_text(row.get("source_id")),
            school=_text(row.get("of_school")),
            changes=changes,
            **_why(row),
            part=part,
        )
    return PlannedStep(
        number=first + int(str(row["place"])),
        op=op,
        kind=_kind_of(row, table),
        object_id=_text(row["l_id"]),
        source_id=_text(row["l_source"]),
        member_id=_text(row["r_id"]),
        member_source_id=_text(row["r_source"]),
        school=_text(row.get("of_school") or row["l_school"]),
        changes=(),
        **_why(row),
        part=part,
    )


def _fields(row: dict[str, object]) -> set[str]:
    """The columns that are shown as changes: a re-key's SIS ID is, what follows from others is not."""
    rekeyed = {"source_id"} if "was_source_id" in row else set()
    return {name for name in row if name not in _LEFT_OUT and name not in ("id", "place", "1")} | rekeyed


def _kind_of(row: dict[str, object], table: str) -> str:
    if row.get("kind"):
        return str(row["kind"])
    if table == "class_people":
        return "teacherRoster" if row.get("teacher") else "studentEnrollment"
    return "schoolSections" if table == "school_classes" else f"{row['role']}Schools"


def _why(row: dict[str, object]) -> dict[str, Any]:  # the arguments of a struct
    rule = str(row["rule"])
    line = row.get("line")
    return {
        "rule": rule,
        "reason": RULES.get(rule, rule),
        "file": _text(row.get("file")),
        "line": None if line is None else int(str(line)),
    }


def _text(value: object) -> str | None:
    if value is None:
        return None
    return str(value).lower() if isinstance(value, bool) else str(value)


if __name__ == "__main__":
    sys.exit(main())
