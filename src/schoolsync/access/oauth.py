"""What the endpoints of the built-in issuer share: OAuth 2.0's errors, forms, answers, and patience with guessers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from schoolsync.access import issuer

Scope = MutableMapping[str, Any]  # what ASGI calls a scope: values of many kinds
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY_MAX = 16 * 1024
FAILURES_KEPT = 4096  # pairs of client and address that are remembered for wrong secrets
FIRST_WAIT, LONGEST_WAIT = 0.25, 8.0  # seconds that a wrong secret costs; doubled with each in a row
FORGOTTEN_AFTER = 600.0
QUEUE = 8  # callers that may wait for the same client from the same address
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class OAuthError(Exception):
    """An answer in the shape of RFC 6749, section 5.2."""

    def __init__(
        self, code: str, description: str, *, status: int = 400, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(description)
        self.code = code
        self.status = status
        self.headers = headers or {}


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: dict[str, Any] | str  # a JSON object, or a page
    headers: dict[str, str] = field(default_factory=dict)


class Guard:
    """Lets one secret at a time be tried per client and address, and makes each wrong one in a row wait longer.

    Nobody is locked out: a right secret is answered as soon as its turn comes, and other addresses are not affected.
    """

    def __init__(self) -> None:
        self._attempts: dict[str, _Attempt] = {}

    @asynccontextmanager
    async def turn(self, who: str) -> AsyncIterator[_Attempt]:
        """Wait for the turn of `who`; raises when too many wait already."""
        self._forget()
        attempt = self._attempts.setdefault(who, _Attempt())
        if attempt.waiting >= QUEUE:
            raise OAuthError(
                "temporarily_unavailable", "Too many attempts at once.", status=429, headers={"Retry-After": "10"}
            )
        attempt.waiting += 1
        try:
            async with attempt.lock:
                yield attempt
        finally:
            attempt.waiting -= 1
            attempt.seen = asyncio.get_running_loop().time()
            if not attempt.failures and not attempt.waiting:
                self._attempts.pop(who, None)

    def _forget(self) -> None:
        if len(self._attempts) < FAILURES_KEPT:
            return
        before = asyncio.get_running_loop().time() - FORGOTTEN_AFTER
        idle = [who for who, attempt in self._attempts.items() if not attempt.waiting]
        old = [who for who in idle if self._attempts[who].seen < before]
        for who in old or sorted(idle, key=lambda name: self._attempts[name].seen)[: FAILURES_KEPT // 8]:
            del self._attempts[who]


@dataclass(slots=True)
class _Attempt:
    failures: int = 0
    waiting: int = 0
    seen: float = 0.0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def succeeded(self) -> None:
        self.failures = 0

    async def failed(self) -> None:
        wait = min(FIRST_WAIT * 2**self.failures, LONGEST_WAIT)
        self.failures = min(self.failures + 1, 16)
        await asyncio.sleep(wait)


def only(method: str, *allowed: str) -> None:
    if method not in allowed:
        raise OAuthError(
            "invalid_request", "The method is not allowed here.", status=405, headers={"Allow": ", ".join(allowed)}
        )


async def body_of(headers: dict[str, str], receive: Receive) -> bytes:
    """The request's body, bounded."""
    too_large = OAuthError("invalid_request", "The request is too large.", status=413)
    declared = headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > BODY_MAX:
        raise too_large
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise OAuthError("invalid_request", "The request is incomplete.")
        body += message.get("body", b"")
        if len(body) > BODY_MAX:
            raise too_large
        if not message.get("more_body", False):
            return bytes(body)


def form_of(headers: dict[str, str], body: bytes) -> dict[str, str]:
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise OAuthError("invalid_request", "The body must be application/x-www-form-urlencoded.")
    try:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=64)
    except ValueError:
        raise OAuthError("invalid_request", "The body cannot be read as a form.") from None
    form: dict[str, str] = {}
    for name, value in pairs:
        if name in form:
            raise OAuthError("invalid_request", "A parameter is given twice.")
        form[name] = value
    return form


def guid_or(text: str | None, otherwise: str) -> str:
    return text.lower() if text and issuer.GUID.fullmatch(text.lower()) else otherwise


def _header_list(answer: Answer, request_id: str, length: int) -> Iterator[tuple[bytes, bytes]]:
    fixed = {
        "Content-Type": f"{'text/html' if isinstance(answer.body, str) else 'application/json'}; charset=utf-8",
        "Content-Length": str(length),
        "x-ms-request-id": request_id,
        "Strict-Transport-Security": "max-age=31536000",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
    }
    for name, value in {**fixed, **answer.headers}.items():
        yield name.lower().encode(), value.encode("latin-1")


async def send_answer(send: Send, answer: Answer, request_id: str, *, with_body: bool) -> None:
    page = answer.body if isinstance(answer.body, str) else json.dumps(answer.body, separators=(",", ":"))
    content = page.encode()
    headers = list(_header_list(answer, request_id, len(content)))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": content if with_body else b""})
