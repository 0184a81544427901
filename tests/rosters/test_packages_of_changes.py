"""OneRoster packages that hold changes alone: with what earlier uploads said they are the whole roster of a day."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import duckdb
import pytest

from schoolsync import sources
from schoolsync.plan.policy import Policy
from schoolsync.roster import causes
from schoolsync.runs import erased_files
from schoolsync.runs.erased_files import Traces
from schoolsync.sources import Checked, CheckOptions, SourceFile
from schoolsync.testing import rosters
from schoolsync.testing.rosters import Moment

SIZE = {"people": 60, "classes": 8, "enrollments": 160}
TABLES = (
    *("organizations", "terms", "courses", "classes", "class_terms", "people", "person_organizations", "person_roles"),
    *("enrollments", "contacts", "demographics", "person_accounts"),
)
VERSIONS = ["oneroster-1.1", "oneroster-1.2"]


@contextmanager
def checked(
    folder: Path, *, onto: Path | None = None, keep: Path | None = None, policy: Policy | None = None
) -> Iterator[tuple[duckdb.DuckDBPyConnection, Checked]]:
    """The roster of a folder, read and checked; `onto` and `keep` are the records it goes on from and leaves."""
    options = CheckOptions(policy=policy, earlier=onto, keep=keep)
    with duckdb.connect(config={"threads": 1}) as db:
        files = [SourceFile(path.name, path) for path in sorted(folder.iterdir())]
        yield db, sources.validate(db, sources.extract(db, files, options), options)


def kept(folder: Path, into: Path, *, onto: Path | None = None) -> Path:
    """The records that a roster leaves."""
    with checked(folder, onto=onto, keep=into) as (_, result):
        assert not result.fatal
    return into


def contents(db: duckdb.DuckDBPyConnection) -> dict[str, list[tuple[object, ...]]]:
    """All records, without where they stand."""
    return {
        table: db.execute(f"SELECT * EXCLUDE (file, line) FROM roster.{table} ORDER BY ALL").fetchall()
        for table in TABLES
    }


def found(db: duckdb.DuckDBPyConnection, result: Checked) -> list[tuple[str, str, int | None]]:
    return [(one.rule, one.file, one.line) for one in result.findings(db) if one.rule != "delta-file"]


def write(folder: Path, name: str, *lines: str) -> None:
    (folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def manifest(folder: Path, version: str = "1.2", **modes: str) -> None:
    folder.mkdir(exist_ok=True)
    told = [f"file.{name},{mode}" for name, mode in modes.items()]
    write(folder, "manifest.csv", "propertyName,value", f"oneroster.version,{version}", *told)


@pytest.mark.parametrize("version", ["1.1", "1.2"])
def test_a_samples_delta_does_what_its_readme_says(samples: Path, tmp_path: Path, version: str) -> None:
    """Without a finding: one person renamed, one gone, one come, one enrollment ended, one class renamed."""
    whole, delta = (samples / f"oneroster-{version}-{kind}-generated" for kind in ("bulk", "delta"))
    records = kept(whole, tmp_path / "records")
    with checked(whole) as (db, _):
        before = contents(db)
    with checked(delta, onto=records) as (db, result):
        assert found(db, result) == []
        after = contents(db)
        lines = db.execute("SELECT DISTINCT file FROM roster.people ORDER BY file").fetchall()
        assert lines == [("users.csv",), ("users.csv (earlier upload)",)]
        assert db.execute("SELECT file, line FROM roster.people WHERE source_id = 'nf-u900'").fetchall() == [
            ("users.csv", 4)
        ]
    gone, come = ([*set(before[table]) - set(after[table])] for table in ("people", "classes"))
    people = {row[1] for row in gone}
    assert people == {"nf-u008", "nf-u011"}
    assert {row[1] for row in set(after["people"]) - set(before["people"])} == {"nf-u008", "nf-u900"}
    assert [row[0] for row in come] == ["nf-k1KGmath"]
    changed = set(before["enrollments"]) ^ set(after["enrollments"])
    assert {row[2] for row in changed} == {"nf-u011", "nf-u900", "nf-u015"}
    assert before["organizations"] == after["organizations"]
    assert before["terms"] == after["terms"]
    assert {row[1] for row in set(before["demographics"]) ^ set(after["demographics"])} == {"nf-u011", "nf-u900"}


@pytest.mark.parametrize("version", VERSIONS)
def test_days_of_changes_make_the_roster_that_a_whole_one_makes(tmp_path: Path, version: str) -> None:
    """Two deltas in a row, each on what the one before has left: every record is as a bulk of that day has it."""
    days = [Moment(), Moment(churn=0.05), Moment(churn=0.2)]
    given = {"format": version, "guardians": True, "optional": True}
    rosters.write(tmp_path / "first", **SIZE, **given)
    records = kept(tmp_path / "first", tmp_path / "records0")
    for number, (before, after) in enumerate(pairwise(days)):
        rosters.write(tmp_path / f"whole{number}", **SIZE, moment=after, **given)
        rosters.write_delta(tmp_path / f"delta{number}", **SIZE, before=before, after=after, **given)
        with checked(tmp_path / f"whole{number}") as (db, result):
            wanted = contents(db)
        with checked(tmp_path / f"delta{number}", onto=records, keep=tmp_path / f"records{number + 1}") as (db, result):
            assert found(db, result) == []
            assert contents(db) == wanted
        records = tmp_path / f"records{number + 1}"
    # The same changes once more change nothing, and a manifest alone says that nothing has changed.
    manifest(tmp_path / "nothing", version.removeprefix("oneroster-"), users="absent", orgs="absent", classes="absent")
    for again in (tmp_path / "delta1", tmp_path / "nothing"):
        with checked(again, onto=records) as (db, result):
            assert found(db, result) == []
            assert contents(db) == wanted


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A small district as a bulk package, and the records it leaves (in `records`)."""
    folder = tmp_path / "small"
    manifest(folder, orgs="bulk", users="bulk", roles="bulk", classes="bulk", enrollments="bulk")
    write(folder, "orgs.csv", "sourcedId,status,dateLastModified,name,type", "s1,,,North,school")
    write(
        folder,
        "users.csv",
        "sourcedId,status,dateLastModified,enabledUser,username,givenName,familyName,grades,password,metadata.bus",
        "u1,,,true,ana,Ana,Silva,03,Fjord-2026,7",
        "u2,,,true,ole,Ole,Berg,05,Fjord-2026,8",
        "t1,,,true,grace,Grace,Okafor,,Fjord-2026,",
    )
    write(
        folder,
        "roles.csv",
        "sourcedId,status,dateLastModified,userSourcedId,roleType,role,orgSourcedId",
        "r1,,,u1,primary,student,s1",
        "r2,,,u2,primary,student,s1",
        "r3,,,t1,primary,teacher,s1",
    )
    write(
        folder,
        "classes.csv",
        "sourcedId,status,dateLastModified,title,courseSourcedId,classType,schoolSourcedId,termSourcedIds",
        "c1,,,Math,,scheduled,s1,",
    )
    write(
        folder,
        "enrollments.csv",
        "sourcedId,status,dateLastModified,classSourcedId,schoolSourcedId,userSourcedId,role",
        "e1,,,c1,s1,u1,student",
        "e2,,,c1,s1,u2,student",
        "e3,,,c1,s1,t1,teacher",
    )
    return folder


