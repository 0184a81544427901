"""Who is let in at the console, and what their roles open there: sessions, forged forms, roles, strangers."""

from __future__ import annotations

import uuid

import httpx
import pytest

from schoolsync.access import roles
from schoolsync.access.roles import Role
from schoolsync.console.routes import ROWS

from .browser import account
from .house import Profile, Server, Tenant
from .own import EVERY_ROLE, own
from .rosters import DISTRICT
from .visits import vouched

pytestmark = pytest.mark.xdist_group("console")
ACTIONS: tuple[tuple[str, str, dict[str, str]], ...] = (
    # what a form does, in the words of docs/access.md; the row of the console; what its form sends
    ("policy", "new-profile", {"displayName": ""}),
    ("sync", "profiles/{profile}/do", {"what": "pause"}),
    ("sync", "profiles/{profile}/do", {"what": "resume"}),
    ("sync", "profiles/{profile}/do", {"what": "reset"}),
    ("sync", "profiles/{profile}/do", {"what": "retry"}),
    ("sync", "profiles/{profile}/clean-up", {"mark": "on"}),
    ("policy", "profiles/{profile}/delete", {"name": "Nordkapp kommune"}),
    ("policy", "profiles/{profile}/accounts", {"displayName": "x"}),
    ("policy", "profiles/{profile}/source", {"source": "oneRoster"}),
    ("policy", "profiles/{profile}/settings/{section}", {"guards.removalPercent": "10"}),
    ("policy", "profiles/{profile}/columns", {"student.deferred": "on"}),
    ("secrets", "notices", {"staleHours": "x"}),
    ("read.people", "profiles/{profile}/identity", {"role": "student", "sisId": "3001"}),
    ("sync", "profiles/{profile}/runs/{run}/do", {"what": "cancel"}),
    ("undo", "profiles/{profile}/runs/{run}/do", {"what": "undo"}),
    ("approve", "profiles/{profile}/runs/{run}/plan", {"what": "approve", "plan": "x"}),
    ("approve", "profiles/{profile}/runs/{run}/plan", {"what": "approve", "plan": "x", "kind": "student"}),
    ("approve", "profiles/{profile}/runs/{run}/plan", {"what": "apply", "plan": "x"}),
    ("discard", "profiles/{profile}/runs/{run}/plan", {"what": "discard", "plan": "x"}),
    ("sync", "profiles/{profile}/previews/{run}/apply", {"plan": "x"}),
    ("plan", "profiles/{profile}/upload", {}),
    ("plan", "profiles/{profile}/upload/check", {"preview": "x"}),
    ("read.people", "profiles/{profile}/runs/{run}/findings", {"school": "100"}),
    ("undo", "directory/schools/{school}/restore", {}),
    ("undo", "directory/classes/{class}/restore", {}),
    ("undo", "directory/people/{person}/restore", {}),
)
FOR_EVERYBODY = {"sign-out", "sign-in", "language"}


def test_strangers_and_forged_forms_get_nowhere(server: Server) -> None:
    """Without a session every page leads to the sign-in, forms of other sites are refused, nothing is left open."""
    tenant = Tenant(server).known()
    with httpx.Client(base_url=server.base) as http:
        answer = http.get("/console")
        assert (answer.status_code, answer.headers["location"]) == (303, "/console/sign-in?next=%2Fconsole")
        assert http.get("/", headers={"Accept": "text/html"}).headers["location"] == "/console"
        assert http.get("/").status_code == 401
        page = http.get("/console/sign-in")
        policy = page.headers["content-security-policy"]
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert page.headers["cache-control"] == "no-store"
        assert http.get("/console/nowhere").status_code == 404
        assert http.delete("/console").status_code == 405
        assert http.get("/console/static/../app.py").status_code == 404
        assert http.post("/console/sign-in", data={"tenant": "x"}).status_code == 400
        unknown = str(uuid.uuid4())
        for refused in (
            http.post("/console/sign-in", data={"tenant": unknown}),
            http.get("/console/sign-in/go", params={"tenant": unknown}),
        ):
            assert (refused.status_code, "No tenant here has this id" in refused.text) == (400, True)
        assert f'value="{unknown}"' in refused.text, "kept for putting it right"
        if server.database_url is None:
            assert server.control("SELECT count(*) FROM tenants WHERE id = ?", unknown) == [(0,)], "nor made"
        assert http.post("/console/sign-in", json={}).status_code == 400
        assert http.post("/console/sign-out").status_code == 401
        foreign = {"Sec-Fetch-Site": "cross-site"}
        assert http.post("/console/sign-in", data={"tenant": tenant.id}, headers=foreign).status_code == 403
        begun = http.post("/console/sign-in", data={"tenant": tenant.id, "next": "//evil.example"})
        assert begun.status_code == 303
        for attribute in ("HttpOnly", "SameSite=Lax", "Path=/console"):
            assert attribute in begun.headers["set-cookie"]
        http.cookies.set("schoolsync_console", "eyJ0IjoxLCJzIjoieCJ9.forged", path="/console")
        assert http.get("/console").status_code == 303


