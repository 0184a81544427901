"""Reading schools, classes and people, from every side, with the eyes of every kind of caller."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, event

SDS = "extension_fe2174665583431c953114ff7268b7b3_Education_"


class TestNavigations:
    @pytest.mark.parametrize(
        ("path", "kind", "places"),
        [
            ("schools", "school", [1, 2]),
            ("schools/{school 1}/classes", "class", [1, 2]),
            ("schools/{school 1}/users", "person", [1, 2, 4, 5, 6]),
            ("schools/{school 2}/classes", "class", [3]),
            ("schools/{school 2}/users", "person", [3, 6]),
            ("classes", "class", [1, 2, 3]),
            ("classes/{class 1}/members", "person", [1, 2, 5]),
            ("classes/{class 1}/teachers", "person", [5]),
            ("classes/{class 3}/members", "person", [3, 6]),
            ("classes/{class 3}/schools", "school", [2]),
            ("users", "person", [1, 2, 3, 4, 5, 6]),
            ("users/{person 2}/classes", "class", [1, 2]),
            ("users/{person 2}/taughtClasses", "class", []),
            ("users/{person 6}/classes", "class", [2, 3]),
            ("users/{person 6}/taughtClasses", "class", [2, 3]),
            ("users/{person 6}/schools", "school", [1, 2]),
            ("users/{person 4}/classes", "class", []),
            ("users/{person 4}/schools", "school", [1]),
        ],
    )
    def test_lead_to_what_stands_together(
        self, still_town: Any, ids: Any, path: str, kind: str, places: list[int]
    ) -> None:
        """Each list, its count and its single items agree; what stands elsewhere is 404 below it."""
        for owner in ("school", "class", "person"):
            for place in range(1, 7):
                path = path.replace(f"{{{owner} {place}}}", ids(owner, place))
        path = f"/education/{path}"
        wanted = sorted(ids(kind, place) for place in places)
        assert still_town.ids(path) == wanted
        assert still_town.get(f"{path}/$count").text == str(len(wanted))
        nouns = {"school": "schools", "class": "classes", "person": "users"}
        assert still_town.get(path).json()["@odata.context"].endswith(f"$metadata#education/{nouns[kind]}")
        for place in range(1, 7 if kind == "person" else 3):
            item = still_town.get(f"{path}/{ids(kind, place)}")
            assert item.status_code == (200 if place in places else 404)
            if place in places:
                assert item.json()["id"] == ids(kind, place)
                assert item.json()["@odata.context"].endswith(f"$metadata#education/{nouns[kind]}/$entity")

    def test_of_what_does_not_exist_are_404(self, still_town: Any) -> None:
        """Lists and counts below an unknown object are 404, not empty."""
        for path in ("schools/x/classes", "classes/x/members/$count", "users/x/schools", "schools/x/users"):
            answer = still_town.get(f"/education/{path}")
            assert answer.status_code == 404
            assert answer.json()["error"]["code"] == "Request_ResourceNotFound"

    @pytest.mark.parametrize("delegated", [False, True])
    def test_never_walk_a_whole_table(self, still_town: Any, token: Any, ids: Any, delegated: bool) -> None:
        """However large the tenant, a list below an object reads that object's links, by index, and nothing more."""
        school, group, person = ids("school", 1), ids("class", 1), ids("person", 2)
        lists = [
            *(f"classes/{group}/{name}" for name in ("members", "teachers", "schools")),
            *(f"users/{person}/{name}" for name in ("classes", "taughtClasses", "schools")),
            f"schools/{school}/classes",
        ]
        lists += [] if delegated else [f"schools/{school}/users"]
        caller = token("EduRoster.Read", kind="delegated", user_id=person) if delegated else ""
        lists += ["classes", "me/classes", "me/taughtClasses"] if delegated else []
        asked: list[tuple[str, Any]] = []

        def note(_c: Any, _cursor: Any, statement: str, parameters: Any, _x: Any, _m: Any) -> None:
            asked.append((statement, parameters))

        event.listen(Engine, "before_cursor_execute", note)
        try:
            for path in lists:
                assert still_town.get(f"/education/{path}?$top=1", authorization=caller).status_code == 200
                assert still_town.get(f"/education/{path}/$count", authorization=caller).status_code == 200
                assert still_town.get(f"/education/{path}/{group}", authorization=caller).status_code in {200, 404}
        finally:
            event.remove(Engine, "before_cursor_execute", note)
        selects = [(statement, parameters) for statement, parameters in asked if statement.startswith("SELECT")]
        assert len(selects) >= 3 * len(lists)
        with still_town.services.directories.read(next(iter(still_town.numbers))) as connection:
            for statement, parameters in selects:
                plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
                for step in plan:
                    assert not step.detail.endswith("(tenant=?)"), statement
                    assert not step.detail.startswith("SCAN"), statement


