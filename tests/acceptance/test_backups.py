"""An installation is backed up while it works and put back elsewhere; SQLite files move into a PostgreSQL."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from schoolsync.testing import rosters

from ..chaos.failing import NEVER, failing, needed
from ..databases import Cluster
from .house import Profile, Server, Tenant, command, serving
from .test_being_killed import TENANT, begin, caught, check_ledger, contents, ledger, wait_for_batches

pytestmark = pytest.mark.xdist_group("backups")

SMALL = {"batch_rows": 250}


@pytest.fixture(scope="module")
def roster(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("roster")
    rosters.write(folder, people=1500, classes=150, enrollments=7500, seed=7)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def run(settings: Mapping[str, object], data: Path, *words: str | Path, status: int = 0) -> str:
    """What a command says that must end with `status`."""
    environment = {**os.environ, **{f"SCHOOLSYNC_{name.upper()}": str(value) for name, value in settings.items()}}
    done = command(*words, "--data-dir", data, env=environment)
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout if status == 0 else done.stderr


def the_profile(server: Server) -> Profile:
    """The one profile of a server that somebody else has made."""
    ((name,),) = server.control("SELECT id FROM profiles")
    return Profile(Tenant(server, TENANT), name)


def audit_is_whole(settings: Mapping[str, object], data: Path) -> None:
    assert "whole" in run(settings, data, "audit", "verify")


@pytest.mark.nightly("sqlite")
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_backup_made_in_the_middle_of_a_run(
    tmp_path: Path, request: pytest.FixtureRequest, roster: dict[str, bytes], kind: str
) -> None:
    """Backed up while batches are written, put back elsewhere: the run ends there by itself, with the same result."""
    folder, there = tmp_path / "backup", tmp_path / "restored"
    if kind == "sqlite":
        drill(tmp_path, folder, there, roster, {}, {})
        return
    cluster: Cluster = request.getfixturevalue("postgresql")
    with cluster.database() as here, cluster.database() as other:
        drill(tmp_path, folder, there, roster, {"database_url": here}, {"database_url": other})


def drill(
    tmp_path: Path,
    folder: Path,
    there: Path,
    roster: dict[str, bytes],
    source: dict[str, object],
    target: dict[str, object],
) -> None:
    with serving(tmp_path, settings=SMALL | source) as server:
        profile = begin(server, roster)
        wait_for_batches(server, 3)
        caught(profile)
        assert str(folder) in run(source, server.data, "backup", folder)
        assert profile.wait()["status"] == "success", "a backup does not disturb the run"
        whole = contents(server)
        assert "there already" in run(source, server.data, "backup", folder, status=2)
        ids = {person["id"] for person in profile.tenant.reader.all("/users?$select=id")}
    assert json.loads((folder / "backup.json").read_text())["schoolsync"]
    assert (folder / "control.db").stat().st_mode & 0o077 == 0

    assert str(folder) in run(target, there / "data", "restore", folder)
    assert "not empty" in run(target, there / "data", "restore", folder, status=2)
    with serving(there, settings=SMALL | target) as restored:
        profile = the_profile(restored)
        assert profile.wait()["status"] == "success"
        assert contents(restored) == whole
        check_ledger(restored, runs=1)
        assert {person["id"] for person in profile.tenant.reader.all("/users?$select=id")} == ids
        before = ledger(restored)
        assert profile.sync(roster)["status"] == "success"
        assert ledger(restored) == before, "the same files change nothing"
    audit_is_whole(target, there / "data")


def test_what_is_no_backup_is_not_put_back(tmp_path: Path) -> None:
    """A folder without its note, or of another schema, is refused and nothing is made."""
    (tmp_path / "backup").mkdir()
    assert "not a backup" in run({}, tmp_path / "data", "restore", tmp_path / "backup", status=2)
    (tmp_path / "backup" / "backup.json").write_text('{"schema": 0, "schoolsync": "0.0"}')
    assert "that release" in run({}, tmp_path / "data", "restore", tmp_path / "backup", status=2)
    (tmp_path / "backup" / "backup.json").write_text("[]")
    assert "not a backup" in run({}, tmp_path / "data", "restore", tmp_path / "backup", status=2)
    assert not (tmp_path / "data").exists()
    assert "no installation" in run({}, tmp_path / "data", "backup", tmp_path / "new", status=2)
    assert not (tmp_path / "new").exists()


def test_a_sqlite_installation_moves_to_postgresql(
    tmp_path: Path, postgresql: Cluster, roster: dict[str, bytes]
) -> None:
    """Copied, it goes on there: the same ids, tokens and audit log, and the same files change nothing."""
    with postgresql.database(template="template0") as url:
        target: dict[str, Any] = {"database_url": url}
        with serving(tmp_path, settings=SMALL) as server:
            profile = begin(server, roster)
            assert profile.wait()["status"] == "success"
            whole = contents(server)
            assert "stop that first" in run(target, server.data, "db", "copy", status=2)
        assert "database_url" in run({}, server.data, "db", "copy", status=2)
        assert "people" in run(target, server.data, "db", "copy")
        assert "already" in run(target, server.data, "db", "copy", status=2)
        shutil.rmtree(server.data / "directory")
        (server.data / "control.db").unlink()
        with serving(tmp_path, settings=SMALL | target) as moved:
            assert contents(moved) == whole
            before = ledger(moved)
            profile = the_profile(moved)
            assert profile.sync(roster)["status"] == "success"
            assert ledger(moved) == before, "the same files change nothing"
            assert Tenant(moved).profile().sync(roster)["status"] == "success", (
                "another tenant gets a number of its own"
            )
        audit_is_whole(target, moved.data)


@pytest.mark.nightly
def test_a_backup_is_whole_or_none_whatever_fails(tmp_path: Path, roster: dict[str, bytes]) -> None:
    """A read or write fails, or a folder cannot be looked into: one sentence and no backup, or all of it."""
    needed()
    with serving(tmp_path / "server") as server:
        assert Tenant(server, TENANT).profile().sync(roster)["status"] == "success"
    chosen = random.Random(5)
    with failing(tmp_path / "failing", tmp_path) as shim:
        environment = {**os.environ, **shim.environment}

        def backed_up(name: str) -> tuple[int, set[Path]]:
            folder = tmp_path / name
            done = command("backup", folder, "--data-dir", server.data, env=environment)
            shim.mend()
            assert "Traceback" not in done.stderr, shim.said
            assert folder.exists() == (done.returncode == 0), shim.said
            return done.returncode, {path.relative_to(folder) for path in folder.rglob("*")}

        shim.arm(NEVER)
        status, whole = backed_up("whole")
        assert status == 0
        for number in chosen.sample(range(1, shim.count), 15):
            shim.arm(number, number + 1)
            status, there = backed_up(f"backup{number}")
            assert there == (whole if status == 0 else set()), f"{number}: {shim.said}"
