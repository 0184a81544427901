"""Who reads German understands every page, what is refused there, and what is said of runs that went wrong."""

from __future__ import annotations

import re
import uuid
from urllib.parse import urlsplit

import httpx
import pytest

from schoolsync.console.routes import ROWS

from ..german import english_on
from .house import Profile, creation, matching
from .own import own
from .rosters import DISTRICT
from .test_every_page import kind_of
from .test_own_plans import CAREFUL
from .test_previews import preview
from .test_who_may_at_the_console import ACTIONS
from .visits import vouched

pytestmark = pytest.mark.xdist_group("own-api")

WRONG: tuple[tuple[str, dict[str, str]], ...] = (
    # pages, and what their forms are sent with that is refused
    ("new-profile", {"displayName": " ", "mode": "create", "domain.student": "skole.example"}),
    ("new-profile", {"displayName": "x", "mode": "create"}),
    ("new-profile", {"displayName": "x", "mode": "create", "domain.student": "a@b", "domain.teacher": "x"}),
    ("new-profile", {"displayName": "x", "mode": "match", "licenses.student": "x"}),
    ("new-profile", {"displayName": "x", "source": "oneRoster", "connectionUrl": "x", "mode": "create"}),
    ("profiles/{profile}/accounts", {"displayName": "x", "expirationDate": "2199-01-01", "mode": "create"}),
    ("profiles/{profile}/settings/guards", {"guards.removalPercent": "many"}),
    ("profiles/{profile}/settings/guards", {"guards.removalPercent": "200"}),
    ("profiles/{profile}/settings/guards", {"guards.removalLeast": "-1"}),
    ("profiles/{profile}/settings/reading", {"dateFormat": "backwards"}),
    ("profiles/{profile}/settings/identity", {"recipes.student.username": "{firstname}"}),
    ("profiles/{profile}/settings/schedule", {"schedule.cron": "60 0 * * *"}),
    ("profiles/{profile}/settings/schedule", {"schedule.cron": "* * * * *"}),
    ("profiles/{profile}/settings/schedule", {"schedule.cron": "1 2"}),
    ("profiles/{profile}/settings/schedule", {"timeZone": "Mars/Olympus"}),
    ("profiles/{profile}/columns", {"studentEnrollment.start": "2000-01-01"}),
    ("profiles/{profile}/identity", {"role": "student"}),
    ("profiles/{profile}/identity", {"role": "head", "sisId": "1"}),
    ("profiles/{profile}/delete", {"name": "another"}),
    ("notices", {"webhookUrl": "ftp://x"}),
    ("notices", {"mailTo": "nobody"}),
    ("notices", {"staleHours": "x"}),
    ("notices", {"webhookSecret": "x"}),
    ("notices", {"what": "test"}),
)
ADDRESSES = (
    # pages that refuse, or have little to show
    *(
        "nowhere",
        "directory?kind=planets",
        "activity/changes?since=x",
        "profiles/{nowhere}",
        "directory/people/{nowhere}",
    ),
    *(
        "profiles/{profile}/runs/99",
        "profiles/{profile}/runs/1/plan?op=fly",
        "profiles/{profile}/runs/1/plan/steps/999",
    ),
    *("profiles/{profile}/runs?after=x", "profiles/{profile}/runs/1/findings/list?severity=bad", "school?link=x"),
    *(
        f"directory/why?object={one}&profile={{profile}}"
        for one in ("3001", "M1", "100", "3099", "nobody", "3002&in=M1")
    ),
    *(f"directory/why?object={one}&profile={{other}}" for one in ("3001", "3001&in=M1", "7&in=100")),
)


def test_every_page_and_what_is_refused_is_german(held: Profile) -> None:
    """Every link of every kind is followed, every form is sent with something wrong: no English sentence is left on a
    page, and none is marked as one that no catalogue knows. Among the profiles are one that waits for a person, one of
    which records were left out, one whose records all failed, and a preview of wrong files."""
    tenant, nowhere = held.tenant, str(uuid.uuid4())
    other = tenant.profile(creation(displayName="Vadsø"))
    other.sync(DISTRICT.files())
    admin = own(tenant, "admin")
    lenient = {"errors": {"policy": "leaveOut", "mostPercent": 100}, **CAREFUL}
    admin("PATCH", f"/profiles/{other.id}/settings", lenient, expect=200)
    other.sync(DISTRICT.changed("students", "3001", Username="").changed("sections", "M1", School_SIS_ID="9").files())
    failing = tenant.profile(matching())
    failing.sync(DISTRICT.files())
    admin("POST", f"/profiles/{failing.id}/pause")
    preview(held, DISTRICT.changed("students", "3001", Username=""), own(tenant, "operator"))
    keys = {"profile": held.id, "other": other.id, "failing": failing.id, "nowhere": nowhere}
    keys |= {"section": "guards", "run": "1", **dict.fromkeys(("school", "class", "person"), nowhere)}
    english: dict[str, list[str]] = {}
    with httpx.Client(base_url=tenant.server.base, follow_redirects=True, headers={"Accept-Language": "de"}) as http:
        http.post("/console/sign-in", data={"tenant": tenant.id})
        csrf = vouched(http, tenant, "admin", "auditor").text.partition('name="csrf" value="')[2].partition('"')[0]
        waiting = ["/console", *(f"/console/profiles/{one.id}" for one in (held, other, failing))]
        seen = set[tuple[str, ...]]()
        statuses = set[int]()

        def read(answer: httpx.Response, about: str) -> None:
            assert '<html lang="de">' in answer.text, f"{about}: {answer.status_code} {answer.text[:300]}"
            statuses.add(answer.status_code)
            if found := english_on(answer.text):
                english[about] = found

        while waiting:
            address = waiting.pop()
            kind = (*kind_of(address), *(name for name, key in keys.items() if key in address and len(key) > 30))
            if kind in seen or urlsplit(address).path.endswith((".csv", ".json", "/live")):
                continue
            seen.add(kind)
            answer = http.get(address)
            read(answer, address)
            links = (link.replace("&amp;", "&") for link in re.findall(r'<a [^>]*href="(/console[^"#]*)', answer.text))
            waiting += [link for link in links if not link.startswith(("/console/static", "/console/sign"))]
        for address in ADDRESSES:
            read(http.get(f"/console/{address.format(**keys)}"), address)
        for address, form in WRONG:
            answer = http.post(f"/console/{address.format(**keys)}", data={"csrf": csrf, **form})
            read(answer, f"{address} {form}")
        for _, template, form in ACTIONS:
            if "what" in form or "plan" in form:
                read(
                    http.post(f"/console/{template.format(**keys)}", data={"csrf": csrf, **form}), f"{template} {form}"
                )
        read(http.post("/console/notices", data={"csrf": "forged"}), "a forged form")
    left = {row.template for row in ROWS if row.method == "GET" and not row.open}
    assert len(seen) > len(left) / 2, "the links are not found"
    assert {200, 400, 403, 404, 409} <= statuses
    assert not english
