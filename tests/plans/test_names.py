"""Sign-in names, mail addresses and nicknames that a profile makes up: nobody's twice, and never another's."""

from __future__ import annotations

from typing import Any

import duckdb
import msgspec
import pytest

from schoolsync.plan import recipes
from schoolsync.plan.policy import Recipe
from schoolsync.profiles.policy import own_settings

from .districts import CREATES, DISTRICT, Directory, Roster, attends, person

pytestmark = pytest.mark.nightly("postgresql")  # on SQLite by day: how rows are written has tests on both

BY_NAME = Recipe(username="{givenName:3}.{surname}", mail="{alias}@mail.example", nickname="p-{alias}")
NAMED = msgspec.structs.replace(CREATES, recipes={"student": BY_NAME})


@pytest.mark.parametrize(
    ("recipe", "record", "made"),
    [
        (BY_NAME, {"given_name": "Åse Marie", "surname": "Ødegård-Łuc"}, "ase.odegardluc"),
        (BY_NAME, {"given_name": "Ann", "surname": "Weißenberger-Strohmayer"}, "ann.weissenbergers"),
        (BY_NAME, {"given_name": None, "surname": "Li"}, "li"),
        (BY_NAME, {"given_name": "李", "surname": "明"}, None),
        (BY_NAME, {"given_name": "O'Neil", "surname": "d'Arc"}, "one.darc"),
        (Recipe(username="{surname}.{middleName}.{givenName:1}"), {"given_name": "Eva", "surname": "Ek"}, "ek.e"),
        (Recipe(username="s{number}", counter=False), {"number": "A-17"}, "sa17"),
        (Recipe(username="{username}{graduationYear:2}", longest=6), {"username": "ABCDEFG"}, "abcd"),
        (Recipe(username="{sisId}"), {"source_id": "X_1"}, "x1"),
    ],
)
def test_what_a_recipe_makes(recipe: Recipe, record: dict[str, Any], made: str | None) -> None:
    """Lower case, without accents, cut to length, with room for a number; no dots where a field is empty."""
    names = ("given_name", "middle_name", "surname", "username", "source_id", "number", "graduation_year")
    columns = ", ".join(f"${name}::VARCHAR AS {name}" for name in names)
    found = duckdb.execute(
        f"SELECT {recipes.name(recipe)} FROM (SELECT {columns}) AS r", {name: record.get(name) for name in names}
    ).fetchall()
    assert found == [(made,)]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"username": "{firstname}"}, "no field 'firstname'"),
        ({"username": "pupil"}, "needs a field"),
        ({"username": "{surname}@x.example"}, "needs a field"),
        ({"username": "{surname"}, "needs a field"),
        ({"username": "{surname}", "nickname": "same"}, "nickname: it is {alias}"),
        ({"username": "{surname}", "mail": "{alias}"}, "mail: it is {alias} and a domain"),
        ({"username": "{surname}", "longest": 3}, "longest"),
    ],
)
def test_a_recipe_that_makes_no_names_is_refused(settings: dict[str, Any], said: str) -> None:
    """Before it is kept, with what is wrong."""
    with pytest.raises(Exception, match=said.replace("{", r"\{")):
        own_settings(msgspec.json.encode({"recipes": {"student": settings}}))


def named(*names: tuple[str, str, str]) -> Roster:
    """The district with these pupils more: SIS ID, given name, surname."""
    roster = DISTRICT
    for one, given, family in names:
        roster = roster.plus("people", person("student", one, "A", given_name=given, surname=family))
        roster = roster.plus("person_organizations", attends("student", one, "A"))
    return roster


def accounts(directory: Directory) -> dict[str, str]:
    return {who: name for who, (name,) in directory.objects("people", "user_principal_name").items()}


