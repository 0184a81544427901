"""Classes that leave expire as the profile says: marked, archived, without their pupils; each can be taken back."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from schoolsync import ticks
from schoolsync.errors import Invalid
from schoolsync.plan.policy import Expiry, Policy
from schoolsync.profiles.policy import own_settings

from .districts import CREATES, DISTRICT, NOW, Directory, Roster, engine, enrolled, named_lines, section
from .test_guards import STRICT, district, guards_of
from .test_properties import active
from .test_taking_back import ask

pytestmark = pytest.mark.nightly("postgresql")  # on SQLite by day: how rows are written has tests on both

DAY = 24 * 3600 * ticks.PER_SECOND
LED = ticks.day(NOW, "UTC").strftime("Exp%m%y_")
WITHOUT = DISTRICT.left_without_class("M2")


def expiring(policy: Policy = CREATES, **values: Any) -> Policy:
    return msgspec.structs.replace(policy, expiry=Expiry(**values))


def marked(directory: Directory) -> set[tuple[Any, ...]]:
    """Of the classes that are marked as expired: what they are called, and whether they are in use."""
    return set(
        directory.query(
            "SELECT source_id, display_name, external_id, mail_nickname, status, active FROM classes "
            "WHERE expired IS NOT NULL"
        )
    )


M2 = (f"{LED}M2", f"{LED}Class M2", f"{LED}M2", f"{LED}Section_M2", "Expired")


def test_a_class_that_leaves_is_marked_and_a_new_one_comes_under_its_id(directory: Directory) -> None:
    """By its own step, with reason and line; the old one stays expired beside the new one, and nothing else happens."""
    policy = expiring()
    directory.sync(DISTRICT, policy=policy)
    before = active(directory)
    ((old,),) = directory.query("SELECT id FROM classes WHERE source_id = 'M2'")
    left = directory.sync(WITHOUT, policy=policy)
    assert left.steps == {"classes": {"expire": 1}, "links": {"unlink": 2}, "school_links": {"unlink": 1}}
    assert marked(directory) == {(*M2, 0)}
    assert directory.broken() == []
    (step,) = ask(directory, "run-2", op="expire").steps
    assert (step.rule, step.kind, step.school, step.file, step.upload_run) == (
        "expired", "section", "B", "Section.csv", 1
    )  # fmt: skip
    assert {(one.field, one.before, one.after) for one in step.changes} >= {
        ("source_id", "M2", M2[0]),
        ("display_name", "Class M2", M2[1]),
        ("status", None, "Expired"),
        ("active", "true", "false"),
    }
    assert directory.sync(WITHOUT, policy=policy).unchanged
    directory.by_hand("UPDATE positions SET last_key = last_key")
    assert directory.sync(WITHOUT, policy=policy).steps == {}
    back = directory.sync(DISTRICT, policy=policy)
    assert back.steps == {"classes": {"create": 1}, "links": {"link": 2}, "school_links": {"link": 1}}
    ((new, generation),) = directory.query("SELECT id, generation FROM classes WHERE source_id = 'M2'")
    assert (new != old, generation) == (True, 1)
    assert marked(directory) == {(*M2, 0)}
    after = active(directory)
    assert after["people"] == before["people"]
    assert after["class_people"] == before["class_people"]
    # The same once more in the same month: the name is taken, so the class leaves as it is called.
    again = directory.sync(WITHOUT, policy=policy)
    assert again.steps["classes"] == {"remove": 1}
    assert again.codes() == [("Section", "DuplicateTargetEntries", "M2")]
    later = directory.sync(WITHOUT, policy=policy, now=NOW + 40 * DAY, again=True)
    assert later.steps == {"classes": {"expire": 1}}
    assert directory.sync(DISTRICT, policy=policy, now=NOW + 41 * DAY).steps["classes"] == {"create": 1}
    assert {row[0] for row in directory.query("SELECT generation FROM classes WHERE source_id = 'M2'")} == {2}


def test_a_plan_that_marks_classes_is_the_same_all_day(directory: Directory) -> None:
    """So what was seen in a preview can be applied an hour later; tomorrow it is another."""
    policy = expiring()
    directory.sync(DISTRICT, policy=policy)
    midday = ticks.midnight(ticks.day(NOW, "UTC"), "UTC") + DAY // 2
    plans = []
    for later in (0, 1, DAY):
        with engine(directory.job(WITHOUT, policy=policy, now=midday + later, preview=True)) as work:
            work.extract()
            work.validate()
            plans.append(work.plan().plan)
    assert plans[0] == plans[1] != plans[2]


def test_marking_waits_for_its_day_and_until_then_the_class_comes_back(directory: Directory) -> None:
    """The profile is synchronized by itself when the day has come; who is back before is who it was."""
    policy = expiring(after_days=30)
    directory.sync(DISTRICT, policy=policy)
    before = active(directory)
    left = directory.sync(WITHOUT, policy=policy)
    assert left.finished is not None
    assert left.steps["classes"] == {"remove": 1}
    assert left.finished.wakes == NOW + 2 + 30 * DAY
    directory.sync(DISTRICT, policy=policy, now=NOW + 29 * DAY)
    assert active(directory) == before
    directory.sync(WITHOUT, policy=policy, now=NOW + 40 * DAY)
    early = directory.sync(WITHOUT, policy=policy, now=NOW + 70 * DAY - 1, again=True)
    assert early.steps == {}
    assert early.finished is not None
    assert early.finished.wakes == NOW + 70 * DAY
    late = directory.sync(WITHOUT, policy=policy, now=NOW + 70 * DAY, run="run-90")
    assert late.steps == {"classes": {"expire": 1}}
    assert len(marked(directory)) == 1
    taken_back = directory.undo("run-90", policy=policy, now=NOW + 71 * DAY)
    assert taken_back.steps == {"classes": {"update": 1}}
    assert marked(directory) == set()
    assert directory.object("classes", "M2", "active", "display_name", "status") == (0, "Class M2", None)


@pytest.mark.parametrize("pupils", [True, False])
def test_a_class_that_is_not_archived_stays_with_its_teachers(directory: Directory, pupils: bool) -> None:
    """It is in use under its new name; pupils leave it if that is said; who leaves the roster leaves it too."""
    policy = expiring(archive=False, remove_pupils=pupils)
    directory.sync(DISTRICT, policy=policy)
    directory.sync(WITHOUT, policy=policy)
    assert marked(directory) == {(*M2, 1)}
    members = {row[2] for row in directory.links("class_people") if row[1] == M2[0]}
    assert members == {"teacher 9"} | (set() if pupils else {"student 3"})
    assert directory.sync(WITHOUT, policy=policy, again=True).steps == {}
    directory.by_hand("UPDATE positions SET last_key = last_key")
    assert directory.sync(WITHOUT, policy=policy).steps == {}
    gone = WITHOUT.left_without_person("teacher", "9")
    directory.sync(gone, policy=policy)
    assert not {row for row in directory.links("class_people") if row[1:3] == (M2[0], "teacher 9")}
    assert directory.broken() == []
    assert directory.sync(WITHOUT, policy=expiring(), again=True).steps["classes"] == {"remove": 1}


def test_classes_expire_with_their_term_while_the_roster_has_them(directory: Directory) -> None:
    """On the day after its last one, without an upload; the next term's class under the same id is a new one."""
    today = ticks.day(NOW, "UTC")
    roster = DISTRICT.changed("classes", {"source_id": "M2"}, term_end=today.isoformat())
    policy = expiring(STRICT, term_over=True)
    first = directory.sync(roster, policy=policy)
    assert first.finished is not None
    midnight = ticks.midnight(type(today).fromordinal(today.toordinal() + 1), "UTC")
    assert first.finished.wakes == midnight
    over = directory.sync(roster, policy=policy, now=midnight)
    assert over.steps["classes"] == {"expire": 1}
    (step,) = ask(directory, "run-2", op="expire").steps
    assert (step.rule, step.file, step.line) == ("term-over", "Section.csv", 3)
    assert directory.sync(roster, policy=policy, now=midnight + 1).unchanged
    new = roster.changed("classes", {"source_id": "M2"}, term_start="2027-01-01", term_end="2027-06-30")
    assert directory.sync(new, policy=policy, now=midnight + 2).steps["classes"] == {"create": 1}
    assert len(marked(directory)) == 1


