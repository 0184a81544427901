"""Profiles, their actions and their errors as a client sees them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from sqlalchemy import insert, select

from schoolsync.runs.states import RunState
from schoolsync.store.control_tables import errors, runs

SET = "/beta/education/synchronizationProfiles"
NEVER = "00000000-0000-0000-0000-000000000001"


def test_a_profile_is_created(api: Any, house: Any, csv_body: dict[str, Any]) -> None:
    """POST is answered 202 with the whole profile, provisioning; soon it is provisioned."""
    answer = api("POST", SET, csv_body)
    assert answer.status_code == 202
    body = answer.json()
    assert body["@odata.context"] == f"https://graph.test{SET.replace('education', '$metadata#education')}/$entity"
    assert (body["state"], body["displayName"], body["expirationDate"]) == ("provisioning", "Nordkapp", None)
    assert body["dataProvider"]["@odata.type"] == "#microsoft.graph.educationCsvDataProvider"
    assert len(body["dataProvider"]["customizations"]) == 6
    assert body["dataProvider"]["customizations"]["student"]["synchronizationStartDate"] == "0001-01-01T00:00:00Z"
    assert body["licensesToAssign"] == []
    assert "errors" not in body
    assert "profileStatus" not in body
    house.sweep()
    read = api("GET", f"{SET}/{body['id']}")
    assert (read.status_code, read.json()["state"]) == (200, "provisioned")
    assert read.headers["ETag"] == read.json()["@odata.etag"]


@pytest.mark.parametrize(
    "wire_name",
    [
        "#microsoft.graph.educationCsvDataProvider",
        "microsoft.graph.educationCsvDataProvider",
        "#microsoft.graph.educationcsvdataprovider",
        "#Microsoft.Education.DataSync.educationCsvDataProvider",
        "Microsoft.Education.DataSync.EducationCsvDataProvider",
    ],
)
def test_types_may_be_named_as_ever(api: Any, csv_body: dict[str, Any], wire_name: str) -> None:
    """Every spelling of a type that scripts have used is taken, and answered in the one that SDKs read."""
    body = api("POST", SET, {**csv_body, "dataProvider": {"@odata.type": wire_name}}).json()
    assert body["dataProvider"]["@odata.type"] == "#microsoft.graph.educationCsvDataProvider"


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"dataProvider": {"@odata.type": "#microsoft.graph.carrierPigeon"}}, "Invalid OData type specified"),
        ({"dataProvider": {}}, "dataProvider"),
        ({"displayName": None}, "displayName"),
        ({"identitySynchronizationConfiguration": None}, "identitySynchronizationConfiguration"),
        ({"expirationDate": "2026-12-31T00:00:00Z"}, "expirationDate"),
        ({"expirationDate": "2030-01-01"}, "expirationDate"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_wrong_profile_is_refused(api: Any, csv_body: dict[str, Any], members: dict[str, Any], words: str) -> None:
    """A profile that cannot be is answered 400, with what is wrong, and is not made."""
    answer = api("POST", SET, {**csv_body, **members})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BadRequest")
    assert words in answer.json()["error"]["message"]
    assert api("GET", SET).json()["value"] == []


@pytest.mark.parametrize("member", ["connectionUrl", "tokenUrl"])
def test_a_source_inside_the_network_is_refused(api: Any, oneroster_body: dict[str, Any], member: str) -> None:
    """Neither a new profile nor a changed one may lead this server to a metadata service or a router."""
    made = api("POST", SET, oneroster_body).json()
    provider = oneroster_body["dataProvider"]
    inside = {member: "http://169.254.169.254/latest/meta-data"}
    if member == "tokenUrl":
        inside = {"connectionSettings": provider["connectionSettings"] | inside}
    for method, path in (("POST", SET), ("PUT", f"{SET}/{made['id']}"), ("PATCH", f"{SET}/{made['id']}")):
        answer = api(method, path, {**oneroster_body, "dataProvider": provider | inside})
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (400, "BadRequest")
        assert "egress_allow" in error["message"]
        assert error["target"].endswith(member)


def test_a_secret_never_comes_out(api: Any, house: Any, oneroster_body: dict[str, Any]) -> None:
    """No answer to any request holds the client secret."""
    answers = [api("POST", SET, oneroster_body)]
    profile = answers[0].json()["id"]
    house.sweep()
    one = f"{SET}/{profile}"
    answers += [
        api("GET", SET),
        api("GET", one),
        api("GET", f"{one}?$select=dataProvider"),
        api("PATCH", one, {"displayName": "Alta"}),
        api("PUT", one, oneroster_body),
    ]
    assert [answer.status_code for answer in answers] == [202, 200, 200, 200, 200, 202]
    assert all("hush" not in answer.text for answer in answers)
    assert all("clientSecret" not in answer.text for answer in answers)


def test_a_profile_is_read_modified_and_written(api: Any, house: Any, oneroster_body: dict[str, Any]) -> None:
    """What was read can be PATCHed and PUT back; only what was modified changes."""
    profile = house.made(oneroster_body)
    one = f"{SET}/{profile}"
    read = api("GET", one).json()
    unchanged = api("PATCH", one, read)
    assert (unchanged.status_code, unchanged.json()) == (200, read)
    renamed = api("PATCH", one, {**read, "displayName": "Alta"}).json()
    assert (renamed["displayName"], renamed["state"]) == ("Alta", "provisioned")
    for address in (one, SET):
        put = api("PUT", address, {**read, "displayName": "Vardø"})
        assert (put.status_code, put.json()["state"]) == (202, "provisioning")
        house.sweep()
    assert api("GET", one).json()["dataProvider"] == read["dataProvider"]


def test_a_put_has_to_say_which(api: Any, house: Any, csv_body: dict[str, Any]) -> None:
    """PUT on the collection needs the id, an id that is there, and never creates; on an address it must agree."""
    profile = house.made()
    assert api("PUT", SET, csv_body).json()["error"]["target"] == "id"
    assert api("PUT", SET, {**csv_body, "id": NEVER}).status_code == 404
    assert api("PUT", SET, {**csv_body, "id": profile.upper()}).status_code == 202
    assert api("PUT", f"{SET}/{profile}", {**csv_body, "id": NEVER}).status_code == 400
    assert api("PUT", f"{SET}/{profile}", {"displayName": "Alta"}).status_code == 400


@pytest.mark.parametrize(("way", "done"), [("PUT", 202), ("PATCH", 200), ("DELETE", 202)])
def test_versions_guard_profiles(api: Any, house: Any, csv_body: dict[str, Any], way: str, done: int) -> None:
    """If-Match with an old tag is answered 412 and changes nothing."""
    one = f"{SET}/{house.made()}"
    tag = api("GET", one).headers["ETag"]
    body = None if way == "DELETE" else {**csv_body, "displayName": "Alta"}
    refused = api(way, one, body, If_Match='W/"0"')
    assert (refused.status_code, refused.json()["error"]["code"]) == (412, "PreconditionFailed")
    assert api("GET", one, If_None_Match=tag).status_code == 304
    assert api(way, one, body, If_Match=tag).status_code == done


def test_a_profile_is_deleted(api: Any, house: Any) -> None:
    """DELETE is answered 202 without a body, again while it goes, and 404 once it is gone."""
    one = f"{SET}/{house.made()}"
    for _ in range(2):
        answer = api("DELETE", one)
        assert (answer.status_code, answer.content) == (202, b"")
        assert "Content-Type" not in answer.headers
    assert api("GET", one).json()["state"] == "deleting"
    assert api("GET", f"{one}/uploadUrl").status_code == 404
    assert api("POST", f"{one}/start").status_code == 409
    house.sweep()
    for method, path in (("GET", one), ("DELETE", one), ("GET", f"{one}/errors"), ("POST", f"{one}/pause")):
        assert api(method, path).status_code == 404
    assert api("GET", SET).json()["value"] == []


def test_profiles_are_listed(api: Any, house: Any, csv_body: dict[str, Any]) -> None:
    """The list holds the tenant's profiles in the order of their creation, page by page, filtered and counted."""
    names = ["Alta", "Bodø", "Vardø", "Vadsø", "Ørsta"]
    for name in names:
        house.clock.step()
        house.made({**csv_body, "displayName": name})
    house.made({**csv_body, "displayName": "elsewhere"}, by=api.callers["stranger"])
    whole = api("GET", SET).json()
    assert [profile["displayName"] for profile in whole["value"]] == names
    assert "@odata.count" not in whole
    seen: list[str] = []
    link: str | None = f"{SET}?$top=2&$count=true"
    while link:
        page = api("GET", link).json()
        seen += [profile["displayName"] for profile in page["value"]]
        link = page.get("@odata.nextLink")
        assert link is None or link.startswith(f"https://graph.test{SET}?")
    assert seen == names
    filtered = api("GET", f"{SET}?$filter=startswith(displayName,'Va')&$orderby=displayName desc&$count=true").json()
    assert [profile["displayName"] for profile in filtered["value"]] == ["Vardø", "Vadsø"]
    assert filtered["@odata.count"] == 2
    assert api("GET", f"{SET}/$count").text == "5"
    assert api("GET", f"{SET}/$count?$filter=state eq 'provisioning'").text == "0"
    assert api("GET", f"{SET}?$filter=state eq 'provisioned' and expirationDate eq null").json()["value"]
    chosen = api("GET", f"{SET}?$select=displayName&$top=1").json()["value"][0]
    assert {name for name in chosen if "@" not in name} == {"id", "displayName"}
    assert api("GET", f"{SET}?$top=x").status_code == 400


