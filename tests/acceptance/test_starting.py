"""POST start: the uploaded files are verified first, and only a roster without errors is synchronized."""

from __future__ import annotations

import io
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError
from azure.storage.blob import ContainerClient
from msgraph_beta.generated.models.o_data_errors.o_data_error import ODataError

from .house import WRITE, Json, Server, Tenant, creation, put_blob, serving, until
from .rosters import DISTRICT, FILES, Roster
from .sdk import everything, graph, headers, query

CONTEXT = "education/Collection(microsoft.graph.verificationMessage)"


def message(kind: str, file: str, description: str) -> Json:
    return {"type": kind, "fileName": file, "description": description}


def messages(answer: Json) -> list[Json]:
    return [{name: item[name] for name in ("type", "fileName", "description")} for item in answer["value"]]


def without_tag(status: Json) -> Json:
    return {name: value for name, value in status.items() if name != "@odata.etag"}


WRONG: list[tuple[str, Roster, Json]] = [
    (
        "a value is missing",
        DISTRICT.changed("students", "3002", Last_Name="").changed("students", "3003", Last_Name=""),
        message("Error", "student.csv", "2 row(s) have missing data for the field - Last Name"),
    ),
    (
        "a class of no known school",
        DISTRICT.changed("sections", "M1", School_SIS_ID="999"),
        message("Error", "section.csv", "1 row(s) have referenced data not found in source. Field - School SIS ID"),
    ),
    (
        "a pupil nobody knows",
        DISTRICT.with_rows("enrollments", {"Section SIS ID": "M1", "SIS ID": "9999"}),
        message("Error", "studentenrollment.csv", "1 row(s) have referenced data not found in source. Field - SIS ID"),
    ),
    (
        "a teacher nobody knows",
        DISTRICT.with_rows("assignments", {"Section SIS ID": "M1", "SIS ID": "9999"}),
        message("Error", "teacherroster.csv", "1 row(s) have referenced data not found in source. Field - SIS ID"),
    ),
    (
        "a date that is none",
        DISTRICT.changed("sections", "M1", Term_StartDate="soon"),
        message("Error", "section.csv", "1 row(s) have an invalid format for the field - Term StartDate"),
    ),
    (
        "one id twice among schools",
        DISTRICT.with_rows("schools", DISTRICT.schools[0]),
        message("Error", "school.csv", "1 duplicates found in column SIS ID which requires values to be Unique."),
    ),
]