def test_expiring_is_taken_back(directory: Directory) -> None:
    """Names, members and use are what they were; not when the id is another class's by now, and that is said."""
    policy = expiring()
    directory.sync(DISTRICT, policy=policy)
    before = active(directory)
    directory.sync(WITHOUT, policy=policy)
    outcome = directory.undo("run-2", policy=policy)
    assert outcome.planned is not None
    assert outcome.planned.notes == ()
    assert active(directory) == before
    assert named_lines(directory, 3) == 4
    assert directory.sync(DISTRICT, policy=policy).steps == {}
    directory.sync(WITHOUT, policy=policy)
    directory.sync(DISTRICT, policy=policy)
    kept = directory.content()
    late = directory.undo("run-5", policy=policy)
    assert late.planned is not None
    assert "1 rows of classes that the run took away came back or changed hands since" in late.planned.notes[0]
    assert directory.content() == kept


def test_a_rollover_is_held_and_is_no_renumbering(directory: Directory) -> None:
    """A year's classes leave and the next year's come, called as they were: removals hold, and nothing else does."""
    roster = district(20)
    for number in range(8):
        roster = roster.plus("classes", section(f"c{number}", "A"))
        roster = roster.plus("enrollments", *(enrolled(f"c{number}", "student", f"A{n}") for n in range(4)))
    policy = expiring(STRICT)
    directory.sync(roster, policy=policy)
    tables = {table: tuple(map(dict, rows)) for table, rows in roster.tables.items()}
    for row in (*tables["classes"], *tables["enrollments"]):
        column = "source_id" if "name" in row else "class_id"
        row[column] = f"next-{row[column]}"
        if column == "source_id":
            row["term_start"] = "2027-08-16"
    verdicts = guards_of(directory, Roster(tables), policy)
    assert verdicts == {
        ("removals", kind, where)
        for kind in ("section", "studentEnrollment")
        for where in ("profile", "school")
    }  # fmt: skip


def test_what_cannot_be_had_together_is_refused() -> None:
    """With a message that says why."""
    assert own_settings('{"expiry": {"archive": false, "removePupils": false}}').expiry == Expiry(
        archive=False, remove_pupils=False
    )
    for wrong, why in (
        ('{"removePupils": false}', "nobody is in an archived class"),
        ('{"archive": false, "afterDays": 3}', "it needs both"),
        ('{"mark": false, "afterDays": 3}', "it needs both"),
        ('{"afterDays": 4000}', "from 0 to 3650"),
    ):
        with pytest.raises(Invalid, match=why):
            own_settings(f'{{"expiry": {wrong}}}')
