"""Visits to the console by a program, which sends forms as a browser without scripts does."""

from __future__ import annotations

from html.parser import HTMLParser

import httpx

from .browser import approve
from .house import Tenant


def vouched(http: httpx.Client, tenant: Tenant, *named: str) -> httpx.Response:
    """The page that follows when an operator has answered the code."""
    code = http.get("/console/sign-in/wait").text.partition('class="code">')[2].partition("<")[0]
    approve(tenant, code, named, user="ada@skole.example")
    return http.get("/console/sign-in/wait")


Fields = dict[str, list[str]]


def filled(page: str) -> Fields:
    """What a browser would send of the form of a page whose fields nobody has touched, and no button of it."""
    form = _Form()
    form.feed(page[page.index("<main") :])
    return form.found


class _Form(HTMLParser):
    """The fields of the forms on a page as they are filled in."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Fields = {}
        self._select = ""
        self._option = False
        self._area: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "input" and "name" in given:
            box = given.get("type") in {"checkbox", "radio"}
            if not box or "checked" in given:
                self._take(given["name"], given.get("value", "on" if box else ""))
        elif tag == "textarea":
            self._area = given["name"]
            self._take(self._area, "")
        elif tag == "select":
            self._select = given["name"]
        elif tag == "option":
            self._option = self._select not in self.found or "selected" in given
            if self._option:
                self.found[self._select] = [given.get("value", "")]
                self._option = "value" not in given

    def handle_data(self, data: str) -> None:
        if self._area is not None:
            self.found[self._area][-1] += data
        elif self._option:  # without a value it is called as it is
            self.found[self._select][-1] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self._area = None
        elif tag in {"option", "select"}:
            self._option = False

    def _take(self, name: str, value: str) -> None:
        self.found.setdefault(name, []).append(value)
