"""What every Graph client relies on, whatever it asks: addresses, headers, error bodies, content types."""

from __future__ import annotations

import asyncio
import errno
import json
import re
from typing import Any

import pytest

from schoolsync.errors import UsageError, WorldError
from schoolsync.serving import connections

GUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
COMMON = (
    *("request-id", "client-request-id", "x-ms-ags-diagnostic", "date", "strict-transport-security"),
    *("cache-control", "vary"),
)
NEW_PERSON = {
    "displayName": "Gro Lie",
    "accountEnabled": True,
    "mailNickname": "gro",
    "userPrincipalName": "gro@skole.example",
    "passwordProfile": {"password": "Str0ng-enough", "forceChangePasswordNextSignIn": True},
}


def error_of(answer: Any, status: int, code: str) -> dict[str, Any]:
    """The error of an answer, after checking that Graph's SDKs can read it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    for header in COMMON:
        assert header in answer.headers
    error: dict[str, Any] = answer.json()["error"]
    assert error["code"] == code
    assert error["message"]
    inner = error["innerError"]
    assert inner["request-id"] == answer.headers["request-id"]
    assert inner["client-request-id"] == answer.headers["client-request-id"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", inner["date"])
    return error


class TestAddresses:
    @pytest.mark.parametrize(
        "path",
        [
            "/v1.0/education/classes/{id}/members",
            "/beta/education/classes/{id}/members",
            "/V1.0/Education/CLASSES/{ID}/Members",
            "//v1.0///education/classes//{id}/members/",
            "/v1.0/education/classes('{id}')/members",
            "/v1.0/education/classes({id})/members",
            "/v1.0/education/classes(id='{id}')/members",
            "/v1.0/education/classes('{ID}')/members()",
            "/v1.0/education/classes/{id}/microsoft.graph.members",
            "/v1.0/education/%63lasses/{id}/members?$top=100",
        ],
    )
    def test_spell_one_resource_in_many_ways(self, town: Any, ids: Any, path: str) -> None:
        """Letter case, doubled slashes, keys in parentheses, qualified names and escapes make no difference."""
        key = ids("class", 1)
        found = town.ids(path.format(id=key, ID=key.upper()))
        assert found == sorted(ids("person", place) for place in (1, 2, 5))

    @pytest.mark.parametrize(
        "path", ["uploadUrl", "uploadUrl()", "uploadurl", "microsoft.graph.uploadUrl()", "UPLOADURL"]
    )
    def test_reach_functions_with_and_without_parentheses(self, house: Any, path: str) -> None:
        """The SDK calls uploadUrl(), scripts call uploadurl: both reach the operation."""
        answer = house.get(f"/education/synchronizationProfiles/11111111-1111-4111-8111-111111111111/{path}")
        error_of(answer, 404, "NotFound")

    @pytest.mark.parametrize(
        ("path", "segment"),
        [
            ("/education/teachers", "teachers"),
            ("/devices", "devices"),
            ("/education/schools/1/members", "members"),
            ("/education/me/mail", "mail"),
            ("/education/users/1/$value", "$value"),
            ("/education/schools/$count/1", "1"),
            ("/education/schools/$ref", "$ref"),
            ("/education/users/1/classes/$value", "$value"),
            ("/education/users('')", ""),  # a script whose variable is unset does not reach everybody
        ],
    )
    def test_name_the_segment_that_leads_nowhere(self, house: Any, path: str, segment: str) -> None:
        """An unknown segment is 400 with its name, as Graph answers it."""
        error = error_of(house.get(path), 400, "BadRequest")
        assert error["message"] == f"Resource not found for the segment '{segment}'."

    def test_hold_a_slash_inside_a_key(self, town: Any) -> None:
        """An encoded slash belongs to the key and never becomes another segment."""
        error = error_of(town.get("/education/users/a%2Fschools"), 404, "Request_ResourceNotFound")
        assert "'a/schools'" in error["message"]

    def test_outside_the_api_are_404(self, house: Any) -> None:
        """Neither version nor upload nor issuer: a Graph error all the same."""
        error_of(house.send("GET", "https://sds.example.org/console"), 404, "NotFound")
        error_of(house.get("/v2.0/education/users"), 404, "NotFound")

    def test_with_broken_escapes_are_refused(self, house: Any) -> None:
        """Bytes that are no UTF-8, and NUL, are 400."""
        error_of(house.get("/education/users/%ff"), 400, "BadRequest")
        error_of(house.get("/education/users/a%00"), 400, "BadRequest")
        error_of(house.get("/education" + "/x" * 40), 400, "BadRequest")

    def test_of_the_neighbours_are_passed_on_untouched(self, house: Any) -> None:
        """Uploads and the token issuer get their requests as they came in, without a token."""
        asked = [
            ("PUT", "/uploads/1/School.csv"),
            ("POST", "/common/oauth2/v2.0/token"),
            ("GET", "/common/v2.0/.well-known/openid-configuration"),
            ("GET", "/common/discovery/v2.0/keys"),
        ]
        for method, path in asked:
            assert house.send(method, "https://sds.example.org" + path, authorization=None).status_code == 207
        assert house.passed_on == [
            f"{'blobs' if path.startswith('/uploads') else 'issuer'} {method} {path}" for method, path in asked
        ]
        # A key that looks like the issuer's address stays with Graph.
        error_of(house.get("/education/users/a%2Foauth2%2Fb"), 404, "Request_ResourceNotFound")


class TestAnswers:
    def test_carry_the_headers_of_graph(self, town: Any) -> None:
        """Success or error, every answer says which request it answers."""
        answer = town.get("/education/schools")
        for header in COMMON:
            assert header in answer.headers
        assert GUID.fullmatch(answer.headers["request-id"])
        assert answer.headers["client-request-id"] == answer.headers["request-id"]
        assert answer.headers["odata-version"] == "4.0"
        assert answer.headers["date"] == "Mon, 02 Mar 2026 08:00:00 GMT"
        assert set(json.loads(answer.headers["x-ms-ags-diagnostic"])) == {"ServerInfo"}
        assert answer.headers["content-type"] == (
            "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"
        )

    def test_echo_what_the_client_calls_its_request(self, house: Any) -> None:
        """client-request-id comes back in header and error body; a value that is no id does not."""
        named = "5d5a2e5c-0000-4000-8000-00000000abcd"
        answer = house.get("/education/x", headers={"client-request-id": named})
        assert error_of(answer, 400, "BadRequest")["innerError"]["client-request-id"] == named
        answer = house.get("/education/x", headers={"client-request-id": "two words"})
        assert answer.headers["client-request-id"] == answer.headers["request-id"]

    def test_without_a_body_have_no_type(self, town: Any, ids: Any) -> None:
        """No body means no Content-Type: the JavaScript client would try to parse nothing."""
        deleted = town.send("DELETE", f"/education/users/{ids('person', 4)}")
        assert deleted.status_code == 204
        assert "content-type" not in deleted.headers
        assert deleted.content == b""

    def test_to_head_are_those_to_get_without_the_body(self, town: Any) -> None:
        """HEAD says what GET would say, length included, and sends nothing."""
        got, head = town.get("/education/schools"), town.send("HEAD", "/education/schools")
        assert head.status_code == 200
        assert head.content == b""
        assert head.headers["content-length"] == str(len(got.content))
        assert town.send("HEAD", "/education/schools/none").status_code == 404
        assert error_of(town.get("/education/schools/none"), 404, "Request_ResourceNotFound")

    def test_to_a_count_are_plain_digits(self, town: Any) -> None:
        """$count answers text/plain, for whichever Accept a client sends along."""
        for accept in ("text/plain;q=0.9", "*/*", "application/json"):
            answer = town.get("/education/users/$count", headers={"Accept": accept})
            assert (answer.text, answer.headers["content-type"]) == ("6", "text/plain")

    def test_to_a_bug_tell_nothing_and_are_logged_without_data(
        self, town: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """What nobody refused is 500 with a plain sentence; neither answer nor log repeats the failing value."""

        def explode(*_: object) -> None:
            raise ValueError("Ane Lunde was born 2011-05-17")

        monkeypatch.setattr("schoolsync.graph.rows.render.selection", explode)
        answer = town.get("/education/schools")
        error_of(answer, 500, "InternalError")
        shown = capsys.readouterr()
        assert "Ane" not in answer.text + shown.out + shown.err
        assert "request_failed" in shown.out + shown.err

    @pytest.mark.parametrize(
        "problem", [WorldError("disk gone at /somewhere/secret"), OSError(errno.ENOSPC, "no room", "/somewhere/secret")]
    )
    def test_when_the_world_fails_ask_to_come_back(
        self, town: Any, monkeypatch: pytest.MonkeyPatch, problem: Exception
    ) -> None:
        """A database that cannot be used, or a disk that is full, is 503 with Retry-After, which clients obey."""

        def fail(*_: object, **__: object) -> None:
            raise problem

        for way in ("read", "ask"):
            monkeypatch.setattr(type(town.services.directories), way, fail)
        for path in ("/education/schools", "/education/schools?$top=1"):
            answer = town.get(path)
            error_of(answer, 503, "serviceNotAvailable")
            assert int(answer.headers["retry-after"]) > 0
            assert "secret" not in answer.text


class TestTokens:
    def test_are_needed_everywhere(self, house: Any) -> None:
        """Without a token: 401 that names the issuer and never asks for claims, wherever the address leads."""
        for path in ("/education/schools", "/education/nowhere", "https://sds.example.org/nowhere"):
            answer = house.send("GET", path, authorization=None)
            assert error_of(answer, 401, "InvalidAuthenticationToken")["message"] == "Access token is empty."
            challenge = answer.headers["www-authenticate"]
            assert 'authorization_uri="https://sds.example.org/common/oauth2/authorize"' in challenge
            assert challenge.startswith('Bearer realm=""')
            assert "claims" not in challenge

    def test_without_the_permission_say_which_claim_is_missing(self, house: Any, token: Any) -> None:
        """403 AccessDenied in the words that live clients know."""
        messages = {
            "delegated": "Required scp claim values are not provided.",
            "none": "Either scp or roles claim need to be present in the token.",
        }
        for kind, message in messages.items():
            answer = house.get("/education/classes", authorization=token("User.Read", kind=kind))
            assert error_of(answer, 403, "AccessDenied")["message"] == message
        answer = house.get("/education/classes", authorization=token("User.Read.All"))
        assert "roles" in error_of(answer, 403, "AccessDenied")["message"]

    def test_are_checked_before_the_body_is_read(self, house: Any, token: Any) -> None:
        """Whoever may not write learns that first, however wrong the body is."""
        reader = token("EduRoster.Read.All")
        answer = house.send("POST", "/education/users", content=b"{", authorization=reader)
        error_of(answer, 403, "AccessDenied")


class TestBodies:
    def test_that_are_no_json_are_refused(self, house: Any) -> None:
        """Malformed, truncated, empty, deeply nested and non-object bodies are 400."""
        for content in (b"{", b"", b"  ", b"[1]", b'"x"', b"null", b'{"a":"\xff"}', b"[" * 100_000, b'{"a":"\\ud800"}'):
            answer = house.send(
                "POST", "/education/users", content=content, headers={"Content-Type": "application/json"}
            )
            error_of(answer, 400, "BadRequest")

    def test_of_another_type_are_415(self, house: Any) -> None:
        """Only JSON is taken; no type at all counts as JSON."""
        for kind in ("application/x-www-form-urlencoded", "text/plain", "application/xml"):
            answer = house.send("POST", "/education/users", content=b"{}", headers={"Content-Type": kind})
            error_of(answer, 415, "UnsupportedMediaType")
        for number, kind in enumerate(
            ("application/json", "application/json;charset=UTF-8;IEEE754Compatible=true", "Application/JSON", None)
        ):
            body = {**NEW_PERSON, "userPrincipalName": f"gro{number}@skole.example"}
            answer = house.send(
                "POST",
                "/education/users",
                content=json.dumps(body).encode(),
                headers={"Content-Type": kind} if kind else {},
            )
            assert answer.status_code == 201, answer.text

    def test_with_a_byte_order_mark_are_read(self, house: Any) -> None:
        """Windows tools put a mark before UTF-8."""
        content = b"\xef\xbb\xbf" + json.dumps(NEW_PERSON).encode()
        assert house.send("POST", "/education/users", content=content).status_code == 201

    def test_larger_than_the_limit_are_413(self, build: Any) -> None:
        """The limit is a setting; a body above it is refused unread."""
        house = build(body_max_bytes=1000)
        answer = house.send("POST", "/education/users", {**NEW_PERSON, "department": "x" * 1000})
        error_of(answer, 413, "RequestEntityTooLarge")
        assert house.send("POST", "/education/users", NEW_PERSON).status_code == 201

    def test_that_come_too_slowly_are_408(self, house: Any) -> None:
        """Whoever stops in the middle of a body hears so in Graph's words, and that the connection ends."""
        answers: list[dict[str, Any]] = []
        sent = {"authorization": house.authorization, "content-type": "application/json", "content-length": "100"}
        scope = {
            "type": "http",
            "method": "POST",
            "scheme": "https",
            "path": "/v1.0/education/users",
            "raw_path": b"/v1.0/education/users",
            "query_string": b"",
            "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
            "client": ("127.0.0.1", 4711),
            "server": ("sds.example.org", 443),
            "state": {},
        }
        waiting = [{"type": "http.request", "body": b"{", "more_body": True}]

        async def receive() -> Any:
            if not waiting:
                await asyncio.Event().wait()
            return waiting.pop()

        async def send(message: Any) -> None:
            answers.append(message)

        asyncio.run(connections.paced(house.app, patience=0.2, slowest=1e9)(scope, receive, send))
        assert answers[0]["status"] == 408
        assert (b"connection", b"close") in answers[0]["headers"]
        assert json.loads(answers[1]["body"])["error"]["code"] == "RequestTimeout"

    def test_where_none_is_expected_are_ignored(self, town: Any) -> None:
        """Old collections send JSON with GET, a Content-Type without a body, and {} with actions."""
        assert town.send("GET", "/education/schools", content=b'{"x":1}').status_code == 200
        assert town.get("/education/schools", headers={"Content-Type": "application/json"}).status_code == 200
        action = "/education/synchronizationProfiles/11111111-1111-4111-8111-111111111111/pause"
        error_of(town.send("POST", action, {}), 404, "NotFound")


