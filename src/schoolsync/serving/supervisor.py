"""`schoolsync serve` and `worker`: one process that starts the API, the worker or both, restarts them when they die,
and takes them along when it goes. Standard library alone, so that it stays small and has little that could fail.

Each child holds the reading end of a pipe from here: when this process is killed, the pipe closes and they end.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType

from schoolsync import traces
from schoolsync.errors import Refusal, UsageError, WorldError
from schoolsync.runs import scratches
from schoolsync.runs.processes import (
    MISTAKEN,
    NOT_SEEDED,
    READY,
    REFUSED,
    SEEDED,
    WORKER_GONE,
    WORKER_READY,
    make_folders,
    to_line,
)
from schoolsync.serving import children, safety
from schoolsync.settings import Settings
from schoolsync.store.objects import objects_of

GRACE = 8.0
"""Seconds that children get to end by themselves."""
LOOK = 0.03
"""Seconds between two looks at the children."""
BACKOFF = 5.0
"""Longest wait before a child that keeps dying is started again, in seconds."""
TRIM = 1800.0
"""Seconds between two looks for copies of files that nobody uses."""
TRIM_CLEAR = 60.0
"""The same where the copies are decrypted."""
HOPELESS = 3
"""A child that dies this often before it was ever ready will not become ready: we give up and say so."""


RAM = Path("/dev/shm")  # noqa: S108
"""Where files are memory."""


class Child:
    """A process that is started again whenever it ends, until it is told to stop."""

    def __init__(self, name: str, module: str, settings: Settings, *words: str) -> None:
        self.name = name
        self._module = module
        self._words = words
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self.ready = False
        self.was_ready = False
        self.seeded: bool | None = None  # whether its roster is there; None while it is not said
        self.wanted = True
        self.deaths = 0
        self.not_before = 0.0
        self.refusal = ""
        self._listener = threading.Thread()

    def start(self) -> None:
        """Start the process and listen for its word."""
        process = children.started(self._module, *self._words)
        self._process = process
        self.say(to_line(self._settings))
        self._listener = threading.Thread(target=self._listen, args=(process,), daemon=True)
        self._listener.start()

    def say(self, line: bytes) -> None:
        """Tell the process something; a process that is gone hears nothing."""
        process = self._process
        if process is None or process.stdin is None:
            return
        with self._lock:
            try:
                process.stdin.write(line)
                process.stdin.flush()
            except OSError:
                return

    def ended(self) -> bool:
        """Whether the process is not there (any more)."""
        return self._process is None or self._process.poll() is not None

    def died(self, now: float) -> None:
        """Note that the process ended unasked. Raises Refusal when it has said that it must not work here."""
        self._listener.join(1.0)  # its last word may still be on its way
        if self.refusal:
            raise Refusal(self.refusal)
        self.deaths += 1
        self.not_before = now + min(BACKOFF, 0.1 * 2 ** min(self.deaths, 10))
        self.forget()

    def forget(self) -> None:
        """Give back what belonged to a process that has ended."""
        self.ready = False
        if self._process is not None:
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    try:
                        stream.close()
                    except OSError:
                        continue  # unsent words of a dead reader
            self._process = None

    def signal(self, number: int) -> None:
        """Send a signal."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def wait(self, seconds: float) -> bool:
        """Wait for the end of the process; False when it is still there."""
        if self._process is None:
            return True
        try:
            self._process.wait(max(seconds, 0.01))
        except subprocess.TimeoutExpired:
            return False
        return True

    def _mistake(self, sentence: str) -> None:
        """A setting is wrong: a server that starts ends; one that has served, and whose file was changed, tries on."""
        if self.was_ready:
            in_words(f"schoolsync: {sentence}")
        else:
            self.refusal = sentence

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if line == READY and process is self._process:
                    self.ready = self.was_ready = True
                elif line in {SEEDED, NOT_SEEDED}:
                    self.seeded = line == SEEDED
                elif line.startswith(REFUSED):
                    self.refusal = line.removeprefix(REFUSED).decode().strip()
                elif line.startswith(MISTAKEN):
                    self._mistake(line.removeprefix(MISTAKEN).decode().strip())
        except (OSError, ValueError):
            return  # it ended


