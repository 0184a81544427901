"""The worker's engines: one process per run at work, and a warm one waiting when nothing is at work.

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

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._at_work: dict[str, Engine] = {}
        self._warm: Engine | None = None

    def warm_up(self) -> None:
        """Have an engine ready for the next run, unless one is or runs are at work (memory is theirs then)."""
        with self._lock:
            if not self._at_work and (self._warm is None or not self._warm.alive):
                self._warm = Engine()

    def of(self, workflow: str, job: Callable[[], Job]) -> Engine:
        """The engine of an attempt; a new one is handed `job()`."""
        with self._lock:
            engine = self._at_work.get(workflow)
            if engine is not None and engine.alive:
                return engine
            if engine is not None:
                engine.end()
            engine = self._warm if self._warm is not None and self._warm.alive else Engine()
            self._warm = None
            self._at_work[workflow] = engine
        engine.open(job())
        return engine

    def release(self, workflow: str) -> None:
        """The attempt is over: its engine ends and gives all its memory back."""
        with self._lock:
            engine = self._at_work.pop(workflow, None)
        if engine is not None:
            engine.end()
