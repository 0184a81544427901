"""What a later roster does: arrivals, changes, leavers, and what it does not speak of."""

from __future__ import annotations

import json
from dataclasses import replace

import msgspec
import pyarrow.parquet as pq
import pytest

from schoolsync import ticks
from schoolsync.plan.policy import Customization, Guards, Kind, Policy, Window

from .districts import (
    CREATES,
    DISTRICT,
    NOW,
    Directory,
    Roster,
    attends,
    contact,
    engine,
    enrolled,
    left_out,
    person,
    section,
)

pytestmark = pytest.mark.nightly("postgresql")  # on SQLite by day: how rows are written has tests on both


def customized(kind: Kind, customization: Customization) -> Policy:
    return msgspec.structs.replace(CREATES, customizations={kind: customization})


def test_who_leaves_stays_as_inactive_and_comes_back_as_the_same(directory: Directory) -> None:
    """A record that is gone keeps its object without links; when it returns, id and properties are the old ones."""
    directory.sync(DISTRICT)
    before = directory.content()
    outcome = directory.sync(DISTRICT.left_without_person("student", "2"))
    assert outcome.steps == {
        "people": {"remove": 1},
        "links": {"unlink": 1},
        "school_links": {"unlink": 1},
    }
    assert directory.object("people", "student 2", "active", "display_name") == (0, "Given2 Family2")
    assert directory.classes_of("student 2") == set()
    assert directory.broken() == []
    assert directory.sync(DISTRICT.left_without_person("student", "2"), ignore_findings=True).steps == {}
    back = directory.sync(DISTRICT)
    assert back.steps["people"] == {"restore": 1}
    assert directory.content() == before


def test_accounts_of_people_who_leave_are_disabled_where_the_profile_says_so(directory: Directory) -> None:
    """By role; who is back can sign in, and so can whose leaving is undone. What a person disabled stays disabled."""
    policy = msgspec.structs.replace(CREATES, leaving={"student": "disabled"})

    def enabled(*names: str) -> list[bool]:
        return [bool(directory.object("people", name, "account_enabled")[0]) for name in names]

    everybody = ("student 2", "student 3", "teacher 9")
    directory.sync(DISTRICT, policy=policy)
    directory.by_hand("UPDATE people SET account_enabled = false WHERE source_id = '3' AND primary_role = 'student'")
    without = DISTRICT
    for name in everybody:
        without = without.left_without_person(*name.split())
    left = directory.sync(without, policy=policy)
    assert left.steps["people"] == {"remove": 3}
    assert enabled(*everybody) == [False, False, True]
    directory.sync(DISTRICT, policy=policy)
    assert enabled(*everybody) == [True, False, True]
    directory.sync(without, policy=policy)
    assert enabled(*everybody) == [False, False, True]
    run = f"run-{len(list((directory.folder / 'runs').iterdir()))}"
    assert directory.undo(run, policy=policy).finished is not None
    assert enabled(*everybody) == [True, False, True]
    assert directory.sync(DISTRICT, policy=policy).steps == {}