Say = Callable[..., None]
"""Says something to whoever started it: words, and by name the facts in them."""


def in_words(words: str, **_facts: str) -> None:
    """For a person or a log, on standard error."""
    sys.stderr.write(f"{words}\n")
    sys.stderr.flush()


def as_json(_words: str, **facts: str) -> None:
    """For a script, one object a line on standard output; that nobody reads it is no reason to end."""
    with suppress(OSError):
        sys.stdout.write(json.dumps(facts) + "\n")
        sys.stdout.flush()


def serve(settings: Settings, *, with_worker: bool = True, say: Say = in_words) -> int:
    """Serve until SIGTERM or SIGINT; 0 after a clean end.

    Raises UsageError when the data directory is served already or the port is taken, WorldError when the data
    directory cannot be used or a child cannot be started.
    """
    _check(settings, with_worker)
    with _folder(settings, say) as folder:
        settings = replace(settings, data_dir=folder)
        if settings.memory:
            settings = replace(settings, storage_url=None)  # nothing is left behind, elsewhere neither
        _prepare(settings)
        if settings.database_url is not None:  # what is shared knows how to be
            return _supervise(replace(settings, port=_port(settings)), say, with_worker=with_worker)
        with _only_one(settings.data_dir / "serve.lock"):
            return _supervise(replace(settings, port=_port(settings)), say)


def _check(settings: Settings, with_worker: bool) -> None:
    if settings.database_url is None and not with_worker:
        raise UsageError("Without database_url nobody else could do the work: serve has its worker inside.")
    safety.check(settings)
    traces.check(settings)
    if settings.webhook_url is not None or settings.mail_to:
        from schoolsync.notices.channels import channels  # with what they go out by, loaded where there are any

        list(channels(settings))  # refused in words before anything is started
    if settings.seed_roster is not None and not settings.seed_roster.exists():
        raise UsageError(f"There is no roster at {settings.seed_roster}.")


@contextmanager
def _folder(settings: Settings, say: Say) -> Iterator[Path]:
    """The data directory; in memory a private one that is gone afterwards, whatever the settings name."""
    if not settings.memory:
        yield settings.data_dir
        return
    place = RAM if RAM.is_dir() and os.access(RAM, os.W_OK) else None
    if place is None:
        say(
            "schoolsync: this machine has no /dev/shm; the data lies in a temporary folder until the server ends",
            said="keeps its data in a temporary folder",
        )
    folder = Path(tempfile.mkdtemp(prefix="schoolsync-", dir=place))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def work(settings: Settings, *, say: Say = in_words) -> int:
    """Take runs up until SIGTERM or SIGINT, without an API; 0 after a clean end.

    Raises UsageError without a PostgreSQL: whoever serves SQLite files has the worker inside.
    """
    if settings.database_url is None:
        raise UsageError("A worker of its own needs database_url: without it, serve has its worker inside.")
    _prepare(settings)
    return _supervise(settings, say, with_api=False)


def _prepare(settings: Settings) -> None:
    """Have everything where the children look for it."""
    make_folders(settings)
    if settings.storage_url is not None:
        from schoolsync.access import shared_keys  # loaded by those alone who share keys

        shared_keys.meet(settings)
    if not settings.memory:
        objects_of(settings).probe()


class Sharing:
    """Lets unused copies of files go; with object storage it follows keys that other machines change."""

    def __init__(self, settings: Settings, say: Say) -> None:
        self._settings = settings
        self._say = say
        if settings.storage_url is not None or settings.encrypt_files:
            threading.Thread(target=self._follow, name="sharing", daemon=True).start()

    def _follow(self) -> None:
        from schoolsync.access import shared_keys

        every = TRIM_CLEAR if self._settings.encrypt_files else TRIM
        trimmed = time.monotonic()
        while True:
            time.sleep(shared_keys.EVERY)
            try:
                shared_keys.meet(self._settings)
                if time.monotonic() - trimmed >= every:
                    trimmed = time.monotonic()
                    objects_of(self._settings).trim()
            except (WorldError, OSError) as problem:
                words = f"schoolsync: files are not compared with what is kept now: {problem}"
                self._say(words, said="files are not compared with what is kept now", why=str(problem))


