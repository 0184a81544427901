"""PATCH, GET and DELETE profileStatus as a client sees them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from schoolsync.profiles.status import Status

TYPE = "#microsoft.graph.educationSynchronizationProfileStatus"
SEED = {
    "@odata.type": TYPE,
    "status": "success",
    "lastActivityDateTime": "2026-01-02T03:04:05.1234567Z",
    "lastSynchronizationDateTime": "2026-11-07T19:12:37.6472621Z",
}


@pytest.mark.parametrize("version", ["v1.0", "beta"])
def test_a_script_reports_a_status(api: Any, house: Any, version: str) -> None:
    """The documented request is answered 200 with the whole status, and read back the same."""
    profile = house.made()
    path = f"/{version}/education/synchronizationProfiles/{profile}/profileStatus"
    answer = api("PATCH", path, SEED)
    assert answer.status_code == 200
    body = answer.json()
    assert body == {
        "@odata.context": f"https://graph.test/{version}/$metadata#education/synchronizationProfiles('{profile}')"
        "/profileStatus/$entity",
        "@odata.type": TYPE,
        "@odata.etag": answer.headers["ETag"],
        "id": profile,
        "status": "success",
        "lastSynchronizationDateTime": "2026-11-07T19:12:37.6472621Z",
        "lastActivityDateTime": "2026-01-02T03:04:05.1234567Z",
        "errorCount": 0,
        "statusMessage": body["statusMessage"],
    }
    assert answer.headers["ETag"].startswith('W/"')
    assert answer.headers["Content-Type"].startswith("application/json;odata.metadata=minimal")
    assert api("GET", path).json() == body


def test_a_new_profile_has_a_status(api: Any, house: Any) -> None:
    """Before the first synchronization the status is there, empty, and says what it waits for."""
    body = api("GET", api.status_of(house.made())).json()
    assert (body["status"], body["lastSynchronizationDateTime"], body["lastActivityDateTime"]) == (None, None, None)
    assert body["errorCount"] == 0
    assert "start" in body["statusMessage"]


@pytest.mark.parametrize(
    "path",
    [
        "//v1.0//education/synchronizationProfiles/{}/profileStatus",
        "/V1.0/Education/SynchronizationProfiles/{}/PROFILESTATUS",
        "/beta/education/synchronizationProfiles('{}')/profileStatus",
        "/beta/education/synchronizationProfiles(%27{}%27)/profileStatus/",
    ],
)
def test_the_address_may_be_spelled_in_many_ways(api: Any, house: Any, path: str) -> None:
    """Letter case, doubled slashes and OData keys make no difference, upper-case ids neither."""
    profile = house.made()
    assert api("PATCH", path.format(profile.upper()), {"status": "error"}).status_code == 200
    assert house.status(profile).status == "error"


def test_what_is_not_sent_stays(api: Any, house: Any) -> None:
    """Each member alone changes itself alone, the last activity aside."""
    profile = house.made()
    path = api.status_of(profile)
    known = api("PATCH", path, {**SEED, "errorCount": 7, "statusMessage": "seven"}).json()
    for name, value in {
        "status": "error",
        "errorCount": 2**53 - 1,
        "statusMessage": "Übung 学校",
        "lastSynchronizationDateTime": "2026-05-05T05:05:05Z",
        "lastActivityDateTime": "0001-01-01T00:00:00Z",
    }.items():
        house.clock.step()
        after = api("PATCH", path, {name: value}).json()
        assert after[name] == value
        same = set(known) - {name, "@odata.etag", "lastActivityDateTime"}
        assert {key: after[key] for key in same} == {key: known[key] for key in same}
        known = after


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("2026-01-02T03:04:05.123456+00:00", "2026-01-02T03:04:05.123456Z"),
        ("2026-01-02T03:04:05.1000000Z", "2026-01-02T03:04:05.1Z"),
        ("2026-01-02t03:04:05z", "2026-01-02T03:04:05Z"),
        ("2026-01-02T01:04:05.0000001-02:00", "2026-01-02T03:04:05.0000001Z"),
        ("9999-12-31T23:59:59.9999999Z", "9999-12-31T23:59:59.9999999Z"),
    ],
)
def test_times_are_kept_to_the_tick(api: Any, house: Any, sent: str, kept: str) -> None:
    """Any documented way to write a moment is understood, and shown in UTC to the seventh digit."""
    path = api.status_of(house.made())
    body = {"lastSynchronizationDateTime": sent, "lastActivityDateTime": sent}
    after = api("PATCH", path, body).json()
    assert (after["lastSynchronizationDateTime"], after["lastActivityDateTime"]) == (kept, kept)


def test_the_python_sdk_clears_members(api: Any, house: Any) -> None:
    """Members sent as null under their Python names are cleared."""
    path = api.status_of(house.made())
    api("PATCH", path, {**SEED, "statusMessage": "x", "errorCount": 4})
    body = {
        "status": None,
        "status_message": None,
        "last_synchronization_date_time": None,
        "last_activity_date_time": None,
        "error_count": None,
    }
    after = api("PATCH", path, body).json()
    for name in ("status", "statusMessage", "lastSynchronizationDateTime", "lastActivityDateTime", "errorCount"):
        assert after[name] is None, name


@pytest.mark.parametrize("prefer", [None, "include-unknown-enum-members"])
@pytest.mark.parametrize("state", ["extracting", "validating", "planning", "applying"])
def test_what_was_read_can_be_written_back(api: Any, house: Any, prefer: str | None, state: str) -> None:
    """Read, then write the same body: 200 and no change, while a run works too and in either enumeration spelling."""
    profile = house.made()
    house.begin(profile)
    house.work(profile, state=state, shows=state if state in ("extracting", "validating") else "inProgress")
    headers = {"Prefer": prefer} if prefer else {}
    before = house.status(profile)
    read = api("GET", api.status_of(profile), **headers).json()
    house.clock.step()
    answer = api("PATCH", api.status_of(profile), read, **headers)
    assert answer.status_code == 200
    assert answer.json() == read
    assert house.status(profile) == before


def test_young_members_are_veiled(api: Any, house: Any) -> None:
    """`extracting` is shown by name to those who ask, and as the sentinel to others."""
    path = api.status_of(house.made())
    answer = api("PATCH", path, {"status": "extracting"}, Prefer="include-unknown-enum-members")
    assert answer.json()["status"] == "extracting"
    assert answer.headers["Preference-Applied"] == "include-unknown-enum-members"
    assert api("GET", path).json()["status"] == "unknownFutureValue"


@pytest.mark.parametrize("value", [value for value in Status if value != "paused"])
def test_every_value_can_be_reported(api: Any, house: Any, value: str) -> None:
    """With no run open every listed value is recorded, in any letter case."""
    path = api.status_of(house.made())
    for spelling in (value, value.upper()):
        answer = api("PATCH", path, {"status": spelling}, Prefer="include-unknown-enum-members")
        assert (answer.status_code, answer.json()["status"]) == (200, value)


@pytest.mark.parametrize(
    ("body", "target"),
    [
        ({"status": "finished"}, "status"),
        ({"status": 3}, "status"),
        ({"status": True}, "status"),
        ({"status": ""}, "status"),
        ({"statusMessage": 3}, "statusMessage"),
        ({"errorCount": "3"}, "errorCount"),
        ({"errorCount": 1.5}, "errorCount"),
        ({"errorCount": True}, "errorCount"),
        ({"errorCount": -1}, "errorCount"),
        ({"errorCount": 2**63}, "errorCount"),
        ({"lastSynchronizationDateTime": "2026-01-02T03:04:05"}, "lastSynchronizationDateTime"),
        ({"lastSynchronizationDateTime": "2026-01-02T03:04:05.12345678Z"}, "lastSynchronizationDateTime"),
        ({"lastSynchronizationDateTime": "2026-02-30T03:04:05Z"}, "lastSynchronizationDateTime"),
        ({"lastActivityDateTime": "yesterday"}, "lastActivityDateTime"),
        ({"lastActivityDateTime": 1767322645}, "lastActivityDateTime"),
        ({"state": "provisioned"}, "state"),
        ({"status_message": "hello"}, "status_message"),
        ({"surprise_me": None}, "surprise_me"),
        ({"id": "00000000-0000-0000-0000-000000000001"}, "id"),
        ({"id": None}, "id"),
        ({"id": 7}, "id"),
    ],
)
def test_what_cannot_be_is_refused_by_name(api: Any, house: Any, body: dict[str, Any], target: str) -> None:
    """A wrong member is answered 400, named, and nothing of the body is kept."""
    profile = house.made()
    before = house.status(profile)
    answer = api("PATCH", api.status_of(profile), {"statusMessage": "kept?", **body})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["code"], error["target"]) == ("BadRequest", target)
    assert target in error["message"]
    assert error["innerError"]["request-id"] == answer.headers["request-id"]
    assert house.status(profile) == before


@pytest.mark.parametrize("content", [b"", b"  ", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b'{"status":"success"'])
def test_a_body_has_to_be_an_object(api: Any, house: Any, content: bytes) -> None:
    """An empty or malformed body, and one that is no object, is answered 400."""
    profile = house.made()
    answer = api("PATCH", api.status_of(profile), content=content, Content_Type="application/json")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BadRequest")
    assert house.status(profile).status is None


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        (None, 200),
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ("application/json;odata.metadata=minimal", 200),
        ("text/plain", 415),
        ("application/xml", 415),
        ("application/x-www-form-urlencoded", 415),
    ],
)
def test_bodies_are_json(api: Any, house: Any, content_type: str | None, status: int) -> None:
    """JSON with or without a content type is taken; anything that says it is something else is answered 415."""
    headers = {"Content_Type": content_type} if content_type else {}
    answer = api("PATCH", api.status_of(house.made()), content=b'{"status":"success"}', **headers)
    assert answer.status_code == status
    if status == 415:
        assert answer.json()["error"]["code"] == "UnsupportedMediaType"


def test_control_members_and_the_own_id_are_fine(api: Any, house: Any) -> None:
    """Annotations of any kind are ignored, the profile's own id in any letter case too."""
    profile = house.made()
    body = {
        "@odata.context": "whatever",
        "@odata.type": "#Microsoft.Education.DataSync.educationSynchronizationProfileStatus",
        "@odata.etag": 'W/"99"',
        "status@odata.type": "#x",
        "id": profile.upper(),
        "status": "success",
    }
    assert api("PATCH", api.status_of(profile), body).json()["status"] == "success"


