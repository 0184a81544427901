"""What people do at the console, in a real browser: from signing in to the effect in the directory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser

from .browser import DEVICES, approve, browsing, person
from .house import Profile, Server, Tenant, creation
from .own import own
from .rosters import DISTRICT

pytestmark = pytest.mark.xdist_group("console")

CAREFUL = {"guards": {"removalLeast": 0, "removalPercent": 10}}
SMALLER = (
    DISTRICT.without("students", SIS_ID="3003")
    .without("enrollments", SIS_ID="3003")
    .changed("students", "3001", Grade="8", Last_Name="Møller")
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as found:
        yield found


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pictures of the pages are kept."""
    named = os.environ.get("SCREENSHOTS")
    folder = Path(named) if named else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def held(server: Server) -> Profile:
    """A profile that was synchronized once and whose second plan a guard holds."""
    profile = Tenant(server).profile(creation(displayName="Nordkapp kommune"))
    own(profile.tenant, "admin")("PATCH", f"/profiles/{profile.id}/settings", CAREFUL, expect=200)
    assert profile.sync(DISTRICT.files())["status"] == "success"
    assert profile.sync(SMALLER.files())["status"] == "validationError"
    return profile


@pytest.mark.parametrize("device", DEVICES)
def test_a_day_at_the_console(held: Profile, browser: Browser, shots: Path, device: str) -> None:
    """Somebody signs in, sees what needs a person, finds a profile, reads the page in German and signs out."""
    held.tenant.admin("POST", "/synchronizationProfiles", creation(displayName="Ålesund"), expect=202)
    scheme = {"desktop": "light", "phone": "dark"}[device]
    with person(browser, held.tenant, device=device, shots=shots, color_scheme=scheme) as ada:
        page = ada.page
        ada.open()
        ada.look("sign-in")
        ada.sign_in("admin")
        page.get_by_role("heading", name="Needs you now").wait_for()
        assert page.locator(".tasks li").count() == 1
        assert "1 of 6 students would go" in page.locator(".tasks").inner_text()
        ada.look("home")
        page.get_by_role("searchbox").press_sequentially("åles", delay=20)
        page.locator(".profiles li", has_text="Nordkapp").wait_for(state="detached")
        assert page.locator(".profiles li").count() == 1
        page.get_by_role("button", name="Deutsch").click()
        page.get_by_role("heading", name="So steht es um Ihre Roster").wait_for()
        ada.look("home-german")
        page.get_by_role("button", name="Abmelden").click()
        page.get_by_role("heading", name="Anmelden").wait_for()
        ada.open()
        page.get_by_role("heading", name="Anmelden").wait_for()


def test_strangers_and_forged_forms_get_nowhere(server: Server) -> None:
    """Without a session every page leads to the sign-in, forms of other sites are refused, nothing is left open."""
    tenant = Tenant(server)
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
    tenant = Tenant(server)
    with httpx.Client(base_url=server.base, follow_redirects=True) as http:
        http.post("/console/sign-in", data={"tenant": tenant.id, "next": "https://evil.example/console"})
        page = vouched(http, tenant, "auditor")
        assert page.url.path == "/console"
        assert "How your rosters are doing" in page.text
        assert http.post("/console/sign-out", data={"csrf": "guessed"}).status_code == 403
        assert http.get("/console").url.path == "/console"
        entries = [row[0] for row in server.control("SELECT operation FROM audit WHERE operation LIKE 'console%'")]
        assert "console sign-in" in entries


def vouched(http: httpx.Client, tenant: Tenant, *roles: str) -> httpx.Response:
    """The page that follows when an operator has answered the code."""
    code = http.get("/console/sign-in/wait").text.partition('class="code">')[2].partition("<")[0]
    approve(tenant, code, roles, user="ada@skole.example")
    return http.get("/console/sign-in/wait")
