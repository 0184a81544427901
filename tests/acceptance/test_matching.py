"""Profiles that match people who are there already, made by hand or by somebody else."""

from __future__ import annotations

import uuid

import pytest
from msgraph_beta.generated.models.education_user import EducationUser
from msgraph_beta.generated.models.education_user_role import EducationUserRole
from msgraph_beta.generated.models.o_data_errors.o_data_error import ODataError
from msgraph_beta.generated.models.password_profile import PasswordProfile

from .house import DOMAIN, ROSTER_WRITE, Json, Server, Tenant, creation, matching, until
from .own import own
from .rosters import DISTRICT, GUARDIANS
from .sdk import graph

USERNAMES = sorted({row["Username"] for kind in (DISTRICT.students, DISTRICT.teachers) for row in kind})


def by_hand(tenant: Tenant, name: str, **members: object) -> Json:
    body = {
        "displayName": f"By hand {name}",
        "accountEnabled": True,
        "mailNickname": name,
        "userPrincipalName": f"{name}@{DOMAIN}",
        "passwordProfile": {"password": str(uuid.uuid4()), "forceChangePasswordNextSignIn": True},
        **members,
    }
    made: Json = tenant.reader("POST", "/users", body, expect=201).json()
    return made


async def test_people_are_made_changed_and_deleted_by_hand_through_the_sdk(server: Server, tenant: Tenant) -> None:
    """POST, PATCH, GET and DELETE of /education/users through the SDK; the password never comes out."""
    async with graph(server.base, server.token(tenant.id, roles=(ROSTER_WRITE,))) as client:
        users = client.education.users
        made = await users.post(
            EducationUser(
                display_name="Åse Hand",
                account_enabled=True,
                mail_nickname="ase",
                user_principal_name=f"ase@{DOMAIN}",
                primary_role=EducationUserRole.Teacher,
                password_profile=PasswordProfile(password="Fjord-2026-x", force_change_password_next_sign_in=True),
                given_name="Åse",
                usage_location="NO",
            )
        )
        assert made.id
        assert made.password_profile is None
        user = users.by_education_user_id(made.id)
        changed = await user.patch(EducationUser(surname="Hand", mobile_phone="+47 999"))
        assert (changed.surname, changed.mobile_phone, changed.given_name) == ("Hand", "+47 999", "Åse")
        by_name = await users.by_education_user_id(f"ase@{DOMAIN}").get()
        assert by_name.id == made.id
        assert by_name.primary_role is EducationUserRole.Teacher
        with pytest.raises(ODataError) as caught:
            await users.post(changed)
        assert caught.value.response_status_code == 400
        assert caught.value.error.code == "Request_BadRequest"
        await user.delete()
        with pytest.raises(ODataError) as caught:
            await user.get()
        assert caught.value.response_status_code == 404
        assert caught.value.error.code == "Request_ResourceNotFound"


def test_a_body_that_makes_no_person_is_refused(tenant: Tenant) -> None:
    """Each member that a new account needs is missed by name."""
    whole = {
        "displayName": "x",
        "accountEnabled": True,
        "mailNickname": "x",
        "userPrincipalName": f"x@{DOMAIN}",
        "passwordProfile": {"password": "Fjord-2026-x"},
    }
    for name in whole:
        body = {key: value for key, value in whole.items() if key != name}
        answer = tenant.reader("POST", "/users", body)
        assert answer.status_code == 400, name
        assert answer.json()["error"]["code"] == "Request_BadRequest"
        assert name in answer.json()["error"]["message"]
    assert tenant.reader.get("/users")["value"] == []


def test_matching_fills_people_that_are_there_and_makes_none(tenant: Tenant) -> None:
    """Matched people get what the school knows and keep what they are; nobody is created."""
    made = {name: by_hand(tenant, name) for name in USERNAMES}
    profile = tenant.profile(matching())
    final = profile.sync({**DISTRICT.files(), **GUARDIANS})
    assert final["status"] == "success", final
    users = {user["mailNickname"]: user for user in tenant.reader.all("/users")}
    assert users.keys() == made.keys()
    for name, user in users.items():
        assert user["id"] == made[name]["id"]
        assert user["displayName"] == f"By hand {name}", "names are not the roster's to change"
        assert user["userPrincipalName"] == f"{name}@{DOMAIN}"
        assert user["externalSource"] == "sis"
        assert user["externalSourceDetail"] == "Nordkapp"
    zoe = users["zmuller"]
    assert zoe["primaryRole"] == "student"
    assert zoe["student"]["externalId"] == "3001"
    assert zoe["student"]["birthDate"] == "2013-02-28"
    assert {contact["emailAddress"] for contact in zoe["relatedContacts"]} == {"mor@home.example", "far@home.example"}
    assert users["gokafor"]["primaryRole"] == "teacher"
    assert users["gokafor"]["teacher"]["externalId"] == "5001"
    classes = {item["externalId"]: item["id"] for item in tenant.reader.all("/classes")}
    members = {user["id"] for user in tenant.reader.all(f"/classes/{classes['M1']}/members")}
    assert members == {users[name]["id"] for name in ("zmuller", "sobrien", "ldvorak", "gokafor")}