class TestNegotiation:
    @pytest.mark.parametrize(
        "accept",
        [
            "application/json",
            "*/*",
            "application/*",
            "application/json;odata.metadata=minimal",
            "text/html, */*;q=0.1",
            "",
        ],
    )
    def test_json_is_sent_to_whoever_takes_it(self, town: Any, accept: str) -> None:
        """Every way of taking JSON is understood."""
        assert town.get("/education/schools", headers={"Accept": accept}).status_code == 200

    @pytest.mark.parametrize("accept", ["application/xml", "text/html", "text/plain", "application/json;q=0"])
    def test_nothing_else_can_be_had(self, town: Any, accept: str) -> None:
        """An Accept that leaves JSON out is 406, with a JSON error all the same."""
        error_of(town.get("/education/schools", headers={"Accept": accept}), 406, "NotAcceptable")

    def test_format_can_only_be_json(self, town: Any) -> None:
        """$format=json is taken, $format=xml is not."""
        assert town.get("/education/schools?$format=json").status_code == 200
        error_of(town.get("/education/schools?$format=xml"), 406, "NotAcceptable")

    def test_a_method_that_a_path_does_not_have_is_405(self, house: Any, ids: Any) -> None:
        """405 names the methods that there are."""
        answer = house.send("DELETE", "/education/me")
        error_of(answer, 405, "Request_BadRequest")
        assert answer.headers["allow"] == "GET, PATCH, HEAD, OPTIONS"
        status = "/education/synchronizationProfiles/11111111-1111-4111-8111-111111111111/profileStatus"
        answer = house.send("PUT", status, {})
        error_of(answer, 405, "Request_BadRequest")
        assert answer.headers["allow"] == "GET, PATCH, DELETE, HEAD, OPTIONS"

    def test_preferences_that_mean_nothing_here_are_ignored(self, town: Any) -> None:
        """respond-async, odata.continue-on-error, ConsistencyLevel and unknown headers change nothing."""
        headers = {
            "Prefer": "respond-async, odata.continue-on-error",
            "ConsistencyLevel": "eventual",
            "SdkVersion": "x",
        }
        answer = town.get("/education/schools", headers={**headers, "Retry-Attempt": "2", "If-Match": "*"})
        assert answer.status_code == 200
        assert "preference-applied" not in answer.headers


