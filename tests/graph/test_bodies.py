"""What a request body may say, and what comes out of it; and that our types are those of Graph's own SDK."""

from __future__ import annotations

import importlib
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Boolean, Column, Integer

from schoolsync import ticks
from schoolsync.directory.shapes import CLASS, GROUP, PERSON, SCHOOL, UNIT, USER, Shape
from schoolsync.errors import Invalid
from schoolsync.graph import bodies, render, rows
from schoolsync.graph.types import ENUMS, PRIMITIVES, TYPES, Access, Property, at, canonical, derived, named

PROFILE = "educationSynchronizationProfile"
STATUS = "educationSynchronizationProfileStatus"
ERROR = "educationSynchronizationError"
CREATION = {
    "@odata.type": "#microsoft.graph.educationIdentityCreationConfiguration",
    "userDomains": [{"appliesTo": "student", "name": "skole.example"}],
}
FULL = {
    "displayName": "Nordkapp",
    "dataProvider": {"@odata.type": "#microsoft.graph.educationCsvDataProvider"},
    "identitySynchronizationConfiguration": CREATION,
}


class TestReading:
    def test_brings_values_into_one_form(self) -> None:
        """Times become ticks, GUIDs lower case, enumeration members and type names canonical."""
        read = bodies.read(
            PROFILE,
            {
                **FULL,
                "dataProvider": {
                    "@odata.type": "Microsoft.Education.DataSync.EDUCATIONCSVDATAPROVIDER",
                    "customizations": {"student": {"synchronizationStartDate": "2030-01-01t00:00:00.1234567+01:00"}},
                },
                "identitySynchronizationConfiguration": {
                    **CREATION,
                    "userDomains": [{"appliesTo": "Teacher", "name": "x"}],
                },
                "expirationDate": "2027-02-28",
            },
            partial=False,
        )
        assert read["dataProvider"]["@odata.type"] == "#microsoft.graph.educationCsvDataProvider"
        start = read["dataProvider"]["customizations"]["student"]["synchronizationStartDate"]
        assert ticks.text(start) == "2029-12-31T23:00:00.1234567Z"
        assert read["identitySynchronizationConfiguration"]["userDomains"][0]["appliesTo"] == "teacher"
        assert read["expirationDate"] == "2027-02-28"

    def test_drops_what_a_caller_may_not_write(self) -> None:
        """Annotations, read-only members and links go, whatever they hold; id stays for the caller to compare."""
        read = bodies.read(
            PROFILE,
            {
                "@odata.context": "x",
                "@odata.etag": 'W/"1"',
                "displayName@odata.type": "String",
                "id": "1",
                "state": 5,
                "errors": "nonsense",
                "profileStatus": [],
                "displayName": "N",
            },
            partial=True,
        )
        assert read == {"id": "1", "displayName": "N"}

    def test_finds_members_in_other_letter_case(self) -> None:
        """The guide prints `schoolsids`; a member given twice in two spellings is refused."""
        provider = {
            "@odata.type": "#microsoft.graph.educationPowerSchoolDataProvider",
            "connectionUrl": "https://x",
            "clientId": "1",
            "schoolsids": ["1"],
        }
        read = bodies.read(PROFILE, {**FULL, "dataProvider": provider}, partial=False)
        assert read["dataProvider"]["schoolsIds"] == ["1"]
        with pytest.raises(Invalid, match="twice"):
            bodies.read(STATUS, {"statusMessage": "a", "StatusMessage": "b"}, partial=True)

    @pytest.mark.parametrize(
        ("key", "found"),
        [
            ("status_message", "statusMessage"),
            ("last_synchronization_date_time", "lastSynchronizationDateTime"),
            ("error_count", "errorCount"),
        ],
    )
    def test_takes_a_null_under_its_python_name(self, key: str, found: str) -> None:
        """The Python SDK clears a property of several words under its own name for it; only null is taken so."""
        assert bodies.read(STATUS, {key: None}, partial=True) == {found: None}
        with pytest.raises(Invalid) as refused:
            bodies.read(STATUS, {key: 0}, partial=True)
        assert refused.value.target == key
        with pytest.raises(Invalid):
            bodies.read(STATUS, {"no_such_thing": None}, partial=True)

    @pytest.mark.parametrize(
        ("body", "target"),
        [
            ({"status": "running"}, "status"),
            ({"status": 1}, "status"),
            ({"errorCount": "14"}, "errorCount"),
            ({"errorCount": 1.5}, "errorCount"),
            ({"errorCount": True}, "errorCount"),
            ({"errorCount": 2**63}, "errorCount"),
            ({"statusMessage": 5}, "statusMessage"),
            ({"lastActivityDateTime": "2026-01-02T03:04:05"}, "lastActivityDateTime"),
            ({"lastActivityDateTime": "2026-01-02"}, "lastActivityDateTime"),
            ({"lastActivityDateTime": "2026-01-02T03:04:05.12345678Z"}, "lastActivityDateTime"),
            ({"lastActivityDateTime": 5}, "lastActivityDateTime"),
            ({"id": 5}, "id"),
            ({"id": None}, "id"),
            ({"color": "red"}, "color"),
        ],
    )
    def test_names_the_member_that_is_wrong(self, body: dict[str, Any], target: str) -> None:
        """Each wrong value is refused with the member as target."""
        with pytest.raises(Invalid) as refused:
            bodies.read(STATUS, body, partial=True)
        assert refused.value.target == target

    @pytest.mark.parametrize(
        ("change", "target"),
        [
            ({"displayName": None}, "displayName"),
            ({"dataProvider": None}, "dataProvider"),
            ({"dataProvider": {}}, "dataProvider"),
            ({"dataProvider": "csv"}, "dataProvider"),
            ({"dataProvider": {"@odata.type": "#microsoft.graph.nonsense"}}, "dataProvider"),
            ({"dataProvider": {"@odata.type": 5}}, "dataProvider"),
            (
                {"dataProvider": {"@odata.type": "#microsoft.graph.educationSynchronizationDataProvider"}},
                "dataProvider",
            ),
            ({"dataProvider": CREATION}, "dataProvider"),
            (
                {"identitySynchronizationConfiguration": {**CREATION, "userDomains": None}},
                "identitySynchronizationConfiguration/userDomains",
            ),
            (
                {"identitySynchronizationConfiguration": {**CREATION, "userDomains": [{}]}},
                "identitySynchronizationConfiguration/userDomains/appliesTo",
            ),
            (
                {"identitySynchronizationConfiguration": {**CREATION, "userDomains": [None]}},
                "identitySynchronizationConfiguration/userDomains",
            ),
            ({"licensesToAssign": {}}, "licensesToAssign"),
            ({"licensesToAssign": [{"skuIds": ["a", 5]}]}, "licensesToAssign/skuIds"),
            ({"expirationDate": "2027-02-28T00:00:00Z"}, "expirationDate"),
            ({"expirationDate": "20270228"}, "expirationDate"),
            ({"handleSpecialCharacterConstraint": "yes"}, "handleSpecialCharacterConstraint"),
            (
                {
                    "dataProvider": {
                        "@odata.type": "#microsoft.graph.educationCsvDataProvider",
                        "customizations": {"student": {"x": 1}},
                    }
                },
                "dataProvider/customizations/student/x",
            ),
        ],
    )
    def test_refuses_a_wrong_profile_by_member(self, change: dict[str, Any], target: str) -> None:
        """Null, missing, of a wrong type or of a type that does not belong there, however deep: named by its path."""
        with pytest.raises(Invalid) as refused:
            bodies.read(PROFILE, {**FULL, **change}, partial=False)
        assert refused.value.target == target

    def test_says_what_live_services_said_of_unknown_types(self) -> None:
        """The message about an unknown type is the one that scripts know."""
        with pytest.raises(Invalid, match=r'^Invalid OData type specified: "Microsoft\.Education\.Nonsense"$'):
            bodies.read(
                PROFILE, {**FULL, "dataProvider": {"@odata.type": "Microsoft.Education.Nonsense"}}, partial=False
            )

    def test_asks_only_new_objects_for_everything(self) -> None:
        """A partial body may leave anything out; a full one names what is missing."""
        assert bodies.read(PROFILE, {}, partial=True) == {}
        for missing in FULL:
            with pytest.raises(Invalid) as refused:
                bodies.read(PROFILE, {name: value for name, value in FULL.items() if name != missing}, partial=False)
            assert refused.value.target == missing
        for body in (None, [], "x", 5):
            with pytest.raises(Invalid):
                bodies.read(PROFILE, body, partial=True)

    @settings(database=None, deadline=None, max_examples=300)
    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
            lambda inner: (
                st.lists(inner, max_size=4)
                | st.dictionaries(
                    st.sampled_from(sorted({name for kind in TYPES.values() for name in kind.properties}))
                    | st.text(max_size=8),
                    inner,
                    max_size=5,
                )
            ),
            max_leaves=20,
        ),
        st.sampled_from(sorted(TYPES)),
        st.booleans(),
    )
    def test_never_fails_in_another_way(self, body: Any, type_name: str, partial: bool) -> None:
        """Whatever JSON comes, it is read or refused as invalid; what was read is read again to the same."""
        try:
            read = bodies.read(type_name, body, partial=partial)
        except Invalid:
            return
        assert set(read) <= set(TYPES[type_name].properties)


