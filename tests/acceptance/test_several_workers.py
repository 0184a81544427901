"""An API and workers of their own over one PostgreSQL: the work is shared, and taken over from the dead."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from schoolsync.settings import Settings
from schoolsync.testing import rosters

from ..databases import Cluster, binaries
from ..disks import full, small
from .house import Profile, Server, Tenant, command, serving, until
from .own import own
from .test_being_killed import (
    TENANT,
    assert_arrives,
    check_ledger,
    contents,
    ledger,
    stands_still,
    wait_for_batches,
)

pytestmark = pytest.mark.xdist_group("workers")

# Twelve seconds of silence, ten more when a frozen worker holds a transaction, and a start on a machine that is busy.
TAKEN_OVER = 150.0
PROMISED = 30.0
"""Seconds within which another worker has the run of one that was killed, with the settings as they come."""
PEOPLE, CLASSES, ENROLLMENTS = 1500, 150, 7500


class Worker:
    """A `schoolsync worker` with its processes."""

    def __init__(self, data: Path, log: Path, environment: dict[str, str]) -> None:
        self.log = log
        with self.log.open("ab") as sink:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "schoolsync", "worker", "--data-dir", str(data), "--json"],
                stdout=sink,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment},
                start_new_session=True,
            )

    def family(self) -> list[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            top = psutil.Process(self.process.pid)
            return [top, *top.children(recursive=True)]
        return []

    def signal(self, number: int) -> None:
        """To all of its processes at once, as when a machine stops."""
        os.killpg(self.process.pid, number)

    def end(self) -> None:
        family = self.family()
        with suppress(ProcessLookupError):
            self.signal(signal.SIGCONT)
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            self.process.wait(5)
        psutil.wait_procs(family, timeout=10)


class Installation:
    """An API and any number of workers."""

    def __init__(self, folder: Path, url: str, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self.settings = {"database_url": url, "batch_rows": 250, "concurrent_small_runs": 0}
        self.workers: list[Worker] = []
        self.server: Server = stack.enter_context(serving(folder, settings=self.settings, options=["--no-worker"]))

    def worker(self) -> Worker:
        environment = {f"SCHOOLSYNC_{name.upper()}": str(value) for name, value in self.settings.items()}
        made = Worker(self._folder / "data", self._folder / f"worker{len(self.workers)}.log", environment)
        self._stack.callback(made.end)
        self.workers.append(made)
        return made


@pytest.fixture(scope="module")
def roster(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("roster")
    rosters.write(folder, people=PEOPLE, classes=CLASSES, enrollments=ENROLLMENTS, seed=7)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, roster: dict[str, bytes]) -> dict[str, Any]:
    """What the directory holds when nobody disturbs the run, in one process tree on SQLite."""
    with serving(tmp_path_factory.mktemp("undisturbed")) as server:
        assert Tenant(server, TENANT).profile().sync(roster)["status"] == "success"
        return contents(server)


@pytest.fixture
def installation(tmp_path: Path, postgresql: Cluster) -> Iterator[Installation]:
    with postgresql.database() as url, ExitStack() as stack:
        yield Installation(tmp_path, url, stack)


def two_workers(installation: Installation) -> list[Worker]:
    workers = [installation.worker(), installation.worker()]
    until("both workers are there", lambda: len(installation.server.control("SELECT id FROM workers")) == 2)
    return workers


def begin(installation: Installation, roster: dict[str, bytes]) -> tuple[Profile, Worker]:
    """A run in the middle of its batches, and the worker that has it; there is another one, idle."""
    workers = two_workers(installation)
    profile = Tenant(installation.server, TENANT).profile()
    profile.upload(roster)
    profile.start()
    ((name,),) = installation.server.control("SELECT worker FROM runs")
    pid = int(name.rsplit("-", 2)[1])
    (holder,) = [worker for worker in workers if pid in {process.pid for process in worker.family()}]
    return profile, holder


def holders(server: Server) -> set[str | None]:
    """Who has the run; None while nobody has."""
    return {row[0] for row in server.control("SELECT worker FROM runs")}


@pytest.mark.nightly("stopped")
@pytest.mark.parametrize("how", ["killed", "stopped", "ended"])
def test_a_survivor_takes_over(
    installation: Installation, roster: dict[str, bytes], undisturbed: dict[str, Any], how: str
) -> None:
    """A worker killed, frozen or ended in the middle of a run: another one finishes it, and no batch is there twice."""
    profile, first = begin(installation, roster)
    server = installation.server
    wait_for_batches(server, 3)
    (before,) = holders(server)
    if how == "killed":
        first.signal(signal.SIGKILL)
    elif how == "stopped":
        first.signal(signal.SIGSTOP)
    else:
        first.process.send_signal(signal.SIGTERM)
    assert profile.status()["status"] == "inProgress", "caught too late: the roster is too small for this machine"
    began = time.monotonic()
    until("another worker has it", lambda: holders(server) - {None, before}, seconds=TAKEN_OVER, pause=0.1)
    taken = time.monotonic() - began
    if how == "ended":
        assert taken < 10, "who leaves in good order is not waited for"
    if how == "killed":
        assert taken < PROMISED
    assert profile.wait()["status"] == "success"
    if how == "stopped":
        first.signal(signal.SIGCONT)
        until(
            "the frozen worker finds that it was given up",
            lambda: "was given up" in first.log.read_text("utf-8", "replace"),
            seconds=90,
        )
        until("its successor is there", lambda: len(server.control("SELECT id FROM workers")) == 2, seconds=90)
    check_ledger(server, runs=1)
    assert contents(server) == undisturbed


def test_a_worker_process_that_dies_is_followed_at_once(
    installation: Installation, roster: dict[str, bytes], undisturbed: dict[str, Any]
) -> None:
    """The command that started it starts another one, which need not wait until the dead one is missed."""
    installation.worker()
    server = installation.server
    profile = Tenant(server, TENANT).profile()
    profile.upload(roster)
    profile.start()
    wait_for_batches(server, 3)
    ((before,),) = server.control("SELECT worker FROM runs")
    os.kill(int(before.rsplit("-", 2)[1]), signal.SIGKILL)
    assert profile.status()["status"] == "inProgress", "caught too late: the roster is too small for this machine"
    began = time.monotonic()
    until("its successor has it", lambda: holders(server) - {None, before}, pause=0.05)
    assert time.monotonic() - began < Settings().worker_silence - 2
    assert profile.wait()["status"] == "success"
    check_ledger(server, runs=1)
    assert contents(server) == undisturbed


@pytest.mark.nightly
def test_a_cancel_reaches_a_run_whose_worker_is_frozen(
    installation: Installation, roster: dict[str, bytes], undisturbed: dict[str, Any]
) -> None:
    """Another worker ends the run; the frozen one wakes and writes nothing; the next sync completes what is there."""
    profile, first = begin(installation, roster)
    server, tenant = installation.server, profile.tenant
    wait_for_batches(server, 3)
    first.signal(signal.SIGSTOP)
    assert profile.status()["status"] == "inProgress", "caught too late: the roster is too small for this machine"
    operator, path = own(tenant, "operator", user=None), f"/profiles/{profile.id}/runs/1"
    operator("POST", f"{path}/cancel", {"why": "wrong file"}, expect=202)
    until("the run is cancelled", lambda: operator.get(path)["state"] == "cancelled", seconds=TAKEN_OVER, pause=0.1)
    written = ledger(server)
    assert profile.status()["status"] == "error"
    first.signal(signal.SIGCONT)
    until(
        "the frozen worker finds that it was given up",
        lambda: "was given up" in first.log.read_text("utf-8"),
        seconds=90,
    )
    assert ledger(server) == written
    assert operator.get(path)["state"] == "cancelled"
    assert profile.sync(roster)["status"] == "success"
    assert contents(server) == undisturbed


def test_a_database_that_is_cut_off_again_and_again_loses_nothing(
    installation: Installation, roster: dict[str, bytes], undisturbed: dict[str, Any]
) -> None:
    """Every session is ended, first inside a batch and then wherever it is: the run goes on and ends the same."""
    with holding_a_batch(installation.server):
        begin(installation, roster)
        in_a_batch(installation.server)
        written = len(ledger(installation.server))
        cut_off(installation.server)
    server = installation.server
    for _ in range(3):
        # On a busy machine all batches may be there before we look.
        until(
            "another batch, or all of them",
            lambda at=written: len(ledger(server)) > at or server.control("SELECT state FROM runs") == [("done",)],
        )
        written = len(ledger(server))
        until("sessions are there and are ended", lambda: cut_off(server))
    until("the run is done", lambda: server.control("SELECT state FROM runs") == [("done",)], seconds=120, pause=0.2)
    check_ledger(server, runs=1)
    assert contents(server) == undisturbed
    until("the API answers again", server.healthy)


@contextmanager
def holding_a_batch(server: Server) -> Iterator[None]:
    """The next batch that is written stops in the middle: what it writes is there, its entry in the ledger is not."""
    assert server.database_url is not None
    with psycopg.connect(server.database_url) as holder:
        holder.execute("LOCK TABLE batches IN SHARE MODE")
        with suppress(psycopg.OperationalError):  # we may be cut off as well
            yield
            holder.rollback()


def in_a_batch(server: Server) -> None:
    waits = "SELECT 1 FROM pg_locks WHERE relation = 'batches'::regclass AND NOT granted"
    until("a batch is being written", lambda: server.control(waits))


def cut_off(server: Server) -> list[tuple[Any, ...]]:
    """End every session."""
    return server.control(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL of a test's own, which may stop and start it."""
    programs = binaries()
    assert programs is not None
    made = Cluster.start(programs)
    made.keep()
    held = made.hold()
    assert held is not None
    yield made
    os.close(held)


