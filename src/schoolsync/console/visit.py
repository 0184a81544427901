"""One request for a page: who is there, what was asked, and how an answer is made.

Handlers are coroutine functions `(Visit) -> Page`. They learn everything from `ask`, which is our own API.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import msgspec
from markupsafe import Markup

from schoolsync.access import accounts, remembered, roles
from schoolsync.access.roles import Act
from schoolsync.console import catalogue, sections
from schoolsync.console.fields import Section
from schoolsync.console.sessions import Session
from schoolsync.console.shown import Shown
from schoolsync.errors import Forbidden, Invalid, PreconditionFailed

if TYPE_CHECKING:
    from schoolsync.access.principal import Principal
    from schoolsync.console.app import Console
    from schoolsync.graph.app import Arrival

_SOMEBODY = re.compile(r"\bdelegated:([^\s,;]+?)(?=[.,;:)]*(?:\s|$))")
HTML = "text/html; charset=utf-8"


class Outdated(Invalid):
    """A form was sent of something that somebody else has changed since it was opened."""


_TRIES = 5


def _version(shown: Any) -> str:  # a shape of our own API
    """A word for all that is shown, but for the state of a profile, which changes by itself."""
    content = msgspec.to_builtins(shown)
    content.get("configuration", {}).pop("state", None)
    return hashlib.sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One answer: a text, or a stream of server-sent events."""

    body: str = ""
    status: int = 200
    media: str = HTML
    headers: tuple[tuple[str, str], ...] = ()
    stream: AsyncIterator[str] | None = None


