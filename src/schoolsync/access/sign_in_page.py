"""The page of the built-in issuer where a person signs in: for a program that waits for a code, or one that shows one.

Plain HTML without a script. It never sends anybody anywhere before the address was judged, takes forms of its own alone
(another site cannot have a browser send one), says nothing about which part of name and password was wrong, and makes
guessers wait.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Callable
from dataclasses import replace
from html import escape
from urllib.parse import parse_qsl, urlencode, urlsplit

import structlog

from schoolsync.access import accounts, audit, devices, issuer, permissions, sign_ins
from schoolsync.access.devices import Granted
from schoolsync.access.oauth import NO_STORE, Answer, Guard, OAuthError, Receive, Scope, body_of, form_of, only
from schoolsync.access.refreshing import OFFLINE
from schoolsync.access.sign_ins import Question
from schoolsync.settings import Settings
from schoolsync.store.control import Control
from schoolsync.store.directories import Directories

BESIDE = frozenset({"openid", "profile", "email", OFFLINE, ".default"})
"""Scopes that libraries ask for and that are no permissions."""

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;margin:12vh auto;max-width:22rem;padding:0 1rem;color:#1b1b1b;background:#fff}
h1{font-size:1.3rem}label{display:block;margin:.8rem 0 .2rem}
input{font:inherit;width:100%;box-sizing:border-box;padding:.5rem;border:1px solid #767676;border-radius:4px}
button{font:inherit;margin-top:1.2rem;padding:.6rem 1.2rem;border:0;border-radius:4px;background:#0b5394;color:#fff}
[role=alert]{color:#a4000f}:focus-visible{outline:3px solid #0b5394;outline-offset:2px}
@media(prefers-color-scheme:dark){body{color:#eee;background:#1b1b1b}input{color:inherit;background:#2b2b2b}
[role=alert]{color:#ff9a9a}}
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
Tell = Callable[[str], str]
"""Says a text in a language."""
Languages = Callable[[str | None], tuple[str, Tell]]
"""The language for what a browser asks for (`Accept-Language`), and who says texts in it."""

log = structlog.get_logger()


def english(accept: str | None) -> tuple[str, Tell]:
    """The language that the texts are in."""
    del accept
    return "en", str


class SignInPage:
    """`/authorize`, for browsers."""

    def __init__(
        self,
        *,
        control: Control,
        settings: Settings,
        clock: Callable[[], int],
        guard: Guard,
        directories: Directories,
        languages: Languages = english,
    ) -> None:
        self._control = control
        self._languages = languages
        self._settings = settings
        self._clock = clock
        self._guard = guard
        self._audit = audit.Audit(control, directories, settings)

    async def answer(
        self, scope: Scope, headers: dict[str, str], receive: Receive, *, tenant_id: str, tenant: int, request: str
    ) -> Answer:
        """The page, what became of the form, or the way back to the program."""
        only(scope["method"], "GET", "HEAD", "POST")
        page = _Page(*self._languages(headers.get("accept-language")))
        _ = page.tell
        try:
            asked = dict(parse_qsl(scope["query_string"].decode("ascii"), keep_blank_values=True, max_num_fields=32))
        except ValueError:
            return page.saying(_("The address cannot be read."), status=400)
        question: Question | None = None
        if asked:
            refusal = self._unsafe(asked, _)
            if refusal is not None:
                return page.saying(refusal, status=400)
            try:
                question = _question(asked)
            except OAuthError as problem:
                back = {"error": problem.code, "error_description": str(problem)}
                return self._back(asked["redirect_uri"], back, asked.get("state"), tenant_id)
        if scope["method"] != "POST":
            return page.form(question)
        if not _from_own_page(headers):
            return page.saying(_("The form came from another site; open the page again from your program."), status=403)
        form = form_of(headers, await body_of(headers, receive))
        name, password = form.get("username", "").strip(), form.get("password", "")
        address = (scope.get("client") or ("?",))[0]
        account = await self._authenticated(tenant, tenant_id, name, password, address)
        if account is None:
            wrong = _("This name and password do not belong together here.")
            return page.form(question, problem=wrong, name=name, status=401)
        if question is None:
            return await self._approve(account, tenant, form.get("user_code", ""), request, page)
        return await self._grant(account, tenant, question, request)

    async def _authenticated(
        self, tenant: int, tenant_id: str, name: str, password: str, address: str
    ) -> accounts.Account | None:
        known_as = hashlib.sha256(name.lower().encode(errors="replace")).hexdigest()[:16]
        async with self._guard.turn(f"{tenant_id}/{known_as}/{address}") as attempt:
            account = await asyncio.to_thread(
                accounts.authenticate,
                self._control,
                tenant=tenant,
                tenant_id=tenant_id,
                name=name[:256],
                password=password,
            )
            if account is not None:
                attempt.succeeded()
                return account
            log.warning("wrong password", tenant=tenant_id, address=address)
            await attempt.failed()
        return None

    async def _grant(self, account: accounts.Account, tenant: int, question: Question, request: str) -> Answer:
        granted = _granted(account, question.scopes)
        if not granted.scopes:
            back = {"error": "access_denied", "error_description": "The account has none of the scopes asked for."}
            return self._back(question.redirect_uri, back, question.state, account.tenant_id)

        def begin() -> str:
            with self._audit.acting(self._act(account, tenant, "sign in", question.client, request)):
                return sign_ins.begin(
                    self._control, tenant=tenant, question=question, granted=granted, now=self._clock()
                )

        code = await asyncio.to_thread(begin)
        log.info("signed in", tenant=account.tenant_id, person=account.id, client=question.client)
        return self._back(question.redirect_uri, {"code": code}, question.state, account.tenant_id)

    async def _approve(self, account: accounts.Account, tenant: int, typed: str, request: str, page: _Page) -> Answer:
        """Somebody typed the code that their program shows."""
        _ = page.tell

        def approve() -> bool:
            now = self._clock()
            wanted = typed.strip().upper()
            for one in devices.waiting(self._control, tenant=tenant, now=now):
                granted = _granted(account, one.scopes)
                if one.code == wanted and granted.scopes:
                    if one.offline:
                        granted = replace(granted, scopes=(*granted.scopes, OFFLINE))
                    with self._audit.acting(self._act(account, tenant, "device approve", one.client, request)):
                        return devices.answer(self._control, tenant=tenant, code=wanted, granted=granted, now=now)
            return False

        if not await asyncio.to_thread(approve):
            unknown = _(
                "No program waits with this code: it may be mistyped, used, or older than a quarter of an hour."
            )
            return page.form(None, problem=unknown, name=account.name, status=400)
        return page.saying(_("You are signed in. You can close this page and go back to your program."))

    def _act(self, account: accounts.Account, tenant: int, operation: str, client: str, request: str) -> audit.Act:
        return audit.Act(
            tenant=tenant,
            tenant_id=account.tenant_id,
            at=self._clock(),
            actor=f"delegated:{account.id}",
            client=client,
            operation=operation,
            object=account.id,
            request=request,
        )

    def _unsafe(self, asked: dict[str, str], _: Tell) -> str | None:
        """Why nobody is sent back to the program at all; None when it is a program to speak with."""
        if not issuer.GUID.fullmatch(asked.get("client_id", "").lower()):
            return _("The program does not say which one it is: client_id must be a GUID of its own.")
        if not sign_ins.may_receive(asked.get("redirect_uri", ""), self._settings.base_url):
            return _("The program wants its answer at an address that is neither on your machine nor on this server.")
        return None

    def _back(self, redirect_uri: str, answer: dict[str, str], state: str | None, tenant_id: str) -> Answer:
        """Send the browser to the program; `iss` says who answers (RFC 9207)."""
        values = {**answer, "iss": issuer.issuer(self._settings.base_url, tenant_id, "2.0")}
        if state is not None:
            values["state"] = state
        joined = redirect_uri + ("&" if urlsplit(redirect_uri).query else "?") + urlencode(values)
        return Answer(303, "", {**NO_STORE, "Location": joined, "Referrer-Policy": "no-referrer"})


def _question(asked: dict[str, str]) -> Question:
    """What a program asks for. Raises OAuthError when it cannot have it."""
    if asked.get("response_type") != "code":
        raise OAuthError("unsupported_response_type", "Only response_type=code is served.")
    if asked.get("response_mode", "query") != "query":
        raise OAuthError("invalid_request", "Only response_mode=query is served.")
    challenge = asked.get("code_challenge", "")
    if asked.get("code_challenge_method") != "S256" or not sign_ins.is_challenge(challenge):
        raise OAuthError("invalid_request", "A code_challenge with code_challenge_method=S256 is needed (PKCE).")
    if asked.get("prompt") == "none":
        raise OAuthError("login_required", "Nobody is signed in here beforehand.")
    named = [scope.rpartition("/")[2] for scope in asked.get("scope", "").split()]
    scopes = tuple(dict.fromkeys(scope for scope in named if scope not in BESIDE))
    if not set(scopes) <= permissions.KNOWN_SCOPES:
        raise OAuthError("invalid_scope", "The scope holds a permission that is not known here.")
    return Question(
        client=asked["client_id"].lower(),
        redirect_uri=asked["redirect_uri"],
        challenge=challenge,
        scopes=scopes,
        openid="openid" in named,
        offline=OFFLINE in named,
        state=asked.get("state"),
        nonce=asked.get("nonce"),
    )


def _granted(account: accounts.Account, asked: tuple[str, ...]) -> Granted:
    """What a program gets: what it asks for, as far as the account has it; all that the account has for no wish."""
    scopes = tuple(scope for scope in account.scopes if not asked or scope in asked)
    return Granted(account.id, account.name, scopes, account.roles)


def _from_own_page(headers: dict[str, str]) -> bool:
    """Whether a form can have come from our own page: browsers say so, programs that are no browser say nothing."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in {"same-origin", "none"}
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc.lower() == headers.get("host", "").lower()


