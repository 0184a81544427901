"""The API's way to what runs hold inside: a process that reads their Parquet files and answers questions.

The API process loads no query engine; a *reader* does (`runs.reader`), started when the first question comes, shared
by all requests, gone when nobody has asked for a while. A reader that dies in the middle is replaced and asked again:
every question only reads. Many questions may be under way at once; each names its answer by a number.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Late
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from schoolsync.errors import NotFound, WorldError
from schoolsync.runs.places import FINDINGS, ROSTER
from schoolsync.settings import Settings
from schoolsync.store.objects import objects_of

T = TypeVar("T")
PATIENCE = 60.0
"""Seconds that a question may take."""
TRIES = 2


_PLAN = ("plan-*",)
NEEDED = {
    "findings": (FINDINGS,),
    "finding_groups": (FINDINGS,),
    "finding_schools": (FINDINGS,),
    "quoted_lines": (),
    "plan_page": _PLAN,
    "plan_step": _PLAN,
    "plan_schools": _PLAN,
    "plan_differences": _PLAN,
    "plan_picked": _PLAN,
    "plan_renumbered": _PLAN,
    "named": _PLAN,
    "steps_of": _PLAN,
    "kept_by_hand": ("plan-*.json", "plan-*/snapshot/by_hand.parquet"),
    "standing": (f"{ROSTER}/*", FINDINGS),
    "lines_of": (FINDINGS,),
    "in_roster": (f"{ROSTER}/*",),
    "identity_asked": (),
    "identity_decided": (),
}
"""The files of a run's folder that a question is answered from."""


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """The first line that a reader is sent."""

    memory_limit: str
    threads: int
    scratch: str


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """One question; `given` are the arguments of the function of that name in `runs.history`."""

    number: int
    name: str
    given: dict[str, Any]  # plain values of any type


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a question: a value, or why there is none."""

    number: int
    value: msgspec.Raw = msgspec.Raw(b"null")
    gone: bool = False  # the files are not there (any more)
    failed: str | None = None  # the world failed us
    bug: bool = False  # we are wrong; the reader has logged where


class ReaderLost(WorldError):
    """The process that reads stored runs has ended in the middle of a question."""


class Readers:
    """Asks the reader. Safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        self._opening = Opening(
            memory_limit=settings.reader_memory_limit,
            threads=settings.threads,
            scratch=str(settings.scratch / f"reader-{os.getpid()}"),
        )
        self._objects = objects_of(settings)
        self._lock = threading.Lock()
        self._reader: _Reader | None = None

    def ask(self, name: str, kind: type[T], /, **given: object) -> T:
        """The answer to a question as a `kind`.

        Raises NotFound when the files are not kept any more, WorldError when they cannot be read.
        """
        for folder in (given.get("folder"), given.get("earlier"), *_texts(given.get("folders"))):
            if isinstance(folder, str):
                self._objects.fetch_folder(Path(folder), *NEEDED[name])
        for tried in range(1, TRIES + 1):
            try:
                told = self._alive().ask(name, given).result(PATIENCE)
                break
            except ReaderLost:
                if tried == TRIES:
                    raise
            except Late as problem:
                raise WorldError("The stored run could not be read in time.") from problem
        if told.gone:
            raise NotFound("What this run held is not kept any more, or was never made.")
        if told.bug:
            raise RuntimeError(f"the reader could not answer {name}")
        if told.failed is not None:
            raise WorldError(told.failed)
        return msgspec.json.decode(bytes(told.value), type=kind)

    def close(self) -> None:
        """End the reader."""
        with self._lock:
            if self._reader is not None:
                self._reader.end()
                self._reader = None

    def _alive(self) -> _Reader:
        with self._lock:
            if self._reader is None or not self._reader.alive:
                if self._reader is not None:
                    self._reader.end()
                self._reader = _Reader(self._opening)
            return self._reader


def _texts(value: object) -> list[str]:
    return list(value) if isinstance(value, list) else []


class _Reader:
    """One reader process and the questions that it has not answered yet."""

    def __init__(self, opening: Opening) -> None:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "MALLOC_ARENA_MAX": "2"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "schoolsync.runs.reader"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        self._lock = threading.Lock()
        self._open: dict[int, Future[Told]] = {}
        self._asked = 0
        self._lost = False
        threading.Thread(target=self._listen, name="reader", daemon=True).start()
        self._write(msgspec.json.encode(opening))

    @property
    def alive(self) -> bool:
        return not self._lost and self._process.poll() is None

    def ask(self, name: str, given: dict[str, object]) -> Future[Told]:
        answer: Future[Told] = Future()
        with self._lock:
            if self._lost:
                raise ReaderLost("The reader has ended.")
            self._asked += 1
            self._open[self._asked] = answer
            self._write(msgspec.json.encode(Question(number=self._asked, name=name, given=given)))
        return answer

    def end(self) -> None:
        self._process.kill()
        self._process.wait()

    def _write(self, line: bytes) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + b"\n")
            self._process.stdin.flush()
        except OSError:
            return  # it has ended: the listener says so to whoever waits

    def _listen(self) -> None:
        assert self._process.stdout is not None
        decoder = msgspec.json.Decoder(Told)
        try:
            with self._process.stdout as lines:
                for line in lines:
                    told = decoder.decode(line)
                    with self._lock:
                        waiting = self._open.pop(told.number, None)
                    if waiting is not None:
                        waiting.set_result(told)
        finally:
            self._process.kill()
            self._process.wait()
            with self._lock:
                self._lost = True
                left = list(self._open.values())
                self._open.clear()
            for waiting in left:
                waiting.set_exception(ReaderLost("The reader has ended in the middle of a question."))
