"""/users, /groups and /directory/administrativeUnits with the extension attributes, as scripts for School Data Sync
use them."""

from __future__ import annotations

from typing import Any

import pytest

EXT = "extension_fe2174665583431c953114ff7268b7b3_Education_"
SETS = [
    ("/users", "person", 1, "education/users/{}/user", "Student", "SyncSource_StudentId"),
    ("/groups", "class", 1, "education/classes/{}/group", "Section", "SyncSource_SectionId"),
    (
        "/directory/administrativeUnits",
        "school",
        1,
        "education/schools/{}/administrativeUnit",
        "School",
        "SchoolNumber",
    ),
]


@pytest.mark.parametrize(("many", "kind", "number", "navigation", "object_type", "attribute"), SETS)
class TestAPlainSet:
    def test_is_listed_counted_and_found(
        self,
        still_town: Any,
        ids: Any,
        many: str,
        kind: str,
        number: int,
        navigation: str,
        object_type: str,
        attribute: str,
    ) -> None:
        """The set has the same ids as the education set, and an object is what the navigation shows."""
        found = still_town.ids(many)
        assert still_town.get(f"{many}/$count").text == str(len(found))
        one = still_town.get(f"{many}/{ids(kind, number)}").json()
        assert one["id"] in found
        assert one == still_town.get("/" + navigation.format(one["id"])).json()
        assert not [name for name in one if name.startswith("extension_")]

    def test_is_filtered_and_selected_by_attribute(
        self,
        still_town: Any,
        ids: Any,
        many: str,
        kind: str,
        number: int,
        navigation: str,
        object_type: str,
        attribute: str,
    ) -> None:
        """Attributes come when they are named, and filters and orders take them."""
        query = f"?$filter={EXT}ObjectType eq '{object_type}'&$select=id,displayName,{EXT}AnchorId,{EXT}{attribute}"
        items = still_town.walk(f"{many}{query}&$top=1&$orderby={EXT}AnchorId desc")
        assert items
        anchors = [item[f"{EXT}AnchorId"] for item in items]
        assert anchors == sorted(anchors, reverse=True)
        assert all(anchor.startswith(f"{object_type}_") for anchor in anchors)
        for item in items:
            assert set(item) == {"id", "displayName", f"{EXT}AnchorId", f"{EXT}{attribute}"}
            again = still_town.ids(f"{many}?$filter={EXT}{attribute.upper()} eq '{item[EXT + attribute]}'")
            assert item["id"] in again
        assert still_town.ids(f"{many}?$filter={EXT}ObjectType eq 'Nothing'") == []
        assert still_town.get(f"{many}?$filter={EXT}ShoeSize eq '1'").status_code == 400

    def test_is_written_by_attribute(
        self, town: Any, ids: Any, many: str, kind: str, number: int, navigation: str, object_type: str, attribute: str
    ) -> None:
        """PATCH with attributes: with a column, without one, over one that is made up; null takes it away again."""
        address = f"{many}/{ids(kind, number)}"
        select = f"?$select={EXT}AnchorId,{EXT}SyncSource,{EXT}StateId,{EXT}Status"
        position = town.position()
        sent = {f"{EXT}AnchorId": f"Exp_{kind}", f"{EXT}SyncSource": None}
        changed = town.send("PATCH", address, sent)
        assert changed.status_code == 200, changed.text
        shown = town.get(address + select).json()
        assert shown[f"{EXT}AnchorId"] == f"Exp_{kind}"
        assert f"{EXT}SyncSource" not in shown
        assert town.position() == position + 1
        assert town.ids(f"{many}?$filter=startswith({EXT}AnchorId,'Exp')") == [ids(kind, number)]
        assert ids(kind, number) in town.ids(f"{many}?$filter={EXT}SyncSource eq null")
        assert town.send("PATCH", address, sent).status_code == 200
        assert town.position() == position + 1
        for wrong in ({f"{EXT}AnchorId": 7}, {f"{EXT}ShoeSize": "1"}, {"shoeSize": 1}, {f"{EXT}AnchorId": "x" * 300}):
            assert town.send("PATCH", address, wrong).status_code == 400, wrong