@dataclass(slots=True, kw_only=True)
class Visit:
    """One request for a page."""

    console: Console
    arrival: Arrival
    session: Session | None
    language: str
    path: str  # as the browser sees it, with /console
    keys: Mapping[str, str]
    query: Mapping[str, str]
    form: Mapping[str, str] = field(default_factory=dict)
    cookies: Mapping[str, str] = field(default_factory=dict)

    @property
    def principal(self) -> Principal:
        """Who is signed in; rows that are open to strangers ask for `session` first."""
        assert self.session is not None
        return self.session.principal

    @property
    def now(self) -> int:
        return self.arrival.now

    def text(self, message: str, **values: object) -> str:
        """A text of the catalogues in the reader's language; `N_` marks it where it is written."""
        found = catalogue.translations(self.language).gettext(message)
        return found % values if values else str(found)

    def may(self, act: str) -> bool:
        """Whether the person may do that, by the name the act has in docs/access.md."""
        return self.session is not None and roles.allows(self.session.principal, Act(act))

    def need(self, act: str) -> None:
        """Raise Forbidden unless the person may do that: a form that nobody could send is not shown either."""
        roles.check(self.principal, Act(act))

    async def ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, object] | None = None,
        body: dict[str, Any] | None = None,
    ) -> Any:  # the operation's answer, a shape of our own API
        """What an operation of our own API answers to the person. Raises what it refuses."""
        given = {name: str(value) for name, value in (query or {}).items() if value not in (None, "")}
        return (await self.console.own.ask(self.arrival, method, path, given, body)).body

    async def form_of(self, path: str) -> tuple[Any, str]:
        """What a form shows of an object, and what it carries along to tell whether that has changed meanwhile."""
        shown = await self.ask("GET", path)
        return shown, _version(shown)

    async def change(self, path: str, body: dict[str, Any]) -> Any:  # the operation's answer
        """Change an object as the form says. Raises Outdated when it is not any more what the form has shown."""
        return await self._act("PATCH", path, body, shown=path)

    async def delete(self, path: str, *, shown: str) -> None:
        """Delete an object of which the form has shown what is at `shown`. Raises Outdated as `change` does."""
        await self._act("DELETE", path, None, shown=shown)

    async def _act(self, method: str, path: str, body: dict[str, Any] | None, *, shown: str) -> Any:  # as above
        for _ in range(_TRIES):
            now = await self.console.own.ask(self.arrival, "GET", shown)
            if self.form.get("version", _version(now.body)) != _version(now.body):
                break
            with suppress(PreconditionFailed):  # a profile's state has changed in between: looked at again
                asked = self.console.own.ask(self.arrival, method, path, body=body, match=now.headers["ETag"])
                return (await asked).body
        raise Outdated(
            "Somebody else has changed this since you opened the page, so nothing of yours was saved. Below is how it "
            "is now: look at it, then change it again."
        )

    def named(self, text: str | None) -> str:
        """A text with the names of people where the log and its like hold ids: of those with an account here, of those
        who have signed in at the console, and of whoever reads it."""
        found = {match[1] for match in _SOMEBODY.finditer(text or "")}
        if not found or text is None:
            return text or ""
        me = self.principal
        known = remembered.names(self.console.control, tenant=me.tenant, ids=found, now=self.now)
        known |= accounts.names(self.console.control, tenant=me.tenant, ids=found)
        if me.user_id and me.user_name:
            known[me.user_id] = me.user_name
        return _SOMEBODY.sub(lambda match: known.get(match[1], match[0]), text)

    def said(self, text: str) -> str:
        """A sentence of the rest of the house in the reader's language; English if it is not known there."""
        sentences = catalogue.sentences(self.language)
        return (sentences.tell(text) if sentences is not None else None) or text

    def tell(self, text: object) -> str:
        """The same for a page, with the names of people; what stays English says so."""
        english = "" if text is None else str(text)
        said = self.said(english)
        named = self.named(said)
        if said == english and self.language != catalogue.DEFAULT and english:
            return Markup('<span lang="en">{}</span>').format(named)
        return named

    def check_form(self) -> None:
        """Raise Forbidden unless the form was sent from a page of this session."""
        if self.session is None or not hmac.compare_digest(self.form.get("csrf", ""), self.session.csrf):
            raise Forbidden("The form was not sent from a page of this session: open the page again and repeat it.")

    def page(
        self, template: str, *, status: int = 200, headers: tuple[tuple[str, str], ...] = (), **values: Any
    ) -> Page:
        """A page made from a template."""
        return Page(body=self.render(template, **values), status=status, headers=headers)

    def render(self, template: str, **values: Any) -> str:
        """The text of a template; values are of any kind that it shows."""
        shown = Shown(self.language, self.now)
        found = self.console.templates(self.language).get_template(template)
        return found.render(
            visit=self, shown=shown, may=self.may, csrf=self._csrf, languages=catalogue.LANGUAGES, **values
        )

    def _csrf(self) -> Markup:
        """What every form of the session carries, so that no other site can send one."""
        assert self.session is not None
        return Markup('<input type="hidden" name="csrf" value="{}">').format(self.session.csrf)

    def go(self, path: str, *, headers: tuple[tuple[str, str], ...] = (), **query: str) -> Page:
        """On to another page; `path` is below /console."""
        where = f"/console{path}" + (f"?{urlencode(query)}" if query else "")
        return Page(status=303, headers=(("Location", where), *headers))

    def link(self, **changed: object) -> str:
        """This page with other parameters; None leaves one out."""
        wanted = {**self.query, **changed}
        kept = {name: str(value) for name, value in wanted.items() if value not in (None, "")}
        return f"{self.path}?{urlencode(kept)}" if kept else self.path

    @staticmethod
    def sections() -> tuple[Section, ...]:
        """The forms of a profile's settings."""
        return sections.SECTIONS

    def cookie(self, name: str, value: str, *, seconds: int | None = None) -> tuple[str, str]:
        """A header that sets a cookie which no script can read and no other site can send along with a form."""
        secure = "; Secure" if self.arrival.origin.startswith("https:") else ""
        age = "" if seconds is None else f"; Max-Age={seconds}"
        return "Set-Cookie", f"{name}={value}; Path=/console; HttpOnly; SameSite=Lax{age}{secure}"
