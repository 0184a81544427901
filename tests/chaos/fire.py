"""A server that synchronizes two rosters in turns while its processes are killed, or disk and network fail.

The judge of what comes out: after every run it ended by itself with success, or stopped with a status that says why and
went on when it was asked to; the directory is what it is when nobody disturbs it, and the ledger of applied batches has
no gap and no double.
"""

from __future__ import annotations

import errno
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from schoolsync import fault_points
from schoolsync.settings import SHORTEST_SILENCE
from schoolsync.testing import rosters

from ..acceptance.house import BEGUN, PREFER, Profile, Server, Tenant, put_blob, serving, until
from ..acceptance.own import own
from ..acceptance.test_being_killed import TENANT, contents, settled
from ..acceptance.test_several_workers import Worker
from ..storages import Storage
from .failing import NEVER, Failing, failing


@dataclass(frozen=True)
class Size:
    """How large the rosters are, and the batches."""

    people: int
    classes: int
    enrollments: int
    batch_rows: int


LARGE = Size(400, 40, 1600, 80)
SMALL = Size(14, 2, 14, 8)
"""Thirty rows of people, classes and enrollments."""
VICTIMS = ("engine", "worker", "api", "everything", "serve alone")
ANOTHER = "another worker"
PATIENCE = 120.0
CARELESS = {
    "guards": {"removalPercent": 100, "classPercent": 100, "updatePercent": 100, "windowDays": 0, "schoolGone": False}
}
"""Nothing is to hold the plans: what is tried here is how they are applied."""


@dataclass
class Tally:
    """What was tried and what came of it."""

    runs: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    late: int = 0  # of the kills: when the run was over already
    failures: int = 0
    stopped: Counter[str] = field(default_factory=Counter)
    batches: int = 0
    again: int = 0  # batches that were begun once more
    most: int = 0  # of them in one run
    lost: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        by = ", ".join(f"{name} {count}" for name, count in sorted(self.kills.items()))
        late = f", {self.late} of them behind the end" if self.late else ""
        tried = [f"{sum(self.kills.values())} kills ({by}){late}"] if self.kills else []
        if self.failures:
            tried.append(
                f"{self.failures} failures, {sum(self.stopped.values())} of them stopped a run until its start"
            )
        again = f"{self.batches} batches, {self.again} begun once more, at most {self.most} in one run"
        return f"{', '.join([f'{self.runs} runs', *tried, again])}, lost {len(self.lost)}"


class Another:
    """One more worker over the same database, and its successors."""

    def __init__(self, server: Server, settings: Mapping[str, object], environment: Mapping[str, str]) -> None:
        self._data, self._log = server.data, server.data.parent / "worker.log"
        self._environment = {f"SCHOOLSYNC_{name.upper()}": str(value) for name, value in settings.items()}
        self._environment |= environment
        self._worker = Worker(self._data, self._log, self._environment)

    def kill(self) -> None:
        """kill -9 of all of its processes at once; a new one begins."""
        self._worker.signal(signal.SIGKILL)
        self._worker.process.wait(10)
        self._worker = Worker(self._data, self._log, self._environment)

    def end(self) -> None:
        self._worker.end()


