"""Nothing of Graph's surface is forgotten: every operation, option, property and member of the list is here.

The list (surface.json) is not part of this repository; SCHOOLSYNC_CONTRACT names its folder.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest

from schoolsync.graph.paths import Tree
from schoolsync.graph.routes import ROUTES
from schoolsync.graph.types import ENUMS, TYPES, UNKNOWN, Access, Property

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


VALUES = {
    "mailNickname": "ny-klasse",
    "userPrincipalName": "ny.person@skole.example",
    "usageLocation": "NO",
    "preferredLanguage": "nb-NO",
    "passwordPolicies": "DisablePasswordExpiration",
    "userType": "Member",
    "emailAddress": "mor@hjem.example",
    "principalEmail": "rektor@skole.example",
    "graduationYear": "2031",
    "lowestGrade": "1",
    "highestGrade": "10",
    "grade": "10",
}
"""What may not be any text."""


NEVER_NULL = {"displayName", "accountEnabled", "mailNickname", "userPrincipalName"}
"""What a new person needs stays, although Graph declares that it may be null."""


def written(prop: Property) -> Any:  # JSON
    """A value that the property may have."""
    if prop.type in TYPES:
        parts = TYPES[prop.type].properties.values()
        one: Any = {part.name: written(part) for part in parts if part.access is Access.READ_WRITE}
    elif prop.type in ENUMS:
        enum = ENUMS[prop.type]
        one = next(member for member in reversed(enum.members) if member not in enum.hidden and member != UNKNOWN)
    else:
        one = {
            "String": VALUES.get(prop.name, f"Blåbær {prop.name}"),
            "Boolean": True,
            "Date": "2012-02-29",
            "DateTimeOffset": "2026-08-31T07:30:00Z",
            "Guid": "12345678-9abc-4def-8123-456789abcdef",
        }[prop.type]
    return [one] if prop.collection else one


def without_beta(prop: Property, value: Any) -> Any:  # JSON
    """The value as v1.0 shows it."""
    if prop.collection:
        return [without_beta(replace(prop, collection=False), one) for one in value]
    if prop.type not in TYPES:
        return value
    parts = TYPES[prop.type].properties
    return {name: without_beta(parts[name], one) for name, one in value.items() if not parts[name].beta_only}


class TestTypes:
    @pytest.mark.parametrize(("kind", "thing"), [("School", "school"), ("Class", "class"), ("User", "person")])
    def test_keep_whatever_may_be_written(
        self, surface: dict[str, Any], town: Any, ids: Any, kind: str, thing: str
    ) -> None:
        """Each property of the list by itself: written, read in both versions, found by, and taken away again."""
        name = f"education{kind}"
        many = {"School": "schools", "Class": "classes", "User": "users"}[kind]
        key = ids(thing, 2)
        family = {name, TYPES[name].base}
        tried = 0
        for listed in (prop for one in surface["types"] if one["name"] in family for prop in one["properties"]):
            prop = TYPES[name].properties.get(listed["name"])
            if prop is None or prop.access is not Access.READ_WRITE:
                continue
            value = written(prop)
            answer = town.send("PATCH", f"/education/{many}/{key}", {prop.name: value})
            assert answer.status_code in {200, 204}, (prop.name, answer.text)
            for version in listed["in"]:
                shown = town.get(f"/{version}/education/{many}/{key}?$select={prop.name}").json()[prop.name]
                assert shown == (value if version == "beta" else without_beta(prop, value)), (version, prop.name)
            if prop.type not in TYPES and not prop.collection:
                said = f"'{value}'" if isinstance(value, str) and prop.type not in ("Date", "DateTimeOffset") else value
                said = str(said).lower() if isinstance(value, bool) else said
                assert key in town.ids(f"/education/{many}?$filter={prop.name} eq {said}"), prop.name
            if prop.nullable:
                answer = town.send("PATCH", f"/education/{many}/{key}", {prop.name: None})
                if prop.name in NEVER_NULL:
                    assert (answer.status_code, answer.json()["error"]["target"]) == (400, prop.name)
                    continue
                assert answer.status_code in {200, 204}, (prop.name, answer.text)
                shown = town.get(f"/beta/education/{many}/{key}?$select={prop.name}").json()[prop.name]
                assert shown in (None, []), prop.name
            tried += 1
        assert tried >= {"School": 13, "Class": 10, "User": 21}[kind]

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
