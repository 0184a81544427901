"""Opening the engine that rosters are worked on in: DuckDB, within a memory, silent, and fetching nothing.

Every process of the house that needs it opens it here, so that no setting is forgotten in one of them.
"""

from __future__ import annotations

import duckdb

_CLOSED = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
_WORTHWHILE = frozenset(
    {
        "build_side_probe_side",
        "column_lifetime",
        "deliminator",
        "expression_rewriter",
        "filter_pullup",
        "filter_pushdown",
        "in_clause",
        "join_order",
        "unused_columns",
    }
)
"""What makes a query better that is put to few rows; without these a join could become a comparison of all with all."""
_ahead: list[duckdb.DuckDBPyConnection] = []


def open_ahead() -> None:
    """Open one before anybody knows what it may use; the next `opened` is that one. Opening takes 25 ms."""
    if not _ahead:
        _ahead.append(duckdb.connect(config={**_CLOSED, "threads": 1}))


def opened(*, memory_limit: str, scratch: str, threads: int | None = None) -> duckdb.DuckDBPyConnection:
    """An engine that spills what does not fit into its memory to the folder `scratch`. None threads: one per core.

    It never draws its own progress bar, which would end up among the output of a command.
    """
    if _ahead:
        db = _ahead.pop()
        db.execute("SET memory_limit = $limit", {"limit": memory_limit})
        db.execute("SET temp_directory = $scratch", {"scratch": scratch})
        db.execute("RESET threads" if threads is None else f"SET threads = {threads:d}")
    else:
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": memory_limit,
            "temp_directory": scratch,
            **_CLOSED,
        }
        if threads is not None:
            config["threads"] = threads
        db = duckdb.connect(config=config)
    db.execute("SET enable_progress_bar = false")
    # What is in memory alone is kept nowhere: going over all tables after so many bytes of changes gains nothing.
    db.execute("SET checkpoint_threshold = '1TB'")
    return db


def beside(db: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """A connection of its own to the same engine, for another thread."""
    other = db.cursor()
    other.execute("SET enable_progress_bar = false")
    return other


def hurry(db: duckdb.DuckDBPyConnection) -> None:
    """From now on few rows are worked on: what would improve queries by less than it takes is left out.

    The engine goes over each query some forty times before it begins; for a small roster that takes longer than all
    rows do.
    """
    names = [str(name) for (name,) in db.execute("SELECT name FROM duckdb_optimizers()").fetchall()]
    db.execute(f"SET disabled_optimizers = '{','.join(name for name in names if name not in _WORTHWHILE)}'")
