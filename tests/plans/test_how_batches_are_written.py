"""What a batch writes is found by keys: it costs what is in the batch, however large the directory is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from schoolsync.targets.sqlite import SqliteFile

from .districts import DISTRICT, Directory, GivenSource, enrolled

TABLES = "schools|classes|people|school_classes|school_people|class_people"
# A walk through a table, or through all of the tenant in one; a Bloom filter is made by such a walk.
WALKS = re.compile(
    rf"SCAN (?:{TABLES}|o|p)\b|SEARCH \w+ (?:EXISTS )?USING (?:COVERING )?(?:INDEX \w+|PRIMARY KEY) \(tenant=\?\)"
    rf"|BLOOM FILTER ON",
)


def test_a_batch_reads_only_what_it_changes(
    tmp_path: Path, roster_source: GivenSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Changes, removals, links made and taken back: SQLite goes through the batch and looks each row up."""
    plans: dict[str, str] = {}
    execute = SqliteFile.execute

    def watched(self: SqliteFile, statement: str, values: object = None) -> object:
        if statement.startswith(("INSERT", "UPDATE", "DELETE")) and (
            "temp.batch" in statement or "touched" in statement
        ):
            told = execute(self, f"EXPLAIN QUERY PLAN {statement}")
            plans[statement] = "\n".join(str(row[3]) for row in told)
        return execute(self, statement, values)  # type: ignore[arg-type]

    monkeypatch.setattr(SqliteFile, "execute", watched)
    directory = Directory(tmp_path / "house", roster_source)
    directory.sync(DISTRICT)
    changed = DISTRICT.changed("people", {"source_id": "2"}, grade="9", middle_name="Else")
    changed = changed.left_without_person("student", "3").left_without_class("E1")
    changed = changed.plus("enrollments", enrolled("M2", "student", "1"))
    directory.sync(changed)
    directory.sync(DISTRICT)
    kinds = {statement.split("temp.")[0].split()[0] for statement in plans}
    assert kinds == {"INSERT", "UPDATE", "DELETE"}
    walks = [f"{statement}\n{plan}" for statement, plan in plans.items() if WALKS.search(plan)]
    assert not walks, "\n\n".join(walks)
