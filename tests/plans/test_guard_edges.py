"""Every guard just below its edge and just above: by percent, number, class, school, kind, profile, and over days."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import duckdb
import msgspec
import pytest

from schoolsync import ticks
from schoolsync.plan import alike, guards
from schoolsync.plan.desired import Terms
from schoolsync.plan.policy import Guards, Policy
from schoolsync.plan.verdicts import Guard
from schoolsync.runs.job import CutOff, Override
from schoolsync.runs.selections import WHOLE, Yes
from schoolsync.runs.stored_plan import Plans

from .districts import APPROVER, CREATES, NOW, Directory, Roster, engine, left_out
from .test_guards import STRICT, counted, district, gone_lately, guards_of, judged, without_pupils
from .test_guards import db as db  # the fixture

pytestmark = pytest.mark.nightly("postgresql")  # on SQLite by day: how rows are written has tests on both

OBJECTS = ("school", "section", "student", "teacher")
KINDS = tuple(guards.NAMES)


def said(db: duckdb.DuckDBPyConnection, settings: Guards) -> set[tuple[str, str, str, str | None]]:
    found = {(one.guard, one.kind, one.scope, one.scope_id) for one in judged(db, settings).verdicts}
    for table in ("endangered", "lately", "binning", "purging", "renumbered", "adopting", "others"):
        db.execute(f"DELETE FROM planned.{table}")  # ours
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_in_the_profile_and_in_a_school(db: duckdb.DuckDBPyConnection, kind: str) -> None:
    """Removals at 10 %, with rejected records, by number; updates at 75 %; a week's removals together."""
    limits = Guards(removal_count=40)
    for place in (None, "101") if kind != "school" else (None,):
        scope, where = ("profile" if place is None else "school"), place
        edges: list[tuple[Guard, int, dict[str, int], dict[str, int], int]] = [
            ("removals", 200, {"going": 20}, {"going": 21}, 0),
            ("removals", 200, {"going": 15, "rejected": 5}, {"going": 15, "rejected": 6}, 0),
            ("removals", 20, {"going": 5}, {"going": 6}, 0),
            ("removals", 900, {"going": 40}, {"going": 41}, 0),  # 4 %, and one more than the number
            ("updates", 200, {"changing": 150}, {"changing": 151}, 0),
            ("window", 180, {"going": 1}, {"going": 2}, 19),  # of the 200 that there were
            ("window", 189, {"going": 9}, {"going": 10}, 11),
        ]
        for guard, held, below, above, before in edges:
            for counts, holds in ((below, False), (above, True)):
                counted(db, kind, place, held=held, **counts)
                if before:
                    gone_lately(db, kind, place, 200, before)
                assert said(db, limits) == ({(guard, kind, scope, where)} if holds else set()), (guard, counts)


@pytest.mark.parametrize("kind", OBJECTS)
def test_what_goes_into_the_bin_and_for_good(db: duckdb.DuckDBPyConnection, kind: str) -> None:
    """As many as may leave: 10 % of what is in use, five whatever that is, and no more than the number that is set."""
    limits = Guards(removal_count=40)
    for held, below in ((100, 10), (20, 5), (0, 5), (900, 40)):
        for many, holds in ((below, False), (below + 1, True)):
            for guard, counts in (("purges", "purging"), ("bins", "binning")):
                counted(db, kind, None, held=held)
                db.execute(f"INSERT INTO planned.{counts} VALUES ($1, $2)", [kind, many])
                assert said(db, limits) == ({(guard, kind, "profile", None)} if holds else set())


@pytest.mark.parametrize("kind", OBJECTS)
def test_known_ones_under_other_ids(db: duckdb.DuckDBPyConnection, kind: str) -> None:
    """In the profile and in a school as many as may leave; a school under another id always."""
    for pairs, school, holds in ((10, "A", False), (11, "A", True), (5, "B", False), (6, "B", True)):
        counted(db, kind, None, held=100 if school == "A" else 1000)
        if kind != "school":
            counted(db, kind, school, held=100 if school == "A" else 20)
        db.execute(
            "INSERT INTO planned.renumbered SELECT $1, 'o' || i, 'n' || i, 'i', $2 FROM range($3) AS r(i)",
            [kind, school, pairs],
        )
        found = {one for one in said(db, Guards()) if one[0] == "renumbered"}
        if kind == "school":
            assert found == {("renumbered", kind, "profile", None)}
        else:
            assert bool(found) is holds
            assert {one[2] for one in found} == (
                {"school"} | ({"profile"} if school == "A" else set()) if holds else set()
            )


