"""Machines that share a PostgreSQL and an object storage, and no disk."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import pytest

from schoolsync import fault_points
from schoolsync.testing import rosters

from ..databases import Cluster
from ..storages import Storage, s3
from .house import Server, Tenant, serving, until
from .own import Json, Own, own
from .test_being_killed import TENANT, check_ledger, contents, ledger
from .test_several_workers import Worker

pytestmark = pytest.mark.xdist_group("workers")

PEOPLE, CLASSES, ENROLLMENTS = 300, 30, 1500


class Machines:
    """As many machines as wanted, each with an empty disk of its own."""

    def __init__(self, folder: Path, url: str, storage: Storage, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self._count = 0
        self.storage = storage
        self.settings = {"database_url": url, "batch_rows": 250, **storage.settings}

    def serve(self, *options: str) -> Server:
        return self._stack.enter_context(serving(self._disk(), settings=self.settings, options=options))

    def worker(self, **more: object) -> Worker:
        disk = self._disk()
        environment = {f"SCHOOLSYNC_{name.upper()}": str(value) for name, value in (self.settings | more).items()}
        made = Worker(disk / "data", disk / "worker.log", environment)
        self._stack.callback(made.end)
        return made

    def _disk(self) -> Path:
        self._count += 1
        disk = self._folder / f"machine{self._count}"
        disk.mkdir()
        return disk


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storage]:
    with s3(tmp_path_factory.mktemp("storage")) as running:
        yield running


@pytest.fixture
def machines(tmp_path_factory: pytest.TempPathFactory, postgresql: Cluster, storage: Storage) -> Iterator[Machines]:
    folder = tmp_path_factory.mktemp("machines")
    with postgresql.database() as url, ExitStack() as stack:
        yield Machines(folder, url, storage.elsewhere(), stack)


def roster(folder: Path, **changes: float) -> dict[str, bytes]:
    folder.mkdir()
    rosters.write(folder, people=PEOPLE, classes=CLASSES, enrollments=ENROLLMENTS, seed=7, **changes)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def changes(run: Json) -> int:
    return sum(count for ops in run["steps"].values() for count in ops.values())


def test_machines_share_no_disk(machines: Machines, tmp_path: Path) -> None:
    """Uploaded here, synchronized there, read here; another worker compares with what the first one kept.

    Tokens of one machine are good on the others. The storage is away while the second run begins: it waits for it. A
    prefix of it is watched.
    """
    here = machines.serve("--no-worker")
    there = machines.serve()
    tenant = Tenant(here)
    profile = tenant.profile()
    files = roster(tmp_path / "first")
    assert profile.sync(files)["status"] == "success", there.tail()
    token = here.token(tenant.id, scope="schoolsync.access", roles=("schoolsync.viewer",), user="ada@skole.example")

    def newest(server: Server = here) -> Json:
        run: Json = Own(server, token).get(f"/profiles/{profile.id}/runs")["value"][0]
        return run

    assert newest(there) == newest()
    run = f"/profiles/{profile.id}/runs/{newest()['id']}"
    assert Own(here, token).get(f"{run}/report")["statistics"]["total"]["students"] > 0
    assert len(Own(here, token).get(f"{run}/plan/steps?limit=5")["value"]) == 5
    first = changes(newest())
    there.stop()

    exports = machines.storage.elsewhere()
    worker = machines.worker(watch_url=exports.url, watch_seconds=1)
    until("the worker is there", lambda: here.control("SELECT id FROM workers"))
    profile.upload(roster(tmp_path / "later", churn=0.05))
    machines.storage.door.shut()
    with ThreadPoolExecutor() as threads:
        begun = threads.submit(profile.start)  # waits for the verification
        until("the storage is missed", lambda: "object storage cannot be used" in worker.log.read_text(), seconds=60)
        machines.storage.door.open()
        begun.result()
    assert profile.wait()["status"] == "success", worker.log.read_text()
    assert 0 < changes(newest()) < first / 2, "it was compared with the snapshot of another machine"
    profile.upload(roster(tmp_path / "again", churn=0.05))
    profile.start()
    assert profile.wait()["status"] == "success"
    assert newest()["unchanged"]

    # Exports that are put into a bucket are enough, too, once all of them are there and quiet.
    own(tenant, "admin")("PATCH", f"/profiles/{profile.id}/settings", {"schedule": {"quietSeconds": 1}}, expect=200)
    later = roster(tmp_path / "exports", churn=0.06)
    exports.put({f"{tenant.id}/{profile.id}/{name}": content for name, content in later.items()})
    until("a run begins by itself and is done", lambda: (newest()["cause"], newest()["state"]) == ("watch", "done"))
    assert changes(newest()) > 0
    assert set(exports.names()) == {f"{tenant.id}/{profile.id}/{name}" for name in later}, "nothing is changed there"


AWAY = "object storage cannot be used"
POINTS = fault_points.VARIABLE.removeprefix("SCHOOLSYNC_").lower()


class Frozen:
    """A worker that stops before each stage that is named, and has the storage be away while it goes on."""

    def __init__(self, machines: Machines, folder: Path, *points: str) -> None:
        file = folder / "points"
        file.write_text("\n".join(f"{point} freeze" for point in points))
        self._door = machines.storage.door
        self._worker = machines.worker(**{POINTS: file})

    def go_on_without_storage(self) -> None:
        process = self._stopped()
        self._door.shut()
        process.resume()

    def missed(self) -> int:
        """How often the storage was missed."""
        return self._worker.log.read_text("utf-8").count(AWAY)

    def until_stopped(self) -> None:
        self._stopped()

    def _stopped(self) -> psutil.Process:
        def look() -> psutil.Process | None:
            for process in self._worker.family():
                with suppress(psutil.NoSuchProcess):
                    if process.status() == psutil.STATUS_STOPPED:
                        return process
            return None

        return until("it stops at a point", look)


@pytest.mark.nightly
def test_a_storage_that_is_away_in_every_stage_loses_nothing(machines: Machines, tmp_path: Path) -> None:
    """It is gone when each stage begins and comes back when it was missed; applying the batches does not miss it."""
    files = roster(tmp_path / "roster")
    with serving(tmp_path / "undisturbed", settings={"batch_rows": machines.settings["batch_rows"]}) as calm:
        assert Tenant(calm, TENANT).profile().sync(files)["status"] == "success"
        expected, last = contents(calm), f"worker-applied {len(ledger(calm))}"
    here, door = machines.serve("--no-worker"), machines.storage.door
    stages = ("worker-taken", "engine-extract", "worker-verified", "worker-planned", last)
    worker = Frozen(machines, tmp_path, *stages)
    profile = Tenant(here, TENANT).profile()
    profile.upload(files)
    with ThreadPoolExecutor(1) as threads:
        begun = threads.submit(profile.start)
        for before in stages:
            missed = worker.missed()
            worker.go_on_without_storage()
            if before == "worker-planned":
                worker.until_stopped()
                assert worker.missed() == missed
                assert ledger(here)
            else:
                until(f"the storage is missed behind {before}", lambda at=missed: worker.missed() > at)
            door.open()
        begun.result()
    assert profile.wait()["status"] == "success"
    check_ledger(here, runs=1)
    assert contents(here) == expected


@pytest.mark.nightly
def test_a_storage_that_stays_away_stops_a_run_that_says_so(machines: Machines, tmp_path: Path) -> None:
    """The run fails with a sentence about the storage; when it is back the profile goes on where it is told to."""
    here, door = machines.serve("--no-worker"), machines.storage.door
    worker = Frozen(machines, tmp_path, "worker-verified")
    tenant = Tenant(here)
    profile = tenant.profile()
    profile.upload(roster(tmp_path / "roster"))
    profile.start()
    worker.go_on_without_storage()
    status = profile.wait()
    door.open()
    assert status["status"] == "error"
    assert AWAY in status["statusMessage"]
    assert here.select(tenant.id, "SELECT count(*) FROM people") == [(0,)]
    own(tenant, "operator")("POST", f"/profiles/{profile.id}/restart", {"scope": "failedItems"}, expect=202)
    status = until("it is synchronized", lambda: (s := profile.wait())["status"] == "success" and s)
    assert here.select(tenant.id, "SELECT count(*) FROM people") == [(PEOPLE,)]