def test_who_left_long_ago_goes_for_good(directory: Directory) -> None:
    """Back on day 29 is who it was, with its class; on day 31 it is gone, without any upload, and anew afterwards."""
    policy = msgspec.structs.replace(CREATES, purge_days={"student": 30})
    days = 24 * 3600 * ticks.PER_SECOND
    without = DISTRICT.left_without_person("student", "2")
    directory.sync(DISTRICT, policy=policy)
    before = directory.content()
    left = directory.sync(without, policy=policy)
    assert left.finished is not None
    assert left.finished.wakes == NOW + 2 + 30 * days
    directory.sync(DISTRICT, policy=policy, now=NOW + 29 * days)
    assert directory.content() == before
    again = NOW + 100 * days
    directory.sync(without, policy=policy, now=again)
    ((key, one),) = directory.query("SELECT key, id FROM people WHERE source_id = '2' AND primary_role = 'student'")
    ((club,),) = directory.query("SELECT key FROM classes WHERE source_id = 'M2'")
    directory.by_hand(
        f"INSERT INTO class_people (tenant, class, person, member, teacher) VALUES (1, {club}, {key}, true, false)"
    )
    early = directory.sync(without, policy=policy, now=again + 30 * days - 1)
    assert early.steps == {}
    assert early.finished is not None
    assert early.finished.wakes == again + 30 * days
    assert directory.sync(without, policy=policy, now=again + 30 * days - 1).unchanged
    late = directory.sync(without, policy=policy, now=again + 31 * days, run="run-90")
    assert late.steps == {"people": {"purge": 1}}
    assert directory.query(f"SELECT 1 FROM people WHERE key = {key}") == []
    assert directory.query(f"SELECT 1 FROM class_people WHERE person = {key}") == []
    assert (one,) in directory.query("SELECT id FROM removed_objects WHERE kind = 'people'")
    assert (one,) in directory.query("SELECT id FROM removed_members")
    assert directory.broken() == []
    assert directory.sync(without, policy=policy, now=again + 31 * days + 1).unchanged
    undone = directory.undo("run-90", policy=policy, now=again + 31 * days + 2)
    assert undone.planned is not None
    assert undone.planned.notes == ("1 objects that the run purged are gone for good.",)
    assert directory.sync(DISTRICT, policy=policy, now=again + 32 * days).steps["people"] == {"create": 1}


def test_a_purge_spares_who_is_back_and_is_guarded(directory: Directory) -> None:
    """A window puts it off; many at once are held like many who leave; other kinds stay."""
    days = 24 * 3600 * ticks.PER_SECOND
    roster = DISTRICT
    for number in range(20, 27):
        roster = roster.plus("people", person("student", f"{number}", "A"))
        roster = roster.plus("person_organizations", attends("student", f"{number}", "A"))
    free = msgspec.structs.replace(
        CREATES, guards=Guards(removal_percent=100, removal_least=9), purge_days={"student": 1}
    )
    directory.sync(roster, policy=free)
    left = directory.sync(DISTRICT.left_without_person("teacher", "9"), policy=free)
    assert left.steps["people"] == {"remove": 8}
    careful = Window(begins=NOW, ends=NOW + 9 * days, kind="additionsOnly")
    waiting = directory.sync(
        DISTRICT, policy=msgspec.structs.replace(free, windows=(careful,)), now=NOW + 2 * days, ignore_findings=True
    )
    assert waiting.steps["people"] == {"restore": 1}
    assert waiting.finished is not None
    assert waiting.finished.wakes == NOW + 9 * days
    strict = msgspec.structs.replace(free, guards=Guards())
    held = directory.sync(DISTRICT, policy=strict, now=NOW + 3 * days)
    assert held.planned is not None
    assert [(one.guard, one.kind, one.endangered, one.limit) for one in held.planned.verdicts] == [
        ("purges", "student", 7, 5)
    ]
    done = directory.sync(DISTRICT, policy=free, now=NOW + 4 * days)
    assert done.finished is not None
    assert done.steps == {"people": {"purge": 7}}
    assert set(directory.objects("people", "id")) == {f"student {n}" for n in "123"} | {"teacher 1", "teacher 9"}


def test_a_class_that_is_gone_keeps_its_object(directory: Directory) -> None:
    """Classes are set inactive too, and their members leave."""
    directory.sync(DISTRICT)
    outcome = directory.sync(DISTRICT.left_without_class("M2"))
    assert outcome.steps == {
        "classes": {"remove": 1},
        "links": {"unlink": 2},
        "school_links": {"unlink": 1},
    }
    assert directory.object("classes", "M2", "active") == (0,)
    assert directory.broken() == []


def test_only_what_differs_is_written(directory: Directory) -> None:
    """One changed value is one changed object; nobody else's time or position moves."""
    directory.sync(DISTRICT)
    before = directory.touched()
    roster = DISTRICT.changed("people", {"role": "student", "source_id": "3"}, grade="8", middle_name="Eva")
    assert directory.sync(roster).steps == {"people": {"update": 1}}
    assert directory.object("people", "student 3", "student_grade", "middle_name") == ("8", "Eva")
    after = directory.touched()
    assert [one for one in after["people"] if after["people"][one] != before["people"][one]] == [
        directory.object("people", "student 3", "id")[0]
    ]
    assert (after["schools"], after["classes"]) == (before["schools"], before["classes"])


