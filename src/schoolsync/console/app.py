"""Answers requests below /console: finds the page and the person, keeps out forged forms, and shows errors as pages.

Files under `static` are served to everybody, under addresses that change with their content. Nothing on a page may run
but scripts from there: the content security policy allows no other.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from functools import lru_cache
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from schoolsync.api.app import OwnApi
from schoolsync.console import catalogue, charts, words
from schoolsync.console.links import Links
from schoolsync.console.routes import ROOT, ROWS, Handler, Row
from schoolsync.console.sessions import COOKIE, Sessions
from schoolsync.console.visit import Page, Visit
from schoolsync.errors import Forbidden, Invalid, NotFound, Unauthenticated
from schoolsync.graph import requests
from schoolsync.graph.answers import Receive, Scope, Send
from schoolsync.graph.app import Arrival
from schoolsync.graph.errors import BadRequest, MethodNotAllowed, UnknownSegment
from schoolsync.graph.paths import Tree, split
from schoolsync.settings import Settings
from schoolsync.store.control import Control

HERE = Path(__file__).parent
STATIC = HERE / "static"
FORM = "application/x-www-form-urlencoded"
FORM_MAX = 256 * 1024
FIELDS_MAX = 5_000
LANGUAGE = "schoolsync_language"

_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS = (
    ("Content-Security-Policy", _POLICY),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
)


class Console:
    """The pages of the console, as the front layer calls them."""

    def __init__(self, own: OwnApi, *, control: Control, settings: Settings) -> None:
        self.own = own
        self.control = control
        self.settings = settings
        self.sessions = Sessions(control, settings)
        self.links = Links(control)
        self._tree: Tree[Row] = Tree(ROWS)
        self._handlers: dict[str, Handler] = {row.handler: row.resolve() for row in ROWS}

    async def __call__(self, scope: Scope, receive: Receive, send: Send, arrival: Arrival) -> None:
        """Answer one request, whatever happens with a page."""
        cookies = _cookies(arrival.headers.get("cookie"))
        language = catalogue.chosen(cookies.get(LANGUAGE), arrival.headers.get("accept-language"))
        visit = Visit(
            console=self,
            arrival=arrival,
            session=None,
            language=language,
            path=scope["path"],
            keys={},
            query={},
            cookies=cookies,
        )
        try:
            page = await self._answer(scope, receive, visit)
        except Exception as error:
            page = self._failed(visit, error)
        await _send(send, page)

    async def _answer(self, scope: Scope, receive: Receive, visit: Visit) -> Page:
        raw = scope.get("raw_path") or quote(scope["path"]).encode()
        segments = split(raw)[1:]
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        if segments[:1] == ["static"] and method == "GET":
            return self._file("/".join(segments[1:]))
        if scope["path"] == "/":
            return visit.go("")
        try:
            match = self._tree.find(segments)
        except UnknownSegment:
            raise NotFound("There is no such page.") from None
        row = match.routes.get(method)
        if row is None:
            raise MethodNotAllowed(tuple(match.routes))
        visit.path = f"{ROOT}/{match.path}".rstrip("/")
        visit.keys = match.keys
        visit.query = _fields(scope["query_string"])
        visit.session = await asyncio.to_thread(self.sessions.find, visit.cookies.get(COOKIE), now=visit.now)
        if visit.session is not None:
            visit.arrival.principal = visit.session.principal
            await visit.arrival.throttle.admit(visit.session.principal)
        elif not row.open:
            if method == "GET" and "hx-request" not in visit.arrival.headers:
                return visit.go("/sign-in", next=visit.link())
            raise Unauthenticated("You are not signed in any more: sign in, then do it again.")
        if method == "POST":
            if visit.arrival.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
                raise Forbidden("The form was sent from another site.")
            visit.form = await _form(visit.arrival.headers, receive)
            if not row.open:
                visit.check_form()
        return await self._handlers[row.handler](visit)

    def _failed(self, visit: Visit, error: Exception) -> Page:
        """An error as a page; what went wrong inside is logged where the errors of the other faces are."""
        failure = visit.arrival.failure(error)
        message = str(failure.body["error"]["message"])
        if "hx-request" in visit.arrival.headers:  # a part of a page was asked for: no whole page goes into its place
            if failure.status == 401:
                here = _came_from(visit.arrival.headers.get("hx-current-url", ""))
                return Page(headers=(("HX-Redirect", f"{ROOT}/sign-in?{urlencode({'next': here})}"),))
            return visit.page("problem.html", status=failure.status, message=message)
        came_from = _came_from(visit.arrival.headers.get("referer", ""))
        return visit.page(
            "error.html", status=failure.status, message=message, code=failure.status, came_from=came_from
        )

    # --- templates and files ---------------------------------------------------------------------------------------

    def templates(self, language: str) -> Environment:
        """The templates in one language."""
        return _templates(language)

    def _file(self, name: str) -> Page:
        found = _files().get(name)
        if found is None:
            raise NotFound("There is no such file.")
        headers = (("Cache-Control", "public, max-age=31536000, immutable"),)
        return Page(body=found[0], media=_TYPES[Path(name).suffix], headers=headers)


@lru_cache
def _templates(language: str) -> Environment:
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    texts = catalogue.translations(language)
    made.install_gettext_translations(texts, newstyle=True)  # type: ignore[attr-defined]  # comes with the extension
    made.globals.update(language=language, words=words, charts=charts, static=static, urlencode=urlencode)
    return made


@lru_cache
def _files() -> Mapping[str, tuple[str, str]]:
    """The files that are served, with a hash of their content."""
    found = {}
    for path in sorted(STATIC.rglob("*")):
        if path.suffix in _TYPES:
            text = path.read_text("utf-8")
            found[path.relative_to(STATIC).as_posix()] = (text, hashlib.sha256(text.encode()).hexdigest()[:12])
    return found


def static(name: str) -> str:
    """The address of a file, which changes with its content."""
    return f"{ROOT}/static/{name}?v={_files()[name][1]}"


def _came_from(referer: str) -> str:
    """The path of the page that a request was sent from; signing in checks whether it is one of ours."""
    try:
        return urlsplit(referer).path
    except ValueError:
        return ""


def _cookies(header: str | None) -> dict[str, str]:
    try:
        return {name: morsel.value for name, morsel in SimpleCookie(header or "").items()}
    except CookieError:
        return {}


def _fields(content: bytes) -> dict[str, str]:
    """Parameters or the fields of a form; of one that is given twice the last, of a list all, joined by line ends."""
    if content.count(b"&") >= FIELDS_MAX:
        raise Invalid(
            f"The form has more than {FIELDS_MAX} fields, which no page sends: take rows out, or put the profile "
            "into a file and import it (`schoolsync profile import`)."
        )
    try:
        pairs = parse_qsl(content.decode("ascii"), keep_blank_values=True, max_num_fields=FIELDS_MAX, errors="strict")
    except ValueError as problem:
        raise BadRequest("What was sent cannot be read.") from problem
    found: dict[str, str] = {}
    for name, value in pairs:
        if "\0" in value:
            raise Invalid("A text holds a NUL character.", target=name[:40])
        found[name] = f"{found[name]}\n{value}" if name in found and name.endswith("[]") else value
    return found


async def _form(headers: Mapping[str, str], receive: Receive) -> dict[str, str]:
    if headers.get("content-type", FORM).partition(";")[0].strip().lower() != FORM:
        raise BadRequest("A form is expected.")
    return _fields(await requests.content(receive, FORM_MAX))


async def _send(send: Send, page: Page) -> None:
    headers = [("Content-Type", page.media), *_HEADERS, *page.headers]
    if not any(name == "Cache-Control" for name, _ in page.headers):
        headers.append(("Cache-Control", "no-store"))
    encoded = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    if page.stream is None:
        body = page.body.encode()
        encoded.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": page.status, "headers": encoded})
        await send({"type": "http.response.body", "body": body})
        return
    await send({"type": "http.response.start", "status": page.status, "headers": encoded})
    await _stream(send, page.stream)


async def _stream(send: Send, parts: AsyncIterator[str]) -> None:
    async for part in parts:
        await send({"type": "http.response.body", "body": part.encode(), "more_body": True})
    await send({"type": "http.response.body", "body": b""})
