"""What every answer of the HTTP face carries: its headers, whoever gave it, and how it is sent.

Every request passes here, so what is always the same is made once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from email.utils import format_datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from schoolsync import ticks
from schoolsync.access import audit
from schoolsync.access.refusals import Refusals
from schoolsync.graph.call import Call, Reply
from schoolsync.graph.errors import Failure

if TYPE_CHECKING:
    from schoolsync.graph.app import Arrival

# ASGI as the servers speak it: messages are mappings of any values.
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

JSON = "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"
JSON_ERROR = "application/json"
STREAMS = frozenset({b"text/event-stream", b"text/csv; charset=utf-8"})
"""What is sent in parts: nobody knows its length when it begins."""
FORBIDDEN = 403

_SERVER = b'{"ServerInfo":{"DataCenter":"Local","Slice":"E","Ring":"1","ScaleUnit":"000","RoleInstance":"schoolsync"}}'
_ALWAYS = {
    b"x-ms-ags-diagnostic": _SERVER,
    b"strict-transport-security": b"max-age=31536000",
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
}
_UNLESS_SAID = {b"cache-control": b"no-cache", b"referrer-policy": b"no-referrer", b"vary": b"Accept-Encoding"}
_EXPOSED = (
    b"ETag, Location, Preference-Applied, Content-Range, request-id, client-request-id, ReadWriteConsistencyToken, "
    b"SdkVersion, WWW-Authenticate, Retry-After"
)
_UNKNOWN_MEMBERS = "include-unknown-enum-members"
_MINIMAL = frozenset({("PATCH", 200), ("POST", 201)})  # what `Prefer: return=minimal` answers without a body
_ENCODE = msgspec.json.Encoder().encode


class Sender:
    """Passes an answer on with the headers that every answer has, and without a body where there is none to send."""

    __slots__ = ("_head", "_pending", "_refusals", "_send", "arrival", "started")

    def __init__(self, send: Send, arrival: Arrival, pending: audit.Pending, refusals: Refusals, *, head: bool) -> None:
        self._send = send
        self._refusals = refusals
        self._pending = pending
        self.arrival = arrival
        self._head = head
        self.started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            status = message["status"]
            if self._pending.waits(status):
                await asyncio.to_thread(self._pending.settle, status)
            elif status == FORBIDDEN and (refused := self.arrival.refused()) is not None:
                await self._refusals.note(*refused, FORBIDDEN)
            self.started = True
            message = {**message, "headers": self._headers(status, message["headers"])}
        elif self._head and message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await self._send(message)

    def _headers(self, status: int, given: Iterable[tuple[bytes, bytes]]) -> Headers:
        arrival = self.arrival
        headers = {**_UNLESS_SAID, **{name.lower(): value for name, value in given}}
        several = headers.pop(b"set-cookie", None)  # the one header that may stand several times
        if status in {204, 304}:
            headers.pop(b"content-type", None)
            headers.pop(b"content-length", None)
        elif headers.get(b"content-length", b"0") == b"0" and headers.get(b"content-type") not in STREAMS:
            # A type without a body makes the JavaScript client throw.
            headers.pop(b"content-type", None)
            headers[b"content-length"] = b"0"
        headers[b"request-id"] = arrival.request_id.encode()
        headers[b"client-request-id"] = arrival.client_request_id.encode()
        headers[b"date"] = _date(arrival.now // ticks.PER_SECOND)
        headers.update(_ALWAYS)
        if "origin" in arrival.headers:
            headers[b"access-control-allow-origin"] = b"*"
            headers[b"access-control-expose-headers"] = _EXPOSED
        made = [*headers.items()]
        if several is not None:
            made += [(b"set-cookie", value) for name, value in given if name.lower() == b"set-cookie"]
        return made


@lru_cache(4)
def _date(second: int) -> bytes:
    """What the header `Date` says; `second` counts as ticks do."""
    return format_datetime(ticks.moment(second * ticks.PER_SECOND), usegmt=True).encode()


@lru_cache(256)
def _name(name: str) -> bytes:
    return name.lower().encode()


async def send_whole(send: Send, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Send a whole answer, with its length."""
    encoded = [(_name(name), value.encode("latin-1")) for name, value in headers.items()]
    encoded.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})


async def send_failure(send: Send, failure: Failure) -> None:
    """Send an error answer."""
    headers = {**failure.headers, "Content-Type": JSON_ERROR}
    await send_whole(send, failure.status, headers, msgspec.json.encode(failure.body))


@dataclass(slots=True)
class Answer:
    """An answer that is ready to be sent."""

    status: int
    headers: dict[str, str]
    content: bytes = b""


def answered(call: Call, reply: Reply) -> Answer:
    """The reply with what every reply of its kind carries."""
    headers = dict(reply.headers)
    applied = [headers.pop("Preference-Applied", "")]
    status, body = reply.status, reply.body
    if status < 300 and call.shows_unknown_members:
        applied.append(_UNKNOWN_MEMBERS)
    if status == 201 and isinstance(body, dict) and "id" in body:
        headers.setdefault("Location", f"{call.root}/{call.path}/{body['id']}")
    if (call.method, status) in _MINIMAL and call.prefers("return=minimal"):
        applied.append("return=minimal")
        if status == 201:
            headers["OData-EntityId"] = headers["Location"]
        status, body = 204, None
    if any(applied):
        headers["Preference-Applied"] = ", ".join(filter(None, applied))
    if body is None:
        return Answer(status, headers)
    if isinstance(body, str):
        return Answer(status, {"Content-Type": "text/plain", **headers}, body.encode())
    headers["Content-Type"] = JSON if status < 400 else JSON_ERROR
    headers["OData-Version"] = "4.0"
    return Answer(status, headers, _ENCODE(body))
