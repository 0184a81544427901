"""Making, reading, changing and deleting profiles."""

from __future__ import annotations

import datetime
import uuid
from typing import Any

import pytest
from msgraph_beta.generated.models.education_csv_data_provider import EducationCsvDataProvider
from msgraph_beta.generated.models.education_identity_creation_configuration import (
    EducationIdentityCreationConfiguration,
)
from msgraph_beta.generated.models.education_identity_domain import EducationIdentityDomain
from msgraph_beta.generated.models.education_identity_matching_configuration import (
    EducationIdentityMatchingConfiguration,
)
from msgraph_beta.generated.models.education_identity_matching_options import EducationIdentityMatchingOptions
from msgraph_beta.generated.models.education_one_roster_api_data_provider import EducationOneRosterApiDataProvider
from msgraph_beta.generated.models.education_power_school_data_provider import EducationPowerSchoolDataProvider
from msgraph_beta.generated.models.education_synchronization_customization import EducationSynchronizationCustomization
from msgraph_beta.generated.models.education_synchronization_customizations import (
    EducationSynchronizationCustomizations,
)
from msgraph_beta.generated.models.education_synchronization_o_auth2_client_credentials_connection_settings import (
    EducationSynchronizationOAuth2ClientCredentialsConnectionSettings,
)
from msgraph_beta.generated.models.education_synchronization_profile import EducationSynchronizationProfile
from msgraph_beta.generated.models.education_synchronization_profile_state import EducationSynchronizationProfileState
from msgraph_beta.generated.models.education_user_role import EducationUserRole
from msgraph_beta.generated.models.o_data_errors.o_data_error import ODataError

from .house import DOMAIN, WRITE, Json, Server, Tenant, creation, matching, until
from .sdk import everything, graph, query

Role = EducationUserRole
ALL = "/synchronizationProfiles"
OPTIONAL_TEACHER = {"State ID", "Teacher Number", "Status", "Middle Name", "Secondary Email", "Title", "Qualification"}


def one_roster(**settings: Any) -> Json:
    return creation(
        dataProvider={
            "@odata.type": "#microsoft.graph.educationOneRosterApiDataProvider",
            "connectionUrl": "https://sis.example/ims/oneroster/v1p1",
            "providerName": "Sis",
            "schoolsIds": ["1", "2"],
            "termIds": [],
            "connectionSettings": {
                "@odata.type": ("#microsoft.graph.educationSynchronizationOAuth2ClientCredentialsConnectionSettings"),
                "clientId": "client",
                "clientSecret": "hush-hush",
                "tokenUrl": "https://sis.example/token",
                **settings,
            },
        }
    )


