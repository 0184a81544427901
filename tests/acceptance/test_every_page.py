"""Every page that a link of the console leads to, in the other language and on a phone, whose words are longer."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from playwright.sync_api import Browser

from schoolsync.console.routes import ROWS

from ..german import english_on
from .browser import account, person
from .house import Profile, creation
from .own import own
from .rosters import DISTRICT
from .test_previews import preview

pytestmark = pytest.mark.xdist_group("console")

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?<=/)\d+")
LEAST = 40
"""Pages of different kinds that are found, or the test has lost its way."""


def kind_of(address: str) -> tuple[str, ...]:
    """The same for pages that differ in whom or what they show."""
    asked = urlsplit(address)
    lists = asked.path.startswith("/console/directory")  # of schools, classes and people: pages of their own
    parameters = {f"{name}={value}" if lists and name == "kind" else name for name, value in parse_qsl(asked.query)}
    return _ID.sub("…", asked.path), *sorted(parameters - {"said"})


@pytest.mark.nightly
def test_every_page_is_whole_in_german_on_a_phone(held: Profile, browser: Browser, shots: Path) -> None:
    """From the first page on every link is followed, one of each kind: no error, nothing that sticks out to the side,
    axe finds nothing, and no sentence is English. Among them are a held plan, wrong files, and a profile of which a
    part is set aside."""
    tenant = held.tenant
    other = tenant.profile(creation(displayName="Vadsø"))
    other.sync(DISTRICT.files())
    preview(held, DISTRICT.changed("students", "3001", Username=""), own(tenant, "operator"))
    account(tenant, "ada@skole.example", "admin", "auditor")
    with person(browser, tenant, device="phone", shots=shots, locale="de-DE", color_scheme="dark") as ada:
        page = ada.page
        ada.type_password("ada@skole.example")
        waiting = ["/console", *(f"/console/profiles/{one}" for one in (held.id, f"{held.id}/delete", other.id))]
        seen = set[tuple[str, ...]]()
        while waiting:
            address = waiting.pop()
            if kind_of(address) in seen or urlsplit(address).path.endswith((".csv", ".json")):
                continue
            seen.add(kind_of(address))
            answer = page.goto(f"{tenant.server.base}{address}")
            assert answer is not None
            assert answer.status == 200, address
            assert page.locator("html").get_attribute("lang") == "de"
            ada.check(address)
            assert not english_on(page.content()), address
            waiting += _inside(page.eval_on_selector_all("a[href]", "links => links.map(link => link.href)"))
        assert len(seen) >= LEAST
    left = {row.template for row in ROWS if row.method == "GET" and not row.open} - {_template(one[0]) for one in seen}
    assert not {one for one in left if not one.endswith((".csv", ".json", "/live"))}, "no link leads there"


def _inside(links: Iterable[str]) -> list[str]:
    """The addresses of our own pages among some."""
    found = (urlsplit(link) for link in links)
    return [
        one.path + (f"?{one.query}" if one.query else "")
        for one in found
        if one.path.startswith("/console") and not one.path.startswith(("/console/static", "/console/sign"))
    ]


def _template(path: str) -> str:
    """The row of the table that a page is."""
    for row in ROWS:
        pattern = re.sub(r"\{section\}", "[a-z]+", row.template)
        pattern = re.sub(r"\{\w+\}", "…", pattern)
        if re.fullmatch(f"/console/?{pattern}", path) and row.method == "GET":
            return row.template
    return path
