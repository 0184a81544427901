"""Working on one part of a plan beside another: one thing after another, in a thread of its own.

The engine takes a moment for every query, however few rows it is about, and of one query at a time seldom uses all
cores. Where memory counts, everything is done when it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, TypeVar

import duckdb

from schoolsync import roster_engine

T = TypeVar("T")
Work = Callable[[duckdb.DuckDBPyConnection], T]


class Behind:
    """Does what it is asked for in that order; all of it is done when the `with` statement ends.

    What that reads must not be changed before. The first error that there was is raised at the end, at the latest.
    """

    def __init__(self, db: duckdb.DuckDBPyConnection, *, at_once: bool) -> None:
        """With `at_once` everything is done before `do` returns."""
        self._db = db if at_once else roster_engine.beside(db)
        self.at_once = at_once
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="behind")
        self._asked: list[Future[Any]] = []  # of whatever was asked for
        self._failed: BaseException | None = None

    def do(self, what: Work[T]) -> Future[T]:
        """Have it done. When something before it has failed it is left, and so is what it was to give."""
        if self.at_once:
            done: Future[T] = Future()
            done.set_result(what(self._db))
            return done
        self._asked.append(self._thread.submit(self._done, what))
        return self._asked[-1]

    def _done(self, what: Work[T]) -> T:
        if self._failed is not None:
            raise self._failed
        try:
            return what(self._db)
        except BaseException as problem:
            self._failed = problem
            raise

    def __enter__(self) -> Behind:
        return self

    def __exit__(self, _: type[BaseException] | None, problem: BaseException | None, __: TracebackType | None) -> None:
        if self._failed is None:
            self._failed = problem
        self._thread.shutdown()
        if not self.at_once:
            self._db.close()
        if problem is None:
            for one in self._asked:
                one.result()