async def test_create_get_list_update_and_delete_through_the_sdk(server: Server, tenant: Tenant) -> None:
    """The SDK's typed objects survive the way in and the way out, and every verb does what its page says."""
    token = server.token(tenant.id, scope=WRITE)
    async with graph(server.base, token) as client:
        profiles = client.education.synchronization_profiles
        body = EducationSynchronizationProfile(
            display_name="Matching",
            data_provider=EducationCsvDataProvider(
                customizations=EducationSynchronizationCustomizations(
                    student=EducationSynchronizationCustomization(
                        optional_properties_to_sync=["State ID", "Middle Name"], allow_display_name_update=True
                    )
                )
            ),
            identity_synchronization_configuration=EducationIdentityMatchingConfiguration(
                matching_options=[
                    EducationIdentityMatchingOptions(
                        applies_to=role,
                        source_property_name="Username",
                        target_property_name="userPrincipalName",
                        target_domain=DOMAIN,
                    )
                    for role in (Role.Student, Role.Teacher)
                ]
            ),
        )
        created = await profiles.post(body)
        assert created.display_name == "Matching"
        profile = profiles.by_education_synchronization_profile_id(created.id)
        got = await profile.get()
        assert got.state in {
            EducationSynchronizationProfileState.Provisioning,
            EducationSynchronizationProfileState.Provisioned,
        }
        provider = got.data_provider
        assert isinstance(provider, EducationCsvDataProvider)
        assert set(provider.customizations.student.optional_properties_to_sync) == {"State ID", "Middle Name"}
        assert provider.customizations.student.allow_display_name_update is True
        assert set(provider.customizations.teacher.optional_properties_to_sync) >= OPTIONAL_TEACHER
        assert provider.customizations.student_enrollment.optional_properties_to_sync == []
        start_date = provider.customizations.student_enrollment.synchronization_start_date
        assert start_date == datetime.datetime(1, 1, 1, tzinfo=datetime.UTC)
        identity = got.identity_synchronization_configuration
        assert isinstance(identity, EducationIdentityMatchingConfiguration)
        assert identity.matching_options[0].target_property_name == "userPrincipalName"
        assert identity.matching_options[0].target_domain == DOMAIN
        assert got.licenses_to_assign == []

        listed = await profiles.get()
        assert [item.id for item in listed.value] == [created.id]

        changed = await profile.patch(EducationSynchronizationProfile(display_name="Renamed"))
        assert changed.display_name == "Renamed"
        kept = changed.identity_synchronization_configuration.matching_options
        assert [item.target_property_name for item in kept] == ["userPrincipalName"] * 2

        got = await profile.get()  # read, change, write back, as scripts do
        got.expiration_date = datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=30)
        again = await profile.patch(got)
        assert again.expiration_date == got.expiration_date
        assert again.display_name == "Renamed"

        await profile.delete()
        for _ in range(300):
            if not (await profiles.get()).value:
                break
        else:
            raise AssertionError("the deleted profile stays in the list")


async def test_providers_of_every_kind_come_back_as_their_own_types(server: Server, tenant: Tenant) -> None:
    """OneRoster and PowerSchool profiles are stored, typed and never show a secret."""
    power_school = EducationPowerSchoolDataProvider(
        connection_url="https://ps.example",
        client_id="ps",
        client_secret="hush-hush",
        schools_ids=["9"],
        school_year="2026",
        allow_teachers_in_multiple_schools=True,
    )
    roster = EducationOneRosterApiDataProvider(
        connection_url="https://sis.example/ims/oneroster/v1p1",
        provider_name="Sis",
        schools_ids=["1"],
        term_ids=["t"],
        connection_settings=EducationSynchronizationOAuth2ClientCredentialsConnectionSettings(
            client_id="c", client_secret="hush-hush", token_url="https://sis.example/token", scope="all"
        ),
    )
    async with graph(server.base, server.token(tenant.id, scope=WRITE)) as client:
        profiles = client.education.synchronization_profiles
        for provider in (power_school, roster):
            created = await profiles.post(
                EducationSynchronizationProfile(
                    display_name="Api",
                    data_provider=provider,
                    identity_synchronization_configuration=EducationIdentityCreationConfiguration(
                        user_domains=[EducationIdentityDomain(applies_to=Role.Student, name=DOMAIN)]
                    ),
                )
            )
            shown = (await profiles.by_education_synchronization_profile_id(created.id).get()).data_provider
            assert type(shown) is type(provider)
            assert shown.schools_ids == provider.schools_ids
            settings = getattr(shown, "connection_settings", shown)
            assert settings.client_id in {"ps", "c"}
            assert settings.client_secret is None
    assert "hush-hush" not in tenant.admin("GET", f"{ALL}?$top=50").text


def test_a_profile_that_reads_from_an_api_says_that_it_cannot_yet(tenant: Tenant) -> None:
    """A OneRoster profile begins by itself once provisioned and ends `error` with a message that says why."""
    profile = tenant.profile(one_roster())
    status = until("its run ended", lambda: (shown := profile.status())["status"] == "error" and shown)
    assert "OneRoster" in status["statusMessage"]
    assert "hush-hush" not in status["statusMessage"]
    assert profile.api.refusal("POST", f"{profile.path}/start", 400)["code"] == "BadRequest"
    assert profile.api.refusal("GET", f"{profile.path}/uploadUrl", 400)["code"] == "BadRequest"


