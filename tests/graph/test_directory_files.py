"""The directory files themselves: made once, by whoever comes first, and kept private."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from schoolsync.errors import WorldError
from schoolsync.settings import Settings
from schoolsync.store import directory_tables, release
from schoolsync.store.ddl import directory_statements
from schoolsync.store.directories import Directories


@pytest.fixture
def database_url() -> None:
    """These tests are about files."""


@pytest.fixture
def directories(settings: Settings) -> Any:
    made = Directories(settings, open_max=2)
    yield made
    made.close()


def tenant(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-000000000000"


class TestFiles:
    def test_are_made_when_first_asked_for(self, directories: Any, settings: Settings) -> None:
        """A tenant's file appears with the first look, empty, readable by its owner alone."""
        path = settings.directory_db(tenant(1))
        assert not path.exists()
        with directories.read(tenant(1)) as connection:
            for table in directory_tables.directory.sorted_tables:
                expected = [(release.SCHEMA_VERSION, release.SCHEMA_VERSION)] if table.name == "schema_version" else []
                assert connection.execute(select(table)).all() == expected
        assert path.stat().st_mode & 0o777 == 0o600

    def test_are_made_once_by_many_at_a_time(self, settings: Settings) -> None:
        """Several processes that come first at the same moment leave one good file, and nobody fails."""
        script = (
            "import sys; from pathlib import Path; from schoolsync.settings import Settings\n"
            "from schoolsync.store.directories import Directories; from schoolsync.directory.positions import advance\n"
            "d = Directories(Settings(data_dir=Path(sys.argv[1]))); sys.stdin.readline()\n"
            "with d.write(sys.argv[2]) as c: advance(c, 1, keys=3)\n"
        )
        command = [sys.executable, "-c", script, str(settings.data_dir), tenant(2)]
        started = [subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(4)]
        for process in started:
            assert process.stdin is not None
            process.stdin.write(b"\n")
            process.stdin.flush()
        for process in started:
            _, errors = process.communicate(timeout=60)
            assert process.returncode == 0, errors.decode()
        directories = Directories(settings)
        with directories.read(tenant(2)) as connection:
            row = connection.execute(select(directory_tables.positions)).one()
        directories.close()
        assert (row.position, row.last_key) == (4, 12)

    def test_of_another_version_are_refused(self, directories: Any, settings: Settings) -> None:
        """A file that another release wrote is not touched, and the message says so."""
        with directories.write(tenant(3)) as connection:
            connection.execute(update(directory_tables.directory_schema).values(version=99, oldest=99))
        again = Directories(settings)
        with pytest.raises(WorldError, match="schema 99"), again.read(tenant(3)):
            pass
        again.close()

    def test_that_are_no_database_are_refused(self, directories: Any, settings: Settings) -> None:
        """A damaged file is the world's fault and named so, without a word of its content."""
        settings.directories.mkdir(parents=True)
        settings.directory_db(tenant(4)).write_bytes(b"Ane Lunde, 2011-05-17\n" * 500)
        with pytest.raises(WorldError) as refused, directories.read(tenant(4)):
            pass
        assert "Ane" not in str(refused.value)

    def test_are_named_by_nothing_but_a_tenant(self, directories: Any) -> None:
        """A tenant id becomes a file name: anything but a GUID is refused."""
        for name in ("../../etc/passwd", "", tenant(1).upper().replace("0", "A"), "x" * 36):
            with pytest.raises(ValueError, match="GUID"), directories.read(name):
                pass

    def test_beyond_the_limit_are_closed_but_not_under_somebodys_hands(self, directories: Any) -> None:
        """With more tenants than may be open, each is still served, and who reads one keeps it until done."""
        with directories.read(tenant(1)) as connection:
            for number in range(2, 8):
                with directories.write(tenant(number)) as other:
                    other.execute(insert(directory_tables.positions).values(tenant=1, position=number, last_key=0))
            assert connection.execute(select(directory_tables.positions)).all() == []
        for number in range(2, 8):
            with directories.read(tenant(number)) as connection:
                assert connection.execute(select(directory_tables.positions.c.position)).scalar_one() == number

    def test_show_one_moment_to_a_reader(self, directories: Any) -> None:
        """What is written while somebody reads is seen by the next reader, not by that one."""
        with directories.read(tenant(1)) as reader:
            assert reader.execute(select(directory_tables.positions)).all() == []

            def write() -> None:
                with directories.write(tenant(1)) as writer:
                    writer.execute(insert(directory_tables.positions).values(tenant=1, position=1, last_key=0))

            thread = threading.Thread(target=write)
            thread.start()
            thread.join(30)
            assert reader.execute(select(directory_tables.positions)).all() == []
        with directories.read(tenant(1)) as reader:
            assert len(reader.execute(select(directory_tables.positions)).all()) == 1

    def test_forget_a_change_that_failed(self, directories: Any) -> None:
        """An exception inside a write leaves nothing of it."""

        def fail() -> None:
            with directories.write(tenant(1)) as connection:
                connection.execute(insert(directory_tables.positions).values(tenant=1, position=1, last_key=0))
                raise RuntimeError

        with pytest.raises(RuntimeError):
            fail()
        with directories.read(tenant(1)) as connection:
            assert connection.execute(select(directory_tables.positions)).all() == []


class TestStatements:
    def test_load_no_database_library(self, tmp_path: Path) -> None:
        """The process that writes in bulk brings a SQLite of its own: these statements must not bring another."""
        script = (
            "import sys; from schoolsync.store.ddl import directory_statements as s; assert len(s()) > 10\n"
            "loaded = {'sqlite3', '_sqlite3'} & set(sys.modules); sys.exit(f'loaded {loaded}' if loaded else 0)"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == 0, done.stderr

    def test_may_run_again(self, directories: Any) -> None:
        """Run on a file that has everything already, they change nothing."""
        with directories.write(tenant(1)) as connection:
            before = connection.exec_driver_sql("SELECT sql FROM sqlite_master ORDER BY name").all()
            for statement in directory_statements():
                connection.exec_driver_sql(statement)
            assert connection.exec_driver_sql("SELECT sql FROM sqlite_master ORDER BY name").all() == before
            assert connection.execute(select(directory_tables.directory_schema)).all() == [
                (release.SCHEMA_VERSION, release.SCHEMA_VERSION)
            ]
        looks = "ANALYZE sqlite_master"  # has the present tables' statistics read again, and writes nothing
        assert all("NOT EXISTS" in statement or statement == looks for statement in directory_statements())