class _Page:
    """The page in one language."""

    def __init__(self, language: str, tell: Tell) -> None:
        self._language = language
        self.tell = tell

    def form(self, question: Question | None, *, problem: str = "", name: str = "", status: int = 200) -> Answer:
        """The form; it is sent to the address of the page."""
        _ = self.tell
        shown = _("Code that your program shows")
        warned = _("Type only a code of a program that you have just started yourself.")
        known_as, secret, send = _("Name"), _("Password"), _("Sign in")
        alert = f'<p role="alert">{escape(problem)}</p>' if problem else ""
        code = (
            f'<label for="user_code">{escape(shown)}</label>'
            '<input id="user_code" name="user_code" required autocomplete="off" autocapitalize="characters">'
            f"<p>{escape(warned)}</p>"
            if question is None
            else ""
        )
        content = (
            f'{alert}<form method="post">{code}<label for="username">{escape(known_as)}</label>'
            f'<input id="username" name="username" required autocomplete="username" value="{escape(name)}">'
            f'<label for="password">{escape(secret)}</label>'
            '<input id="password" name="password" type="password" required autocomplete="current-password">'
            f"<button>{escape(send)}</button></form>"
        )
        then = ""
        if question is not None:  # where the form leads on to, which browsers count as a target of it
            parts = urlsplit(question.redirect_uri)
            then = f" {parts.scheme}://{parts.netloc}"
        return self._html(content, status=status, form_action=f"'self'{then}")

    def saying(self, sentence: str, *, status: int = 200) -> Answer:
        """A sentence, and nothing to do."""
        return self._html(f"<p>{escape(sentence)}</p>", status=status, form_action="'none'")

    def _html(self, content: str, *, status: int, form_action: str) -> Answer:
        _ = self.tell
        title = escape(_("Sign in to schoolsync"))
        page = (
            f'<!doctype html><html lang="{self._language}"><head><meta charset="utf-8"><title>{title}</title>'
            f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>'
            f"<body><main><h1>{title}</h1>{content}</main></body></html>"
        )
        policy = (
            f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action {form_action}; "
            "frame-ancestors 'none'; base-uri 'none'"
        )
        headers = {
            **NO_STORE,
            "Content-Language": self._language,
            "Vary": "Accept-Language",
            "Content-Security-Policy": policy,
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "same-origin",  # with none at all, browsers hide from us that the form is our own
        }
        return Answer(status, page, headers)