def test_answers_carry_status_context_and_types_as_documented(tenant: Tenant) -> None:
    """POST and PUT answer 202 with the body, GET 200, DELETE 202 with nothing; contexts are OData's."""
    admin = tenant.admin
    for version in ("v1.0", "beta"):
        root = f"{tenant.server.base}/{version}/$metadata#education/synchronizationProfiles"
        answer = admin("POST", ALL, creation(), expect=202, version=version)
        body = answer.json()
        assert body["@odata.context"] == f"{root}/$entity"
        assert body["state"] == "provisioning"
        assert body["dataProvider"]["@odata.type"] == "#microsoft.graph.educationCsvDataProvider"
        assert set(body["dataProvider"]["customizations"]) - {"@odata.type"} == {
            "school",
            "section",
            "student",
            "teacher",
            "studentEnrollment",
            "teacherRoster",
        }
        path = f"{ALL}/{body['id']}"
        until("provisioned", lambda path=path: admin.get(path)["state"] == "provisioned")
        assert admin.get(ALL, version=version)["@odata.context"] == root
        assert admin.get(path, version=version)["@odata.context"] == f"{root}/$entity"
        status = admin.get(f"{path}/profileStatus", version=version)
        assert status["@odata.context"] == f"{root}('{body['id']}')/profileStatus/$entity"
        assert status["id"] == body["id"]
        errors = admin.get(f"{path}/errors", version=version)
        assert errors["@odata.context"] == f"{root}('{body['id']}')/errors"
        assert errors["@odata.count"] == 0
        link = admin.get(f"{path}/uploadUrl", version=version)
        assert link["@odata.context"] == f"{tenant.server.base}/{version}/$metadata#String"
        replaced = admin("PUT", path, creation(displayName="Put"), expect=202, version=version).json()
        assert replaced["displayName"] == "Put"
        assert replaced["state"] == "provisioning"
        until("provisioned", lambda path=path: admin.get(path)["state"] == "provisioned")
        by_key = admin("PUT", ALL, creation(displayName="Key in body", id=body["id"].upper()), expect=202)
        assert by_key.json()["displayName"] == "Key in body"
        until("provisioned", lambda path=path: admin.get(path)["state"] == "provisioned")
        deleted = admin("DELETE", path, expect=202, version=version)
        assert deleted.content == b""


@pytest.mark.parametrize(
    "path",
    [
        "/SYNCHRONIZATIONPROFILES/{id}/UPLOADURL",
        "/synchronizationProfiles/{id}/uploadUrl()",
        "/synchronizationProfiles/{id}/microsoft.graph.uploadUrl()",
        "/synchronizationProfiles/{id}/microsoft.graph.uploadUrl",
        "/synchronizationProfiles('{id}')/uploadUrl",
        "/SynchronizationProfiles('{ID}')//UploadUrl",
        "//synchronizationProfiles//{ID}/uploadurl",
        "/synchronizationProfiles/{id}/uploadUrl/",
    ],
)
def test_a_path_is_found_however_a_script_spells_it(tenant: Tenant, path: str) -> None:
    """Letter case, doubled slashes, keys in parentheses, parentheses of functions and qualified names all work."""
    profile = tenant.profile()
    value = profile.api.get(path.format(id=profile.id, ID=profile.id.upper()))["value"]
    assert f"/{profile.id}?" in value


def test_the_upload_url_is_a_signed_container_for_one_hour(tenant: Tenant) -> None:
    """The link names the profile as container and carries the documented parameters; it can only be written to."""
    profile = tenant.profile()
    link = profile.api.get(f"{profile.path}/uploadUrl")["value"]
    base, _, signed = link.partition("?")
    assert base.endswith(f"/{profile.id}")
    assert [part.partition("=")[0] for part in signed.split("&")] == ["sv", "sr", "si", "sig", "se", "sp"]
    parameters = dict(part.split("=", 1) for part in signed.split("&"))
    assert parameters["sr"] == "c"
    assert parameters["sp"] == "w"
    expiry = datetime.datetime.fromisoformat(parameters["se"].replace("%3A", ":"))
    assert abs(expiry - datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)) < datetime.timedelta(
        minutes=2
    )