def test_a_session_opens_what_its_roles_open(server: Server) -> None:
    """A program that is let in as an auditor sees profiles; without its session's secret no form of it is taken."""
    tenant = Tenant(server).known()
    with httpx.Client(base_url=server.base, follow_redirects=True) as http:
        http.post("/console/sign-in", data={"tenant": tenant.id, "next": "https://evil.example/console"})
        page = vouched(http, tenant, "auditor")
        assert page.url.path == "/console"
        assert "How your rosters are doing" in page.text
        assert http.post("/console/sign-out", data={"csrf": "guessed"}).status_code == 403
        assert http.get("/console").url.path == "/console"
        assert "console sign-in" in http.get("/console/activity?operation=SIGN-IN").text
        assert "console sign-in" not in http.get("/console/activity?operation=SIGN-OUT").text
        exported = http.get("/console/activity.csv").text
        assert exported.startswith("\ufeffnumber,at,actor,")
        assert exported.count("console sign-in") == 1
        assert http.get("/console/directory?kind=people").status_code == 403
        for form in ("new-profile", f"profiles/{uuid.uuid4()}/upload"):
            assert http.get(f"/console/{form}").status_code == 403, "a form that could not be sent"
        assert "delegated:" not in http.get("/console/activity").text, "whoever reads it sees their own name"
        account(tenant, "somebody@skole.example", "admin")
        hers = own(tenant, "admin", user="somebody@skole.example")
        hers("PATCH", "/notices", {"staleHours": 9}, expect=200)
        assert "somebody@skole.example" in http.get("/console/activity").text, "and those of accounts"
        http.cookies.delete("schoolsync_console")
        part = http.get("/console?search=x", headers={"HX-Request": "true", "HX-Current-URL": f"{server.base}/console"})
        assert part.headers["hx-redirect"] == "/console/sign-in?next=%2Fconsole", "no page is put into a page"
        assert f'value="{tenant.id}"' in http.get("/console").text, "the browser knows where it was signed in"
        gone = http.post("/console/sign-out", headers={"Referer": f"{server.base}/console/system"})
        assert (gone.status_code, 'href="/console/sign-in?next=%2Fconsole%2Fsystem"' in gone.text) == (401, True)
        assert http.post("/console/sign-out", headers={"Referer": "http://["}).status_code == 401


def test_every_form_is_only_for_those_with_its_role(held: Profile) -> None:
    """Each form, sent with each role: for a held plan who may not is refused; for no profile who may is told that.
    So is a stranger with every role, whom no page shows anything of another tenant."""
    assert {row.template for row in ROWS if row.method == "POST"} == {one[1] for one in ACTIONS} | FOR_EVERYBODY
    tenant, nowhere, before = held.tenant, str(uuid.uuid4()), held.status()
    for role in EVERY_ROLE:
        may = {rule.act.value for rule in roles.MATRIX if Role(f"schoolsync.{role}") in rule.roles}
        with httpx.Client(base_url=tenant.server.base, follow_redirects=True) as http:
            http.post("/console/sign-in", data={"tenant": tenant.id})
            csrf = vouched(http, tenant, role).text.partition('name="csrf" value="')[2].partition('"')[0]
            for act, template, form in ACTIONS:
                keys = {"section": "guards", "run": "2", **dict.fromkeys(("school", "class", "person"), nowhere)}
                path = template.format(profile=nowhere if act in may else held.id, **keys)
                assert http.post(f"/console/{path}", data=form).status_code == 403, "without the session's secret"
                answer = http.post(f"/console/{path}", data={**form, "csrf": csrf})
                wanted = 403 if act not in may else 400 if path in {"new-profile", "notices"} else 404
                assert answer.status_code == wanted, f"{role}: {path} {form}: {answer.status_code} {answer.text}"
    assert held.status() == before
    a_stranger_sees_nothing(held)
    assert held.status() == before


def a_stranger_sees_nothing(held: Profile) -> None:
    """Somebody of another tenant with every role is told that what a page or a form names is not there."""
    stranger, read = Tenant(held.tenant.server).known(), held.tenant.reader
    (run, *_) = own(held.tenant, "viewer").get(f"/profiles/{held.id}/runs")["value"]
    theirs = {"profile": held.id, "run": str(run["number"]), "section": "guards", "step": "1"}
    for key, kind in (("school", "schools"), ("class", "classes"), ("person", "users")):
        theirs[key] = read.get(f"/{kind}?$top=1")["value"][0]["id"]
    student = DISTRICT.students[0]
    secret = [*theirs.values(), "Nordkapp", str(student["Last Name"]), str(student["Username"])]
    secret = [word for word in secret if len(word) > 4 and word != "guards"]
    with httpx.Client(base_url=held.tenant.server.base, follow_redirects=True) as http:
        http.post("/console/sign-in", data={"tenant": stranger.id})
        csrf = vouched(http, stranger, *EVERY_ROLE).text.partition('name="csrf" value="')[2].partition('"')[0]
        pages = [row for row in ROWS if row.method == "GET" and not row.open]
        for row in sorted(pages, key=lambda row: "{" in row.template):  # what is tried is in the stranger's own log
            path = row.template.format(**theirs)
            answer = http.get(f"/console/{path}".rstrip("/"))
            assert answer.status_code == (404 if "{" in row.template else 200), f"{path}: {answer.status_code}"
            assert [word for word in secret if word in answer.text and word not in path] == [], path
        for asked in (f"kind=people&search={student['Last Name']}", "kind=schools", "kind=classes"):
            assert [word for word in secret[:-2] if word in http.get(f"/console/directory?{asked}").text] == []
        for _, template, form in (one for one in ACTIONS if "{" in one[1]):
            answer = http.post(f"/console/{template.format(**theirs)}", data={**form, "csrf": csrf})
            assert answer.status_code == 404, f"{template} {form}: {answer.status_code}"
