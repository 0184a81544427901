"""PATCH profileStatus: a script tells the profile how its synchronization went."""

from __future__ import annotations

import datetime
import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from msgraph_beta.generated.models.education_synchronization_profile_status import EducationSynchronizationProfileStatus
from msgraph_beta.generated.models.education_synchronization_status import EducationSynchronizationStatus
from msgraph_beta.generated.models.o_data_errors.o_data_error import ODataError

from .house import PREFER, READ, ROSTER_WRITE, WRITE, Api, Json, Profile, Server, Tenant
from .sdk import Held, graph

Status = EducationSynchronizationStatus
TYPE = "#microsoft.graph.educationSynchronizationProfileStatus"
MEMBERS = {"status", "statusMessage", "errorCount", "lastActivityDateTime", "lastSynchronizationDateTime"}


@pytest.fixture
def profile(tenant: Tenant) -> Profile:
    return tenant.profile()


def patch(profile: Profile, body: Any, *, expect: int = 200, **options: Any) -> Json:
    answer: Json = profile.api("PATCH", f"{profile.path}/profileStatus", body, expect=expect, **options).json()
    return answer


def refused(profile: Profile, body: Any, status: int = 400, **options: Any) -> Json:
    before = profile.status()
    error = profile.api.refusal("PATCH", f"{profile.path}/profileStatus", status, body, **options)
    assert profile.status() == before, "what was refused changes nothing"
    return error


def test_the_documented_example_works_word_for_word(profile: Profile) -> None:
    """The body of the documentation's example is accepted, and the answer is the whole updated status."""
    body = {
        "@odata.type": TYPE,
        "status": "success",
        "lastSynchronizationDateTime": "2019-11-07T19:12:37.6472621Z",
        "lastActivityDateTime": "2019-11-07T19:12:38.1234567Z",
    }
    answer = patch(profile, body)
    root = f"{profile.tenant.server.base}/v1.0/$metadata#education/synchronizationProfiles"
    assert answer["@odata.context"] == f"{root}('{profile.id}')/profileStatus/$entity"
    assert answer["id"] == profile.id
    assert answer.keys() >= MEMBERS
    for name in ("status", "lastSynchronizationDateTime", "lastActivityDateTime"):
        assert answer[name] == body[name]
    again = profile.api.get(f"{profile.path}/profileStatus")
    assert again == answer


async def test_through_the_python_sdk(server: Server, profile: Profile) -> None:
    """Every property the SDK can send arrives, is answered, and reads back as the same value."""
    moment = datetime.datetime(2026, 1, 2, 3, 4, 5, 123456, tzinfo=datetime.UTC)
    async with graph(server.base, profile.api.token) as client:
        builder = client.education.synchronization_profiles.by_education_synchronization_profile_id(profile.id)
        sent = EducationSynchronizationProfileStatus(
            status=Status.Error,
            status_message="Reported by a script",
            error_count=7,
            last_synchronization_date_time=moment,
            last_activity_date_time=moment + datetime.timedelta(hours=1),
        )
        answer = await builder.profile_status.patch(sent)
        for read in (answer, await builder.profile_status.get()):
            assert read.id == profile.id
            assert read.status is Status.Error
            assert read.status_message == "Reported by a script"
            assert read.error_count == 7
            assert read.last_synchronization_date_time == moment
            assert read.last_activity_date_time == moment + datetime.timedelta(hours=1)

        read = await builder.profile_status.get()  # read, change one thing, write everything back
        read.status_message = "Still the same"
        written = await builder.profile_status.patch(read)
        assert written.status is Status.Error
        assert written.status_message == "Still the same"
        assert written.last_synchronization_date_time == moment

        await builder.profile_status.delete()
        fresh = await builder.profile_status.get()
        assert fresh.status is None
        assert fresh.error_count == 0
        assert fresh.last_synchronization_date_time is None


