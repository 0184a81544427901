"""What people do at the console, in a real browser: from signing in to the effect in the directory."""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from . import pictures
from .browser import DEVICES, Person, account, person
from .house import Profile, Server, Tenant, creation, until
from .own import own
from .rosters import DISTRICT
from .walks import begin_anew, choose_a_source, delete_it, look_around, put_on_a_schedule, see_what_failed

pytestmark = pytest.mark.xdist_group("console")


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
        page.get_by_text("ada@skole.example approved 1 object").wait_for()
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
        ada.type_password("ada@skole.example")
        page.get_by_role("link", name="New profile").click()
        ada.look("new-profile")
        page.get_by_label("Name", exact=True).fill("Nordkapp kommune")
        page.get_by_role("button", name="Make the profile").click()
        page.get_by_role("alert").get_by_text("send one for each role").wait_for()
        assert page.locator("[aria-invalid=true]").count() == 2
        for field in page.get_by_label("Domain").all():
            field.fill("nordkapp.example")
        page.get_by_role("button", name="Make the profile").click()
        page.get_by_role("status").get_by_text("The profile is made").wait_for()
        profile = Profile(tenant, page.url.partition("/profiles/")[2].partition("?")[0])
        page.get_by_role("link", name="Guards").click()
        ada.look("guards")
        removals = page.get_by_label("Removals", exact=True)
        page.get_by_role("button", name="Save").click()
        page.get_by_role("status").get_by_text("Saved.").wait_for()
        removals.fill("a tenth")
        page.get_by_role("button", name="Save").click()
        page.get_by_role("alert").get_by_text("is no number").wait_for()
        assert removals.get_attribute("aria-invalid") == "true"
        assert page.get_by_role("status").count() == 0, "nothing was saved"
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
        delete_it(ada, profile)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.nightly("desktop")
def test_files_are_dropped_understood_and_synchronized(
    server: Server, browser: Browser, shots: Path, device: str, tmp_path: Path
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
        drop_a_folder(page, wrong.files(), tmp_path)
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
        see_what_failed(ada, profile)
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


def drop_a_folder(page: Page, files: Mapping[str, str | bytes], parent: Path) -> None:
    """Drag a folder from the desktop onto the page, and once more while it is being sent; made is one preview."""
    folder = parent / "export"
    folder.mkdir()
    for name, content in {**files, ".DS_Store": b"\0"}.items():
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    asked = list[str]()
    page.on("request", lambda one: asked.append(one.method) if one.url.endswith("/upload") else None)
    place = page.locator(".drop").bounding_box()
    assert place is not None
    at = {"x": place["x"] + place["width"] / 2, "y": place["y"] + 8}
    dragged = {"items": [], "files": [str(folder)], "dragOperationsMask": 1}
    mouse = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop", "dragEnter", "dragOver", "drop"):
        mouse.send("Input.dispatchDragEvent", {"type": kind, **at, "data": dragged})
    page.get_by_role("status").get_by_text("The files are being checked").wait_for()
    assert asked == ["POST"]


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
