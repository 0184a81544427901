"""Blocks and the lists that make files of them: names, limits, XML in and out. Pure.

The XML comes from strangers: its size is bounded by the reader, a document type (and with it every entity) is
refused, and nothing but the elements of a block list is understood.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from xml.parsers import expat
from xml.sax.saxutils import escape

from schoolsync.uploads.refusals import BlobRefused

MOST_BLOCKS = 50_000  # of one file, as in Azure
LONGEST_ID = 64  # bytes, before base64
XML_MAX = 8 * 1024 * 1024  # a list of 50 000 of the longest ids has 5.3 MB

Kind = Literal["Latest", "Committed", "Uncommitted"]
_KINDS: Mapping[str, Kind] = {"Latest": "Latest", "Committed": "Committed", "Uncommitted": "Uncommitted"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One block of a list, and where to look for it."""

    kind: Kind
    block: str  # base64


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of a stored object that become part of a file."""

    block: str
    object: str
    offset: int
    size: int


def checked_id(text: str | None) -> str:
    """A block id as sent in `blockid`; refuses what Azure refuses."""
    if not text:
        raise BlobRefused("MissingRequiredQueryParameter", QueryParameterName="blockid")
    if not 1 <= len(_decoded(text)) <= LONGEST_ID:
        raise BlobRefused("InvalidQueryParameterValue", QueryParameterName="blockid")
    return text


def same_length(one: str, other: str) -> bool:
    """Whether two block ids may belong to the same file."""
    return len(_decoded(one)) == len(_decoded(other))


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BlobRefused("InvalidQueryParameterValue", QueryParameterName="blockid") from None


def parse(xml: bytes) -> list[Entry]:
    """The entries of a `BlockList` document, in order."""
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = reader.doctype
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    try:
        parser.Parse(xml, True)
    except expat.ExpatError as problem:
        raise BlobRefused("InvalidXmlDocument", LineNumber=str(problem.lineno)) from problem
    return reader.entries


class _Reader:
    """What expat calls while it reads."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._open: list[str] = []
        self._text: list[str] = []

    def doctype(self, *_: object) -> None:
        raise BlobRefused("InvalidXmlDocument", "A block list has no document type.")

    def start(self, name: str, _attributes: object) -> None:
        self._open.append(name)
        if len(self._open) == 1 and name != "BlockList":
            raise BlobRefused("UnsupportedXmlNode", XmlNodeName=name[:64])
        if len(self._open) == 2 and name not in _KINDS:
            raise BlobRefused("UnsupportedXmlNode", XmlNodeName=name[:64])
        if len(self._open) > 2:
            raise BlobRefused("UnsupportedXmlNode", XmlNodeName=name[:64])
        self._text = []

    def text(self, part: str) -> None:
        self._text.append(part)

    def end(self, name: str) -> None:
        self._open.pop()
        if len(self._open) == 1:
            if len(self.entries) >= MOST_BLOCKS:
                raise BlobRefused("BlockListTooLong")
            self.entries.append(Entry(_KINDS[name], "".join(self._text).strip()))


def resolve(
    entries: Sequence[Entry], *, uncommitted: Mapping[str, Piece], committed: Mapping[str, Piece]
) -> list[Piece]:
    """The stored bytes that a list names; refuses a list that names a block nobody sent."""
    sources = {
        "Latest": (uncommitted, committed),
        "Uncommitted": (uncommitted,),
        "Committed": (committed,),
    }
    pieces = []
    for entry in entries:
        piece = next((blocks[entry.block] for blocks in sources[entry.kind] if entry.block in blocks), None)
        if piece is None:
            raise BlobRefused("InvalidBlockList")
        pieces.append(piece)
    return pieces


def render(*, committed: Sequence[Piece] | None, uncommitted: Sequence[Piece] | None) -> str:
    """The answer to Get Block List; None leaves a section out."""
    sections = []
    for name, pieces in (("CommittedBlocks", committed), ("UncommittedBlocks", uncommitted)):
        if pieces is not None:
            blocks = "".join(
                f"<Block><Name>{escape(piece.block)}</Name><Size>{piece.size}</Size></Block>" for piece in pieces
            )
            sections.append(f"<{name}>{blocks}</{name}>")
    return f'<?xml version="1.0" encoding="utf-8"?><BlockList>{"".join(sections)}</BlockList>'
