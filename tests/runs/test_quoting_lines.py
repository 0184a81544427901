"""Single lines of uploaded files as people see them: the right line, under its headings, without what is nobody's."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from schoolsync.runs.quoting import quote

HEADER = "SIS ID,Name,Password,Birth Date"
FIRST, LAST = '1,"Ann, the first",secret,2013-02-28', "2,Bo,secret,2013-03-01"


@pytest.mark.parametrize(
    ("before", "separator", "coding", "end"),
    [
        ("", ",", "utf-8", "\n"),
        ("", ",", "utf-8-sig", "\r\n"),
        ("sep=;\n", ";", "utf-8", "\n"),
        ("", "\t", "utf-16", "\r\n"),
    ],
)
def test_the_line_that_is_meant(tmp_path: Path, before: str, separator: str, coding: str, end: str) -> None:
    """Whatever a file is written in, a line is found by its number; passwords and birth dates are not shown."""
    lines = [HEADER, FIRST, LAST]
    text = before + end.join(line.replace(",", separator).replace(f"Ann{separator}", "Ann,") for line in lines)
    path = tmp_path / "some.bin"
    path.write_bytes(text.encode(coding))
    first = 2 + before.count("\n")
    found = quote([("folder/People.csv", str(path))], "people.csv", [first + 1, first, 99])
    assert [one.line for one in found] == [first, first + 1]
    assert [[cell.value for cell in one.cells] for one in found] == [
        ["1", "Ann, the first", None, None],
        ["2", "Bo", None, None],
    ]
    assert found[0].cells[2].column == "Password"


def test_what_is_not_quoted(tmp_path: Path) -> None:
    """A line whose cells do not stand under their headings shows none; a file in an archive is found."""
    path = tmp_path / "all.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("deep/People.csv", f"{HEADER}\n1,secret\n")
    (line,) = quote([("all.zip", str(path))], "People.csv", [2])
    assert not line.aligned
    assert {cell.value for cell in line.cells} == {None}
    assert quote([("all.zip", str(path))], "Other.csv", [2]) == []
    path.write_bytes(b"no archive")
    assert quote([("all.zip", str(path))], "People.csv", [2]) == []