def test_people_nobody_knows_are_errors_and_so_are_their_links(tenant: Tenant) -> None:
    """No match: UnsynchronizableChange with what was looked for; the person's links: InvalidLookupReference."""
    for name in USERNAMES:
        if name not in {"zmuller", "jlefevre"}:
            by_hand(tenant, name)
    profile = tenant.profile(matching())
    final = profile.sync(DISTRICT.files())
    assert final["status"] == "error"
    errors = profile.errors()
    assert final["errorCount"] == len(errors)
    people = {error["entryType"]: error for error in errors if error["errorCode"] == "UnsynchronizableChange"}
    assert people.keys() == {"Student", "Teacher"}
    assert people["Student"]["joiningValue"] == f"zmuller@{DOMAIN}"
    assert people["Student"]["reportableIdentifier"] == "3001"
    assert people["Teacher"]["joiningValue"] == f"jlefevre@{DOMAIN}"
    assert people["Teacher"]["reportableIdentifier"] == "5002"
    links = [error for error in errors if error["errorCode"] == "InvalidLookupReference"]
    assert {error["entryType"] for error in links} >= {"StudentEnrollment", "TeacherRoster"}
    assert len(people) + len(links) == len(errors)
    users = tenant.reader.all("/users")
    assert {user["mailNickname"] for user in users} == set(USERNAMES) - {"zmuller", "jlefevre"}
    classes = {item["externalId"]: item["id"] for item in tenant.reader.all("/classes")}
    assert len(tenant.reader.all(f"/classes/{classes['M1']}/members")) == 3, "everybody else is where they belong"

    by_hand(tenant, "zmuller")
    by_hand(tenant, "jlefevre")
    assert profile.sync(DISTRICT.files())["status"] == "success", "who is found later is matched then"
    assert profile.errors() == []
    assert len(tenant.reader.all(f"/classes/{classes['M1']}/members")) == 4


def test_matching_by_another_property(tenant: Tenant) -> None:
    """Source and target may be other properties, compared as they are when no domain is given."""
    for number, name in enumerate(USERNAMES):
        by_hand(tenant, f"account{number}", userPrincipalName=f"account{number}@{DOMAIN}", mailNickname=name)
    profile = tenant.profile(matching("mailNickname", "Username", None))
    assert profile.sync(DISTRICT.files())["status"] == "success"
    zoe = tenant.reader.get("/users?$filter=mailNickname eq 'zmuller'")["value"]
    assert [user["student"]["externalId"] for user in zoe] == ["3001"]


def test_two_pupils_of_one_account_are_never_merged(tenant: Tenant) -> None:
    """A second roster person whose match is taken is DuplicateTargetEntries; the first keeps the account."""
    for name in USERNAMES:
        by_hand(tenant, name, mailNickname="same" if name.startswith("asilva") else name)
    roster = DISTRICT.changed("students", "3004", Username="same").changed("students", "3006", Username="same")
    profile = tenant.profile(matching("mailNickname", "Username", None))
    final = profile.sync(roster.files())
    assert final["status"] == "error"
    codes = {(error["errorCode"], error["reportableIdentifier"]) for error in profile.errors()}
    assert ("DuplicateTargetEntries", "3006") in codes
    silvas = [user for user in tenant.reader.all("/users") if user["mailNickname"] == "same"]
    assert sum(bool((user["student"] or {}).get("externalId")) for user in silvas) <= 1


def test_creation_adopts_an_account_made_by_hand(tenant: Tenant) -> None:
    """A creating profile takes over an account of the same user name, with a yes: it keeps its id and its name."""
    made = by_hand(tenant, "zmuller")
    profile = tenant.profile()
    held = profile.sync(DISTRICT.files())
    assert held["status"] == "validationError"
    assert "made by hand would be taken over" in held["statusMessage"]
    approver, path = own(tenant, "approver"), f"/profiles/{profile.id}/runs/1"
    plan = approver.get(f"{path}/plan")["plan"]
    approver("POST", f"{path}/approvals", {"plan": plan, "why": "It is Zoë."}, expect=201)
    until("the run is done", lambda: approver.get(path)["state"] == "done")
    users = {user["userPrincipalName"]: user for user in tenant.reader.all("/users")}
    assert len(users) == 8
    zoe = users[f"zmuller@{DOMAIN}"]
    assert zoe["id"] == made["id"]
    assert zoe["student"]["externalId"] == "3001"


def test_a_person_of_another_living_profile_is_never_taken(tenant: Tenant) -> None:
    """Two profiles with the same people: the second reports DuplicateTargetEntries and changes nobody."""
    first = tenant.profile()
    assert first.sync(DISTRICT.files())["status"] == "success"
    before = tenant.objects()
    second = tenant.profile(creation(displayName="Another"))
    final = second.sync(DISTRICT.files())
    assert final["status"] in {"error", "quarantined"}
    assert "DuplicateTargetEntries" in {error["errorCode"] for error in second.errors()}
    after = tenant.objects()
    assert after["users"] == before["users"]


def test_a_profile_made_anew_adopts_its_predecessors_people(tenant: Tenant) -> None:
    """After the old profile is deleted a new one with the same roster finds the same people under the same ids."""
    first = tenant.profile()
    assert first.sync(DISTRICT.files())["status"] == "success"
    before = tenant.objects()
    first.api("DELETE", first.path, expect=202)
    until("it is gone", lambda: tenant.admin("GET", first.path).status_code == 404)
    second = tenant.profile()
    assert second.sync(DISTRICT.files())["status"] == "success"
    after = tenant.objects()
    assert {kind: set(items) for kind, items in after.items()} == {kind: set(items) for kind, items in before.items()}
