"""Notices and traces by a whole server: a held plan and the yes to it are told, whatever is killed meanwhile."""

from __future__ import annotations

import base64
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from . import canaries
from .house import Profile, Server, Tenant, until
from .own import own
from .rosters import DISTRICT
from .typing_here import typed_here
from .visits import vouched

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
OPERATOR = "0b5e7a70-7e4a-4c1e-9d0a-5f0c2f1f6a11"
SECRET = base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()


class Hook(BaseHTTPRequestHandler):
    """Keeps what it gets; away as long as it says 503."""

    def do_POST(self) -> None:
        server: Any = self.server
        if self.path == "/v1/traces":
            server.traced.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.end_headers()
            return
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.startswith("/own/"):
            server.own.append((self.path, body["type"], body["data"]["tenant"], dict(self.headers.items())))
            self.send_response(204)
            self.end_headers()
            return
        server.asked += 1
        if server.status == 200:
            server.got.append((self.headers["webhook-id"], body["type"]))
        self.send_response(server.status)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


def test_nothing_is_lost_or_doubled_when_all_is_killed(tmp_path: Path, fresh_database: dict[str, object]) -> None:
    """The receiver is away while a plan is held and everything is killed; afterwards each change arrives once.

    Then a tenant of the same server sets up a webhook of its own.
    """
    hook: Any = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    hook.status, hook.asked, hook.got, hook.traced, hook.own = 503, 0, [], [], []
    thread = threading.Thread(target=hook.serve_forever, args=(0.05,))
    thread.start()
    try:
        settings = {
            **fresh_database,
            "webhook_url": f"http://127.0.0.1:{hook.server_port}/hook",
            "webhook_secret": SECRET,
            "egress_allow": "127.0.0.1",
            "operator_tenant": OPERATOR.upper(),
            "traces_endpoint": f"http://127.0.0.1:{hook.server_port}",
        }
        server = Server(tmp_path, settings=settings).start()
        try:
            _story(server, hook)
            _a_tenants_own(server, hook)
        finally:
            server.end()
    finally:
        hook.shutdown()
        thread.join()
        hook.server_close()


def _story(server: Server, hook: Any) -> None:
    profile = Tenant(server).profile()
    _is_held(profile)
    # Once the failure is noted: a notice that is in somebody's hand is left to that one for half a minute.
    tried = "SELECT count(*) FROM notices WHERE tries > 0 AND due < made + 200000000"
    until("the notice is tried", lambda: hook.asked and server.control(tried) == [(1,)])
    # Spans wait a second for company before they are sent; those of a process that is killed meanwhile are lost.
    ((held,),) = server.control("SELECT id FROM runs WHERE state = 'held'")
    until("its stages are told", lambda: _stages(held, hook) >= {"run extract", "run validate", "run plan"})
    server.kill()
    hook.status = 200
    server.start()
    until("the notice arrives", lambda: hook.got)
    run = own(profile.tenant, "viewer").get(f"/profiles/{profile.id}/runs?limit=1")["value"][0]
    yes = {"plan": run["plan"], "kind": None, "school": None, "objects": [], "why": None}
    own(profile.tenant, "approver")("POST", f"/profiles/{profile.id}/runs/{run['id']}/approvals", yes, expect=201)
    assert profile.wait()["status"] == "success"
    until("the end of it is told", lambda: len(hook.got) > 1)
    waiting = "SELECT count(*) FROM notices WHERE over IS NULL"
    until("nothing waits", lambda: server.control(waiting) == [(0,)])
    assert [told for _, told in hook.got] == ["profile.held", "profile.recovered"]
    assert len({one for one, _ in hook.got}) == 2
    _traced(profile, run["id"], hook)


def _is_held(profile: Profile) -> None:
    """A guard holds the profile's plan."""
    assert profile.sync(DISTRICT.files())["status"] == "success"
    limits = {"guards": {"removalLeast": 0}}
    own(profile.tenant, "admin")("PATCH", f"/profiles/{profile.id}/settings", limits, expect=200)
    fewer = DISTRICT.without("students", SIS_ID="3003").without("enrollments", SIS_ID="3003")
    assert profile.sync(fewer.files())["status"] == "validationError"


