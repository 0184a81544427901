"""Files that are not UTF-8 text: told apart by their first bytes, and copied as UTF-8 where they can be.

UTF-16 and Windows-1252 are read; a byte that the encoding does not have refuses the file, because a replacement
character in a name is a name that is wrong. What is no text at all is refused with what it is.
"""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from schoolsync.errors import raise_worlds

_CHUNK = 1024**2
_START = 4096
_ASCII = bytes(range(128))
# What begins so is no CSV, whatever its name.
_OTHERS = (
    (b"PK\x03\x04", "workbook", "a workbook or an archive"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "workbook", "a workbook of an old Excel"),
    (b"%PDF-", "unreadable-file", "it is a PDF document, not CSV"),
    (b"\x1f\x8b", "unreadable-file", "it is a gzip archive, not CSV"),
    (b"7z\xbc\xaf\x27\x1c", "unreadable-file", "it is a 7z archive, not CSV"),
    (b"Rar!\x1a\x07", "unreadable-file", "it is a RAR archive, not CSV"),
    (b"{\\rtf", "unreadable-file", "it is a text document, not CSV"),
)
_PAGE = re.compile(
    rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype|html|head|body|table|workbook)\b", re.I | re.S
)
_SEVERAL_BYTES = re.compile(rb"[\xc3-\xf4][\x80-\xbf]")
# Windows-1252 has no characters there, and control characters are no part of a roster in any encoding.
_NOT_1252 = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")


def refusal(start: bytes) -> tuple[str, str] | None:
    """The rule and the detail of what is no CSV, told from its first bytes."""
    if start.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "wrong-encoding", "UTF-32"
    for mark, rule, what in _OTHERS:
        if start.startswith(mark):
            return rule, what
    if _PAGE.match(start.removeprefix(codecs.BOM_UTF8)):
        return "web-page", "a page"
    return None


def wide(start: bytes) -> str | None:
    """The codec of UTF-16, with a byte-order mark or by its zero bytes."""
    if start.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return None
    if start.startswith(codecs.BOM_UTF16_LE):
        return "utf-16-le"
    if start.startswith(codecs.BOM_UTF16_BE):
        return "utf-16-be"
    even, odd = start[::2], start[1::2]
    if len(start) >= 8 and odd.count(0) > len(odd) * 0.4 and even.count(0) == 0:
        return "utf-16-le"
    if len(start) >= 8 and even.count(0) > len(even) * 0.4 and odd.count(0) == 0:
        return "utf-16-be"
    return None


def start_of(path: Path) -> bytes:
    """The first bytes of a file; none when it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(_START)
    except OSError as problem:
        raise_worlds(problem)
        return b""


def is_windows(path: Path) -> bool:
    """Whether a file that is not UTF-8 is all in Windows-1252: nothing in it is UTF-8 either, or has no character.

    A file of both was put together of pieces: its rows are told one by one. So is a file whose only strange byte is its
    last, which may be half of a character where the file was cut off.
    """
    held = b""
    others = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            if _SEVERAL_BYTES.search(held + chunk) or _NOT_1252.search(chunk):
                return False
            others += 0 if chunk.isascii() else len(chunk.translate(None, _ASCII))
            held = chunk[-1:]
    return others > 1 or held.isascii()


def recoded(path: Path, target: Path, codec: str) -> bool:
    """Write the file as UTF-8. False when it has something that the codec does not have."""
    decoder = codecs.getincrementaldecoder(codec)()
    try:
        with path.open("rb") as source, target.open("wb") as made:
            first = True
            while chunk := source.read(_CHUNK):
                text = decoder.decode(chunk)
                made.write((text.removeprefix("\ufeff") if first else text).encode())
                first = first and not text
            made.write(decoder.decode(b"", final=True).encode())
    except UnicodeError:
        return False
    return True
