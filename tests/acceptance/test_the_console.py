"""What people do at the console, in a real browser: from signing in to the effect in the directory."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import uuid
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page
from sqlalchemy import create_engine

from schoolsync import ticks
from schoolsync.access import roles
from schoolsync.access.roles import Role
from schoolsync.console.pages.findings import LINK_DAYS, PURPOSE
from schoolsync.console.routes import ROWS
from schoolsync.console.sessions import Sessions
from schoolsync.settings import Settings
from schoolsync.store.control import Control

from . import pictures
from .browser import DEVICES, PASSWORD, Person, account, approve, browsing, person
from .house import Profile, Server, Tenant, creation, put_blob, until
from .own import EVERY_ROLE, own
from .rosters import DISTRICT
from .walks import begin_anew, choose_a_source, look_around, put_on_a_schedule

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
    """Somebody signs in, sees what needs a person, reads the plan that waits, approves it, reads German, signs out."""
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
        page.locator(".tasks").get_by_role("link", name="Nordkapp kommune").click()
        page.get_by_role("link", name="See what waits for you").click()
        page.get_by_role("link", name="See what waits for you").click()
        page.get_by_role("heading", name="Why it waits for you").wait_for()
        ada.look("plan")
        page.get_by_role("searchbox").press_sequentially("møller", delay=20)
        page.locator("#steps li", has_text="changed").wait_for()
        page.locator("#steps li", has_text="goes").wait_for(state="detached")
        assert {"Müller", "7"} <= set(page.locator("#steps del").all_inner_texts())
        page.locator("#steps li", has_text="Møller").get_by_role("link").click()
        page.get_by_role("heading", name="Before and after").wait_for()
        ada.look("step")
        page.go_back()
        page.get_by_label("Why (others will read it)").first.fill("The office confirmed it on the phone.")
        page.get_by_role("button", name="Approve the whole plan").click()
        page.get_by_role("status").get_by_text("Approved. The run goes on.").wait_for()
        page.locator("#live").get_by_text("Done").wait_for()
        assert "Møller" in {one["surname"] for one in held.tenant.objects()["users"].values()}
        set_notices(ada)
        ada.open()
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


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.nightly("phone")
def test_a_part_is_approved_without_scripts(held: Profile, browser: Browser, shots: Path, device: str) -> None:
    """With scripts turned off somebody reads what waits, approves a person, a school and a kind, and lets these parts
    go on; looks up what happened to somebody, and takes it all back."""
    with person(browser, held.tenant, device=device, shots=shots, java_script_enabled=False) as ada:
        page = ada.page
        ada.sign_in("approver")
        page.locator(".tasks").get_by_role("link").click()
        page.get_by_role("link", name="See what waits for you").click()
        page.get_by_role("link", name="See what waits for you").click()
        page.get_by_label("A person").fill("Møller")
        page.get_by_role("button", name="Show").click()
        assert page.locator("#steps li").count() == 1
        page.locator("#steps li", has_text="Møller").get_by_role("link").click()
        page.get_by_text("No guard holds this.").wait_for()
        assert page.get_by_role("button", name="Approve").count() == 0
        page.go_back()
        page.get_by_label("A person").fill("Dvořák")
        page.get_by_role("button", name="Show").click()
        page.locator("#steps li", has_text="Łukasz Dvořák").filter(has_text="goes").get_by_role("link").click()
        page.get_by_label("Why (others will read it)").fill("His parents moved.")
        page.get_by_role("button", name="Approve this object with its memberships").click()
        page.get_by_text("approved 1 object").wait_for()
        page.get_by_text("His parents moved.").wait_for()
        page.get_by_role("button", name="Leave out Nordkapp skole").click()
        page.get_by_text("left out school 100").wait_for()
        page.get_by_role("button", name="Approve Nordkapp skole").click()
        page.get_by_text("approved school 100").wait_for()
        page.get_by_role("button", name="Approve all of Students", exact=True).click()
        page.get_by_text("approved a kind: Students").wait_for()
        page.get_by_role("button", name="Go on with the approved parts alone").click()
        page.get_by_role("heading", name="Run 2").wait_for()
        assert held.wait()["status"] == "success"
        try_the_rules(ada, held)
        look_up_and_undo(ada, held)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.nightly("phone")
def test_from_nothing_to_a_run_that_is_watched(server: Server, browser: Browser, shots: Path, device: str) -> None:
    """Somebody signs in with name and password, makes a profile, sets its guards, and watches a run to its end."""
    tenant = Tenant(server)
    account(tenant, "ada@skole.example", "admin", "auditor")
    with person(browser, tenant, device=device, shots=shots) as ada:
        page = ada.page
        ada.open(f"/sign-in?tenant={tenant.id}")
        page.get_by_role("button", name="Sign in").click()
        page.get_by_label("Name").fill("ada@skole.example")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("link", name="New profile").click()
        ada.look("new-profile")
        page.get_by_label("Name", exact=True).fill("Nordkapp kommune")
        for field in page.get_by_label("Domain").all():
            field.fill("nordkapp.example")
        page.get_by_role("button", name="Make the profile").click()
        page.get_by_role("status").get_by_text("The profile is made").wait_for()
        profile = Profile(tenant, page.url.partition("/profiles/")[2].partition("?")[0])
        page.get_by_role("link", name="Guards").click()
        ada.look("guards")
        removals = page.get_by_label("Removals", exact=True)
        removals.fill("a tenth")
        page.get_by_role("button", name="Save").click()
        page.get_by_role("alert").get_by_text("is no number").wait_for()
        assert removals.get_attribute("aria-invalid") == "true"
        removals.fill("10")
        page.get_by_role("button", name="Save").click()
        page.get_by_role("status").get_by_text("Saved.").wait_for()
        settings = own(tenant, "viewer").get(f"/profiles/{profile.id}/settings")["settings"]
        assert settings["guards"]["removalPercent"] == 10
        page.get_by_role("link", name="Columns").click()
        ada.look("columns")
        choose_a_source(ada)
        page.get_by_role("link", name="Try the rules").click()
        for field, value in (("SIS ID", "3009"), ("User name", "ana.sara"), ("Given name", "Ana"), ("Surname", "Sara")):
            page.get_by_label(field, exact=True).fill(value)
        page.get_by_role("button", name="Try").click()
        page.locator("#outcome").get_by_text("ana.sara@nordkapp.example").first.wait_for()
        ada.look("identity")
        page.get_by_role("link", name="Columns").click()
        page.get_by_label("Graduation Year").uncheck()
        page.get_by_role("button", name="Save").click()
        page.get_by_role("status").get_by_text("Saved.").wait_for()
        assert not page.get_by_label("Graduation Year").is_checked()
        assert page.get_by_label("Middle Name").first.is_checked()
        until("it is set up", lambda: tenant.admin.get(profile.path)["state"] == "provisioned")
        profile.upload(DISTRICT.files())
        profile.start()
        ada.open(f"/profiles/{profile.id}/runs/1")
        page.locator("#live").get_by_text("Done").wait_for()  # told by the stream when the run is still at work
        assert page.locator(".stages .done").count() == 4
        ada.look("run")
        page.get_by_role("link", name="Nordkapp kommune").click()
        page.get_by_text("In sync").wait_for()
        ada.look("profile")
        look_around(ada)
        page.get_by_role("link", name="Activity").click()
        page.get_by_text("console sign-in").wait_for()
        ada.look("activity")
        page.get_by_role("link", name="Change history").click()
        page.get_by_label("About (id)").fill("3001")
        page.get_by_role("button", name="Show").click()
        assert "Zoë Müller" in page.locator("#changes li").first.inner_text()
        ada.look("changes")
        with page.expect_download() as download:
            page.get_by_role("button", name="Export as CSV").click()
        exported = Path(download.value.path()).read_text("utf-8-sig").splitlines()
        assert len(exported) == 1 + page.locator("#changes li").count()
        page.locator("#changes li").first.get_by_role("link", name="Zoë Müller").click()
        page.get_by_role("heading", name="Before and after").wait_for()
        page.get_by_role("link", name="System").click()
        page.get_by_role("heading", name="Installation").wait_for()
        ada.look("system")
        ada.open(f"/profiles/{profile.id}")
        page.get_by_role("button", name="Pause").click()
        page.get_by_role("button", name="Resume").click()
        page.get_by_role("button", name="Pause").wait_for()
        assert profile.wait()["status"] != "paused"
        put_on_a_schedule(ada, profile)
        begin_anew(ada, profile)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.nightly("desktop")
def test_files_are_dropped_understood_and_synchronized(
    server: Server, browser: Browser, shots: Path, device: str
) -> None:
    """Files go in by hand, are checked, each mistake is shown in its line, its school gets a link, good ones go on."""
    profile = Tenant(server).profile(creation(displayName="Nordkapp kommune"))
    wrong = DISTRICT.changed("students", "3001", Username="", Password="hush-hush-1")  # in a file
    with person(browser, profile.tenant, device=device, shots=shots, color_scheme="dark") as ada:
        page = ada.page
        ada.sign_in("operator")
        page.get_by_role("link", name="Nordkapp kommune").click()
        page.get_by_role("link", name="Upload files").click()
        ada.look("upload")
        drop(page, wrong.files())
        page.get_by_role("link", name="See what checking found").wait_for()
        ada.look("preview-wrong")
        page.get_by_role("link", name="See what checking found").click()
        ada.look("findings")
        page.get_by_role("link", name="Show the lines").first.click()
        assert "Müller" in page.locator(".quoted").first.inner_text()
        assert "hush-hush" not in page.content()
        ada.look("findings-lines")
        with page.expect_download() as download:
            page.go_back()
            page.get_by_role("link", name="All findings as CSV").click()
        assert "Student.csv,2," in Path(download.value.path()).read_text("utf-8-sig")
        page.get_by_role("button", name="Make a link for Nordkapp skole").click()
        link = page.get_by_label("Link").input_value()
        ada.look("findings-link")
        with person(browser, profile.tenant, device=device, shots=shots) as office:
            office.page.goto(link)
            office.page.get_by_role("heading", name="What has to be put right at Nordkapp skole").wait_for()
            assert "Müller" in office.page.locator(".quoted").first.inner_text()
            office.look("findings-school")
            office.page.goto(link.replace("?link=", "?link=x"))
            office.page.get_by_role("alert").get_by_text("not good any more").wait_for()
        ada.open(f"/profiles/{profile.id}/upload")
        drop(page, {"roster.zip": zipped(DISTRICT.files())})
        page.get_by_role("link", name="See what would change").click()
        page.get_by_role("button", name="Synchronize exactly this").click()
        page.get_by_role("status").get_by_text("A run has begun").wait_for()
        page.locator("#live").get_by_text("Done").wait_for()
    assert len(profile.tenant.objects()["schools"]) == len(DISTRICT.schools)


def zipped(files: Mapping[str, str | bytes]) -> bytes:
    """The files in one archive."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return made.getvalue()