class TestTypes:
    # Homework is no part of a roster.
    OUT_OF_SCOPE = frozenset(
        {
            *("assignments", "rubrics", "assignmentCategories", "assignmentDefaults", "assignmentSettings", "modules"),
            "reports",
        }
    )

    @pytest.mark.parametrize("type_name", sorted(set(TYPES) - {"administrativeUnit", "group", "user"}))
    def test_are_those_of_the_graph_sdk(self, type_name: str) -> None:
        """Each type has the very properties that Microsoft's own SDK reads and writes."""
        module = re.sub(r"(?<!^)(?=[A-Z])", "_", type_name).lower()
        name = type_name[0].upper() + type_name[1:]
        model = getattr(importlib.import_module(f"msgraph_beta.generated.models.{module}"), name)
        theirs = set(model().get_field_deserializers()) - {"@odata.type"}
        ours = set(TYPES[type_name].properties)
        assert theirs - ours - self.OUT_OF_SCOPE == set(), "the SDK knows more"
        assert ours - theirs == set(), "the SDK knows less"

    @pytest.mark.parametrize("enum_name", sorted(ENUMS))
    def test_have_the_members_of_the_graph_sdk(self, enum_name: str) -> None:
        """Each enumeration has the members that the SDK understands."""
        module = re.sub(r"(?<!^)(?=[A-Z])", "_", enum_name).lower()
        name = enum_name[0].upper() + enum_name[1:]
        model = getattr(importlib.import_module(f"msgraph_beta.generated.models.{module}"), name)
        assert {member.value for member in model} == set(ENUMS[enum_name].members)

    def test_name_only_types_that_exist(self) -> None:
        """Every property is of a primitive, an enumeration or a type of the table."""
        for kind in TYPES.values():
            for prop in kind.properties.values():
                assert prop.type in PRIMITIVES or prop.type in ENUMS or prop.type in TYPES, (kind.name, prop.name)

    def test_are_found_by_every_name_that_clients_send(self) -> None:
        """With and without #, in both namespaces, in any letter case; never the abstract one."""
        declared = "educationSynchronizationDataProvider"
        for name in (
            "#microsoft.graph.educationCsvDataProvider",
            "microsoft.graph.educationCsvDataProvider",
            "#Microsoft.Education.DataSync.educationCsvDataProvider",
            "Microsoft.Education.DataSync.educationCsvDataProvider",
            "#microsoft.graph.educationcsvdataprovider",
        ):
            found = named(declared, name)
            assert found is not None
            assert found.odata_type == "#microsoft.graph.educationCsvDataProvider"
        assert named(declared, f"#microsoft.graph.{declared}") is None
        assert named(declared, "educationCsvDataProvider") is None
        assert {kind.name for kind in derived(declared)} == {
            *("educationCsvDataProvider", "educationOneRosterApiDataProvider", "educationPowerSchoolDataProvider"),
        }

    def test_are_walked_by_path(self) -> None:
        """Paths are brought into their declared spelling; links end a path."""
        assert canonical("educationUser", "STUDENT/externalid") == "student/externalId"
        assert at("educationUser", "student/externalId") == Property("externalId", "String")
        for path in ("student/x", "classes/displayName", "x", "student/externalId/x", ""):
            assert canonical("educationUser", path) is None
        assert at("educationUser", "x/y") is None

    def test_never_send_secrets(self) -> None:
        """Whatever a handler hands over, write-only members do not come out, however deep they lie."""
        write = render.shape(PROFILE, select=None, version="beta", unveiled=True)
        provider = {
            "@odata.type": "#microsoft.graph.educationOneRosterApiDataProvider",
            "connectionSettings": {
                "@odata.type": "#microsoft.graph.educationSynchronizationOAuth1ConnectionSettings",
                "clientId": "visible",
                "clientSecret": "hush-hush",
            },
        }
        shown = write({"dataProvider": provider})
        assert shown["dataProvider"]["connectionSettings"] == {
            "@odata.type": "#microsoft.graph.educationSynchronizationOAuth1ConnectionSettings",
            "clientId": "visible",
        }
        secret = [
            (kind.name, prop.name)
            for kind in TYPES.values()
            for prop in kind.properties.values()
            if prop.access is Access.WRITE_ONLY
        ]
        assert ("educationUser", "passwordProfile") in secret
        assert ("educationPowerSchoolDataProvider", "clientSecret") in secret


