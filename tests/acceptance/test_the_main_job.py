"""From six CSV files to schools, classes and people, through the SDKs that scripts use."""

from __future__ import annotations

import asyncio
import datetime
from typing import Any

import pytest
from azure.storage.blob import ContainerClient
from msgraph_beta import GraphServiceClient
from msgraph_beta.generated.models.education_csv_data_provider import EducationCsvDataProvider
from msgraph_beta.generated.models.education_external_source import EducationExternalSource
from msgraph_beta.generated.models.education_identity_creation_configuration import (
    EducationIdentityCreationConfiguration,
)
from msgraph_beta.generated.models.education_identity_domain import EducationIdentityDomain
from msgraph_beta.generated.models.education_synchronization_license_assignment import (
    EducationSynchronizationLicenseAssignment,
)
from msgraph_beta.generated.models.education_synchronization_profile import EducationSynchronizationProfile
from msgraph_beta.generated.models.education_synchronization_profile_state import EducationSynchronizationProfileState
from msgraph_beta.generated.models.education_synchronization_status import EducationSynchronizationStatus
from msgraph_beta.generated.models.education_user_role import EducationUserRole
from msgraph_beta.generated.models.o_data_errors.o_data_error import ODataError

from .house import DOMAIN, GUID, ROSTER_WRITE, WRITE, Server, Tenant
from .rosters import DISTRICT, GUARDIANS
from .sdk import everything, graph, headers, query

SKU = "4b590615-0888-425a-a965-b3bf7789848d"
State, Status, Role = EducationSynchronizationProfileState, EducationSynchronizationStatus, EducationUserRole


def wanted_profile() -> EducationSynchronizationProfile:
    return EducationSynchronizationProfile(
        display_name="Nordkapp",
        data_provider=EducationCsvDataProvider(),
        identity_synchronization_configuration=EducationIdentityCreationConfiguration(
            user_domains=[
                EducationIdentityDomain(applies_to=role, name=DOMAIN) for role in (Role.Student, Role.Teacher)
            ]
        ),
        licenses_to_assign=[EducationSynchronizationLicenseAssignment(applies_to=Role.Student, sku_ids=[SKU])],
        handle_special_character_constraint=True,
        expiration_date=datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=300),
    )


async def main_job(server: Server, tenant: Tenant, version: str, files: dict[str, str]) -> None:
    """The whole job of one script, step after step, as the documentation of the API tells it."""
    token = server.token(tenant.id, scope=WRITE, user=f"admin@{DOMAIN}")
    async with graph(server.base, token, version=version) as admin:
        profiles = admin.education.synchronization_profiles
        created = await profiles.post(wanted_profile())
        assert created is not None
        assert GUID.fullmatch(created.id)
        assert created.state is State.Provisioning
        profile = profiles.by_education_synchronization_profile_id(created.id)
        await until_provisioned(profile)

        container = await profile.upload_url.get()
        blobs = ContainerClient.from_container_url(
            container.value, connection_verify=str(server.certificate) if server.base.startswith("https") else True
        )
        assert blobs.container_name == created.id
        for name, content in files.items():
            blobs.upload_blob(name, content)

        began = datetime.datetime.now(datetime.UTC)
        started = await profile.start.post()
        told = [(message.type, message.file_name, message.description) for message in started.value]
        assert told == [
            ("Warning", "teacher.csv", "1 duplicates found in column SIS ID which requires values to be Unique.")
        ]
        final, seen = await until_ended(profile)
        assert final.status is Status.Success, final
        assert seen <= {Status.Extracting, Status.Validating, Status.InProgress, Status.Success}
        assert final.error_count == 0
        assert "4 classes" in final.status_message.replace(",", "")
        assert began - datetime.timedelta(seconds=1) <= final.last_synchronization_date_time
        assert final.last_synchronization_date_time <= datetime.datetime.now(datetime.UTC)
        assert final.last_activity_date_time >= began - datetime.timedelta(seconds=1)
        assert (await profile.errors.get()).value == []

    roles = server.token(tenant.id, roles=(ROSTER_WRITE,))
    async with graph(server.base, roles, version=version) as reader:
        await look_around(reader)

    async with graph(server.base, token, version=version) as admin:
        profile = admin.education.synchronization_profiles.by_education_synchronization_profile_id(created.id)
        await profile.delete()
        await until_gone(profile)
    assert len(tenant.reader.all("/users")) == 8, "deleting a profile leaves its people"


async def until_provisioned(profile: Any) -> None:
    for _ in range(500):
        if (await profile.get()).state is State.Provisioned:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("the profile was never provisioned")


