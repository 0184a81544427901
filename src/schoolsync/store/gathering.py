"""Requests that come at the same time, answered by one piece of work.

While one batch is at work, whoever asks next waits and goes into the batch after it. Nobody waits when nothing is at
work, and the more come, the less each costs: one commit, one round trip to the database for all of a batch. Batches of
one key follow each other; keys take turns.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")
K = TypeVar("K", bound=Hashable)

MOST = 64
"""Questions in one batch."""


@dataclass(slots=True)
class _Waiting(Generic[Q, A]):
    question: Q
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[A]

    def settle(self, answer: A | Exception) -> None:
        if self.future.done():  # nobody waits any more
            return
        if isinstance(answer, Exception):
            self.future.set_exception(answer)
        else:
            self.future.set_result(answer)


class Gathering(Generic[K, Q, A]):
    """Gathers questions for `work`, which gets those of one key and answers each, or says what to raise to it.

    What `work` itself raises is raised to all of the batch. Safe to share between threads and event loops.
    """

    def __init__(self, work: Callable[[K, Sequence[Q]], Sequence[A | Exception]], *, threads: int, name: str) -> None:
        self._work = work
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._waiting: dict[K, list[_Waiting[Q, A]]] = {}  # a key is here while its work is under way or due

    async def ask(self, key: K, question: Q) -> A:
        """The answer to `question`, as if it had been asked alone after all that came before."""
        loop = _running_loop()
        mine: _Waiting[Q, A] = _Waiting(question, loop, loop.create_future())
        with self._lock:
            idle = key not in self._waiting
            self._waiting.setdefault(key, []).append(mine)
        if idle:
            self._threads.submit(self._next, key)
        return await mine.future

    def _next(self, key: K) -> None:
        with self._lock:
            batch = self._waiting[key][:MOST]
            del self._waiting[key][:MOST]
        answers = _answers(self._work, key, [one.question for one in batch])
        with self._lock:
            more = bool(self._waiting[key])
            if not more:
                del self._waiting[key]
        if more:
            self._threads.submit(self._next, key)
        _hand_out(batch, answers)


class Turns(Generic[K, Q, A]):
    """The same for work so short that it is done in the event loop: what comes in one of its turns is one batch.

    At each piece of work other threads may go first, and the loop waits for them longer than a look-up takes.
    """

    def __init__(self, work: Callable[[K, Sequence[Q]], Sequence[A | Exception]]) -> None:
        self._work = work
        self._waiting: dict[tuple[asyncio.AbstractEventLoop, K], list[_Waiting[Q, A]]] = {}

    async def ask(self, key: K, question: Q) -> A:
        """The answer to `question`."""
        loop = _running_loop()
        mine: _Waiting[Q, A] = _Waiting(question, loop, loop.create_future())
        batch = self._waiting.setdefault((loop, key), [])
        if not batch:
            loop.call_soon(self._next, loop, key)
        batch.append(mine)
        return await mine.future

    def _next(self, loop: asyncio.AbstractEventLoop, key: K) -> None:
        batch = self._waiting.pop((loop, key))
        _settle([*zip(batch, _answers(self._work, key, [one.question for one in batch]), strict=True)])


class Trips(Generic[K, Q, A]):
    """The same for work that waits in the event loop: while a batch is under way, whoever asks goes into the next."""

    def __init__(self, work: Callable[[K, Sequence[Q]], Coroutine[Any, Any, Sequence[A | Exception]]]) -> None:
        self._work = work
        self._waiting: dict[tuple[asyncio.AbstractEventLoop, K], list[_Waiting[Q, A]]] = {}
        self._under_way: set[asyncio.Task[None]] = set()

    async def ask(self, key: K, question: Q) -> A:
        """The answer to `question`, as if it had been asked alone now or later."""
        loop = _running_loop()
        mine: _Waiting[Q, A] = _Waiting(question, loop, loop.create_future())
        batch = self._waiting.get((loop, key))
        if batch is not None:
            batch.append(mine)
        else:
            self._waiting[loop, key] = [mine]
            task = loop.create_task(self._go(loop, key), context=Context())  # it is about nobody's act
            self._under_way.add(task)  # the loop itself would let it go
            task.add_done_callback(self._under_way.discard)
        return await mine.future

    async def _go(self, loop: asyncio.AbstractEventLoop, key: K) -> None:
        """Work until nobody waits. It begins in the loop's next turn: what comes in this one goes along."""
        try:
            while waiting := self._waiting[loop, key]:
                batch = waiting[:MOST]
                del waiting[:MOST]
                try:
                    answers = await self._work(key, [one.question for one in batch])
                except Exception as problem:
                    answers = [problem] * len(batch)
                _settle([*zip(batch, answers, strict=True)])
        finally:
            del self._waiting[loop, key]


_own = threading.local()


def _running_loop() -> asyncio.AbstractEventLoop:
    """The event loop of this thread. asyncio's own way asks the operating system each time which process this is."""
    known: asyncio.AbstractEventLoop | None = getattr(_own, "loop", None)
    if known is None or not known.is_running():  # a thread that runs another one has ended that
        known = _own.loop = asyncio.get_running_loop()
    return known


def _answers(
    work: Callable[[K, Sequence[Q]], Sequence[A | Exception]], key: K, questions: Sequence[Q]
) -> Sequence[A | Exception]:
    try:
        return work(key, questions)
    except Exception as problem:
        return [problem] * len(questions)


def _hand_out(batch: Sequence[_Waiting[Q, A]], answers: Sequence[A | Exception]) -> None:
    """Each loop is woken once."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_Waiting[Q, A], A | Exception]]] = {}
    for one, answer in zip(batch, answers, strict=True):
        by_loop.setdefault(one.loop, []).append((one, answer))
    for loop, mine in by_loop.items():
        try:
            loop.call_soon_threadsafe(_settle, mine)
        except RuntimeError:  # that loop is closed, and with it whoever asked
            continue


def _settle(answered: Sequence[tuple[_Waiting[Q, A], A | Exception]]) -> None:
    for one, answer in answered:
        one.settle(answer)
