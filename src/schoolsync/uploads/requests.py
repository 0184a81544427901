"""What an upload client's HTTP request says: names, conditions, properties, checksums and a body that streams.

It reads and checks, and decides nothing. Whatever cannot be meant as Azure means it is refused, never ignored, where
ignoring would store something else than the client believes.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from schoolsync.uploads.containers import Conditions, Properties
from schoolsync.uploads.refusals import BlobRefused
from schoolsync.uploads.signatures import parameters

Scope = MutableMapping[str, Any]  # what ASGI calls a scope: values of many kinds
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

MOUNT = "uploads"
DRAINED = 72 * 1024 * 1024
"""What is read of a refused body, so that the client hears the refusal: a little more than the largest single PUT."""

LONGEST_NAME = 1024
METADATA_MAX = 8 * 1024
PRINTABLE = re.compile(r"[\x20-\x7e]{1,1024}")

_METADATA = re.compile(r"[a-z_][a-z0-9_]*")
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class Gone(Exception):
    """The client hung up before its request was whole."""


@dataclass(slots=True)
class Request:
    """One request, and how much of its body was read."""

    method: str
    container: str
    name: str  # of the file; empty for the container itself
    query: Mapping[str, str]
    query_string: bytes
    headers: Mapping[str, str]
    receive: Receive
    now: int
    read: int = 0
    whole: bool = False

    @property
    def operation(self) -> str:
        """What `comp` names; empty for the plain operation on a file."""
        return self.query.get("comp", "").lower()

    @property
    def declared(self) -> int | None:
        """The length that the client announced."""
        text = self.headers.get("content-length", "")
        return int(text) if text.isdecimal() else None

    async def body(self) -> AsyncIterator[bytes]:
        """The body in the parts in which it comes."""
        while not self.whole:
            message = await self.receive()
            if message["type"] != "http.request":
                raise Gone
            part = bytes(message.get("body", b""))
            self.read += len(part)
            self.whole = not message.get("more_body", False)
            if part:
                yield part
        if self.declared is not None and self.read != self.declared:
            raise Gone

    async def drain(self) -> None:
        """Read on without keeping anything, unless the client waits to be told to send."""
        if "expect" in self.headers and not self.read:
            return
        async for _ in self.body():
            if self.read > DRAINED:
                return


def request_of(scope: Scope, receive: Receive, now: int) -> Request:
    """The request in an ASGI scope; double slashes and the container's letter case do not matter."""
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    parts = raw.partition(b"?")[0].decode("latin-1").lstrip("/").split("/")
    if parts[0].lower() == MOUNT:
        parts = parts[1:]
    while parts and not parts[0]:
        parts = parts[1:]
    container, name = (parts[0], "/".join(parts[1:])) if parts else ("", "")
    headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
    return Request(
        method=scope["method"],
        container=unquote(container).lower(),
        name=unquote(name, errors="surrogateescape").lstrip("/"),
        query=parameters(scope["query_string"]),
        query_string=scope["query_string"],
        headers=headers,
        receive=receive,
        now=now,
    )


def checked_name(name: str) -> str:
    """A file's name that may be kept as text; what is on disk is never named by it."""
    if name.endswith("/"):
        raise BlobRefused("InvalidUri")
    segments = name.replace("\\", "/").split("/")
    if len(name) > LONGEST_NAME or not name.isprintable() or {"", ".", ".."} & set(segments):
        raise BlobRefused("InvalidResourceName")
    return name


def conditions_of(request: Request) -> Conditions:
    """The conditions that a request depends on; those by date are refused where they would guard a write."""
    if request.method in {"PUT", "DELETE"}:
        for name in ("if-modified-since", "if-unmodified-since"):
            if name in request.headers:
                raise BlobRefused("UnsupportedHeader", HeaderName=name)
    match, none_match = request.headers.get("if-match"), request.headers.get("if-none-match")
    return Conditions(if_match=match, if_none_match=none_match.strip() if none_match is not None else None)


def md5_header(request: Request, name: str) -> str | None:
    """An MD5 in a header, in canonical base64."""
    header = request.headers.get(name)
    if header is None:
        return None
    try:
        raw = base64.b64decode(header, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != 16:
        raise BlobRefused("InvalidMd5", HeaderName=name)
    return base64.b64encode(raw).decode()


def properties_of(request: Request) -> Properties:
    """What the client wants to be remembered of a file."""
    headers = request.headers
    metadata = {name[len("x-ms-meta-") :]: value for name, value in headers.items() if name.startswith("x-ms-meta-")}
    for name, value in metadata.items():
        if not _METADATA.fullmatch(name) or (value and not PRINTABLE.fullmatch(value)):
            raise BlobRefused("InvalidHeaderValue", HeaderName=f"x-ms-meta-{name}"[:64])
    if sum(len(name) + len(value) for name, value in metadata.items()) > METADATA_MAX:
        raise BlobRefused("MetadataTooLarge")
    own_type = None if request.operation else headers.get("content-type")  # of a block list it is the list's own
    return Properties(
        content_type=_kept(headers, "content-type") or own_type or Properties().content_type,
        content_encoding=_kept(headers, "content-encoding"),
        content_language=_kept(headers, "content-language"),
        content_disposition=_kept(headers, "content-disposition"),
        cache_control=_kept(headers, "cache-control"),
        content_md5=md5_header(request, "x-ms-blob-content-md5"),
        metadata=metadata,
    )


def _kept(headers: Mapping[str, str], name: str) -> str | None:
    value = headers.get(f"x-ms-blob-{name}")
    if value and not PRINTABLE.fullmatch(value):
        raise BlobRefused("InvalidHeaderValue", HeaderName=f"x-ms-blob-{name}")
    return value or None


def byte_range(request: Request, size: int) -> tuple[int, int, bool]:
    """First byte, the one after the last, and whether only a part was asked for."""
    header = request.headers.get("x-ms-range", request.headers.get("range"))
    match = _RANGE.fullmatch(header.strip()) if header is not None else None
    if match is None or not match[1]:
        return 0, size, False
    begin = int(match[1])
    end = min(int(match[2]) + 1, size) if match[2] else size
    if begin >= size or end <= begin:
        raise BlobRefused("InvalidRange")
    return begin, end, True