async def test_clearing_through_the_python_sdk(server: Server, profile: Profile) -> None:
    """The SDK sends the Python names of properties it clears; they mean the properties."""
    patch(profile, {"statusMessage": "x", "status": "error", "lastSynchronizationDateTime": "2026-01-01T00:00:00Z"})
    async with graph(server.base, profile.api.token) as client:
        builder = client.education.synchronization_profiles.by_education_synchronization_profile_id(profile.id)
        body = await builder.profile_status.get()
        body.backing_store.return_only_changed_values = False
        body.status_message = None
        body.last_synchronization_date_time = None
        body.status = None
        answer = await builder.profile_status.patch(body)
        assert answer.status_message is None
        assert answer.last_synchronization_date_time is None
        assert answer.status is None


def test_snake_case_nulls_are_the_sdks_and_nothing_else(profile: Profile) -> None:
    """A snake_case key is read as its property when its value is null; with any other value it is unknown."""
    patch(profile, {"statusMessage": "x", "lastSynchronizationDateTime": "2026-01-01T00:00:00Z", "errorCount": 3})
    answer = patch(profile, {"status_message": None, "last_synchronization_date_time": None, "error_count": None})
    assert answer["statusMessage"] is None
    assert answer["lastSynchronizationDateTime"] is None
    for body, named in (
        ({"status_message": "x"}, "status_message"),
        ({"colour_name": None}, "colour_name"),
        ({"last_activity_date_time": "2026-01-01T00:00:00Z"}, "last_activity_date_time"),
    ):
        error = refused(profile, body)
        assert error["code"] == "BadRequest"
        assert named in error["message"]


def test_members_that_are_absent_stay_as_they_are(profile: Profile) -> None:
    """PATCH merges: what the body does not name is untouched, `null` clears, `{}` changes nothing."""
    full = {
        "status": "error",
        "statusMessage": "three wrong",
        "errorCount": 3,
        "lastSynchronizationDateTime": "2026-01-01T00:00:00Z",
        "lastActivityDateTime": "2026-01-02T00:00:00Z",
    }
    patch(profile, full)
    answer = patch(profile, {"errorCount": 4, "lastActivityDateTime": full["lastActivityDateTime"]})
    assert {name: answer[name] for name in full} == full | {"errorCount": 4}
    answer = patch(profile, {"statusMessage": None, "lastActivityDateTime": full["lastActivityDateTime"]})
    assert {name: answer[name] for name in full} == full | {"errorCount": 4, "statusMessage": None}
    before = profile.api.get(f"{profile.path}/profileStatus")
    assert patch(profile, {}) == before


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("2026-11-07T19:12:37.6472621Z", "2026-11-07T19:12:37.6472621Z"),
        ("2026-11-07T19:12:37.0000001Z", "2026-11-07T19:12:37.0000001Z"),
        ("2026-11-07T19:12:37.6470000Z", "2026-11-07T19:12:37.647Z"),
        ("2026-11-07T19:12:37.0Z", "2026-11-07T19:12:37Z"),
        ("2026-11-07T19:12:37Z", "2026-11-07T19:12:37Z"),
        ("2026-11-07t19:12:37z", "2026-11-07T19:12:37Z"),
        ("2026-11-07T20:12:37.1234567+01:00", "2026-11-07T19:12:37.1234567Z"),
        ("2026-01-02T03:04:05.123456+00:00", "2026-01-02T03:04:05.123456Z"),
        ("2026-11-07T13:42:37-05:30", "2026-11-07T19:12:37Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59.9999999Z", "9999-12-31T23:59:59.9999999Z"),
        ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z"),
    ],
)
def test_times_keep_every_digit(profile: Profile, sent: str, shown: str) -> None:
    """A time is the same instant on the way out, to 100 ns, in UTC and without needless zeros."""
    for name in ("lastSynchronizationDateTime", "lastActivityDateTime"):
        assert patch(profile, {name: sent})[name] == shown
        assert profile.status()[name] == shown


@pytest.mark.parametrize(
    "sent",
    [
        "2026-11-07T19:12:37",
        "2026-11-07T19:12:37.123456",
        "2026-11-07",
        "2026-11-07T19:12:37.12345678Z",
        "2026-02-30T00:00:00Z",
        "2026-11-07T25:00:00Z",
        "2026-11-07 19:12:37Z",
        "yesterday",
        "",
        20261107,
        True,
        ["2026-11-07T19:12:37Z"],
        "10000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
    ],
)
def test_a_time_that_is_none_is_refused(profile: Profile, sent: Any) -> None:
    """Without an offset, with too many digits or with a day that never was: 400 naming the property."""
    error = refused(profile, {"lastSynchronizationDateTime": sent})
    assert error["code"] == "BadRequest"
    assert "lastSynchronizationDateTime" in error["message"]