async def until_ended(profile: Any) -> tuple[Any, set[Status]]:
    seen = set()
    for _ in range(3000):
        status = await profile.profile_status.get(headers(Prefer="include-unknown-enum-members"))
        seen.add(status.status)
        if status.status not in {Status.Extracting, Status.Validating, Status.InProgress}:
            return status, seen
        await asyncio.sleep(0.02)
    raise AssertionError("the run never ended")


async def until_gone(profile: Any) -> None:
    for _ in range(500):
        try:
            state = (await profile.get()).state
        except ODataError as problem:
            refused = problem
            break
        assert state is State.Deleting
        await asyncio.sleep(0.02)
    else:
        raise AssertionError("the profile was never gone")
    assert refused.response_status_code == 404
    assert refused.error.code == "NotFound"


async def look_around(reader: GraphServiceClient) -> None:
    """What arrived is what the roster says, property by property, read over pages of two."""
    schools = {school.external_id: school for school in await paged(reader, reader.education.schools)}
    classes = {group.external_id: group for group in await paged(reader, reader.education.classes)}
    people = await paged(reader, reader.education.users)
    pupils = {person.student.external_id: person for person in people if person.primary_role is Role.Student}
    teachers = {person.teacher.external_id: person for person in people if person.primary_role is Role.Teacher}
    assert schools.keys() == {"100", "200"}
    assert classes.keys() == {"M1", "F1", "M2", "E1"}
    assert pupils.keys() == {"3001", "3002", "3003", "3004", "3005", "3006"}
    assert teachers.keys() == {"5001", "5002"}
    assert len(people) == 8

    lycee = await reader.education.schools.by_education_school_id(schools["200"].id).get()
    assert lycee.display_name == "Ålesund lycée"
    assert lycee.external_source is EducationExternalSource.Sis
    assert lycee.external_source_detail == "Nordkapp"
    assert (lycee.school_number, lycee.lowest_grade, lycee.highest_grade) == ("4502", "1", "10")
    assert (lycee.external_principal_id, lycee.principal_name) == ("P4502", "Head of 4502")
    assert lycee.principal_email == "head4502@mail.example"
    assert lycee.phone is not None
    address = lycee.address
    assert (address.street, address.city, address.state) == ("Storgata 4502", "Honningsvåg", "Finnmark")
    assert (address.country_or_region, address.postal_code) == ("NO", "9750")

    french = await reader.education.classes.by_education_class_id(classes["F1"].id).get()
    assert french.display_name == french.external_name == "Français, 7ème"
    assert french.mail_nickname == "Section_F1"
    assert french.class_code == "no F1"
    assert french.external_source is EducationExternalSource.Sis
    assert (french.term.external_id, french.term.display_name) == ("T26", "Autumn 2026")
    assert (french.term.start_date, french.term.end_date) == (datetime.date(2026, 8, 17), datetime.date(2026, 12, 18))
    assert (french.course.external_id, french.course.display_name) == ("CF1", "French course")
    assert (french.course.course_number, french.course.subject) == ("FRE1", "French")
    assert french.course.description == "All about French"

    zoe = await reader.education.users.by_education_user_id(pupils["3001"].id).get()
    assert (zoe.given_name, zoe.middle_name, zoe.surname) == ("Zoë", "Anna", "Müller")
    assert zoe.display_name == "Zoë Müller"
    assert zoe.user_principal_name == f"zmuller@{DOMAIN}"
    assert zoe.mail_nickname == "zmuller"
    assert zoe.account_enabled is True
    assert zoe.external_source is EducationExternalSource.Sis
    assert zoe.external_source_detail == "Nordkapp"
    assert zoe.student.birth_date == datetime.date(2013, 2, 28)
    assert (zoe.student.student_number, zoe.student.grade, zoe.student.graduation_year) == ("n3001", "7", "2031")
    assert zoe.password_profile is None, "passwords go in and never come out"
    assert [str(given.sku_id) for given in zoe.assigned_licenses] == [SKU]
    contacts = {contact.display_name: contact for contact in zoe.related_contacts}
    assert {name: contact.email_address for name, contact in contacts.items()} == {
        "Kari Müller": "mor@home.example",
        "Ola Müller": "far@home.example",
    }
    assert contacts["Kari Müller"].relationship.value == "parent"
    assert contacts["Ola Müller"].relationship.value == "other", "a contact cannot be an administrator"
    assert contacts["Kari Müller"].mobile_phone == "+4799911122"
    assert pupils["3002"].related_contacts == []

    grace = teachers["5001"]
    assert (grace.display_name, grace.teacher.teacher_number) == ("Grace Okafor", "t5001")
    assert grace.assigned_licenses == [], "only pupils are licensed by this profile"

    math = reader.education.classes.by_education_class_id(classes["M1"].id)
    assert await ids(reader, math.teachers) == {grace.id}
    assert await ids(reader, math.members) == {grace.id, *(pupils[key].id for key in ("3001", "3002", "3003"))}
    assert await ids(reader, math.schools) == {schools["100"].id}
    empty = reader.education.classes.by_education_class_id(classes["E1"].id)
    assert await ids(reader, empty.members) == set()
    assert await ids(reader, empty.teachers) == set()

    fjord = reader.education.schools.by_education_school_id(schools["200"].id)
    assert await ids(reader, fjord.classes) == {classes["M2"].id, classes["E1"].id}
    assert await ids(reader, fjord.users) == {grace.id, *(pupils[key].id for key in ("3004", "3005", "3006"))}

    person = reader.education.users.by_education_user_id
    assert await ids(reader, person(grace.id).schools) == {schools["100"].id, schools["200"].id}
    assert await ids(reader, person(grace.id).taught_classes) == {classes["M1"].id, classes["M2"].id}
    assert await ids(reader, person(grace.id).classes) == {classes["M1"].id, classes["M2"].id}
    assert await ids(reader, person(zoe.id).classes) == {classes["M1"].id, classes["F1"].id}
    assert await ids(reader, person(zoe.id).taught_classes) == set()