def test_type_names_of_every_generation_are_accepted(tenant: Tenant) -> None:
    """Names with and without `#`, of the old name space and in any letter case mean the same; unknown ones do not."""
    for name in (
        "microsoft.graph.educationCsvDataProvider",
        "#microsoft.graph.educationcsvdataprovider",
        "#Microsoft.Education.DataSync.educationCsvDataProvider",
        "Microsoft.Education.DataSync.EducationCsvDataProvider",
    ):
        created = tenant.admin("POST", ALL, creation(dataProvider={"@odata.type": name}), expect=202).json()
        assert created["dataProvider"]["@odata.type"] == "#microsoft.graph.educationCsvDataProvider"
    for provider in ({"@odata.type": "#microsoft.graph.educationTelepathyProvider"}, {}):
        error = tenant.admin.refusal("POST", ALL, 400, creation(dataProvider=provider))
        assert error["code"] == "BadRequest"
    unknown = tenant.admin.refusal("POST", ALL, 400, creation(dataProvider={"@odata.type": "#a.b"}))
    assert "Invalid OData type specified" in unknown["message"]


def long_ago_and_far_ahead() -> list[str]:
    today = datetime.datetime.now(datetime.UTC).date()
    return [(today + datetime.timedelta(days=600)).isoformat(), "2027-13-01", "2027-01-01T00:00:00Z"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"displayName": None}, "displayName"),
        ({"dataProvider": None}, "dataProvider"),
        ({"identitySynchronizationConfiguration": None}, "identitySynchronizationConfiguration"),
        ({"colour": "blue"}, "colour"),
        ({"handleSpecialCharacterConstraint": "yes"}, "handleSpecialCharacterConstraint"),
        ({"displayName": 7}, "displayName"),
        *(({"expirationDate": date}, "expirationDate") for date in long_ago_and_far_ahead()),
        ({"licensesToAssign": [{"appliesTo": "janitor", "skuIds": []}]}, "appliesTo"),
    ],
)
def test_a_profile_that_cannot_be_is_refused_by_member(tenant: Tenant, change: Json, named: str) -> None:
    """Missing, unknown and ill-formed members are 400 BadRequest and the message names the member."""
    body = {name: value for name, value in creation(**change).items() if name not in change or value is not None}
    error = tenant.admin.refusal("POST", ALL, 400, body)
    assert error["code"] == "BadRequest"
    assert named in error["message"]
    assert tenant.admin.get(ALL)["value"] == []


def test_secrets_are_kept_but_never_lured_to_another_host(tenant: Tenant) -> None:
    """A PATCH without the secret keeps the stored one; one that changes where it goes must send it again."""
    profile = tenant.profile(one_roster())
    until("its run ended", lambda: profile.status()["status"] == "error")
    changed = profile.api("PATCH", profile.path, {"displayName": "Same secret"}, expect=200).json()
    assert changed["displayName"] == "Same secret"
    for settings in ({"tokenUrl": "https://evil.example/token"}, {"clientId": "another"}):
        body = one_roster(**settings)["dataProvider"]
        del body["connectionSettings"]["clientSecret"]
        error = profile.api.refusal("PATCH", profile.path, 400, {"dataProvider": body})
        assert "ecret" in error["message"]
    again = one_roster(clientId="another")["dataProvider"]
    profile.api("PATCH", profile.path, {"dataProvider": again}, expect=200)


def test_etags_guard_profiles(tenant: Tenant) -> None:
    """If-Match with the current tag passes, a stale one is 412, `*` always passes, and nobody needs to send one."""
    profile = tenant.profile()
    answer = profile.api("GET", profile.path, expect=200)
    tag = answer.headers["etag"]
    assert tag.startswith('W/"')
    assert answer.json()["@odata.etag"] == tag
    assert profile.api("GET", profile.path, headers={"If-None-Match": tag}).status_code == 304
    change = {"displayName": "One"}
    changed = profile.api("PATCH", profile.path, change, expect=200, headers={"If-Match": tag})
    assert changed.headers["etag"] != tag
    error = profile.api.refusal("PATCH", profile.path, 412, change, headers={"If-Match": tag})
    assert error["code"] == "PreconditionFailed"
    profile.api("PATCH", profile.path, {"displayName": "Two"}, expect=200, headers={"If-Match": "*"})
    profile.api("DELETE", profile.path, expect=202)