@pytest.mark.parametrize("status", ["inProgress", "success", "error", "validationError", "quarantined"])
def test_every_listed_status_may_be_reported(profile: Profile, status: str) -> None:
    """A profile without a run of its own shows what it is told, and nothing begins."""
    assert patch(profile, {"status": status})["status"] == status
    assert profile.status()["status"] == status
    profile.upload({"School.csv": "SIS ID,Name"})  # a run at work would refuse it
    assert profile.status()["status"] == status


@pytest.mark.parametrize("status", ["extracting", "validating", "unknownFutureValue"])
def test_members_behind_the_sentinel_may_be_reported_too(profile: Profile, status: str) -> None:
    """They are shown by name to clients that ask for unknown members."""
    shown = patch(profile, {"status": status})["status"]
    assert shown == "unknownFutureValue"
    assert profile.status()["status"] == status
    assert patch(profile, {"status": status}, headers=PREFER)["status"] == status


@pytest.mark.parametrize("status", ["INPROGRESS", "Success", "validationerror"])
def test_letter_case_of_a_status_does_not_matter(profile: Profile, status: str) -> None:
    """Enum members are compared with their letter case first and without it then; the answer is canonical."""
    shown = patch(profile, {"status": status})["status"]
    assert shown in {"inProgress", "success", "validationError"}
    assert shown.lower() == status.lower()


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"status": "resting"}, "status"),
        ({"status": ""}, "status"),
        ({"status": 3}, "status"),
        ({"status": ["success"]}, "status"),
        ({"errorCount": "7"}, "errorCount"),
        ({"errorCount": 1.5}, "errorCount"),
        ({"errorCount": True}, "errorCount"),
        ({"errorCount": 2**63}, "errorCount"),
        ({"statusMessage": 7}, "statusMessage"),
        ({"statusMessage": {"en": "x"}}, "statusMessage"),
        ({"colour": "blue"}, "colour"),
        ({"colour": None}, "colour"),
        ({"profileStatus": {}}, "profileStatus"),
        ({"status": "success", "colour": 1}, "colour"),
    ],
)
def test_values_that_cannot_be_are_refused_by_name(profile: Profile, body: Json, named: str) -> None:
    """Unknown members and values of the wrong kind are 400 BadRequest naming the member; nothing is half done."""
    error = refused(profile, body)
    assert error["code"] == "BadRequest"
    assert named in error["message"]


def test_control_members_are_ignored(profile: Profile) -> None:
    """Whatever starts with `@`, or holds one, is for the protocol and never a reason to refuse."""
    body = {
        "@odata.context": "https://graph.microsoft.com/v1.0/$metadata#anything",
        "@odata.type": "#Microsoft.Education.DataSync.educationSynchronizationProfileStatus",
        "@odata.id": "x",
        "@odata.etag": 'W/"stale"',
        "@microsoft.graph.tips": "use less",
        "status@odata.type": "#String",
        "id": profile.id.upper(),
        "status": "success",
    }
    assert patch(profile, body)["status"] == "success"


def test_the_id_cannot_be_changed(profile: Profile) -> None:
    """An `id` equal to the profile's is ignored in any letter case; anything else is 400."""
    patch(profile, {"id": profile.id.upper(), "status": "error"})
    for wrong in (str(uuid.uuid4()), "", 7):
        error = refused(profile, {"id": wrong, "status": "success"})
        assert error["code"] == "BadRequest"
        assert "id" in error["message"]


@pytest.mark.parametrize(
    "content",
    [b"", b"   ", b"{", b"not json", b'{"status": "success"', b'{"status": success}', b"\xff\xfe", b"{}{}"],
)
def test_bodies_that_are_no_json_are_refused(profile: Profile, content: bytes) -> None:
    """An empty body and malformed JSON are 400 BadRequest."""
    error = refused(profile, None, content=content, headers={"Content-Type": "application/json"})
    assert error["code"] == "BadRequest"


