"""What is decided in forms of the console: a plan is thrown away, all begins anew, classes are cleaned up."""

from __future__ import annotations

import re

import httpx
import pytest

from .house import Profile, Server, Tenant, until
from .own import EVERY_ROLE, own
from .rosters import DISTRICT
from .visits import vouched

pytestmark = pytest.mark.xdist_group("console")


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
        people = f"/console/profiles/{held.id}/settings/people"
        for chosen, kept in (({"student": "disabled"}, {"student": 365}), ({}, {})):
            form = {f"leaving.{role}": value for role, value in chosen.items()}
            form |= {f"purgeDays.{kind}": str(days) for kind, days in kept.items()}
            assert "Saved." in http.post(people, data={"csrf": csrf, **form}).text
            settings_now = own(held.tenant, "viewer").get(f"/profiles/{held.id}/settings")["settings"]
            assert (settings_now["leaving"], settings_now["purgeDays"]) == (chosen, kept)
        refused = http.post(people, data={"csrf": csrf, "purgeDays.teacher": "0"})
        assert (refused.status_code, refused.text.count('aria-invalid="true"')) == (400, 1)
        assert "must be a whole number from 1 to 3650" in refused.text
        guards = f"/console/profiles/{held.id}/settings/guards"
        (old,) = re.findall(r'name="version" value="(\w+)"', http.get(guards).text)
        admin = own(held.tenant, "admin")
        admin("PATCH", f"/profiles/{held.id}/settings", {"guards": {"removalPercent": 7}}, expect=200)
        wrong = http.post(guards, data={"csrf": csrf, "version": old, "guards.removalPercent": "a tenth"})
        assert re.findall(r'name="version" value="(\w+)"', wrong.text) == [old], "it still has not seen the 7"
        late = http.post(guards, data={"csrf": csrf, "version": old, "guards.updatePercent": "50"})
        assert (late.status_code, "Somebody else has changed this" in late.text) == (400, True)
        assert re.search(r'name="guards.removalPercent" value="7"', late.text), "as it is now"
        (new,) = re.findall(r'name="version" value="(\w+)"', late.text)
        assert http.post(guards, data={"csrf": csrf, "version": new, "guards.removalPercent": "7"}).status_code == 200
        columns = {"csrf": csrf, "section.deferred": "on", "studentEnrollment.start": "2020-01-01"}
        past = http.post(f"/console/profiles/{held.id}/columns", data=columns)
        assert (past.status_code, 'name="section.deferred" checked' in past.text) == (400, True), (
            "nothing typed is lost"
        )
        sku = "6634e0ce-1a9f-428c-a498-f84ec7b8aa2e"
        form = {"csrf": csrf, "displayName": "Nordkapp", "domain.student": "skole.example", "licenses.": sku}
        assert f'value="{sku}"' in http.post(settings, data=form).text
        assert held.tenant.admin.get(held.path)["licensesToAssign"] == [{"appliesTo": None, "skuIds": [sku]}]
        assert "is not the GUID of a license" in http.post(settings, data={**form, "licenses.student": "A1"}).text


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
