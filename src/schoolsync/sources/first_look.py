"""A first look at the bytes of a file, before anything reads it as CSV: its lines, and what would mislead a parser.

The bytes are read once and counted; no value is looked at.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from pathlib import Path

from schoolsync.errors import raise_worlds
from schoolsync.sources.encodings import refusal

_CHUNK = 1024**2 // 4  # stays in the cache of the processor while it is searched for one byte after the other
MAX_LINE = 4 * 1024**2
"""Bytes of a line that the parser is made ready for; one of half as many is refused before."""
CONTROLS = bytes([*range(9), 11, 12, *range(14, 32), 127])
WIDE_BLANKS = {one.encode(): one for one in "\u00a0\u2007\u202f\u200b\ufeff"}
"""Blanks that are not ASCII: their bytes, and what they are."""
_REPLACEMENT = "\ufffd".encode()


@dataclass(frozen=True, slots=True)
class Text:
    """What a first look at the bytes tells."""

    lines: int  # physical lines, blank ones at the end left out
    plain: bool  # one kind of line end, no control characters, valid UTF-8
    mixed: bool  # several kinds of line end
    damaged: bool  # replacement characters, from an earlier and careless conversion
    marked: bool  # a byte-order mark stands at the beginning
    invalid: bool  # it is not UTF-8
    ended: bool  # the last line has an end
    blanks: int  # how many blanks of any kind there are
    problem: tuple[str, str] | None  # rule and detail of what makes the file unreadable


def look(path: Path) -> Text:
    """Read the bytes once: count lines, and find what would mislead the parser."""
    seen = _Seen()
    try:
        with path.open("rb", buffering=0) as file:
            while chunk := file.read(_CHUNK):
                if seen.size == 0 and (named := refusal(chunk[:4096])):
                    return _unreadable(named)
                seen.add(chunk)
                if seen.longest > MAX_LINE // 2:
                    return _unreadable(("line-too-long", f"{MAX_LINE // 2**20 // 2} MiB"))
    except OSError as problem:
        raise_worlds(problem)
        return _unreadable(("unreadable-file", problem.strerror or "the disk does not answer"))
    if seen.size == 0:
        return _unreadable(("empty-file", ""))
    if seen.nul * 4 > seen.size:
        return _unreadable(("wrong-encoding", "UTF-16 or not text at all"))
    return seen.text()


def _unreadable(problem: tuple[str, str]) -> Text:
    return Text(*(0, False, False, False, False, False, True), blanks=0, problem=problem)


def _blanks(chunk: bytes, end: bytes) -> int:
    """How many blanks begin or end in the chunk, which comes after bytes that end with `end`."""
    found = sum(chunk.count(blank) for blank in (b" ", b"\t") if blank in chunk)
    if not chunk.isascii() or not end[-2:].isascii():
        for blank in WIDE_BLANKS:
            # The byte that such a blank begins with is rare, and found many times faster than the whole.
            if blank[:1] in chunk or blank[:1] in end[-2:]:
                # It may have begun in the chunk before; it cannot have ended there.
                found += (end[1 - len(blank) :] + chunk).count(blank)
    return found


class _Seen:
    """Counts over the chunks of a file."""

    def __init__(self) -> None:
        self.size = self.feeds = self.returns = self.pairs = self.nul = self.blanks = 0
        self.longest = self._run = 0
        self.controls = self.invalid = self.damaged = False
        self._last = b""
        self._start = b""
        self._end = b""
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def add(self, chunk: bytes) -> None:
        self._start = self._start or chunk[:3]
        self.size += len(chunk)
        # Looking whether a byte is there at all is many times faster than counting it.
        returns = chunk.count(b"\r") if b"\r" in chunk else 0
        self.feeds += chunk.count(b"\n")
        self.returns += returns
        if returns:
            self.pairs += chunk.count(b"\r\n")
        self.pairs += self._last == b"\r" and chunk[:1] == b"\n"
        if any(control in chunk for control in CONTROLS):
            self.controls = True
            self.nul += chunk.count(b"\0")
        self._utf8(chunk)
        # Lines shorter than a chunk need not be measured: only one that spans whole chunks can be too long.
        first = max(chunk.find(b"\n"), chunk.find(b"\r"))
        self._run = (
            self._run + len(chunk) if first < 0 else len(chunk) - 1 - max(chunk.rfind(b"\n"), chunk.rfind(b"\r"))
        )
        self.longest = max(self.longest, self._run)
        self._last = chunk[-1:]
        self._end = (self._end + chunk[-4096:])[-4096:]

    def _utf8(self, chunk: bytes) -> None:
        self.blanks += _blanks(chunk, self._end)
        if self.invalid or (chunk.isascii() and not self._decoder.getstate()[0]):
            return
        self.damaged = self.damaged or _REPLACEMENT in self._end[-2:] + chunk
        try:
            self._decoder.decode(chunk)
        except UnicodeDecodeError:
            self.invalid = True

    def text(self) -> Text:
        if self._decoder.getstate()[0]:
            self.invalid = True
        lines = self.feeds + self.returns - self.pairs
        ending = self._end.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        blank = len(ending) - len(ending.rstrip(b"\n"))
        lines += 1 - blank if blank == 0 or blank > 1 else 0
        kinds = (self.pairs > 0) + (self.feeds > self.pairs) + (self.returns > self.pairs)
        marked = self._start.startswith(codecs.BOM_UTF8)
        plain = kinds <= 1 and not self.controls and not self.invalid and self.returns == self.pairs
        return Text(
            lines=lines,
            plain=plain,
            mixed=kinds > 1,
            damaged=self.damaged,
            marked=marked,
            invalid=self.invalid,
            ended=self._last in {b"\n", b"\r"},
            blanks=self.blanks - marked,  # the mark is one of them, and is no blank where it stands
            problem=None,
        )
