"""The manners of Graph on the wire: methods, lengths, encodings, versions, and what comes later."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import subprocess
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from schoolsync.testing import rosters

from .house import DOMAIN, Api, Json, Profile, Server, Tenant, check_answer, creation
from .rosters import DISTRICT

EVERY_ROLE = ("EduAdministration.ReadWrite.All", "EduRoster.ReadWrite.All")


@pytest.fixture(scope="module")
def synced(server: Server) -> Profile:
    """A synchronized district that the tests below only read."""
    profile = Tenant(server).profile()
    assert profile.sync(DISTRICT.files())["status"] == "success"
    return profile


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/education/lunch", 400),
        ("GET", "/education/schools/1/2/3", 400),
        ("GET", "/me", 400),
        ("GET", "/devices", 400),
        ("POST", "/$batch", 400),
        ("POST", "/$metadata", 405),
        ("DELETE", "/education/me", 405),
        ("DELETE", "/education/schools", 405),
        ("TRACE", "/education/schools", 405),
    ],
)
def test_what_is_not_there_is_refused_in_graphs_words(synced: Profile, method: str, path: str, status: int) -> None:
    """Unknown paths, methods and the parts of Graph that come later are Graph errors, never silence."""
    api = synced.tenant.api(roles=EVERY_ROLE)
    for version in ("v1.0", "beta"):
        body: Json | None = {} if method == "POST" else None
        answer = api(method, f"{synced.tenant.server.base}/{version}{path}", body)
        assert answer.status_code == status, answer.text
        if answer.status_code == 405:
            assert answer.headers["allow"]
            assert answer.json()["error"]["code"] == "Request_BadRequest"


def test_unknown_roots_and_versions(server: Server) -> None:
    """Paths outside of the API answer a Graph error too."""
    for path in ("/", "/v2.0/education/schools", "/education/schools", "/v1.0", "/favicon.ico"):
        answer = server.http.get(f"{server.base}{path}")
        assert answer.status_code in {200, 400, 401, 404}, path
        if answer.status_code >= 400:
            check_answer(answer)


def test_ids_of_requests_come_back(synced: Profile) -> None:
    """client-request-id is echoed, request-id is new each time, and both stand in errors."""
    mine = str(uuid.uuid4())
    headers = {"client-request-id": mine, "SdkVersion": "graph-js/3.0.7 (featureUsage=6)", "Retry-Attempt": "1"}
    first = synced.api("GET", synced.path, headers=headers, expect=200)
    second = synced.api("GET", f"{synced.path}x", headers=headers)
    assert first.headers["client-request-id"] == second.headers["client-request-id"] == mine
    assert first.headers["request-id"] != second.headers["request-id"]
    assert second.json()["error"]["innerError"]["client-request-id"] == mine


def test_head_and_options(synced: Profile) -> None:
    """HEAD is GET without the body; a browser's preflight needs no token."""
    server = synced.tenant.server
    url = f"{server.base}/v1.0/education{synced.path}"
    sent = {"Authorization": f"Bearer {synced.api.token}"}
    head = server.http.head(url, headers=sent)
    assert head.status_code in {200, 405}
    assert head.content == b""
    preflight = server.http.options(
        url,
        headers={
            "Origin": "https://app.example",
            "Access-Control-Request-Method": "PATCH",
            "Access-Control-Request-Headers": "authorization,content-type,if-match",
        },
    )
    assert preflight.status_code in {200, 204}
    assert preflight.headers["access-control-allow-origin"] in {"*", "https://app.example"}
    assert "PATCH" in preflight.headers["access-control-allow-methods"]
    for name in ("authorization", "content-type", "if-match"):
        assert name in preflight.headers["access-control-allow-headers"].lower()
    answer = server.http.get(url, headers=sent | {"Origin": "https://app.example"})
    exposed = answer.headers["access-control-expose-headers"].lower()
    for name in ("etag", "location", "preference-applied", "request-id", "www-authenticate", "retry-after"):
        assert name in exposed


def test_bodies_that_are_too_large_are_413(synced: Profile) -> None:
    """A body over the limit is refused, said long before it is read whole."""
    body = json.dumps({"statusMessage": "x" * (5 * 1024 * 1024)}).encode()
    try:
        answer = synced.api(
            "PATCH", f"{synced.path}/profileStatus", content=body, headers={"Content-Type": "application/json"}
        )
    except httpx.WriteError:
        pytest.fail("the connection was cut before the answer could be read")
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "RequestEntityTooLarge"