async def paged(client: GraphServiceClient, builder: Any) -> list[Any]:
    """Everything of a collection, two at a time."""
    first = await builder.get(query(builder, top=2))
    assert len(first.value) <= 2
    return await everything(client, first)


async def ids(client: GraphServiceClient, builder: Any) -> set[str]:
    found = [item.id for item in await paged(client, builder)]
    assert len(found) == len(set(found)), "nothing comes twice"
    return set(found)


@pytest.mark.parametrize("version", ["v1.0", "beta", "v1.0/"])
async def test_a_roster_goes_in_and_comes_out_as_schools_classes_and_people(
    server: Server, tenant: Tenant, version: str
) -> None:
    """The whole main job works through msgraph-beta-sdk and azure-storage-blob, whose base URL alone was changed.

    The third version is what the SDK's own default looks like: it ends with a slash, so paths start with two.
    """
    await main_job(server, tenant, version, {**DISTRICT.files(), **GUARDIANS})


@pytest.mark.xdist_group("tls")
async def test_the_main_job_over_tls(secure: Server, secure_tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same job over HTTPS, with the certificate that `--tls` made and a client that trusts it."""
    monkeypatch.setenv("SSL_CERT_FILE", str(secure.certificate))
    await main_job(secure, secure_tenant, "v1.0", {**DISTRICT.files(), **GUARDIANS})


def test_every_text_of_a_stage_is_true(tenant: Tenant) -> None:
    """`status`, `statusMessage`, `errorCount` and both times tell the truth before, while and after a sync."""
    profile = tenant.profile()
    before = profile.status()
    assert before["status"] is None
    assert before["lastSynchronizationDateTime"] is None
    assert before["lastActivityDateTime"] is None
    assert before["errorCount"] == 0
    assert "start" in before["statusMessage"].lower()
    profile.upload(DISTRICT.files())
    assert profile.status()["status"] is None, "an upload starts nothing"
    profile.start()
    texts = []
    while (status := profile.status())["status"] in {"extracting", "validating", "inProgress"}:
        assert status["lastSynchronizationDateTime"] is None, "not before the first success"
        texts.append(status["statusMessage"])
    assert all(texts)
    assert status["status"] == "success"
    assert status["lastSynchronizationDateTime"] is not None
    assert status["lastActivityDateTime"] >= status["lastSynchronizationDateTime"]


def test_members_shown_without_the_preference_are_ones_old_clients_know(tenant: Tenant) -> None:
    """`extracting` and `validating` are `unknownFutureValue` unless the client asks for them by `Prefer`."""
    profile = tenant.profile()
    path = f"{profile.path}/profileStatus"
    profile.api("PATCH", path, {"status": "extracting"}, expect=200)
    plain = profile.api("GET", path, expect=200)
    assert plain.json()["status"] == "unknownFutureValue"
    assert "preference-applied" not in plain.headers
    asked = profile.api("GET", path, expect=200, headers={"Prefer": "include-unknown-enum-members"})
    assert asked.json()["status"] == "extracting"
    assert asked.headers["preference-applied"] == "include-unknown-enum-members"


def test_the_next_cycle_begins_with_an_empty_container(tenant: Tenant) -> None:
    """After `start` took the files, the container is empty: the same names go in again without overwriting."""
    profile = tenant.profile()
    container = profile.api.get(f"{profile.path}/uploadUrl")["value"]
    blobs = ContainerClient.from_container_url(container)
    for name, content in DISTRICT.files().items():
        blobs.upload_blob(name, content)
    profile.start()
    assert profile.wait()["status"] == "success"
    for name, content in DISTRICT.files().items():
        blobs.upload_blob(name, content)
    profile.start()
    assert profile.wait()["status"] == "success"
