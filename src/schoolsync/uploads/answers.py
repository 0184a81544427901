"""How an upload container answers: Azure's headers on everything, errors as XML. It decides nothing."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape

from schoolsync import ticks
from schoolsync.uploads import listings, structured
from schoolsync.uploads.containers import Blob
from schoolsync.uploads.incoming import Incoming
from schoolsync.uploads.refusals import BlobRefused
from schoolsync.uploads.requests import PRINTABLE, Request

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]  # ASGI messages have values of many kinds

DEFAULT_VERSION = "2021-12-02"
_VERSION = re.compile(r"\d{4}-\d\d-\d\d")


@dataclass(slots=True)
class Answer:
    """What goes back: a small body, or a stream of known length."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes = b""
    stream: AsyncIterator[bytes] | None = None
    length: int | None = None  # of `stream`


def identity(blob: Blob) -> dict[str, str]:
    """Headers that tell which version of a file there is now."""
    return {"ETag": blob.etag, "Last-Modified": listings.moment(blob.modified)}


def checksums(request: Request, incoming: Incoming) -> dict[str, str]:
    """Headers that tell a client what arrived."""
    told = {
        "Content-MD5": incoming.digests.md5,
        "x-ms-content-crc64": incoming.digests.crc64,
        structured.HEADER: request.headers.get(structured.HEADER),
    }
    return {name: value for name, value in told.items() if value}


def xml(status: int, text: str) -> Answer:
    """An XML document as answer."""
    return Answer(status, {"Content-Type": "application/xml"}, text.encode())


def refused(refusal: BlobRefused, request: Request, request_id: str) -> Answer:
    """A refusal as Azure's clients read it: the code in body and header."""
    message = f"{refusal.message}\nRequestId:{request_id}\nTime:{ticks.text(request.now)}"
    details = "".join(f"<{name}>{escape(_clean(value))}</{name}>" for name, value in refusal.details.items())
    answer = xml(
        refusal.status,
        '<?xml version="1.0" encoding="utf-8"?><Error>'
        f"<Code>{refusal.code}</Code><Message>{escape(message)}</Message>{details}</Error>",
    )
    answer.headers["x-ms-error-code"] = refusal.code
    if refusal.status == 405:
        answer.headers["Allow"] = "PUT, GET, HEAD, DELETE"
    return answer


def _clean(text: str) -> str:
    """Text of a client's that may stand in XML: what is not printable is not."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


async def send_answer(send: Send, answer: Answer, request: Request, request_id: str, *, encrypted: bool) -> None:
    """Send an answer with the headers that every answer has; `encrypted`: files are, where they are kept."""
    version = request.headers.get("x-ms-version", "")
    headers = {
        # What was uploaded is nobody's page, whatever type it was given.
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",  # the address opens the container
        "Cache-Control": "no-store",  # children's data, unless whoever sent it said otherwise
        "Strict-Transport-Security": "max-age=31536000",
        "x-ms-request-id": request_id,
        "x-ms-version": version if _VERSION.fullmatch(version) else DEFAULT_VERSION,
        **answer.headers,
    }
    if 200 < answer.status < 300 and request.method == "PUT":
        headers["x-ms-request-server-encrypted"] = str(encrypted).lower()
    elif "x-ms-blob-type" in headers:
        headers["x-ms-server-encrypted"] = str(encrypted).lower()
    client_id = request.headers.get("x-ms-client-request-id", "")
    if PRINTABLE.fullmatch(client_id):
        headers["x-ms-client-request-id"] = client_id
    if answer.status != 304:
        headers["Content-Length"] = str(answer.length if answer.length is not None else len(answer.content))
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": raw})
    if request.method == "HEAD" or answer.stream is None:
        content = b"" if request.method == "HEAD" else answer.content
        await send({"type": "http.response.body", "body": content})
        return
    async for part in answer.stream:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