class TestBrowsers:
    def test_may_ask_first(self, house: Any) -> None:
        """A preflight is answered without a token and allows what was asked for."""
        answer = house.send(
            "OPTIONS",
            "/education/users",
            headers={"Origin": "https://app.example", "Access-Control-Request-Headers": "authorization,x-mine"},
            authorization=None,
        )
        assert answer.status_code == 204
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["access-control-allow-headers"] == "authorization,x-mine"
        assert set(answer.headers["access-control-allow-methods"].split(",")) >= {
            "GET",
            "POST",
            "PATCH",
            "PUT",
            "DELETE",
        }
        assert int(answer.headers["access-control-max-age"]) > 0

    def test_may_read_what_they_need(self, house: Any) -> None:
        """Answers and errors alike name the headers that a page may read."""
        for authorization in ("", None):
            answer = house.send(
                "GET", "/education/schools", headers={"Origin": "https://app.example"}, authorization=authorization
            )
            assert answer.headers["access-control-allow-origin"] == "*"
            for header in ("request-id", "ETag", "Retry-After", "WWW-Authenticate"):
                assert header in answer.headers["access-control-expose-headers"]


class TestThePublicUrl:
    def test_is_the_requests_own_when_none_is_set(self, town: Any) -> None:
        """Links carry the scheme, host and version that the client used."""
        link = town.get("/education/schools?$top=1", base="http://localhost:8080").json()["@odata.nextLink"]
        assert link.startswith("http://localhost:8080/v1.0/education/schools?$top=1&$skiptoken=")
        context = town.get("/beta/education/schools").json()["@odata.context"]
        assert context == "https://sds.example.org/beta/$metadata#education/schools"

    def test_is_what_the_operator_says(self, build: Any, furnish: Any, tenant: str) -> None:
        """A configured public URL wins over whatever the request and its headers say."""
        house = build(public_url="https://roster.example/sds/", trusted_proxies=("127.0.0.1",))
        furnish(house, tenant)
        page = house.get("/education/schools?$top=1", headers={"X-Forwarded-Host": "evil.example"}).json()
        assert page["@odata.nextLink"].startswith("https://roster.example/sds/v1.0/education/schools?")

    def test_follows_a_trusted_proxy(self, build: Any) -> None:
        """Forwarded scheme, host and port are believed from the addresses in the setting, and from no other."""
        house = build(trusted_proxies=("10.1.0.0/16", "::1"))
        forwarded = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "sds.example.net", "X-Forwarded-Port": "8443"}

        def context(address: str, headers: dict[str, str]) -> str:
            answer = house.get("/education", headers=headers, client=(address, 1), base="http://inner:8080")
            found: str = answer.json()["@odata.context"].partition("/v1.0")[0]
            return found

        assert context("10.1.2.3", forwarded) == "https://sds.example.net:8443"
        assert context("::ffff:10.1.2.3", forwarded) == "https://sds.example.net:8443"
        assert context("::1", {**forwarded, "X-Forwarded-Port": "443"}) == "https://sds.example.net"
        assert context("10.2.0.1", forwarded) == "http://inner:8080"
        assert context("not-an-address", forwarded) == "http://inner:8080"
        assert context("10.1.2.3", {"X-Forwarded-Host": 'evil"/<>'}) == "http://127.0.0.1:8080"

    def test_setting_with_no_address_is_refused_at_the_start(self, build: Any) -> None:
        """A trusted proxy that is no address is found before the first request."""
        with pytest.raises(UsageError, match="trusted_proxies"):
            build(trusted_proxies=("proxy.example",))


