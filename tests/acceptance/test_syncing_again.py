"""What a second and a third synchronization do, and above all what they leave alone."""

from __future__ import annotations

import datetime

import pytest

from .house import DOMAIN, Json, Profile, Server, Tenant, creation, until
from .own import own
from .rosters import DISTRICT, GUARDIANS, Roster

POSITIONS = "SELECT position FROM positions"
TRACKED = "SELECT id, position, changed, created FROM {} ORDER BY id"


@pytest.fixture
def synced(tenant: Tenant) -> Profile:
    """A profile that has synchronized the district once."""
    profile = tenant.profile()
    assert profile.sync({**DISTRICT.files(), **GUARDIANS})["status"] == "success"
    return profile


def traces(tenant: Tenant) -> Json:
    """Everything by which a change could be noticed."""
    select = tenant.server.select
    kept: Json = {kind: select(tenant.id, TRACKED.format(kind)) for kind in ("schools", "classes", "people")}
    kept |= {
        kind: sorted(select(tenant.id, f"SELECT * FROM {kind}"))
        for kind in ("school_classes", "school_people", "class_people")
    }
    return kept | {"position": select(tenant.id, POSITIONS), "objects": tenant.objects()}


@pytest.mark.parametrize("how", ["the same files", "the same files under other names", "in another order", "reset"])
def test_the_same_roster_again_changes_nothing(synced: Profile, how: str) -> None:
    """Not an id, not a body, not a time of change, not a position of the directory moves."""
    before = traces(synced.tenant)
    earlier = synced.status()
    files = {**DISTRICT.files(), **GUARDIANS}
    if how == "in another order":
        # Rows of one person stay in their order: the first of them says which school is the first.
        turned = Roster(
            **{
                kind: tuple(sorted(rows, key=lambda row: (row["SIS ID"], row.get("Section SIS ID", "")), reverse=True))
                for kind, rows in vars(DISTRICT).items()
            }
        )
        assert turned != DISTRICT
        files = {**turned.files(), **GUARDIANS}
    if how == "the same files under other names":
        files = {name.lower(): content for name, content in files.items()}
    if how == "reset":
        synced.api("POST", f"{synced.path}/reset", expect=200)
        final = synced.wait()
    else:
        final = synced.sync(files)
    assert final["status"] == "success", final
    assert final["lastSynchronizationDateTime"] > earlier["lastSynchronizationDateTime"]
    assert final["errorCount"] == 0
    assert traces(synced.tenant) == before


def test_what_changed_in_the_roster_changes_and_nothing_else(synced: Profile) -> None:
    """A changed value, a moved enrollment, a new pupil: exactly those objects change."""
    tenant = synced.tenant
    before = traces(tenant)
    roster = (
        DISTRICT.changed("students", "3002", Grade="8")
        .without("enrollments", Section_SIS_ID="M1", SIS_ID="3003")
        .with_rows("enrollments", {"Section SIS ID": "F1", "SIS ID": "3003"})
        .with_rows("students", {**DISTRICT.students[1], "SIS ID": "3099", "Username": "newcomer", "Grade": "1"})
    )
    assert synced.sync({**roster.files(), **GUARDIANS})["status"] == "success"
    after = traces(tenant)
    old, new = before["objects"], after["objects"]
    assert new["schools"] == old["schools"]
    assert new["classes"] == old["classes"]
    arrived = new["users"].keys() - old["users"].keys()
    assert [new["users"][key]["student"]["externalId"] for key in arrived] == ["3099"]
    changed = {key for key in old["users"] if new["users"][key] != old["users"][key]}
    assert [new["users"][key]["student"]["grade"] for key in changed] == ["8"]
    classes = {item["externalId"]: key for key, item in old["classes"].items()}
    pupils = {(item["student"] or {}).get("externalId"): key for key, item in old["users"].items()}
    expected = {key: set(members) for key, members in old["classes/members"].items()}
    expected[classes["M1"]] -= {pupils["3003"]}
    expected[classes["F1"]] |= {pupils["3003"]}
    assert {key: set(members) for key, members in new["classes/members"].items()} == expected
    assert after["position"] > before["position"]


