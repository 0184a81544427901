"""The link that a school's office is sent: it shows one school's findings and nothing else, ends, and is taken back."""

from __future__ import annotations

import base64
import json
import re
import uuid

import httpx
import pytest
from sqlalchemy import create_engine

from schoolsync import ticks
from schoolsync.console.pages.findings import LINK_DAYS, PURPOSE
from schoolsync.console.sessions import Sessions
from schoolsync.settings import Settings
from schoolsync.store.control import Control

from .house import Profile, Server, Tenant, put_blob, until
from .own import own
from .rosters import DISTRICT
from .visits import vouched

pytestmark = pytest.mark.xdist_group("console")


def test_a_link_shows_one_school_alone(server: Server) -> None:
    """A link shows no other school or profile, whatever is asked beside or altered in it, and ends."""
    profile = Tenant(server).profile()
    operator = own(profile.tenant, "operator")
    made = operator("POST", f"/profiles/{profile.id}/previews", expect=201).json()
    wrong = DISTRICT.changed("students", "3001", Username="").changed("students", "3004", Username="")
    for name, content in wrong.files().items():
        assert put_blob(server, made["uploadUrl"], name, content).status_code == 201
    operator("POST", f"/profiles/{profile.id}/previews/{made['id']}/start", expect=202)
    run = f"/profiles/{profile.id}/runs/{made['id']}"
    until("the preview has ended", lambda: operator.get(run)["ended"])
    with httpx.Client(base_url=server.base, follow_redirects=True) as http:
        http.post("/console/sign-in", data={"tenant": profile.tenant.id})
        csrf = vouched(http, profile.tenant, "operator").text.partition('name="csrf" value="')[2].partition('"')[0]
        page = http.post(f"/console{run}/findings", data={"csrf": csrf, "school": "100"})
        assert http.post(f"/console{run}/findings", data={"csrf": csrf, "school": "999"}).status_code == 400
    link = re.search(r"/console/school\?link=([\w.-]+)", page.text)
    assert link, page.text
    text, _, mac = link[1].partition(".")
    held = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    sessions = Sessions(Control(create_engine("sqlite://")), Settings(data_dir=server.data))

    def signed(purpose: str = PURPOSE, **values: object) -> str:
        return sessions.signed({**held, **values}, purpose=purpose)

    def altered(**values: object) -> str:
        return f"{signed(**values).partition('.')[0]}.{mac}"

    with httpx.Client(base_url=server.base) as http:
        asked: list[dict[str, str]] = [{}, {"school": "200"}, {"rule": "", "file": "School.csv"}, {"run": "1"}]
        for beside in asked:
            shown = http.get("/console/school", params={"link": link[1], **beside})
            assert (shown.status_code, "Müller" in shown.text, "Silva" in shown.text) == (200, True, False), beside
        assert "Silva" in http.get("/console/school", params={"link": signed(s="200")}).text, "signing is what decides"
        other = Tenant(server).profile()
        over = signed(until=held["until"] - (LINK_DAYS * 24 + 1) * 3600 * ticks.PER_SECOND)
        elsewhere = signed(p=other.id)  # as if it had been signed for a run that is not of this profile
        for bad in (altered(s="200"), altered(p=other.id), altered(until=2 * held["until"]), over, elsewhere,
                    signed("session"), "", ".", "x", text, f"{text}.", f"{text}.é", f"é.{mac}"):  # fmt: skip
            shown = http.get("/console/school", params={"link": bad})
            assert (shown.status_code, "Müller" in shown.text, "Silva" in shown.text) == (404, False, False), bad
        assert http.get("/console/school").status_code == 404
        assert http.get("/console/school", params={"link": "\0.\0"}).status_code == 400
        nobodys = signed(k=str(uuid.uuid4()))  # as if it had been signed, and its row taken back
        assert http.get("/console/school", params={"link": nobodys}).status_code == 404
        http.cookies.set("schoolsync_console", link[1], path="/console")
        assert http.get(f"/console{run}/findings").status_code == 303, "a link is no session"


@pytest.mark.nightly("postgresql")
def test_a_link_is_taken_back(held: Profile) -> None:
    """Somebody takes a link back on the page that lists it: it opens nothing from then on, another one goes on, and
    both stand in the audit log."""
    tenant, server = held.tenant, held.tenant.server
    wrong = DISTRICT.changed("students", "3001", Username="")
    made = own(tenant, "operator")("POST", f"/profiles/{held.id}/previews", expect=201).json()
    for name, content in wrong.files().items():
        assert put_blob(server, made["uploadUrl"], name, content).status_code == 201
    own(tenant, "operator")("POST", f"/profiles/{held.id}/previews/{made['id']}/start", expect=202)
    run = f"/profiles/{held.id}/runs/{made['id']}"
    until("the preview has ended", lambda: own(tenant, "operator").get(run)["ended"])
    with httpx.Client(base_url=server.base, follow_redirects=True) as http:
        http.post("/console/sign-in", data={"tenant": tenant.id})
        csrf = vouched(http, tenant, "operator").text.partition('name="csrf" value="')[2].partition('"')[0]

        def link() -> str:
            page = http.post(f"/console{run}/findings", data={"csrf": csrf, "school": "100"})
            return re.findall(r"/console/school\?link=([\w.-]+)", page.text)[0]

        for download, wrong in (
            (f"{run}/findings.csv", "severity=bad"),
            (f"/profiles/{held.id}/runs/1/plan.csv", "op=x"),
            (f"/profiles/{held.id}/runs/1/findings.csv", f"file={'x' * 999}"),
        ):
            assert http.get(f"/console{download}").status_code == 200
            assert http.get(f"/console{download}?{wrong}").status_code == 400, "and no file that breaks off"
        assert "Test connection" in http.get(f"/console/profiles/{held.id}").text
        assert "nothing stands in the way" in http.get(f"/console/profiles/{held.id}/connection").text
        one, other = link(), link()
        page = http.get(f"/console{run}/findings")
        newest, _ = re.findall(r'name="takeBack" value="([0-9a-f-]{36})"', page.text)
        page = http.post(f"/console{run}/findings", data={"csrf": csrf, "takeBack": newest})
        assert "opens nothing any more" in page.text
        assert page.text.count('name="takeBack"') == 1
        assert http.post(f"/console{run}/findings", data={"csrf": csrf, "takeBack": newest}).status_code == 400
    with httpx.Client(base_url=server.base) as http:
        assert http.get("/console/school", params={"link": one}).status_code == 200
        gone = http.get("/console/school", params={"link": other})
        assert (gone.status_code, "Müller" in gone.text) == (404, False)
    told = [entry["operation"] for entry in own(tenant, "auditor").get("/audit")["value"]]
    assert told.count("console link for a school") == 2
    assert told.count("console link for a school taken back") == 1
