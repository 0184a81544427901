"""On which lines of an uploaded file a value stands, found in the raw bytes. Standard library alone; bounded memory.

What a run keeps of a roster does not know every line, and a record that could not be read is not in it at all. The file
as it was uploaded is; looking through it costs about as much as reading it.
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
    cells: list[re.Pattern[bytes]] = []
    newline = b"\n"
    for chunk in _chunks(content):
        if not cells:
            coding = next((coding for mark, coding in _CODINGS if chunk.startswith(mark)), "utf-8")
            newline = "\n".encode(coding)
            cells = [_cell(one, coding) for one in wanted]
        at, counted = 0, line
        for match in cells[0].finditer(chunk):
            counted += chunk.count(newline, at, match.start(1))
            at = match.start(1)
            if (not found or found[-1] != counted) and _all(chunk, at, cells[1:], newline):
                found.append(counted)
                if len(found) == most:
                    return found
        line += chunk.count(newline)
    return found


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


def _cell(text: str, coding: str) -> re.Pattern[bytes]:
    """A whole cell of this text, in quotes or not, whatever the separator."""
    edges = b"|".join(re.escape(edge.encode(coding)) for edge in (",", ";", "\t", "|", '"', "\n", "\r"))
    blanks = b"(?:" + re.escape(" ".encode(coding)) + b")*"
    value = re.escape(text.encode(coding))
    return re.compile(b"(?:^|" + edges + b")" + blanks + b"(" + value + b")" + blanks + b"(?=" + edges + b"|\\Z)")


def _all(chunk: bytes, at: int, cells: list[re.Pattern[bytes]], newline: bytes) -> bool:
    """Whether the others stand in the line too in which `at` is."""
    if not cells:
        return True
    start = max(0, chunk.rfind(newline, 0, at))
    end = chunk.find(newline, at)
    text = chunk[start : len(chunk) if end < 0 else end + len(newline)]
    return all(cell.search(text) for cell in cells)