@pytest.mark.nightly
def test_a_database_that_is_restarted_in_the_middle_of_a_batch_loses_nothing(
    tmp_path: Path, cluster: Cluster, roster: dict[str, bytes], undisturbed: dict[str, Any]
) -> None:
    """It is killed and started again, then ended and started again: the run goes on by itself and ends the same."""
    with cluster.database() as url, ExitStack() as stack:
        installation = Installation(tmp_path, url, stack)
        server = installation.server
        profile = None
        for mode in ("immediate", "fast"):
            with holding_a_batch(server):
                profile = profile or begin(installation, roster)[0]
                in_a_batch(server)
                written = len(ledger(server))
                cluster.halt(mode)
            until("the API says that it cannot serve", lambda: not server.healthy())
            answer = profile.api("GET", f"{profile.path}/profileStatus")
            assert answer.status_code == 503
            cluster.resume()
            assert len(ledger(server)) == written, "half a batch is none"
        assert profile is not None
        until("the API serves again", server.healthy)
        assert profile.wait()["status"] == "success"
        check_ledger(server, runs=1)
        assert contents(server) == undisturbed


@pytest.mark.nightly
def test_a_database_without_room_loses_nothing(
    tmp_path: Path, cluster: Cluster, roster: dict[str, bytes], undisturbed: dict[str, Any]
) -> None:
    """Its disk is full in the middle of a run; once there is room again, the run goes on."""
    place = cluster.folder / "small"
    place.mkdir()
    shutil.chown(place, cluster.data.owner(), cluster.data.group())
    with ExitStack() as stack:
        disk = stack.enter_context(small(place, megabytes=64))
        url = stack.enter_context(cluster.database())
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"CREATE TABLESPACE small LOCATION '{disk}'")  # type: ignore[call-overload]
            for kind in ("TABLE", "INDEX"):
                connection.execute(f"ALTER {kind} ALL IN TABLESPACE pg_default SET TABLESPACE small")  # type: ignore[call-overload]
        installation = Installation(tmp_path, url, stack)
        server = installation.server
        profile, _ = begin(installation, roster)
        wait_for_batches(server, 3)
        assert profile.status()["status"] == "inProgress", "caught too late: the roster is too small for this machine"
        with full(disk):
            written = until("nothing is written any more", lambda: stands_still(server))
        assert_arrives(profile)
        assert len(ledger(server)) > written
        assert contents(server) == undisturbed