def _whoever_runs_it(other: Tenant) -> None:
    """Where there are several tenants, doctor answers the one that the settings name, and no other one's admin."""
    server = other.server
    far = {"SCHOOLSYNC_SERVER": server.base}
    told = typed_here("doctor", "--json", **far, SCHOOLSYNC_TOKEN=_admins(Tenant(server, OPERATOR)))
    assert told.status == 0, told
    assert {json.loads(line)["check"] for line in told.stdout.splitlines()} >= {"settings", "database", "issuers"}
    refused = typed_here("doctor", **far, SCHOOLSYNC_TOKEN=_admins(other))
    assert (refused.status, refused.stderr.count("the tenant that runs this installation")) == (2, 1), refused


def _admins(tenant: Tenant) -> str:
    return tenant.server.token(tenant.id, scope="schoolsync.access", roles=("schoolsync.admin",), user="a@x.example")


def _a_tenants_own(server: Server, hook: Any) -> None:
    """Set up by its admin on the command line, tried and changed in the console, and told what concerns it alone."""
    one, other = Tenant(server).known(), Tenant(server)
    _whoever_runs_it(one)
    where = ["--server", server.base, "--data-dir", server.data, "--tenant", one.id, "--user", "ada@skole.example"]
    url = f"http://127.0.0.1:{hook.server_port}/own/"
    admin = own(one, "admin")
    assert admin.get("/notices")["webhookUrl"] is None
    for role in ("viewer", "operator", "approver", "auditor"):
        own(one, role).refusal("GET", "/notices", 403)
        own(one, role).refusal("PATCH", "/notices", 403, {"webhookUrl": url})
    refused = typed_here("notices", "change", "--webhook-url", "https://169.254.169.254/x", *where)
    assert (refused.status, "egress_allow" in refused.stderr) == (2, True), refused
    assert typed_here("notices", "change", *where).status == 2
    assert typed_here("notices", "test", *where).stderr == (
        "schoolsync: Nothing is told anybody yet: give webhookUrl or mailTo first.\n"
    )
    typed = typed_here("notices", "change", "--webhook-url", f"{url}a", "--event", "held", *where)
    assert typed.status == 0, typed
    secret = re.findall(r"whsec_[A-Za-z0-9+/=]{44}", typed.stdout)[0]
    stored = admin("GET", "/notices")
    assert (stored.json()["webhookSecretSet"], stored.json()["webhookSecret"]) == (True, None)
    assert secret not in str(server.control("SELECT value FROM secrets"))
    stale = {"If-Match": 'W/"0"'}
    admin("PATCH", "/notices", {"staleHours": 3}, headers=stale, expect=412)
    tried = typed_here("notices", "test", "--json", *where)
    assert (tried.status, json.loads(tried.stdout)["state"]) == (0, "sent"), tried
    ((path, about, told, headers),) = hook.own
    assert (path, about, told) == ("/own/a", "test", one.id)
    headers = {name.lower(): value for name, value in headers.items()}
    assert headers["webhook-signature"].startswith("v1,")
    _is_held(one.profile())
    until("its own plan that is held is told", lambda: len(hook.own) > 1)
    assert [(about, told) for _, about, told, _ in hook.own[1:]] == [("profile.held", one.id)]
    with httpx.Client(base_url=server.base, follow_redirects=True) as http:
        http.post("/console/sign-in", data={"tenant": one.id})
        csrf = vouched(http, one, "admin").text.partition('name="csrf" value="')[2].partition('"')[0]
        page = http.get("/console/notices").text
        assert (f"{url}a" in page, secret in page, "A run waits for a person" in page) == (True, False, True)
        form = {"csrf": csrf, "webhookUrl": "ftp://x", "event.failed": "on", "staleHours": ""}
        wrong = http.post("/console/notices", data=form)
        assert (wrong.status_code, "ftp://x" in wrong.text) == (400, True)
        renewed = http.post("/console/notices", data={**form, "webhookUrl": f"{url}b", "newSecret": "on"})
        assert re.findall(r"whsec_[A-Za-z0-9+/=]{44}", renewed.text) != [secret]
        assert "on its way" in http.post("/console/notices", data={"csrf": csrf, "what": "test"}).text
        until("the test arrives", lambda: hook.own[-1][:2] == ("/own/b", "test"))
    listed = typed_here("notices", "sent", *where).stdout.splitlines()
    assert [line.split()[3] for line in listed] == ["test", "profile.held", "test"]
    assert typed_here("notices", "change", "--no-webhook", *where).stdout.startswith("Webhook:  none")
    assert admin.get("/notices")["events"] == ["failed"]
    assert own(other, "admin").get("/notices/sent")["value"] == []
    log = [entry["operation"] for entry in own(one, "auditor").get("/audit")["value"]]
    assert log.count("PATCH schoolsync/v1/notices") >= 3