Halved = tuple[int, int, bool, Guards]
HALVED: list[Halved] = [
    # pupils, of whom leave, whether that holds
    (10, 4, False, Guards()),
    (10, 5, True, Guards()),
    (11, 5, False, Guards()),
    (11, 6, True, Guards()),
    (5, 2, False, Guards()),
    (5, 3, True, Guards()),
    (4, 4, False, Guards()),
    (4, 2, True, Guards(class_least=4)),
    (40, 7, False, Guards(class_percent=20)),
    (40, 8, True, Guards(class_percent=20)),
    (30, 29, False, Guards(class_percent=100)),
    (30, 30, True, Guards(class_percent=100)),
]


@pytest.mark.parametrize(("held", "going", "holds", "settings"), HALVED)
@pytest.mark.parametrize("how", ["stays", "goes", "ended", "teachers"])
def test_half_of_a_class(
    db: duckdb.DuckDBPyConnection,
    held: int,
    going: int,
    holds: bool,
    settings: Guards,
    how: Literal["stays", "goes", "ended", "teachers"],
) -> None:
    """Only of classes that stay; whose enrollment has ended is no loss, and teachers do not count."""
    db.execute("CREATE SCHEMA held")
    db.execute('CREATE TABLE held.class_people ("class" BIGINT, owner BIGINT, teacher BOOLEAN)')
    db.execute('CREATE TABLE planned.class_people_stale ("class" BIGINT, kind VARCHAR, ended BOOLEAN)')
    db.execute("CREATE TABLE planned.class_people_spared AS FROM planned.class_people_stale")
    db.execute("CREATE TABLE planned.targets (kind VARCHAR, key BIGINT)")
    db.execute("INSERT INTO planned.own VALUES ('section', 'K', 7)")
    if how != "goes":
        db.execute("INSERT INTO planned.targets VALUES ('section', 7)")
    db.execute("INSERT INTO held.class_people SELECT 7, 1, false FROM range($1)", [held])
    db.execute("INSERT INTO held.class_people SELECT 7, 1, true FROM range($1)", [99 if how == "teachers" else 0])
    db.execute("INSERT INTO held.class_people SELECT 7, 2, false FROM range(99)")  # another profile's
    kind = "teacherRoster" if how == "teachers" else "studentEnrollment"
    db.execute("INSERT INTO planned.class_people_stale SELECT 7, $1, $2 FROM range($3)", [kind, how == "ended", going])
    policy = Policy(profile_name="Fjord", guards=settings)
    terms = Terms(tenant_id="t", profile=1, living=(1, 2), policy=policy, now=NOW)
    alike.size_classes(db, terms)
    guards.measure_classes(db)
    guards.count_classes(db)
    expected = holds and how == "stays"
    assert said(db, settings) == ({("class-halved", "studentEnrollment", "class", "K")} if expected else set())


@pytest.mark.parametrize(
    ("column", "day", "holds"),
    [("term_end", -1, False), ("term_end", 0, True), ("end_date", 0, False), ("end_date", 1, True)],
)
def test_what_has_ended_is_no_loss_from_its_day_on(directory: Directory, column: str, day: int, holds: bool) -> None:
    """A term's last day still belongs to it; an enrollment's end is the first day that does not."""
    end = ticks.day(NOW, "UTC") + timedelta(days=day)
    roster = district(20)
    if column == "term_end":
        roster = roster.changed("classes", {"source_id": "KA"}, term_end=end.isoformat())
        directory.sync(roster, policy=STRICT)
        after = Roster({**roster.tables, "enrollments": roster.rows("enrollments")[:1]})
    else:
        directory.sync(roster, policy=STRICT)
        rows = [{**row, "end_date": end} for row in roster.rows("enrollments")[1:]]
        after = Roster({**roster.tables, "enrollments": (roster.rows("enrollments")[0], *rows)})
        if holds:  # who is still in it stays in it: the same without those rows
            assert guards_of(directory, after) == set()
            after = Roster({**roster.tables, "enrollments": roster.rows("enrollments")[:1]})
    assert bool(guards_of(directory, after)) is holds