def ids(db: duckdb.DuckDBPyConnection, table: str) -> list[str]:
    return [row[0] for row in db.execute(f"SELECT source_id FROM roster.{table} ORDER BY 1").fetchall()]


def usual(db: duckdb.DuckDBPyConnection, result: Checked) -> list[tuple[str, str, int | None]]:
    """What is found besides the empty cells of the small district."""
    quiet = {"expected-value", "expected-column", "missing-referenced-file"}
    return [one for one in found(db, result) if one[0] not in quiet]


def test_changes_need_a_roster_that_they_belong_to(small: Path, tmp_path: Path) -> None:
    """None, one of another format, one that could not be read whole: fatal, and nobody is gone for that."""
    delta = tmp_path / "delta"
    manifest(delta, users="delta")
    head = "sourcedId,status,dateLastModified,enabledUser,username,givenName,familyName"
    write(delta, "users.csv", head, "u1,tobedeleted,2026-10-05,true,ana,Ana,Silva")
    with checked(delta) as (db, result):
        assert result.fatal
        assert usual(db, result) == [("delta-without-base", "manifest.csv", None)]
    manifest(tmp_path / "older", "1.1", users="delta")
    write(
        tmp_path / "older",
        "users.csv",
        head + ",orgSourcedIds,role",
        "u1,active,2026-10-05,true,ana,Ana,Silva,s1,student",
    )
    records = kept(small, tmp_path / "records")
    with checked(tmp_path / "older", onto=records) as (db, result):
        assert result.fatal
        assert "oneroster-1.2" in next(one.message for one in result.findings(db) if one.rule == "delta-without-base")
    with (small / "users.csv").open("a", encoding="utf-8") as file:
        file.write("u9,,,true,kim,Kim\n")
    with checked(delta, onto=kept(small, tmp_path / "torn")) as (db, result):
        assert result.fatal
        assert ("delta-without-base", "manifest.csv", None) in found(db, result)