def _traced(profile: Profile, run: str, hook: Any) -> None:
    """The stages of a run are one trace under its id, requests are named by their operations, and nobody is in it."""
    named = "/users?$filter=userPrincipalName eq '3001@skole.example'"
    profile.tenant.reader.get(named)

    def told(name: str) -> list[Any]:
        return [span for span in spans(hook.traced) if span.name == name]

    until("the request is told", lambda: told("GET /education/users"))
    whole = {"run extract", "run validate", "run plan", "run apply", "run finish"}
    until("all stages are told", lambda: _stages(run, hook) >= whole)
    until("the other API is told", lambda: told("GET /schoolsync/v1/profiles/{profile}/runs"))
    (one,) = told("GET /education/users")
    attributes = {entry.key: entry.value for entry in one.attributes}
    assert attributes["http.response.status_code"].int_value == 200
    assert attributes.keys() == {
        "http.request.method",
        "http.route",
        "http.response.status_code",
        "schoolsync.request_id",
    }
    tokens = canaries.refused(profile.tenant)
    offered = canaries.offer(profile.tenant.server, tokens)
    refusals = {answer.headers["request-id"] for answer in offered}
    assert {answer.status_code for answer in offered} == {401}
    until("the refusals are told", lambda: _requests(hook) >= refusals)
    if profile.tenant.server.database_url is None:  # which makes no difference to what is told
        _keeps_secrets(profile, hook, tokens)
    whole = b"".join(hook.traced)
    assert canaries.pieces(tokens, whole.decode("latin-1")) == []
    people = [*DISTRICT.students, *DISTRICT.teachers]
    names = {str(row[column]) for row in people for column in ("SIS ID", "First Name", "Last Name", "Username")}
    # What is digits or very short alone may stand in ids by chance.
    telling = [name for name in names if len(name) > 4 and not name.isdigit()]
    assert telling
    assert not [name for name in (*telling, "skole.example", "127.0.0.1") if name.encode() in whole]


def _keeps_secrets(profile: Profile, hook: Any, tokens: list[str]) -> None:
    """What is sent to every place that takes a secret stands nowhere: no answer, log, metric, audit entry or trace."""
    secret = "Q7xkTn3vW9zRb5LmYd2cHq8sJf4gUw6e"
    sent = canaries.everywhere(profile.tenant, secret)
    assert len(sent) > 80
    assert {answer.status_code for answer in sent} >= {201, 202, 400, 401, 403, 404}
    assert not [answer.text for answer in sent if answer.status_code >= 500]
    server = profile.tenant.server
    exported = server.command("audit", "export", "--tenant", profile.tenant.id).stdout
    assert "POST education/synchronizationProfiles" in exported
    last = own(profile.tenant, "viewer")("GET", "/metrics", expect=200)
    until("all that is told", lambda: last.headers["request-id"] in _requests(hook))
    for where, text in {
        # A method that nobody knows is named to the one who sent it.
        "answers": "".join(f"{one.text} {one.headers}" for one in sent if one.request.method in METHODS),
        "audit log": exported,
        "log": server.log.read_text("utf-8", "replace"),
        "metrics": last.text,
        "traces": b"".join(hook.traced).decode("latin-1"),
    }.items():
        assert canaries.pieces([secret, SECRET, *tokens], text) == [], where
        assert where == "answers" or secret.upper()[:20] not in text, where


def _stages(run: str, hook: Any) -> set[str]:
    """What is told of a run so far."""
    return {span.name for span in spans(hook.traced) if span.trace_id.hex() == run.replace("-", "")}


def _requests(hook: Any) -> set[str]:
    """The requests that are told so far, by their ids."""
    told = [{entry.key: entry.value for entry in span.attributes} for span in spans(hook.traced)]
    return {one["schoolsync.request_id"].string_value for one in told if "schoolsync.request_id" in one}


def spans(sent: list[bytes]) -> list[Any]:
    """What a collector reads."""
    found = []
    for body in sent:
        request = ExportTraceServiceRequest.FromString(body)
        found += [span for one in request.resource_spans for scope in one.scope_spans for span in scope.spans]
    return found