class TestHealth:
    def test_is_told_without_a_token(self, house: Any) -> None:
        """200 when requests and runs can be served, 503 before."""
        assert house.send("GET", "/healthz", authorization=None).status_code == 200
        house.ready = False
        said = error_of(house.send("GET", "/healthz", authorization=None), 503, "serviceNotAvailable")
        assert "starting" in said["message"]
        error_of(house.send("POST", "/healthz", authorization=None), 405, "Request_BadRequest")


class TestQueryOptions:
    @pytest.mark.parametrize(
        "query",
        [
            "$nonsense=1",
            "$top=-1",
            "$top=x",
            "$top=1.5",
            "$skip=-1",
            "$count=perhaps",
            "$select=nonsense",
            "$select=student/nonsense",
            "$orderby=nonsense",
            "$orderby=displayName sideways",
            "$orderby=relatedContacts",
            "$top=1&$top=2",
            "$top=1&top=2",
            "$skiptoken=nonsense",
            "$skiptoken=",
            "$skiptoken=%00",
            "$filter=%ff",
        ],
    )
    def test_that_cannot_be_understood_are_400(self, town: Any, query: str) -> None:
        """Wrong options are refused by name, not ignored."""
        error = error_of(town.get(f"/education/users?{query}"), 400, "BadRequest")
        assert "$" in error.get("target", "$")

    def test_may_leave_the_dollar_off(self, town: Any) -> None:
        """select, top and count work as $select, $top and $count do, escaped or not, in any letter case."""
        for query in (
            "$select=id&$top=1&$count=true",
            "select=id&top=1&count=true",
            "%24Select=id&%24TOP=1&$Count=True",
        ):
            page = town.get(f"/education/users?{query}").json()
            assert page["@odata.count"] == 6
            assert [set(item) for item in page["value"]] == [{"id"}]

    def test_that_are_nobodys_are_ignored(self, town: Any) -> None:
        """A plain unknown key in the query does nothing."""
        assert len(town.ids("/education/users?nonce=1&x=y")) == 6


class TestCompression:
    def test_is_for_those_who_ask(self, still_town: Any) -> None:
        """A long answer is gzip when Accept-Encoding takes it, and says so; the content is the same."""
        path = "/education/users"
        packed = still_town.get(path, headers={"Accept-Encoding": "br;q=1, gzip"})
        plain = still_town.get(path, headers={"Accept-Encoding": "gzip;q=0, identity"})
        assert packed.headers["content-encoding"] == "gzip"
        assert "content-encoding" not in plain.headers
        assert int(packed.headers["content-length"]) < int(plain.headers["content-length"])
        assert packed.json() == plain.json()
        assert "content-encoding" not in still_town.get("/education/users/$count").headers