def drop(page: Page, files: Mapping[str, str | bytes]) -> None:
    """Put files into the page as a person does who chooses them."""
    page.get_by_label("Drop all CSV files").set_input_files(
        [
            {"name": name, "mimeType": "text/csv", "buffer": text.encode() if isinstance(text, str) else text}
            for name, text in files.items()
        ]
    )
    page.get_by_role("status").get_by_text("The files are being checked").wait_for()


def look_up_and_undo(ada: Person, profile: Profile) -> None:
    """The history of a pupil says what the run did and by whose yes; undone, everything is as it was before."""
    page = ada.page
    ada.open("/directory?kind=people&search=3001")
    page.get_by_role("link", name="Zoë Müller").click()  # what people are shown as is given once
    page.get_by_role("link", name="Why it is here, and what happened to it").click()
    newest = page.locator("section", has=page.get_by_role("heading", name="History")).locator("li").first
    assert {"Müller", "7"} <= set(newest.locator("del").all_inner_texts())
    assert {"Møller", "8"} <= set(newest.locator("ins").all_inner_texts())
    newest.get_by_role("link", name="Run 2").click()
    page.get_by_label("Why (others will read it)").fill("She was not married after all.")
    page.get_by_role("button", name="Undo this run").click()
    page.get_by_role("status").get_by_text("This run takes the other one back.").wait_for()
    assert profile.wait()["status"] == "success"
    pupils = {one["student"]["externalId"]: one for one in profile.tenant.objects()["users"].values() if one["student"]}
    assert (pupils["3001"]["surname"], pupils["3001"]["student"]["grade"]) == ("Müller", "7")
    assert "3003" in pupils
    page.reload()
    page.get_by_text("Done").first.wait_for()


