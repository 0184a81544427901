"""Rosters in other formats: nothing is lost that both can hold, and what cannot be held is counted."""

from __future__ import annotations

import csv
import json
import tempfile
import zipfile
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schoolsync import convert
from schoolsync.cli import convert as command
from schoolsync.testing import rosters

from ..conftest import NIGHTLY
from .rereading import DAY, held, read, same, write

SIZE = {"people": 60, "classes": 9, "enrollments": 180}
LARGE = [HealthCheck.too_slow, HealthCheck.data_too_large]


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same district in every format, with families and everything optional."""
    folder = tmp_path_factory.mktemp("generated")
    for name in rosters.FORMATS:
        rosters.write(folder / name, **SIZE, format=name, guardians=True, optional=True)
    return folder


@pytest.mark.parametrize("to", convert.TARGETS)
@pytest.mark.parametrize("kind", sorted(rosters.FORMATS))
def test_there_and_back(generated: Path, tmp_path: Path, kind: str, to: str) -> None:
    """From every format to every target: what the target holds is read back from it; and once more on the way back."""
    with read(generated / kind, kind, passwords=True) as first:
        original = held(first, to)
        back = kind if kind in convert.TARGETS else to
        both = held(first, to, back)
        write(first, to, tmp_path / "there")
    with read(tmp_path / "there", to, passwords=True) as second:
        same(held(second, to), original)
        write(second, back, tmp_path / "back")
    with read(tmp_path / "back", back) as third:
        same(held(third, to, back), both)


def test_what_is_lost_is_counted(generated: Path, tmp_path: Path) -> None:
    """Column by column: those of SDS V1 that OneRoster has no place for, and the other way round."""
    with read(generated / "sds-v1", "sds-v1") as db:
        lost = write(db, "oneroster-1.2", tmp_path / "a")
    assert lost["people.state_id"] == 60
    assert lost["organizations.nces_id"] == 2
    assert "people.username" not in lost
    with read(generated / "oneroster-1.2", "oneroster-1.2") as db:
        lost = write(db, "sds-v1", tmp_path / "b")
    assert lost["organizations that are no schools"] == 1
    assert lost["classes.location"] == 9
    assert not [one for one in lost if "guardian" in one], "families are held"


def test_guardians_who_become_one_user_are_counted(tmp_path: Path) -> None:
    """A user of OneRoster is the same to every child: another word for the next child is lost."""
    rosters.write(tmp_path / "v1", **SIZE, guardians=True)
    (tmp_path / "v1" / "Guardianrelationship.csv").write_text(
        "SIS ID,Email,Role\n"
        "1000001,family.1000001@home.example,Parent\n"
        "1000002,family.1000001@home.example,Guardian\n"
        "1000003,family.1000001@home.example,Parent\n"
    )
    for to in ("oneroster-1.1", "oneroster-1.2"):
        with read(tmp_path / "v1", "sds-v1") as db:
            lost = write(db, to, tmp_path / to)
        assert lost["guardians' relationships that are called by another word"] == 1


def test_ids_that_two_people_share_are_told_apart(generated: Path, tmp_path: Path) -> None:
    """SDS V1 has a student 7 and a teacher 7; the others have one list of users."""
    folder = tmp_path / "v1"
    rosters.write(folder, **SIZE, several_schools=False)
    for name in ("Teacher.csv", "TeacherRoster.csv"):
        text = (folder / name).read_text().replace("9000001,", "1000001,").replace(",9000001\n", ",1000001\n")
        (folder / name).write_text(text)
    with read(folder, "sds-v1") as db:
        lost = write(db, "sds-v2.1", tmp_path / "out")
    assert lost["ids that a student and a teacher share: the teacher is written under another one"] == 1
    with read(tmp_path / "out", "sds-v2.1") as db:
        people = dict(db.execute("SELECT source_id, role FROM roster.people").fetchall())
    assert people["1000001"] == "student"
    assert people["teacher-1000001"] == "teacher"
    assert len(people) == SIZE["people"]


def test_passwords_go_along_only_when_asked(generated: Path, tmp_path: Path) -> None:
    """By default nobody's password is in the files that are written."""
    for asked in (False, True):
        out = tmp_path / f"out{asked}"
        status = command.run(
            generated / "sds-v1",
            out,
            to="oneroster-1.2",
            format=None,
            day=date(2026, 11, 25),
            passwords=asked,
            json=True,
        )
        assert status == 0
        with (out / "users.csv").open(encoding="utf-8", newline="") as file:
            found = [row["password"] for row in csv.DictReader(file) if row["password"]]
        assert len(found) == (SIZE["people"] if asked else 0)


