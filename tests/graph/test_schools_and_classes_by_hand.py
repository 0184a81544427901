"""Making, changing and deleting schools and classes by hand."""

from __future__ import annotations

from typing import Any

import pytest

SCHOOL = {
    "displayName": "Fjord skole",
    "externalId": "F1",
    "schoolNumber": "77",
    "address": {"city": "Tromsø", "postalCode": "9008"},
    "externalSource": "manual",
}
CLASS = {
    "displayName": "Matte 8B",
    "mailNickname": "matte-8b",
    "externalId": "M8B",
    "term": {"externalId": "T1", "startDate": "2026-01-05", "endDate": "2026-06-19"},
    "course": {"subject": "Matematikk", "courseNumber": "8"},
}
KINDS = [("schools", SCHOOL, "phone"), ("classes", CLASS, "classCode")]


def made(house: Any, kind: str, body: Any) -> dict[str, Any]:
    answer = house.send("POST", f"/education/{kind}", body)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize(("kind", "body", "text"), KINDS)
class TestOneObject:
    def test_lives_from_post_to_delete(self, house: Any, kind: str, body: dict[str, Any], text: str) -> None:
        """POST 201 with Location, GET the same, PATCH 200 merges, DELETE 204, then 404; each raises the position."""
        answer = house.send("POST", f"/education/{kind}", body)
        assert answer.status_code == 201, answer.text
        first = answer.json()
        address = f"/education/{kind}/{first['id']}"
        assert answer.headers["location"].endswith(address)
        assert first["createdBy"]["application"]["id"] == "00000000-aaaa-4000-8000-00000000000c"
        for name, value in body.items():
            if isinstance(value, dict):
                assert {part: first[name][part] for part in value} == value
            else:
                assert first[name] == value
        assert house.get(address).json() == first
        position = house.position()
        changed = house.send(
            "PATCH", address, {text: "12", "displayName": "Annet", "@odata.type": "x", "id": first["id"]}
        )
        assert changed.status_code == 200, changed.text
        assert (changed.json()[text], changed.json()["displayName"]) == ("12", "Annet")
        assert changed.json()["externalId"] == body["externalId"]
        assert house.position() == position + 1
        same = house.send("PATCH", address, {text: "12"})
        assert (same.status_code, same.json()) == (200, changed.json())
        assert house.position() == position + 1
        cleared = house.send("PATCH", address, {text: None}, headers={"Prefer": "return=minimal"})
        assert (cleared.status_code, cleared.headers["preference-applied"]) == (204, "return=minimal")
        assert house.get(address).json()[text] is None
        assert house.send("DELETE", address).status_code == 204
        assert house.get(address).status_code == 404
        assert house.send("DELETE", address).status_code == 404
        assert house.send("PATCH", address, {text: "1"}).status_code == 404

    def test_is_guarded_by_its_entity_tag(self, house: Any, kind: str, body: dict[str, Any], text: str) -> None:
        """If-Match with an old tag is 412 and changes nothing; If-None-Match with the present one is 304."""
        old = made(house, kind, body)
        address = f"/education/{kind}/{old['id']}"
        assert house.send("PATCH", address, {text: "1"}, headers={"If-Match": old["@odata.etag"]}).status_code == 200
        for method, sent in (("PATCH", {text: "2"}), ("DELETE", None)):
            assert house.send(method, address, sent, headers={"If-Match": old["@odata.etag"]}).status_code == 412
        now = house.get(address)
        assert now.json()[text] == "1"
        assert house.get(address, headers={"If-None-Match": now.headers["etag"]}).status_code == 304

    def test_is_refused_when_it_cannot_be(self, house: Any, kind: str, body: dict[str, Any], text: str) -> None:
        """Missing, empty, too long, unknown, of a wrong type, taken: 400 with the property, and nothing is made."""
        first = made(house, kind, body)
        wrong: list[tuple[dict[str, Any], str]] = [
            ({key: value for key, value in body.items() if key != "displayName"}, "displayName"),
            ({**body, "displayName": None}, "displayName"),
            ({**body, "displayName": " "}, "displayName"),
            ({**body, "displayName": "x" * 257}, "displayName"),
            ({**body, text: "x" * 1025}, text),
            ({**body, text: 7}, text),
            ({**body, "shoeSize": 41}, "shoeSize"),
            ({**body, "externalSource": "Skole"}, "externalSource"),
            ({**body, "mailNickname": "other", "externalId": "f1" if kind == "schools" else "m8B"}, "externalId"),
        ]
        if kind == "classes":
            wrong += [
                ({**body, "externalId": "other", "mailNickname": "Matte-8B"}, "mailNickname"),
                ({**body, "externalId": "other", "mailNickname": "a b"}, "mailNickname"),
                ({**body, "mailNickname": "n", "externalId": "o", "term": {"startDate": "5.1.2026"}}, "term/startDate"),
                (
                    {**body, "mailNickname": "n", "externalId": "o", "term": {"startDate": "2026-2-1"}},
                    "term/startDate",
                ),
            ]
        else:
            wrong = [
                ({name: value for name, value in sent.items() if name != "mailNickname"}, target)
                for sent, target in wrong
            ]
        for sent, target in wrong:
            answer = house.send("POST", f"/education/{kind}", sent)
            assert answer.status_code == 400, sent
            error = answer.json()["error"]
            assert (error["code"], error["target"]) == ("Request_BadRequest", target), error
        assert house.ids(f"/education/{kind}") == [first["id"]]
        address = f"/education/{kind}/{first['id']}"
        for sent in ({"displayName": None}, {"id": "another"}):
            assert house.send("PATCH", address, sent).status_code == 400
        other = made(house, kind, {**body, "externalId": "2", **({"mailNickname": "b"} if kind == "classes" else {})})
        taken = house.send("PATCH", f"/education/{kind}/{other['id']}", {"externalId": body["externalId"]})
        assert taken.json()["error"]["target"] == "externalId"


def test_a_term_cannot_end_before_it_starts(house: Any) -> None:
    """Dates that contradict each other are refused."""
    term = {"startDate": "2026-06-19", "endDate": "2026-01-05"}
    answer = house.send("POST", "/education/classes", {**CLASS, "term": term})
    assert answer.json()["error"]["target"] == "term/endDate"


def test_deleting_a_class_or_a_school_leaves_the_people(town: Any, ids: Any) -> None:
    """Only the links go; members, teachers and classes stay."""
    people = town.ids("/education/users")
    assert town.send("DELETE", f"/education/classes/{ids('class', 1)}").status_code == 204
    assert town.send("DELETE", f"/education/schools/{ids('school', 1)}").status_code == 204
    assert town.ids("/education/users") == people
    assert town.ids("/education/classes") == sorted([ids("class", 2), ids("class", 3)])
    assert town.ids(f"/education/classes/{ids('class', 2)}/schools") == []
    assert town.ids(f"/education/users/{ids('person', 2)}/classes") == [ids("class", 2)]


def test_the_root_has_nothing_to_change(house: Any) -> None:
    """PATCH /education takes an empty object and refuses what it does not know."""
    assert house.send("PATCH", "/education", {}).status_code == 200
    assert house.send("PATCH", "/education", {"displayName": "x"}).status_code == 400
