"""Single lines of uploaded files, cell by cell, for people who put them right. Standard library alone.

What nobody needs to see for that is never quoted: passwords, birth dates, and whole lines whose cells do not stand
under their headings. Costs as much as reading the file up to the last line that is wanted; memory is bounded.
"""

from __future__ import annotations

import csv
import re
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import msgspec

from schoolsync.runs.lines import CHUNK, TEXT_MAX

LINES_MAX = 20
"""Lines that are quoted of one file at once."""
CELLS_MAX = 100
CELL_MAX = 200
"""Longest value that is quoted whole."""
_HIDDEN = re.compile(r"password|passwd|secret|birth|^dob$")
_SEPARATORS = ",;\t|"


class Cell(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One cell under its heading."""

    column: str
    value: str | None  # null: it is not shown


class QuotedLine(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One physical line of an uploaded file."""

    file: str
    line: int  # the header is 1
    cells: tuple[Cell, ...]
    aligned: bool  # whether every cell stands under a heading; if not, none of them is shown


def quote(files: Sequence[tuple[str, str]], file: str, wanted: Sequence[int]) -> list[QuotedLine]:
    """Lines of the file of an upload that is called `file`; folders and archives in front of the name do not matter.

    `files` are name and path of each uploaded file. Lines that the file does not have are left out.
    """
    name = _bare(file)
    numbers = sorted({line for line in wanted if line > 0})[:LINES_MAX]
    for stored, path in files:
        with _opened(Path(path), stored, name) as content:
            if content is not None:
                return [_quoted(file, one, texts) for one, texts in _picked(content, numbers)]
    return []


@contextmanager
def _opened(path: Path, stored: str, name: str) -> Iterator[IO[bytes] | None]:
    """The file of that name, which may lie in an archive."""
    if stored.lower().endswith(".zip"):
        try:
            with zipfile.ZipFile(path) as archive:
                member = next((one for one in archive.infolist() if _bare(one.filename) == name), None)
                if member is None:
                    yield None
                else:
                    with archive.open(member) as content:
                        yield content
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError):
            yield None  # it could not be read as a roster either, and a finding of its own says so
    elif _bare(stored) == name:
        with path.open("rb") as content:
            yield content
    else:
        yield None


def _picked(content: IO[bytes], numbers: Sequence[int]) -> Iterator[tuple[int, tuple[str, str]]]:
    """Number of each wanted line, the header's text and its own."""
    start = content.read(2)
    coding, step = {b"\xff\xfe": ("utf-16-le", 2), b"\xfe\xff": ("utf-16-be", 2)}.get(start, ("utf-8-sig", 1))
    newline = "\n".encode(coding) if step == 2 else b"\n"
    kept, line, header = (b"" if step == 2 else start), 1, None
    waiting = [*numbers]
    while waiting or header is None:
        piece = content.read(CHUNK)
        whole = kept + piece
        cut = whole.rfind(newline) + len(newline) if piece else len(whole)
        if not whole or (cut < len(newline) and len(whole) > TEXT_MAX + CHUNK):
            return
        if cut < len(newline):
            kept = whole
            continue
        block, kept = whole[:cut].removesuffix(newline), whole[cut:]
        count = block.count(newline) + 1
        if header is None or (waiting and waiting[0] < line + count):
            for text in block.split(newline):
                if header is None and not text[:12].lstrip(b"\xef\xbb\xbf").lower().startswith((b"sep=", b"#type")):
                    header = _decoded(text, coding)
                if waiting and line == waiting[0]:
                    yield waiting.pop(0), (header or "", _decoded(text, coding))
                    if not waiting:
                        return
                line += 1
        else:
            line += count
        if not piece:
            return


def _quoted(file: str, line: int, texts: tuple[str, str]) -> QuotedLine:
    header, text = texts
    separator = max(_SEPARATORS, key=header.count)
    columns, values = _cells(header, separator), _cells(text, separator)
    aligned = len(columns) == len(values)
    cells = tuple(
        Cell(column=column[:CELL_MAX], value=value[:CELL_MAX] if aligned and not _hidden(column) else None)
        for column, value in zip(columns[:CELLS_MAX], values if aligned else columns, strict=False)
    )
    return QuotedLine(file=file, line=line, cells=cells, aligned=aligned)


def _cells(text: str, separator: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([text.rstrip("\r\n")], delimiter=separator), [])]
    except csv.Error:
        return []


def _hidden(column: str) -> bool:
    return _HIDDEN.search(re.sub(r"[^a-z]", "", column.lower())) is not None


def _decoded(text: bytes, coding: str) -> str:
    text = text[:TEXT_MAX]
    try:
        return text.decode(coding)
    except UnicodeDecodeError:
        return text.decode("cp1252", "replace")


def _bare(name: str) -> str:
    return name.replace("\\", "/").rpartition("/")[2].lower()
