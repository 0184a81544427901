"""Walks through the console that its tests take in passing: what is clicked, and what must be there then."""

from __future__ import annotations

from .browser import Person
from .house import Profile, until
from .own import own


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
    page.get_by_role("button", name="Save").click()
    page.get_by_role("status").get_by_text("Saved.").wait_for()
    ada.look("schedule")
    viewer = own(profile.tenant, "viewer")
    kept = viewer.get(f"/profiles/{profile.id}/settings")["settings"]["schedule"]
    assert kept["cron"] == "30 2 * * 1-5"
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
