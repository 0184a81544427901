"""Signing in to an issuer from the command line: with a browser on this machine, or with a code on any other.

OAuth 2.0 as public programs speak it: authorization code with PKCE to a port of this machine (RFC 8252), device codes
(RFC 8628), refresh tokens, revocation. The built-in issuer, Entra ID and any other OpenID Connect issuer are asked in
the same way, by their discovery documents. Nothing is sent to an address that is neither https nor this machine.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import http.server
import json
import secrets
import ssl
import sys
import threading
import time
import webbrowser
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from schoolsync.cli.contexts import Context
from schoolsync.errors import SchoolsyncError, UsageError, WorldError

Json = dict[str, Any]  # a JSON object has values of any kind

PATIENCE = 30.0
"""Seconds that an issuer may take to answer."""
PERSON = 300.0
"""Seconds that a person may take in the browser."""
LARGEST = 1024 * 1024
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_DONE = b"You are signed in. You can close this page and go back to the command line."
_NOT = b"Signing in did not work; the command line says why. You can close this page."


class NotSignedIn(SchoolsyncError):
    """The issuer refused; the message is what it said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """What an issuer says of itself."""

    name: str
    token_endpoint: str
    authorization_endpoint: str | None
    device_endpoint: str | None
    revocation_endpoint: str | None
    authority: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What an issuer gave."""

    token: str
    expires: int
    refresh_token: str | None

    def into(self, context: Context) -> Context:
        """The context with these; an issuer that gives no new refresh token lets the old one be."""
        return replace(
            context,
            token=self.token,
            expires=self.expires,
            refresh_token=self.refresh_token or context.refresh_token,
        )


def discover(name: str, authority: str | None) -> Issuer:
    """What an issuer says of itself. Raises UsageError when it is none, WorldError when it does not answer."""
    name = name.rstrip("/")
    status, told = _exchange("GET", f"{name}/.well-known/openid-configuration", None, authority)
    if status != 200 or not isinstance(told.get("token_endpoint"), str):
        raise UsageError(f"{name} gives out no tokens: name your own issuer with --issuer and your app with --client.")
    if str(told.get("issuer", "")).rstrip("/") != name:
        raise UsageError(f"What answers at {name} calls itself {str(told.get('issuer'))[:200]}: use that address.")

    def endpoint(key: str) -> str | None:
        found = told.get(key)
        return _checked(found) if isinstance(found, str) else None

    return Issuer(
        name=name,
        token_endpoint=_checked(told["token_endpoint"]),
        authorization_endpoint=endpoint("authorization_endpoint"),
        device_endpoint=endpoint("device_authorization_endpoint"),
        revocation_endpoint=endpoint("revocation_endpoint"),
        authority=authority,
    )


def with_browser(issuer: Issuer, *, client: str, scope: str, tell: Callable[[str], None]) -> Tokens:
    """Send the person's browser to the issuer and wait until it comes back. Raises NotSignedIn."""
    if issuer.authorization_endpoint is None:
        raise UsageError(f"{issuer.name} signs nobody in with a browser: take --device.")
    verifier, state = secrets.token_urlsafe(48), secrets.token_urlsafe(24)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    with _Waiting(state, issuer.name) as waiting:
        asked = {
            "client_id": client,
            "response_type": "code",
            "redirect_uri": waiting.address,
            "scope": scope,
            "state": state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        joint = "&" if urlsplit(issuer.authorization_endpoint).query else "?"
        page = f"{issuer.authorization_endpoint}{joint}{urlencode(asked)}"
        tell(f"Sign in with your browser. If it does not open, open this address on this machine:\n{page}")
        # Aside, because a browser in the terminal keeps its caller waiting.
        threading.Thread(target=webbrowser.open, args=(page,), daemon=True).start()
        code = waiting.code()
    form = {
        "grant_type": "authorization_code",
        "client_id": client,
        "code": code,
        "redirect_uri": waiting.address,
        "code_verifier": verifier,
        "scope": scope,
    }
    return _tokens(issuer.token_endpoint, form, issuer.authority)


def with_code(issuer: Issuer, *, client: str, scope: str, tell: Callable[[str], None]) -> Tokens:
    """Show a code and wait until somebody has answered it. Raises NotSignedIn."""
    if issuer.device_endpoint is None:
        raise UsageError(f"{issuer.name} gives no codes: take --browser.")
    status, begun = _exchange("POST", issuer.device_endpoint, {"client_id": client, "scope": scope}, issuer.authority)
    if status != 200:
        raise NotSignedIn(_said(begun, status))
    try:
        tell(str(begun.get("message") or f"Open {begun['verification_uri']} and type the code {begun['user_code']}."))
        form = {"grant_type": DEVICE_GRANT, "client_id": client, "device_code": str(begun["device_code"])}
        pause, until = float(begun.get("interval", 5)), time.monotonic() + float(begun["expires_in"])
    except (KeyError, TypeError, ValueError) as problem:
        raise NotSignedIn("its answer lacks a code") from problem
    while time.monotonic() < until:
        time.sleep(pause)
        status, told = _exchange("POST", issuer.token_endpoint, form, issuer.authority)
        if status == 200:
            return _tokens_of(told)
        if told.get("error") == "slow_down":
            pause += 5
        elif told.get("error") != "authorization_pending":
            raise NotSignedIn(_said(told, status))
    raise NotSignedIn("nobody has answered the code")


def refreshed(context: Context) -> Tokens:
    """Further tokens for a person who signed in before. Raises NotSignedIn when they must do so again."""
    form = {
        "grant_type": "refresh_token",
        "client_id": context.client,
        "refresh_token": context.refresh_token or "",
        "scope": context.scope,
    }
    return _tokens(_checked(context.token_endpoint), form, context.authority)


def revoke(context: Context) -> bool:
    """Have the issuer forget a sign-in; False when it could not be told."""
    if context.revocation_endpoint is None or context.refresh_token is None:
        return context.refresh_token is None
    form = {"client_id": context.client, "token": context.refresh_token, "token_type_hint": "refresh_token"}
    try:
        status, _ = _exchange("POST", _checked(context.revocation_endpoint), form, context.authority)
    except (WorldError, UsageError):
        return False
    return status == 200


class _Waiting:
    """A port of this machine where a browser brings a code back."""

    def __init__(self, state: str, issuer: str) -> None:
        self._answer: dict[str, str] | None = None
        answered = self

        class Handler(http.server.BaseHTTPRequestHandler):
            timeout = 10  # a browser that connects and says nothing holds nobody up

            def do_GET(self) -> None:
                given = dict(parse_qsl(urlsplit(self.path).query))
                ours = secrets.compare_digest(given.get("state", "").encode(), state.encode())
                ours = ours and given.get("iss", issuer).rstrip("/") == issuer
                self.send_response(200 if ours else 404)
                self.send_header("Content-Type", "text/plain; charset=utf-8")
                self.send_header("Cache-Control", "no-store")
                self.send_header("Referrer-Policy", "no-referrer")
                self.end_headers()
                if ours:
                    self.wfile.write(_DONE if "code" in given else _NOT)
                    answered._answer = given

            def log_message(self, *_: object) -> None:
                """The code is in the address: nothing is logged."""

        self._server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self._server.timeout = 1
        self.address = f"http://localhost:{self._server.server_port}/"

    def __enter__(self) -> _Waiting:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.server_close()

    def code(self) -> str:
        until = time.monotonic() + PERSON
        while self._answer is None and time.monotonic() < until:
            self._server.handle_request()
        if self._answer is None:
            raise NotSignedIn(f"the browser did not come back within {PERSON:g} seconds")
        if "code" not in self._answer:
            raise NotSignedIn(_said(dict(self._answer), 400))
        return self._answer["code"]


def _tokens(endpoint: str, form: dict[str, str], authority: str | None) -> Tokens:
    status, told = _exchange("POST", endpoint, form, authority)
    if status >= 500:
        raise WorldError(f"The issuer cannot work now: {_said(told, status)}")
    if status != 200:
        raise NotSignedIn(_said(told, status))
    return _tokens_of(told)


def _tokens_of(told: Json) -> Tokens:
    token, kept = told.get("access_token"), told.get("refresh_token")
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        raise NotSignedIn("its answer holds no token")
    try:
        lasts = int(told.get("expires_in", 3600))
    except (TypeError, ValueError):
        lasts = 3600
    return Tokens(token=token, expires=int(time.time()) + lasts, refresh_token=kept if isinstance(kept, str) else None)


def _checked(address: str) -> str:
    """An address that a secret may be sent to."""
    parts = urlsplit(address)
    if not parts.hostname or not (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)):
        raise UsageError(f"{address[:200]} is no https address: tokens are sent nowhere else but to this machine.")
    return address