class TestObjects:
    def test_show_a_school(self, still_town: Any, ids: Any) -> None:
        """Every property of a school, null where the roster has nothing."""
        school = still_town.get(f"/education/schools/{ids('school', 1)}").json()
        assert school.pop("@odata.etag").startswith('W/"')
        assert school.pop("@odata.context") == "https://sds.example.org/v1.0/$metadata#education/schools/$entity"
        assert school == {
            "id": ids("school", 1),
            "displayName": "Skole 1",
            "description": None,
            "externalSource": "sis",
            "externalSourceDetail": "Nordkapp",
            "externalId": "S1",
            "externalPrincipalId": None,
            "principalName": "Åse Ødegård",
            "principalEmail": "rektor1@skole.example",
            "lowestGrade": None,
            "highestGrade": None,
            "schoolNumber": "101",
            "phone": None,
            "fax": None,
            "address": {"street": None, "city": "Tromsø", "state": None, "countryOrRegion": None, "postalCode": None},
            "createdBy": None,
        }

    def test_show_a_class(self, still_town: Any, ids: Any) -> None:
        """Term and course are objects; dates are dates."""
        group = still_town.get(f"/education/classes/{ids('class', 1)}").json()
        assert group["mailNickname"] == "Section_C1"
        assert group["term"] == {
            "externalId": "T1",
            "displayName": "Vår 2026",
            "startDate": "2026-01-05",
            "endDate": "2026-06-19",
        }
        assert group["course"]["subject"] == "Norsk"

    def test_show_a_pupil_and_a_teacher(self, still_town: Any, ids: Any) -> None:
        """The part of the role is there, the other is null; collections are never null; ticks keep seven digits."""
        pupil = still_town.get(f"/education/users/{ids('person', 2)}").json()
        assert pupil["student"]["birthDate"] == "2012-05-17"
        assert pupil["teacher"] is None
        assert pupil["refreshTokensValidFromDateTime"] == "2026-03-02T08:00:00.1234567Z"
        for name in ("businessPhones", "assignedLicenses", "assignedPlans", "provisionedPlans", "relatedContacts"):
            assert pupil[name] == []
        teacher = still_town.get(f"/education/users/{ids('person', 5)}").json()
        assert teacher["student"] is None
        assert teacher["teacher"] == {"teacherNumber": "L5", "externalId": "5"}
        assert teacher["businessPhones"] == ["+47 77 00 00 00"]
        guardian = {"displayName": "Mor", "emailAddress": "mor@hjem.example", "relationship": "parent"}
        assert still_town.get(f"/education/users/{ids('person', 1)}").json()["relatedContacts"] == [guardian]

    def test_are_found_by_principal_name_too(self, still_town: Any, ids: Any) -> None:
        """The principal name is a key of a person, in any letter case, as segment or in parentheses."""
        for path in ("users/ANE@skole.example", "users('ane%40Skole.example')"):
            assert still_town.get(f"/education/{path}").json()["id"] == ids("person", 1)
        path = f"/education/classes/{ids('class', 1)}/members/ane@skole.example"
        assert still_town.get(path).json()["id"] == ids("person", 1)

    def test_are_not_sent_twice_to_whoever_has_them(self, still_town: Any, ids: Any) -> None:
        """If-None-Match with the entity tag is 304 without a body."""
        path = f"/education/users/{ids('person', 1)}"
        tag = still_town.get(path).headers["etag"]
        answer = still_town.get(path, headers={"If-None-Match": tag})
        assert (answer.status_code, answer.content) == (304, b"")
        assert still_town.get(path, headers={"If-None-Match": 'W/"0"'}).status_code == 200

    def test_have_an_education_root(self, still_town: Any, token: Any) -> None:
        """/education answers for readers of rosters and of profiles alike."""
        for grant in ("EduRoster.Read.All", "EduAdministration.Read.All"):
            assert still_town.get("/education", authorization=token(grant)).status_code == 200
        context = "https://sds.example.org/beta/$metadata#education"
        assert still_town.get("/beta/education").json() == {"@odata.context": context}
        assert still_town.get("/education?$select=schools").status_code == 200


