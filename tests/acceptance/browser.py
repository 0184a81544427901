"""A person at the console: Debian's Chromium driven by Playwright, on a desktop or a phone.

Every page that is looked at is held to what all pages promise: axe finds nothing at all, nothing sticks out to the
side, no script failed, nothing was stopped by the content security policy. Screenshots are kept where
SCREENSHOTS says, else beside the test's other files.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from schoolsync.cli import device, user
from schoolsync.settings import Settings

from . import outlines, pictures
from .house import Server, Tenant

JS = Path(__file__).parent / "js"
AXE = JS / "node_modules" / "axe-core" / "axe.min.js"
DESKTOP = {"viewport": {"width": 1280, "height": 900}}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}
DEVICES: dict[str, dict[str, Any]] = {"desktop": DESKTOP, "phone": PHONE}
PASSWORD = "four sounding brass bells"
VARYING = ("system", "million")
"""Pages without an outline: of the system, whose doctor answers an only tenant, and of a run that is at work."""
PATIENCE = 60_000  # milliseconds that something on a page may take


def chromium() -> str:
    """Where Debian's browser is; a newcomer may do without, the check of a change may not."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found and AXE.is_file():
        return found
    reason = f"the console's tests need Chromium (Debian: apt-get install chromium) and `npm ci` in {JS.name}/"
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def browsing() -> Iterator[Browser]:
    """A browser for as long as the block runs."""
    path = chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield browser
        finally:
            browser.close()


def approve(tenant: Tenant, code: str, roles: Sequence[str], *, user: str) -> None:
    """What an operator types on the server: `schoolsync device approve`."""
    settings = Settings(data_dir=tenant.server.data, database_url=tenant.server.database_url)
    named = [f"schoolsync.{role}" for role in roles]
    with contextlib.redirect_stdout(io.StringIO()):
        assert device.approve(settings, tenant=tenant.id, code=code, user=user, scope=None, roles=named) == 0


def account(tenant: Tenant, name: str, *roles: str) -> None:
    """What an operator types on the server: `schoolsync user add`."""
    settings = Settings(data_dir=tenant.server.data, database_url=tenant.server.database_url)
    named = [f"schoolsync.{role}" for role in roles]
    with (
        contextlib.redirect_stdout(io.StringIO()),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\n"))
        assert user.add(settings, tenant=tenant.id, name=name, scope=None, roles=named) == 0


@dataclass
class Person:
    """Somebody with a browser window."""

    page: Page
    tenant: Tenant
    shots: Path
    device: str  # its name in DEVICES
    problems: list[str] = field(default_factory=list)

    @property
    def server(self) -> Server:
        return self.tenant.server

    def open(self, path: str = "") -> None:
        """Go to a page below /console."""
        self.page.goto(f"{self.server.base}/console{path}")

    def sign_in(self, *roles: str, user: str = "ada@skole.example") -> None:
        """As a person does whose district has no issuer of its own: an operator vouches on the server."""
        self.open(f"/sign-in?tenant={self.tenant.id}")
        self.page.get_by_role("button", name="Use a code").click()
        code = self.page.locator("p.code").inner_text().strip()
        approve(self.tenant, code, roles, user=user)
        self.page.get_by_role("link", name="Go on").click()
        self.page.get_by_role("heading", name="How your rosters are doing").wait_for()

    def type_password(self, name: str) -> None:
        """As a person does who has an account of `schoolsync user add`, whatever the language."""
        self.open(f"/sign-in?tenant={self.tenant.id}")
        self.page.locator("main form button.primary").click()
        self.page.locator("#username").fill(name)
        self.page.locator("#password").fill(PASSWORD)
        self.page.locator("form button").click()
        self.page.locator("header .name").wait_for()

    def look(self, name: str) -> None:
        """Hold the page to what all pages promise and to its outline, and keep a picture of it."""
        pictures.take(self.page, self.shots / f"{name}-{self.device}.png")
        if not name.startswith(VARYING):
            outlines.compare(self.page, f"{name}-{self.device}")
        self.check(name)

    def check(self, name: str) -> None:
        """Hold the page to what all pages promise."""
        page = self.page
        assert not self.problems, self.problems
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{name} sticks out by {wide} pixels on a {self.device}"
        page.evaluate(AXE.read_text("utf-8"))
        found = page.evaluate("axe.run(document)")
        bad = [
            f"{one['id']}: {one['help']}: {[node['html'][:200] for node in one['nodes'][:3]]}"
            for one in found["violations"]
        ]
        assert not bad, f"{name} on a {self.device}: {bad}"


@contextmanager
def person(browser: Browser, tenant: Tenant, *, device: str, shots: Path, **more: Any) -> Iterator[Person]:
    """A fresh window, with nothing of anybody else in it."""
    context = browser.new_context(**DEVICES[device], **{"locale": "en-GB", **more})
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    made = Person(page, tenant, shots, device)

    def heard(message: ConsoleMessage) -> None:
        if message.type == "error" and not re.search(r"status of (4\d\d|503)", message.text):
            made.problems.append(message.text)

    page.on("console", heard)
    page.on("pageerror", lambda error: made.problems.append(str(error)))
    try:
        yield made
        assert not made.problems, made.problems
    finally:
        context.close()