def test_an_empty_object_changes_nothing(api: Any, house: Any) -> None:
    """`{}` is answered 200 with the status as it is."""
    profile = house.made()
    before = house.status(profile)
    answer = api("PATCH", api.status_of(profile), {})
    assert answer.status_code == 200
    assert answer.json() == api("GET", api.status_of(profile)).json()
    assert house.status(profile) == before


@pytest.mark.parametrize("way", ["PATCH", "DELETE"])
def test_versions_guard_against_lost_updates(api: Any, house: Any, way: str) -> None:
    """If-Match with the present tag or `*` passes, with another one it is 412 and nothing changes."""
    profile = house.made()
    path = api.status_of(profile)
    tag = api("GET", path).headers["ETag"]
    body = {"status": "success"} if way == "PATCH" else None
    before = house.status(profile)
    for wrong in ('W/"99"', '"99"', "99", "W/nonsense"):
        refused = api(way, path, body, If_Match=wrong)
        assert (refused.status_code, refused.json()["error"]["code"]) == (412, "PreconditionFailed")
    assert house.status(profile) == before
    done = 200 if way == "PATCH" else 204
    assert api(way, path, body, If_Match=tag).status_code == done
    assert api(way, path, body, If_Match=tag).status_code == 412
    assert api(way, path, body, If_Match="*").status_code == done
    several = f'W/"99", {api("GET", path).headers["ETag"]}'
    assert api(way, path, body, If_Match=several).status_code == done


