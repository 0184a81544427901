"""On which lines of an uploaded file a value stands, found in the raw bytes. Standard library alone; bounded memory.

What a run keeps of a roster does not know every line, and a record that could not be read is not in it at all. The file
as it was uploaded is; looking through it costs about as much as reading it, because bytes are compared, and only the
lines that have them are looked at closely.
"""

from __future__ import annotations

import codecs
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

CHUNK = 4 * 1024 * 1024  # even: letters of UTF-16 are not cut in two
FOUND_MAX = 20
"""Lines that are told of one file at most."""
TEXT_MAX = 64 * 1024
"""A line that is longer is none of a roster."""

_CODINGS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


def find(path: Path, name: str, wanted: tuple[str, ...], *, most: int = FOUND_MAX) -> list[tuple[str, int]]:
    """File and physical line (the header is 1) of the lines in which each of `wanted` is a whole cell."""
    if name.lower().endswith(".zip"):
        return _in_archive(path, wanted, most)
    with path.open("rb") as content:
        return [(name, line) for line in _lines(content, wanted, most)]


def _in_archive(path: Path, wanted: tuple[str, ...], most: int) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if member.filename.lower().endswith(".csv") and not member.is_dir():
                with archive.open(member) as content:
                    name = member.filename.rpartition("/")[2]
                    found += [(name, line) for line in _lines(content, wanted, most)]
    return found


def _lines(content: IO[bytes], wanted: tuple[str, ...], most: int) -> list[int]:
    """The lines of one file, found chunk by chunk."""
    found: list[int] = []
    line = 1
    cells: list[_Cell] = []
    newline = b"\n"
    for chunk in _chunks(content):
        if not cells:
            coding = next((coding for mark, coding in _CODINGS if chunk.startswith(mark)), "utf-8")
            newline = "\n".encode(coding)
            cells = [_Cell(one, coding) for one in wanted]
        counted, at = line, 0
        for start, text in _candidates(chunk, cells, newline):
            if all(cell.whole.search(text) for cell in cells):
                counted += chunk.count(newline, at, start)
                at = start
                found.append(counted)
                if len(found) == most:
                    return found
        line = counted + chunk.count(newline, at)
    return found


def _candidates(chunk: bytes, cells: list[_Cell], newline: bytes) -> Iterator[tuple[int, bytes]]:
    """Where the lines begin that may have the cells, and those lines; looked for by the one that is rarest.

    Plain bytes are found in a fraction of the time that a pattern takes, and mostly they are not there at all.
    """
    if any(cell.text not in chunk for cell in cells):
        return
    rare = min(cells, key=lambda cell: chunk.count(cell.text)) if len(cells) > 1 else cells[0]
    done = 0
    for match in rare.near.finditer(chunk):
        at = match.start()
        if at < done or (at and chunk[at - len(newline) : at] not in rare.before):
            continue
        before = chunk.rfind(newline, 0, at)
        start = 0 if before < 0 else before + len(newline)
        end = chunk.find(newline, at)
        done = len(chunk) if end < 0 else end + len(newline)
        yield start, chunk[start:done]


def _chunks(content: IO[bytes]) -> Iterator[bytes]:
    """The file in pieces that end where a line ends."""
    kept = b""
    while piece := content.read(CHUNK):
        whole = kept + piece
        cut = whole.rfind(b"\n") + 1
        if cut and whole[cut : cut + 1] == b"\0":
            cut += 1  # the other half of a line feed in UTF-16
        if not cut and len(whole) > TEXT_MAX + CHUNK:
            return
        if cut:
            yield whole[:cut]
        kept = whole[cut:]
    if kept:
        yield kept


class _Cell:
    """A whole cell of some text, in quotes or not, whatever the separator."""

    def __init__(self, text: str, coding: str) -> None:
        edges = [edge.encode(coding) for edge in (",", ";", "\t", "|", '"', "\n", "\r")]
        blank = " ".encode(coding)
        self.text = text.encode(coding)
        self.before = frozenset((*edges, blank, *(mark[-len(blank) :] for mark, _ in _CODINGS)))
        edge, blanks, value = _one_of(edges), b"(?:" + re.escape(blank) + b")*", re.escape(self.text)
        self.near = re.compile(value + b"(?=" + _one_of([*edges, blank]) + b"|\\Z)")
        self.whole = re.compile(b"(?:^|" + edge + b")" + blanks + value + blanks + b"(?=" + edge + b"|\\Z)")


def _one_of(texts: list[bytes]) -> bytes:
    return b"|".join(re.escape(one) for one in texts)