def test_an_attribute_with_a_column_is_the_property(town: Any, ids: Any) -> None:
    """Writing the attribute of a grade changes the pupil's grade, and the next plan sees it."""
    person = ids("person", 1)
    assert town.send("PATCH", f"/users/{person}", {f"{EXT}Grade": "9", f"{EXT}Gender": "F"}).status_code == 200
    assert town.get(f"/education/users/{person}").json()["student"]["grade"] == "9"
    shown = town.get(f"/users/{person}?$select={EXT}Grade,{EXT}Gender").json()
    assert (shown[f"{EXT}Grade"], shown[f"{EXT}Gender"]) == ("9", "F")
    assert town.ids(f"/users?$filter={EXT}Gender eq 'F'") == [person]


@pytest.mark.parametrize(
    ("many", "kind", "id_of_record", "education", "path"),
    [
        ("/groups", "class", "SyncSource_SectionId", "classes", "externalId"),
        ("/directory/administrativeUnits", "school", "SyncSource_SchoolId", "schools", "externalId"),
        ("/users", "person", "SyncSource_StudentId", "users", "student/externalId"),
    ],
)
def test_the_id_of_a_record_and_its_anchor_are_one(
    town: Any, ids: Any, many: str, kind: str, id_of_record: str, education: str, path: str
) -> None:
    """Either can be written; both, and the property of the education API, show and find what was written."""
    one = ids(kind, 1)
    address, object_type = f"{many}/{one}", {"class": "Section", "school": "School", "person": "Student"}[kind]
    ask = f"{address}?$select={EXT}AnchorId,{EXT}{id_of_record}"
    was = town.get(ask).json()[f"{EXT}{id_of_record}"]
    for written, number in (
        ({f"{EXT}{id_of_record}": "other"}, "other"),
        ({f"{EXT}AnchorId": f"{object_type}_third"}, "third"),
        ({f"{EXT}AnchorId": f"{object_type}_{was}"}, was),
    ):
        assert town.send("PATCH", address, written).status_code == 200, written
        shown = town.get(ask).json()
        assert (shown[f"{EXT}{id_of_record}"], shown[f"{EXT}AnchorId"]) == (number, f"{object_type}_{number}")
        for wanted in (
            f"{many}?$filter={EXT}{id_of_record} eq '{number}'",
            f"{many}?$filter={EXT}AnchorId eq '{object_type}_{number}'",
            f"/education/{education}?$filter={path} eq '{number}'",
        ):
            assert town.ids(wanted) == [one], wanted
    assert town.send("PATCH", address, {f"{EXT}AnchorId": f"Exp0726_{object_type}_{was}"}).status_code == 200
    shown = town.get(ask).json()
    marked = f"Exp0726_{object_type}_{was}"
    assert (shown[f"{EXT}{id_of_record}"], shown[f"{EXT}AnchorId"]) == (f"Exp0726_{was}", marked)
    assert town.ids(f"{many}?$filter={EXT}AnchorId eq '{marked}'") == [one]
    assert town.send("PATCH", address, {f"{EXT}AnchorId": None}).status_code == 200
    assert not {f"{EXT}AnchorId", f"{EXT}{id_of_record}"} & set(town.get(ask).json())
    for anchor in (None, marked):  # what was written is not shown any more once the id is another
        town.send("PATCH", address, {f"{EXT}AnchorId": anchor})
        assert town.send("PATCH", address, {f"{EXT}{id_of_record}": was}).status_code == 200
        assert town.get(ask).json()[f"{EXT}AnchorId"] == f"{object_type}_{was}"
        assert town.ids(f"{many}?$filter={EXT}AnchorId eq '{object_type}_{was}'") == [one]
    if kind != "person":
        other = town.get(f"{many}?$select={EXT}{id_of_record}&$filter=id ne '{one}'&$top=1").json()["value"][0]
        taken = town.send("PATCH", address, {f"{EXT}{id_of_record}": other[f"{EXT}{id_of_record}"]})
        assert taken.status_code == 400
        assert "already exists" in taken.json()["error"]["message"]