def test_what_has_not_changed_is_not_sent_again(api: Any, house: Any) -> None:
    """GET with the present tag in If-None-Match is answered 304 without a body, until something changes."""
    path = api.status_of(house.made())
    tag = api("GET", path).headers["ETag"]
    same = api("GET", path, If_None_Match=tag)
    assert (same.status_code, same.content) == (304, b"")
    assert api("PATCH", path, {"errorCount": 1}, If_None_Match=tag).status_code == 200
    assert api("GET", path, If_None_Match=tag).status_code == 200


def test_minimal_answers_have_no_body(api: Any, house: Any) -> None:
    """`Prefer: return=minimal` is answered 204, and the change is made."""
    profile = house.made()
    answer = api("PATCH", api.status_of(profile), {"status": "error"}, Prefer="return=minimal")
    assert (answer.status_code, answer.content) == (204, b"")
    assert "return=minimal" in answer.headers["Preference-Applied"]
    assert house.status(profile).status == "error"


def test_a_selection_shows_what_it_names(api: Any, house: Any) -> None:
    """`$select` cuts the answer down to what it names, and the id."""
    body = api("GET", api.status_of(house.made()) + "?$select=status,errorCount").json()
    assert {name for name in body if "@" not in name} == {"id", "status", "errorCount"}