def test_pictures_are_compared(browser: Browser) -> None:
    """A picture is like itself, and unlike one of the same page in which a part is missing or elsewhere."""
    page = browser.new_context().new_page()
    whole = (pictures.FOLDER / "changes-desktop.png").read_bytes()
    page.set_content(f'<img src="data:image/png;base64,{base64.b64encode(whole).decode()}">')
    image = page.locator("img")

    def altered(style: str) -> tuple[float, float]:
        page.evaluate("style => document.querySelector('img').style = style", style)
        return pictures.difference(page, image.screenshot(), plain)

    plain = image.screenshot()
    assert altered("") == (0, 0)
    for style in ("clip-path: inset(0 0 50% 0)", "object-fit: none; object-position: 0 40px", "filter: invert(1)"):
        wide, cells = altered(style)
        assert wide == 0
        assert cells > pictures.CELLS, style
    page.context.close()


def try_the_rules(ada: Person, profile: Profile) -> None:
    """Somebody types in a person who is to come, and one who is there: the names of both are told."""
    page = ada.page
    ada.open(f"/profiles/{profile.id}")
    page.get_by_role("link", name="Try the rules").click()
    page.get_by_label("User name", exact=True).fill("newcomer")
    page.get_by_role("button", name="Try").click()
    outcome = page.locator("#outcome")
    assert "newcomer@" in outcome.inner_text()
    assert "new account" in outcome.inner_text()
    assert page.get_by_label("User name", exact=True).input_value() == "newcomer"
    page.get_by_label("SIS ID").fill("3001")
    page.get_by_role("button", name="Try").click()
    assert "zmuller@" in outcome.inner_text()
    assert "newcomer" not in page.url + outcome.inner_text()
    page.get_by_label("SIS ID").fill("3999")
    page.get_by_label("Surname").fill("Ødegård")
    page.get_by_label("User name, by recipe").fill("{surname}.{sisId}")
    page.get_by_role("button", name="Try").click()
    assert "odegard.3999@" in outcome.inner_text()
    assert own(profile.tenant, "viewer").get(f"/profiles/{profile.id}/settings")["settings"]["recipes"] == {}