def test_who_leaves_the_roster_stays_in_the_directory(synced: Profile) -> None:
    """People and classes gone from the roster keep object and id, lose their links, and come back as who they were."""
    tenant = synced.tenant
    before = tenant.objects()
    roster = (
        DISTRICT.without("students", SIS_ID="3004")
        .without("enrollments", SIS_ID="3004")
        .without("sections", SIS_ID="F1")
        .without("enrollments", Section_SIS_ID="F1")
        .without("assignments", Section_SIS_ID="F1")
    )
    assert synced.sync({**roster.files(), **GUARDIANS})["status"] == "success"
    after = tenant.objects()
    assert after["users"].keys() == before["users"].keys()
    assert after["classes"].keys() == before["classes"].keys()
    gone = next(key for key, item in before["users"].items() if (item["student"] or {}).get("externalId") == "3004")
    french = next(key for key, item in before["classes"].items() if item["externalId"] == "F1")
    assert all(gone not in members for members in after["classes/members"].values())
    assert all(gone not in members for members in after["schools/users"].values())
    assert after["classes/members"][french] == after["classes/teachers"][french] == []
    rows = tenant.server.select(tenant.id, "SELECT id FROM people WHERE NOT active")
    assert rows == [(gone,)]

    assert synced.sync({**DISTRICT.files(), **GUARDIANS})["status"] == "success"
    assert tenant.objects() == before


def test_a_renamed_pupil_keeps_account_and_name_unless_the_profile_says_otherwise(synced: Profile) -> None:
    """User names never change; display names change only with allowDisplayNameUpdate."""
    tenant = synced.tenant
    roster = DISTRICT.changed("students", "3001", Last_Name="Berg", Username="zberg").changed(
        "sections", "M1", Section_Name="Mathematics 7"
    )

    def shown() -> tuple[str, ...]:
        zoe = next(user for user in tenant.reader.all("/users") if (user["student"] or {}).get("externalId") == "3001")
        math = next(item for item in tenant.reader.all("/classes") if item["externalId"] == "M1")
        return zoe["surname"], zoe["displayName"], zoe["userPrincipalName"], math["displayName"], math["externalName"]

    assert synced.sync(roster.files())["status"] == "success"
    assert shown() == ("Berg", "Zoë Müller", f"zmuller@{DOMAIN}", "Math 7", "Mathematics 7")
    allowed = {"allowDisplayNameUpdate": True}
    provider = {
        "@odata.type": "#microsoft.graph.educationCsvDataProvider",
        "customizations": {"student": allowed, "section": allowed},
    }
    synced.api("PATCH", synced.path, {"dataProvider": provider}, expect=200)
    until("provisioned", lambda: synced.api.get(synced.path)["state"] == "provisioned")
    assert synced.sync(roster.files())["status"] == "success"
    assert shown() == ("Berg", "Zoë Berg", f"zmuller@{DOMAIN}", "Mathematics 7", "Mathematics 7")


def test_only_the_listed_optional_properties_are_written(tenant: Tenant) -> None:
    """optionalPropertiesToSync is the whole list; deferred kinds are left alone; both come back as they were set."""
    customizations = {
        "student": {"optionalPropertiesToSync": ["Grade", "Student Number"]},
        "teacher": {"isSyncDeferred": True},
    }
    provider = {"@odata.type": "#microsoft.graph.educationCsvDataProvider", "customizations": customizations}
    profile = tenant.profile(creation(dataProvider=provider))
    shown = tenant.admin.get(profile.path)["dataProvider"]["customizations"]
    assert shown["student"]["optionalPropertiesToSync"] == ["Grade", "Student Number"]
    assert shown["teacher"]["isSyncDeferred"] is True
    assert profile.sync(DISTRICT.files())["status"] == "success"
    users = tenant.reader.all("/users")
    assert {user["primaryRole"] for user in users} == {"student"}
    for user in users:
        assert user["student"]["grade"] == "7"
        assert user["student"]["studentNumber"]
        assert user["student"]["birthDate"] is None
        assert user["middleName"] is None


