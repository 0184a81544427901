"""Machines that share a PostgreSQL and an object storage, and no disk."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from schoolsync.testing import rosters

from ..databases import Cluster
from ..storages import Storage, s3
from .house import Server, Tenant, serving, until
from .own import Json, Own
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

    def worker(self) -> Worker:
        disk = self._disk()
        environment = {f"SCHOOLSYNC_{name.upper()}": str(value) for name, value in self.settings.items()}
        made = Worker(disk / "data", disk / "worker.log", environment)
        self._stack.callback(made.end)
        return made

    def _disk(self) -> Path:
        self._count += 1
        disk = self._folder / f"machine{self._count}"
        disk.mkdir()
        return disk


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory, postgresql: Cluster) -> Iterator[Machines]:
    folder = tmp_path_factory.mktemp("machines")
    with postgresql.database() as url, s3(folder) as storage, ExitStack() as stack:
        yield Machines(folder, url, storage, stack)


def roster(folder: Path, **changes: float) -> dict[str, bytes]:
    folder.mkdir()
    rosters.write(folder, people=PEOPLE, classes=CLASSES, enrollments=ENROLLMENTS, seed=7, **changes)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def changes(run: Json) -> int:
    return sum(count for ops in run["steps"].values() for count in ops.values())


def test_machines_share_no_disk(machines: Machines, tmp_path: Path) -> None:
    """Uploaded here, synchronized there, read here; another worker compares with what the first one kept.

    Tokens of one machine are good on the others. The storage is away while the second run begins: it waits for it.
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

    worker = machines.worker()
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