def test_a_value_that_is_emptied_is_emptied(directory: Directory) -> None:
    """An empty cell in a column that is there says that there is no value."""
    directory.sync(DISTRICT)
    roster = DISTRICT.changed("people", {"role": "student", "source_id": "1"}, middle_name=None)
    assert directory.sync(roster).steps == {"people": {"update": 1}}
    assert directory.object("people", "student 1", "middle_name") == (None,)


def test_a_column_that_is_not_in_the_files_is_left_as_it_is(directory: Directory) -> None:
    """Without the column there is nothing to say; the same holds for guardians without their files."""
    directory.sync(DISTRICT)
    before = directory.content()
    columns = {
        "organizations": frozenset({"source_id", "name"}),
        "classes": frozenset({"source_id", "school_id", "name"}),
        "student": frozenset({"source_id", "school_id", "username", "given_name", "surname"}),
        "teacher": frozenset({"source_id", "school_id", "username", "given_name", "surname"}),
    }
    bare = replace(
        DISTRICT.changed("people", {"role": "student", "source_id": "1"}, middle_name=None, number=None).without(
            "contacts", student_id="1"
        ),
        columns=columns,
        absent=frozenset({"contacts"}),
    )
    assert directory.sync(bare).steps == {}
    assert directory.content() == before


def test_a_pupil_who_moves_is_in_the_new_class_before_leaving_the_old(directory: Directory) -> None:
    """After every single batch the directory makes sense, and nobody is without a class in between."""
    directory.sync(DISTRICT)
    roster = DISTRICT.without("enrollments", class_id="M1", source_id="2").plus(
        "enrollments", enrolled("M2", "student", "2")
    )
    seen = []
    job = directory.job(roster)
    with engine(job) as work:
        work.extract()
        work.validate()
        planned = work.plan()
        for batch in range(planned.batches):
            work.apply(batch)
            seen.append(directory.classes_of("student 2"))
            assert directory.broken() == []
    assert seen == [{"M1", "M2"}, {"M2"}]


def test_names_given_once_stay(directory: Directory) -> None:
    """Sign-in name and alias never change; display names change only where the profile allows it."""
    directory.sync(DISTRICT)
    before = directory.object("people", "student 1", "user_principal_name", "mail_nickname", "display_name")
    roster = DISTRICT.changed(
        "people", {"role": "student", "source_id": "1"}, username="other", given_name="Ada", surname="Ås"
    ).changed("classes", {"source_id": "M1"}, name="Algebra")
    directory.sync(roster)
    assert directory.object("people", "student 1", "user_principal_name", "mail_nickname", "display_name") == before
    assert directory.object("people", "student 1", "given_name", "surname") == ("Ada", "Ås")
    assert directory.object("classes", "M1", "display_name", "external_name") == ("Class M1", "Algebra")
    allowed = msgspec.structs.replace(
        CREATES,
        customizations={
            "student": Customization(allow_display_name_update=True),
            "section": Customization(allow_display_name_update=True),
        },
    )
    directory.sync(roster, policy=allowed)
    assert directory.object("people", "student 1", "display_name") == ("Ada Ås",)
    assert directory.object("classes", "M1", "display_name") == ("Algebra",)


def test_properties_that_are_not_chosen_are_not_written(directory: Directory) -> None:
    """optionalPropertiesToSync rules new and existing objects; what is there already is left as it is."""
    few = customized("student", Customization(optional_properties=("Middle Name", "graduationyear")))
    directory.sync(DISTRICT, policy=few)
    assert directory.object("people", "student 1", "middle_name", "student_grade", "student_external_id") == (
        *("Anna", None),
        "1",
    )
    directory.sync(DISTRICT)
    assert directory.object("people", "student 1", "student_grade") == ("7",)
    roster = DISTRICT.changed("people", {"role": "student", "source_id": "1"}, middle_name="Eva", grade="8")
    directory.sync(roster, policy=few)
    assert directory.object("people", "student 1", "middle_name", "student_grade") == ("Eva", "7")


