"""Delta queries: a reader that reads the whole and then follows the changes has exactly the directory."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import pytest
from sqlalchemy import update

from schoolsync import ticks
from schoolsync.graph.resources import delta
from schoolsync.store import directory_tables

SETS = {"schools": "school", "classes": "class", "users": "person"}


class Reader:
    """What a program keeps that follows one set: objects by id, and who is in which class."""

    def __init__(self, house: Any, kind: str, query: str = "", **more: Any) -> None:
        self.house, self.more = house, more
        self.link = f"/education/{kind}/delta{query}"
        self.objects: dict[str, dict[str, Any]] = {}
        self.members: dict[str, set[str]] = {}
        self.teachers: dict[str, set[str]] = {}
        self.told = 0

    def page(self) -> bool:
        """Take one page; whether there are more."""
        answer = self.house.get(self.link, **self.more)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        links = [name for name in ("@odata.nextLink", "@odata.deltaLink") if name in body]
        assert len(links) == 1, body
        for item in body["value"]:
            self.told += 1
            if "@removed" in item:
                assert set(item) == {"id", "@removed"}
                for kept in (self.objects, self.members, self.teachers):
                    kept.pop(item["id"], None)
                continue
            for part, kept in (("members", self.members), ("teachers", self.teachers)):
                people = kept.setdefault(item["id"], set())
                for one in item.pop(f"{part}@delta", []):
                    (people.discard if "@removed" in one else people.add)(one["id"])
            self.objects[item["id"]] = item
        self.link = body[links[0]]
        return links[0] == "@odata.nextLink"

    def follow(self) -> int:
        """Read on to the delta link; how many objects were told."""
        self.told = 0
        while self.page():
            pass
        return self.told


def whole(house: Any, kind: str, **more: Any) -> dict[str, dict[str, Any]]:
    return {item["id"]: item for item in house.walk(f"/education/{kind}?$top=999", **more)}


def same(house: Any, reader: Reader, kind: str) -> None:
    """The reader has exactly what the directory has."""
    assert reader.objects == whole(house, kind)
    if kind == "classes":
        for group in reader.objects:
            for part, kept in (("members", reader.members), ("teachers", reader.teachers)):
                assert sorted(kept[group]) == house.ids(f"/education/classes/{group}/{part}?$top=999"), part


@pytest.fixture
def told_deletions(build: Any, furnish: Any, tenant: str) -> Any:
    """A town whose class deltas tell deleted classes too."""
    house = build(delta_deleted_classes=True)
    furnish(house, tenant)
    return house


@pytest.mark.parametrize("kind", SETS)
class TestOneSet:
    def test_begins_with_the_whole_and_goes_on_with_nothing(self, town: Any, kind: str) -> None:
        """All spellings of the function; pages of one; then an empty delta with a new link, again and again."""
        for spelling in ("delta", "delta()", "microsoft.graph.delta()", "Delta"):
            reader = Reader(town, f"{kind}", "")
            reader.link = f"/education/{kind}/{spelling}?$top=1"
            assert reader.follow() == len(whole(town, kind))
            same(town, reader, kind)
            assert "$deltatoken=" in reader.link
            for _ in range(2):
                assert reader.follow() == 0

    def test_tells_what_was_made_changed_and_deleted(self, told_deletions: Any, ids: Any, kind: str) -> None:
        """Each once, in its last form; the reader ends with the directory."""
        house = told_deletions
        reader = Reader(house, kind, "?$top=2")
        reader.follow()
        bodies = {
            "schools": {"displayName": "Ny"},
            "classes": {"displayName": "Ny", "mailNickname": "ny"},
            "users": {
                "displayName": "Ny",
                "mailNickname": "ny",
                "userPrincipalName": "ny@skole.example",
                "accountEnabled": True,
                "passwordProfile": {"password": "x"},
            },
        }
        made = house.send("POST", f"/education/{kind}", bodies[kind]).json()["id"]
        assert house.send("PATCH", f"/education/{kind}/{made}", {"displayName": "Nyere"}).status_code == 200
        first = ids(SETS[kind], 1)
        assert house.send("PATCH", f"/education/{kind}/{first}", {"displayName": "Annet"}).status_code == 200
        assert house.send("DELETE", f"/education/{kind}/{ids(SETS[kind], 2)}").status_code == 204
        assert reader.follow() == 3
        same(house, reader, kind)
        assert house.send("DELETE", f"/education/{kind}/{made}").status_code == 204
        assert reader.follow() == 1
        same(house, reader, kind)
        assert reader.follow() == 0

    def test_can_begin_now(self, town: Any, ids: Any, kind: str) -> None:
        """`$deltatoken=latest` tells nothing and links to what is to come."""
        reader = Reader(town, kind, "?$deltaToken=latest&$select=displayName")
        assert reader.follow() == 0
        first = ids(SETS[kind], 1)
        assert town.send("PATCH", f"/education/{kind}/{first}", {"displayName": "Annet"}).status_code == 200
        assert reader.follow() == 1
        assert reader.objects == {first: {"id": first, "displayName": "Annet"}}

    def test_keeps_what_was_asked_for(self, town: Any, ids: Any, kind: str) -> None:
        """`$select` and `$top` live in the token; a filter can name ids."""
        wanted = ids(SETS[kind], 1)
        reader = Reader(town, kind, f"?$select=id&$filter=id eq '{wanted}'")
        assert reader.follow() == 1
        assert reader.objects == {wanted: {"id": wanted}}
        for place in (1, 2):
            path = f"/education/{kind}/{ids(SETS[kind], place)}"
            assert town.send("PATCH", path, {"displayName": "Annet"}).status_code == 200
        assert reader.follow() == 1
        for query in ("$orderby=displayName", "$expand=classes", "$search=x", "$skip=1", "$filter=displayName eq 'x'"):
            assert town.get(f"/education/{kind}/delta?{query}").status_code == 400, query

    def test_refuses_tokens_that_lead_nowhere(
        self, town: Any, token: Any, other_tenant: str, furnish: Any, kind: str
    ) -> None:
        """Malformed: 400. Of another set, another tenant, a lost history: 410 with a fresh link that works."""
        reader = Reader(town, kind, "?$select=displayName")
        reader.follow()
        text = reader.link.partition("$deltatoken=")[2]
        assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
        for wrong in ("nonsense", "AAAA", text[:-4], "%00", "latestt"):
            answer = town.get(f"/education/{kind}/delta?$deltatoken={wrong}")
            assert answer.status_code == 400, wrong
        other = "schools" if kind != "schools" else "users"
        stranger = token("EduRoster.Read.All", tenant=other_tenant)
        person = token("EduRoster.Read", kind="delegated", user_id=str(uuid.uuid4()))
        lost = [
            town.get(f"/education/{other}/delta?$deltatoken={text}"),
            town.get(reader.link, authorization=stranger),
            town.get(reader.link, authorization=person),
        ]
        with town.services.directories.write(next(iter(town.numbers))) as connection:
            connection.execute(
                update(directory_tables.positions).values(forgotten=directory_tables.positions.c.position + 1)
            )
        lost.append(town.get(reader.link))
        with town.services.directories.write(next(iter(town.numbers))) as connection:
            connection.execute(update(directory_tables.positions).values(forgotten=0, position=0))
        lost.append(town.get(reader.link))
        for answer in lost:
            assert answer.status_code == 410, answer.text
            assert answer.json()["error"]["code"] == "syncStateNotFound"
            assert answer.headers["location"].endswith("/delta?$select=displayName")
        assert town.get(lost[-1].headers["location"]).status_code == 200


class TestClasses:
    def test_tell_who_came_and_who_went(self, town: Any, ids: Any) -> None:
        """members@delta and teachers@delta: links made, taken back, changed; people deleted."""
        reader = Reader(town, "classes")
        reader.follow()
        path = f"/education/classes/{ids('class', 1)}"
        for part, place in (("members", 4), ("members", 3), ("teachers", 3)):
            body = {"@odata.id": f"users/{ids('person', place)}"}
            assert town.send("POST", f"{path}/{part}/$ref", body).status_code == 204
        assert town.send("DELETE", f"{path}/members/{ids('person', 5)}/$ref").status_code == 204
        assert town.send("DELETE", f"{path}/members/{ids('person', 1)}/$ref").status_code == 204
        (told,) = town.get(reader.link).json()["value"]
        parts = {
            part: {(one["id"], "@removed" in one) for one in told.get(f"{part}@delta", [])}
            for part in ("members", "teachers")
        }
        assert parts == {  # what was had is lost, and nothing else
            "members": {(ids("person", 4), False), (ids("person", 3), False), (ids("person", 5), True)}
            | {(ids("person", 1), True)},
            "teachers": {(ids("person", 3), False), (ids("person", 5), False)},
        }
        assert reader.follow() == 1
        same(town, reader, "classes")
        assert town.send("DELETE", f"/education/users/{ids('person', 2)}").status_code == 204
        assert reader.follow() == 2
        same(town, reader, "classes")
        assert town.send("DELETE", f"{path}/members/{ids('person', 4)}/$ref").status_code == 204
        body = {"@odata.id": f"users/{ids('person', 4)}"}
        assert town.send("POST", f"{path}/members/$ref", body).status_code == 204
        assert reader.follow() == 1
        same(town, reader, "classes")

    def test_do_not_tell_deleted_classes_unless_asked_to(self, town: Any, ids: Any) -> None:
        """As Graph does; the setting `delta_deleted_classes` changes it (the other tests here use it)."""
        reader = Reader(town, "classes")
        reader.follow()
        assert town.send("DELETE", f"/education/classes/{ids('class', 2)}").status_code == 204
        assert reader.follow() == 0
        assert ids("class", 2) in reader.objects

    def test_are_told_in_parts_when_they_are_large(self, told_deletions: Any, ids: Any, monkeypatch: Any) -> None:
        """A class whose members fill a page comes again on the next ones, each time with more of them."""
        monkeypatch.setattr(delta, "MEMBERS_MAX", 2)
        house = told_deletions
        reader = Reader(house, "classes")
        reader.follow()
        same(house, reader, "classes")
        path = f"/education/classes/{ids('class', 3)}"
        for place in (1, 2, 4, 5):
            for part in ("members", "teachers"):
                body = {"@odata.id": f"users/{ids('person', place)}"}
                assert house.send("POST", f"{path}/{part}/$ref", body).status_code == 204
        assert house.send("PATCH", f"/education/classes/{ids('class', 1)}", {"grade": "8"}).status_code == 200
        assert reader.follow() > 2
        same(house, reader, "classes")

    def test_leave_memberships_out_when_others_are_selected(self, town: Any) -> None:
        """`$select` without members tells none; with them it does."""
        for select, there in (("displayName", False), ("displayName,members", True)):
            items = town.walk(f"/education/classes/delta?$select={select}")
            assert {"members@delta" in item for item in items} == {there}
            assert not any("teachers@delta" in item for item in items)


class TestAPerson:
    def test_follows_what_it_sees(self, town: Any, token: Any, ids: Any) -> None:
        """Delegated: shared classes and people; when the classes of the person change, it begins anew (410)."""
        me = {"authorization": token("EduRoster.Read", kind="delegated", user_id=ids("person", 1))}
        users, classes = Reader(town, "users", **me), Reader(town, "classes", **me)
        users.follow()
        classes.follow()
        assert set(users.objects) == {ids("person", place) for place in (1, 2, 5)}
        assert set(classes.objects) == {ids("class", 1)}
        assert classes.members[ids("class", 1)] == {ids("person", place) for place in (1, 2, 5)}
        for place in (2, 3):
            path = f"/education/users/{ids('person', place)}"
            assert town.send("PATCH", path, {"department": "X"}).status_code == 200
        assert (users.follow(), classes.follow()) == (1, 0)
        assert town.send("DELETE", f"/education/users/{ids('person', 3)}").status_code == 204
        assert users.follow() == 0  # nobody that this person has ever seen
        body = {"@odata.id": f"users/{ids('person', 4)}"}
        path = f"/education/classes/{ids('class', 1)}/members"
        assert town.send("POST", f"{path}/$ref", body).status_code == 204
        assert town.get(users.link, **me).status_code == 410
        users = Reader(town, "users", **me)
        users.follow()
        assert ids("person", 4) in users.objects
        assert town.send("DELETE", f"{path}/{ids('person', 1)}/$ref").status_code == 204
        assert town.get(users.link, **me).status_code == 410
        assert town.get(classes.link, **me).status_code == 410


def test_whoever_reads_while_others_write_ends_with_the_directory(told_deletions: Any) -> None:
    """Pages and changes in every order: after the last delta each reader has exactly what is there."""
    house, random = told_deletions, Random(7)
    readers = {kind: Reader(house, kind, f"?$top={size}") for size, kind in enumerate(SETS, 1)}
    for turn in range(120):
        for kind in SETS:
            if random.random() < 0.5:
                readers[kind].page()
        _something(house, random, turn)
    for kind, reader in readers.items():
        for _ in range(2):
            reader.follow()
        same(house, reader, kind)


def test_writers_side_by_side_hide_nothing_from_a_reader(told_deletions: Any) -> None:
    """Positions become visible in the order of their numbers: a reader that reads on all the while misses no change,
    although several write at once."""
    house, writers = told_deletions, 4
    readers = {kind: Reader(house, kind, "?$top=3") for kind in SETS}
    for reader in readers.values():
        reader.follow()

    def write(number: int) -> None:
        random = Random(number)
        for turn in range(12):
            _something(house, random, 1000 * number + turn)

    with ThreadPoolExecutor(writers) as pool:
        working = [pool.submit(write, number) for number in range(1, writers + 1)]
        while not all(one.done() for one in working):
            for reader in readers.values():
                reader.page()
        for one in working:
            one.result()
    for kind, reader in readers.items():
        reader.follow()
        same(house, reader, kind)


def _something(house: Any, random: Random, turn: int) -> None:
    """One change of any kind."""
    classes, people = house.ids("/education/classes?$top=999"), house.ids("/education/users?$top=999")
    match random.randrange(6):
        case 0:
            house.send("POST", "/education/classes", {"displayName": f"K{turn}", "mailNickname": f"k{turn}"})
        case 1 if people:
            house.send("PATCH", f"/education/users/{random.choice(people)}", {"department": str(turn)})
        case 2 if classes and people:
            body = {"@odata.id": f"users/{random.choice(people)}"}
            part = random.choice(["members", "teachers"])
            house.send("POST", f"/education/classes/{random.choice(classes)}/{part}/$ref", body)
        case 3 if classes and people:
            part = random.choice(["members", "teachers"])
            house.send("DELETE", f"/education/classes/{random.choice(classes)}/{part}/{random.choice(people)}/$ref")
        case 4 if len(classes) > 2 and turn % 3 == 0:
            house.send("DELETE", f"/education/classes/{random.choice(classes)}")
        case 5:
            person = {"displayName": f"P{turn}", "mailNickname": f"p{turn}", "accountEnabled": True}
            person |= {"userPrincipalName": f"p{turn}@skole.example", "passwordProfile": {"password": "x"}}
            house.send("POST", "/education/users", person)
            if len(people) > 5 and turn % 2:
                house.send("DELETE", f"/education/users/{random.choice(people)}")


def test_removals_are_forgotten_after_their_time(told_deletions: Any, ids: Any, clock: Any, tenant: str) -> None:
    """After 30 days a link that was never followed is 410; one from after the removal still works."""
    house = told_deletions
    old = Reader(house, "schools")
    old.follow()
    assert house.send("DELETE", f"/education/schools/{ids('school', 1)}").status_code == 204
    fresh = Reader(house, "schools")
    fresh.follow()
    clock.now += 31 * 24 * 3600 * ticks.PER_SECOND
    assert house.send("DELETE", f"/education/users/{ids('person', 1)}").status_code == 204
    assert house.get(old.link).status_code == 410
    assert fresh.follow() == 0
    with house.services.directories.read(tenant) as connection:
        assert [row.kind for row in connection.execute(directory_tables.removed_objects.select())] == ["people"]