def test_the_command_writes_a_zip_and_says_what_is_lost(
    generated: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Files at the root of the archive; one JSON object; a place that is taken is refused."""
    out = tmp_path / "roster.zip"
    asked: dict[str, Any] = {"format": None, "day": date(2026, 11, 25), "passwords": False}
    assert command.run(generated / "sds-v2.1", out, to="oneroster-1.1", json=True, **asked) == 0
    said = json.loads(capfd.readouterr().out)
    assert (said["from"], said["to"]) == ("sds-v2.1", "oneroster-1.1")
    assert {"what": "flags", "count": 6} in said["not_held"]
    with zipfile.ZipFile(out) as archive:
        assert set(archive.namelist()) == {*said["files"], "manifest.csv"}
    assert command.run(generated / "sds-v2.1", out, to="oneroster-1.1", json=True, **asked) == 2
    assert command.run(generated / "sds-v2.1", tmp_path / "x", to="punched-cards", json=True, **asked) == 2
    assert command.run(tmp_path / "nowhere", tmp_path / "x", to="sds-v1", json=True, **asked) == 2
    assert command.run(generated / "sds-v2.1", tmp_path / "y", to="sds-v1", json=False, **asked) == 0
    assert "cannot hold" in capfd.readouterr().out


@pytest.mark.parametrize(("name", "there"), [("out", False), ("out", True), ("out.zip", False)])
def test_what_breaks_off_leaves_nothing(
    generated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, there: bool
) -> None:
    """Ctrl-C or a full disk while the files are put in their place: no half of a roster is there."""
    place = tmp_path / "place"
    place.mkdir()
    out = place / name
    if there:
        out.mkdir()
    asked: dict[str, Any] = {"to": "sds-v2.1", "format": None, "day": date(2026, 11, 25), "passwords": False}
    rename, done = Path.rename, []

    def interrupted(file: Path, *to: Any) -> Any:
        done.append(file)
        if len(done) == (3 if there else 1):
            raise KeyboardInterrupt
        return rename(file, *to)

    monkeypatch.setattr(Path, "rename", interrupted)
    monkeypatch.setattr("zipfile.ZipFile.write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        command.run(generated / "sds-v1", out, json=True, **asked)
    assert done
    assert list(place.rglob("*")) == ([out] if there else [])


def test_a_roster_is_not_written_into_itself(
    tmp_path: Path, generated: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither its folder nor a zip in it, which would be a file of it the next time."""
    folder = generated / "sds-v1"
    before = sorted(folder.iterdir())
    for out in (folder, folder / "School.csv", folder / "all.zip"):
        assert (
            command.run(folder, out, to="sds-v2.1", format=None, day=date(2026, 11, 25), passwords=False, json=True)
            == 2
        )
        assert len(capfd.readouterr().err.splitlines()) == 1
    assert sorted(folder.iterdir()) == before


def test_records_with_errors_are_left_out_and_counted(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Status 1, the rest is written; nothing is when the roster cannot be used."""
    folder = tmp_path / "v1"
    rosters.write(folder, **SIZE, dirt={"required-value": 2})
    asked: dict[str, Any] = {"to": "sds-v2.1", "format": None, "day": date(2026, 11, 25), "passwords": False}
    assert command.run(folder, tmp_path / "out", json=True, **asked) == 1
    assert json.loads(capfd.readouterr().out)["left_out"] == {"classes": 2}
    (folder / "Section.csv").unlink()
    assert command.run(folder, tmp_path / "none", json=True, **asked) == 1
    out, err = capfd.readouterr()
    assert (out, "Section.csv was not found" in err) == ("", True)
    assert not (tmp_path / "none").exists()


def test_an_ended_enrollment_does_not_come_back_to_life(generated: Path, tmp_path: Path) -> None:
    """A format without days gets only what holds on the day."""
    folder = tmp_path / "or"
    rosters.write(folder, **SIZE, format="oneroster-1.2")
    lines = (folder / "enrollments.csv").read_text().splitlines()
    lines[1] = lines[1].removesuffix(",") + ",2026-10-01"
    (folder / "enrollments.csv").write_text("\n".join(lines) + "\n")
    with read(folder, "oneroster-1.2", passwords=True) as db:
        lost = write(db, "sds-v1", tmp_path / "out")
    assert lost["enrollments that do not hold on the day of writing"] == 1
    with read(tmp_path / "out", "sds-v1") as db:
        (count,) = db.execute("SELECT count(*) FROM roster.enrollments").fetchone() or (0,)
    assert count == SIZE["enrollments"] - 1
    assert DAY > "2026-10-01"


# --- any values ----------------------------------------------------------------------------------------------------

WORDS = st.text(
    st.characters(
        exclude_categories=("Cs", "Cc", "Cn", "Zl", "Zp", "Zs", "Co", "Cf"), exclude_characters="\ufffd\ufeff"
    ),
    min_size=1,
    max_size=12,
)
VALUE = st.one_of(WORDS, st.sampled_from(['=1+1"', "a,b", '"', "''", 'O\'Brien, "Bo"', "-", "NULL", "0012", "1e5"]))
MAYBE = st.one_of(st.just(""), VALUE)


def put(folder: Path, files: dict[str, list[dict[str, str]]]) -> None:
    """Write the files of a roster."""
    for file, rows in files.items():
        with (folder / file).open("w", encoding="utf-8", newline="") as sink:
            table = csv.DictWriter(sink, list(dict.fromkeys(name for row in rows for name in row)), restval="")
            table.writeheader()
            table.writerows(rows)


@st.composite
def districts(draw: st.DrawFn) -> dict[str, list[dict[str, str]]]:
    """A small SDS V1 roster whose texts are anything."""
    schools = [
        {"SIS ID": f"o{i}", "Name": draw(VALUE), "School Number": draw(MAYBE)} for i in range(draw(st.integers(1, 3)))
    ]
    school = st.sampled_from([one["SIS ID"] for one in schools])
    terms = {
        f"t{i}": {"Term Name": draw(VALUE), "Term StartDate": "2026-09-01", "Term EndDate": f"2027-0{i + 1}-28"}
        for i in range(2)
    }
    courses = {f"k{i}": {"Course Name": draw(VALUE), "Course Number": draw(MAYBE)} for i in range(2)}
    classes = []
    for i in range(draw(st.integers(1, 4))):
        term, course = draw(st.sampled_from(["", *terms])), draw(st.sampled_from(["", *courses]))
        classes.append(
            {
                "SIS ID": f"c{i}",
                "School SIS ID": draw(school),
                "Section Name": draw(VALUE),
                "Section Number": draw(MAYBE),
                "Term SIS ID": term,
                **terms.get(term, {"Term Name": "", "Term StartDate": "", "Term EndDate": ""}),
                "Course SIS ID": course,
                **courses.get(course, {"Course Name": "", "Course Number": ""}),
                "Periods": draw(MAYBE),
            }
        )

    def person(i: int, letter: str, number: str) -> dict[str, str]:
        return {
            "SIS ID": f"{letter}{i}",
            "School SIS ID": draw(school),
            "Username": f"{letter}.user{i}",
            "First Name": draw(VALUE),
            "Last Name": draw(VALUE),
            "Password": "Fjord-2026",
            "Middle Name": draw(MAYBE),
            "Secondary Email": draw(st.sampled_from(["", f"{letter}{i}@home.example"])),
            number: draw(MAYBE),
        }

    students = [
        person(i, "s", "Student Number")
        | {
            "Grade": draw(st.sampled_from(["", "KG", "01", "12"])),
            "Birthdate": draw(st.sampled_from(["", "2015-03-04"])),
        }
        for i in range(draw(st.integers(1, 5)))
    ]
    teachers = [person(i, "t", "Teacher Number") for i in range(draw(st.integers(1, 3)))]
    pairs = st.lists(
        st.tuples(st.sampled_from([one["SIS ID"] for one in classes]), st.sampled_from(students)),
        min_size=1,
        max_size=8,
        unique_by=lambda pair: (pair[0], pair[1]["SIS ID"]),
    )
    return {
        "School.csv": schools,
        "Section.csv": classes,
        "Student.csv": students,
        "Teacher.csv": teachers,
        "StudentEnrollment.csv": [{"Section SIS ID": one, "SIS ID": who["SIS ID"]} for one, who in draw(pairs)],
        "TeacherRoster.csv": [
            {"Section SIS ID": one["SIS ID"], "SIS ID": draw(st.sampled_from(teachers))["SIS ID"]} for one in classes
        ],
    }


def _there_and_back(district: dict[str, list[dict[str, str]]], kind: str, to: str) -> None:
    """What `to` holds is read back from it, and what both hold once more on the way back."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "first").mkdir()
        put(folder / "first", district)
        with read(folder / "first", kind, passwords=True) as first:
            before = held(first, kind, to)
            there = held(first, to)
            write(first, to, folder / "there")
        with read(folder / "there", to, passwords=True) as second:
            same(held(second, to), there)
            write(second, kind, folder / "back")
        with read(folder / "back", kind) as third:
            same(held(third, kind, to), before)


@settings(deadline=None, max_examples=60 if NIGHTLY else 5, suppress_health_check=LARGE)
@given(district=districts(), to=st.sampled_from(["sds-v2.1", "oneroster-1.1", "oneroster-1.2"]))
def test_any_text_goes_there_and_comes_back(district: dict[str, list[dict[str, str]]], to: str) -> None:
    """Quotes, commas, formulas, other scripts: what both formats hold is the same after the way there and back."""
    _there_and_back(district, "sds-v1", to)


# --- everything that OneRoster can say -----------------------------------------------------------------------------

GRADES = st.sampled_from(["", "KG", "k", "1", "09", "Grade 3", "12"])
DAYS = st.sampled_from(["", "2026-09-01", "2026-10-15"])
ENDS = st.sampled_from(["", "2027-06-30", "2027-01-31"])
FLAGS = st.sampled_from(["", "true", "false"])
RELATED = st.sampled_from(["parent", "guardian", "relative", "aide", "doctor", "other"])


@st.composite
def one_rosters(draw: st.DrawFn) -> dict[str, list[dict[str, str]]]:
    """A small OneRoster 1.2 roster: a tree, years and terms, people of several roles, families, sensitive files."""
    schools = [f"o{i}" for i in range(draw(st.integers(1, 2)))]
    orgs = [{"sourcedId": "d", "name": "District", "type": "district", "identifier": "", "parentSourcedId": ""}]
    orgs += [
        {"sourcedId": one, "name": draw(VALUE), "type": "school", "identifier": draw(MAYBE), "parentSourcedId": "d"}
        for one in schools
    ]
    year = {"startDate": "2026-08-01", "endDate": "2027-07-31", "schoolYear": "2027"}
    sessions = [{"sourcedId": "y", "title": draw(VALUE), "type": "schoolYear", **year, "parentSourcedId": ""}]
    sessions += [
        {"sourcedId": f"t{i}", "title": draw(VALUE), "type": "term", **year, "parentSourcedId": "y"} for i in range(2)
    ]
    courses = [
        {"sourcedId": f"k{i}", "title": draw(VALUE), "courseCode": draw(MAYBE), "orgSourcedId": "d"} for i in range(2)
    ]
    school = st.sampled_from(schools)
    classes = [
        {
            "sourcedId": f"c{i}",
            "title": draw(VALUE),
            "grades": ",".join(draw(st.lists(st.sampled_from(["KG", "1", "09", "10"]), max_size=2, unique=True))),
            "courseSourcedId": draw(st.sampled_from(["k0", "k1"])),
            "classCode": draw(MAYBE),
            "classType": draw(st.sampled_from(["scheduled", "homeroom", "Homeroom"])),
            "location": draw(MAYBE),
            "schoolSourcedId": draw(school),
            "termSourcedIds": draw(st.sampled_from(["t0", "t1", "t0,t1"])),
            "periods": draw(MAYBE),
            "metadata.room": draw(MAYBE),
        }
        for i in range(draw(st.integers(1, 3)))
    ]
    ids = {
        "student": [f"s{i}" for i in range(draw(st.integers(1, 4)))],
        "teacher": [f"l{i}" for i in range(draw(st.integers(1, 2)))],
        "guardian": [f"g{i}" for i in range(2)],
    }
    names = {"student": ["student"], "teacher": ["teacher", "Teacher"], "guardian": ["parent"]}
    users, roles, demographics = [], [], []
    for kind, some in ids.items():
        for one in some:
            agents = (
                draw(st.lists(st.sampled_from(ids["guardian"]), max_size=2, unique=True)) if kind == "student" else []
            )
            users.append(
                {
                    "sourcedId": one,
                    "enabledUser": "true",
                    "username": f"user.{one}",
                    "givenName": draw(VALUE),
                    "familyName": draw(VALUE),
                    "middleName": draw(MAYBE),
                    "identifier": draw(MAYBE),
                    "email": f"{one}@home.example"
                    if kind == "guardian"
                    else draw(st.sampled_from(["", f"{one}@a.example"])),
                    "phone": draw(st.sampled_from(["", "555-0100"])) if kind == "guardian" else "",
                    "agentSourcedIds": ",".join(agents),
                    "grades": draw(GRADES) if kind == "student" else "",
                    "password": "Fjord-2026",
                    "metadata.bus": draw(MAYBE),
                }
            )
            places = (
                draw(st.permutations(schools))[: draw(st.integers(1, len(schools)))] if kind != "guardian" else ["d"]
            )
            for place, where in enumerate(places):
                roles.append(
                    {
                        "sourcedId": f"r{one}{place}",
                        "userSourcedId": one,
                        "roleType": "secondary" if place else "primary",
                        "role": draw(st.sampled_from(names[kind])),
                        "beginDate": draw(DAYS),
                        "endDate": draw(ENDS),
                        "orgSourcedId": where,
                    }
                )
            if kind == "student" and draw(st.booleans()):
                demographics.append(
                    {
                        "sourcedId": one,
                        "birthDate": draw(st.sampled_from(["", "2015-03-04"])),
                        "sex": draw(st.sampled_from(["", "female", "Male"])),
                        "asian": draw(FLAGS),
                        "white": draw(FLAGS),
                        "hispanicOrLatinoEthnicity": draw(FLAGS),
                        "cityOfBirth": draw(MAYBE),
                    }
                )
    pairs = st.tuples(st.sampled_from(classes), st.sampled_from([*ids["student"], *ids["teacher"]]))
    drawn = [(classes[0], "s0"), (classes[0], "l0"), *draw(st.lists(pairs, max_size=5))]
    links = {(one["sourcedId"], who): (one, who) for one, who in drawn}.values()
    enrollments = [
        {
            "sourcedId": f"e{number}",
            "classSourcedId": one["sourcedId"],
            "schoolSourcedId": one["schoolSourcedId"],
            "userSourcedId": who,
            "role": "student" if who in ids["student"] else "teacher",
            "primary": draw(FLAGS),
            "beginDate": draw(DAYS),
            "endDate": draw(ENDS),
        }
        for number, (one, who) in enumerate(links)
    ]
    files = {
        "orgs.csv": orgs,
        "academicSessions.csv": sessions,
        "courses.csv": courses,
        "classes.csv": classes,
        "users.csv": users,
        "roles.csv": roles,
        "enrollments.csv": enrollments,
        "demographics.csv": demographics,
    }
    return {name: rows for name, rows in files.items() if rows}


@settings(deadline=None, max_examples=60 if NIGHTLY else 6, suppress_health_check=LARGE)
@given(district=one_rosters(), to=st.sampled_from(sorted(convert.TARGETS)))
def test_whatever_one_roster_says_goes_there_and_comes_back(district: dict[str, list[dict[str, str]]], to: str) -> None:
    """Families, several roles and schools, terms, flags, coded values in any spelling: what both hold is the same."""
    _there_and_back(district, "oneroster-1.2", to)


# --- everything that SDS V2.1 can say ------------------------------------------------------------------------------


@st.composite
def second_rosters(draw: st.DrawFn, *, words: st.SearchStrategy[str] = RELATED) -> dict[str, list[dict[str, str]]]:
    """A small SDS V2.1 roster: a tree, years and terms, roles by year, flags of pupils, families, sensitive files."""
    schools = [f"o{i}" for i in range(draw(st.integers(1, 2)))]
    orgs = [{"sourcedId": "d", "name": draw(VALUE), "type": "district", "parentSourcedId": ""}]
    orgs += [{"sourcedId": one, "name": draw(VALUE), "type": "school", "parentSourcedId": "d"} for one in schools]
    year = {"startDate": "2026-08-01", "endDate": "2027-07-31", "schoolYear": "2026"}
    sessions = [
        {"sourcedId": one, "title": draw(VALUE), "type": kind, **year}
        for one, kind in (("y", "schoolYear"), ("t0", "term"), ("t1", "semester"))
    ]
    courses = [
        {
            "sourcedId": f"k{i}",
            "orgSourcedId": draw(st.sampled_from(["d", *schools])),
            "title": draw(VALUE),
            "code": draw(MAYBE),
            "schoolYearSourcedId": draw(st.sampled_from(["", "y"])),
        }
        for i in range(2)
    ]
    classes = [
        {
            "sourcedId": f"c{i}",
            "orgSourcedId": draw(st.sampled_from(schools)),
            "title": draw(VALUE),
            "sessionSourcedIds": draw(st.sampled_from(["", "t0", "t0,t1"])),
            "courseSourcedId": draw(st.sampled_from(["", "k0", "k1"])),
            "code": draw(MAYBE),
        }
        for i in range(draw(st.integers(1, 3)))
    ]
    ids = {
        "student": [f"s{i}" for i in range(draw(st.integers(1, 4)))],
        "teacher": [f"l{i}" for i in range(draw(st.integers(1, 2)))],
        "guardian": [f"g{i}" for i in range(2)],
    }
    said = {one: draw(words) for one in ids["guardian"]}
    users, roles, demographics, flags, relationships = [], [], [], [], []
    for kind, some in ids.items():
        for one in some:
            family = kind == "guardian"
            users.append(
                {
                    "sourcedId": one,
                    "username": f"user.{one}",
                    "givenName": draw(VALUE),
                    "familyName": draw(VALUE),
                    "password": "" if family else "Fjord-2026",
                    "email": f"{one}@home.example" if family else draw(st.sampled_from(["", f"{one}@a.example"])),
                    "phone": draw(st.sampled_from(["", "+14255550100"])) if family else "",
                }
            )
            if family:
                continue
            for place, where in enumerate(draw(st.permutations(schools))[: draw(st.integers(1, len(schools)))]):
                roles.append(
                    {
                        "userSourcedId": one,
                        "orgSourcedId": where,
                        "role": kind,
                        "sessionSourcedId": draw(st.sampled_from(["", "y"])),
                        "grade": draw(st.sampled_from(["", "KG", "01", "12"])) if kind == "student" else "",
                        "isPrimary": "false" if place else "true",
                        "roleStartDate": draw(DAYS),
                        "roleEndDate": draw(ENDS),
                    }
                )
            if kind == "teacher":
                continue
            flags += [
                {"userSourcedId": one, "flag": flag}
                for flag in draw(st.lists(st.sampled_from(["ell", "iep", "freeLunch"]), max_size=2, unique=True))
            ]
            relationships += [
                {"userSourcedId": one, "relationshipUserSourcedId": who, "relationshipRole": said[who]}
                for who in draw(st.lists(st.sampled_from(ids["guardian"]), max_size=2, unique=True))
            ]
            if draw(st.booleans()):
                demographics.append(
                    {
                        "userSourcedId": one,
                        "sex": draw(st.sampled_from(["", "female", "male"])),
                        "birthDate": draw(st.sampled_from(["", "2015-03-04"])),
                        "birthCity": draw(MAYBE),
                    }
                )
    pairs = st.tuples(st.sampled_from(classes), st.sampled_from([*ids["student"], *ids["teacher"]]))
    drawn = [(classes[0], "s0"), (classes[0], "l0"), *draw(st.lists(pairs, max_size=5))]
    enrollments = [
        {"classSourcedId": one, "userSourcedId": who, "role": "student" if who in ids["student"] else "teacher"}
        for one, who in dict.fromkeys((one["sourcedId"], who) for one, who in drawn)
    ]
    files = {
        "orgs.csv": orgs,
        "academicSessions.csv": sessions,
        "courses.csv": courses,
        "classes.csv": classes,
        "users.csv": users,
        "roles.csv": roles,
        "enrollments.csv": enrollments,
        "demographics.csv": demographics,
        "userFlags.csv": flags,
        "relationships.csv": relationships,
    }
    return {name: rows for name, rows in files.items() if rows}


@settings(deadline=None, max_examples=60 if NIGHTLY else 6, suppress_health_check=LARGE)
@given(data=st.data(), to=st.sampled_from(sorted(convert.TARGETS)))
def test_whatever_sds_v2_says_goes_there_and_comes_back(data: st.DataObject, to: str) -> None:
    """Flags, families, roles of a year, terms: what both formats hold is the same.

    OneRoster has three words for families; others are counted as lost, which has a test of its own.
    """
    words = st.sampled_from(["parent", "guardian", "relative"]) if to.startswith("oneroster") else RELATED
    _there_and_back(data.draw(second_rosters(words=words)), "sds-v2.1", to)