def test_a_school_bleeds_over_days(directory: Directory) -> None:
    """Four and then three of forty: neither holds by itself, together they do, and not under other limits."""
    roster = district(40)
    directory.sync(roster, policy=STRICT)
    four, seven = (without_pupils(roster, *(f"A{n}" for n in range(many))) for many in (4, 7))
    assert guards_of(directory, four) == set()
    tally = str(directory.folder / "runs" / "run-2" / "tally.parquet")
    nine = msgspec.structs.replace(CREATES, guards=Guards(removal_percent=17.5))
    with_both = guards_of(directory, seven, tallies=(tally,))
    assert with_both == {("window", kind, scope) for kind in _PUPIL for scope in ("profile", "school")}
    off = msgspec.structs.replace(CREATES, guards=Guards(window_days=0))
    for policy in (off, nine):
        job = directory.job(seven, policy=policy, tallies=(tally,))
        with engine(job) as work:
            assert work.plan().verdicts == ()


def test_what_was_taken_away_before_a_run_was_cut_off_counts(directory: Directory) -> None:
    """Batch by batch: what the ledger has is added to what goes next, and nothing else; a yes is not counted."""
    roster = district(40)
    directory.sync(roster, policy=STRICT)
    four, seven = (without_pupils(roster, *(f"A{n}" for n in range(many))) for many in (4, 7))
    job = directory.job(four, policy=STRICT)
    cut = CutOff(run=job.run, folder=job.folder)
    with engine(job) as work:
        assert not work.extract().unchanged
        work.validate()
        planned = work.plan()
        plan = Plans(Path(job.folder)).latest()
        assert plan is not None
        written: set[str] = set()
        for number, batch in enumerate(plan.batches):
            with engine(directory.job(seven, policy=STRICT, cut_off=(cut,), preview=True)) as other:
                other.extract()
                other.validate()
                verdicts = other.plan().verdicts
            found = {one.kind for one in verdicts if (one.guard, one.scope) == ("window", "profile")}
            assert found == written, number
            directory.source.roster = four
            work.apply(number)
            written.add(
                {"class_people": "studentEnrollment", "school_people": "studentSchools"}.get(batch.table, "student")
            )
        assert planned.held is None
        assert written == set(_PUPIL)


def test_what_an_undo_takes_away_counts(directory: Directory) -> None:
    """Taking four newcomers back and losing three more is seven in a week."""
    roster = district(40)
    more = district(44)
    directory.sync(roster, policy=STRICT)
    directory.sync(more, policy=STRICT)
    undone = directory.undo("run-2", policy=STRICT)
    assert undone.finished is not None
    tally = str(directory.folder / "runs" / "run-3" / "tally.parquet")
    after = without_pupils(roster, *(f"A{n}" for n in range(3)))
    assert ("window", "student", "profile") in guards_of(directory, after, tallies=(tally,))
    assert guards_of(directory, after) == set()


@pytest.mark.parametrize(("before", "going", "holds"), [(8, 2, False), (8, 3, True)])
def test_the_number_of_removals_counts_over_days(
    db: duckdb.DuckDBPyConnection, before: int, going: int, holds: bool
) -> None:
    """A number that is never exceeded is not exceeded in a week either."""
    counted(db, "student", None, held=9_000, going=going)
    gone_lately(db, "student", None, 9_008, before)
    found = said(db, Guards(removal_count=10))
    assert found == ({("window", "student", "profile", None)} if holds else set())


def of_class(directory: Directory, roster: Roster, **values: Any) -> list[tuple[int, int, int]]:
    """What the guard of classes says of a roster: of how many pupils how many would go, and are rejected."""
    outcome = directory.sync(roster, policy=LOOSE, **values)
    assert outcome.planned is not None
    assert {one.guard for one in outcome.planned.verdicts} <= {"class-halved"}
    return [(one.of, one.endangered, one.rejected) for one in outcome.planned.verdicts]


def test_rejected_records_count_in_a_class(directory: Directory) -> None:
    """Of ten pupils three go and the records of two are wrong: half of the class is endangered."""
    roster = district(10)
    directory.sync(roster, policy=LOOSE)
    for wrong, held in ((1, []), (2, [(10, 5, 2)])):
        after = roster
        for number in range(3 + wrong):
            after = after.without("enrollments", source_id=f"A{number}")
        rows = [left_out("enrollments", "KA", other=f"A{number}", role="student") for number in range(3, 3 + wrong)]
        after = after.plus("left_out", *rows)
        if not held:
            with engine(directory.job(after, policy=LOOSE, ignore_findings=True, preview=True)) as work:
                work.extract()
                work.validate()
                assert work.plan().verdicts == ()
        else:
            assert of_class(directory, after, ignore_findings=True) == held