@pytest.mark.parametrize("action", ["pause", "resume", "reset"])
def test_actions_answer_nothing(api: Any, house: Any, action: str) -> None:
    """Actions are answered 200 without a body and without a type, by delegated and application tokens, twice too."""
    one = f"{SET}/{house.made()}"
    for by, content in (("admin", b""), ("program", b"{}")):
        answer = api("POST", f"{one}/{action}", by=by, content=content, Content_Type="application/json")
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["Content-Length"] == "0"
        assert "Content-Type" not in answer.headers
    shown = api("GET", f"{one}/profileStatus").json()["status"]
    assert shown == ("paused" if action == "pause" else None)
    assert api("POST", f"{SET}/{NEVER}/{action}").status_code == 404


@pytest.mark.parametrize("state", ["provisioning", "provisioningFailed"])
@pytest.mark.parametrize("action", ["pause", "resume", "reset", "start"])
def test_actions_wait_for_the_provisioning(
    api: Any, house: Any, csv_body: dict[str, Any], state: str, action: str
) -> None:
    """Before a profile is provisioned every action is answered 409; the upload URL is there already."""
    if state == "provisioningFailed":
        house.settings.objects.write_text("in the way")
    profile = api("POST", SET, csv_body).json()["id"]
    if state == "provisioningFailed":
        house.sweep()
    assert api("GET", f"{SET}/{profile}").json()["state"] == state
    answer = api("POST", f"{SET}/{profile}/{action}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "Conflict")
    assert api("GET", f"{SET}/{profile}/uploadUrl").status_code == 200


@pytest.mark.parametrize("spelling", ["uploadUrl", "uploadUrl()", "uploadurl", "microsoft.graph.uploadUrl()"])
def test_files_have_somewhere_to_go(api: Any, house: Any, spelling: str) -> None:
    """uploadUrl is answered with a signed URL of the profile's container."""
    profile = house.made()
    answer = api("GET", f"{SET}/{profile}/{spelling}", by="program")
    assert answer.status_code == 200
    body = answer.json()
    assert body["@odata.context"] == "https://graph.test/beta/$metadata#String"
    assert f"/{profile}?sv=" in body["value"]


def test_uploads_are_blocked_while_a_run_works(api: Any, house: Any, oneroster_body: dict[str, Any]) -> None:
    """uploadUrl is answered 409 during a run, and 400 where no files are taken at all."""
    profile = house.made()
    house.begin(profile)
    assert api("GET", f"{SET}/{profile}/uploadUrl").status_code == 409
    house.work(profile, state="held", shows="validationError", held_for="findings")
    assert api("GET", f"{SET}/{profile}/uploadUrl").status_code == 200
    assert api("GET", f"{SET}/{house.made(oneroster_body)}/uploadUrl").status_code == 400
    assert api("POST", f"{SET}/{house.made(oneroster_body)}/start").status_code == 400


async def _verify(house: Any, profile: str, state: RunState, messages: list[dict[str, str]]) -> None:
    """The worker's part in a start: wait for the run, verify it."""
    while house.open_run(profile) is None:
        await asyncio.sleep(0.005)
    ended = house.clock() if state == RunState.DISCARDED else None
    with house.control.write() as connection:
        connection.execute(runs.update().values(state=state, verification=json.dumps(messages), ended=ended))


@pytest.mark.parametrize(("kind", "state", "status"), [("Warning", "planning", 200), ("Error", "discarded", 400)])
def test_start_tells_what_was_found(api: Any, house: Any, kind: str, state: str, status: int) -> None:
    """start is answered with the verification's messages: 200 when the sync goes on, 400 with an error beside them."""
    profile = house.made()
    message = {"type": kind, "file_name": "student.csv", "description": "3 row(s) are odd. Column Username"}

    async def both() -> Any:
        work = asyncio.create_task(_verify(house, profile, RunState(state), [message]))
        answer = await api.send("POST", f"{SET}/{profile}/start", content=b"{}")
        await work
        return answer

    answer = asyncio.run(both())
    assert answer.status_code == status
    body = answer.json()
    assert body["@odata.context"].endswith("$metadata#education/Collection(microsoft.graph.verificationMessage)")
    assert body["value"] == [{"type": kind, "fileName": "student.csv", "description": message["description"]}]
    if status == 400:
        assert body["error"]["code"] == "BadRequest"
        assert message["description"] in body["error"]["message"]
        assert "\n" not in body["error"]["message"]
        inner = body["error"]["innerError"]
        assert inner["request-id"] == answer.headers["request-id"]
        assert set(inner) == {"date", "request-id", "client-request-id"}


def test_a_paused_profile_does_not_start(api: Any, house: Any) -> None:
    """start is answered 409 while the profile is paused."""
    profile = house.made()
    api("POST", f"{SET}/{profile}/pause")
    assert api("POST", f"{SET}/{profile}/start").status_code == 409


def test_errors_are_listed(api: Any, house: Any) -> None:
    """The errors of a profile come in pages, always with their number, filtered and sorted as asked."""
    profile, other = house.made(), house.made()
    with house.control.write() as connection:
        for number in range(7):
            connection.execute(
                insert(errors).values(
                    tenant=house.admin.tenant,
                    profile=profile,
                    id=house.new_id(),
                    run="r",
                    entry_type="Student" if number % 2 else "Teacher",
                    error_code="UnsynchronizableChange",
                    joining_value=f"p{number}@skole.example",
                    recorded=house.clock(),
                )
            )
    one = f"{SET}/{profile}/errors"
    page = api("GET", f"{one}?$top=5").json()
    assert page["@odata.context"] == f"https://graph.test/beta/$metadata#{SET[6:]}('{profile}')/errors"
    assert (page["@odata.count"], len(page["value"])) == (7, 5)
    rest = api("GET", page["@odata.nextLink"]).json()
    assert (rest["@odata.count"], len(rest["value"])) == (7, 2)
    assert len({error["id"] for error in page["value"] + rest["value"]}) == 7
    students = api("GET", f"{one}?$filter=entryType eq 'Student'&$orderby=joiningValue desc").json()
    assert [error["joiningValue"][:2] for error in students["value"]] == ["p5", "p3", "p1"]
    assert students["value"][0]["recordedDateTime"] == "2026-03-02T08:00:00Z"
    assert api("GET", f"{one}/$count").text == "7"
    assert api("GET", f"{SET}/{other}/errors").json()["value"] == []
    assert api("GET", f"{SET}/{NEVER}/errors").status_code == 404


def test_errors_can_be_written(api: Any, house: Any) -> None:
    """An error is created (201), read, changed member by member, and deleted (204)."""
    one = f"{SET}/{house.made()}/errors"
    created = api("POST", one, {"entryType": "Student", "errorCode": "None", "joiningValue": "x"}, by="program")
    assert created.status_code == 201
    body = created.json()
    assert created.headers["Location"].endswith(f"/errors/{body['id']}")
    assert body["@odata.context"].endswith("/errors/$entity")
    assert (body["recordedDateTime"], body["errorMessage"]) == ("2026-03-02T08:00:00Z", None)
    path = f"{one}/{body['id'].upper()}"
    assert api("GET", path).json() == body
    changed = api("PATCH", path, {"error_message": None, "joiningValue": None, "errorCode": "UnSpecified"}).json()
    assert (changed["errorCode"], changed["joiningValue"], changed["entryType"]) == ("UnSpecified", None, "Student")
    assert api("PATCH", path, {"id": NEVER}).status_code == 400
    assert api("PATCH", path, {"severity": 1}).status_code == 400
    assert api("PATCH", path, {"errorCode": "x"}, If_Match=body["@odata.etag"]).status_code == 412
    assert api("POST", one, content=b"").status_code == 400
    assert api("DELETE", path, by="program").status_code == 204
    for method in ("GET", "DELETE"):
        assert api(method, path).status_code == 404
    assert api("PATCH", path, {}).status_code == 404


WRITES = [
    ("POST", "", True, False),
    ("PUT", "", True, False),
    ("PUT", "/{}", True, False),
    ("PATCH", "/{}", True, False),
    ("DELETE", "/{}", True, False),
    ("POST", "/{}/pause", True, True),
    ("POST", "/{}/resume", True, True),
    ("POST", "/{}/reset", True, True),
    ("POST", "/{}/start", True, True),
    ("GET", "/{}/uploadUrl", True, True),
    ("POST", "/{}/errors", True, True),
    ("PATCH", "/{}/errors/{}", True, True),
    ("DELETE", "/{}/errors/{}", True, True),
]
READS = ["", "/$count", "/{}", "/{}/errors", "/{}/errors/$count", "/{}/errors/{}"]


@pytest.mark.parametrize(("method", "path", "person", "program"), WRITES)
def test_who_may_write(
    api: Any, house: Any, csv_body: dict[str, Any], method: str, path: str, person: bool, program: bool
) -> None:
    """Readers, roster tokens and tokens without grants write nothing; programs do not configure profiles."""
    profile = house.made()
    if path.endswith("start"):
        house.begin(profile)
        house.work(profile, state="planning", shows="inProgress", verification="[]")
    allowed = {"admin": person, "program": program}
    for by in ("reader", "reading program", "teacher", "nobody", "", "program", "admin"):
        error = house.profiles.add_error(house.admin, profile, {}, now=house.clock()).id
        address = SET + path.format(profile, error)
        body = {**csv_body, "id": profile} if method in ("POST", "PUT", "PATCH") else None
        if "errors" in path and body is not None:
            body = {"errorCode": "None"}
        status = api(method, address, body, by=by).status_code
        if allowed.get(by):
            assert 200 <= status < 300, by
        else:
            assert status == (403 if by else 401), by


@pytest.mark.parametrize("path", READS)
def test_who_may_read(api: Any, house: Any, path: str) -> None:
    """Whoever has a reading permission reads, others do not."""
    profile = house.made()
    error = house.profiles.add_error(house.admin, profile, {}, now=house.clock()).id
    for by in ("reader", "reading program", "admin", "program"):
        assert api("GET", SET + path.format(profile, error), by=by).status_code == 200
    for by in ("teacher", "nobody", ""):
        assert api("GET", SET + path.format(profile, error), by=by).status_code == (403 if by else 401)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *((method, path) for method, path, _, _ in WRITES if "{}" in path),
        *(("GET", path) for path in READS if "{}" in path),
    ],
)
def test_another_tenant_finds_nothing(api: Any, house: Any, csv_body: dict[str, Any], method: str, path: str) -> None:
    """Nothing of a profile can be reached with a token of another tenant; it is as if it did not exist."""
    profile = house.made()
    error = house.profiles.add_error(house.admin, profile, {}, now=house.clock()).id
    before = house.row(profile), house.status(profile)
    body = csv_body if method in ("POST", "PUT", "PATCH") else None
    if "errors" in path and body is not None:
        body = {"errorCode": "None"}
    answer = api(method, SET + path.format(profile, error), body, by="stranger")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NotFound")
    assert (house.row(profile), house.status(profile)) == before
    with house.control.read() as connection:
        assert connection.execute(select(errors.c.id)).scalars().all() == [error]
