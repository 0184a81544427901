"""With `encrypt_files` nothing of a roster lies readable in a data directory, whatever happens to the server."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from schoolsync.access import vault
from schoolsync.store import sealing
from schoolsync.testing import rosters

from .house import Profile, Server, Tenant, command, serving, until
from .own import EVERY_ROLE, own
from .test_being_killed import TENANT, UNGUARDED, ledger

pytestmark = pytest.mark.xdist_group("backups")

PEOPLE = 1500
DATABASES = (".db", ".db-wal", ".db-shm")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """A district and what became of it."""
    made = []
    for name, churn in (("first", 0.0), ("later", 0.2)):
        folder = tmp_path_factory.mktemp(name)
        rosters.write(folder, people=PEOPLE, classes=150, enrollments=7500, seed=7, churn=churn)
        made.append({path.name: path.read_bytes() for path in folder.iterdir()})
    return made[0], made[1]


def words(files: dict[str, bytes]) -> list[bytes]:
    """Ids and names of people as they stand in a roster, and in no file of ours by chance."""
    lines = files["Student.csv"].decode("utf-8-sig").splitlines()
    names = lines[0].split(",")
    wanted = [names.index(name) for name in ("SIS ID", "Username")]
    found = {line.split(",")[at].encode() for line in lines[1::50] for at in wanted}
    assert len(found) > 30
    return sorted(word for word in found if len(word) > 5)


def readable(folder: Path, wanted: list[bytes]) -> list[Path]:
    """Files in which one of the words stands. The databases are beside the point: the directory is in them."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file() and not path.name.endswith(DATABASES):
            content = path.read_bytes()
            assert not content.startswith(b"PAR1"), path
            if any(word in content for word in wanted):
                found.append(path)
    return found


def copies(clear: Path) -> Iterator[Path]:
    return (path for path in clear.rglob("*") if path.is_file() and path.suffix != ".lock")


def test_a_data_directory_tells_nothing(tmp_path: Path, files: tuple[dict[str, bytes], dict[str, bytes]]) -> None:
    """Not while runs work, not after kill -9, not in a backup; decrypted copies are gone when the server is, also when
    it was killed. Keys change beside it, one person is erased, and a restored installation goes on."""
    first, later = files
    wanted = words(first)
    clear = tmp_path / "clear"
    key = tmp_path / "own.key"
    key.write_bytes(vault.fresh_key())
    settings = {"encrypt_files": "true", "secrets_key_file": key, "clear_folder": clear, "batch_rows": 100}
    environment = {**os.environ, **{f"SCHOOLSYNC_{name.upper()}": str(value) for name, value in settings.items()}}
    with serving(tmp_path, settings=settings) as server:
        assert (server.data / "objects" / "files.keys").exists()
        profile = Tenant(server, TENANT).profile()
        own(profile.tenant, "admin")("PATCH", f"/profiles/{profile.id}/settings", UNGUARDED, expect=200)
        assert profile.sync(first)["status"] == "success"
        assert readable(server.data, wanted) == []
        before = len(ledger(server))
        profile.upload(later)
        profile.start()
        until("batches are being applied", lambda: len(ledger(server)) > before, pause=0.005)
        server.kill()
        assert readable(server.data, wanted) == []
        left = [path for path in copies(clear) if path.read_bytes()[:4] == b"PAR1"]
        assert left, "it was killed while it worked with decrypted copies"
        left[0].with_name("left.by.the.dead").write_text("x")
        server.start()
        assert not left[0].with_name("left.by.the.dead").exists()
        assert profile.wait()["status"] == "success"
        assert readable(server.data, wanted) == []

        rotated = command("keys", "rotate", "secrets", "--data-dir", server.data, env=environment)
        assert "the keys of files" in rotated.stdout, rotated.stderr
        examined = command("doctor", "--data-dir", server.data, env=environment)
        assert "files are encrypted" in examined.stdout, examined.stdout + examined.stderr
        person = first["Student.csv"].decode("utf-8-sig").splitlines()[3].split(",")[0]
        erased = command("erase", person, "--data-dir", server.data, "--tenant", TENANT, env=environment)
        assert erased.returncode == 0, erased.stderr
        looked(server, profile)
        backup = tmp_path / "backup"
        made = command("backup", backup, "--data-dir", server.data, env=environment)
        assert made.returncode == 0, made.stderr
        assert readable(backup, wanted) == []
    assert list(copies(clear)) == []
    plain = {**environment, "SCHOOLSYNC_ENCRYPT_FILES": "false"}
    refused = command("serve", "--port", "0", "--data-dir", server.data, env=plain)
    assert refused.returncode == 2
    assert "encrypt_files" in refused.stderr

    there = tmp_path / "there"
    lost = {**environment, "SCHOOLSYNC_SECRETS_KEY": base64.b64encode(b"k" * 32).decode()}
    assert "key" in command("restore", backup, "--data-dir", there / "data", env=lost).stderr
    restored = command("restore", backup, "--data-dir", there / "data", env=environment)
    assert restored.returncode == 0, restored.stderr
    with serving(there, settings=settings) as server:
        profile = Profile(Tenant(server, TENANT), profile.id)
        done = len(ledger(server))
        looked(server, profile)
        assert profile.sync(later)["status"] == "success"
        assert len(ledger(server)) < done + 6, "it is compared with the snapshot that was restored"
        assert readable(server.data, wanted) == []