def test_pupils_join_their_classes_only_from_the_start_date_on(tenant: Tenant) -> None:
    """synchronizationStartDate keeps pupils out of classes until then; teachers are in them already."""
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=6)
    text = soon.strftime("%Y-%m-%dT%H:%M:%SZ")
    provider = {
        "@odata.type": "#microsoft.graph.educationCsvDataProvider",
        "customizations": {"studentEnrollment": {"synchronizationStartDate": text}},
    }
    profile = tenant.profile(creation(dataProvider=provider))
    assert profile.sync(DISTRICT.files())["status"] == "success"
    classes = {item["externalId"]: item["id"] for item in tenant.reader.all("/classes")}

    def members() -> int:
        return len(tenant.reader.all(f"/classes/{classes['M1']}/members"))

    if datetime.datetime.now(datetime.UTC) < soon:
        assert members() == 1
    until("the pupils have joined", lambda: members() == 4, seconds=30, pause=0.2)


def test_licenses_are_given_at_creation_only(tenant: Tenant) -> None:
    """People get the profile's licences when they are created; later changes of the profile do not touch them."""
    sku = ["4b590615-0888-425a-a965-b3bf7789848d", "94763226-9b3c-4e75-a931-5c89701abe66"]
    profile = tenant.profile(creation(licensesToAssign=[{"appliesTo": "student", "skuIds": sku[:1]}]))
    assert profile.sync(DISTRICT.files())["status"] == "success"

    def given() -> set[tuple[str, tuple[str, ...]]]:
        return {
            (user["primaryRole"], tuple(sorted(item["skuId"] for item in user["assignedLicenses"])))
            for user in tenant.reader.all("/users")
        }

    assert given() == {("student", (sku[0],)), ("teacher", ())}
    changed = {"licensesToAssign": [{"appliesTo": role, "skuIds": sku} for role in ("student", "teacher")]}
    tenant.admin("PATCH", profile.path, changed, expect=200)
    until("provisioned", lambda: tenant.admin.get(profile.path)["state"] == "provisioned")
    assert profile.sync(DISTRICT.changed("students", "3001", Grade="9").files())["status"] == "success"
    assert given() == {("student", (sku[0],)), ("teacher", ())}


def test_edits_by_hand_between_two_syncs_are_seen(synced: Profile) -> None:
    """What somebody changed by hand is compared with the roster again, not with what we remember of it, and the plan
    shows it."""
    tenant = synced.tenant
    zoe = next(user for user in tenant.reader.all("/users") if (user["student"] or {}).get("externalId") == "3001")
    tenant.reader("PATCH", f"/users/{zoe['id']}", {"surname": "Wrong", "officeLocation": "Room 5"}, expect=200)
    assert synced.sync({**DISTRICT.files(), **GUARDIANS})["status"] == "success"
    after = tenant.reader.get(f"/users/{zoe['id']}")
    assert after["surname"] == "Müller", "the roster's property is put right"
    assert after["officeLocation"] == "Room 5", "and only the roster's"
    viewer = own(tenant, "viewer")
    run = viewer.get(f"/profiles/{synced.id}/runs")["value"][0]["id"]
    (step,) = viewer.all(f"/profiles/{synced.id}/runs/{run}/plan/steps")
    assert (step["op"], step["objectId"], step["sourceId"]) == ("update", zoe["id"], "3001")
    assert step["changes"] == [{"field": "surname", "before": "Wrong", "after": "Müller"}]


def test_an_expired_profile_stops(tenant: Tenant) -> None:
    """On its expiration date a profile pauses and says why; a later date lets it go on."""
    profile = tenant.profile()
    today = datetime.datetime.now(datetime.UTC).date()
    tenant.admin("PATCH", profile.path, {"expirationDate": today.isoformat()}, expect=200)
    until("provisioned", lambda: tenant.admin.get(profile.path)["state"] == "provisioned")
    status = until("it pauses", lambda: (shown := profile.status())["status"] == "paused" and shown)
    assert today.isoformat() in status["statusMessage"]
    profile.upload(DISTRICT.files())
    assert profile.api.refusal("POST", f"{profile.path}/start", 409)["code"] == "Conflict"
    later = (today + datetime.timedelta(days=30)).isoformat()
    tenant.admin("PATCH", profile.path, {"expirationDate": later}, expect=200)
    until("provisioned", lambda: tenant.admin.get(profile.path)["state"] == "provisioned")
    profile.api("POST", f"{profile.path}/resume", expect=200)
    profile.start()
    assert profile.wait()["status"] == "success"