async def test_listing_pages_counts_filters_orders_and_selects(server: Server, tenant: Tenant) -> None:
    """The documented query options work on profiles, through the SDK and raw, and pages never repeat or drop one."""
    names = [f"Profile {number:02}" for number in range(7)]
    for name in names:
        tenant.admin("POST", ALL, creation(displayName=name), expect=202)
    async with graph(server.base, server.token(tenant.id, scope=WRITE)) as client:
        profiles = client.education.synchronization_profiles
        first = await profiles.get(query(profiles, top=3, orderby=["displayName desc"], count=True))
        assert first.odata_count == 7
        found = [item.display_name for item in await everything(client, first)]
        assert found == sorted(names, reverse=True)
        some = await profiles.get(
            query(profiles, filter="startswith(displayName,'Profile 0') and displayName ne 'Profile 03'")
        )
        assert sorted(item.display_name for item in some.value) == [name for name in names if name != "Profile 03"]
        skipped = await profiles.get(query(profiles, orderby=["displayName"], skip=5))
        assert [item.display_name for item in skipped.value] == names[5:]
    admin = tenant.admin
    assert admin("GET", f"{ALL}/$count", expect=200, headers={"Accept": "text/plain"}).text == "7"
    assert admin("GET", f"{ALL}/$count?$filter=displayName eq 'Profile 03'", expect=200).text == "1"
    selected = admin.get(f"{ALL}?$select=displayName&$top=1")["value"][0]
    assert set(selected) - {"@odata.etag"} == {"id", "displayName"}
    assert "@odata.count" not in admin.get(ALL)
    for wrong in ("$top=-1", "$top=x", "$filter=colour eq 'blue'", "$orderby=colour", "$select=colour", "$bogus=1"):
        assert admin.refusal("GET", f"{ALL}?{wrong}", 400)["code"] in {"BadRequest", "Request_UnsupportedQuery"}


async def test_the_sdk_reads_every_refusal(server: Server, tenant: Tenant) -> None:
    """An unknown id is an ODataError with code, message and request id."""
    async with graph(server.base, server.token(tenant.id, scope=WRITE)) as client:
        profile = client.education.synchronization_profiles.by_education_synchronization_profile_id(str(uuid.uuid4()))
        for call in (
            profile.get,
            profile.delete,
            profile.profile_status.get,
            profile.errors.get,
            profile.upload_url.get,
        ):
            with pytest.raises(ODataError) as caught:
                await call()
            assert caught.value.response_status_code == 404
            assert caught.value.error.code == "NotFound"
            assert caught.value.error.message
            assert caught.value.error.inner_error.request_id == caught.value.response_headers["request-id"]
        for action in (profile.start, profile.pause, profile.resume, profile.reset):
            with pytest.raises(ODataError) as caught:
                await action.post()
            assert caught.value.response_status_code == 404


def test_a_deleting_profile_answers_as_documented_until_it_is_gone(tenant: Tenant) -> None:
    """DELETE twice is 202 or, once it is gone, 404; afterwards nothing of the profile answers."""
    profile = tenant.profile(matching())
    profile.api("DELETE", profile.path, expect=202)
    assert profile.api("DELETE", profile.path).status_code in {202, 404}
    until("it is gone", lambda: profile.api("GET", profile.path).status_code == 404)
    for method, tail in (("GET", "/profileStatus"), ("GET", "/errors"), ("GET", "/uploadUrl"), ("POST", "/start")):
        assert profile.api.refusal(method, profile.path + tail, 404)["code"] == "NotFound"
    assert tenant.admin.get(ALL)["value"] == []
