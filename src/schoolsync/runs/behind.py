"""Storing parts of a small plan while the next ones are worked out: one thing after another, in a thread of its own.

The engine takes a moment for every query, however few rows it is about, and of one query at a time makes use of one
core. Of a large plan each query uses all of them, and memory counts: there, everything is done when it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

import duckdb

from schoolsync import roster_engine


class Behind:
    """Does what it is asked for in that order; all of it is done when the `with` statement ends.

    What that reads must not be changed before. The first error that there was is raised at the end, at the latest.
    """

    def __init__(self, db: duckdb.DuckDBPyConnection, *, at_once: bool) -> None:
        """With `at_once` everything is done before `do` returns."""
        self._db = db if at_once else roster_engine.beside(db)
        self._at_once = at_once
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="behind")
        self._asked: list[Future[None]] = []
        self._failed = False

    def do(self, what: Callable[[duckdb.DuckDBPyConnection], object]) -> None:
        """Have it done; when something before it has failed it is left."""
        if self._at_once:
            what(self._db)
        else:
            self._asked.append(self._thread.submit(self._done, what))

    def _done(self, what: Callable[[duckdb.DuckDBPyConnection], object]) -> None:
        if self._failed:
            return
        try:
            what(self._db)
        except BaseException:
            self._failed = True
            raise

    def __enter__(self) -> Behind:
        return self

    def __exit__(self, _: type[BaseException] | None, problem: BaseException | None, __: TracebackType | None) -> None:
        self._failed |= problem is not None
        self._thread.shutdown()
        if not self._at_once:
            self._db.close()
        if problem is None:
            for one in self._asked:
                one.result()