@pytest.mark.parametrize(("roster", "expected"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_errors_in_the_files_stop_the_start(tenant: Tenant, roster: Roster, expected: Json) -> None:
    """The answer is 400 with the documented message and an error, and nothing at all has happened."""
    profile = tenant.profile()
    before = without_tag(profile.status())
    profile.upload(roster.files())
    answer = profile.start(expect=400)
    assert expected in messages(answer)
    assert answer["error"]["code"] == "BadRequest"
    assert answer["@odata.context"].endswith(CONTEXT)
    assert without_tag(profile.status()) == before
    assert profile.errors() == []
    assert tenant.reader.get("/users")["value"] == []


def test_corrected_files_go_in_over_the_wrong_ones(tenant: Tenant) -> None:
    """After a 400 the container is as it was: right files replace wrong ones, and the next start takes them all."""
    profile = tenant.profile()
    profile.upload(DISTRICT.changed("students", "3002", Last_Name="").files())
    profile.start(expect=400)
    profile.upload({"Student.csv": DISTRICT.files()["Student.csv"]})
    assert {item["type"] for item in messages(profile.start())} == {"Warning"}
    assert profile.wait()["status"] == "success"
    assert len(tenant.reader.get("/users")["value"]) == 8


async def test_the_sdk_reads_messages_of_either_answer(server: Server, tenant: Tenant) -> None:
    """A 400's messages are in the ODataError's additional data beside code and text; warnings come with a 200."""
    profile = tenant.profile()
    async with graph(server.base, server.token(tenant.id, scope=WRITE)) as client:
        builder = client.education.synchronization_profiles.by_education_synchronization_profile_id(profile.id)
        profile.upload(DISTRICT.changed("students", "3002", Last_Name="").files())
        with pytest.raises(ODataError) as caught:
            await builder.start.post()
        assert caught.value.error.code == "BadRequest"
        assert caught.value.error.message
        found = caught.value.additional_data["value"]
        assert [item["fileName"] for item in found if item["type"] == "Error"] == ["student.csv"]

        twice = DISTRICT.with_rows("students", {**DISTRICT.students[0], "School SIS ID": "200"})
        profile.upload(twice.files())
        answer = await builder.start.post()
        shown = [(item.type, item.file_name, item.description) for item in answer.value]
        expected = "1 duplicates found in column SIS ID which requires values to be Unique."
        assert ("Warning", "student.csv", expected) in shown
        assert {kind for kind, _, _ in shown} == {"Warning"}
    assert profile.wait()["status"] == "success"


def test_start_without_any_file_names_each_that_is_missing(tenant: Tenant) -> None:
    """Nothing uploaded: 400 with one Error per required file."""
    profile = tenant.profile()
    answer = profile.start(expect=400)
    assert sorted(item["fileName"] for item in messages(answer)) == sorted(name.lower() for name in FILES.values())
    assert {item["type"] for item in messages(answer)} == {"Error"}
    assert profile.status()["status"] is None


@pytest.mark.parametrize("name", FILES.values())
@pytest.mark.parametrize("how", ["missing", "header-only", "empty", "unreadable"])
def test_a_file_without_rows_never_empties_a_school(tenant: Tenant, name: str, how: str) -> None:
    """A missing, header-only, empty or unreadable file stops the run before anything is changed."""
    profile = tenant.profile()
    files: dict[str, str | bytes] = dict(DISTRICT.files())
    assert profile.sync(files)["status"] == "success"
    before = tenant.objects()
    if how == "missing":
        del files[name]
    else:
        header = DISTRICT.files()[name].split("\r\n")[0] + "\r\n"
        files[name] = {"header-only": header, "empty": "", "unreadable": b"\x00\xff\xfe\x80PK"}[how]
    profile.upload(files)
    answer = profile.start(expect=400)
    assert name.lower() in {item["fileName"] for item in messages(answer) if item["type"] == "Error"}
    assert profile.status()["status"] == "success", "as it was before the start"
    assert tenant.objects() == before


def test_findings_after_a_long_verification_hold_the_run(tmp_path_factory: pytest.TempPathFactory) -> None:
    """When nobody waits for the verification any more, what it finds ends in validationError, until somebody decides.

    A person's `resume` leaves the wrong records out; leaving out is not removing. A program's resume is refused. No
    resume gets past a missing file.
    """
    with serving(tmp_path_factory.mktemp("hurried"), settings={"start_wait": 0}) as server:
        tenant = Tenant(server)
        profile = tenant.profile()
        assert profile.sync(DISTRICT.files())["status"] == "success"
        before = tenant.objects()

        wrong = DISTRICT.changed("students", "3002", Last_Name="").changed("students", "3001", Middle_Name="Berta")
        held = profile.sync(wrong.files())
        assert held["status"] == "validationError"
        assert held["statusMessage"]
        assert tenant.objects() == before
        program = tenant.api(roles=("EduAdministration.ReadWrite.All",))
        assert program.refusal("POST", f"{profile.path}/resume", 409)["code"] == "Conflict"
        error = profile.api.refusal("PATCH", f"{profile.path}/profileStatus", 409, {"status": "success"})
        assert error["code"] == "Conflict"
        answer = profile.api("POST", f"{profile.path}/resume", expect=200)
        assert answer.content == b""
        assert profile.wait()["status"] in {"success", "error"}
        after = tenant.objects()
        assert after.keys() == before.keys()
        changed = {key for key in after["users"] if after["users"][key] != before["users"][key]}
        assert [after["users"][key]["student"]["externalId"] for key in changed] == ["3001"]
        assert after["classes/members"] == before["classes/members"], "a record left out is not one removed"

        files = DISTRICT.files()
        del files["Student.csv"]
        assert profile.sync(files)["status"] == "validationError"
        for api in (profile.api, program):
            assert api.refusal("POST", f"{profile.path}/resume", 409)["code"] == "Conflict"
            body = {"status": "inProgress"}
            assert api.refusal("PATCH", f"{profile.path}/profileStatus", 409, body)["code"] == "Conflict"
        assert tenant.objects() == after
        assert profile.sync(DISTRICT.files())["status"] == "success", "the right files release it"


def test_names_of_files_and_columns_may_differ_in_letter_case(tenant: Tenant) -> None:
    """Files are found whatever the letter case and folder of their names, and a zip is opened."""
    profile = tenant.profile()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in DISTRICT.files().items():
            archive.writestr(name.lower(), content)
    assert profile.sync({"roster.zip": packed.getvalue()})["status"] == "success"
    assert len(tenant.reader.get("/users")["value"]) == 8
    again = {f"export/2026/{name.upper()}": content for name, content in DISTRICT.files().items()}
    assert profile.sync(again)["status"] == "success"


def test_a_stranger_among_the_files_stops_the_start(tenant: Tenant) -> None:
    """An unknown CSV is stored, then reported by name."""
    profile = tenant.profile()
    profile.upload({**DISTRICT.files(), "Lunch.csv": "a,b\r\n1,2\r\n"})
    answer = profile.start(expect=400)
    assert "lunch.csv" in {item["fileName"].lower() for item in messages(answer)}


def test_start_needs_a_provisioned_profile(tenant: Tenant) -> None:
    """Right after its creation a profile may still be provisioning: start is then 409, never half done."""
    created = tenant.admin("POST", "/synchronizationProfiles", creation(), expect=202).json()
    answer = tenant.admin("POST", f"/synchronizationProfiles/{created['id']}/start")
    assert answer.status_code in {400, 409}
    expected = {"409": "Conflict", "400": "BadRequest"}[str(answer.status_code)]
    assert answer.json()["error"]["code"] == expected


def test_the_upload_url_works_right_after_creation(tenant: Tenant) -> None:
    """Scripts ask for the URL without polling; files that come while the profile is provisioning are kept."""
    created = tenant.admin("POST", "/synchronizationProfiles", creation(), expect=202).json()
    path = f"/synchronizationProfiles/{created['id']}"
    container = tenant.admin.get(f"{path}/uploadUrl")["value"]
    for name, content in DISTRICT.files().items():
        assert put_blob(tenant.server, container, name, content).status_code == 201
    until("provisioned", lambda: tenant.admin.get(path)["state"] == "provisioned")
    assert tenant.admin("POST", f"{path}/start").status_code == 200
    until("it ends", lambda: tenant.admin.get(f"{path}/profileStatus")["status"] == "success")


def test_a_container_refuses_what_azure_refuses(tenant: Tenant) -> None:
    """Through azure-storage-blob: no silent overwriting, no reading, no listing; blocks of a big file arrive whole."""
    profile = tenant.profile()
    container = ContainerClient.from_container_url(profile.api.get(f"{profile.path}/uploadUrl")["value"])
    container.upload_blob("School.csv", b"one")
    with pytest.raises(ResourceExistsError) as caught:
        container.upload_blob("School.csv", b"two")
    assert caught.value.error_code == "BlobAlreadyExists"
    container.upload_blob("School.csv", b"three", overwrite=True, validate_content=True)
    for refused in (lambda: list(container.list_blobs()), lambda: container.download_blob("School.csv").readall()):
        with pytest.raises(HttpResponseError) as problem:
            refused()
        assert problem.value.status_code == 403
        assert problem.value.error_code == "AuthorizationPermissionMismatch"
    files = DISTRICT.files()
    pieces = ContainerClient.from_container_url(
        container.url, max_single_put_size=64, max_block_size=100, min_large_block_upload_threshold=1
    )
    for name, content in files.items():
        pieces.upload_blob(name, content.encode(), overwrite=True, max_concurrency=4)
    profile.start()
    assert profile.wait()["status"] == "success"
    assert len(tenant.reader.get("/users")["value"]) == 8


async def test_entry_errors_are_listed_and_read_by_the_sdk(server: Server, tenant: Tenant) -> None:
    """Records the directory refuses are errors with the documented codes; the rest goes on and arrives."""
    roster = DISTRICT.changed("sections", "M2", SIS_ID="M&2").without("enrollments", Section_SIS_ID="M2")
    roster = roster.without("assignments", Section_SIS_ID="M2")
    profile = tenant.profile()
    final = profile.sync(roster.files())
    assert final["status"] == "error", final
    async with graph(server.base, server.token(tenant.id, scope=WRITE)) as client:
        builder = client.education.synchronization_profiles.by_education_synchronization_profile_id(profile.id).errors
        answer = await builder.get()
        assert answer.odata_count == len(answer.value) == final["errorCount"]
        (error,) = [item for item in answer.value if item.error_code != "InvalidLookupReference"]
        assert error.entry_type == "Section"
        assert error.error_code == "AzureActiveDirectoryInvalidPropertyValue"
        assert error.reportable_identifier == "M&2"
        assert error.recorded_date_time is not None
        assert error.error_message
        one = await builder.by_education_synchronization_error_id(error.id).get()
        assert one.error_code == error.error_code
    assert {item["externalId"] for item in tenant.reader.get("/classes")["value"]} == {"M1", "F1", "E1"}

    right = tenant.admin("PATCH", profile.path, {"handleSpecialCharacterConstraint": True}, expect=200)
    assert right.json()["handleSpecialCharacterConstraint"] is True
    assert profile.sync(roster.files())["status"] == "success", "a clean run leaves no errors"
    assert profile.errors() == []
    nicknames = {item["externalId"]: item["mailNickname"] for item in tenant.reader.get("/classes")["value"]}
    assert nicknames["M&2"] == "Section_M_2"


async def test_errors_are_written_changed_and_paged(server: Server, tenant: Tenant) -> None:
    """Callers may keep errors of their own: POST 201 with Location, PATCH, DELETE, pages, filters, counts."""
    profile = tenant.profile()
    path = f"{profile.path}/errors"
    for number in range(5):
        body = {
            "entryType": "Student",
            "errorCode": "UnmatchedEntry",
            "errorMessage": "No such person.",
            "joiningValue": f"p{number}@skole.example",
            "recordedDateTime": f"2026-01-0{number + 1}T00:00:00.1234567Z",
            "reportableIdentifier": f"{number}",
        }
        answer = profile.api("POST", path, body, expect=201)
        created = answer.json()
        assert {name: created[name] for name in body} == body
        assert answer.headers["location"].endswith(created["id"]) or created["id"] in answer.headers["location"]
        assert created["@odata.context"].endswith(f"('{profile.id}')/errors/$entity")
    async with graph(server.base, server.token(tenant.id, scope=WRITE)) as client:
        builder = client.education.synchronization_profiles.by_education_synchronization_profile_id(profile.id).errors
        first = await builder.get(query(builder, top=2, orderby=["reportableIdentifier desc"]))
        assert first.odata_count == 5
        assert [item.reportable_identifier for item in await everything(client, first)] == ["4", "3", "2", "1", "0"]
        found = await builder.get(query(builder, filter="recordedDateTime ge 2026-01-04T00:00:00Z"))
        assert {item.reportable_identifier for item in found.value} == {"3", "4"}
        target = builder.by_education_synchronization_error_id(found.value[0].id)
        read = await target.get()
        read.error_message = "Changed"
        assert (await target.patch(read)).error_message == "Changed"
        await target.delete()
        with pytest.raises(ODataError) as caught:
            await target.get(headers(client_request_id="0a000000-0000-0000-0000-00000000000a"))
        assert caught.value.response_status_code == 404
        assert caught.value.error.inner_error.client_request_id == "0a000000-0000-0000-0000-00000000000a"
    assert profile.api("GET", f"{path}/$count", expect=200).text == "4"
    assert profile.api.refusal("POST", path, 400, {"colour": "blue"})["code"] == "BadRequest"
    profile.api("POST", f"{profile.path}/reset", expect=200)
    assert profile.errors() == [], "a reset forgets the errors"


def test_many_profiles_of_one_tenant_start_at_the_same_time(tenant: Tenant) -> None:
    """Starts that come together are worked off one after the other, none is lost and none mixes with another."""
    profiles = []
    for number in range(4):
        prefix = f"p{number}"
        profile = tenant.profile(creation(displayName=prefix))
        profile.upload(renumbered(prefix).files())
        profiles.append(profile)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda profile: profile.start(), profiles))
    assert [profile.wait()["status"] for profile in profiles] == ["success"] * 4
    users = tenant.reader.all("/users")
    assert len(users) == 4 * 8
    owners = {}
    for user in users:
        owners.setdefault(user["externalSourceDetail"], set()).add(user["userPrincipalName"][:2])
    assert owners == {f"p{number}": {f"p{number}"} for number in range(4)}


def renumbered(prefix: str) -> Roster:
    """The district with other ids and user names."""
    names = {"SIS ID", "School SIS ID", "Section SIS ID", "Username"}

    def other(rows: tuple[Json, ...]) -> tuple[Json, ...]:
        return tuple({name: prefix + value if name in names else value for name, value in row.items()} for row in rows)

    return Roster(**{kind: other(getattr(DISTRICT, kind)) for kind in FILES})