class TestPlainDirectoryObjects:
    def test_carry_the_attributes_that_scripts_look_for(self, still_town: Any, ids: Any) -> None:
        """The extension attributes come when $select names them, and only then."""

        def attributes(path: str, *names: str) -> dict[str, Any]:
            body = still_town.get(f"/education/{path}?$select=id," + ",".join(SDS + name for name in names)).json()
            return {key.removeprefix(SDS): value for key, value in body.items() if key.startswith(SDS)}

        school = attributes(
            f"schools/{ids('school', 1)}/administrativeUnit",
            *("ObjectType", "AnchorId", "SyncSource", "SyncSource_SchoolId", "SchoolZone", "City", "StateId"),
        )
        assert school == {
            "ObjectType": "School",
            "AnchorId": "School_S1",
            "SyncSource": "SIS",
            "SyncSource_SchoolId": "S1",
            "SchoolZone": "Nord",
            "City": "Tromsø",
        }
        group = attributes(
            f"classes/{ids('class', 1)}/group", "ObjectType", "SyncSource_SectionId", "Period", "TermName"
        )
        assert group == {
            "ObjectType": "Section",
            "SyncSource_SectionId": "C1",
            "Period": "3",
            "TermName": "Vår 2026",
        }
        pupil = attributes(f"users/{ids('person', 1)}/user", "ObjectType", "SyncSource_StudentId", "Grade")
        assert pupil == {"ObjectType": "Student", "SyncSource_StudentId": "1", "Grade": "5"}
        teacher = attributes(f"users/{ids('person', 5)}/user", "ObjectType", "TeacherNumber", "Grade")
        assert teacher == {"ObjectType": "Teacher", "TeacherNumber": "L5"}
        for path in (f"schools/{ids('school', 1)}/administrativeUnit", f"classes/{ids('class', 1)}/group"):
            assert SDS not in still_town.get(f"/education/{path}").text

    def test_lend_a_class_the_properties_of_its_group(self, still_town: Any, ids: Any, act: Any) -> None:
        """`$select` of a class may name what only its group has: alone, in lists, in `$expand`; else it stays away."""
        path, named = (
            f"/education/classes/{ids('class', 1)}",
            "?$select=displayName,visibility,groupTypes,createdDateTime",
        )
        group = still_town.get(f"{path}/group").json()
        one = still_town.get(path + named).json()
        names = ("displayName", "visibility", "groupTypes", "createdDateTime")
        assert {name: one[name] for name in names} == {name: group[name] for name in names}
        assert set(one) == {"@odata.context", "@odata.etag", "id", *names}
        listed = still_town.walk(f"/education/classes{named}")
        assert {name: one[name] for name in ("id", *names)} in listed
        inside = still_town.get(f"/education/users/{ids('person', 1)}?$expand=classes($select=visibility)").json()
        assert {item["visibility"] for item in inside["classes"]} == {group["visibility"]}
        assert "visibility" not in still_town.get(path).json()
        assert still_town.get(f"{path}?$select=jobTitle").status_code == 400
        basic = still_town.get(path + named, authorization=act(1, "EduRoster.ReadBasic")).json()
        assert set(basic) == {"@odata.context", "@odata.etag", "id", "displayName", "visibility", "groupTypes"}

    def test_have_the_id_of_what_they_stand_behind(self, still_town: Any, ids: Any) -> None:
        """Group and user have the id of class and person."""
        group = still_town.get(f"/education/classes/{ids('class', 1)}/group").json()
        assert (group["id"], group["groupTypes"]) == (ids("class", 1), ["Unified"])
        user = still_town.get(f"/education/users/{ids('person', 1)}/user").json()
        assert (user["id"], user["userPrincipalName"]) == (ids("person", 1), "Ane@Skole.example")


@pytest.fixture
def act(still_town: Any, token: Any, ids: Any) -> Any:
    """A token of a person of the still_town."""

    def of(place: int, *scopes: str) -> str:
        made: str = token(*(scopes or ("EduRoster.Read",)), kind="delegated", user_id=ids("person", place))
        return made

    return of