@pytest.mark.parametrize("body", [[], [{"status": "success"}], "success", 7, True])
def test_bodies_that_are_no_object_are_refused(profile: Profile, body: Any) -> None:
    """An entity is a JSON object; anything else is 400."""
    assert refused(profile, body)["code"] == "BadRequest"


def test_null_is_no_body(profile: Profile) -> None:
    """The JSON value null is as good as nothing: 400."""
    error = refused(profile, None, content=b"null", headers={"Content-Type": "application/json"})
    assert error["code"] == "BadRequest"


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "application/json; charset=utf-8",
        "application/json;odata.metadata=minimal",
        "APPLICATION/JSON",
        "application/json;IEEE754Compatible=false",
        None,
    ],
)
def test_json_is_accepted_however_it_is_labelled(profile: Profile, kind: str | None) -> None:
    """Parameters and letter case do not matter, and a JSON body without any label is taken as JSON."""
    sent = {} if kind is None else {"Content-Type": kind}
    answer = profile.api(
        "PATCH", f"{profile.path}/profileStatus", content=b'{"errorCount": 5}', headers=sent, expect=200
    )
    assert answer.json()["errorCount"] == 5


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "application/x-www-form-urlencoded", "nonsense"])
def test_other_content_types_are_415(profile: Profile, kind: str) -> None:
    """A body labelled as something else is not guessed at."""
    error = refused(profile, None, 415, content=b'{"status": "success"}', headers={"Content-Type": kind})
    assert error["code"] == "UnsupportedMediaType"


def test_a_client_that_takes_no_json_is_406(profile: Profile) -> None:
    """`Accept: application/xml` cannot be served; wildcards can."""
    error = refused(profile, {"errorCount": 1}, 406, headers={"Accept": "application/xml"})
    assert error["code"]
    for accept in ("*/*", "application/*", "application/json;q=0.5, application/xml"):
        assert patch(profile, {"errorCount": 1}, headers={"Accept": accept})["errorCount"] == 1


def test_large_numbers_stay_numbers(profile: Profile) -> None:
    """errorCount is an Int64 and goes out as a JSON number of full precision."""
    answer = profile.api("PATCH", f"{profile.path}/profileStatus", {"errorCount": 2**53 + 1}, expect=200)
    assert f'"errorCount":{2**53 + 1}' in answer.text.replace(" ", "")


def test_etags_guard_the_status(profile: Profile) -> None:
    """If-Match is optional; the current tag and `*` pass, a stale one is 412 and changes nothing."""
    path = f"{profile.path}/profileStatus"
    answer = profile.api("GET", path, expect=200)
    tag = answer.headers["etag"]
    assert answer.json()["@odata.etag"] == tag
    changed = profile.api("PATCH", path, {"errorCount": 1}, expect=200, headers={"If-Match": tag})
    assert changed.headers["etag"] != tag
    assert refused(profile, {"errorCount": 2}, 412, headers={"If-Match": tag})["code"] == "PreconditionFailed"
    current = changed.headers["etag"]
    assert patch(profile, {"errorCount": 3}, headers={"If-Match": f'W/"nonsense", {current}'})["errorCount"] == 3
    assert patch(profile, {"errorCount": 4}, headers={"If-Match": "*"})["errorCount"] == 4
    now = profile.api("GET", path, expect=200).headers["etag"]
    assert profile.api("GET", path, headers={"If-None-Match": now}).status_code == 304


def test_a_client_may_ask_for_no_answer(profile: Profile) -> None:
    """`Prefer: return=minimal` is 204 without a body; the change is made all the same."""
    answer = profile.api(
        "PATCH", f"{profile.path}/profileStatus", {"errorCount": 9}, headers={"Prefer": "return=minimal"}
    )
    if answer.status_code == 204:
        assert answer.headers["preference-applied"] == "return=minimal"
        assert answer.content == b""
    else:
        assert answer.json()["errorCount"] == 9
    assert profile.status()["errorCount"] == 9


