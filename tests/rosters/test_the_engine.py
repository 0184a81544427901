"""The engine that rosters are worked on in: opened in one way everywhere."""

from __future__ import annotations

import re
from pathlib import Path

import schoolsync
from schoolsync import roster_engine


def test_the_engine_draws_nothing_and_fetches_nothing(tmp_path: Path) -> None:
    """A long query writes no progress bar among a command's output; nothing is downloaded."""
    with roster_engine.opened(memory_limit="64MiB", scratch=str(tmp_path), threads=1) as db:
        named = (
            "SELECT name, value FROM duckdb_settings() WHERE name = 'enable_progress_bar' OR name LIKE 'auto%_known%'"
        )
        assert {row[1] for row in db.execute(named).fetchall()} == {"false"}


def test_no_process_opens_it_in_another_way() -> None:
    """Every connection of the product has these settings."""
    root = Path(schoolsync.__file__).parent
    opening = [path.name for path in root.rglob("*.py") if re.search(r"duckdb\.connect\(", path.read_text("utf-8"))]
    assert opening == ["roster_engine.py"]


def test_few_rows_are_joined_as_many_are(tmp_path: Path) -> None:
    """In a hurry a condition between two tables still is a join, and most of what improves queries is left out."""
    with roster_engine.opened(memory_limit="64MiB", scratch=str(tmp_path), threads=1) as db:
        known = {str(name) for (name,) in db.execute("SELECT name FROM duckdb_optimizers()").fetchall()}
        roster_engine.hurry(db)
        left_out = db.execute("SELECT current_setting('disabled_optimizers')").fetchone()
        assert left_out is not None
        still = known - {*str(left_out[0]).split(",")}
        assert {"filter_pushdown", "join_order"} <= still <= known
        assert len(still) < len(known) / 2
        plan = db.execute("EXPLAIN SELECT * FROM range(10) a(x), range(10) b(y) WHERE x = y AND x > 3").fetchall()
        assert "Hash Join" in plan[0][1] or "HASH_JOIN" in plan[0][1]
