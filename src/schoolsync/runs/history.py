# ruff: noqa: S608  # what is put into these statements are names of ours; values are parameters
"""The questions about stored runs, answered from their Parquet files; the reader process calls these functions.

Every answer is bounded: a page, or groups of which there are few. Pages go on behind a position in the file, which is
stable because stored files never change.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from schoolsync.roster.rules import RULES
from schoolsync.runs.object_reader import in_roster, kept_by_hand, lines_of, named, steps_of
from schoolsync.runs.places import FINDINGS
from schoolsync.runs.plan_differences import differences
from schoolsync.runs.plan_question import BySchool, Page, Picked, PlannedStep, Renumbered
from schoolsync.runs.plan_question import Question as Asked
from schoolsync.runs.plan_reader import Reading
from schoolsync.runs.quoting import QuotedLine, quote
from schoolsync.runs.readers import Question, Told
from schoolsync.runs.selections import Selection
from schoolsync.runs.standing import standing
from schoolsync.runs.trial_reader import identity_asked, identity_decided

Json = dict[str, Any]  # plain values of any type


def answer(db: duckdb.DuckDBPyConnection, question: Question) -> Told:
    """Answer one question; whatever goes wrong becomes part of the answer, without a person's data."""
    try:
        value = QUESTIONS[question.name](db, **question.given)
    except FileNotFoundError:
        return Told(number=question.number, gone=True)
    except (OSError, duckdb.IOException, duckdb.OutOfMemoryException) as problem:
        return Told(number=question.number, failed=f"The stored run cannot be read ({type(problem).__name__}).")
    except Exception as problem:
        places = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(problem.__traceback__)]
        sys.stderr.write(f"reader: {question.name}: {type(problem).__name__} at {' '.join(places[-4:])}\n")
        return Told(number=question.number, bug=True)
    return Told(number=question.number, value=msgspec.Raw(msgspec.json.encode(value)))


def findings(
    db: duckdb.DuckDBPyConnection,
    *,
    folder: str,
    limit: int,
    after: int = -1,
    rule: str | None = None,
    severity: str | None = None,
    file: str | None = None,
    column: str | None = None,
    school: str | None = None,
) -> Json:
    """A page of a run's findings, in the order of files and lines; `last` is where the next page goes on."""
    path = _there(folder, FINDINGS)
    where, values = _where(
        {"rule": rule, "severity": severity, "lower(file)": _lower(file), '"column"': column, "school": school}
    )
    rows = _rows(
        db,
        f"SELECT * FROM read_parquet($path, file_row_number = true) WHERE file_row_number > $after{where} "
        "ORDER BY file_row_number LIMIT $limit",
        {"path": path, "after": after, "limit": limit + 1, **values},
    )
    more = len(rows) > limit
    return {
        "findings": [_finding(row) for row in rows[:limit]],
        "last": rows[limit - 1]["file_row_number"] if more else None,
    }


def finding_groups(db: duckdb.DuckDBPyConnection, *, folder: str) -> list[Json]:
    """How many findings of each rule there are in each column of each file, errors first."""
    rows = _rows(
        db,
        'SELECT rule, severity, file, "column", count(*) AS count, min(line) AS line, any_value(detail) AS detail '
        'FROM read_parquet($path) GROUP BY rule, severity, file, "column", CASE WHEN line IS NULL THEN detail END '
        "ORDER BY severity <> 'error', count(*) DESC, lower(file), rule LIMIT 1000",
        {"path": _there(folder, FINDINGS)},
    )
    return [_finding(row) | {"count": row["count"]} for row in rows]


def finding_schools(db: duckdb.DuckDBPyConnection, *, folder: str) -> list[Json]:
    """How many findings are in the records of each school, the most errors first; null: of no school that is known."""
    return _rows(
        db,
        "SELECT school, count(*) FILTER (severity = 'error') AS errors, count(*) FILTER (severity <> 'error') AS "
        "warnings FROM read_parquet($path) GROUP BY school ORDER BY errors DESC, warnings DESC, school LIMIT 1000",
        {"path": _there(folder, FINDINGS)},
    )


def quoted_lines(
    db: duckdb.DuckDBPyConnection, *, files: list[tuple[str, str]], file: str, lines: list[int]
) -> list[QuotedLine]:
    """Single lines of an uploaded file, cell by cell."""
    return quote(files, file, lines)


def plan_page(db: duckdb.DuckDBPyConnection, *, folder: str, question: Json) -> Page:
    """A page of the steps of a run's plan."""
    return Reading(db, Path(folder)).page(msgspec.convert(question, Asked))


def plan_step(db: duckdb.DuckDBPyConnection, *, folder: str, number: int) -> PlannedStep:
    """One step of a run's plan. Raises FileNotFoundError when it has none of that number."""
    found = Reading(db, Path(folder)).step(number)
    if found is None:
        raise FileNotFoundError(number)
    return found


def plan_schools(db: duckdb.DuckDBPyConnection, *, folder: str) -> BySchool:
    """A run's plan in numbers, by school and kind."""
    return Reading(db, Path(folder)).by_school()


def plan_picked(db: duckdb.DuckDBPyConnection, *, folder: str, what: Json) -> Picked:
    """What a yes to a part of a run's plan would be a yes to."""
    return Reading(db, Path(folder)).picked(msgspec.convert(what, Selection))


def plan_renumbered(db: duckdb.DuckDBPyConnection, *, folder: str) -> Renumbered:
    """Old and new SIS IDs that a run's plan takes for the same objects."""
    return Reading(db, Path(folder)).renumbered()


def _finding(row: Json) -> Json:
    rule = RULES.get(row["rule"])
    message = rule.message(column=row["column"], detail=row["detail"]) if rule else row["rule"]
    return {
        "rule": row["rule"],
        "severity": row["severity"],
        "file": row["file"],
        "line": row["line"],
        "column": row["column"],
        "message": message,
        "hint": row.get("hint"),
        "help": rule.help if rule else None,
    }


def _there(folder: str, name: str) -> str:
    """The path of a run's file. Raises FileNotFoundError."""
    path = Path(folder) / name
    if not path.is_file():
        raise FileNotFoundError(name)
    return str(path)


def _where(equal: Mapping[str, object]) -> tuple[str, Json]:
    """Conditions ` AND expression = value` for what is not None, and their values."""
    given = [(expression, value) for expression, value in equal.items() if value is not None]
    text = "".join(f" AND {expression} = $w{number}" for number, (expression, _) in enumerate(given))
    return text, {f"w{number}": value for number, (_, value) in enumerate(given)}


def _lower(text: str | None) -> str | None:
    return None if text is None else text.lower()


def _rows(db: duckdb.DuckDBPyConnection, query: str, values: Json) -> list[Json]:
    found = db.execute(query, values)
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


QUESTIONS: Mapping[str, Callable[..., Any]] = {
    "findings": findings,
    "finding_groups": finding_groups,
    "finding_schools": finding_schools,
    "quoted_lines": quoted_lines,
    "plan_page": plan_page,
    "plan_step": plan_step,
    "plan_schools": plan_schools,
    "plan_picked": plan_picked,
    "plan_renumbered": plan_renumbered,
    "plan_differences": differences,
    "named": named,
    "steps_of": steps_of,
    "kept_by_hand": kept_by_hand,
    "standing": standing,
    "in_roster": in_roster,
    "lines_of": lines_of,
    "identity_asked": identity_asked,
    "identity_decided": identity_decided,
}