def test_the_last_activity_is_refreshed_unless_it_is_told(profile: Profile) -> None:
    """Every accepted change counts as activity; a time in the body wins over the clock."""
    patch(profile, {"lastActivityDateTime": "2001-01-01T00:00:00Z"})
    assert profile.status()["lastActivityDateTime"] == "2001-01-01T00:00:00Z"
    shown = patch(profile, {"errorCount": 1})["lastActivityDateTime"]
    age = datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(shown[:19] + "+00:00")
    assert datetime.timedelta(seconds=-2) < age < datetime.timedelta(seconds=60)


def test_pausing_and_resuming_by_a_status(profile: Profile) -> None:
    """Writing `paused` pauses as the action does, and `inProgress` on a paused profile resumes it."""
    assert patch(profile, {"status": "paused"})["status"] == "paused"
    assert profile.api.refusal("POST", f"{profile.path}/start", 409)["code"] == "Conflict"
    patch(profile, {"status": "inProgress"})
    assert profile.status()["status"] is None, "back to what it was: nothing is queued"
    assert profile.api("POST", f"{profile.path}/start").status_code == 400, "it lacks files, it is not paused"


def test_fifty_writers_at_once_lose_nothing(profile: Profile) -> None:
    """Fifty PATCHes at the same time are all 200, and each one's own member is there afterwards."""
    path = f"{profile.path}/profileStatus"
    api = profile.api

    def write(number: int) -> tuple[int, Json]:
        body: Json = [
            {"errorCount": number},
            {"statusMessage": f"number {number}"},
            {"lastSynchronizationDateTime": f"2026-01-01T00:00:{number:02}Z"},
        ][number % 3]
        answer = api("PATCH", path, body)
        return answer.status_code, body | {"answer": answer.json()}

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(write, range(50)))
    assert [status for status, _ in answers] == [200] * 50
    for _, body in answers:
        answer = body.pop("answer")
        assert {name: answer[name] for name in body} == body, "an answer shows what its own request wrote"
    final = profile.status()
    assert final["errorCount"] % 3 == 0
    assert int(final["statusMessage"].split()[1]) % 3 == 1
    assert int(final["lastSynchronizationDateTime"][17:19]) % 3 == 2


def test_of_fifty_writers_with_one_tag_one_wins(profile: Profile) -> None:
    """With If-Match, one of many PATCHes that start from the same state is made and the others are 412."""
    path = f"{profile.path}/profileStatus"
    api = profile.api
    tag = api("GET", path, expect=200).headers["etag"]

    def write(number: int) -> int:
        return api("PATCH", path, {"errorCount": 100 + number}, headers={"If-Match": tag}).status_code

    with ThreadPoolExecutor(25) as pool:
        answers = sorted(pool.map(write, range(50)))
    assert answers == [200] + [412] * 49


@pytest.mark.parametrize("member", ["errorCount", "statusMessage"])
def test_counting_up_with_tags_counts_everyone(profile: Profile, member: str) -> None:
    """Many callers that read, add one and write with If-Match, again on 412, lose no step."""
    path = f"{profile.path}/profileStatus"
    api = profile.api
    api("PATCH", path, {"errorCount": 0, "statusMessage": "0"}, expect=200)

    def count(_: int) -> None:
        while True:
            read = api("GET", path, expect=200)
            value: Any = int(read.json()[member]) + 1
            body = {member: value if member == "errorCount" else str(value)}
            if api("PATCH", path, body, headers={"If-Match": read.headers["etag"]}).status_code == 200:
                return

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count, range(24)))
    assert int(profile.status()[member]) == 24


def test_tokens_that_do_not_open_it(server: Server, profile: Profile) -> None:
    """No token, a broken one, an expired one, one of the wrong kind: 401 or 403, each with its header and words."""
    path, body = f"{profile.path}/profileStatus", {"status": "success"}
    tenant = profile.tenant
    good = server.token(tenant.id, scope=WRITE)
    head, claims, signature = good.split(".")
    broken = {
        "nonsense": None,
        f"{head}.{claims}.AAAA{signature[4:]}": None,
        f"{head}.{claims}.": None,
        server.token(tenant.id, scope=WRITE, expires_in=-3600): "expired",
    }
    for token, words in broken.items():
        answer = Api(server, token)("PATCH", path, body, expect=401)
        assert answer.json()["error"]["code"] == "InvalidAuthenticationToken"
        if words:
            assert words in answer.json()["error"]["message"]
        challenge = answer.headers["www-authenticate"]
        assert challenge.startswith('Bearer realm=""')
        assert "claims=" not in challenge, "clients would fetch a new token and try again for nothing"
    for none in ({}, {"Authorization": "Bearer"}):
        answer = Api(server, None)("PATCH", path, body, expect=401, headers=none)
        assert answer.json()["error"]["message"] == "Access token is empty."
    for grant in ({"scope": READ}, {"scope": "EduRoster.ReadWrite"}, {"roles": (ROSTER_WRITE,)}):
        error = tenant.api(**grant).refusal("PATCH", path, 403, body)
        assert error["code"] == "AccessDenied"
    missing = tenant.api(scope=READ).refusal("PATCH", path, 403, body)
    assert missing["message"] == "Required scp claim values are not provided."
    assert profile.status()["status"] is None


