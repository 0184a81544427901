"""Connections of clients that are many, slow or silent: none of them keeps the others from being served.

A connection counts from its acceptance, idle or not, so there has to be room for many. A request's body has to come
at a pace; a client that falls behind is treated as one that hung up. What a request means is of no concern here.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

# ASGI as the servers speak it: messages are mappings of any values.
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGI = Callable[[Scope, Receive, Send], Awaitable[None]]

MOST = 4096
"""Connections at a time, where the operating system lets one process have as many."""

BACKLOG = 1024
"""Connections that wait to be accepted."""

PATIENCE = 60.0
"""Seconds that a body may take without any progress to speak of."""

SLOWEST = 1024
"""Bytes of a body that buy one second more."""

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
        await app(scope, _Paced(receive, patience, slowest) if scope["type"] == "http" else receive, send)

    return answer


class _Paced:
    def __init__(self, receive: Receive, patience: float, slowest: float) -> None:
        self._receive = receive
        self._patience = patience
        self._slowest = slowest
        self._began: float | None = None
        self._read = 0
        self._whole = False
        self._late = False

    async def __call__(self) -> Message:
        if self._whole:
            return await self._receive()
        now = asyncio.get_running_loop().time()
        if self._began is None:
            self._began = now
        left = self._began + self._patience + self._read / self._slowest - now
        try:
            if self._late or left <= 0:
                raise TimeoutError
            message = await asyncio.wait_for(self._receive(), left)
        except TimeoutError:
            self._late = True
            return {"type": "http.disconnect"}
        self._read += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        return message