class Fire:
    """One server, one profile, two rosters in turns."""

    def __init__(
        self,
        server: Server,
        folder: Path,
        dice: random.Random,
        size: Size,
        *,
        failing: Failing | None = None,
        another: Another | None = None,
    ) -> None:
        self.server = server
        self._another = another
        self.dice = dice
        self.tally = Tally()
        self._failing = failing
        self.rosters = [_roster(folder / str(turn), size, churn) for turn, churn in enumerate((0.0, 0.2))]
        self._profile: Profile = Tenant(server, TENANT).profile()
        own(self._profile.tenant, "admin")("PATCH", f"/profiles/{self._profile.id}/settings", CARELESS, expect=200)
        self._calm: list[dict[str, Any]] = []
        self._turn = 0

    def settle(self) -> None:
        """Each roster twice with nobody disturbing: from then on each leaves the same directory every time."""
        found = [self._undisturbed(turn) for turn in (0, 1, 0, 1)]
        self._calm = found[2:]

    def _undisturbed(self, turn: int) -> dict[str, Any]:
        final = self._profile.sync(self.rosters[turn])
        assert final["status"] == "success", final
        return contents(self.server)

    def run(self, *, kills: int = 0, points: Sequence[str] = ()) -> None:
        """One synchronization under fire; what it lost goes into the tally."""
        turn, self._turn = self._turn, 1 - self._turn
        ledger_before = {row[0] for row in _ledger(self.server)}
        armed = armed_file(self.server)
        if points:
            armed.write_text("\n".join(points))
        self._profile.upload(self.rosters[turn])
        caller = threading.Thread(target=self._start, args=(len(self._runs()),))
        caller.start()
        for _ in range(kills):
            time.sleep(self.dice.random() * 0.8)
            self._kill(self.dice.choice(VICTIMS if self._another is None else (*VICTIMS, ANOTHER)))
        caller.join(PATIENCE)
        final = until("the run ends", lambda: settled(self._profile), seconds=PATIENCE, pause=0.1)
        assert not armed.exists(), f"not reached: {armed.read_text()}"
        self.tally.kills.update(points)
        until("the server is well again", self.server.healthy, seconds=PATIENCE)
        self.tally.runs += 1
        deaths = kills + len(points)
        self._judge(final, turn, ledger_before, f"run {self.tally.runs} {', '.join(points)}", deaths=deaths)

    def turn(self, *, days: float = 40) -> int:
        """One synchronization while the clock of all processes jumps up to so many days ahead and back.

        How often it did. What was lost goes into the tally.
        """
        assert self._failing is not None
        turn, self._turn = self._turn, 1 - self._turn
        ledger_before = {row[0] for row in _ledger(self.server)}
        runs_before = len(self._runs())
        self._profile.upload(self.rosters[turn])
        caller = threading.Thread(target=self._start, args=(runs_before,))
        caller.start()
        until("the run is there", lambda: len(self._runs()) > runs_before)
        jumps, deadline = 0, time.monotonic() + PATIENCE
        while self.server.control("SELECT 1 FROM runs WHERE ended IS NULL") and time.monotonic() < deadline:
            self._failing.turn(round(self.dice.choice((-1, 1)) * 86_400 * days ** self.dice.random()))
            jumps += 1
            time.sleep(self.dice.random() * 0.1)
        self._failing.turn(0)  # who asks now has a token of today
        caller.join(PATIENCE)
        final = until("the run ends", lambda: settled(self._profile), seconds=PATIENCE, pause=0.1)
        self.tally.runs += 1
        self._judge(final, turn, ledger_before, f"run {self.tally.runs}, {jumps} jumps of the clock", deaths=0)
        return jumps

    def fail(self, first: int, *, error: int = errno.EIO, seconds: float | None = None) -> bool:
        """One synchronization, from the upload on, whose n-th input or output fails; whether there was one.

        With `KILL` in place of an error the process that is at it dies. With `seconds` so does everything that follows,
        for so long. What was lost goes into the tally.
        """
        assert self._failing is not None
        self._failing.arm(first, NEVER if seconds else first + 1, error=error)
        how = errno.errorcode.get(error, "killed")
        return self._failed(f"{first} ({how}{f', {seconds:g} s' if seconds else ''})", seconds)

    def fill(self, part: str, *, seconds: float) -> bool:
        """One synchronization during which there is no room for files with `part` in their path, for so long from when
        that is noticed; whether it was. What was lost goes into the tally.
        """
        assert self._failing is not None
        self._failing.fill(part)
        return self._failed(f"no room in {part!r}, {seconds:g} s", seconds)

    def _failed(self, what: str, seconds: float | None) -> bool:
        assert self._failing is not None
        turn, self._turn = self._turn, 1 - self._turn
        ledger_before = {row[0] for row in _ledger(self.server)}
        runs_before = len(self._runs())
        over = threading.Event()
        watcher = threading.Thread(target=self._mend_after, args=(seconds or PATIENCE, over))
        watcher.start()
        problem = None
        try:
            self._upload(self.rosters[turn])
            self._start(runs_before)
            until("the run ends", self._settled, seconds=PATIENCE)
        except AssertionError as found:
            problem = f"{str(found)[:600]}\n{self.server.tail()}"
        finally:
            over.set()
            watcher.join()
            self._failing.mend()
        if not self._failing.failed:
            return False
        what = f"{what}: {self._failing.said}"
        until("the server is well again", self.server.healthy, seconds=PATIENCE)
        self.tally.runs += 1
        self.tally.failures += 1
        if problem is not None:
            self.tally.lost.append(f"{what}: {problem}")
        final = until("the run ends", self._settled, seconds=PATIENCE)
        state, message = self.server.control("SELECT state, message FROM runs ORDER BY number DESC LIMIT 1")[0]
        stopped = problem is not None or (state, final["status"]) != ("done", "success")
        if stopped:
            if not message:
                self.tally.lost.append(f"{what}: it ended in {state}, {final['status']}, and does not say why")
            self.tally.stopped[f"{what}: {state}, {final['status']}: {message}"] += 1
            final = self._profile.sync(self.rosters[turn])
        deaths = None if seconds else 1
        self._judge(final, turn, ledger_before, what, runs=2 if stopped else 1, deaths=deaths)
        return True

    def _settled(self) -> dict[str, Any] | None:
        """The final status, or None while the run works or the server cannot say."""
        status = self._told("profileStatus", headers=PREFER)
        return None if status is None or status["status"] in BEGUN else status

    def _told(self, what: str, **options: Any) -> dict[str, Any] | None:
        """What the server says of the profile, or None when it cannot say it now."""
        self._revive()
        with suppress(httpx.TransportError):
            answer = self._profile.api("GET", f"{self._profile.path}/{what}", **options)
            if answer.status_code == 200:
                told: dict[str, Any] = answer.json()
                return told
        return None

    def _revive(self) -> None:
        """Start `serve` again when it was the one to die, as a machine's own supervisor does."""
        if self.server.process is not None and self.server.process.poll() is not None:
            self.server.start()

    def _mend_after(self, seconds: float, over: threading.Event) -> None:
        """Have nothing fail any more so long after the first failure."""
        assert self._failing is not None
        while not over.wait(0.01):
            if self._failing.failed:
                over.wait(seconds)
                self._failing.mend()
                return

    def _upload(self, files: Mapping[str, bytes]) -> None:
        """Send what the server does not take again, as clients do."""
        container = until("the upload URL", lambda: self._told("uploadUrl"))
        for name, content in files.items():

            def put(name: str = name, content: bytes = content) -> bool:
                self._revive()
                with suppress(httpx.TransportError):
                    answer = put_blob(self.server, container["value"], name, content)
                    assert answer.status_code in {201, 503}, answer.text
                    return answer.status_code == 201
                return False

            until(f"{name} is taken", put)

    def _runs(self) -> list[tuple[Any, ...]]:
        return self.server.control("SELECT id, number, state, rows_done, rows_total FROM runs ORDER BY number")

    def _start(self, before: int) -> None:
        """POST start until a run is there, whatever becomes of the answer."""
        deadline = time.monotonic() + PATIENCE
        while len(self._runs()) == before and time.monotonic() < deadline:
            try:
                self.server.http.post(
                    f"{self.server.base}/v1.0/education{self._profile.path}/start",
                    headers={"Authorization": f"Bearer {self._profile.api.token}"},
                )
            except (httpx.TransportError, RuntimeError):  # the server, or its client of before a restart, is gone
                time.sleep(0.1)

    def _kill(self, victim: str) -> None:
        """Kill what is there to be killed, and count it."""
        if victim in ("engine", "worker", "api"):
            until(f"there is an {victim}", lambda: self.server.those(victim), seconds=PATIENCE)
        self.tally.kills[victim] += 1
        self.tally.late += not self.server.control("SELECT 1 FROM runs WHERE ended IS NULL")
        if victim == ANOTHER:
            assert self._another is not None
            self._another.kill()
        elif victim == "everything":
            self.server.kill()
            self.server.start()
        elif victim == "serve alone":
            self.server.kill_top()
            self.server.start()
        else:
            for process in self.server.those(victim):
                process.kill()

    def _judge(
        self,
        final: Mapping[str, Any],
        turn: int,
        before: set[str],
        what: str,
        *,
        runs: int = 1,
        deaths: int | None,
    ) -> None:
        """What came out; each of `deaths`, where they can be counted, may have had one batch begun once more."""
        if final["status"] != "success":
            self.tally.lost.append(f"{what} ended in {final['status']}: {final['statusMessage']}")
        batches: dict[str, list[int]] = {}
        for run, batch, *_ in _ledger(self.server):
            if run not in before:
                batches.setdefault(run, []).append(batch)
        if any(sorted(found) != list(range(len(found))) for found in batches.values()):
            self.tally.lost.append(f"{what}: the ledger has a gap or a double")
        begun = _begun(self.server, set(batches))
        again = sum(begun.values()) - len(begun)
        self.tally.batches += sum(map(len, batches.values()))
        self.tally.again += again
        self.tally.most = max(self.tally.most, again)
        if set(begun) != {(run, batch) for run, found in batches.items() for batch in found}:
            self.tally.lost.append(f"{what}: other batches were begun than are in the ledger")
        if deaths is not None and again > deaths:
            self.tally.lost.append(f"{what}: {again} batches were begun once more, after {deaths} deaths or failures")
        if len(batches) > runs:
            self.tally.lost.append(f"{what}: {len(batches)} runs have written")
        *_, done, total = self._runs()[-1]
        if done != (total or 0):  # a run that found nothing to plan has no total
            self.tally.lost.append(f"{what}: {done} of {total} rows are accounted for")
        if contents(self.server) != self._calm[turn]:
            self.tally.lost.append(f"{what}: the directory is not what an undisturbed run leaves")