@pytest.mark.parametrize(
    ("by", "get", "patch", "delete"),
    [
        ("admin", 200, 200, 204),
        ("program", 200, 200, 204),
        ("reader", 200, 403, 403),
        ("reading program", 200, 403, 403),
        ("teacher", 403, 403, 403),
        ("nobody", 403, 403, 403),
        ("stranger", 404, 404, 404),
        ("strange program", 404, 404, 404),
        ("", 401, 401, 401),
    ],
)
def test_who_may(api: Any, house: Any, by: str, get: int, patch: int, delete: int) -> None:
    """Reading and writing need their permissions; other tenants find nothing; strangers are sent away."""
    profile = house.made()
    path = api.status_of(profile)
    answers = [
        api("GET", path, by=by),
        api("PATCH", path, {"status": "success"}, by=by),
        api("DELETE", path, by=by),
    ]
    assert [answer.status_code for answer in answers] == [get, patch, delete]
    codes = {401: "InvalidAuthenticationToken", 403: "AccessDenied", 404: "NotFound"}
    for answer in answers:
        if answer.status_code >= 400:
            assert answer.json()["error"]["code"] == codes[answer.status_code]
    assert ("WWW-Authenticate" in answers[0].headers) == (get == 401)
    assert house.status(profile).version == (3 if patch == 200 else 1)


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_other_methods_are_not_allowed(api: Any, house: Any, method: str) -> None:
    """PUT and POST are answered 405, and the answer names what is allowed."""
    answer = api(method, api.status_of(house.made()), {"status": "success"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (405, "Request_BadRequest")
    assert {"GET", "PATCH", "DELETE"} <= set(answer.headers["Allow"].split(", "))


def test_an_unknown_profile_is_not_found(api: Any) -> None:
    """There is no status where there is no profile, whatever its id looks like."""
    for profile in ("00000000-0000-0000-0000-000000000001", "not-a-guid", "a'b"):
        for method, body in (("GET", None), ("PATCH", {"status": "error"}), ("DELETE", None)):
            answer = api(method, api.status_of(profile), body)
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NotFound")


def test_a_working_run_is_not_written_over(api: Any, house: Any) -> None:
    """While a run works another status is answered 409, and the message says what is running."""
    profile = house.made()
    house.begin(profile)
    house.work(profile, state="applying", shows="inProgress")
    answer = api("PATCH", api.status_of(profile), {"status": "success", "errorCount": 5})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "Conflict")
    assert "Run 1" in answer.json()["error"]["message"]
    assert "applying" in answer.json()["error"]["message"]
    assert house.status(profile).error_count == 0
    assert api("DELETE", api.status_of(profile)).status_code == 409


def test_a_status_of_a_vanishing_profile_is_only_read(api: Any, house: Any) -> None:
    """While a profile is being deleted its status can be read, and not written."""
    profile = house.made()
    house.profiles.delete(house.admin, profile, condition=house.always, now=house.clock())
    assert api("GET", api.status_of(profile)).status_code == 200
    for method, body in (("PATCH", {"status": "error"}), ("DELETE", None)):
        answer = api(method, api.status_of(profile), body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "Conflict")
    house.sweep()
    assert api("GET", api.status_of(profile)).status_code == 404


def test_a_program_cannot_pass_over_findings(api: Any, house: Any) -> None:
    """`inProgress` from a program on a held roster is answered 409; from a person it goes on."""
    profile = house.made()
    house.begin(profile)
    house.work(profile, state="held", shows="validationError", held_for="findings")
    body = {"status": "inProgress"}
    assert api("PATCH", api.status_of(profile), body, by="program").status_code == 409
    answer = api("PATCH", api.status_of(profile), body)
    assert (answer.status_code, answer.json()["status"]) == (200, "inProgress")


def test_deleting_a_status_leaves_an_empty_one(api: Any, house: Any) -> None:
    """DELETE is answered 204 without a body; the status can still be read, and is empty."""
    path = api.status_of(house.made())
    api("PATCH", path, SEED)
    answer = api("DELETE", path)
    assert (answer.status_code, answer.content) == (204, b"")
    assert "Content-Type" not in answer.headers
    body = api("GET", path).json()
    assert (body["status"], body["lastSynchronizationDateTime"]) == (None, None)


def test_many_clients_at_once_lose_nothing(api: Any, house: Any) -> None:
    """Forty clients write four members at the same time: every request is answered 200 and each member has a value
    that somebody sent."""
    profile = house.made()
    bodies: list[dict[str, Any]] = [
        *({"errorCount": number} for number in range(1, 11)),
        *({"statusMessage": f"message {number}"} for number in range(1, 11)),
        *({"lastSynchronizationDateTime": f"2026-01-01T00:00:{number:02}Z"} for number in range(1, 11)),
        *({"status": value} for value in ("success", "error", "quarantined", "inProgress", "validationError") * 2),
    ]

    async def all_at_once() -> list[Any]:
        return await asyncio.gather(*(api.send("PATCH", api.status_of(profile), body) for body in bodies))

    answers = asyncio.run(all_at_once())
    assert [answer.status_code for answer in answers] == [200] * len(bodies)
    for body, answer in zip(bodies, answers, strict=True):
        assert body.items() <= answer.json().items()
    final = api("GET", api.status_of(profile)).json()
    for name in ("errorCount", "statusMessage", "lastSynchronizationDateTime", "status"):
        assert final[name] in [body[name] for body in bodies if name in body]
    sent = json.dumps(sorted({answer.headers["ETag"] for answer in answers}))
    assert final["@odata.etag"].strip('W/"') in sent
