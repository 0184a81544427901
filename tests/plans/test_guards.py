"""What holds a plan: every guard just below and just above its limit, and what people are told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb
import msgspec
import pytest

from schoolsync import ticks
from schoolsync.plan import guards
from schoolsync.plan.desired import Terms
from schoolsync.plan.policy import Guards, Policy, Window
from schoolsync.plan.verdicts import LISTED, Settled

from ..german import assert_german
from .districts import (
    CREATES,
    DISTRICT,
    NOW,
    Directory,
    Roster,
    attends,
    engine,
    enrolled,
    left_out,
    person,
    school,
    section,
)

pytestmark = pytest.mark.nightly("postgresql")  # on SQLite by day: how rows are written has tests on both

STRICT = msgspec.structs.replace(CREATES, guards=Guards())
DAY = 24 * 3600 * ticks.PER_SECOND


@pytest.fixture
def db() -> Iterator[duckdb.DuckDBPyConnection]:
    """The tables that guards read, empty."""
    connection = duckdb.connect()
    connection.execute("CREATE SCHEMA planned")
    guards.prepare(connection)
    connection.execute("CREATE TABLE planned.own (kind VARCHAR, source_id VARCHAR, key BIGINT)")
    connection.execute("CREATE TABLE planned.others (kind VARCHAR, source_id VARCHAR, key BIGINT)")
    connection.execute(
        "CREATE TABLE planned.renumbered (kind VARCHAR, old_id VARCHAR, new_id VARCHAR, id VARCHAR, of_school VARCHAR)"
    )
    yield connection
    connection.close()


def judged(db: duckdb.DuckDBPyConnection, settings: Guards | None = None) -> Settled:
    policy = Policy(profile_name="Fjord", guards=settings or Guards())
    said = guards.settled(db, Terms(tenant_id="t", profile=1, living=(1,), policy=policy, now=NOW))
    assert_german(said.sentence, *(one.sentence for one in said.verdicts))
    return said


def counted(db: duckdb.DuckDBPyConnection, kind: str, where: str | None, **counts: int) -> None:
    """One row of counts."""
    row: dict[str, Any] = {"held": 100, "going": 0, "rejected": 0, "changing": 0, "said": 1, **counts}
    db.execute(
        "INSERT INTO planned.endangered VALUES ($kind, $school, $held, $going, $rejected, $changing, $said)",
        {"kind": kind, "school": where, **row},
    )


def gone_lately(db: duckdb.DuckDBPyConnection, kind: str, where: str | None, held: int, gone: int) -> None:
    db.execute("INSERT INTO planned.lately VALUES (?, ?, ?, ?)", [kind, where, held, gone])


CASES: list[tuple[str, dict[str, Any], dict[str, Any], Guards]] = [
    # guard, counts just below, counts just above
    ("removals", {"going": 10}, {"going": 11}, Guards()),
    ("removals", {"held": 40, "going": 5}, {"held": 40, "going": 6}, Guards()),
    ("removals", {"held": 3, "going": 3}, {"held": 6, "going": 6}, Guards()),
    ("removals", {"going": 4, "rejected": 6}, {"going": 4, "rejected": 7}, Guards()),
    ("removals", {"rejected": 10}, {"rejected": 11}, Guards()),
    ("removals", {"held": 1_000_000, "going": 100_000}, {"held": 1_000_000, "going": 100_001}, Guards()),
    ("removals", {"going": 20}, {"going": 21}, Guards(removal_percent=20)),
    ("removals", {"held": 9_000, "going": 50}, {"held": 9_000, "going": 51}, Guards(removal_count=50)),
    ("removals", {"held": 10, "going": 8}, {"held": 10, "going": 9}, Guards(removal_least=8)),
    ("updates", {"changing": 75}, {"changing": 76}, Guards()),
    ("updates", {"held": 6, "changing": 5}, {"held": 6, "changing": 6}, Guards()),
    ("emptied", {"going": 0, "said": 0}, {"going": 1, "said": 0}, Guards()),
    ("emptied", {"going": 1, "said": 1}, {"going": 1, "said": 0}, Guards()),
]


@pytest.mark.parametrize(("guard", "below", "above", "settings"), CASES)
@pytest.mark.parametrize("where", [None, "101"])
def test_just_below_passes_and_just_above_holds(
    db: duckdb.DuckDBPyConnection,
    guard: str,
    below: dict[str, Any],
    above: dict[str, Any],
    settings: Guards,
    where: str,
) -> None:
    """In the profile and in one school alike, where the guard looks at schools."""
    counted(db, "teacherRoster", where, **below)
    assert judged(db, settings).count == 0
    db.execute("DELETE FROM planned.endangered")
    counted(db, "teacherRoster", where, **above)
    said = judged(db, settings)
    if where is not None and guard == "emptied":
        assert said.count == 0
        return
    assert [one.guard for one in said.verdicts] == [guard]
    assert said.verdicts[0].scope == ("profile" if where is None else "school")
    assert said.sentence is not None
    assert said.sentence.startswith("Nothing was changed: ")
    assert "teacher assignments" in said.sentence


@pytest.mark.parametrize(
    ("held", "going", "holds"),
    [
        (10_000, 500, False),
        (10_000, 501, True),
        (600, 59, False),
        (1_000_000, 10_000, False),
        (1_000_000, 10_001, True),
    ],
)
def test_many_people_who_leave_always_hold(db: duckdb.DuckDBPyConnection, held: int, going: int, holds: bool) -> None:
    """More than 1 % and more than 500, pupils and teachers together."""
    counted(db, "student", None, held=held - 100, going=going - 9)
    counted(db, "teacher", None, held=100, going=9)
    assert [one.guard for one in judged(db).verdicts] == (["leavers"] if holds else [])


def test_an_ordinary_day_of_a_million_passes(db: duckdb.DuckDBPyConnection) -> None:
    """1 % of everything goes and comes in a district of a million."""
    for kind, held in (("student", 1_000_000), ("section", 280_000), ("studentEnrollment", 7_000_000)):
        counted(db, kind, None, held=held, going=held // 100, changing=held // 100)
    assert judged(db).count == 0


@pytest.mark.parametrize(("before", "going", "holds"), [(8, 2, False), (8, 3, True), (0, 10, False), (10, 1, True)])
def test_a_school_does_not_bleed_slowly(db: duckdb.DuckDBPyConnection, before: int, going: int, holds: bool) -> None:
    """What went in the days before counts, measured by what there was then."""
    counted(db, "student", "101", held=100 - before, going=going)
    if before:
        gone_lately(db, "student", "101", 100, before)
    assert [one.guard for one in judged(db).verdicts] == (["window"] if holds else [])
    assert judged(db, Guards(window_days=0)).count == 0


def test_a_school_that_disappears_holds(db: duckdb.DuckDBPyConnection) -> None:
    """One of thirty is under every percentage, and still a school."""
    counted(db, "school", None, held=30, going=1)
    counted(db, "school", "101", held=1, going=1)
    (one,) = judged(db).verdicts
    assert (one.guard, one.scope, one.scope_id) == ("school-gone", "school", "101")
    assert judged(db, Guards(school_gone=False)).count == 0


def test_renumbering_and_other_people_cannot_be_switched_off(db: duckdb.DuckDBPyConnection) -> None:
    """They hold at any setting of the percentages for removals."""
    counted(db, "student", None, held=100, going=0)
    for number in range(11):
        db.execute("INSERT INTO planned.renumbered VALUES ('student', ?, ?, 'i', 'A')", [f"o{number}", f"n{number}"])
    db.execute("INSERT INTO planned.others VALUES ('teacher', '9', 1)")
    said = judged(db)
    assert {one.guard: one.holds for one in said.verdicts} == {"renumbered": "everything", "other-person": "updates"}
    db.execute("DELETE FROM planned.renumbered WHERE old_id = 'o1'")
    assert [one.guard for one in judged(db).verdicts] == ["other-person"]


@pytest.mark.parametrize(("least", "found", "holds"), [(0, 0, False), (0, 1, True), (3, 3, False), (3, 4, True)])
def test_accounts_made_by_hand_are_taken_over_with_a_yes(
    db: duckdb.DuckDBPyConnection, least: int, found: int, holds: bool
) -> None:
    """Each kind by itself, and by number alone."""
    db.execute("INSERT INTO planned.adopting SELECT 'student', range::VARCHAR FROM range($1)", [found])
    said = judged(db, Guards(adoption_least=least))
    assert [one.guard for one in said.verdicts] == (["adoptions"] if holds else [])


def test_verdicts_are_counted_even_when_they_are_too_many_to_list(db: duckdb.DuckDBPyConnection) -> None:
    """The widest comes first; a thousand schools do not make an endless message."""
    for number in range(1000):
        counted(db, "student", f"{number}", held=10, going=6)
    counted(db, "student", None, held=10_000, going=6_000)
    said = judged(db)
    assert said.count == 1002
    assert len(said.verdicts) <= LISTED
    assert (said.verdicts[0].scope, said.verdicts[0].kind) == ("profile", "student")
    assert said.sentence is not None
    assert "1,001 more guards" in said.sentence


# --- whole plans --------------------------------------------------------------------------------------------------


def district(pupils: int, *, schools: str = "A") -> Roster:
    """So many pupils at each school, all of a school in one class."""
    people = [person("student", f"{place}{n}", place) for place in schools for n in range(pupils)]
    return Roster(
        {
            "organizations": tuple(school(place) for place in schools),
            "classes": tuple(section(f"K{place}", place) for place in schools),
            "people": tuple(people),
            "person_organizations": tuple(attends("student", one["source_id"], one["school_id"]) for one in people),
            "enrollments": tuple(enrolled(f"K{one['school_id']}", "student", one["source_id"]) for one in people),
        }
    )


def without_pupils(roster: Roster, *ids: str) -> Roster:
    for one in ids:
        roster = roster.left_without_person("student", one)
    return roster


def guards_of(
    directory: Directory, roster: Roster, policy: Policy = STRICT, **values: Any
) -> set[tuple[str, str, str]]:
    """Sync, and say which guards hold it: guard, kind, scope."""
    before = directory.touched()
    outcome = directory.sync(roster, policy=policy, **values)
    assert outcome.planned is not None
    if outcome.planned.held:
        assert directory.touched() == before
    return {(one.guard, one.kind, one.scope) for one in outcome.planned.verdicts}


def test_a_small_school_is_protected_in_a_large_district(directory: Directory) -> None:
    """Six of its forty pupils are 15 % of the school and nothing of the district; five pass."""
    roster = district(40).plus("organizations", school("B")).plus("classes", section("KB", "B"))
    for number in range(100):
        roster = (
            roster.plus("people", person("student", f"B{number}", "B"))
            .plus("person_organizations", attends("student", f"B{number}", "B"))
            .plus("enrollments", enrolled("KB", "student", f"B{number}"))
        )
    directory.sync(roster, policy=STRICT)
    held = guards_of(directory, without_pupils(roster, *(f"A{n}" for n in range(6))))
    assert held == {("removals", kind, "school") for kind in ("student", "studentSchools", "studentEnrollment")}
    assert guards_of(directory, without_pupils(roster, *(f"A{n}" for n in range(5)))) == set()


def test_half_a_class_holds_and_less_does_not(directory: Directory) -> None:
    """The class stays in the roster; its pupils stay in the school."""
    roster = district(100)
    small = roster.plus("classes", section("K", "A"))
    for number in range(10):
        small = small.plus("enrollments", enrolled("K", "student", f"A{number}"))
    directory.sync(small, policy=STRICT)
    less = small
    for number in range(4):
        less = less.without("enrollments", class_id="K", source_id=f"A{number}")
    half = less.without("enrollments", class_id="K", source_id="A4")
    assert guards_of(directory, half) == {("class-halved", "studentEnrollment", "class")}
    assert guards_of(directory, less) == set()


def test_records_that_are_left_out_count_as_endangered(directory: Directory) -> None:
    """Two gone and four that cannot be read are six of forty; nobody of the four would go by itself."""
    roster = district(40)
    directory.sync(roster, policy=STRICT)
    wrong = without_pupils(roster, *(f"A{n}" for n in range(6)))
    for number in range(4):
        wrong = wrong.plus("left_out", left_out("people", f"A{number}", role="student"))
    held = guards_of(directory, wrong, ignore_findings=True)
    assert ("removals", "student", "school") in held
    outcome = directory.sync(wrong, policy=STRICT, ignore_findings=True)
    assert outcome.planned is not None
    (one,) = [one for one in outcome.planned.verdicts if (one.kind, one.scope) == ("student", "profile")]
    assert (one.endangered, one.rejected, one.of, one.limit) == (6, 4, 40, 5)


def test_a_new_sis_that_numbers_anew_is_recognised(directory: Directory) -> None:
    """The same people under other ids: held as renumbered, with a proposal, and not as leavers and newcomers."""
    roster = district(12)
    directory.sync(roster, policy=STRICT)
    renamed: dict[str, Any] = {}
    for table, rows in roster.tables.items():
        renamed[table] = tuple(
            {**row, "source_id": f"N{row['source_id']}"} if row.get("role") == "student" else row for row in rows
        )
    assert ("renumbered", "student", "profile") in guards_of(directory, Roster(renamed))


def test_few_changed_ids_are_proposed_and_a_school_s_own_always_holds(directory: Directory) -> None:
    """Two pupils pass, and the plan says that they seem to be known; one school under another id is no lost school."""
    roster = district(12, schools="AB")
    directory.sync(roster, policy=STRICT)
    few = {table: tuple(map(dict, rows)) for table, rows in roster.tables.items()}
    for rows in few.values():
        for row in rows:
            if row.get("role") == "student" and row["source_id"] in ("A1", "B2"):
                row["source_id"] = f"N{row['source_id']}"
    job = directory.job(Roster(few), policy=STRICT)
    with engine(job) as work:
        planned = work.plan()
    assert planned.held is None
    assert "2 students seem to be known ones under other SIS IDs" in planned.notes[0]
    moved = {table: tuple(map(dict, rows)) for table, rows in roster.tables.items()}
    for table, rows in moved.items():
        for row in rows:
            for column in ("source_id",) if table == "organizations" else ("school_id",):
                if row.get(column) == "B":
                    row[column] = "NEW"
    assert ("renumbered", "school", "profile") in guards_of(directory, Roster(moved))


def test_a_known_id_that_is_somebody_else_is_held(directory: Directory) -> None:
    """Another given name, family name and birthday: nobody inherits an account. A new family name alone passes."""
    directory.sync(DISTRICT, policy=STRICT)
    who = {"role": "student", "source_id": "3"}
    married = DISTRICT.changed("people", who, surname="Ny")
    other = DISTRICT.changed("people", who, surname="Ny", given_name="Otto", birth_date="2010-01-01")
    assert guards_of(directory, other) == {("other-person", "student", "object")}
    assert guards_of(directory, married) == set()


def test_a_window_puts_removals_off_and_they_are_planned_when_it_closes(directory: Directory) -> None:
    """Additions flow, what goes is listed and not applied, and the profile asks for a run at the end of the window."""
    ends = NOW + 5 * DAY
    careful = msgspec.structs.replace(STRICT, windows=(Window(begins=NOW, ends=ends, kind="additionsOnly"),))
    directory.sync(DISTRICT, policy=careful)
    roster = DISTRICT.left_without_person("student", "2").plus("people", person("student", "8", "A"))
    outcome = directory.sync(roster, policy=careful)
    assert outcome.planned is not None
    assert outcome.finished is not None
    assert outcome.steps == {"people": {"create": 1}}
    assert outcome.planned.deferred == 3  # the pupil, its class and its school
    assert outcome.finished.wakes == ends
    assert directory.object("people", "student 2", "active") == (1,)
    assert directory.sync(roster, policy=careful).unchanged
    later = directory.sync(roster, policy=careful, now=ends)
    assert later.steps["people"] == {"remove": 1}
    assert directory.sync(roster, policy=careful, now=ends + 1).unchanged


def test_dates_take_effect_on_their_day_without_a_new_upload(directory: Directory) -> None:
    """An enrollment that begins tomorrow and one that ends then: the profile wakes, and both happen."""
    today = ticks.day(NOW, "Europe/Oslo")
    tomorrow = type(today).fromordinal(today.toordinal() + 1)
    policy = msgspec.structs.replace(STRICT, time_zone="Europe/Oslo")
    roster = DISTRICT.without("enrollments", class_id="M1", source_id="1").without("enrollments", class_id="M2")
    roster = roster.plus(
        "enrollments",
        {**enrolled("M1", "student", "1"), "begin_date": tomorrow},
        {**enrolled("M2", "student", "1"), "end_date": tomorrow},
    )
    first = directory.sync(roster, policy=policy)
    assert first.finished is not None
    assert first.finished.wakes == ticks.midnight(tomorrow, "Europe/Oslo")
    assert directory.classes_of("student 1") == {"M2"}
    assert directory.sync(roster, policy=policy).unchanged
    directory.sync(roster, policy=policy, now=ticks.midnight(tomorrow, "Europe/Oslo"))
    assert directory.classes_of("student 1") == {"M1"}
