"""Schools, classes and people through the unmodified Python SDK: made, linked, read, followed and asked in batches."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from kiota_abstractions.base_request_configuration import RequestConfiguration
from msgraph_beta.generated.models.education_class import EducationClass
from msgraph_beta.generated.models.education_external_source import EducationExternalSource
from msgraph_beta.generated.models.education_school import EducationSchool
from msgraph_beta.generated.models.education_student import EducationStudent
from msgraph_beta.generated.models.education_user import EducationUser
from msgraph_beta.generated.models.education_user_role import EducationUserRole
from msgraph_beta.generated.models.group import Group
from msgraph_beta.generated.models.o_data_errors.o_data_error import ODataError
from msgraph_beta.generated.models.password_profile import PasswordProfile
from msgraph_beta.generated.models.physical_address import PhysicalAddress
from msgraph_beta.generated.models.reference_create import ReferenceCreate
from msgraph_core.requests.batch_request_builder import BatchRequestBuilder
from msgraph_core.requests.batch_request_content import BatchRequestContent
from msgraph_core.requests.batch_request_item import BatchRequestItem

from .house import DOMAIN, ROSTER_WRITE, Server, Tenant
from .rosters import DISTRICT
from .sdk import everything, graph, query

EXT = "extension_fe2174665583431c953114ff7268b7b3_Education_"


def linked(kind: str, key: str) -> ReferenceCreate:
    """What samples send: Graph's own address, whatever server it goes to."""
    return ReferenceCreate(odata_id=f"https://graph.microsoft.com/v1.0/{kind}/{key}")


def person(name: str, role: EducationUserRole) -> EducationUser:
    return EducationUser(
        display_name=name.title(),
        account_enabled=True,
        mail_nickname=name,
        user_principal_name=f"{name}@{DOMAIN}",
        password_profile=PasswordProfile(password="Fjord-2026-x"),
        primary_role=role,
        student=EducationStudent(birth_date=datetime.date(2013, 3, 4), external_id="77") if name == "ida" else None,
    )


@pytest.mark.parametrize("version", ["v1.0", "beta"])
async def test_a_school_is_built_by_hand_and_taken_apart(server: Server, tenant: Tenant, version: str) -> None:
    """Every write there is; every list, both ways of taking a link back, and a follower of the changes sees it all."""
    async with graph(server.base, server.token(tenant.id, roles=(ROSTER_WRITE,)), version=version) as client:
        education = client.education
        begun = await education.classes.delta.get()
        assert (begun.value, begun.odata_next_link) == ([], None)

        school = await education.schools.post(
            EducationSchool(display_name="Nordre", external_id="s1", address=PhysicalAddress(city="Alta"))
        )
        group = await education.classes.post(
            EducationClass(display_name="7A", mail_nickname="seven-a", external_source=EducationExternalSource.Manual)
        )
        pupil = await education.users.post(person("ida", EducationUserRole.Student))
        teacher = await education.users.post(person("odd", EducationUserRole.Teacher))
        assert pupil.student.birth_date == datetime.date(2013, 3, 4)

        of_school = education.schools.by_education_school_id(school.id)
        of_class = education.classes.by_education_class_id(group.id)
        await of_school.classes.ref.post(linked("education/classes", group.id))
        for one in (pupil, teacher):
            await of_school.users.ref.post(linked("education/users", one.id))
            await of_class.members.ref.post(linked("directoryObjects", one.id))
        await of_class.teachers.ref.post(linked("users", teacher.id))
        with pytest.raises(ODataError) as again:
            await of_class.teachers.ref.post(linked("users", teacher.id))
        assert again.value.response_status_code == 400
        assert "already exist" in again.value.error.message
        assert {one.id for one in (await of_class.members.get()).value} == {pupil.id, teacher.id}
        assert [one.id for one in (await of_class.teachers.get()).value] == [teacher.id]
        assert [one.id for one in (await of_class.schools.get()).value] == [school.id]
        assert len((await of_class.members.ref.get()).value) == 2  # it models addresses as texts and so loses them
        of_teacher = education.users.by_education_user_id(teacher.id)
        assert [one.id for one in (await of_teacher.taught_classes.get()).value] == [group.id]

        renamed = await of_class.patch(EducationClass(display_name="7B"))
        assert (renamed.display_name, renamed.mail_nickname) == ("7B", "seven-a")
        moved = await of_school.patch(EducationSchool(address=PhysicalAddress(street="Storgata 1")))
        assert (moved.address.city, moved.address.street) == ("Alta", "Storgata 1")
        written = await client.groups.by_group_id(group.id).patch(Group(additional_data={f"{EXT}Period": "4"}))
        assert written.id == group.id

        told = await education.classes.delta.with_url(begun.odata_delta_link).get()
        (seen,) = told.value
        assert (seen.id, seen.display_name) == (group.id, "7B")
        assert {str(one["id"]) for one in seen.additional_data["members@delta"]} == {pupil.id, teacher.id}

        await of_class.members.by_education_user_id(pupil.id).ref.delete()
        builder = of_class.teachers.ref
        asked: RequestConfiguration[Any] = RequestConfiguration(
            query_parameters=builder.RefRequestBuilderDeleteQueryParameters(
                id=f"https://graph.microsoft.com/beta/education/users/{teacher.id}"
            )
        )
        await builder.delete(asked)
        await of_school.classes.by_education_class_id(group.id).ref.delete()
        told = await education.classes.delta.with_url(told.odata_delta_link).get()
        (seen,) = told.value
        for part, gone_from in (("members", pupil), ("teachers", teacher)):
            told_of = {str(one["id"]): "@removed" in one for one in seen.additional_data[f"{part}@delta"]}
            assert [key for key, removed in told_of.items() if removed] == [gone_from.id]
        assert (await education.users.by_education_user_id(pupil.id).get()).id == pupil.id

        for gone in (of_class, of_school, education.users.by_education_user_id(pupil.id)):
            await gone.delete()
            with pytest.raises(ODataError) as missing:
                await gone.get()
            assert (missing.value.response_status_code, missing.value.error.code) == (404, "Request_ResourceNotFound")
            assert missing.value.error.inner_error.request_id


