"""Any bytes in any file of any format: no crash, no hang, and every row is either kept or told of.

`make test` tries 140 rosters and `make nightly` 1000, the same every time; `make fuzz` tries 20 000 others
(FUZZ_EXAMPLES says how many).
"""

from __future__ import annotations

import csv
import io
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from schoolsync import sources
from schoolsync.roster import causes, findings
from schoolsync.sources import CheckOptions, SourceFile
from schoolsync.sources.columns import File
from schoolsync.sources.formats import Format, Shape
from schoolsync.testing import rosters

from ..conftest import NIGHTLY

FURTHER = os.environ.get("FUZZ_EXAMPLES")
EXAMPLES = int(FURTHER or (1000 if NIGHTLY else 140))
SIZE = {"people": 24, "classes": 4, "enrollments": 60}
KINDS = sorted(rosters.FORMATS)
SPLINTERS = [
    *(
        b'"',
        b",",
        b"\n",
        b"\r",
        b"\r\n",
        b"\0",
        b"\xff",
        b"\xef\xbb\xbf",
        b"\xc3",
        b";",
        b"\t",
        b'""',
        b"'",
        b"\\",
        b"#",
    ),
    *(
        b"=1+1",
        b"\x1a",
        b"\x1b",
        b"\x1f",
        b"\xe2\x80\x8b",
        b"sourcedId",
        b"SIS ID",
        b",,,,",
        b'","',
        b"NULL",
        b"%s",
        b"{}",
        b"\xff\xfe",
        b"PK\x03\x04",
        b"<html>",
        b"sep=;\n",
        b"#TYPE x\n",
    ),
]


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    """A small good roster of every format."""
    folder = tmp_path_factory.mktemp("originals")
    made = {}
    for kind in KINDS:
        rosters.write(folder / kind, **SIZE, format=kind, guardians=True, optional=True)
        made[kind] = {path.name: path.read_bytes() for path in sorted((folder / kind).iterdir())}
    return made


CHANGE = st.tuples(
    st.integers(0, 15),  # which file
    st.floats(0, 1, exclude_max=True),  # where in it
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from(SPLINTERS)),
        st.tuples(st.just("put"), st.binary(min_size=1, max_size=6)),
        st.tuples(st.just("over"), st.binary(min_size=1, max_size=3)),
        st.tuples(st.just("cut"), st.integers(1, 60)),
        st.tuples(st.just("end"), st.just(0)),
        st.tuples(st.just("twice"), st.integers(1, 120)),
        st.tuples(st.just("all"), st.binary(max_size=200)),
    ),
)


def spoiled(files: dict[str, bytes], changes: list[tuple[int, float, tuple[str, object]]]) -> dict[str, bytes]:
    """The files with the changes made one after the other."""
    files = dict(files)
    names = list(files)
    for number, share, (how, what) in changes:
        name = names[number % len(names)]
        content = bytearray(files[name])
        place = int(len(content) * share)
        match how, what:
            case "put", bytes():
                content[place:place] = what
            case "over", bytes():
                content[place : place + len(what)] = what
            case "cut", int():
                del content[place : place + what]
            case "end", _:
                del content[place:]
            case "twice", int():
                content[place:place] = content[place : place + what]
            case "all", bytes():
                content = bytearray(what)
        files[name] = bytes(content)
    return files


def account(db: duckdb.DuckDBPyConnection, form: Format, rows: dict[str, int]) -> None:
    """Rows in = rows kept + rows reported, file by file and counted: no row is lost, none is counted twice.

    A row is kept when a record says that it comes from it, reported when a finding names its line and no record does.
    A file that has a fatal finding of its own is accounted for by that: none of its rows is used.
    """
    stopped = {
        file.lower()
        for (file,) in db.execute("SELECT DISTINCT file FROM roster.findings WHERE fatal AND line IS NULL").fetchall()
    }
    told: dict[str, set[int]] = {}
    for file, line in db.execute("SELECT lower(file), line FROM roster.findings WHERE line IS NOT NULL").fetchall():
        told.setdefault(file, set()).add(line)
    whole = not db.execute("SELECT 1 FROM roster.findings WHERE fatal LIMIT 1").fetchall()
    wrong = {file for (file,) in db.execute("SELECT DISTINCT lower(file) FROM roster.left_out").fetchall()}
    for file in form.files:
        table = _place(form, file)
        name = next((one for one in rows if one.lower() == file.name.lower()), None)
        if table is None or name is None or name.lower() in stopped:
            continue
        lines = [
            line
            for (line,) in db.execute(
                f"SELECT line FROM roster.{table} WHERE lower(file) = $1", [name.lower()]
            ).fetchall()
        ]
        kept = set(lines)
        assert len(kept) == len(lines), f"{name}: a row makes two records"
        lost = rows[name] - len(kept) - len(told.get(name.lower(), set()) - kept)
        if table == "contacts" and lost > 0 and (wrong or stopped or not whole):
            continue  # the guardian's or pupil's row is wrong (`left_out` names it), or their file stops the roster
        assert lost == 0, f"{name}: {rows[name]} rows, {len(kept)} kept, {lost} neither kept nor told of"


