"""Nothing of Graph's surface is forgotten: every operation, option, property and member of the list is here.

The list (surface.json) is not part of this repository; SCHOOLSYNC_CONTRACT names its folder.
"""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

import pytest

from schoolsync.graph.paths import Tree
from schoolsync.graph.routes import ROUTES
from schoolsync.graph.types import ENUMS, TYPES, Access

EDM = "{http://docs.oasis-open.org/odata/ns/edm}"
KEYS = {
    "educationSchool-id": ("school", 1),
    "educationClass-id": ("class", 1),
    "educationUser-id": ("person", 1),
}
# The SDK models the root of /education as an entity; on the wire it has no id.
NO_PROPERTY = {("educationRoot", "id")}
PLAIN = {"administrativeUnit", "group", "user"}
# Directory deltas take no other options; docs/graph.md says so.
DELTA_OPTIONS = {"$select", "$top", "$count"}


def options(path: dict[str, Any]) -> list[str]:
    """A query for each option that the list names."""
    filters = {"educationSynchronizationError": "errorCode eq 'x'"}.get(path["entity"], "id eq 'x'")
    expand = {
        "educationSchool": "classes",
        "educationClass": "members",
        "educationUser": "classes",
        "educationSynchronizationProfile": "errors",
    }
    values = {
        "$count": "true",
        "$top": "1",
        "$skip": "0",
        "$select": "id",
        "$orderby": "id",
        "$search": '"x"',
        "$filter": filters,
        "$expand": expand.get(path["entity"], ""),
    }
    return [f"{option}={values[option]}" for option in path["query"] if values[option]]


class TestOperations:
    def test_are_all_routed(self, surface: dict[str, Any]) -> None:
        """Every path with every method, and every other spelling of it, leads to an operation."""
        tree = Tree(ROUTES)
        for path in surface["paths"]:
            for spelling in (path["path"], *path.get("aliases", ())):
                match = tree.find(filter(None, re.sub(r"\{[^}]*\}", "x", spelling).split("/")))
                missing = set(path["methods"]) - match.routes.keys()
                # DELETE /education/me is an SDK's invention: nobody deletes a person so.
                assert missing <= ({"DELETE"} if path["path"] == "/education/me" else set()), spelling

    def test_that_read_answer_with_every_option(self, surface: dict[str, Any], town: Any, token: Any, ids: Any) -> None:
        """Each readable path, in both versions and with each of its options, answers 200 on a furnished directory."""
        admin = token("EduAdministration.ReadWrite", "EduRoster.Read", kind="delegated", user_id=ids("person", 5))
        profile = town.send(
            "POST",
            "/education/synchronizationProfiles",
            {
                "displayName": "P",
                "dataProvider": {"@odata.type": "#microsoft.graph.educationCsvDataProvider"},
                "identitySynchronizationConfiguration": {
                    "@odata.type": "#microsoft.graph.educationIdentityCreationConfiguration",
                    "userDomains": [{"appliesTo": "student", "name": "skole.example"}],
                },
            },
            authorization=admin,
        ).json()["id"]
        errors = f"/education/synchronizationProfiles/{profile}/errors"
        error = town.send("POST", errors, {"errorCode": "None"}).json()["id"]
        asked = 0
        for path in surface["paths"]:
            if "GET" not in path["methods"]:
                continue
            keys = {name: ids(kind, place) for name, (kind, place) in KEYS.items()}
            if "/teachers/" in path["path"] or "/me/" in path["path"] or "taughtClasses" in path["path"]:
                keys["educationUser-id"] = ids("person", 5)
            keys |= {"educationSynchronizationProfile-id": profile, "educationSynchronizationError-id": error}
            address = re.sub(r"\{[^}]*\}", "{}", path["path"]).format(
                *(keys[name] for name in re.findall(r"\{([^}]*)\}", path["path"]))
            )
            delegated = "/me" in path["path"]
            for version in path["in"]:
                for query in ("", *options(path)):
                    if path["kind"] == "function" and query and query.partition("=")[0] not in DELTA_OPTIONS:
                        continue
                    # The root has nothing of its own, and plain objects have nothing that could be expanded.
                    if path["path"] == "/education" and query:
                        continue
                    if path["entity"] in PLAIN and query.startswith("$expand"):
                        continue
                    answer = town.get(
                        f"/{version}{address}?{query}", authorization=admin if delegated else town.authorization
                    )
                    assert answer.status_code == 200, (address, query, answer.text)
                    asked += 1
                    if path["kind"] == "count":
                        assert answer.text.isdigit()
                    elif path["kind"] in {"collection", "reference"}:
                        assert isinstance(answer.json()["value"], list)
        assert asked > 400