def _supervise(settings: Settings, say: Say, *, with_api: bool = True, with_worker: bool = True) -> int:
    stopping = False

    def asked(_number: int, _frame: FrameType | None) -> None:
        # A plain flag: an Event's lock may be held by the very thread that this interrupts.
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, asked)
    signal.signal(signal.SIGINT, asked)
    # In memory the API has a worker inside, and there is a process less.
    api = Child("api", children.MEMORY if settings.memory else "schoolsync.serving.api", settings)
    worker = Child("worker", "schoolsync.runs.worker", settings, os.urandom(4).hex())  # all of it are of one line
    told = False
    worker.wanted = with_worker and not settings.memory
    api.wanted = with_api
    Sharing(settings, say)
    try:
        for child in (api, worker):
            if child.wanted:
                child.start()
        does = f"serves {settings.base_url}" if with_api else "works"
        where = {"data": str(settings.data_dir)} | ({"url": settings.base_url} if with_api else {})
        say(f"schoolsync {does} (data in {settings.data_dir})", said="serves" if with_api else "works", **where)
        while not stopping:
            time.sleep(LOOK)
            now = time.monotonic()
            for child in (worker, api):
                if child.wanted:
                    _keep_alive(child, now, say)
            # Whoever serves alone is ready when the API is.
            ready = (worker.ready or settings.memory or not with_worker) and _filled(api, settings)
            if api.ready and ready != told:
                told = ready
                api.say(WORKER_READY if told else WORKER_GONE)
            told = told and api.ready
    finally:
        _end((api, worker))
        # An engine may have written when its worker was already tidying up, or the worker had to be killed.
        scratches.sweep(settings.scratch)
        objects_of(settings).leave()
    return 0


def _filled(api: Child, settings: Settings) -> bool:
    """Whether the roster that the server is to be filled with is there. Raises WorldError when it cannot be."""
    if settings.seed_roster is None or not api.wanted or api.seeded:
        return True
    if api.seeded is not None:
        raise WorldError("The roster could not be synchronized; the messages above say why.")
    return False


def _keep_alive(child: Child, now: float, say: Say) -> None:
    """Start a child again that has died, not faster and faster."""
    if not child.ended():
        return
    if child.not_before == 0.0 or now >= child.not_before:
        if child.not_before == 0.0:
            child.died(now)
            if not child.was_ready and child.deaths >= HOPELESS:
                raise WorldError(f"The {child.name} process cannot be started; its messages above say why.")
            words = f"schoolsync: the {child.name} process ended and is started again"
            say(words, said="starts a process again", process=child.name)
            return
        child.not_before = 0.0
        child.start()


def _end(children: Sequence[Child]) -> None:
    deadline = time.monotonic() + GRACE
    for child in children:
        child.signal(signal.SIGTERM)
    for child in children:
        if not child.wait(deadline - time.monotonic()):
            child.signal(signal.SIGKILL)
            child.wait(1.0)


@contextmanager
def _only_one(path: Path) -> Iterator[None]:
    """Hold the lock of the data directory; it goes with the process, however that ends."""
    with path.open("a+b") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            holder = lock.read().decode(errors="replace").strip() or "unknown"
            raise UsageError(
                f"The data directory {path.parent} is served already, by process {holder}. Stop that one first, or "
                "choose another --data-dir."
            ) from None
        lock.seek(0)
        lock.truncate()
        lock.write(str(os.getpid()).encode())
        lock.flush()
        yield


def _port(settings: Settings) -> int:
    """The port to listen on; says in words that it is taken, before anything is started. 0 becomes a free one."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as problem:
            raise UsageError(f"Cannot listen on {settings.host} port {settings.port}: {problem.strerror}.") from problem
        return int(probe.getsockname()[1])