async def test_a_synchronized_district_is_read(server: Server, tenant: Tenant) -> None:
    """Options by the SDK's names, pages by its iterator, plain objects with their attributes, /me, and a batch."""
    assert tenant.profile().sync(DISTRICT.files())["status"] == "success"
    async with graph(server.base, server.token(tenant.id, roles=(ROSTER_WRITE,)), version="beta") as client:
        users, classes = client.education.users, client.education.classes
        first = await users.get(query(users, top=3, select=["id", "displayName", "primaryRole"], count=True))
        assert (len(first.value), first.odata_count) == (3, 8)
        assert len({one.id for one in await everything(client, first)}) == 8
        found = await users.get(
            query(users, filter="student/externalId eq '3001'", expand=["classes($select=id,displayName)"])
        )
        (pupil,) = found.value
        assert pupil.student.external_id == "3001"
        assert pupil.classes
        assert all(one.display_name for one in pupil.classes)
        assert [one.id for one in (await users.get(query(users, search='"zmuller"'))).value] == [pupil.id]
        ordered = [one.display_name for one in (await classes.get(query(classes, orderby=["displayName desc"]))).value]
        assert ordered == sorted(ordered, reverse=True)

        plain = client.users.by_user_id(pupil.id)
        named = await plain.get(query(plain, select=["id", f"{EXT}ObjectType", f"{EXT}SyncSource_StudentId"]))
        assert named.additional_data[f"{EXT}ObjectType"] == "Student"
        assert named.additional_data[f"{EXT}SyncSource_StudentId"] == "3001"
        groups = await client.groups.get(query(client.groups, filter=f"{EXT}ObjectType eq 'Section'"))
        assert {one.id for one in groups.value} == {one.id for one in (await classes.get()).value}
        units = client.directory.administrative_units
        assert {one.id for one in (await units.get()).value} == {
            one.id for one in (await client.education.schools.get()).value
        }

        asked = {
            "person": BatchRequestItem(users.by_education_user_id(pupil.id).to_get_request_information(), "person"),
            "nobody": BatchRequestItem(users.by_education_user_id("nobody").to_get_request_information(), "nobody"),
        }
        asked["after"] = BatchRequestItem(classes.to_get_request_information(), "after", [asked["nobody"]])
        answer = await BatchRequestBuilder(client.request_adapter).post(BatchRequestContent(asked))
        assert answer.get_response_status_codes() == {"person": 200, "nobody": 404, "after": 424}

    mine = server.token(tenant.id, scope="EduRoster.ReadBasic", user=pupil.user_principal_name)
    async with graph(server.base, mine) as client:
        me = await client.education.me.get()
        assert (me.id, me.student) == (pupil.id, None)
        own = {one.id for one in (await client.education.me.classes.get()).value}
        assert (
            own == {one.id for one in pupil.classes} == {one.id for one in (await client.education.classes.get()).value}
        )
        with pytest.raises(ODataError) as closed:
            await client.education.users.get()
        assert (closed.value.response_status_code, closed.value.error.code) == (403, "AccessDenied")