def test_extension_attributes_can_be_selected(synced: Profile) -> None:
    """The attributes that scripts of School Data Sync read are on the objects behind, when they are selected."""
    prefix = "extension_fe2174665583431c953114ff7268b7b3_Education_"
    read = synced.tenant.reader

    def behind(kind: str, where: str, navigation: str, **expected: str) -> None:
        item = read.get(f"/{kind}?$filter={where}")["value"][0]
        assert not any(name.startswith("extension_") for name in item)
        path = f"/{kind}/{item['id']}/{navigation}"
        assert not any(name.startswith("extension_") for name in read.get(path))
        selected = ",".join(prefix + name for name in expected)
        shown = read.get(f"{path}?$select=id,{selected}")
        assert shown["id"] == item["id"]
        assert {name: shown[prefix + name] for name in expected} == expected

    behind(
        *("users", "student/externalId eq '3001'", "user"),
        ObjectType="Student",
        AnchorId="Student_3001",
        SyncSource="SIS",
        SyncSource_StudentId="3001",
        SyncSource_SchoolId="100",
        Email="zmuller@home.example",
    )
    behind(
        *("users", "teacher/externalId eq '5002'", "user"),
        ObjectType="Teacher",
        Title="Lektor",
        TeacherQualification="MSc",
    )
    behind(
        *("classes", "externalId eq 'M1'", "group"),
        ObjectType="Section",
        AnchorId="Section_M1",
        SyncSource_SchoolId="100",
        Period="3",
    )
    behind(
        *("schools", "externalId eq '100'", "administrativeUnit"),
        ObjectType="School",
        SchoolZone="North",
        SchoolNationalCenterForEducationStatisticsId="N4501",
    )


@pytest.mark.nightly("postgresql")
def test_attributes_written_by_hand_are_drift(server: Server) -> None:
    """What a script made of a class' anchor, its id and a pupil's id: the next plan says so, and puts it right."""
    prefix = "extension_fe2174665583431c953114ff7268b7b3_Education_"
    tenant = Tenant(server)
    profile = tenant.profile()
    assert profile.sync(DISTRICT.files())["status"] == "success"
    read = tenant.reader
    ids = {one["externalId"]: one["id"] for one in read.all("/classes")}
    (zoe,) = read.get("/users?$filter=student/externalId eq '3001'")["value"]
    school = read.get("/schools?$filter=externalId eq '100'")["value"][0]["id"]
    root = f"{server.base}/v1.0"
    for path, name, value in (
        (f"/groups/{ids['M1']}", "AnchorId", "Section_X1"),
        (f"/groups/{ids['M2']}", "SyncSource_SectionId", "X2"),
        (f"/users/{zoe['id']}", "SyncSource_StudentId", "X3"),
        (f"/directory/administrativeUnits/{school}", "AnchorId", "Exp0726_School_100"),
    ):
        read("PATCH", root + path, {prefix + name: value}, expect=200)
    assert {one["externalId"] for one in read.all("/classes")} >= {"X1", "X2"}
    assert profile.sync(DISTRICT.changed("students", "3002", Grade="9").files())["status"] == "success"
    steps = own(tenant, "viewer").all(f"/profiles/{profile.id}/runs/2/plan/steps?rule=drift")
    assert {(one["sourceId"], one["changes"][0]["field"], one["changes"][0]["before"]) for one in steps} == {
        ("M1", "external_id", "X1"),
        ("M2", "external_id", "X2"),
        ("3001", "student_external_id", "X3"),
        ("100", "external_id", "Exp0726_100"),
    }
    assert {one["externalId"]: one["id"] for one in read.all("/classes")} == ids
    shown = read.get(f"{root}/groups/{ids['M1']}?$select={prefix}AnchorId,{prefix}SyncSource_SectionId")
    assert (shown[f"{prefix}AnchorId"], shown[f"{prefix}SyncSource_SectionId"]) == ("Section_M1", "M1")
    unit = read.get(f"{root}/directory/administrativeUnits/{school}?$select={prefix}AnchorId")
    assert unit[f"{prefix}AnchorId"] == "School_100"