def test_an_application_may_report_too(server: Server, profile: Profile) -> None:
    """An app-only token with EduAdministration.ReadWrite.All reports like a person; GET needs only Read.All."""
    program = profile.tenant.api(roles=("EduAdministration.ReadWrite.All",))
    answer = program("PATCH", f"{profile.path}/profileStatus", {"status": "success"}, expect=200)
    assert answer.json()["status"] == "success"
    assert profile.tenant.api(roles=("EduAdministration.Read.All",)).get(f"{profile.path}/profileStatus")


def test_other_methods_are_not_allowed(profile: Profile) -> None:
    """PUT and POST on the status are 405 with the methods that are."""
    path = f"{profile.path}/profileStatus"
    for method in ("PUT", "POST"):
        answer = profile.api(method, path, {"status": "success"}, expect=405)
        assert answer.json()["error"]["code"] == "Request_BadRequest"
        assert {part.strip() for part in answer.headers["allow"].split(",")} >= {"GET", "PATCH", "DELETE"}


def test_deleting_the_status_forgets_what_was_reported(profile: Profile) -> None:
    """DELETE is 204; GET stays 200 and shows a profile that waits for `start`."""
    fresh = profile.api.get(f"{profile.path}/profileStatus")
    patch(profile, {"status": "error", "errorCount": 5, "lastSynchronizationDateTime": "2026-01-01T00:00:00Z"})
    answer = profile.api("DELETE", f"{profile.path}/profileStatus", expect=204)
    assert answer.content == b""
    after = profile.api.get(f"{profile.path}/profileStatus")
    for name in ("status", "errorCount", "lastSynchronizationDateTime", "statusMessage"):
        assert after[name] == fresh[name]


def test_reading_and_writing_back_is_always_safe(profile: Profile) -> None:
    """A body read from the API, whole and as text, goes back in on both versions and with either preference."""
    patch(profile, {"status": "validating", "errorCount": 2, "statusMessage": "mine"})
    for version in ("v1.0", "beta"):
        for preference in ({}, PREFER):
            read = profile.api("GET", f"{profile.path}/profileStatus", version=version, headers=preference, expect=200)
            sent = {"Content-Type": "application/json", **preference}
            written = profile.api(
                "PATCH",
                f"{profile.path}/profileStatus",
                content=read.content,
                headers=sent,
                version=version,
                expect=200,
            )
            assert written.json()["status"] == read.json()["status"]
            assert profile.status()["status"] == "validating", "showing less must not store less"


def test_a_credential_is_asked_once_per_request(server: Server, profile: Profile) -> None:
    """An ordinary 401 makes no client ask for another token: it carries no claims challenge."""
    asked: list[str] = []

    class Counting(Held):
        def get_token(self, *scopes: str, **options: Any) -> Any:
            asked.append(json.dumps(scopes))
            return super().get_token(*scopes, **options)

    import asyncio

    from msgraph_beta import GraphServiceClient

    async def call() -> None:
        client = GraphServiceClient(Counting("broken"), ["https://graph.microsoft.com/.default"])
        client.request_adapter.base_url = f"{server.base}/v1.0"
        builder = client.education.synchronization_profiles.by_education_synchronization_profile_id(profile.id)
        with pytest.raises(ODataError):
            await builder.profile_status.get()
        await client.request_adapter._http_client.aclose()

    asyncio.run(call())
    assert len(asked) == 1