class TestWhoActsForAPerson:
    def test_sees_the_classes_that_person_is_in(self, still_town: Any, ids: Any, act: Any) -> None:
        """A pupil sees own classes, a teacher the taught ones; other classes are not there at all."""
        assert still_town.ids("/education/classes", authorization=act(1)) == [ids("class", 1)]
        assert still_town.get("/education/classes/$count", authorization=act(6)).text == "2"
        assert still_town.get(f"/education/classes/{ids('class', 2)}", authorization=act(1)).status_code == 404
        assert still_town.get(f"/education/classes/{ids('class', 2)}/members", authorization=act(1)).status_code == 404
        assert still_town.get(f"/education/classes/{ids('class', 1)}/group", authorization=act(2)).status_code == 200
        assert still_town.ids("/education/classes", authorization=act(4)) == []

    def test_sees_the_people_of_those_classes(self, still_town: Any, ids: Any, act: Any) -> None:
        """Class mates and teachers, and oneself; nobody else, by id or by name."""
        members = still_town.ids(f"/education/classes/{ids('class', 1)}/members", authorization=act(1))
        assert members == sorted(ids("person", place) for place in (1, 2, 5))
        seen = [
            place
            for place in range(1, 7)
            if still_town.get(f"/education/users/{ids('person', place)}", authorization=act(1)).status_code == 200
        ]
        assert seen == [1, 2, 5]
        assert still_town.get("/education/users/cecilie@skole.example", authorization=act(1)).status_code == 404
        assert still_town.get(f"/education/users/{ids('person', 4)}", authorization=act(4)).status_code == 200

    def test_sees_of_others_only_what_is_shared(self, still_town: Any, ids: Any, act: Any) -> None:
        """The classes of a class mate are those that the caller is in, too; schools are open to all."""
        path = f"/education/users/{ids('person', 2)}"
        assert still_town.ids(f"{path}/classes", authorization=act(1)) == [ids("class", 1)]
        assert still_town.ids(f"{path}/schools", authorization=act(1)) == [ids("school", 1)]
        assert len(still_town.ids("/education/schools", authorization=act(1))) == 2
        school = f"/education/schools/{ids('school', 1)}/classes"
        assert still_town.ids(school, authorization=act(1)) == [ids("class", 1)]
        assert still_town.get(f"{school}/{ids('class', 2)}", authorization=act(1)).status_code == 404

    def test_is_known_by_principal_name_when_the_id_is_foreign(self, still_town: Any, token: Any, ids: Any) -> None:
        """Object ids of a cloud directory are not ours; the principal name in the token is enough."""
        guest = token(
            "EduRoster.Read",
            kind="delegated",
            user_id="12345678-0000-4000-8000-000000000000",
            user_name="ANE@Skole.example",
        )
        assert still_town.get("/education/me", authorization=guest).json()["id"] == ids("person", 1)
        assert still_town.ids("/education/classes", authorization=guest) == [ids("class", 1)]

    def test_has_lists_of_the_own_below_me(self, still_town: Any, ids: Any, act: Any) -> None:
        """/me and its lists are those of the person."""
        assert still_town.get("/education/me", authorization=act(6)).json()["id"] == ids("person", 6)
        assert still_town.ids("/education/me/classes", authorization=act(6)) == sorted(
            [ids("class", 2), ids("class", 3)]
        )
        assert still_town.get("/education/me/taughtClasses/$count", authorization=act(6)).text == "2"
        assert still_town.ids("/education/me/taughtClasses", authorization=act(2)) == []
        assert still_town.ids("/education/me/schools", authorization=act(3)) == [ids("school", 2)]
        assert still_town.get(f"/education/me/classes/{ids('class', 2)}", authorization=act(2)).status_code == 200
        assert still_town.get(f"/education/me/classes/{ids('class', 3)}", authorization=act(2)).status_code == 404
        assert still_town.get(f"/education/me/schools/{ids('school', 1)}", authorization=act(2)).status_code == 200
        assert still_town.get("/education/me/user", authorization=act(2)).json()["id"] == ids("person", 2)

    def test_may_be_unknown_here(self, still_town: Any, token: Any) -> None:
        """A caller who is nobody in the directory sees no class and is 404 as /me."""
        guest = token("EduRoster.Read", kind="delegated", user_name="nobody@skole.example")
        assert still_town.ids("/education/classes", authorization=guest) == []
        answer = still_town.get("/education/me", authorization=guest)
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "Request_ResourceNotFound"

    def test_is_never_an_application(self, still_town: Any) -> None:
        """/me with an application's token is 400: it is nobody."""
        for method, path in (("GET", "/education/me"), ("PATCH", "/education/me"), ("GET", "/education/me/classes")):
            answer = still_town.send(method, path, {"department": "x"} if method == "PATCH" else None)
            assert answer.status_code == 400
            assert answer.json()["error"]["code"] == "BadRequest"
            assert "delegated" in answer.json()["error"]["message"]


