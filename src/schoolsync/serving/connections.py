"""Connections of clients that are many, slow or silent: none of them keeps the others from being served.

A connection counts from its acceptance, idle or not, so there has to be room for many. A request's body has to come
at a pace; a client that falls behind is treated as one that hung up, and the scope says so to whoever still answers.
What an answer did not wait for is read and thrown away, or the client is told that the connection ends: it would send
its next request into one that is being closed. What a request means is of no concern here.
"""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from schoolsync.graph.requests import LATE

# ASGI as the servers speak it: messages are mappings of any values.
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGI = Callable[[Scope, Receive, Send], Awaitable[None]]

MOST = 16_384
"""Connections at a time, where the operating system lets one process have as many."""

BACKLOG = 1024
"""Connections that wait to be accepted."""

PATIENCE = 60.0
"""Seconds that a body may take without any progress to speak of."""

SLOWEST = 1024
"""Bytes of a body that buy one second more."""

UNREAD = 16 * 1024 * 1024
"""Bytes of a body that are read although the answer is there without them: clients that are still sending when the
connection ends, or that wait for leave to send more in HTTP/2, do not see the answer.
"""

UNREAD_FOR = 2.0
"""Seconds that this may take."""

_OWN_FILES = 256  # databases, uploads at work, pipes


def room() -> int:
    """How many connections this process can hold, after asking for as many open files as it may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST + _OWN_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY:
        return MOST
    return min(MOST, max(soft - _OWN_FILES, soft // 2))


def paced(app: ASGI, *, patience: float = PATIENCE, slowest: float = SLOWEST) -> ASGI:
    """`app`, to which a body that comes too slowly looks like one whose client hung up."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        headers = dict(scope.get("headers", ()))
        if _ANNOUNCES.isdisjoint(headers) and str(scope.get("http_version", "1.1")).startswith("1"):
            await app(scope, receive, send)  # there is no body
            return
        body = _Paced(receive, patience, slowest, scope)
        await app(scope, body, _Finishing(send, body, scope).send if _has_body(headers) else send)

    return answer


_ANNOUNCES = frozenset({b"content-length", b"transfer-encoding", b"expect"})
"""Without any of these a request has no body; in HTTP/2 it may have one all the same."""


def _has_body(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a request sends a body unasked."""
    if b"expect" in headers:
        return False
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0").strip() != b"0"


class _Finishing:
    """Sends an answer when the request's body is through; closes the connection when it does not come to an end."""

    def __init__(self, send: Send, body: _Paced, scope: Scope) -> None:
        self._send = send
        self._body = body
        # A stream of HTTP/2 ends without the connection.
        self._streams = str(scope.get("http_version", "1.1")).startswith("2")

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and not await self._body.rest() and not self._streams:
            message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
        await self._send(message)


class _Paced:
    def __init__(self, receive: Receive, patience: float, slowest: float, scope: Scope) -> None:
        self._scope = scope
        self._receive = receive
        self._patience = patience
        self._slowest = slowest
        self._began: float | None = None
        self._read = 0
        self._whole = False
        self._late = False
        self._waiting = False

    async def rest(self) -> bool:
        """Read what is left of the body; whether it came to its end."""
        if self._whole or self._late or self._waiting:
            return self._whole
        most = self._read + UNREAD
        try:
            async with asyncio.timeout(UNREAD_FOR):
                while not self._whole and self._read < most:
                    if (await self())["type"] == "http.disconnect":
                        break
        except TimeoutError:
            self._late = True
        return self._whole

    async def __call__(self) -> Message:
        if self._whole:
            return await self._receive()
        now = time.monotonic()
        if self._began is None:
            self._began = now
        left = self._began + self._patience + self._read / self._slowest - now
        try:
            if self._late or left <= 0:
                raise TimeoutError
            self._waiting = True
            message = await asyncio.wait_for(self._receive(), left)
        except TimeoutError:
            self._late = True
            self._scope[LATE] = True
            return {"type": "http.disconnect"}
        finally:
            self._waiting = False
        self._read += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        return message