def test_workers_share_the_runs(installation: Installation, roster: dict[str, bytes]) -> None:
    """Two workers work on runs of two tenants at once, and on no run both."""
    two_workers(installation)
    profiles = [Tenant(installation.server).profile() for _ in range(4)]
    for profile in profiles:
        profile.upload(roster)
    for profile in profiles:
        profile.start()
    assert [profile.wait()["status"] for profile in profiles] == ["success"] * 4
    had = installation.server.control("SELECT worker, count(*) FROM runs GROUP BY worker")
    assert len(had) == 2
    for worker in installation.workers:
        said = [line for line in worker.log.read_text("utf-8").splitlines() if '"said": ' in line]
        assert [json.loads(line)["said"] for line in said] == ["works"]


def test_a_worker_needs_a_server(tmp_path: Path) -> None:
    """Without PostgreSQL there is nothing to share: the command says what to do."""
    said = command("worker", "--data-dir", tmp_path / "data")
    assert said.returncode == 2
    assert "database_url" in said.stderr


def test_an_empty_database_is_not_served(tmp_path: Path, postgresql: Cluster) -> None:
    """Serve and worker say what to type; typed, they work; typed twice, nothing happens."""
    with postgresql.database(template="template0") as url:
        environment = {**os.environ, "SCHOOLSYNC_DATABASE_URL": url}
        for words in (["serve", "--port", "0"], ["worker"]):
            said = command(*words, "--data-dir", tmp_path / "data", env=environment)
            assert said.returncode == 1
            assert "schoolsync db upgrade" in said.stderr
            assert "Traceback" not in said.stderr
        for _ in range(2):
            said = command("db", "upgrade", "--data-dir", tmp_path / "data", env=environment)
            assert said.returncode == 0, said.stderr
        with serving(tmp_path, settings={"database_url": url}) as server:
            assert server.healthy()