def armed_file(server: Server) -> Path:
    return server.data.parent / "fault-point"


@contextmanager
def burning(
    folder: Path,
    dice: random.Random,
    database: Mapping[str, object],
    *,
    size: Size = LARGE,
    fails: bool = False,
    workers: int | None = None,
    storage: Storage | None = None,
) -> Iterator[Fire]:
    """A server whose processes heed fault points, settled; with `fails` their input and output can be made to fail.

    On PostgreSQL, which is where several can be, there is one more worker, unless input and output are to fail or
    `workers` says otherwise.
    """
    folder.mkdir(parents=True, exist_ok=True)
    variable = fault_points.VARIABLE.removeprefix("SCHOOLSYNC_").lower()
    settings = {"batch_rows": size.batch_rows, variable: folder / "server" / "fault-point", **database}
    settings |= {} if storage is None else storage.settings
    with ExitStack() as stack:
        shim = None
        if fails:
            port = urlsplit(str(database.get("database_url", ""))).port
            ports = [one for one in (port, storage and storage.door.port) if one is not None]
            shim = stack.enter_context(failing(folder / "failing", folder / "server" / "data", ports))
        environment = {} if shim is None else shim.environment
        # Nothing is learned from waiting longer than an operator may set until the dead are missed.
        settings |= {"worker_silence": SHORTEST_SILENCE} if database else {}
        server = stack.enter_context(serving(folder / "server", settings=settings, environment=environment))
        another = Another(server, settings, environment) if database and (workers or 1 + (not fails)) > 1 else None
        if another is not None:
            stack.callback(another.end)
        fire = Fire(server, folder / "rosters", dice, size, failing=shim, another=another)
        fire.settle()
        yield fire


def _ledger(server: Server) -> list[tuple[Any, ...]]:
    return server.select(TENANT, "SELECT run, batch FROM batches ORDER BY position")


def _begun(server: Server, runs: set[str]) -> Counter[tuple[str, int]]:
    """How often each batch of these runs was begun."""
    trace = armed_file(server).with_name(f"{armed_file(server).name}.trace")
    said = (line.split() for line in trace.read_text("utf-8").splitlines()) if trace.exists() else ()
    return Counter((run, int(batch)) for _, run, batch in said if run in runs)


def _roster(folder: Path, size: Size, churn: float) -> dict[str, bytes]:
    sizes = {"people": size.people, "classes": size.classes, "enrollments": size.enrollments}
    rosters.write(folder, **sizes, seed=7, churn=churn)
    return {path.name: path.read_bytes() for path in folder.iterdir()}
