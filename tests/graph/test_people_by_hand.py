"""Making, changing and deleting people by hand, so that a roster finds somebody to match."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from schoolsync.store import directory_tables

NEW: dict[str, Any] = {
    "displayName": "Gro Lie",
    "accountEnabled": True,
    "mailNickname": "gro.lie",
    "userPrincipalName": "Gro.Lie@skole.example",
    "passwordProfile": {"forceChangePasswordNextSignIn": True, "password": "Str0ng-enough"},
}


def rows(house: Any, tenant: str, table: Any) -> list[Any]:
    with house.services.directories.read(tenant) as connection:
        return list(connection.execute(table.select()).all())


class TestMaking:
    def test_gives_an_account_that_is_there_at_once(self, house: Any) -> None:
        """POST answers 201 with the person and its address; the same person is read back."""
        answer = house.send("POST", "/education/users", NEW)
        assert answer.status_code == 201, answer.text
        made = answer.json()
        assert answer.headers["location"] == f"https://sds.example.org/v1.0/education/users/{made['id']}"
        assert made["@odata.context"] == "https://sds.example.org/v1.0/$metadata#education/users/$entity"
        assert made["userPrincipalName"] == "Gro.Lie@skole.example"
        assert made["mail"] == "Gro.Lie@skole.example"
        assert made["primaryRole"] == "none"
        assert made["createdBy"]["application"]["id"] == "00000000-aaaa-4000-8000-00000000000c"
        read = house.get(answer.headers["location"]).json()
        assert read == made
        assert house.get("/education/users('gro.lie@SKOLE.example')").json()["id"] == made["id"]
        assert house.get("/education/users/$count").text == "1"

    def test_keeps_no_password(self, house: Any, tenant: str) -> None:
        """A password is required, never answered and never written anywhere."""
        answer = house.send("POST", "/education/users", NEW)
        assert "Str0ng" not in answer.text
        assert "passwordProfile" not in answer.json()
        assert "Str0ng" not in str(rows(house, tenant, directory_tables.people))
        stored = house.services.settings.directory_db(tenant)
        for path in stored.parent.iterdir():
            assert b"Str0ng" not in path.read_bytes()

    def test_takes_every_property(self, house: Any) -> None:
        """Whatever Graph lets a caller write comes back as it was written."""
        more = {
            "givenName": "Gro",
            "middleName": "Åshild",
            "surname": "Lie",
            "businessPhones": ["+47 1"],
            "mobilePhone": "+47 2",
            "officeLocation": "B12",
            "department": "Realfag",
            "preferredLanguage": "nb-NO",
            "passwordPolicies": "DisablePasswordExpiration",
            "userType": "Member",
            "usageLocation": "NO",
            "showInAddressList": False,
            "refreshTokensValidFromDateTime": "2026-01-02T03:04:05.1234567Z",
            "assignedLicenses": [{"skuId": "314C4481-F395-4525-BE8B-2EC4BB1E9D91", "disabledPlans": []}],
            "externalSource": "manual",
            "externalSourceDetail": "by hand",
            "primaryRole": "student",
            "student": {
                "externalId": "7",
                "studentNumber": "8",
                "grade": "5",
                "graduationYear": "2033",
                "birthDate": "2015-02-28",
                "gender": "other",
            },
            "mailingAddress": {"street": "Storgata 1", "city": "Tromsø", "countryOrRegion": "NO"},
            "residenceAddress": {"postalCode": "9008", "state": "Troms"},
            "relatedContacts": [
                {
                    "displayName": "Far",
                    "relationship": "parent",
                    "emailAddress": "far@hjem.example",
                    "accessConsent": True,
                }
            ],
            "onPremisesInfo": {"immutableId": "xyz=="},
        }
        made = house.send("POST", "/education/users", {**NEW, **more}).json()
        for name, value in more.items():
            if name == "assignedLicenses":
                assert made[name] == [{"skuId": "314c4481-f395-4525-be8b-2ec4bb1e9d91", "disabledPlans": []}]
            elif isinstance(value, dict):
                assert made[name].items() >= value.items()
            else:
                assert made[name] == value, name

    @pytest.mark.parametrize(
        "missing", ["displayName", "accountEnabled", "mailNickname", "passwordProfile", "userPrincipalName"]
    )
    def test_needs_what_an_account_needs(self, house: Any, missing: str) -> None:
        """Each required member is asked for by name, missing or null."""
        for body in ({name: value for name, value in NEW.items() if name != missing}, {**NEW, missing: None}):
            answer = house.send("POST", "/education/users", body)
            assert answer.status_code == 400
            assert answer.json()["error"]["code"] == "Request_BadRequest"
            assert answer.json()["error"]["target"] == missing
        assert house.get("/education/users/$count").text == "0"

    @pytest.mark.parametrize(
        ("change", "target"),
        [
            ({"passwordProfile": {}}, "passwordProfile/password"),
            ({"passwordProfile": {"password": ""}}, "passwordProfile/password"),
            ({"userPrincipalName": "gro"}, "userPrincipalName"),
            ({"userPrincipalName": "gro lie@skole.example"}, "userPrincipalName"),
            ({"userPrincipalName": "@skole.example"}, "userPrincipalName"),
            ({"userPrincipalName": "x" * 65 + "@skole.example"}, "userPrincipalName"),
            ({"displayName": ""}, "displayName"),
            ({"displayName": " "}, "displayName"),
            ({"displayName": "x" * 257}, "displayName"),
            ({"mailNickname": "gro lie"}, "mailNickname"),
            ({"mailNickname": "gro@x"}, "mailNickname"),
            ({"businessPhones": ["1", "2"]}, "businessPhones"),
            ({"businessPhones": None}, "businessPhones"),
            ({"usageLocation": "Norway"}, "usageLocation"),
            ({"primaryRole": "pupil"}, "primaryRole"),
            ({"primaryRole": None}, "primaryRole"),
            ({"accountEnabled": "true"}, "accountEnabled"),
            ({"student": {"birthDate": "2015-02-30"}}, "student/birthDate"),
            ({"student": {"birthDate": "2015-02-28T00:00:00Z"}}, "student/birthDate"),
            ({"student": "x"}, "student"),
            ({"relatedContacts": [{"displayName": "Far"}]}, "relatedContacts/relationship"),
            ({"relatedContacts": [{"displayName": "Far", "relationship": "boss"}]}, "relatedContacts/relationship"),
            ({"relatedContacts": {}}, "relatedContacts"),
            ({"assignedLicenses": [{"skuId": "x"}]}, "assignedLicenses/skuId"),
            ({"refreshTokensValidFromDateTime": "2026-01-02T03:04:05"}, "refreshTokensValidFromDateTime"),
            ({"nickName": "x"}, "nickName"),
            ({"mailingAddress": {"postOfficeBox": "1"}}, "mailingAddress/postOfficeBox"),
        ],
    )
    def test_refuses_wrong_values_by_name(self, house: Any, change: dict[str, Any], target: str) -> None:
        """A wrong value is 400 Request_BadRequest with the member as target, and nobody is made."""
        answer = house.send("POST", "/education/users", {**NEW, **change})
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"]["code"] == "Request_BadRequest"
        assert answer.json()["error"]["target"] == target
        assert house.get("/education/users/$count").text == "0"

    def test_ignores_what_only_the_server_knows(self, house: Any) -> None:
        """Read-only members, links and annotations in a body change nothing."""
        extra = {
            "@odata.type": "#microsoft.graph.educationUser",
            "id": "mine",
            "mail": "other@x.example",
            "assignedPlans": [{"service": "exchange"}],
            "createdBy": {"user": {"displayName": "me"}},
            "classes": [{"id": "1"}],
            "taughtClasses@odata.bind": ["x"],
        }
        made = house.send("POST", "/education/users", {**NEW, **extra}).json()
        assert made["id"] != "mine"
        assert made["mail"] == NEW["userPrincipalName"]
        assert made["assignedPlans"] == []

    def test_refuses_a_principal_name_that_is_taken(self, town: Any) -> None:
        """Principal names are unique within the tenant, compared without case."""
        answer = town.send("POST", "/education/users", {**NEW, "userPrincipalName": "ANE@skole.example"})
        assert answer.status_code == 400
        error = answer.json()["error"]
        assert error["code"] == "Request_BadRequest"
        assert error["message"] == "Another object with the same value for property userPrincipalName already exists."

    def test_leaves_other_tenants_their_names(self, town: Any, token: Any, other_tenant: str) -> None:
        """The same principal name may live in two tenants."""
        stranger = token("EduRoster.ReadWrite.All", tenant=other_tenant)
        body = {**NEW, "userPrincipalName": "ane@skole.example"}
        assert town.send("POST", "/education/users", body, authorization=stranger).status_code == 201
        assert town.get("/education/users/$count", authorization=stranger).text == "1"

    def test_hands_out_each_key_once(self, town: Any, tenant: str) -> None:
        """People made at the same moment get keys and positions of their own, above all that were handed out."""
        before = town.position()
        with ThreadPoolExecutor(4) as hands:
            made = list(
                hands.map(
                    lambda number: (
                        town.send(
                            "POST", "/education/users", {**NEW, "userPrincipalName": f"gro{number}@skole.example"}
                        ).status_code
                    ),
                    range(12),
                )
            )
        assert made == [201] * 12
        new = [row for row in rows(town, tenant, directory_tables.people) if row.profile is None]
        assert sorted(row.key for row in new) == list(range(101, 113))
        assert sorted(row.position for row in new) == list(range(before + 1, before + 13))
        assert town.position() == before + 12


class TestChanging:
    def test_merges_what_is_given(self, town: Any, ids: Any) -> None:
        """Members that are absent stay, null clears, parts of an object merge; the whole person comes back."""
        path = f"/education/users/{ids('person', 1)}"
        changed = town.send("PATCH", path, {"department": None, "mobilePhone": "1", "student": {"grade": "6"}})
        assert changed.status_code == 200
        person = changed.json()
        assert (person["department"], person["mobilePhone"], person["givenName"]) == (None, "1", "Ane")
        assert person["student"]["grade"] == "6"
        assert person["student"]["externalId"] == "1"
        assert town.get(path).json() == person
        assert town.send("PATCH", path, {"student": None}).json()["student"] == {
            **dict.fromkeys(("externalId", "studentNumber", "grade", "graduationYear", "birthDate", "gender")),
        }

    def test_replaces_guardians_whole(self, town: Any, ids: Any) -> None:
        """relatedContacts is replaced whole: first emptied, then one, as the guardian scripts do."""
        path = f"/beta/education/users/{ids('person', 1)}"
        assert town.send("PATCH", path, {"relatedContacts": []}).json()["relatedContacts"] == []
        contact = {"displayName": "Far", "relationship": "Guardian", "id": "c1"}
        changed = town.send("PATCH", path, {"relatedContacts": [contact]}).json()["relatedContacts"]
        assert changed == [{"id": "c1", "displayName": "Far", "relationship": "guardian"}]
        assert town.send("PATCH", path, {"relatedContacts": None}).json()["relatedContacts"] == []

    def test_takes_a_read_person_back(self, town: Any, ids: Any, tenant: str) -> None:
        """What was read may be sent back as it is; it changes nothing, not even the directory's position."""
        path = f"/education/users/{ids('person', 2)}"
        before, position = rows(town, tenant, directory_tables.people), town.position()
        answer = town.send("PATCH", path, town.get(path).json())
        assert answer.status_code == 200
        assert town.send("PATCH", path, {}).status_code == 200
        assert rows(town, tenant, directory_tables.people) == before
        assert town.position() == position

    def test_takes_the_nulls_of_the_python_sdk(self, town: Any, ids: Any) -> None:
        """The SDK clears a property under its Python name; the same name with a value is unknown."""
        path = f"/education/users/{ids('person', 1)}"
        assert town.send("PATCH", path, {"related_contacts": None, "given_name": None}).json()["givenName"] is None
        assert town.get(path).json()["relatedContacts"] == []
        assert town.send("PATCH", path, {"given_name": "X"}).status_code == 400

    def test_raises_position_and_tag(self, town: Any, ids: Any) -> None:
        """Each change is a new version; If-Match with an old one is 412 and changes nothing."""
        path = f"/education/users/{ids('person', 1)}"
        old, position = town.get(path).headers["etag"], town.position()
        changed = town.send("PATCH", path, {"department": "A"}, headers={"If-Match": old})
        assert changed.status_code == 200
        assert changed.headers["etag"] != old
        assert town.position() == position + 1
        for method, body in (("PATCH", {"department": "B"}), ("DELETE", None)):
            stale = town.send(method, path, body, headers={"If-Match": old})
            assert stale.status_code == 412
            assert stale.json()["error"]["code"] == "PreconditionFailed"
        assert town.get(path).json()["department"] == "A"
        assert town.send("PATCH", path, {"department": "B"}, headers={"If-Match": "*"}).status_code == 200

    def test_may_answer_nothing(self, town: Any, ids: Any) -> None:
        """Prefer: return=minimal is 204 and says that it was followed."""
        path = f"/education/users/{ids('person', 1)}"
        answer = town.send("PATCH", path, {"department": "A"}, headers={"Prefer": "return=minimal"})
        assert (answer.status_code, answer.content) == (204, b"")
        assert answer.headers["preference-applied"] == "return=minimal"
        assert "etag" in answer.headers

    @pytest.mark.parametrize(
        "change",
        [
            {"displayName": None},
            {"userPrincipalName": None},
            {"mailNickname": None},
            {"accountEnabled": None},
            {"primaryRole": None},
            {"userPrincipalName": "BJØRN@skole.example"},
            {"id": "00000000-0000-4000-8000-000000000000"},
            {"unknown": 1},
        ],
    )
    def test_refuses_what_cannot_be(self, town: Any, ids: Any, change: dict[str, Any]) -> None:
        """What an account cannot do without, another's name, another id: 400 and no change."""
        path = f"/education/users/{ids('person', 1)}"
        before = town.get(path).json()
        answer = town.send("PATCH", path, {"department": "changed", **change})
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"]["code"] == "Request_BadRequest"
        assert town.get(path).json() == before

    def test_renames_an_account(self, town: Any, ids: Any) -> None:
        """A new principal name is the new key, in other letter case too; mail follows; the old name is free again."""
        path = f"/education/users/{ids('person', 1)}"
        assert town.send("PATCH", path, {"userPrincipalName": "ANE@skole.example"}).status_code == 200
        changed = town.send("PATCH", path, {"userPrincipalName": "ane.lunde@skole.example"}).json()
        assert changed["mail"] == "ane.lunde@skole.example"
        assert town.get("/education/users/ane.lunde@skole.example").status_code == 200
        assert town.get("/education/users/ane@skole.example").status_code == 404

    def test_of_nobody_is_404(self, town: Any) -> None:
        """There is nobody to change or delete."""
        for method, body in (("PATCH", {"department": "x"}), ("DELETE", None)):
            answer = town.send(method, "/education/users/nobody@skole.example", body)
            assert answer.status_code == 404
            assert answer.json()["error"]["code"] == "Request_ResourceNotFound"


class TestDeleting:
    def test_takes_the_person_out_of_every_class_and_school(self, town: Any, ids: Any, tenant: str) -> None:
        """204; the person is gone from every list, and so are all its links."""
        position = town.position()
        assert town.send("DELETE", f"/education/users/{ids('person', 2)}").status_code == 204
        assert town.get(f"/education/users/{ids('person', 2)}").status_code == 404
        assert ids("person", 2) not in town.ids(f"/education/classes/{ids('class', 1)}/members")
        assert all(
            row.person != 22
            for table in (directory_tables.class_people, directory_tables.school_people)
            for row in rows(town, tenant, table)
        )
        assert town.position() == position + 1
        assert town.send("DELETE", f"/education/users/{ids('person', 2)}").status_code == 404