def test_a_wrong_row_of_a_delta_is_no_removal(small: Path, tmp_path: Path) -> None:
    """A row that cannot be read leaves the record as it is known; one with an error is listed as left out."""
    records = kept(small, tmp_path / "records")
    delta = tmp_path / "delta"
    manifest(delta, users="delta")
    write(
        delta,
        "users.csv",
        "sourcedId,status,dateLastModified,enabledUser,username,givenName,familyName",
        "u1,active,2026-10-05,true,ana",
        "u2,,2026-10-05,true,ole,Ole,Berg",
        "t1,active,2026-10-05,true,two words,Grace,Okafor",
    )
    with checked(delta, onto=records) as (db, result):
        assert not result.fatal
        assert [one[:1] + one[2:] for one in usual(db, result)] == [
            ("ragged-row", 2),
            ("status-missing", 3),
            ("invalid-username", 4),
        ]
        assert ids(db, "people") == ["u1"]
        result.leave_out(db)
        out = db.execute("SELECT DISTINCT source_id FROM roster.left_out WHERE kind = 'people' ORDER BY 1").fetchall()
        assert [row[0] for row in out] == ["t1", "u2", None], "whom the first row is about nobody can tell"


def test_what_hangs_on_a_deleted_record_waits_until_it_is_back(small: Path, tmp_path: Path) -> None:
    """The enrollments of a class that a delta deletes do not count; they do when another delta brings it back."""
    records = kept(small, tmp_path / "records")
    head = "sourcedId,status,dateLastModified,title,courseSourcedId,classType,schoolSourcedId,termSourcedIds"
    for day, status, left in ((1, "tobedeleted", 0), (2, "active", 3)):
        delta = tmp_path / f"delta{day}"
        manifest(delta, classes="delta")
        write(delta, "classes.csv", head, f"c1,{status},2026-10-0{day}T00:00:00Z,Math,,scheduled,s1,")
        with checked(delta, onto=records, keep=tmp_path / f"records{day}") as (db, result):
            orphans = [("kept-orphan", "enrollments.csv", None)] if status == "tobedeleted" else []
            assert usual(db, result) == orphans
            assert len(ids(db, "enrollments")) == left
        records = tmp_path / f"records{day}"


def test_an_old_package_changes_nothing(small: Path, tmp_path: Path) -> None:
    """A row that is earlier than what is known of its record is passed over, and said."""
    head = "sourcedId,status,dateLastModified,enabledUser,username,givenName,familyName"
    records = kept(small, tmp_path / "records")
    for number, (day, name) in enumerate((("2026-10-05T00:00:00Z", "Ana Maria"), ("2026-10-04T00:00:00Z", "Anna"))):
        delta = tmp_path / f"delta{number}"
        manifest(delta, users="delta")
        write(delta, "users.csv", head, f"u1,active,{day},true,ana,{name},Silva")
        with checked(delta, onto=records, keep=tmp_path / f"records{number}") as (db, result):
            assert [one[0] for one in usual(db, result)] == ["stale-row"] * number
            named = db.execute("SELECT given_name FROM roster.people WHERE source_id = 'u1'").fetchall()
            assert named == [("Ana Maria",)]
        records = tmp_path / f"records{number}"


def test_one_package_may_hold_whole_files_and_changes(small: Path, tmp_path: Path) -> None:
    """A bulk file replaces all there was of it, a delta changes its own, what is absent stays."""
    records = kept(small, tmp_path / "records")
    mixed = tmp_path / "mixed"
    manifest(mixed, enrollments="bulk", users="delta", orgs="absent")
    write(
        mixed,
        "enrollments.csv",
        "sourcedId,status,dateLastModified,classSourcedId,schoolSourcedId,userSourcedId,role",
        "e3,,,c1,s1,t1,teacher",
    )
    head = "sourcedId,status,dateLastModified,enabledUser,username,givenName,familyName"
    write(mixed, "users.csv", head, "u2,tobedeleted,2026-10-05,,,,")
    with checked(mixed, onto=records) as (db, result):
        assert usual(db, result) == [("kept-orphan", "roles.csv", None)]
        assert ids(db, "enrollments") == ["t1"]
        assert ids(db, "people") == ["t1", "u1"]
        assert ids(db, "organizations") == ["s1"]