def set_notices(ada: Person) -> None:
    """Who is told of what: something wrong is said at its field, something right is kept."""
    page = ada.page
    ada.open("/notices")
    hours = page.get_by_label("Too old after")
    hours.fill("soon")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("alert").wait_for()
    assert hours.get_attribute("aria-invalid") == "true"
    ada.look("notices-wrong")
    hours.fill("30")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("status").get_by_text("Saved.").wait_for()
    assert hours.input_value() == "30"
    ada.look("notices")
    assert own(ada.tenant, "admin").get("/notices")["staleHours"] == 30


def test_a_plan_is_thrown_away_and_all_begins_anew(held: Profile) -> None:
    """Nobody goes and the run has ended; starting all over plans the same again; licences are set in a form."""
    before, settings = held.tenant.objects(), f"/console/profiles/{held.id}/accounts"
    with httpx.Client(base_url=held.tenant.server.base, follow_redirects=True) as http:
        http.post("/console/sign-in", data={"tenant": held.tenant.id})
        csrf = vouched(http, held.tenant, *EVERY_ROLE).text.partition('name="csrf" value="')[2].partition('"')[0]
        plan = f"/console/profiles/{held.id}/runs/2/plan"
        (seen, *_) = re.findall(r'name="plan" value="(\w+)"', http.get(plan).text)
        thrown = http.post(plan, data={"csrf": csrf, "plan": seen, "what": "discard", "why": "half is missing"})
        assert (thrown.url.path, "Discarded" in thrown.text) == (f"/console/profiles/{held.id}/runs/2", True)
        assert held.tenant.objects() == before
        http.post(f"/console/profiles/{held.id}/do", data={"csrf": csrf, "what": "reset"})
        until("it waits again", lambda: "See what waits for you" in http.get(f"/console/profiles/{held.id}").text)
        assert "Approve the whole plan" in http.get(f"/console/profiles/{held.id}/runs/3/plan").text
        sku = "6634e0ce-1a9f-428c-a498-f84ec7b8aa2e"
        form = {"csrf": csrf, "displayName": "Nordkapp", "domain.student": "skole.example", "licenses.": sku}
        assert f'value="{sku}"' in http.post(settings, data=form).text
        assert held.tenant.admin.get(held.path)["licensesToAssign"] == [{"appliesTo": None, "skuIds": [sku]}]
        assert "is not the GUID of a license" in http.post(settings, data={**form, "licenses.student": "A1"}).text


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
        assert "console sign-in" in http.get("/console/activity?operation=SIGN-IN").text
        assert "console sign-in" not in http.get("/console/activity?operation=SIGN-OUT").text
        exported = http.get("/console/activity.csv").text
        assert exported.startswith("\ufeffnumber,at,actor,")
        assert exported.count("console sign-in") == 1
        assert http.get("/console/directory?kind=people").status_code == 403


