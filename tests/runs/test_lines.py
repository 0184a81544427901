"""The lines of an uploaded file on which a value stands, whatever its encoding, quotes, separators and size."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from schoolsync.runs import lines

ROWS = ['SIS ID,"Section SIS ID",Note', "1,M1,x", '"12",M1,x', " 1 ,M2,12", "11,M1,1x", '3,M1,"a, b"', "1,M3"]


@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_whole_cells_are_found(tmp_path: Path, coding: str, separator: str, end: str) -> None:
    """A value is found as a whole cell, in quotes or not; never as a part of another."""
    path = tmp_path / "object"
    path.write_bytes(end.join(ROWS).replace(",", separator).encode(coding))
    assert lines.find(path, "a.csv", ("1",)) == [("a.csv", 2), ("a.csv", 4), ("a.csv", 7)]
    assert lines.find(path, "a.csv", ("1", "M2")) == [("a.csv", 4)]
    assert lines.find(path, "a.csv", ("M3",)) == [("a.csv", 7)]
    assert lines.find(path, "a.csv", ("M",)) == []


@pytest.mark.parametrize("chunk", [8, 64, 1000])
@pytest.mark.parametrize("coding", ["utf-8", "utf-16"])
def test_lines_are_counted_over_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int, coding: str
) -> None:
    """Wherever the file is cut while it is read, lines keep their numbers; the answer is bounded."""
    monkeypatch.setattr(lines, "CHUNK", chunk)
    path = tmp_path / "object"
    path.write_bytes("\r\n".join(["a,b", *(f"{n},x" for n in range(500)), "7,y"]).encode(coding))
    assert lines.find(path, "a.csv", ("7",)) == [("a.csv", 9), ("a.csv", 502)]
    assert len(lines.find(path, "a.csv", ("x",))) == lines.FOUND_MAX


def test_archives_are_looked_through(tmp_path: Path) -> None:
    """A zip: each of its tables, by its name."""
    path = tmp_path / "object"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("folder/one.csv", "a\n1\n")
        archive.writestr("two.csv", "a\n2\n1\n")
        archive.writestr("read.me", "1\n")
    assert lines.find(path, "roster.zip", ("1",)) == [("one.csv", 2), ("two.csv", 3)]