def test_marks_in_whole_files_are_told(small: Path, tmp_path: Path) -> None:
    """All active: said and no more. A deleted row counts as gone. Some rows without a mark: an error, no removal."""
    text = (small / "users.csv").read_text(encoding="utf-8")

    def marked(*marks: str) -> list[tuple[str, str, int | None]]:
        lines = text.splitlines()
        rows = [line.replace(",,,", f",{mark},,", 1) for line, mark in zip(lines[1:], marks, strict=True)]
        write(small, "users.csv", lines[0], *rows)
        with checked(small) as (db, result):
            people.append(ids(db, "people"))
            return [one for one in usual(db, result) if "status" in one[0] or "deleted" in one[0]]

    people: list[list[str]] = []
    assert marked("active", "active", "Active") == [("status-in-bulk", "users.csv", None)]
    assert marked("active", "tobedeleted", "active") == [("deleted-in-bulk", "users.csv", 3)]
    assert marked("active", "", "active") == [("status-missing", "users.csv", 3)]
    assert people == [["t1", "u1", "u2"], ["t1", "u1"], ["t1", "u1"]]


def test_the_manifest_may_be_wrong_and_a_promised_file_may_not_be_missing(small: Path) -> None:
    """The files count; one that the manifest names and that is not there never means that it is empty."""
    modes = {"orgs": "bulk", "users": "bulk", "roles": "bulk", "classes": "absent", "enrollments": "bulk"}
    manifest(small, **modes, demographics="bulk", courses="maybe")
    with checked(small) as (db, result):
        assert usual(db, result) == [
            ("missing-file", "demographics.csv", None),
            ("manifest-differs", "manifest.csv", None),
            ("manifest-differs", "manifest.csv", None),
        ]
        assert result.fatal
        assert ids(db, "classes") == ["c1"]


def test_records_hold_no_password_and_nothing_that_the_profile_does_not_allow(small: Path, tmp_path: Path) -> None:
    """What waits for the next delta is what a snapshot may hold."""
    allowed = Policy(profile_name="x", domains={"student": "a.example", "teacher": "b.example"})
    for fields in ((), ("extras",)):
        folder = tmp_path / "records"
        policy = Policy(profile_name="x", domains=allowed.domains, fields=fields)
        with checked(small, keep=folder, policy=policy) as (_, result):
            assert not result.fatal
        with duckdb.connect() as db:
            columns = {row[0] for row in db.execute(f"DESCRIBE FROM '{folder}/users.parquet'").fetchall()}
        assert ("metadata.bus" in columns) == bool(fields)
        assert "password" not in columns
        assert not any(b"Fjord" in path.read_bytes() for path in folder.iterdir())


def test_a_finding_about_a_kept_row_says_where_it_stands(small: Path, tmp_path: Path) -> None:
    """File and line of the upload that said it; what hangs on it is one entry with it."""
    records = kept(small, tmp_path / "records")
    delta = tmp_path / "delta"
    manifest(delta, users="delta")
    head = "sourcedId,status,dateLastModified,enabledUser,username,givenName,familyName"
    write(delta, "users.csv", head, "u3,active,2026-10-05,true,ole,Olav,Berg")
    with checked(delta, onto=records) as (db, result):
        twins = [one for one in result.findings(db) if one.rule == "duplicate-username"]
        assert [(one.file, one.line) for one in twins] == [("users.csv", 2)]
        assert "line 3 of users.csv" in twins[0].message
        causes.entries(db)


def test_one_person_is_erased_from_the_records(small: Path, tmp_path: Path) -> None:
    """Every row about them goes, and nobody else's."""
    run = tmp_path / "run"
    run.mkdir()
    records = kept(small, run / "records")
    erased_files.erase(run, Traces(object_id="x", keys={1}, names={"U1", "ana@pupils.example"}))
    with duckdb.connect() as db:
        for table, column, left in (
            ("users", "source_id", ["t1", "u2"]),
            ("roles", "user_id", ["t1", "u2"]),
            ("enrollments", "user_id", ["t1", "u2"]),
            ("classes", "source_id", ["c1"]),
        ):
            there = db.execute(f"SELECT {column} FROM '{records}/{table}.parquet' ORDER BY 1").fetchall()
            assert [row[0] for row in there] == left
    assert not any(b"Silva" in path.read_bytes() for path in records.iterdir())


@pytest.mark.parametrize("fields", [("birthDate",), ("gender",), ("demographics",), ("accounts", "extras")])
def test_a_delta_means_the_same_whatever_a_profile_keeps(
    samples: Path, tmp_path: Path, fields: tuple[str, ...]
) -> None:
    """What a row is for is read along with whatever of it is allowed: a deleted row is deleted."""
    policy = Policy(profile_name="x", domains={"student": "a.example", "teacher": "b.example"}, fields=fields)
    records = tmp_path / "records"
    with checked(samples / "oneroster-1.2-bulk-generated", keep=records, policy=policy) as (_, result):
        assert not result.fatal
    with checked(samples / "oneroster-1.2-delta-generated", onto=records, policy=policy) as (db, result):
        assert found(db, result) == []