def test_a_deferred_kind_is_left_alone(directory: Directory) -> None:
    """isSyncDeferred: no student is created, changed or removed, and nobody complains about links to them."""
    deferred = customized("student", Customization(deferred=True))
    outcome = directory.sync(DISTRICT, policy=deferred)
    assert outcome.errors == []
    assert set(directory.objects("people", "id")) == {"teacher 1", "teacher 9"}
    directory.sync(DISTRICT)
    before = directory.content()
    roster = (
        DISTRICT.left_without_person("student", "1")
        .changed("people", {"role": "student", "source_id": "2"}, grade="12")
        .plus("enrollments", enrolled("M1", "student", "1"))
    )
    outcome = directory.sync(roster, policy=deferred)
    assert outcome.errors == []
    assert directory.content() == before


def test_deferred_enrollments_are_left_alone(directory: Directory) -> None:
    """Student links are neither added nor removed, teacher links are."""
    directory.sync(DISTRICT)
    deferred = customized("studentEnrollment", Customization(deferred=True))
    roster = (
        DISTRICT.without("enrollments", role="student", source_id="2")
        .plus("enrollments", enrolled("M2", "student", "1"))
        .without("enrollments", role="teacher", source_id="9")
    )
    assert directory.sync(roster, policy=deferred).steps == {"links": {"unlink": 1}}
    assert directory.classes_of("student 2") == {"M1"}
    assert directory.classes_of("student 1") == {"M1"}
    assert directory.classes_of("teacher 9") == set()


def test_records_that_are_left_out_are_no_removals(directory: Directory) -> None:
    """Objects and links of records left out for their mistakes stay as they are, and each is listed as an error."""
    directory.sync(DISTRICT)
    before = directory.content()
    roster = (
        DISTRICT.left_without_person("student", "2")
        .left_without_class("M2")
        .without("enrollments", class_id="M1", role="student", source_id="1")
        .plus(
            "left_out",
            left_out("people", "2", role="student"),
            left_out("enrollments", "M1", role="student", other="2", rule="unknown-reference"),
            left_out("classes", "M2", rule="unknown-reference"),
            left_out("enrollments", "M2", role="student", other="3", rule="unknown-reference"),
            left_out("enrollments", "M2", role="teacher", other="9", rule="unknown-reference"),
            left_out("enrollments", "M1", role="student", other="1", rule="blank-in-id"),
        )
    )
    outcome = directory.sync(roster, ignore_findings=True)
    assert outcome.steps == {}
    assert directory.content() == before
    assert outcome.planned is not None
    assert outcome.planned.failed == {}
    assert ("Student", "UnSpecified", "2") in outcome.codes()
    assert ("Section", "InvalidLookupReference", "M2") in outcome.codes()
    assert len(outcome.errors) == 6


@pytest.mark.parametrize("kind", ["classes", "people"])
def test_a_record_whose_id_cannot_be_read_may_be_any_that_is_missing(directory: Directory, kind: str) -> None:
    """Somebody is missing and a row cannot be read: it may be theirs, so nobody of that kind is removed."""
    directory.sync(DISTRICT)
    before = directory.content()
    roster = DISTRICT.left_without_class("M2") if kind == "classes" else DISTRICT.left_without_person("student", "2")
    role = {} if kind == "classes" else {"role": "student"}
    unread = roster.plus("left_out", left_out(kind, None, rule="ragged-row", **role))
    outcome = directory.sync(unread, ignore_findings=True)
    assert outcome.steps == {}
    assert directory.content() == before


@pytest.mark.parametrize(
    ("class_id", "person", "kept"), [("M1", None, True), (None, "1", True), (None, None, True), ("M2", None, False)]
)
def test_an_enrollment_that_cannot_be_read_may_be_any_that_is_missing(
    directory: Directory, class_id: str | None, person: str | None, kept: bool
) -> None:
    """Half of a key spares the links of that half, no key at all spares every enrollment of the role."""
    directory.sync(DISTRICT)
    before = directory.content()
    roster = DISTRICT.without("enrollments", class_id="M1", role="student", source_id="1").plus(
        "left_out", left_out("enrollments", class_id, role="student", other=person, rule="ragged-row")
    )
    outcome = directory.sync(roster, ignore_findings=True)
    assert (outcome.steps == {}) is kept
    assert (directory.content() == before) is kept


