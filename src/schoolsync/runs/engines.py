"""The worker's engines: one process per run at work, and one that waits for the next when nothing is at work.

An engine that has done a small run waits for another, so that many small runs need few processes.

An engine that dies is replaced by a new one under a new fence; whoever asks sees an `EngineLost` and asks again.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import TypeVar

import msgspec

from schoolsync.errors import WorldError
from schoolsync.runs import engine as protocol
from schoolsync.runs.engine import Answer, Ask, Failure, Result
from schoolsync.runs.job import Failed, Job

T = TypeVar("T")
Progress = Callable[[int, int], None]
SPARE = 192 * 1024 * 1024
"""Bytes of memory that an engine may have when its run is over, and still wait for the next."""

RESTS = 5.0
"""Seconds within which an engine must have forgotten a run; else it is ended."""

_decoder = msgspec.json.Decoder(Answer)


class EngineLost(WorldError):
    """The roster engine ended in the middle of its work; a new one can go on."""


class EngineFailed(Exception):
    """The engine says it cannot do what it was asked."""

    def __init__(self, failed: Failed) -> None:
        super().__init__(failed)  # the one argument, so that it survives being stored and read back
        self.failed = failed

    def __str__(self) -> str:
        return self.failed.reason


class Engine:
    """One engine process. Used by one thread at a time."""

    def __init__(self) -> None:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "MALLOC_ARENA_MAX": "2"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "schoolsync.runs.engine"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )

    @property
    def alive(self) -> bool:
        """Whether the process is there."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def open(self, job: Job) -> None:
        """Hand over what is to be done."""
        self._say(Ask(stage="open", job=job), bool, None)

    def ask(self, stage: str, kind: type[T], *, batch: int | None = None, progress: Progress | None = None) -> T:
        """Have one stage done. Raises EngineFailed, or EngineLost when the process ends before it answers."""
        return self._say(Ask(stage=stage, batch=batch), kind, progress)

    def rest(self) -> bool:
        """Forget the run, which is over; whether the process is small enough to be kept for another."""
        late = threading.Timer(RESTS, self._process.kill)
        late.start()
        try:
            return self._say(Ask(stage="close"), int, None) <= SPARE
        except (EngineFailed, EngineLost):
            return False
        finally:
            late.cancel()

    def end(self) -> None:
        """End the process at once; its work is crash-safe."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except OSError:
                    continue  # what was not yet sent has no reader any more

    def _say(self, ask: Ask, kind: type[T], progress: Progress | None) -> T:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(msgspec.json.encode(ask) + b"\n")
            self._process.stdin.flush()
            while line := self._process.stdout.readline():
                answer = _decoder.decode(line)
                match answer:
                    case Failure(failed):
                        raise EngineFailed(failed)
                    case Result(value):
                        return msgspec.json.decode(bytes(value), type=kind)
                    case protocol.Progress(done, total):
                        if progress is not None:
                            progress(done, total)
        except OSError as problem:
            raise EngineLost("The roster engine cannot be reached.") from problem
        raise EngineLost("The roster engine ended in the middle of its work.")


class Engines:
    """Which engine works for which attempt. Safe to share between threads."""

    def __init__(self, *, spares: int) -> None:
        self._most = spares  # engines that may wait between two runs
        self._lock = threading.Lock()
        self._at_work: dict[str, Engine] = {}
        self._waiting: list[Engine] = []
        self.asked = threading.Event()  # some engine has been handed what is to be done

    def warm_up(self) -> None:
        """Have one engine ready for the next run, unless runs are at work (memory is theirs then)."""
        with self._lock:
            if self._at_work:
                return
            ready, *others = [engine for engine in self._waiting if engine.alive] or [Engine()]
            self._waiting = [ready]
        for engine in others:
            engine.end()

    def of(self, workflow: str, job: Callable[[], Job]) -> Engine:
        """The engine of an attempt; a new one is handed `job()`."""
        with self._lock:
            engine = self._at_work.get(workflow)
            if engine is not None and engine.alive:
                return engine
            if engine is not None:
                engine.end()
            ready = [one for one in self._waiting if one.alive]
            engine = ready.pop() if ready else Engine()
            self._waiting = ready
            self._at_work[workflow] = engine
        engine.open(job())
        self.asked.set()
        return engine

    def release(self, workflow: str, *, idle: bool = False) -> None:
        """The attempt is over: its engine ends and gives all its memory back.

        One that is idle and small may wait for the next run instead.
        """
        with self._lock:
            engine = self._at_work.pop(workflow, None)
        if engine is None:
            return
        if idle and self._most and engine.rest():
            with self._lock:
                if len(self._waiting) < self._most:
                    self._waiting.append(engine)
                    return
        engine.end()
