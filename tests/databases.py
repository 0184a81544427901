"""A PostgreSQL of the tests' own: one cluster for all test processes, a database for whoever asks.

It is started from the binaries that are on this machine, listens on loopback alone and is gone with the last test.
Nothing in it needs to survive a power cut.
"""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from schoolsync.store import schema
from schoolsync.store.database import postgresql_engine

BINARIES = "SCHOOLSYNC_POSTGRESQL"
TEMPLATE = "schoolsync_template"
_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "timezone": "UTC",
}


def binaries() -> Path | None:
    """The folder of the newest PostgreSQL here that is new enough."""
    named = os.environ.get(BINARIES)
    places = [Path(named)] if named else sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True)
    found = shutil.which("initdb")
    for folder in [*places, *([Path(found).resolve().parent] if found else [])]:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    return None


def _version(folder: Path) -> int:
    name = folder.parent.name
    return int(name) if name.isdigit() else 0


class Cluster:
    """A running PostgreSQL. Its superuser needs no password."""

    def __init__(self, folder: Path, port: int, programs: Path, options: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.port = port
        self._programs = programs
        self._options = _OPTIONS | dict(options or {})
        self._emptied: list[str] = []
        """Databases of this process that are again as `TEMPLATE` is."""
        self._wipe: _Wipe | None = None

    @classmethod
    def start(cls, programs: Path, options: Mapping[str, str] | None = None) -> Cluster:
        """Make a cluster and start it; `options` go before those of the tests."""
        folder = Path(tempfile.mkdtemp(prefix="schoolsync-postgresql-"))
        owner = _owner()
        if owner is not None:
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        cluster = cls(folder, _free_port(), programs, options)
        cluster.run("initdb", "-D", str(cluster.data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
        cluster.resume()
        with cluster.connect("postgres") as connection:
            connection.execute(f"CREATE DATABASE {TEMPLATE}")
        engine = postgresql_engine(cluster.url(TEMPLATE), 1)
        schema.prepare(engine)
        engine.dispose()
        return cluster

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def resume(self) -> None:
        """Start it (again)."""
        options = " ".join(f"-c {name}='{value}'" for name, value in (self._options | {"port": str(self.port)}).items())
        log = str(self.folder / "log")
        self.run("pg_ctl", "-D", str(self.data), "-l", log, "-w", "-t", "60", "-o", options, "start")

    def halt(self, mode: str = "immediate") -> None:
        """Stop it."""
        self.run("pg_ctl", "-D", str(self.data), "-m", mode, "-w", "stop")

    def keep(self) -> None:
        """Have it stopped and removed as soon as nobody holds its pipe any more, however its holders end."""
        os.mkfifo(self.pipe, 0o600)
        stop = f"{self._programs}/pg_ctl -D {self.data} -m immediate -w stop"
        owner = _owner()
        if owner is not None:
            stop = f"setpriv --reuid={owner.pw_uid} --regid={owner.pw_gid} --clear-groups {stop}"
        script = f"cat {self.pipe}; cd /; {stop}; rm -rf {self.folder}"
        subprocess.Popen(
            ["sh", "-c", script],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def pipe(self) -> Path:
        return self.folder / "held"

    def hold(self, *, seconds: float = 10.0) -> int | None:
        """Hold its pipe; None when it is gone."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                return os.open(self.pipe, os.O_WRONLY | os.O_NONBLOCK)
            except OSError:
                if time.monotonic() >= deadline:
                    return None
                time.sleep(0.02)

    def run(self, program: str, *arguments: str) -> None:
        """Run one of PostgreSQL's programs, never as root."""
        owner = _owner()
        who = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []} if owner else {}
        with (self.folder / "programs.log").open("ab") as log:
            done = subprocess.run(
                [str(self._programs / program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"},
                timeout=120,
                check=False,
                **who,
            )
        assert done.returncode == 0, (self.folder / "programs.log").read_text("utf-8", "replace")[-2000:]

    def url(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(self.url(database), autocommit=True)

    @contextmanager
    def database(self, *, template: str = TEMPLATE) -> Iterator[str]:
        """The URL of a database with our tables and nothing in them (or a copy of `template`).

        Making and dropping one takes a hundred times as long as emptying it, so one that has kept its shape serves the
        next test. What a test did beyond rows (a table more, a column, a setting, statistics) has it dropped.
        """
        ours = template == TEMPLATE
        if ours and self._emptied:
            name = self._emptied.pop()
        else:
            name = f"t{uuid.uuid4().hex[:20]}"
            with self.connect("postgres") as connection:
                connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
            if ours and self._wipe is None:  # learned from a copy: nobody may be connected to what is being copied
                with self.connect(name) as connection:
                    self._wipe = _Wipe(connection)
        try:
            yield self.url(name)
        finally:
            if ours and self._empty(name):
                self._emptied.append(name)
            else:
                with self.connect("postgres") as connection:
                    connection.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _empty(self, name: str) -> bool:
        """Make a database what it was; False when more than rows was changed in it."""
        assert self._wipe is not None
        try:
            with self.connect(name) as connection:
                self._wipe.empty(connection)
        except psycopg.Error:
            return False
        return True


_SHAPE = r"""
    SELECT md5(string_agg(told, E'\n' ORDER BY told)) FROM (
        SELECT concat_ws(' ', 'relation', c.oid::regclass, relkind, relnatts, relchecks, relhastriggers, relrowsecurity,
                         reloptions, CASE relkind WHEN 'r' THEN reltuples END) AS told
        FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = relnamespace
        WHERE nspname NOT IN ('pg_catalog', 'pg_toast', 'information_schema') AND nspname NOT LIKE 'pg\_%temp\_%'
        UNION ALL
        SELECT concat_ws(' ', 'column', attrelid::regclass, attname, attnum, atttypid, attnotnull, atthasdef,
                         attcollation)
        FROM pg_attribute JOIN pg_class AS c ON c.oid = attrelid
        WHERE relnamespace = 'public'::regnamespace AND attnum > 0
        UNION ALL SELECT concat('function ', oid::regprocedure) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        UNION ALL SELECT concat('schema ', nspname) FROM pg_namespace WHERE nspname NOT LIKE 'pg\_%temp\_%'
        UNION ALL SELECT concat('extension ', extname) FROM pg_extension
        UNION ALL SELECT concat('statistics ', count(*)) FROM pg_statistic WHERE starelid >= 16384
        UNION ALL
        SELECT concat('setting ', setconfig)
        FROM pg_db_role_setting AS s JOIN pg_database AS d ON d.oid = s.setdatabase WHERE datname = current_database()
    ) AS parts
"""
"""Everything of a database but rows, in one word."""
_MOST_BYTES = 64 * 8192
"""A table that has grown beyond is made short again: what is deleted stays in the way until somebody tidies up."""


class _Wipe:
    """How a database with our tables becomes again what `TEMPLATE` is."""

    def __init__(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        """`connection` leads to a fresh one."""
        cursor: Any = connection.cursor()  # the statements are no literals
        ((shape,),) = cursor.execute(_SHAPE).fetchall()
        names = cursor.execute(
            "SELECT quote_ident(relname) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
        ).fetchall()
        kept = []
        for (name,) in names:
            ((rows,),) = cursor.execute(f"SELECT json_agg(t)::text FROM {name} AS t").fetchall()
            if rows is not None:
                kept.append(
                    f"INSERT INTO {name} SELECT * FROM json_populate_recordset(NULL::{name}, $kept${rows}$kept$);"
                )
        self._statement = f"""
            DO $wipe$
            DECLARE one record;
            BEGIN
                PERFORM pg_terminate_backend(pid, 5000) FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid();
                IF ({_SHAPE}) <> '{shape}' THEN RAISE 'it has another shape'; END IF;
                FOR one IN
                    SELECT oid::regclass AS name, pg_relation_size(oid) > {_MOST_BYTES} AS long FROM pg_class
                    WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND pg_relation_size(oid) > 0
                LOOP
                    EXECUTE CASE WHEN one.long THEN 'TRUNCATE ' ELSE 'DELETE FROM ' END || one.name;
                END LOOP;
                PERFORM setval(seqrelid, seqstart, false) FROM pg_sequence WHERE pg_sequence_last_value(seqrelid) > 0;
                {" ".join(kept)}
            END $wipe$
        """

    def empty(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        """Cut off everybody else and delete all rows but those of the template.

        Raises psycopg.Error when `connection` leads to something of another shape.
        """
        cursor: Any = connection.cursor()
        cursor.execute(self._statement)


@contextmanager
def shared(folder: Path, programs: Path) -> Iterator[Cluster]:
    """The cluster that all test processes with the same `folder` share; it goes when the last of them has gone."""
    state = folder / "postgresql.json"
    with _locked(folder):
        held = None
        if state.exists():
            known = json.loads(state.read_text())
            cluster = Cluster(Path(known["folder"]), known["port"], programs)
            held = cluster.hold(seconds=0)
        if held is None:
            cluster = Cluster.start(programs)
            cluster.keep()
            held = cluster.hold()
            assert held is not None
            state.write_text(json.dumps({"folder": str(cluster.folder), "port": cluster.port}))
    try:
        yield cluster
    finally:
        os.close(held)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / "postgresql.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _owner() -> pwd.struct_passwd | None:
    """Who shall own the cluster, when we are root: PostgreSQL refuses to be."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    return None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(url: str, *, seconds: float = 30.0) -> None:
    """Wait until a PostgreSQL answers."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError:
            assert time.monotonic() < deadline, "the PostgreSQL does not answer"
            time.sleep(0.05)
        else:
            return