def _exchange(method: str, address: str, form: dict[str, str] | None, authority: str | None) -> tuple[int, Json]:
    """Ask an issuer. Raises WorldError when it does not answer; redirects are not followed."""
    parts = urlsplit(_checked(address))
    connection: http.client.HTTPConnection
    try:
        assert parts.hostname is not None
        if parts.scheme == "https":
            context = ssl.create_default_context()
            if authority is not None:
                context.load_verify_locations(cafile=authority)
            connection = http.client.HTTPSConnection(
                parts.hostname, parts.port or 443, timeout=PATIENCE, context=context
            )
        else:
            connection = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=PATIENCE)
        try:
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            body = None if form is None else urlencode(form)
            headers = {"Accept": "application/json"}
            if body is not None:
                headers["Content-Type"] = "application/x-www-form-urlencoded"
            connection.request(method, target, body, headers)
            answer = connection.getresponse()
            content = answer.read(LARGEST)
        finally:
            connection.close()
    except (OSError, ValueError, http.client.HTTPException) as problem:
        why = f"{type(problem).__name__}: {problem}"[:300]
        raise WorldError(f"No answer from {parts.scheme}://{parts.netloc} ({why}).") from problem
    try:
        told = json.loads(content)
    except ValueError:
        told = {}
    return answer.status, told if isinstance(told, dict) else {}


def _said(told: Json, status: int) -> str:
    said = told.get("error_description") or told.get("error")
    text = str(said) if said else f"it answered {status}"
    return "".join(letter if letter.isprintable() else " " for letter in text)[:500].split(" Trace ID")[0].strip()


def to_stderr(line: str) -> None:
    """How a person is told what to do, beside the answer of the command."""
    print(line, file=sys.stderr, flush=True)
