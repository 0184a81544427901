# ruff: noqa: S608  # what is put into these statements are names of ours; values are bound
"""The roster that a run has read and checked, kept in the run's folder for what comes after it.

Who is synchronized alone is taken from it, and a removal finds in it the line that named the record last. It has the
tables that plans are made from, without what no plan reads, and goes with the run's folder.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

import duckdb
import msgspec

from schoolsync.errors import raise_worlds
from schoolsync.plan.identity import text
from schoolsync.runs.job import Known
from schoolsync.runs.places import ROSTER

TABLES: Mapping[str, Sequence[str]] = {
    "organizations": (),
    "classes": ("type", "location", "grades", "subjects", "subject_codes"),
    "people": (),
    "person_organizations": ("role_name", "grade", "is_primary"),
    "enrollments": ("role_name", "is_primary"),
    "contacts": ("guardian_id", "given_name", "surname"),
    "left_out": (),
}
"""The canonical tables that are kept, and the columns of each that are not."""

_LONG = "enrollments"
_REPEATED = ("role", "person_role", "file")
_WRITTEN = {
    # Row groups are small because every thread has one in memory until it is full.
    # The long table is written in the way that takes the least time; it is read seldom, and never whole.
    True: "FORMAT parquet, PARQUET_VERSION v2, DICTIONARY_SIZE_LIMIT 1, ROW_GROUP_SIZE 40960, COMPRESSION uncompressed",
    False: "FORMAT parquet, PARQUET_VERSION v2, DICTIONARY_SIZE_LIMIT 1, ROW_GROUP_SIZE 40960, COMPRESSION lz4",
}
_NOTE = f"{ROSTER}.json"


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """What has to be known of a kept roster."""

    reading: str  # hash of the settings that it was read under
    columns: Mapping[str, Collection[str]] | None  # of its canonical tables; None: all
    absent: Collection[str]  # canonical tables that it has no file for
    everything: bool = False  # whoever applies it whole has nothing in the directory that is not in it


def keep(db: duckdb.DuckDBPyConnection, run: Path, note: Note) -> None:
    """Keep the tables in the schema `roster` in a run's folder, whole or not at all; may be called again."""
    aside = run / f"{ROSTER}.aside"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True, mode=0o700)
    db.execute("SET preserve_insertion_order = false")  # every row has its line, and so all cores can write
    try:
        for table, without in TABLES.items():
            path = str(aside / f"{table}.parquet").replace("'", "''")
            db.execute(f"COPY ({_rows(db, table, without)}) TO '{path}' ({_WRITTEN[table == _LONG]})")
    finally:
        db.execute("RESET preserve_insertion_order")
    (aside / _NOTE).write_bytes(msgspec.json.encode(note, order="deterministic"))
    shutil.rmtree(run / ROSTER, ignore_errors=True)
    aside.replace(run / ROSTER)


def _rows(db: duckdb.DuckDBPyConnection, table: str, without: Sequence[str]) -> str:
    """The query for the rows of a table that are kept. Words that come again and again in the long one are numbered."""
    left = f" EXCLUDE ({', '.join(without)})" if without else ""
    if table != _LONG:
        return f"SELECT *{left} FROM roster.{table}"
    lists = ", ".join(f"coalesce(list(DISTINCT {name} ORDER BY {name}), [])" for name in _REPEATED)
    (found,) = db.execute(
        f"SELECT {lists} FROM (SELECT DISTINCT {', '.join(_REPEATED)} FROM roster.{table})"
    ).fetchall()
    numbered = [
        f"{name}::ENUM ({', '.join(map(text, words))}) AS {name}"
        for name, words in zip(_REPEATED, found, strict=True)
        if words
    ]
    replaced = f" REPLACE ({', '.join(numbered)})" if numbered else ""
    return f"SELECT *{left}{replaced} FROM roster.{table}"


def is_kept(run: Path) -> bool:
    """Whether a run's folder has a roster."""
    return (run / ROSTER / _NOTE).is_file()


def note(run: Path) -> Note | None:
    """What has to be known of a run's roster; None when it has none (any more)."""
    try:
        return msgspec.json.decode((run / ROSTER / _NOTE).read_bytes(), type=Note)
    except (OSError, msgspec.MsgspecError) as problem:
        raise_worlds(problem)
        return None


def relation(run: Path, table: str) -> str:
    """A table of a run's roster, as SQL."""
    return "read_parquet('{}')".format(str(run / ROSTER / f"{table}.parquet").replace("'", "''"))


def open_up(db: duckdb.DuckDBPyConnection, run: Path, schema: str) -> Note | None:
    """Views `<schema>.<table>` of a run's roster; None when it has none (any more)."""
    there = note(run)
    if there is not None:
        db.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        for table in TABLES:
            db.execute(f"CREATE OR REPLACE VIEW {schema}.{table} AS SELECT * FROM {relation(run, table)}")
    return there


class Rosters:
    """The rosters in which `plan.last_lines` looks for records, each there (`known_<number>`) once its turn comes."""

    def __init__(
        self,
        db: Callable[[], duckdb.DuckDBPyConnection],
        fetch: Callable[[Path], None],
        own: Path,
        earlier: Sequence[Known],
        *,
        here: bool = False,
    ) -> None:
        """`here`: whatever of its own roster leaves the directory is still in the schema `roster`."""
        self._db = db
        self._here = here
        self._fetch = fetch
        self._folders = {0: own, **{one.number: Path(one.folder) for one in earlier if Path(one.folder) != own}}
        self.present = _Present(self)
        self._applied = {0 if Path(one.folder) == own else one.number for one in earlier if one.applied}
        self._there: dict[int, Note | None] = {}

    def __iter__(self) -> Iterator[int]:
        for number, folder in self._folders.items():
            if number not in self._there:
                if number:
                    self._fetch(folder / ROSTER)
                self._there[number] = self._open(number, folder)
            if self._there[number] is not None:
                yield number

    def _open(self, number: int, folder: Path) -> Note | None:
        if number or not self._here:
            return open_up(self._db(), folder, f"known_{number}")
        db = self._db()
        db.execute("CREATE SCHEMA known_0")
        # Records of objects are forgotten once their steps are stored; nobody asks for their lines after that.
        there = db.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'roster'").fetchall()
        for (table,) in there:
            db.execute(f"CREATE VIEW known_0.{table} AS FROM roster.{table}")
        return note(folder)

    def had_everything(self, number: int) -> bool:
        """Whether all that the directory has of the profile was in this roster, so that no older one knows more."""
        there = self._there.get(number)
        return there is not None and there.everything and number in self._applied


class _Present:
    """The first of the rosters, until one that had everything; may be gone through several times.

    Mostly these are two, the run's own and the one that was applied last. More are read only behind rosters that left
    something in the directory which they did not have: records with mistakes, kinds that wait, windows.
    """

    def __init__(self, rosters: Rosters) -> None:
        self._rosters = rosters

    def __iter__(self) -> Iterator[int]:
        for number in self._rosters:
            yield number
            if self._rosters.had_everything(number):
                return