def test_names_are_nobodys_twice_and_stay(directory: Directory) -> None:
    """Twins get numbers, also beside accounts of other domains made by hand; a new family name moves no account."""
    directory.sync(Roster())
    directory.person_by_hand("KIM.EK@staff.example")
    roster = named(("k1", "Kim", "Ek"), ("k2", "Kimberly", "Ek"), ("r", "Root", ""), ("k3", "Kim", "Ek2"))
    outcome = directory.sync(roster, policy=NAMED)
    assert outcome.errors == []
    names = accounts(directory)
    # Number 2 is what another pupil is called without any number.
    assert names["student k3"] == "kim.ek2@pupils.example"
    assert names["student k1"] == "kim.ek3@pupils.example"
    assert names["student k2"] == "kim.ek4@pupils.example"
    assert names["student r"] == "roo@pupils.example"
    assert names["teacher 9"] == "t9@staff.example"
    columns = ("mail", "mail_nickname", "account_name")
    shown = directory.object("people", "student k1", *columns)
    assert shown == ("kim.ek3@mail.example", "p-kim.ek3", "kim.ek3@pupils.example")
    changed = roster.changed("people", {"source_id": "k1"}, surname="Berg", email="new@x.example")
    changed = changed.plus("people", person("student", "k4", "A", given_name="Kim", surname="Ek"))
    changed = changed.plus("person_organizations", attends("student", "k4", "A"))
    assert directory.sync(changed, policy=NAMED).finished is not None
    after = accounts(directory)
    assert after.pop("student k4") == "kim.ek5@pupils.example"
    assert after == names
    assert directory.object("people", "student k1", *columns) == shown
    directory.forget_base()
    assert directory.sync(changed, policy=NAMED, ignore_findings=True).steps == {}


def test_a_collision_is_a_finding(directory: Directory) -> None:
    """Without a counter who comes second has no account, nor who is called like one that runs services."""
    strict = Recipe(username="{givenName}", counter=False, reserved=("boss",))
    policy = msgspec.structs.replace(CREATES, recipes={"student": strict})
    directory.sync(Roster())
    directory.person_by_hand("dag@elsewhere.example")
    roster = named(("a", "Ane", ""), ("b", "Áne", ""), ("c", "Dag", ""), ("d", "Admin", ""), ("e", "Boss", ""))
    outcome = directory.sync(roster, policy=policy)
    refused = [row for row in outcome.errors if row["error_code"] == "DuplicateTargetEntries"]
    assert {row["reportable_identifier"] for row in refused} == {"b", "c", "d", "e"}
    assert {row["joining_value"] for row in refused} == {
        f"{name}@pupils.example" for name in ("ane", "dag", "admin", "boss")
    }
    assert accounts(directory)["student a"] == "ane@pupils.example"
    assert directory.query("SELECT count(*) FROM people WHERE account_name = 'dag@elsewhere.example'") == [(1,)]


def test_mail_addresses_and_nicknames_are_nobodys_twice(directory: Directory) -> None:
    """Somebody has the address, or the nickname, under quite another sign-in name: who is new gets a number."""
    directory.sync(Roster())
    directory.person_by_hand("x@elsewhere.example", mail="Kim.Ek@Mail.example", mail_nickname="y")
    directory.person_by_hand("y@elsewhere.example", mail="z@mail.example", mail_nickname="P-bo.ek")
    roster = named(("k", "Kim", "Ek"), ("b", "Bo", "Ek"), ("t", "Tom", "Ek"))
    roster = roster.changed("people", {"role": "teacher", "source_id": "9"}, email="tom.ek@mail.example")
    outcome = directory.sync(roster, policy=NAMED)
    assert outcome.errors == []
    names = accounts(directory)
    assert [names[f"student {one}"] for one in "kbt"] == [f"{one}.ek2@pupils.example" for one in ("kim", "bo", "tom")]
    shown = directory.query("SELECT lower(mail), count(*) FROM people WHERE mail IS NOT NULL GROUP BY 1")
    assert {many for _, many in shown} == {1}
    assert directory.query("SELECT mail FROM people WHERE account_name = 'x@elsewhere.example'") == [
        ("Kim.Ek@Mail.example",)
    ]