_SHAPES = (SCHOOL, CLASS, PERSON, UNIT, GROUP, USER)


def _rows(shape: Shape) -> st.SearchStrategy[tuple[object, ...]]:
    """Rows of a shape's table, most of their columns empty."""
    whole = {"licenses": "[]", "related_contacts": "[]", "primary_role": "student", "key": 1, "id": "one"}

    def values(column: Column[Any]) -> st.SearchStrategy[object]:
        if column.name in whole:
            return st.just(whole[column.name])
        if column.name == "created_by":
            return st.sampled_from([None, '{"application":{"id":"7","displayName":"SIS"},"user":null}'])
        if column.name == "external_source":
            return st.sampled_from([None, "sis", "lms"])
        some = st.just(638_134_336_000_000_000) if isinstance(column.type, Integer) else st.text(max_size=3)
        return st.none() | (st.booleans() if isinstance(column.type, Boolean) else some)

    return st.tuples(*(values(column) for column in shape.table.c))


class TestRows:
    @given(data=st.data(), shape=st.sampled_from(_SHAPES), version=st.sampled_from(["v1.0", "beta"]))
    def test_are_cut_by_select_and_otherwise_the_same(self, data: st.DataObject, shape: Shape, version: str) -> None:
        """Whatever `$select` names of an object is what the whole object says; nothing else comes but the id."""
        row: Any = data.draw(_rows(shape))
        whole = rows.writer(shape, select=None, version=version, unveiled=False)(row)
        name = data.draw(st.sampled_from([*whole]))
        cut = rows.writer(shape, select=name, version=version, unveiled=False)(row)
        assert cut == {"id": whole["id"], name: whole[name]}
        for part in whole[name] if isinstance(whole[name], dict) else ():
            below = rows.writer(shape, select=f"{name}/{part}", version=version, unveiled=False)(row)
            assert below[name] == {part: whole[name][part]}
        seen = frozenset({"id", name})
        assert rows.writer(shape, select=None, version=version, unveiled=False, visible=seen)(row) == cut

    def test_say_what_their_columns_hold(self) -> None:
        """A complex property without any value is null, but for a student's; times, veiled members and lists are
        written as the wire has them."""
        held = {"id": "ane", "primary_role": "student", "external_source": "lms", "tokens_valid_from": 0} | {
            "licenses": "[]",
            "related_contacts": '[{"id": "7", "displayName": "Per", "relationship": "parent"}]',
            "residence_city": "Alta",
            "business_phone": "78",
        }
        row: Any = tuple(held.get(column.name) for column in PERSON.table.c)
        said = rows.writer(PERSON, select=None, version="v1.0", unveiled=False)(row)
        assert said["student"] == dict.fromkeys(
            ("studentNumber", "externalId", "grade", "graduationYear", "birthDate", "gender")
        )
        assert said["residenceAddress"]["city"] == "Alta"
        assert (said["teacher"], said["mailingAddress"], said["createdBy"]) == (None, None, None)
        assert (said["externalSource"], said["primaryRole"]) == ("unknownFutureValue", "student")
        assert said["refreshTokensValidFromDateTime"] == "0001-01-01T00:00:00Z"
        assert (said["businessPhones"], said["assignedLicenses"]) == (["78"], [])
        assert said["relatedContacts"] == [{"displayName": "Per", "relationship": "parent"}]  # its id: beta alone