def _place(form: Format, file: File) -> str | None:
    """The canonical table that has a record for every good row of a file."""
    if file.table in {"manifest", "guardian"}:  # neither is a record of its own
        return None
    lists = form.shape is Shape.TWO_LISTS
    return {
        "people": "person_organizations" if lists else "people",
        "person_organizations": "person_roles",
    }.get(file.records, file.records)


@contextmanager
def no_hang(db: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Whatever takes minutes for a few rows is broken off, and fails."""
    watch = threading.Timer(200, db.interrupt)
    watch.start()
    try:
        yield
    finally:
        watch.cancel()


@pytest.mark.timeout(300 + 5 * EXAMPLES)  # of all examples together; one has `no_hang`
@pytest.mark.parametrize("kind", KINDS)
@settings(
    deadline=None,
    max_examples=-(-EXAMPLES // len(KINDS)),
    derandomize=FURTHER is None,  # what everybody runs says the same every time; the long run looks further
    database=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(changes=st.lists(CHANGE, min_size=1, max_size=5), told=st.booleans())
def test_no_bytes_make_the_reader_fall_over(
    originals: dict[str, dict[str, bytes]],
    kind: str,
    changes: list[tuple[int, float, tuple[str, object]]],
    told: bool,
) -> None:
    """Whatever is changed, checking ends with findings, and no row is lost without one."""
    with tempfile.TemporaryDirectory() as name, duckdb.connect(config={"threads": 1}) as db, no_hang(db):
        files = []
        for number, (file, content) in enumerate(spoiled(originals[kind], changes).items()):
            path = Path(name, f"blob{number}")
            path.write_bytes(content)
            files.append(SourceFile(file, path))
        options = CheckOptions(format=kind if told else "auto", scratch=Path(name))
        checked = sources.validate(db, sources.extract(db, files, options), options)
        found = [one.severity for one in findings.listed(db)]
        assert (checked.errors, checked.warnings) == (found.count("error"), found.count("warning"))
        account(db, sources.FORMATS[checked.format], dict(checked.rows))
        if checked.fatal:
            assert db.execute("SELECT 1 FROM roster.findings WHERE fatal AND line IS NULL").fetchone(), "says why"
        causes.entries(db)
        if checked.errors and not checked.fatal:
            checked.leave_out(db)


@pytest.mark.parametrize("kind", KINDS)
def test_pythons_own_reader_counts_the_same(kind: str, tmp_path: Path) -> None:
    """On well-formed files: rows of every file, and keys of people, classes and links."""
    rosters.write(tmp_path, people=300, classes=30, enrollments=1200, format=kind, several_schools=False)
    tables = {
        path.name: list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))
        for path in tmp_path.iterdir()
    }
    with duckdb.connect(config={"threads": 1}) as db:
        options = CheckOptions(format=kind)
        files = [SourceFile(path.name, path) for path in sorted(tmp_path.iterdir())]
        checked = sources.validate(db, sources.extract(db, files, options), options)
        rows = dict(checked.rows)
        rows.pop("manifest.csv", None)
        assert rows == {name: len(table) for name, table in tables.items() if name != "manifest.csv"}
        keys = {
            table: {row[0] for row in db.execute(f"SELECT source_id FROM roster.{table}").fetchall()}
            for table in ("organizations", "classes", "people")
        }
    folded = {name.lower(): table for name, table in tables.items()}

    def column(*choices: tuple[str, str]) -> set[str]:
        return {row[header] for file, header in choices if file in folded for row in folded[file] if header in row}

    assert keys["organizations"] == column(
        ("school.csv", "SIS ID"), ("school.csv", "DfE Number"), ("schools.csv", "School_id"), ("orgs.csv", "sourcedId")
    )
    assert keys["classes"] == column(
        ("section.csv", "SIS ID"), ("section.csv", "ID"), ("sections.csv", "Section_id"), ("classes.csv", "sourcedId")
    )
    assert keys["people"] == column(
        *((f"{who}.csv", header) for who in ("student", "teacher") for header in ("SIS ID", "ID")),
        ("students.csv", "Student_id"),
        ("teachers.csv", "Teacher_id"),
        ("users.csv", "sourcedId"),
    )
