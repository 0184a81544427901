"""From one release to the next: both are at work between the two halves of an upgrade, and neither works elsewhere."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

import schoolsync
from schoolsync import fault_points
from schoolsync.errors import Refusal
from schoolsync.settings import Settings
from schoolsync.store import installation, release
from schoolsync.store.control import open_control
from schoolsync.testing import rosters

from ..databases import Cluster
from .house import Profile, Server, Tenant, command, serving, until

pytestmark = pytest.mark.xdist_group("upgrading")

VERSION = release.SCHEMA_VERSION
STEP = f"""

from schoolsync.store import directory_tables

STEPS += (
    Step(
        {VERSION + 1},
        before={{
            Family.CONTROL: lambda c: add_column(c, control_tables.profiles, control_tables.profiles.c.colour),
            Family.DIRECTORY: lambda c: add_column(c, directory_tables.schools, directory_tables.schools.c.motto),
        }},
        after={{Family.CONTROL: lambda c: c.exec_driver_sql("UPDATE profiles SET colour = 'red'")}},
    ),
)
"""
"""A release that does not exist: it paints profiles, and schools have a motto."""


@pytest.fixture(scope="module")
def next_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a copy of this release that knows one schema more."""
    folder = tmp_path_factory.mktemp("next")
    package = folder / "schoolsync"
    shutil.copytree(Path(schoolsync.__file__).parent, package)
    for name, old, new in (
        ("release", f"SCHEMA_VERSION = {VERSION}", f"SCHEMA_VERSION = {VERSION + 1}"),
        (
            "control_tables",
            'profiles = table(\n    control,\n    "profiles",',
            '\n    Column("colour", Text, nullable=False, server_default="none"),',
        ),
        ("directory_tables", 'schools = _object(\n    "schools",', '\n    *_texts("motto"),'),
    ):
        path = package / "store" / f"{name}.py"
        text = path.read_text("utf-8")
        assert text.count(old) == 1
        path.write_text(text.replace(old, new if name == "release" else old + new), "utf-8")
    with (package / "store" / "migrations.py").open("a", encoding="utf-8") as migrations:
        migrations.write(STEP)
    return folder


class Release:
    """Commands and servers of one release over the same data."""

    def __init__(self, folder: Path, data: Path, url: str | None) -> None:
        self._python = {"PYTHONPATH": str(folder)}
        self._data = data
        self.settings = {} if url is None else {"database_url": url}

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | self._python | {f"SCHOOLSYNC_{name.upper()}": str(v) for name, v in self.settings.items()}

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return command(*words, "--data-dir", self._data, env=self.environment)

    def refused(self, *words: str) -> str:
        """The one sentence that a command is refused with."""
        done = self.run(*words)
        assert done.returncode == 1, (done.stdout, done.stderr)
        (said,) = [line for line in done.stderr.splitlines() if "schema" in line]
        assert "Traceback" not in done.stderr
        return said

    @contextmanager
    def serve(self, **settings: object) -> Iterator[Server]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONPATH", self._python["PYTHONPATH"])
            server = Server(self._data.parent, settings=self.settings | settings).start()
        try:
            yield server
        finally:
            server.end()


@pytest.mark.nightly("sqlite")
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_two_releases_over_one_database(
    tmp_path: Path, request: pytest.FixtureRequest, next_release: Path, kind: str
) -> None:
    """The newer one waits for `db upgrade`; after it both work; after `--finish` the older one is refused. A run in the
    middle of its batches stays there, and goes on in the newer one."""
    if kind == "sqlite":
        upgraded(tmp_path, next_release, None)
        with contextlib.closing(sqlite3.connect(tmp_path / "data" / "control.db")) as connection:
            connection.execute("ALTER TABLE profiles DROP COLUMN key_space")
        newer = Release(next_release, tmp_path / "data", None)
        assert newer.run("doctor").stdout.count("lacks profiles.key_space") == 1
        done = newer.run("serve", "--port", "0")
        assert done.returncode == 1
        assert done.stderr.count("lacks profiles.key_space") == 1
        return
    cluster: Cluster = request.getfixturevalue("postgresql")
    with cluster.database() as url:
        upgraded(tmp_path, next_release, url)


