"""Every refusal, provoked in the layer that it comes from, as both SDKs read it."""

from __future__ import annotations

import contextlib
import json
import socket
import sqlite3
import ssl
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from kiota_abstractions.method import Method
from kiota_abstractions.request_information import RequestInformation
from kiota_http.middleware.options import RetryHandlerOption
from msgraph_beta.generated.models.o_data_errors.o_data_error import ODataError

from .conftest import Driven, another_database
from .house import GUID, READ, ROSTER_READ, WRITE, Json, Profile, Server, Tenant, creation, serving, until
from .sdk import graph

pytestmark = pytest.mark.xdist_group("tls")
STATUS = "/education/synchronizationProfiles/{profile}/profileStatus"
REPORT = {"errorCount": 1}
ENOUGH = 100
"""Requests that the server of these tests lets one program make in one tenant."""
STANDS = 3
"""Seconds that a body may stand still there."""


@dataclass(frozen=True)
class Call:
    """A request, and how it has to be refused."""

    status: int
    code: str
    method: str = "PATCH"
    path: str = STATUS
    body: Any = field(default_factory=REPORT.copy)
    headers: dict[str, str] = field(default_factory=dict)
    token: str = "person"


# Where each comes from: reading the body, the token, the scopes, the database of profiles, the routes, what the caller
# takes, the pace of the connection, the state of a profile, the tag, the length of the body, its type, the throttle,
# the size of the headers, a row that nobody wrote (which looks like a bug of ours), a directory that cannot be read.
CALLS = (
    Call(400, "BadRequest", body={"colour": 1}),
    Call(401, "InvalidAuthenticationToken", token="broken"),
    Call(403, "AccessDenied", token="reader"),
    Call(404, "NotFound", path=STATUS.format(profile=uuid.UUID(int=4))),
    Call(405, "Request_BadRequest", method="PUT"),
    Call(406, "NotAcceptable", headers={"Accept": "application/xml"}),
    Call(408, "RequestTimeout", path="{slow}/v1.0" + STATUS, body={"statusMessage": "x" * 10_000}),
    Call(409, "Conflict", method="POST", path="/education/synchronizationProfiles/{paused}/start", body={}),
    Call(412, "PreconditionFailed", headers={"If-Match": 'W/"stale"'}),
    Call(413, "RequestEntityTooLarge", body={"statusMessage": "x" * 5 * 1024 * 1024}),
    Call(415, "UnsupportedMediaType", headers={"Content-Type": "text/plain"}),
    Call(429, "TooManyRequests", token="busy"),
    Call(431, "RequestHeaderFieldsTooLarge", headers={"X-Padding": "x" * 70_000}),
    Call(500, "InternalError", method="GET", path="/education/synchronizationProfiles/{damaged}"),
    Call(503, "serviceNotAvailable", method="GET", path="/education/classes", token="program"),
)


@pytest.fixture(scope="module")
def strict(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, database: dict[str, object]
) -> Iterator[Server]:
    """A server with TLS that is soon asked too much, and does not wait long."""
    settings = {"throttle_requests": ENOUGH, "throttle_seconds": 86_400, "body_seconds": STANDS}
    with (
        another_database(request, database) as own,
        serving(tmp_path_factory.mktemp("strict"), tls=True, settings={**settings, **own}) as running,
    ):
        yield running


@pytest.fixture(scope="module")
def calls(strict: Server) -> Iterator[dict[int, Json]]:
    """The requests with their tokens and addresses, by the status that they have to be answered with."""
    tenant = Tenant(strict)
    profile, paused, damaged = (provisioned(tenant) for _ in range(3))
    tenant.admin("POST", f"{paused.path}/pause", expect=200)
    program = tenant.api(roles=(ROSTER_READ,))
    program.get("/classes")
    busy = Tenant(strict).api(scope=WRITE)
    while busy("GET", "/synchronizationProfiles").status_code != 429:
        pass
    damage(damaged)
    tokens = {
        "person": strict.token(tenant.id, scope=WRITE),
        "reader": strict.token(tenant.id, scope=READ),
        "program": program.token,
        "busy": busy.token,
        "broken": "not.a.token",
    }
    with standing_still(strict) as slow:
        places = {"profile": profile.id, "paused": paused.id, "damaged": damaged.id, "slow": slow}
        yield {
            call.status: {
                "method": call.method,
                "path": call.path.format(**places),
                "content": json.dumps(call.body),
                "headers": {"Content-Type": "application/json", **call.headers},
                "token": tokens[call.token],
            }
            for call in CALLS
        }