def test_a_guardian_of_nobody_knows_whom_may_be_anybodys(directory: Directory) -> None:
    """Nobody loses a guardian while a row of guardians cannot be read."""
    directory.sync(DISTRICT)
    before = directory.content()
    roster = Roster({**DISTRICT.tables, "contacts": DISTRICT.rows("contacts")[1:]}).plus(
        "left_out", left_out("contacts", None, rule="ragged-row")
    )
    directory.sync(roster, ignore_findings=True)
    assert directory.content() == before


def test_guardians_of_which_one_is_left_out_stay_as_they_are(directory: Directory) -> None:
    """A mistake in one guardian removes neither that one nor the others."""
    roster = DISTRICT.plus("contacts", contact("1", "far@home.example", relationship="Administrator", name="Ola"))
    directory.sync(roster)
    before = directory.content()
    kinds = {one["relationship"] for one in json.loads(directory.object("people", "student 1", "related_contacts")[0])}
    assert kinds == {"parent", "other"}
    mistaken = DISTRICT.plus("left_out", left_out("contacts", "1", other="far@home.example"))
    directory.sync(mistaken, ignore_findings=True)
    assert directory.content() == before
    directory.sync(DISTRICT)
    assert len(json.loads(directory.object("people", "student 1", "related_contacts")[0])) == 1


def test_a_roster_without_any_record_of_a_kind_is_held(directory: Directory) -> None:
    """A plan that would take a whole kind away, while the roster has none of it, waits and changes nothing."""
    directory.sync(DISTRICT)
    before = directory.content()
    roster = Roster({**DISTRICT.tables, "enrollments": DISTRICT.rows("enrollments")[3:]})
    outcome = directory.sync(roster)
    assert outcome.planned is not None
    assert outcome.planned.held is not None
    assert "student enrollments" in outcome.planned.held
    assert directory.content() == before
    nobody = Roster({**DISTRICT.tables, "people": (), "person_organizations": (), "enrollments": (), "contacts": ()})
    held = directory.sync(nobody).planned
    assert held is not None
    assert held.held is not None
    assert "students" in held.held


def test_aliases_that_directories_refuse(directory: Directory) -> None:
    """Without replacing the class is an error and the rest goes on; with it the characters become underscores."""
    roster = DISTRICT.plus("classes", section("R/1 x", "A")).plus("enrollments", enrolled("R/1 x", "student", "1"))
    outcome = directory.sync(roster)
    assert outcome.codes() == [
        ("Section", "AzureActiveDirectoryInvalidPropertyValue", "R/1 x"),
        ("SchoolSections", "InvalidLookupReference", "R/1 x"),
        ("StudentEnrollment", "InvalidLookupReference", "1"),
    ]
    assert len(directory.objects("people", "id")) == 5
    replacing = msgspec.structs.replace(CREATES, replace_special_characters=True)
    assert directory.sync(roster, policy=replacing).errors == []
    assert directory.object("classes", "R/1 x", "mail_nickname", "external_id") == ("Section_R_1_x", "R/1 x")


def test_aliases_that_become_equal_do_not_merge(directory: Directory) -> None:
    """Whoever has the alias keeps it; then who needs no replacing; the other class is an error."""
    replacing = msgspec.structs.replace(CREATES, replace_special_characters=True)
    roster = DISTRICT.plus("classes", *(section(name, "A") for name in ("R/1", "R_1", "S/1", "S:1")))
    outcome = directory.sync(roster, policy=replacing)
    assert [code for code in outcome.codes() if code[0] == "Section"] == [
        ("Section", "DuplicateTargetEntries", "R/1"),
        ("Section", "DuplicateTargetEntries", "S:1"),
    ]
    assert directory.object("classes", "R_1", "mail_nickname") == ("Section_R_1",)
    roster = DISTRICT.plus("classes", section("S:1", "A"), section("S/1", "A"), section("R_1", "A"))
    outcome = directory.sync(roster, policy=replacing)
    assert ("Section", "DuplicateTargetEntries", "S:1") in outcome.codes()
    assert directory.object("classes", "S/1", "active") == (1,)


