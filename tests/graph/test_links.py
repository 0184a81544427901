"""Links in every spelling that clients have for them; taking one back never deletes what it led to."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

GRAPH = "https://graph.microsoft.com"
# (owner, its number, name, target kind, number of a target that is not linked yet, sets that may name it)
LINKS = [
    ("schools", "school", 1, "classes", "class", 3, ("education/classes", "groups", "directoryObjects")),
    ("schools", "school", 1, "users", "person", 3, ("education/users", "users", "directoryObjects")),
    ("classes", "class", 1, "members", "person", 4, ("education/users", "users", "directoryObjects")),
    ("classes", "class", 1, "teachers", "person", 4, ("education/users", "users", "directoryObjects")),
]


@pytest.mark.parametrize(("many", "owner", "number", "name", "kind", "target", "sets"), LINKS)
class TestALink:
    def test_is_made_and_taken_back_in_every_spelling(
        self, town: Any, ids: Any, many: str, owner: str, number: int, name: str, kind: str, target: int, sets: Any
    ) -> None:
        """Foreign hosts, both versions, relative addresses, keys in parentheses; three ways to take a link back."""
        path, wanted = f"/education/{many}/{ids(owner, number)}/{name}", ids(kind, target)
        spellings = [
            *(f"{GRAPH}/{version}/{part}/{wanted}" for part in sets for version in ("v1.0", "beta")),
            f"https://sds.example.org/v1.0/{sets[0]}('{wanted}')",
            f"{sets[0]}/{wanted.upper()}",
            f"/{sets[1]}/{wanted}",
        ]
        removals = [
            f"{path}/{wanted}/$ref",
            f"{path}/$ref?@id={quote(f'{GRAPH}/v1.0/{sets[0]}/{wanted}', safe='')}",
            f"{path}/$ref?%24id={quote(f'{GRAPH}/beta/{sets[2]}/{wanted}', safe='')}",
            f"{path}/{wanted}",
        ]
        before = town.ids(path)
        assert wanted not in before
        for turn, spelling in enumerate(spellings):
            added = town.send("POST", f"{path}/$ref", {"@odata.id": spelling})
            assert (added.status_code, added.content) == (204, b""), (spelling, added.text)
            assert sorted(town.ids(path)) == sorted([*before, wanted])
            removed = town.send("DELETE", removals[turn % len(removals)])
            assert (removed.status_code, removed.content) == (204, b""), (turn, removed.text)
            assert town.ids(path) == before
            assert town.get(f"/education/{'classes' if kind == 'class' else 'users'}/{wanted}").status_code == 200

    def test_is_refused_when_it_cannot_be(
        self, town: Any, ids: Any, many: str, owner: str, number: int, name: str, kind: str, target: int, sets: Any
    ) -> None:
        """Twice, to nobody, to another kind of thing, without an address: refused, and the position stays."""
        path, wanted = f"/education/{many}/{ids(owner, number)}/{name}", ids(kind, target)
        assert town.send("POST", f"{path}/$ref", {"@odata.id": f"{sets[0]}/{wanted}"}).status_code == 204
        position = town.position()
        again = town.send("POST", f"{path}/$ref", {"@odata.id": f"{sets[0]}/{wanted}"})
        assert (again.status_code, again.json()["error"]["code"]) == (400, "Request_BadRequest")
        assert "already exist" in again.json()["error"]["message"]
        nobody = town.send("POST", f"{path}/$ref", {"@odata.id": f"{sets[0]}/99999999-9999-4999-8999-999999999999"})
        assert (nobody.status_code, nobody.json()["error"]["code"]) == (404, "Request_ResourceNotFound")
        for body in (
            {},
            {"@odata.id": 7},
            {"@odata.id": wanted},
            {"@odata.id": f"{GRAPH}/v1.0/education/schools/{ids('school', 2)}"},
            {"@odata.id": f"{GRAPH}/v1.0/{'groups' if kind == 'person' else 'users'}/{wanted}"},
            {"@odata.id": "https://[/users/1"},
            {"@odata.id": "x" * 4000},
        ):
            assert town.send("POST", f"{path}/$ref", body).status_code == 400, body
        assert town.send("DELETE", f"{path}/$ref").status_code == 400
        assert town.send("DELETE", f"{path}/{wanted}/$ref").status_code == 204
        assert town.send("DELETE", f"{path}/{wanted}/$ref").status_code == 404
        assert town.send("DELETE", f"{path}/{wanted}").status_code == 404
        assert town.position() == position + 1

    def test_is_listed_by_address(
        self, town: Any, ids: Any, many: str, owner: str, number: int, name: str, kind: str, target: int, sets: Any
    ) -> None:
        """GET …/$ref: an address for each link, in pages, counted when asked."""
        path = f"/education/{many}/{ids(owner, number)}/{name}"
        there = town.ids(path)
        answer = town.get(f"{path}/$ref?$count=true").json()
        assert answer["@odata.context"].endswith("$metadata#Collection($ref)")
        assert answer["@odata.count"] == len(there)
        paged = town.walk(f"{path}/$ref?$top=1")
        assert paged == answer["value"]
        for item, found in zip(paged, there, strict=True):
            assert list(item) == ["@odata.id"]
            assert town.get(item["@odata.id"]).json()["id"] == found


def test_a_teacher_is_a_member_only_when_both_are_said(town: Any, ids: Any) -> None:
    """teachers/$ref does not touch members, and the other way round."""
    path, person = f"/education/classes/{ids('class', 1)}", ids("person", 4)
    body = {"@odata.id": f"{GRAPH}/v1.0/education/users/{person}"}
    assert town.send("POST", f"{path}/teachers/$ref", body).status_code == 204
    assert person in town.ids(f"{path}/teachers")
    assert person not in town.ids(f"{path}/members")
    assert town.send("POST", f"{path}/members/$ref", body).status_code == 204
    assert person in town.ids(f"{path}/members")
    assert town.send("DELETE", f"{path}/members/{person}/$ref").status_code == 204
    assert person in town.ids(f"{path}/teachers")
    assert person not in town.ids(f"{path}/members")
    assert town.ids(f"/education/users/{person}/taughtClasses") == [ids("class", 1)]


def test_a_class_has_a_new_entity_tag_when_its_members_change(town: Any, ids: Any) -> None:
    """Whoever holds an old copy of a class learns that it is old."""
    path = f"/education/classes/{ids('class', 1)}"
    tag = town.get(path).headers["etag"]
    assert town.send("DELETE", f"{path}/members/{ids('person', 1)}/$ref").status_code == 204
    assert town.get(path, headers={"If-None-Match": tag}).status_code == 200
