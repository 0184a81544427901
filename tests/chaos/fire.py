"""A server that synchronizes two rosters in turns while its processes are killed, and the judge of what comes out.

After every run: it ended by itself with success, the directory is what it is when nobody disturbs it, and the ledger of
applied batches has no gap and no double.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from schoolsync import fault_points
from schoolsync.testing import rosters

from ..acceptance.house import Profile, Server, Tenant, serving, until
from ..acceptance.own import own
from ..acceptance.test_being_killed import TENANT, contents, settled

PEOPLE, CLASSES, ENROLLMENTS = 400, 40, 1600
BATCH_ROWS = 80
VICTIMS = ("engine", "worker", "api", "everything", "serve alone")
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
    lost: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        by = ", ".join(f"{name} {count}" for name, count in sorted(self.kills.items()))
        return f"{self.runs} runs, {sum(self.kills.values())} kills ({by}), lost {len(self.lost)}"


class Fire:
    """One server, one profile, two rosters in turns."""

    def __init__(self, server: Server, folder: Path, dice: random.Random, *, people: int = PEOPLE) -> None:
        self.server = server
        self.dice = dice
        self.tally = Tally()
        self.rosters = [_roster(folder / str(turn), people, churn) for turn, churn in enumerate((0.0, 0.2))]
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
            self._kill(self.dice.choice(VICTIMS))
        caller.join(PATIENCE)
        final = until("the run ends", lambda: settled(self._profile), seconds=PATIENCE, pause=0.1)
        assert not armed.exists(), f"not reached: {armed.read_text()}"
        self.tally.kills.update(points)
        until("the server is well again", self.server.healthy, seconds=PATIENCE)
        self.tally.runs += 1
        self._judge(final, turn, ledger_before, f"run {self.tally.runs} {', '.join(points)}")

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
        self.tally.kills[victim] += 1
        if victim == "everything":
            self.server.kill()
            self.server.start()
        elif victim == "serve alone":
            self.server.kill_top()
            self.server.start()
        else:
            for process in self.server.those(victim):
                process.kill()

    def _judge(self, final: Mapping[str, Any], turn: int, before: set[str], what: str) -> None:
        if final["status"] != "success":
            self.tally.lost.append(f"{what} ended in {final['status']}: {final['statusMessage']}")
        batches: dict[str, list[int]] = {}
        for run, batch, *_ in _ledger(self.server):
            if run not in before:
                batches.setdefault(run, []).append(batch)
        if any(sorted(found) != list(range(len(found))) for found in batches.values()):
            self.tally.lost.append(f"{what}: the ledger has a gap or a double")
        if len(batches) > 1:
            self.tally.lost.append(f"{what}: {len(batches)} runs have written")
        *_, done, total = self._runs()[-1]
        if done != total:
            self.tally.lost.append(f"{what}: {done} of {total} rows are accounted for")
        if contents(self.server) != self._calm[turn]:
            self.tally.lost.append(f"{what}: the directory is not what an undisturbed run leaves")


def armed_file(server: Server) -> Path:
    return server.data.parent / "fault-point"


@contextmanager
def burning(folder: Path, dice: random.Random, database: Mapping[str, object], **options: Any) -> Iterator[Fire]:
    """A server whose processes heed fault points, settled."""
    folder.mkdir(parents=True, exist_ok=True)
    variable = fault_points.VARIABLE.removeprefix("SCHOOLSYNC_").lower()
    settings = {"batch_rows": BATCH_ROWS, variable: folder / "server" / "fault-point", **database}
    with serving(folder / "server", settings=settings) as server:
        fire = Fire(server, folder / "rosters", dice, **options)
        fire.settle()
        yield fire


def _ledger(server: Server) -> list[tuple[Any, ...]]:
    return server.select(TENANT, "SELECT run, batch FROM batches ORDER BY position")


def _roster(folder: Path, people: int, churn: float) -> dict[str, bytes]:
    share = people / PEOPLE
    sizes = {"people": people, "classes": int(CLASSES * share), "enrollments": int(ENROLLMENTS * share)}
    rosters.write(folder, **sizes, seed=7, churn=churn)
    return {path.name: path.read_bytes() for path in folder.iterdir()}