def looked(server: Server, profile: Profile) -> None:
    """A person reads the newest plan."""
    api = own(profile.tenant, *EVERY_ROLE)
    (run, *_) = api.get(f"/profiles/{profile.id}/runs")["value"]
    assert api.get(f"/profiles/{profile.id}/runs/{run['id']}/plan/steps?limit=5")["value"]
    assert api.get(f"/profiles/{profile.id}/runs/{run['id']}/report")["statistics"]["total"]["students"] > 0


@pytest.mark.nightly  # by day: tests/store/test_sealing.py
def test_files_from_before_encryption(tmp_path: Path, files: tuple[dict[str, bytes], dict[str, bytes]]) -> None:
    """Switched on over a roster that lies readable: doctor says so, one command encrypts it beside the server, and the
    next run is compared with what was there."""
    first, _ = files
    wanted = words(first)
    key = tmp_path / "own.key"
    key.write_bytes(vault.fresh_key())
    settings = {"encrypt_files": "true", "secrets_key_file": key, "clear_folder": tmp_path / "clear"}
    environment = {**os.environ, **{f"SCHOOLSYNC_{name.upper()}": str(value) for name, value in settings.items()}}
    with serving(tmp_path) as server:
        profile = Tenant(server, TENANT).profile()
        assert profile.sync(first)["status"] == "success"
    with serving(tmp_path, settings=settings) as server:
        left = server.data / "objects" / "tenants" / TENANT / "profiles" / "b" / "runs" / "c" / "cut.off.part"
        left.parent.mkdir(parents=True)
        left.write_bytes(wanted[0])
        os.utime(left, (1, 1))
        examined = command("doctor", "--data-dir", server.data, env=environment)
        assert "schoolsync keys encrypt" in examined.stdout
        done = command("keys", "encrypt", "--data-dir", server.data, "--json", env=environment)
        assert json.loads(done.stdout)["files"] > 10, done.stderr
        for path in (server.data / "objects").rglob("*"):
            if path.is_file() and path.name != "files.keys":
                assert path.read_bytes().startswith(sealing.MARK), path
        assert not left.exists()
        assert readable(server.data, wanted) == []
        again = command("keys", "encrypt", "--data-dir", server.data, "--json", env=environment)
        assert json.loads(again.stdout)["files"] == 0
        assert "keys encrypt" not in command("doctor", "--data-dir", server.data, env=environment).stdout
        profile = Profile(Tenant(server, TENANT), profile.id)
        looked(server, profile)
        before = len(ledger(server))
        assert profile.sync(first)["status"] == "success"
        assert len(ledger(server)) == before, "nothing has changed"
    refused = command("keys", "encrypt", "--data-dir", tmp_path / "other")
    assert refused.returncode == 2
    assert "encrypt_files" in refused.stderr