@pytest.mark.parametrize(
    ("path", "given", "status", "code"),
    [
        ("/education/schools", {"X-Padding": "x" * 70_000}, 431, "RequestHeaderFieldsTooLarge"),
        (
            "/education/schools",
            {f"X-{number}": "x" * 7_000 for number in range(60)},
            431,
            "RequestHeaderFieldsTooLarge",
        ),
        ("/education/schools?$filter=" + "x" * 40_000, {}, 414, "RequestUriTooLong"),
    ],
)
def test_headers_and_addresses_that_are_too_large(
    synced: Profile, path: str, given: dict[str, str], status: int, code: str
) -> None:
    """More than any client sends is answered as every refusal is, and the connection goes on."""
    api = synced.tenant.api(roles=EVERY_ROLE)
    for prefix in ("/v1.0", "/beta"):
        answer = api("GET", f"{synced.tenant.server.base}{prefix}{path}", headers=given)
        check_answer(answer)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    own = api("GET", f"{synced.tenant.server.base}/schoolsync/v1/profiles", headers={"X-Padding": "x" * 70_000})
    assert own.status_code == 431
    assert api("GET", f"{synced.tenant.server.base}/v1.0/education/schools").status_code == 200


def test_bodies_in_chunks_are_read(synced: Profile) -> None:
    """A body without Content-Length, in chunks, is as good as any."""
    parts = urlsplit(synced.tenant.server.base)
    assert parts.hostname is not None
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)
    headers = {"Authorization": f"Bearer {synced.api.token}", "Content-Type": "application/json"}
    connection.request(
        "PATCH",
        f"/v1.0/education{synced.path}/profileStatus",
        iter([b'{"status', b'Message": ', b'"in pieces"}']),
        headers,
        encode_chunked=True,
    )
    answer = connection.getresponse()
    assert answer.status == 200
    assert json.loads(answer.read())["statusMessage"] == "in pieces"
    connection.close()


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /v1.0/education/me HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \xff\xfe\r\nConnection: close\r\n\r\n",
        b"GET /v1.0/education/schools/%00 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"GET /v1.0/education/%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"GET /v1.0/education/users/%ff HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"GET /v1.0/education/users?$filter=%ff%fe HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"POST /uploads/x/y?sig=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    ],
    ids=["bytes in a header", "nul", "dots", "no UTF-8 in the path", "no UTF-8 in the query", "a strange upload"],
)
def test_strange_bytes_do_no_harm(server: Server, sent: bytes) -> None:
    """Whatever comes over the socket is answered with a client error, and the server goes on."""
    parts = urlsplit(server.base)
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as connection:
        connection.sendall(sent)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    assert answer.split(b" ", 2)[1].startswith(b"4"), answer[:300]
    assert server.healthy()


ONE_HEADER = b"GET /v1.0/education/me HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"