class TestTypes:
    def test_have_every_property(self, surface: dict[str, Any]) -> None:
        """Name, type, collection and whether it may be null, as Graph declares them; and nothing that Graph lacks."""
        for wanted in surface["types"]:
            kind = TYPES[wanted["name"]]
            assert kind.abstract == wanted["abstract"], wanted["name"]
            assert kind.base == wanted["base"], wanted["name"]
            declared = {(wanted["name"], prop["name"]) for prop in wanted["properties"]} - NO_PROPERTY
            inherited = set(TYPES[kind.base].properties) if kind.base else set()
            assert declared == {(kind.name, name) for name in set(kind.properties) - inherited}
            for prop in wanted["properties"]:
                if (wanted["name"], prop["name"]) in NO_PROPERTY:
                    continue
                ours = kind.properties[prop["name"]]
                assert (ours.type, ours.collection) == (prop["type"], prop["collection"]), prop
                if ours.access is not Access.NAVIGATION:
                    assert ours.nullable == prop["nullable"], (wanted["name"], prop)
                if ours.access is not Access.NOT_KEPT:
                    assert ours.beta_only == ("v1.0" not in prop["in"]), (wanted["name"], prop)

    def test_have_every_member(self, surface: dict[str, Any]) -> None:
        """Members of enumerations with their numbers, and which of them belong to beta."""
        for wanted in surface["enums"]:
            enum = ENUMS[wanted["name"]]
            assert {one["name"]: one["value"] for one in wanted["members"]} == {
                member: enum.value(member) for member in enum.members
            }
            beta = {one["name"] for one in wanted["members"] if "v1.0" not in one["in"]}
            assert beta == enum.beta_only, wanted["name"]
            hidden = {one["name"] for one in wanted["members"] if one.get("requiresPrefer")}
            assert hidden == enum.hidden, wanted["name"]

    @pytest.mark.parametrize("version", ["v1.0", "beta"])
    def test_are_described(self, surface: dict[str, Any], still_town: Any, version: str) -> None:
        """`$metadata` declares what the list has for that version, and what is kept here."""
        root = ElementTree.fromstring(still_town.get(f"/{version}/$metadata", authorization=None).text)
        described = {
            element.get("Name"): {child.get("Name") for child in element if child.get("Name")}
            for tag in ("EntityType", "ComplexType", "EnumType")
            for element in root.iter(f"{EDM}{tag}")
        }
        for wanted in surface["types"]:
            kept = {
                prop["name"]
                for prop in wanted["properties"]
                if version in prop["in"]
                and (wanted["name"], prop["name"]) not in NO_PROPERTY
                and TYPES[wanted["name"]].properties[prop["name"]].access is not Access.NOT_KEPT
            }
            assert described[wanted["name"]] == kept, wanted["name"]
        for wanted in surface["enums"]:
            if wanted["name"] in described:
                members = {one["name"] for one in wanted["members"] if version in one["in"]}
                assert described[wanted["name"]] == members


def test_metadata_needs_no_token_and_takes_any_accept(still_town: Any) -> None:
    """Public, XML, whatever a generator asks for."""
    for accept in ("application/xml", "text/xml", "*/*", "application/json"):
        answer = still_town.get("/$metadata", authorization=None, headers={"Accept": accept})
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/xml")
    assert still_town.get("/education/users", headers={"Accept": "application/xml"}).status_code == 406
