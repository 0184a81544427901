"""Walks through the console that its tests take in passing: what is clicked, and what must be there then."""

from __future__ import annotations

from .browser import Person
from .house import Profile, creation, until
from .own import own
from .rosters import DISTRICT


def look_around(ada: Person) -> None:
    """From the schools down to a person, why that person is here, and a search for somebody."""
    page = ada.page
    page.get_by_role("link", name="Directory").click()
    ada.look("directory")
    page.get_by_role("link", name="Nordkapp skole").click()
    ada.look("school")
    page.get_by_role("link", name="Math 7").click()
    ada.look("class")
    page.get_by_role("link", name="Zoë Müller").click()
    page.get_by_role("link", name="Math 7").wait_for()
    ada.look("person")
    page.get_by_role("link", name="Why it is here").click()
    page.get_by_text("The files have it for the first time.").first.wait_for()
    assert "Student.csv line 2" in page.locator("section", has=page.get_by_role("heading", name="Answer")).inner_text()
    ada.look("why")
    ada.open("/directory?kind=people")
    page.get_by_role("searchbox").press_sequentially("DVOŘ", delay=20)
    page.locator("#entries li", has_text="Müller").wait_for(state="detached")
    assert page.locator("#entries li").all_inner_texts()[0].startswith("Łukasz Dvořák")


def choose_a_source(ada: Person) -> None:
    """From a settings page: a server without an address is refused and nothing is lost; files it is in the end."""
    page = ada.page
    page.get_by_role("link", name="Source").click()
    page.get_by_label("PowerSchool").check()
    page.get_by_role("button", name="Save").click()
    page.get_by_role("alert").get_by_text("connectionUrl").wait_for()
    assert page.get_by_label("PowerSchool").is_checked()
    assert page.get_by_label("Address", exact=True).get_attribute("aria-invalid") == "true"
    ada.look("source")
    page.get_by_label("Files that are uploaded").check()
    page.get_by_role("button", name="Save").click()
    page.get_by_role("status").get_by_text("Saved.").wait_for()


def put_on_a_schedule(ada: Person, profile: Profile) -> None:
    """A time that cannot be is told beside its field; one that can be is kept. The connection is tested on the way."""
    page = ada.page
    ada.open(f"/profiles/{profile.id}")
    page.get_by_role("link", name="Test connection").click()
    page.get_by_text("Yes: nothing stands in the way.").wait_for()
    ada.look("connection")
    ada.open(f"/profiles/{profile.id}")
    page.get_by_role("link", name="Schedule").click()
    times = page.get_by_label("At fixed times")
    times.fill("at noon")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("alert").first.wait_for()
    times.fill("30 2 * * 1-5")
    page.get_by_label("First day").fill("2026-12-21")
    page.get_by_label("Last day").fill("2027-01-03")
    page.get_by_role("button", name="Another row").click()
    newest = page.get_by_role("group", name="Closed days 2").get_by_label("First day")
    newest.wait_for()
    assert newest.evaluate("field => field === document.activeElement"), "one goes on typing there"
    page.keyboard.press("Enter")  # what Enter does in a form: it saves, and takes no row out
    page.get_by_role("status").get_by_text("Saved.").wait_for()
    ada.look("schedule")
    viewer = own(profile.tenant, "viewer")
    kept = viewer.get(f"/profiles/{profile.id}/settings")["settings"]
    assert kept["schedule"]["cron"] == "30 2 * * 1-5"
    assert kept["windows"] == [{"firstDay": "2026-12-21", "lastDay": "2027-01-03", "kind": "blackout"}]
    page.get_by_role("button", name="Take out").click()
    page.get_by_role("status").get_by_text("Not saved yet.").wait_for()
    page.get_by_role("button", name="Save").click()
    page.get_by_role("status").get_by_text("Saved.").wait_for()
    assert viewer.get(f"/profiles/{profile.id}/settings")["settings"]["windows"] == []
    for link, name in (("Files", "files"), ("Names", "names"), ("Who leaves", "leaving")):
        page.get_by_role("link", name=link, exact=True).click()
        page.get_by_role("heading", name=link).wait_for()
        ada.look(name)
    assert viewer.get(f"/profiles/{profile.id}/freshness")["nextDue"] is not None


def begin_anew(ada: Person, profile: Profile) -> None:
    """Whoever says so twice has everything synchronized again from the last files."""
    page, viewer = ada.page, own(profile.tenant, "viewer")
    before = viewer.get(f"/profiles/{profile.id}/runs")["value"][0]["number"]
    ada.open(f"/profiles/{profile.id}")
    page.once("dialog", lambda asked: asked.accept())
    page.get_by_role("button", name="Start all over").click()
    until("there is another run", lambda: viewer.get(f"/profiles/{profile.id}/runs")["value"][0]["number"] > before)
    assert profile.wait()["status"] == "success"


def delete_it(ada: Person, profile: Profile) -> None:
    """Only the profile's own name deletes it; its people stay in the directory, and the audit log says who it was."""
    page, before = ada.page, profile.tenant.objects()
    ada.open(f"/profiles/{profile.id}")
    page.get_by_role("link", name="Delete this profile").click()
    name = page.get_by_label("Type the name of the profile")
    name.fill("Nordkapp")
    page.get_by_role("button", name="Delete for good").click()
    page.get_by_role("alert").get_by_text("nothing was deleted").wait_for()
    assert (name.get_attribute("aria-invalid"), name.input_value()) == ("true", "Nordkapp")
    ada.look("delete")
    assert profile.tenant.admin.get(profile.path)["state"] == "provisioned"
    name.fill(" Nordkapp  kommune")
    page.get_by_role("button", name="Delete for good").click()
    page.get_by_role("status").get_by_text("The profile is being deleted.").wait_for()
    until("it is gone", lambda: profile.tenant.admin.all("/synchronizationProfiles") == [])
    ada.open("/directory?kind=people&search=3001")
    page.get_by_role("link", name="Zoë Müller").click()
    page.get_by_role("link", name="Math 7").wait_for()
    assert profile.tenant.objects() == before
    ada.open("/activity?operation=DELETE")
    page.get_by_text(f"schoolsync/v1/profiles/{profile.id}").wait_for()
    assert "ada@skole.example" in page.locator("main").inner_text()


def see_what_failed(ada: Person, profile: Profile) -> None:
    """Another profile brings the same people: each is told with the reason, and one leads on to why."""
    other = profile.tenant.profile(creation(displayName="Vadsø"))
    other.sync(DISTRICT.files())
    page = ada.page
    ada.open(f"/profiles/{other.id}")
    page.get_by_role("link", name="See what could not be synchronized").click()
    page.get_by_role("heading", name="What could not be synchronized").wait_for()
    ada.look("errors")
    causes = page.locator("section", has=page.get_by_role("heading", name="By cause"))
    assert causes.locator(".badge").first.inner_text() == "Schools", "what the others follow from comes first"
    causes.get_by_role("link", name="Show the records Student").first.click()
    page.get_by_label("Id in the files").fill("3001")
    page.get_by_role("button", name="Show", exact=True).click()
    records = page.locator("section", has=page.get_by_role("heading", name="Record by record")).locator("li")
    assert records.count() == 1
    assert "belongs to another record or profile" in records.inner_text()
    records.get_by_role("link", name="Why is somebody (not) here?").click()
    page.get_by_role("heading", name="Answer").wait_for()