def test_plain_properties_are_written_too(town: Any, ids: Any) -> None:
    """PATCH of a user, a group, an administrative unit changes the same person, class, school."""
    person, group, school = ids("person", 5), ids("class", 1), ids("school", 1)
    assert town.send("PATCH", f"/users/{person}", {"jobTitle": "Rektor", "city": None}).status_code == 400
    assert town.send("PATCH", f"/users/{person}", {"jobTitle": "Rektor", "department": "Ledelse"}).status_code == 200
    assert town.get(f"/education/users/{person}").json()["department"] == "Ledelse"
    assert (
        town.send("PATCH", f"/groups/{group}", {"description": "Ny", "mailNickname": "Section_C2"}).status_code == 400
    )
    assert town.send("PATCH", f"/groups/{group}", {"description": "Ny"}).status_code == 200
    assert town.get(f"/education/classes/{group}").json()["description"] == "Ny"
    for address in (f"/directory/administrativeUnits/{school}", f"/education/schools/{school}/administrativeUnit"):
        assert town.send("PATCH", address, {"displayName": address}).status_code == 200
        assert town.get(f"/education/schools/{school}").json()["displayName"] == address
    old = town.get(f"/users/{person}").headers["etag"]
    assert town.send("PATCH", f"/users/{person}", {"jobTitle": "Lærer"}).status_code == 200
    assert town.send("PATCH", f"/users/{person}", {"jobTitle": "X"}, headers={"If-Match": old}).status_code == 412


@pytest.mark.parametrize(
    ("plain", "education", "kind"),
    [
        ("/groups/{}/members", "/education/classes/{}/members", "class"),
        ("/groups/{}/owners", "/education/classes/{}/teachers", "class"),
        ("/directory/administrativeUnits/{}/members", "/education/schools/{}/users", "school"),
    ],
)
class TestWhoBelongs:
    def test_is_read_as_scripts_do(
        self, still_town: Any, token: Any, ids: Any, plain: str, education: str, kind: str
    ) -> None:
        """The users of the education list, each with its type; what users do not have is left out of `$select`."""
        path = plain.format(ids(kind, 1))
        wanted = sorted(still_town.ids(education.format(ids(kind, 1))))
        assert wanted
        assert still_town.ids(path) == wanted
        assert still_town.get(f"{path}/$count").text == str(len(wanted))
        select = f"?$select=id,email,displayName,@data.type,{EXT}SyncSource&$top=1"
        items = still_town.walk(path + select)
        assert [set(item) for item in items] == [{"@odata.type", "id", "displayName", f"{EXT}SyncSource"}] * len(wanted)
        assert {item["@odata.type"] for item in items} == {"#microsoft.graph.user"}
        assert still_town.ids(f"{path}?$filter={EXT}ObjectType eq 'Nobody'") == []
        links = [item["@odata.id"] for item in still_town.walk(f"{path}/$ref?$top=1")]
        assert [link.rpartition("/v1.0")[2] for link in links] == [f"/users/{one}" for one in wanted]
        me = token("EduRoster.Read", kind="delegated", user_id=ids("person", 1))
        status = still_town.get(path, authorization=me).status_code
        assert status == (403 if kind == "school" else 200)

    def test_is_linked_and_taken_back(self, town: Any, ids: Any, plain: str, education: str, kind: str) -> None:
        """Links made here are those of the education list, and the person stays."""
        path, person = plain.format(ids(kind, 1)), ids("person", 4)
        town.send("DELETE", f"{path}/{person}/$ref")
        for how in (f"{path}/{person}/$ref", f"{path}/$ref?@id=https://graph.microsoft.com/beta/users/{person}"):
            body = {"@odata.id": f"https://graph.microsoft.com/beta/directoryObjects/{person}"}
            assert town.send("POST", f"{path}/$ref", body).status_code == 204
            assert person in town.ids(education.format(ids(kind, 1)))
            assert town.send("POST", f"{path}/$ref", body).status_code == 400
            assert town.send("DELETE", how).status_code == 204
            assert person not in town.ids(path)
        assert town.send("DELETE", f"{path}/{ids('person', 1)}").status_code in {400, 405}
        assert town.get(f"/users/{person}").status_code == 200


