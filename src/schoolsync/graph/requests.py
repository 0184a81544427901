"""What a request says beside its path: query options, what it accepts, its body.

Wrong things are refused here, before a handler sees them; what is only unusual (a body on GET, a content type without
a body, options without `$`) is let through, because real clients send it.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from schoolsync.errors import TooLarge
from schoolsync.graph.call import Json
from schoolsync.graph.errors import (
    AddressTooLong,
    BadRequest,
    HeadersTooLarge,
    NotAcceptable,
    UnsupportedMediaType,
)

LATE = "schoolsync.late"
"""Key of an ASGI scope: there, and true, once the body of the request was given up because it came too slowly."""

HEADERS_MAX = 64 * 1024
"""Bytes of all headers together; the HTTP server takes more, so that it is here that too much is answered."""
ADDRESS_MAX = 32 * 1024
"""Bytes of path and query."""

_READ = {"select", "filter", "search", "orderby", "expand", "top", "skip", "count", "skiptoken", "deltatoken", "format"}
_OTHER = {"id", "@id"}  # which link is meant
_FIELDS_MAX = 100
_BOM = b"\xef\xbb\xbf"
_JSON_TYPE = re.compile(r"application/(?:[\w.-]+\+)?json|text/json")
_QUALITY_ZERO = re.compile(r";\s*q\s*=\s*0(?:\.0*)?\s*(?:;|$)")


async def content(
    receive: Callable[[], Awaitable[Mapping[str, Any]]], most: int, *, announced: str | None = None
) -> bytes:
    """The whole body of an ASGI request, of which `announced` is its header Content-Length.

    Raises TooLarge beyond `most` bytes, announced or read, BadRequest when it is broken off.
    """
    if announced is not None and announced.isdecimal() and (len(announced) > 18 or int(announced) > most):
        raise TooLarge("The body is larger than this server takes.")
    read = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise BadRequest("The request was broken off.")
        read += message.get("body", b"")
        if len(read) > most:
            raise TooLarge("The body is larger than this server takes.")
        if not message.get("more_body"):
            return bytes(read)


def check_size(path: str, query: bytes, given: Iterable[tuple[bytes, bytes]]) -> None:
    """Raise AddressTooLong or HeadersTooLarge for what is more than any client of this API sends."""
    if len(path) + len(query) > ADDRESS_MAX:
        raise AddressTooLong(
            f"Path and query together may have {ADDRESS_MAX} characters: use $batch or a shorter $filter."
        )
    if sum(len(name) + len(value) for name, value in given) > HEADERS_MAX:
        raise HeadersTooLarge(f"The headers of a request may have {HEADERS_MAX} bytes together.")


def options(query: bytes) -> dict[str, str]:
    """Query options by lower-case name without `$`. Plain keys that are no option are left out.

    Raises BadRequest for an unknown `$option` or one given twice.
    """
    if not query:
        return {}
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, max_num_fields=_FIELDS_MAX, errors="strict")
    except ValueError as problem:
        raise BadRequest("The query string cannot be read.") from problem
    found: dict[str, str] = {}
    for key, value in pairs:
        name = key.lower().removeprefix("$")
        if name not in _READ and name not in _OTHER:
            if key.startswith("$"):
                raise BadRequest(f"The query option '{key[:40]}' is not known.", target=key[:40])
            continue
        if name in found:
            raise BadRequest(f"The query option '${name}' is given twice.", target=f"${name}")
        if "\0" in value:
            raise BadRequest(f"The query option '${name}' holds a NUL character.", target=f"${name}")
        found[name] = value
    if found.get("format", "json").strip().lower().partition(";")[0] not in {"json", "application/json"}:
        raise NotAcceptable("Only JSON can be sent: leave $format out or say json.", target="$format")
    return found


def check_accept(header: str | None, *, text: bool, xml: bool = False) -> None:
    """Raise NotAcceptable when an `Accept` header leaves out everything that the answer could be."""
    if not _accepts(header, text, xml):
        raise NotAcceptable("The answer is JSON, which the request's Accept header excludes.")


@lru_cache(256)
def _accepts(header: str | None, text: bool, xml: bool) -> bool:
    if not header or not header.strip():
        return True
    wanted = {"*/*", "application/*", "application/json"} | ({"text/*", "text/plain"} if text else set())
    if xml:
        wanted |= {"application/xml", "text/xml", "text/*"}
    for part in header.lower().split(","):
        kind = part.partition(";")[0].strip()
        if (kind in wanted or _JSON_TYPE.fullmatch(kind)) and not _QUALITY_ZERO.search(part):
            return True
    return False


def accepts_gzip(header: str | None) -> bool:
    """Whether an `Accept-Encoding` header takes gzip."""
    for part in (header or "").lower().split(","):
        name = part.partition(";")[0].strip()
        if name in {"gzip", "x-gzip", "*"} and not _QUALITY_ZERO.search(part):
            return True
    return False


def check_content_type(header: str | None, encoding: str | None) -> None:
    """Raise UnsupportedMediaType when a body is announced as something else than JSON, or as packed: clients that pack
    send it again as it is after that answer.
    """
    if encoding and encoding.strip().lower() not in {"", "identity"}:
        raise UnsupportedMediaType("The body must not be compressed: send it without Content-Encoding.")
    if header and header.strip() and not _JSON_TYPE.fullmatch(header.partition(";")[0].strip().lower()):
        raise UnsupportedMediaType("The body must be JSON: send Content-Type: application/json.")


def body(content: bytes) -> Json:
    """The JSON object in a body. Raises BadRequest when there is none."""
    content = content.removeprefix(_BOM)
    if not content.strip():
        raise BadRequest("Empty Payload. JSON content expected.")
    try:
        value = msgspec.json.decode(content)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as problem:
        raise BadRequest(_unreadable(content)) from problem
    if not isinstance(value, dict):
        raise BadRequest("Unable to read JSON request payload: an object is expected.")
    return value


def _unreadable(content: bytes) -> str:
    """Why a body is no JSON, as far as it can be told."""
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return "Unable to read JSON request payload: it must be in UTF-8."
    return "Unable to read JSON request payload."


def headers(raw: list[tuple[bytes, bytes]]) -> Mapping[str, str]:
    """Headers by lower-case name; several of one name are joined with a comma."""
    found: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found
