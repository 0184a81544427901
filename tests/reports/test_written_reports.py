"""Reports as files: all findings, no formulas, nobody's data, and a page that anybody can read."""

from __future__ import annotations

import csv
import json
from html.parser import HTMLParser
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from schoolsync import reports
from schoolsync.cli import validate

from .conftest import check, spoil

SECRETS = ("Fjord-2026", "Hunter2-hunter2", "1999-02-30", "rosa.secret@home.example")


class _Page(HTMLParser):
    """What is in a page: tags, their attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, "every element is closed"

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words)


def test_csv_and_parquet_have_every_finding(db: duckdb.DuckDBPyConnection, folder: Path, tmp_path: Path) -> None:
    """As many rows as there are findings, with the same sentences as everywhere."""
    (folder / "TeacherRoster.csv").write_text("Section SIS ID,SIS ID\r\n" + "x404,T2001\r\n" * 700, newline="")
    report = check(db, folder)
    for name in ("all.csv", "all.parquet", "all.json"):
        reports.write(db, report, tmp_path / name)
    said = json.loads((tmp_path / "all.json").read_text())["findings"]
    assert len(said) == report.errors + report.warnings > 700
    assert all(one["help"] == f"docs/rules.md#{one['rule']}" for one in said)
    listed = pq.read_table(tmp_path / "all.parquet").to_pylist()
    order = sorted(said[0])
    assert sorted([str(one[key]) for key in order] for one in listed) == sorted(
        [str(one[key]) for key in order] for one in said
    )
    with (tmp_path / "all.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["message"] for row in rows] == [one["message"] for one in listed]
    assert {path.name for path in tmp_path.iterdir()} == {"roster", "all.csv", "all.parquet", "all.json"}


def test_a_spreadsheet_finds_no_formula(db: duckdb.DuckDBPyConnection, folder: Path, tmp_path: Path) -> None:
    """Neither a file's name nor anything else of the upload becomes one."""
    (folder / "=HYPERLINK(1).csv").write_text("a,b\r\n1,2\r\n")
    (folder / "+1.csv").write_text("a,b\r\n1,2\r\n")
    spoil(folder / "School.csv", "Phone", "@SUM(A1)")
    reports.write(db, check(db, folder), tmp_path / "all.csv")
    with (tmp_path / "all.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    assert "'=HYPERLINK(1).csv" in {row[2] for row in rows}
    assert "'+1.csv" in {row[2] for row in rows}
    assert not [cell for row in rows for cell in row if cell[:1] in set("=+-@\t\r\n")]


@pytest.mark.parametrize("name", ["all.csv", "all.html", "all.json"])
def test_no_report_says_what_is_sensitive(
    db: duckdb.DuckDBPyConnection, folder: Path, tmp_path: Path, name: str
) -> None:
    """Passwords, birth dates, addresses and names that are wrong are never repeated."""
    students = (folder / "Student.csv").read_text(encoding="utf-8").splitlines()
    header = students[0].split(",")
    for line, column, value in (
        (1, "Password", "hunter2"),
        (2, "Birthdate", "1999-02-30"),
        (3, "Secondary Email", "rosa.secret@@home.example"),
        (4, "School SIS ID", "Rosa Secret"),
        (5, "Grade", "Rosa"),
        (6, "Graduation Year", "Secret"),
    ):
        cells = students[line].split(",")
        cells[header.index(column)] = value
        students[line] = ",".join(cells)
    (folder / "Student.csv").write_text("\r\n".join(students) + "\r\n", encoding="utf-8", newline="")
    report = check(db, folder)
    assert report.errors + report.warnings >= 6
    reports.write(db, report, tmp_path / name)
    text = (tmp_path / name).read_text(encoding="utf-8")
    for secret in ("hunter2", "1999-02-30", "rosa.secret", "Rosa", "Secret"):
        assert secret not in text, secret


def test_the_page_stands_alone(db: duckdb.DuckDBPyConnection, folder: Path, tmp_path: Path) -> None:
    """No script, nothing fetched, a language, headers of tables, and what came from the upload is text."""
    (folder / "<script>alert(1)<").mkdir()
    (folder / "<script>alert(1)<").rmdir()
    (folder / "<img src=x onerror=alert(1)>.csv").write_text("a,b\r\n1,2\r\n")
    spoil(folder / "Section.csv", "2026-08-31", "soon")
    report = check(db, folder, title='<b>"Contoso" & Söhne</b>')
    reports.write(db, report, tmp_path / "page.html")
    page = _Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert page.open == []
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "img", "link", "iframe", "object", "b2"}
    assert not [found for _, attributes in page.tags for found in attributes if found in {"src", "href", "onerror"}]
    assert dict(page.tags)["html"] == {"lang": "en"}
    assert all("scope" in attributes for tag, attributes in page.tags if tag == "th")
    assert '<b>"Contoso" & Söhne</b>' in page.text
    assert "<img src=x onerror=alert(1)>.csv" in page.text
    assert "Section.csv, line 2" in page.text
    assert "docs/rules.md#invalid-date" in page.text
    assert "@media print" in page.text
    assert "prefers-color-scheme: dark" in page.text


def test_the_command_writes_what_is_asked_for(folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Several at once; an ending that is none is refused before anything is read."""
    wanted = [tmp_path / name for name in ("a.html", "b.csv", "c.parquet", "d.json")]
    assert validate.run(folder, format=None, json=True, reports_to=wanted) == 0
    assert all(path.stat().st_size for path in wanted)
    out, _ = capfd.readouterr()
    assert json.loads(out) == json.loads(wanted[3].read_text())
    assert validate.run(folder, format=None, json=True, reports_to=[tmp_path / "a.xlsx"]) == 2
    out, err = capfd.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert validate.run(folder, format=None, json=True, reports_to=[tmp_path / "no" / "a.html"]) == 2
    assert f"{tmp_path / 'no' / 'a.html'} could not be written: No such file" in capfd.readouterr().err
    mine = (folder / "School.csv").read_bytes()
    assert validate.run(folder, format=None, json=True, reports_to=[folder / "School.csv"]) == 2
    assert "is a file of the roster" in capfd.readouterr().err
    assert (folder / "School.csv").read_bytes() == mine


def test_a_report_that_breaks_off_is_not_there(
    db: duckdb.DuckDBPyConnection, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one of the last time stays as it was, and nothing lies beside it."""
    place = tmp_path / "out" / "report.html"
    place.parent.mkdir()
    place.write_text("the last one")
    report = check(db, folder)

    def broken(_db: object, _report: object, part: Path) -> None:
        part.write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setattr("schoolsync.reports.writing._write", broken)
    with pytest.raises(KeyboardInterrupt):
        reports.write(db, report, place)
    assert [path.name for path in place.parent.iterdir()] == [place.name]
    assert place.read_text() == "the last one"


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_text_fits_the_window(
    folder: Path, tmp_path: Path, width: int, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No line is wider than it, whatever is reported; in a very wide one, lines stay readable."""
    spoil(folder / "Section.csv", "2026-08-31", "soon")
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.chdir(tmp_path)
    folder = folder.relative_to(tmp_path)
    assert validate.run(folder, format=None, json=False) == 1
    out, _ = capfd.readouterr()
    assert max(map(len, out.splitlines())) <= min(width, 120)
    assert "docs/rules.md#invalid-date" in out.replace("\n", "")