def upgraded(folder: Path, next_release: Path, url: str | None) -> None:
    data = folder / "data"
    older = Release(Path(schoolsync.__file__).parent.parent, data, url)
    newer = Release(next_release, data, url)
    rosters.write(folder / "roster", people=100, classes=10, enrollments=300, seed=7)
    files = {path.name: path.read_bytes() for path in (folder / "roster").iterdir()}
    with ExitStack() as stack:
        # A PostgreSQL is shared by both while they are at work; a folder of files has one server at a time.
        alone = stack.enter_context(ExitStack())
        armed = {fault_points.VARIABLE.removeprefix("SCHOOLSYNC_").lower(): folder / "point", "batch_rows": 40}
        server = alone.enter_context(older.serve(**armed))
        profile = Tenant(server).profile()
        engine = stopped_behind_its_second_batch(server, profile, files, folder / "point")
        if url is None:
            paused(profile, engine)
            alone.close()
        assert "older" in newer.refused("serve", "--port", "0")
        assert "schoolsync db upgrade --finish" in newer.run("db", "upgrade").stdout

        if url is None:
            server = alone.enter_context(older.serve())
        else:
            paused(profile, engine)
        other = Tenant(server).profile()  # of a tenant that the upgrade did not see
        assert other.sync(files)["status"] == "success"
        if url is None:
            alone.close()
        with newer.serve() as second:
            assert set(second.control("SELECT colour FROM profiles")) == {("none",)}
            alone.close()
            assert "up to date" in newer.run("db", "upgrade", "--finish").stdout
            assert set(second.control("SELECT colour FROM profiles")) == {("red",)}
            goes_on(Profile(Tenant(second, profile.tenant.id), profile.id))
            for known in (profile, other):
                assert Profile(Tenant(second, known.tenant.id), known.id).sync(files)["status"] == "success"
            assert set(second.select(other.tenant.id, "SELECT motto FROM schools")) == {(None,)}
    for words in (["serve", "--port", "0"], ["db", "upgrade"], *([["worker"]] if url else [])):
        assert "newer" in older.refused(*words)


def stopped_behind_its_second_batch(
    server: Server, profile: Profile, files: dict[str, bytes], point: Path
) -> psutil.Process:
    """A run whose engine does nothing more until it is woken."""
    point.write_text("engine-apply 2 freeze", "utf-8")
    profile.upload(files)
    profile.start()

    def frozen() -> list[psutil.Process]:
        return [engine for engine in server.those("engine") if engine.status() == psutil.STATUS_STOPPED]

    return until("the engine stands still", frozen)[0]


def paused(profile: Profile, engine: psutil.Process) -> None:
    profile.api("POST", f"{profile.path}/pause", expect=200)
    engine.send_signal(signal.SIGCONT)
    server = profile.tenant.server
    until("the run is paused", lambda: server.control("SELECT state FROM runs")[0] == ("paused",))


def goes_on(profile: Profile) -> None:
    """Behind the batches that are there, with the plan that was made before the upgrade."""
    server, tenant = profile.tenant.server, profile.tenant.id
    ((run,),) = server.control("SELECT id FROM runs WHERE profile = ?", profile.id)
    before = len(server.select(tenant, "SELECT batch FROM batches"))
    profile.api("POST", f"{profile.path}/resume", expect=200)
    assert profile.wait()["status"] == "success"
    ledger = server.select(tenant, "SELECT run, batch FROM batches ORDER BY position")
    assert 2 <= before < len(ledger)
    assert ledger == [(run, number) for number in range(len(ledger))]


def test_one_installation_per_database(tmp_path: Path, postgresql: Cluster) -> None:
    """Serve, worker and doctor refuse a database whose files are elsewhere; with its id beside the files they work."""
    with postgresql.database() as url, serving(tmp_path, settings={"database_url": url}) as server:
        until("it is known", lambda: server.control("SELECT id FROM installation"))
        strange = tmp_path / "strange"
        environment = {**os.environ, "SCHOOLSYNC_DATABASE_URL": url}
        for words in (["serve", "--port", "0"], ["worker"]):
            said = command(*words, "--data-dir", strange, env=environment)
            assert said.returncode == 1
            assert said.stderr.count("belongs to an installation whose files are not in") == 1, said.stderr
        said = command("doctor", "--data-dir", strange, env=environment)
        assert said.returncode == 1
        assert "error" in next(line for line in said.stdout.splitlines() if "whose files are not" in line)


def test_files_that_move(tmp_path: Path) -> None:
    """Files go from the folder into a storage and are shared by machines; those of somebody else are refused."""
    data = Settings(data_dir=tmp_path / "one")
    control = open_control(data)
    ids = iter(["first", "second", "third"])
    new_id: Callable[[], str] = lambda: next(ids)  # noqa: E731  # as the processes hand it over

    def joined(name: str, storage: str | None) -> None:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        url = storage and (tmp_path / storage).as_uri()
        installation.join(control, Settings(data_dir=folder, storage_url=url), new_id)

    try:
        joined("one", None)
        joined("one", None)
        with pytest.raises(Refusal, match="first"):
            joined("two", "storage")
        joined("one", "storage")  # it sets storage_url
        joined("two", "storage")
        strange = open_control(Settings(data_dir=tmp_path / "strange"))
        installation.join(strange, Settings(data_dir=tmp_path / "strange"), new_id)
        strange.close()
        with pytest.raises(Refusal, match="another installation"):
            joined("strange", None)
    finally:
        control.close()