@pytest.mark.parametrize(("second", "days", "held"), [(1, 7, []), (2, 7, [(10, 5, 0)]), (2, 0, [])])
def test_a_class_bleeds_over_days(
    directory: Directory, second: int, days: int, held: list[tuple[int, int, int]]
) -> None:
    """Three of ten, and then two of the seven that are left."""
    policy = msgspec.structs.replace(LOOSE, guards=msgspec.structs.replace(LOOSE.guards, window_days=days))
    roster = district(10)
    directory.sync(roster, policy=policy)
    several = [roster]
    for number in range(3 + second):
        several.append(several[-1].without("enrollments", source_id=f"A{number}"))
    assert directory.sync(several[3], policy=policy).finished is not None
    tally = str(directory.folder / "runs" / "run-2" / "tally.parquet")
    outcome = directory.sync(several[3 + second], policy=policy, tallies=(tally,))
    assert outcome.planned is not None
    assert [(one.of, one.endangered, one.rejected) for one in outcome.planned.verdicts] == held


@pytest.mark.parametrize(("written", "second", "held"), [(True, 2, [(10, 5, 0)]), (True, 1, []), (False, 2, [])])
def test_what_a_class_lost_before_a_run_was_cut_off_counts(
    directory: Directory, written: bool, second: int, held: list[tuple[int, int, int]]
) -> None:
    """Three of ten had left it when the run was cut off; then two of the seven that are left, or one."""
    roster = district(10)
    directory.sync(roster, policy=LOOSE)
    several = [roster]
    for number in range(5):
        several.append(several[-1].without("enrollments", source_id=f"A{number}"))
    job = directory.job(several[3], policy=LOOSE)
    with engine(job) as work:
        work.extract()
        work.validate()
        (batches,) = {work.plan().batches}
        assert batches == 1
        if written:
            work.apply(0)
    cut = CutOff(run=job.run, folder=job.folder)
    after = several[(3 if written else 0) + second]
    outcome = directory.sync(after, policy=LOOSE, cut_off=(cut,))
    assert outcome.planned is not None
    assert [(one.of, one.endangered, one.rejected) for one in outcome.planned.verdicts] == held


@pytest.mark.parametrize("moved", [False, True], ids=["the plan", "another plan"])
def test_other_limits_are_for_one_plan_alone(directory: Directory, moved: bool) -> None:
    """They let just that plan go, in the name of whoever set them, and it does not count in the days after.

    One that has become another is judged by the profile's own.
    """
    directory.sync(district(10), policy=STRICT)
    gone = district(4)
    first = directory.sync(gone, policy=STRICT)
    assert first.planned is not None
    assert first.planned.held is not None
    yes = Yes(id="a yes", what=WHOLE, person=APPROVER, given=NOW)
    other = Override(guards=CREATES_ANYTHING.guards, plan="another" if moved else first.planned.plan, yes=yes)
    again = directory.sync(gone, policy=STRICT, override=other, run="run-9")
    assert again.planned is not None
    assert again.planned.plan == first.planned.plan
    if moved:
        assert (again.planned.held, again.planned.waived, again.planned.waiver) == (first.planned.held, (), None)
        return
    assert (again.planned.held, again.planned.waived, again.planned.waiver) == (None, ("removals",), yes)
    assert again.finished is not None
    assert not (again.folder / "tally.parquet").exists()


def test_an_undo_that_halves_a_class_is_held(directory: Directory) -> None:
    """Five pupils came into a class of five: taking that back would take half of it away."""
    directory.sync(Roster({**district(10).tables, "enrollments": district(10).rows("enrollments")[:5]}), policy=LOOSE)
    directory.sync(district(10), policy=LOOSE)
    outcome = directory.undo("run-2", policy=LOOSE)
    assert outcome.planned is not None
    assert [(one.guard, one.scope_id, one.of, one.endangered) for one in outcome.planned.verdicts] == [
        ("class-halved", "KA", 10, 5)
    ]
    assert directory.undo("run-2", policy=CREATES_ANYTHING).finished is not None


LOOSE = msgspec.structs.replace(CREATES, guards=Guards(removal_percent=100))
CREATES_ANYTHING = msgspec.structs.replace(CREATES, guards=Guards(removal_percent=100, class_percent=100))
_PUPIL = ("student", "studentSchools", "studentEnrollment")