@pytest.mark.parametrize(
    ("plain", "education", "kind"),
    [
        ("/users", "users", "person"),
        ("/groups", "classes", "class"),
        ("/directory/administrativeUnits", "schools", "school"),
    ],
)
def test_what_is_deleted_is_gone_by_either_name(town: Any, ids: Any, plain: str, education: str, kind: str) -> None:
    """DELETE of a user, a group, a unit is that of the person, the class, the school."""
    one = ids(kind, 1)
    old = town.get(f"{plain}/{one}").headers["etag"]
    assert town.send("DELETE", f"{plain}/{one}", headers={"If-Match": 'W/"0"'}).status_code == 412
    assert town.send("DELETE", f"{plain}/{one}", headers={"If-Match": old}).status_code == 204
    assert town.get(f"/education/{education}/{one}").status_code == 404
    assert town.send("DELETE", f"{plain}/{one}").status_code == 404


def test_beta_shows_the_attributes_unasked(still_town: Any, token: Any, ids: Any) -> None:
    """Scripts for beta select nothing and read them; v1.0 shows them to those who name them, ReadBasic to nobody."""
    person, group = ids("person", 1), ids("class", 1)
    paths = (
        f"/users/{person}",
        f"/groups/{group}",
        f"/education/users/{person}/user",
        f"/groups/{group}/members?$top=1",
    )
    for path in paths:
        for version, shown in (("beta", True), ("v1.0", False)):
            answer = still_town.get(f"https://sds.example.org/{version}{path}").json()
            item = answer["value"][0] if "value" in answer else answer
            assert (f"{EXT}ObjectType" in item) is shown, (version, path)
    named = still_town.get(f"https://sds.example.org/beta/users/{person}?$select=id,@data.type").json()
    assert not [name for name in named if name.startswith("extension_")]
    basic = token("EduRoster.ReadBasic", kind="delegated", user_id=person)
    answer = still_town.get(f"https://sds.example.org/beta/users/{person}", authorization=basic).json()
    assert not [name for name in answer if name.startswith("extension_")]


def test_the_group_of_a_section_is_known_by_its_mail(still_town: Any, ids: Any) -> None:
    """Scripts look for a mail that begins with Section_: it is shown, filtered, sorted by, and leads nowhere."""
    found = still_town.walk(
        "/groups?$filter=startswith(mail,'section_')&$orderby=mail desc&$select=id,mail,mailNickname"
    )
    assert sorted(item["id"] for item in found) == sorted(still_town.ids("/groups"))
    mails = [item["mail"] for item in found]
    assert mails == sorted((f"{item['mailNickname']}@groups.invalid" for item in found), reverse=True)
    group = ids("class", 1)
    one = still_town.get(f"/education/classes/{group}/group").json()
    assert still_town.ids(f"/groups?$filter=mail eq '{one['mail'].upper()}'") == [group]
    assert still_town.get(f"/education/classes/{group}?$select=mail").json()["mail"] == one["mail"]


def test_whoever_may_not_is_told_so_in_the_words_of_the_directory(still_town: Any, token: Any) -> None:
    """403 is Authorization_RequestDenied at the plain addresses, and AccessDenied below /education."""
    nobody = token("User.Read.All")
    for path in ("/users", "/groups/$count", "/directory/administrativeUnits/x"):
        error = still_town.get(path, authorization=nobody).json()["error"]
        assert error["code"] == "Authorization_RequestDenied", path
        assert error["message"].startswith("Insufficient privileges to complete the operation. Required roles")
    assert still_town.get("/education/users", authorization=nobody).json()["error"]["code"] == "AccessDenied"


def test_a_person_sees_the_users_and_groups_of_their_classes(still_town: Any, token: Any, ids: Any) -> None:
    """Delegated tokens see plain objects as they see the education ones."""
    me = token("EduRoster.Read", kind="delegated", user_id=ids("person", 1))
    assert still_town.ids("/groups", authorization=me) == [ids("class", 1)]
    assert still_town.ids("/users", authorization=me) == sorted(ids("person", number) for number in (1, 2, 5))
    basic = token("EduRoster.ReadBasic", kind="delegated", user_id=ids("person", 1))
    shown = still_town.get(f"/users/{ids('person', 2)}?$select=id,{EXT}Grade", authorization=basic)
    assert list(shown.json()) == ["@odata.context", "@odata.etag", "id"]
    asked = still_town.get(f"/users?$filter={EXT}Grade eq '5'", authorization=basic)
    assert asked.status_code == 403