def test_classes_are_cleaned_up_from_the_page_of_an_expired_profile(server: Server) -> None:
    """Only there is the form; what is chosen is worked out and waits, and the page of the run says so."""
    profile = Tenant(server).profile()
    assert profile.sync(DISTRICT.files())["status"] == "success"
    with httpx.Client(base_url=server.base, follow_redirects=True) as http:
        http.post("/console/sign-in", data={"tenant": profile.tenant.id})
        csrf = vouched(http, profile.tenant, "operator").text.partition('name="csrf" value="')[2].partition('"')[0]
        page, form = f"/console/profiles/{profile.id}", f"/console/profiles/{profile.id}/clean-up"
        assert form not in http.get(page).text
        profile.api("PATCH", profile.path, {"expirationDate": "2026-01-01"}, expect=200)
        until("it is paused", lambda: profile.status()["status"] == "paused")
        assert form in http.get(page).text
        assert http.post(form, data={"csrf": csrf}).status_code == 400
        begun = http.post(form, data={"csrf": csrf, "mark": "on", "archive": "on", "why": "rollover"})
        assert begun.url.path.startswith(f"{page}/runs/")
        until(
            "it waits",
            lambda: f"{len(DISTRICT.sections)} classes would be marked" in http.get(f"{page}/runs/2/plan").text,
        )
        assert "Cleaning up always waits for a person" in http.get(page).text


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


def vouched(http: httpx.Client, tenant: Tenant, *named: str) -> httpx.Response:
    """The page that follows when an operator has answered the code."""
    code = http.get("/console/sign-in/wait").text.partition('class="code">')[2].partition("<")[0]
    approve(tenant, code, named, user="ada@skole.example")
    return http.get("/console/sign-in/wait")


ACTIONS: tuple[tuple[str, str, dict[str, str]], ...] = (
    # what a form does, in the words of docs/access.md; the row of the console; what its form sends
    ("policy", "new-profile", {"displayName": ""}),
    ("sync", "profiles/{profile}/do", {"what": "pause"}),
    ("sync", "profiles/{profile}/do", {"what": "resume"}),
    ("sync", "profiles/{profile}/do", {"what": "reset"}),
    ("sync", "profiles/{profile}/do", {"what": "retry"}),
    ("sync", "profiles/{profile}/clean-up", {"mark": "on"}),
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
)
FOR_EVERYBODY = {"sign-out", "sign-in", "language"}


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
                path = template.format(profile=nowhere if act in may else held.id, section="guards", run="2")
                assert http.post(f"/console/{path}", data=form).status_code == 403, "without the session's secret"
                answer = http.post(f"/console/{path}", data={**form, "csrf": csrf})
                wanted = 403 if act not in may else 400 if path in {"new-profile", "notices"} else 404
                assert answer.status_code == wanted, f"{role}: {path} {form}: {answer.status_code} {answer.text}"
    assert held.status() == before
    a_stranger_sees_nothing(held)
    assert held.status() == before


def a_stranger_sees_nothing(held: Profile) -> None:
    """Somebody of another tenant with every role is told that what a page or a form names is not there."""
    stranger, read = Tenant(held.tenant.server), held.tenant.reader
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
