"""What a container tells about its files, in Azure's XML and headers. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import format_datetime
from xml.sax.saxutils import escape, quoteattr

from schoolsync import ticks
from schoolsync.uploads.containers import Blob

MOST_RESULTS = 5000
_DECLARATION = '<?xml version="1.0" encoding="utf-8"?>'


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What a client asked of a list."""

    prefix: str = ""
    marker: str = ""
    delimiter: str = ""
    most: int = MOST_RESULTS
    with_metadata: bool = False
    asked_most: bool = False


def moment(time: int) -> str:
    """A time as HTTP headers carry it (RFC 1123)."""
    return format_datetime(ticks.moment(time), usegmt=True)


def headers(blob: Blob) -> dict[str, str]:
    """What HEAD and GET tell of a file, its length aside."""
    properties = blob.properties
    told = {
        "Content-Type": properties.content_type,
        "Content-Encoding": properties.content_encoding,
        "Content-Language": properties.content_language,
        "Content-Disposition": properties.content_disposition,
        "Cache-Control": properties.cache_control,
        "ETag": blob.etag,
        "Last-Modified": moment(blob.modified),
        "Accept-Ranges": "bytes",
        "x-ms-blob-type": "BlockBlob",
        "x-ms-creation-time": moment(properties.created),
        "x-ms-lease-status": "unlocked",
        "x-ms-lease-state": "available",
        **{f"x-ms-meta-{name}": value for name, value in properties.metadata.items()},
    }
    return {name: value for name, value in told.items() if value is not None}


def render(blobs: Sequence[Blob], asked: Listing, *, endpoint: str, container: str) -> str:
    """The answer to List Blobs for files in the order of their names."""
    entries: list[str] = []
    next_marker = last = ""
    for blob in blobs:
        if not blob.name.startswith(asked.prefix):
            continue
        shown, folder = blob.name, False
        if asked.delimiter:
            head, found, _ = blob.name[len(asked.prefix) :].partition(asked.delimiter)
            if found:
                shown, folder = asked.prefix + head + found, True
        if shown <= asked.marker or shown == last:
            continue
        if len(entries) == asked.most:
            next_marker = last
            break
        last = shown
        if folder:
            entries.append(f"<BlobPrefix><Name>{escape(shown)}</Name></BlobPrefix>")
        else:
            entries.append(_entry(blob, with_metadata=asked.with_metadata))
    options = "".join(
        f"<{name}>{escape(value)}</{name}>"
        for name, value in (
            ("Prefix", asked.prefix),
            ("Marker", asked.marker),
            ("MaxResults", str(asked.most) if asked.asked_most else ""),
            ("Delimiter", asked.delimiter),
        )
        if value
    )
    return (
        f"{_DECLARATION}<EnumerationResults ServiceEndpoint={quoteattr(endpoint)} ContainerName={quoteattr(container)}>"
        f"{options}<Blobs>{''.join(entries)}</Blobs><NextMarker>{escape(next_marker)}</NextMarker>"
        "</EnumerationResults>"
    )


def _entry(blob: Blob, *, with_metadata: bool) -> str:
    properties = blob.properties
    told = {
        "Creation-Time": moment(properties.created),
        "Last-Modified": moment(blob.modified),
        "Etag": blob.etag.strip('"'),
        "Content-Length": str(blob.size),
        "Content-Type": properties.content_type,
        "Content-Encoding": properties.content_encoding or "",
        "Content-Language": properties.content_language or "",
        "Content-MD5": properties.content_md5 or "",
        "Cache-Control": properties.cache_control or "",
        "Content-Disposition": properties.content_disposition or "",
        "BlobType": "BlockBlob",
        "LeaseStatus": "unlocked",
        "LeaseState": "available",
        "ServerEncrypted": "false",
    }
    listed = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in told.items())
    metadata = ""
    if with_metadata:
        inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in properties.metadata.items())
        metadata = f"<Metadata>{inner}</Metadata>"
    return f"<Blob><Name>{escape(blob.name)}</Name><Properties>{listed}</Properties>{metadata}</Blob>"
