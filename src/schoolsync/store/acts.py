"""What a write transaction carries beside its own rows: the audit entry of the request that it serves.

A face names the act it is about (`acting`); the first write transaction inside takes the entry along and commits or
loses it together with the act. Nobody who writes has to think of it, so nobody can forget it. The entry itself is made
in `access.audit`; transactions outside of any act (a run's own work) carry nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar, Token, copy_context
from typing import Any, ParamSpec, Protocol, Self, TypeVar

from sqlalchemy import Connection

P = ParamSpec("P")
T = TypeVar("T")


class Entry(Protocol):
    """An audit entry that waits for the transaction of its act."""

    def into_control(self, connection: Connection) -> bool:
        """Write the entry into the control database's open transaction; False when it is not due."""

    def into_directory(self, connection: Connection) -> bool:
        """Leave the entry in a directory's open transaction; False when it is not due."""

    def all_into_control(self, connection: Connection, entries: Sequence[Self]) -> Sequence[Self]:
        """Write the entries of several requests of one tenant; those that were due."""

    def committed(self) -> None:
        """The transaction that took the entry along was committed."""


_current: ContextVar[Entry | None] = ContextVar("schoolsync_act", default=None)


class acting:  # noqa: N801  (it is used as a function; every request passes here, and a generator takes longer)
    """Inside, the first write transaction takes `entry` along."""

    __slots__ = ("_entry", "_token")

    def __init__(self, entry: Entry) -> None:
        self._entry = entry

    def __enter__(self) -> None:
        self._token: Token[Entry | None] = _current.set(self._entry)

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)


def current() -> Entry | None:
    """The entry that waits for a transaction of the running request."""
    return _current.get()


class Threads(ThreadPoolExecutor):
    """Threads that know which act the caller is about."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """As usual, in a copy of the caller's context."""
        run: Callable[..., Any] = copy_context().run
        return super().submit(run, fn, *args, **kwargs)
