"""Look-ups in a PostgreSQL that an event loop makes itself: no thread waits for the answer.

To hand a question of a fifth of a millisecond to a thread and its answer back takes longer than the question, and
threads that wait for one another hold up everybody else. So a few connections of the pool are kept as lines: the loop
sends, goes on with other work, and reads when the server has answered. Each statement is a moment of its own and sees
whatever was committed before it was sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, cast

import psycopg
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ExecStatus
from sqlalchemy import Engine, exc
from sqlalchemy.pool import PoolProxiedConnection, QueuePool

from schoolsync.store.database import EndedError, LookUp, lent

MOST = 2
"""Lines of one event loop; small pools have fewer, so that something is left for everybody else."""


class Lines:
    """The lines of a process to one PostgreSQL, a few for each of its event loops."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._most = max(1, min(MOST, cast(QueuePool, engine.pool).size() // 4))
        self._of: dict[asyncio.AbstractEventLoop, _Switchboard] = {}

    async def all(self, wanted: LookUp, parameters: Mapping[str, object]) -> Sequence[Sequence[Any]]:
        """The rows that `wanted` finds. Raises OperationalError when the database does not answer as it should."""
        board = self._board(asyncio.get_running_loop())
        try:
            return await board.asked(wanted, parameters)
        except EndedError:
            # A server that was started again has ended all that was open to it.
            board.end()
            self._engine.dispose()
            return await board.asked(wanted, parameters)

    def close(self) -> None:
        """Give the connections back; whoever asks after that opens others."""
        for loop, board in [*self._of.items()]:
            if loop.is_closed() or not loop.is_running():
                board.end()
            else:
                loop.call_soon_threadsafe(board.end)
        self._of.clear()

    def _board(self, loop: asyncio.AbstractEventLoop) -> _Switchboard:
        board = self._of.get(loop)
        if board is None:
            for other in [one for one in self._of if one.is_closed()]:
                self._of.pop(other).end()
            board = self._of[loop] = _Switchboard(self._engine, loop, self._most)
        return board


class _Switchboard:
    """The lines of one event loop."""

    def __init__(self, engine: Engine, loop: asyncio.AbstractEventLoop, most: int) -> None:
        self._engine = engine
        self._loop = loop
        self._room = asyncio.Semaphore(most)
        self._idle: list[_Line] = []

    async def asked(self, wanted: LookUp, parameters: Mapping[str, object]) -> Sequence[Sequence[Any]]:
        async with self._room:
            line = await self._line()
            try:
                rows = await line.ask(wanted, parameters)
            except psycopg.Error as problem:
                # Whatever it is about, the next one begins anew.
                line.end()
                raise (EndedError if line.gone else exc.OperationalError)(None, None, problem) from problem
            except BaseException:
                line.end()  # the answer is still to come, and nobody may take it for another one's
                raise
            self._idle.append(line)
            return rows

    async def _line(self) -> _Line:
        while self._idle:
            line = self._idle.pop()
            if not line.gone:
                return line
            line.end()
        kept = await asyncio.to_thread(self._opened)
        try:
            return _Line(kept, self._loop)
        except psycopg.Error as problem:  # it was ended while it lay in the pool
            kept.invalidate()
            raise EndedError(None, None, problem) from problem

    def _opened(self) -> PoolProxiedConnection:
        kept = lent(self._engine)
        connection = cast(Any, kept.dbapi_connection)
        try:
            if not connection.autocommit:
                connection.rollback()
                connection.autocommit = True
        except psycopg.Error as problem:
            kept.invalidate()
            raise EndedError(None, None, problem) from problem
        return kept

    def end(self) -> None:
        idle, self._idle = self._idle, []
        for line in idle:
            line.end()


class _Line:
    """One connection, with one question at a time."""

    def __init__(self, kept: PoolProxiedConnection, loop: asyncio.AbstractEventLoop) -> None:
        self._kept = kept
        self._connection = cast("psycopg.Connection[Any]", kept.dbapi_connection)
        self._pg = self._connection.pgconn
        self._loop = loop
        self._socket = self._pg.socket
        self._known: dict[LookUp, bytes] = {}
        self._waiting: asyncio.Future[Any] | None = None  # of a result of libpq
        self._result: Any = None
        self._ended = False  # at its other end
        loop.add_reader(self._socket, self._readable)

    @property
    def gone(self) -> bool:
        """Whether the server has ended it; that shows when something is read, or only when something is sent."""
        return self._ended or self._connection.broken

    async def ask(self, wanted: LookUp, parameters: Mapping[str, object]) -> Sequence[Sequence[Any]]:
        """The rows. Raises psycopg.Error."""
        text, names = wanted.numbered
        name = self._known.get(wanted)
        if name is None:
            name = b"schoolsync_%d" % len(self._known)
            self._pg.send_prepare(name, text.encode())
            await self._answer()
            self._known[wanted] = name
        adapting = Transformer(self._connection)
        bound = wanted.bound(parameters)
        given = adapting.dump_sequence([bound[one] for one in names], [PyFormat.TEXT] * len(names))
        self._pg.send_query_prepared(name, given)
        result = await self._answer()
        adapting.set_pgresult(result)
        return adapting.load_rows(0, result.ntuples, tuple)

    async def _answer(self) -> Any:
        """The result of what was sent."""
        self._waiting = self._loop.create_future()
        self._send()
        result = await self._waiting
        if result.status not in {ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK}:
            state = (result.error_field(psycopg.pq.DiagnosticField.SQLSTATE) or b"").decode()
            self._ended = self._ended or state.startswith("57P")  # the server goes, or was told to end us
            raise psycopg.OperationalError(f"the look-up failed with SQLSTATE {state}")
        return result

    def _send(self) -> None:
        """Send what the system takes now, and the rest when it takes more."""
        try:
            if self._pg.flush():
                self._loop.add_writer(self._socket, self._send)
            else:
                self._loop.remove_writer(self._socket)
        except psycopg.Error as problem:
            self._fail(problem)

    def _readable(self) -> None:
        try:
            self._pg.consume_input()
            while not self._pg.is_busy():
                result = self._pg.get_result()
                if result is None:
                    self._settle()
                    return
                self._result = result
        except psycopg.Error as problem:
            self._fail(problem)

    def _settle(self) -> None:
        waiting, result = self._waiting, self._result
        self._waiting = self._result = None
        if waiting is not None and not waiting.done():
            waiting.set_result(result)

    def _fail(self, problem: psycopg.Error) -> None:
        """The connection is gone."""
        self._ended = True
        self._unwatch()
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_exception(problem)

    def _unwatch(self) -> None:
        if not self._loop.is_closed():
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)

    def end(self) -> None:
        """Close the connection; its place in the pool is free."""
        self._unwatch()
        self._kept.detach()
        self._connection.close()