def test_sign_in_names_that_directories_refuse(directory: Directory) -> None:
    """The same for people; a username with a domain keeps it."""
    roster = DISTRICT.plus(
        "people",
        person("student", "5", "A", username="zoë"),
        person("student", "6", "A", username="Ada@Elsewhere.example"),
    )
    outcome = directory.sync(roster)
    assert outcome.codes() == [("Student", "AzureActiveDirectoryInvalidPropertyValue", "5")]
    assert directory.object("people", "student 6", "user_principal_name", "account_name", "mail_nickname") == (
        *("Ada@Elsewhere.example", "ada@elsewhere.example"),
        "Ada",
    )
    directory.sync(roster, policy=msgspec.structs.replace(CREATES, replace_special_characters=True))
    assert directory.object("people", "student 5", "user_principal_name") == ("zo_@pupils.example",)


def test_licenses_are_given_to_new_accounts_only(directory: Directory) -> None:
    """Who was there before gets none."""
    directory.sync(DISTRICT)
    sku = "4b590615-0888-425a-a965-b3bf7789848d"
    licensed = msgspec.structs.replace(CREATES, licenses={"student": (sku,)})
    roster = DISTRICT.plus("people", person("student", "7", "A"), person("teacher", "7", "A"))
    directory.sync(roster, policy=licensed)
    found = {name: json.loads(row[0]) for name, row in directory.objects("people", "licenses").items()}
    assert found["student 7"] == [{"skuId": sku, "disabledPlans": []}]
    assert found["teacher 7"] == found["student 1"] == []


def test_every_change_says_why_and_from_which_line(directory: Directory) -> None:
    """The stored plan has a reason for every row, and the file and line; what goes has those of the upload before."""
    directory.sync(DISTRICT)
    roster = (
        DISTRICT.changed("people", {"role": "student", "source_id": "3"}, grade="8", surname="Ny")
        .left_without_person("student", "2")
        .plus("people", person("student", "8", "A"))
        .plus("person_organizations", attends("student", "8", "A"))
        .plus("enrollments", enrolled("M1", "student", "8"))
    )
    outcome = directory.sync(roster)
    assert outcome.planned is not None
    folder = directory.folder / "runs" / "run-2" / "plan-1"
    reasons = {}
    for path in sorted(folder.glob("[0-9]*.parquet")):
        for row in pq.read_table(path).to_pylist():
            assert row.get("upload_run") == (1 if row["rule"] == "gone" else None)
            reasons.setdefault(path.name.split("-", 1)[1], []).append((row["rule"], row["file"], row["line"]))
    assert reasons["update-people.parquet"] == [("changed", "People.csv", 3)]
    assert reasons["create-people.parquet"] == [("new-record", "People.csv", 6)]
    assert reasons["link-class_people.parquet"] == [("new-record", "Enrollment.csv", 6)]
    assert reasons["remove-people.parquet"] == [("gone", "People.csv", 3)]
    assert reasons["unlink-class_people.parquet"] == [("gone", "Enrollment.csv", 3)]


def test_error_entries_have_ids_that_stay(directory: Directory) -> None:
    """Planning the same run again names the same errors; another run's are others."""
    roster = DISTRICT.plus("people", *(person("student", f"D{n}", "A", username="twins") for n in range(4)))
    first = directory.sync(roster)
    assert len(first.errors) == 3
    assert len({row["id"] for row in first.errors}) == 3
    assert {row["joining_value"] for row in first.errors} == {"twins@pupils.example"}
    again = directory.sync(roster, ignore_findings=True)
    assert not {row["id"] for row in first.errors} & {row["id"] for row in again.errors}
    assert again.codes() == first.codes()
    assert all("twins" not in row["error_message"] for row in first.errors)