def provisioned(tenant: Tenant) -> Profile:
    """A profile, waited for without asking the server often."""
    number = tenant.admin("POST", "/synchronizationProfiles", creation(), expect=202).json()["id"]
    look = "SELECT state FROM profiles WHERE id = ?"
    until("the profile is provisioned", lambda: tenant.server.control(look, number) == [("provisioned",)])
    return Profile(tenant, number)


def damage(profile: Profile) -> None:
    """Write into the databases what schoolsync never would."""
    server, tenant = profile.tenant.server, profile.tenant.id
    row, table = f"UPDATE profiles SET identity = '5' WHERE id = '{profile.id}'", "ALTER TABLE classes RENAME TO gone"
    if server.database_url is not None:
        with psycopg.connect(server.database_url, autocommit=True) as connection:
            for statement in (row, table):
                connection.execute(statement.encode())
        return
    for path, statement in ((server.data / "control.db", row), (server.data / f"directory/{tenant}.db", table)):
        with contextlib.closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as database:
            database.execute(statement)


@contextlib.contextmanager
def standing_still(server: Server) -> Iterator[str]:
    """The address of a connection to the server on which the headers and ten bytes get through, and no more does."""
    accepts = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    accepts.load_cert_chain(server.certificate, server.certificate.with_name("key.pem"))
    trusts = ssl.create_default_context(cafile=str(server.certificate))
    address = urlsplit(server.base)
    assert address.hostname is not None
    host, port = address.hostname, address.port
    listener = socket.create_server((host, 0))

    def stand(near: ssl.SSLSocket) -> None:
        with (
            near,
            trusts.wrap_socket(socket.create_connection(("127.0.0.1", port)), server_hostname="localhost") as far,
        ):
            sent = b""
            while b"\r\n\r\n" not in sent or len(sent) < sent.index(b"\r\n\r\n") + 14:
                if not (part := near.recv(65536)):
                    return
                sent += part
            far.sendall(sent[: sent.index(b"\r\n\r\n") + 14])
            with contextlib.suppress(OSError):
                while part := far.recv(65536):
                    near.sendall(part)

    def accept() -> None:
        while True:
            try:
                near = accepts.wrap_socket(listener.accept()[0], server_side=True)
            except ssl.SSLError:
                continue
            except OSError:
                return
            threading.Thread(target=stand, args=(near,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"https://{host}:{listener.getsockname()[1]}"
    finally:
        listener.close()


async def test_the_python_sdk_reads_every_refusal(
    strict: Server, calls: dict[int, Json], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Status, code, message, request id and date are where the SDK's generated code looks for them."""
    monkeypatch.setenv("SSL_CERT_FILE", str(strict.certificate))
    for call in CALLS:
        asked = calls[call.status]
        path = asked["path"]
        async with graph(strict.base, asked["token"]) as client:
            information = RequestInformation(Method[call.method])
            information.url = path if path.startswith("https") else f"{strict.base}/v1.0{path}"
            for name, value in asked["headers"].items():
                information.headers.add(name, value)
            if call.method != "GET":
                information.content = asked["content"].encode()
            information.add_request_options([RetryHandlerOption(max_retries=0, should_retry=False)])
            with pytest.raises(ODataError) as caught:
                await client.request_adapter.send_no_response_content_async(information, {"XXX": ODataError})
        problem = caught.value
        assert problem.error is not None, call.status
        assert (problem.response_status_code, problem.error.code) == (call.status, call.code)
        assert problem.error.message
        assert problem.error.inner_error is not None
        assert problem.error.inner_error.request_id == problem.response_headers["request-id"]
        assert problem.error.inner_error.date is not None
        assert ("retry-after" in problem.response_headers) == (call.status in {429, 503})


def test_the_javascript_client_reads_every_refusal(strict: Server, calls: dict[int, Json], driven: Driven) -> None:
    """GraphError carries status, code, message, request id and body."""
    seen = driven(strict, "refusals", None, calls={str(status): asked for status, asked in calls.items()})
    for call in CALLS:
        problem = seen[str(call.status)]
        assert problem["isGraphError"], (call.status, problem)
        assert (problem["statusCode"], problem["code"]) == (call.status, call.code)
        assert problem["message"]
        assert GUID.fullmatch(problem["requestId"])
        assert problem["hasBody"]