@pytest.mark.parametrize(
    ("status", "sent"),
    [
        (b"400", b"GET /v1.0/education/me\r\n\r\n"),
        (b"400", b"GET /v1.0/education/us ers HTTP/1.1\r\nHost: a\r\n\r\n"),
        (b"400", b"GET / HTTP/1.1\r\nHost: a\r\nno header\r\n\r\n"),
        (b"400", b'GET /v1.0/education/users?$search="x" HTTP/1.1\r\nHost: a\r\n\r\n'),
        (b"400", b"GET /v1.0/education/users?$filter=a<b HTTP/1.1\r\nHost: a\r\n\r\n"),
        (b"400", b"POST /v1.0/education/users HTTP/1.1\r\nHost: a\r\nContent-Length: a\r\n\r\n"),
        (b"400", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        (b"400", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n"),
        (b"414", b"GET /" + b"a" * 65_534 + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
        (b"431", ONE_HEADER + b"".join(b"A%d: b\r\n" % number for number in range(99)) + b"\r\n"),
        (b"431", ONE_HEADER + b"A: " + b"b" * 600_000 + b"\r\n\r\n"),
        # These come as far as us, and get a Graph error.
        (b"401", ONE_HEADER.replace(b"GET", b"BREW") + b"\r\n"),
        (b"401", ONE_HEADER + b"".join(b"A%d: b\r\n" % number for number in range(98)) + b"\r\n"),
        (b"414", b"GET /" + b"a" * 65_533 + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
        (b"431", ONE_HEADER + b"A: " + b"b" * 100_000 + b"\r\n\r\n"),
    ],
)
def test_what_is_no_request_gets_a_bare_answer(server: Server, status: bytes, sent: bytes) -> None:
    """Either a Graph error with its type, or no body and no type, which both SDKs can take; then the line is cut."""
    parts = urlsplit(server.base)
    answer = b""
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection, suppress(ConnectionError):
        connection.sendall(sent)
        while part := connection.recv(65536):
            answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split(b" ", 2)[1] == status, answer[:300]
    assert (b"content-type: application/json" in head.lower()) == bool(body)
    if body:
        assert json.loads(body)["error"]["code"]
    assert server.healthy()


@pytest.mark.parametrize(
    "rest",
    [
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 18 + b"\r\nhello\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
        b'Content-Length: 50\r\n\r\n{"errorCount": 1}',
    ],
    ids=["no size", "a size beyond all", "cut in a chunk", "less than announced"],
)
def test_bodies_that_break_off_are_refused_in_graphs_words(synced: Profile, rest: bytes) -> None:
    """Bad chunks and half a body end in a Graph error for whoever still listens, and nothing is done."""
    parts = urlsplit(synced.tenant.server.base)
    line = f"PATCH /v1.0/education{synced.path}/profileStatus HTTP/1.1\r\nHost: {parts.netloc}\r\n"
    head = f"{line}Authorization: Bearer {synced.api.token}\r\nContent-Type: application/json\r\n".encode()
    before, answer = synced.status(), b""
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as connection, suppress(ConnectionError):
        connection.sendall(head + rest)
        connection.shutdown(socket.SHUT_WR)
        while part := connection.recv(65536):
            answer += part
    said, _, body = answer.partition(b"\r\n\r\n")
    assert said.split(b" ", 2)[1] == b"400", answer[:300]
    error = json.loads(body)["error"]
    assert (error["code"], set(error["innerError"])) == ("BadRequest", {"date", "request-id", "client-request-id"})
    assert synced.status() == before


def test_many_at_once(synced: Profile) -> None:
    """Hundreds of readers and writers together see no error and no stale mixture."""
    tenant = synced.tenant
    reader, admin = tenant.reader, tenant.admin
    profile = tenant.profile(creation(displayName="Busy"))

    def one(number: int) -> int:
        if number % 4 == 0:
            return admin("PATCH", f"{profile.path}/profileStatus", {"errorCount": number}).status_code
        if number % 4 == 1:
            body = {
                "displayName": f"n{number}",
                "accountEnabled": True,
                "mailNickname": f"n{number}",
                "userPrincipalName": f"n{number}@{DOMAIN}",
                "passwordProfile": {"password": "Fjord-2026-x"},
            }
            return reader("POST", "/users", body).status_code
        return reader("GET", ("/users", "/classes")[number % 2]).status_code

    with ThreadPoolExecutor(32) as pool:
        statuses = list(pool.map(one, range(400)))
    assert set(statuses) == {200, 201}
    assert len([user for user in reader.all("/users?$top=999") if user["userPrincipalName"].startswith("n")]) == 100


QUERIES: list[tuple[str, str, set[str]]] = [
    ("users", "primaryRole eq 'teacher'", {"5001", "5002"}),
    ("users", "student/externalId eq '3001' or student/externalId eq '3002'", {"3001", "3002"}),
    ("users", "startswith(givenName,'Z')", {"3001"}),
    ("users", "surname eq 'O''Brien'", {"3002"}),
    ("users", "student/birthDate lt 2013-03-01", {"3001"}),
    (
        "users",
        "accountEnabled eq true and surname eq 'Silva' and userPrincipalName ne 'asilva@skole.example'",
        {"3006"},
    ),
    ("users", "displayName in ('Zoë Müller','Ana Silva') and student/externalId gt '3003'", {"3004", "3006"}),
    ("users", "not startswith(surname,'S') and externalSource eq 'sis' and teacher/teacherNumber eq 't5002'", {"5002"}),
    ("users", "contains(userPrincipalName,'silva')", {"3004", "3006"}),
    ("users", "endswith(mailNickname,'2')", {"3006"}),
    ("users", "middleName eq null and surname eq 'Silva'", {"3004", "3006"}),
    ("classes", "externalId eq 'M1' or course/subject eq 'French'", {"M1", "F1"}),
    ("classes", "term/startDate eq 2026-08-17 and startswith(displayName,'Math')", {"M1", "M2"}),
    ("users", "surname eq 'MÜLLER' or startswith(displayName,'łUKASZ DVOŘ')", {"3001", "3003"}),
    ("schools", "contains(displayName,'LYCÉE') and displayName in ('x','ålesund Lycée')", {"200"}),
    ("schools", "displayName ne 'ålesund LYCÉE' and not endswith(address/city,'VÅGS')", {"100"}),
    ("schools", "address/city eq 'Honningsvåg' and schoolNumber ge '4502'", {"200"}),
]


@pytest.mark.parametrize(("kind", "condition", "expected"), QUERIES, ids=[query[1] for query in QUERIES])
def test_filters(synced: Profile, kind: str, condition: str, expected: set[str]) -> None:
    """$filter finds what it says, in lists and in /$count, with its options encoded either way."""
    read = synced.tenant.reader

    def source_id(item: Json) -> str:
        person: Any = (item.get("student") or {}).get("externalId") or (item.get("teacher") or {}).get("externalId")
        return str(item.get("externalId") or person)

    found = {source_id(item) for item in read.all(f"/{kind}?$filter={condition}")}
    assert found == expected
    assert {source_id(item) for item in read.all(f"/{kind}?%24filter={condition}&%24top=1")} == expected
    assert read("GET", f"/{kind}/$count?$filter={condition}", expect=200).text == str(len(expected))
    assert read.get(f"/{kind}?filter={condition}&count=true")["@odata.count"] == len(expected)


@pytest.mark.parametrize(
    "option",
    [
        "$filter=",
        "$filter=surname",
        "$filter=surname eq",
        "$filter=colour eq 'x'",
        "$filter=surname eq 'x' and",
        "$filter=surname eq 'x",
        "$filter=birthDate eq 'x'",
        "$filter=accountEnabled eq 'yes'",
        "$filter=" + "not (" * 3000 + "surname eq 'x'" + ")" * 3000,
        "$filter=" + " or ".join(["surname eq 'x'"] * 900),
        "$orderby=colour",
        "$orderby=surname sideways",
        "$top=0.5",
        "$top=-1",
        "$skip=x",
        "$select=colour",
        "$skiptoken=nonsense",
        "$bogus=1",
        "$count=perhaps",
    ],
    ids=lambda option: option[:40],
)
def test_wrong_options(synced: Profile, option: str) -> None:
    """What cannot be understood is 400 with a Graph error, quickly, and never an SQL error."""
    error = synced.tenant.reader.refusal("GET", f"/users?{option}", 400)
    assert error["code"] in {"BadRequest", "Request_BadRequest", "Request_UnsupportedQuery"}
    assert "sql" not in error["message"].lower()


def test_values_in_filters_are_values(synced: Profile) -> None:
    """Quotes, percent signs and other letters with a meaning elsewhere mean themselves."""
    read = synced.tenant.reader
    for text in ("%", "_", "'';--", "\\", "x''); DROP TABLE people;--"):
        encoded = text.replace("%", "%25").replace(";", "%3B")
        for function in ("startswith", "contains", "endswith"):
            assert read.all(f"/users?$filter={function}(surname,'{encoded}')") == []
        assert read.all(f"/users?$filter=surname eq '{encoded}'") == []
    assert len(read.all("/users?$filter=startswith(userPrincipalName,'zmuller')")) == 1


def test_pages_survive_what_happens_between_them(server: Server) -> None:
    """Whoever pages while people come and go misses nobody who stays and sees nobody twice."""
    tenant = Tenant(server)
    read = tenant.reader

    def make(name: str) -> str:
        body = {
            "displayName": name,
            "accountEnabled": True,
            "mailNickname": name,
            "userPrincipalName": f"{name}@{DOMAIN}",
            "passwordProfile": {"password": "Fjord-2026-x"},
        }
        return str(read("POST", "/users", body, expect=201).json()["id"])

    staying = {make(f"s{number:02}") for number in range(20)}
    going = {make(f"g{number:02}") for number in range(20)}
    seen: list[str] = []
    link: str | None = "/users?$top=3&$orderby=displayName desc"
    while link:
        page = read.get(link)
        seen += [item["id"] for item in page["value"]]
        link = page.get("@odata.nextLink")
        if going:
            read("DELETE", f"/users/{going.pop()}", expect=204)
            make(f"n{len(going)}")
    assert staying <= set(seen)
    assert len(seen) == len(set(seen))


def test_next_links_are_as_old_clients_need_them(synced: Profile) -> None:
    """A next link repeats every option, and a client may send the bare token alone: it is self-sufficient and plain."""
    read = synced.tenant.reader
    page = read.get("/users?$top=2&$select=displayName&$filter=primaryRole eq 'student'&$orderby=displayName")
    link = httpx.URL(page["@odata.nextLink"])
    assert str(link).startswith(f"{synced.tenant.server.base}/v1.0/education/users?")
    token = link.params["$skiptoken"]
    assert all(letter.isalnum() or letter in "-._~" for letter in token)
    assert link.params["$select"] == "displayName"
    following = read.get(page["@odata.nextLink"])
    alone = read.get(f"/users?$skiptoken={token}")
    assert alone["value"] == following["value"]
    assert read.get(str(link).replace("$", "%24"))["value"] == following["value"]
    names = [item["displayName"] for item in page["value"] + following["value"]]
    assert names == sorted(names)


def test_page_sizes(server: Server, tmp_path: Path) -> None:
    """One hundred on a page unless asked for more, never more than 999, and $count counts all."""
    folder = tmp_path / "roster"
    rosters.write(folder, people=1200, classes=60, enrollments=3000)
    tenant = Tenant(server)
    profile = tenant.profile()
    assert profile.sync({path.name: path.read_bytes() for path in folder.iterdir()})["status"] == "success"
    read = tenant.reader
    first = read.get("/users?$count=true")
    assert len(first["value"]) == 100
    assert first["@odata.count"] == 1200
    assert len(read.get("/users?$top=5000")["value"]) == 999
    assert len(read.get("/users?$top=7")["value"]) == 7
    ids = [item["id"] for item in read.all("/users?$select=id")]
    assert len(ids) == len(set(ids)) == 1200
    hinted = read("GET", "/users", headers={"Prefer": "odata.maxpagesize=11"}, expect=200).json()
    assert len(hinted["value"]) in {11, 100}


def test_curl_uploads_a_large_file(tenant: Tenant, tmp_path: Path) -> None:
    """`curl -T` waits for 100 Continue before a body of some megabytes, and gets it."""
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed")
    profile = tenant.profile()
    path, _, signature = profile.api.get(f"{profile.path}/uploadUrl")["value"].partition("?")
    large = tmp_path / "School.csv"
    large.write_text(DISTRICT.files()["School.csv"] + "".join(f"{n},School {n}\r\n" for n in range(1000, 150_000)))
    answer = subprocess.run(
        [
            *(curl, "-sS", "-i", "-X", "PUT", "-T", large, "-H", "x-ms-blob-type: BlockBlob"),
            *("-H", "Expect: 100-continue", f"{path}/School.csv?{signature}"),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "HTTP/1.1 201" in answer.stdout
    assert "x-ms-request-id" in answer.stdout.lower()
    without = subprocess.run(
        [curl, "-sS", "-i", "-X", "PUT", "-T", large, f"{path}/School.csv?{signature}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert " 400" in without.stdout
    assert "MissingRequiredHeader" in without.stdout


def test_curl_reads_and_reports(tenant: Tenant) -> None:
    """The README's way: curl with a bearer token and a JSON file is all a script needs."""
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed")
    profile = tenant.profile()
    url = f"{tenant.server.base}/v1.0/education{profile.path}/profileStatus"
    answer = subprocess.run(
        [
            *(curl, "-sS", "-f", "-X", "PATCH", "-H", f"Authorization: Bearer {profile.api.token}"),
            *("-H", "Content-Type: application/json", "-d", '{"status": "success"}', url),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert json.loads(answer.stdout)["status"] == "success"


def test_both_versions_show_the_same_directory(synced: Profile) -> None:
    """v1.0 and beta answer the same objects, each with contexts and links of its own version."""
    token = synced.tenant.reader.token
    shown = {}
    for version in ("v1.0", "beta"):
        api = Api(synced.tenant.server, token, version)
        page = api.get("/users?$top=2")
        assert f"/{version}/" in page["@odata.nextLink"]
        shown[version] = {
            kind: {item["id"]: item.get("externalId") for item in api.all(f"/{kind}")}
            for kind in ("schools", "classes", "users")
        }
    assert shown["v1.0"] == shown["beta"]