class TestReadBasic:
    def test_shows_only_the_basic_properties(self, still_town: Any, ids: Any, act: Any) -> None:
        """Name, role, mail and whether the account is on; nothing of birthdays, numbers, guardians or addresses."""
        person = still_town.get(
            f"/education/users/{ids('person', 1)}", authorization=act(1, "EduRoster.ReadBasic")
        ).json()
        assert {name for name in person if not name.startswith("@")} == {
            *("id", "displayName", "givenName", "middleName", "surname", "mail", "accountEnabled", "primaryRole"),
        }
        more = still_town.get(
            f"/education/users/{ids('person', 1)}?$select=student,displayName",
            authorization=act(1, "EduRoster.ReadBasic"),
        ).json()
        assert "student" not in more
        school = still_town.get(
            f"/education/schools/{ids('school', 1)}", authorization=act(1, "EduRoster.ReadBasic")
        ).json()
        assert school["displayName"] == "Skole 1"
        assert "principalName" not in school
        group = f"/education/classes/{ids('class', 1)}/group?$select={SDS}ObjectType"
        assert SDS not in still_town.get(group, authorization=act(1, "EduRoster.ReadBasic")).text
        assert SDS in still_town.get(group, authorization=act(1, "EduRoster.Read")).text

    @pytest.mark.parametrize("option", ["$filter=student/birthDate lt 2012-01-01", "$orderby=student/birthDate"])
    def test_does_not_tell_by_filter_or_order_what_it_hides(
        self, still_town: Any, ids: Any, act: Any, option: str
    ) -> None:
        """Asking about a hidden property is 403, for the answer would give it away."""
        path = f"/education/classes/{ids('class', 1)}/members?{option}"
        answer = still_town.get(path, authorization=act(1, "EduRoster.ReadBasic"))
        assert answer.status_code == 403
        assert still_town.get(path, authorization=act(1)).status_code == 200


class TestUnknownMembers:
    def test_are_veiled_unless_asked_for(self, house: Any) -> None:
        """`faculty` and `lms` are shown by name in beta to whoever prefers unknown members; else unknownFutureValue."""
        body = {
            "displayName": "Gro",
            "accountEnabled": True,
            "mailNickname": "gro",
            "userPrincipalName": "gro@skole.example",
            "passwordProfile": {"password": "x"},
            "primaryRole": "faculty",
            "externalSource": "lms",
        }
        made = house.send("POST", "/beta/education/users", body).json()
        asks = {"Prefer": "include-unknown-enum-members"}
        path = f"/education/users/{made['id']}"
        plain, asked = house.get("/beta" + path), house.get("/beta" + path, headers=asks)
        assert (plain.json()["primaryRole"], plain.json()["externalSource"]) == ("unknownFutureValue",) * 2
        assert "preference-applied" not in plain.headers
        assert (asked.json()["primaryRole"], asked.json()["externalSource"]) == ("faculty", "lms")
        assert asked.headers["preference-applied"] == "include-unknown-enum-members"
        assert house.get("/v1.0" + path, headers=asks).json()["primaryRole"] == "unknownFutureValue"
        shown = house.get("/v1.0" + path)  # what an SDK reads, changes and sends back whole
        sent = house.send("PATCH", "/v1.0" + path, {**shown.json(), "surname": "Lie"})
        assert (sent.status_code, sent.json()["surname"]) == (200, "Lie")
        kept = house.get("/beta" + path, headers=asks).json()
        assert (kept["primaryRole"], kept["externalSource"]) == ("faculty", "lms")
        assert (
            house.send("PATCH", "/v1.0" + path, shown.json() | {"surname": "Lie"}).headers["etag"]
            == kept["@odata.etag"]
        )
