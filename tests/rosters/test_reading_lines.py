"""Files in every state: encodings, line ends, quotes, ragged rows. Lines in findings are physical ones."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schoolsync.roster import findings, tables
from schoolsync.sources import csv_files, first_look

from .conftest import Check, Roster


def names(result: object) -> list[str]:
    return [row[0] for row in result.rows("organizations", "name")]  # type: ignore[attr-defined]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"], ids=["plain", "BOM"])
@pytest.mark.parametrize("last", [True, False], ids=["ended", "open"])
def test_any_one_kind_of_line_end_is_fine(roster: Roster, check: Check, end: str, bom: bytes, last: bool) -> None:
    """A byte-order mark hides no column, and the last row needs no line end."""
    for name in roster.files:
        roster.write(name, roster.lines(name), end="\r\n")
    text = {name: end.join(roster.lines(name)) + end * last for name in roster.files}
    roster.files = {name: bom + content.encode() for name, content in text.items()}
    roster.files["Student.csv"] = roster.files["Student.csv"].replace(b"3/4/2017", b"soon")
    marks = [("byte-order-mark", name, None, None) for name in sorted(roster.files) if bom]
    assert sorted(check(roster).found) == sorted([*marks, ("invalid-date", "Student.csv", 2, "Birthdate")])


def test_mixed_line_ends_are_read_and_reported(roster: Roster, check: Check) -> None:
    """Every row is there, with its own line."""
    roster.files["School.csv"] = b"SIS ID,Name\r\n10,North\n20,\r30,East\r\n"
    result = check(roster)
    assert ("mixed-line-ends", "School.csv", None, None) in result.found
    assert ("required-value", "School.csv", 3, "Name") in result.found
    assert result.rows("organizations", "source_id, name, line") == [("10", "North", 2), ("30", "East", 4)]


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be", "cp1252"])
def test_other_encodings_are_read_and_said(roster: Roster, check: Check, codec: str) -> None:
    """Names come out as they were written, never with a replacement character, and findings keep their lines."""
    roster.put("Student.csv", 3, "Birthdate", "soon")
    roster.files["Student.csv"] = roster.files["Student.csv"].decode().encode(codec)
    result = check(roster)
    assert result.found == [
        ("other-encoding", "Student.csv", None, None),
        ("invalid-date", "Student.csv", 3, "Birthdate"),
    ]
    named = result.rows("people", "given_name, surname")
    assert {("Zoë", "Ünal"), ("Seán", "O'Neil")} <= set(named)


def test_half_a_utf16_file_is_refused(roster: Roster, check: Check) -> None:
    """A character that was cut in two is nobody's name."""
    roster.files["School.csv"] = roster.files["School.csv"].decode().encode("utf-16")[:-1]
    assert check(roster).checked.fatal


@pytest.mark.parametrize(
    ("content", "rule", "says"),
    [
        ("SIS ID,Name\r\n10,North\r\n".encode("utf-32"), "wrong-encoding", "UTF-32"),
        (b"PK\x03\x04" + bytes(range(256)), "workbook", "workbook"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500), "workbook", "old Excel"),
        (b"<html><body>Log in</body></html>", "web-page", "web site"),
        (b"\xef\xbb\xbf\r\n<!doctype HTML><title>502</title>", "web-page", "web site"),
        (b'<?xml version="1.0"?>\n<Workbook xmlns="urn:x">', "web-page", "web site"),
        (b"%PDF-1.7\n", "unreadable-file", "PDF"),
        (b"\x1f\x8b\x08\0", "unreadable-file", "gzip"),
    ],
)
def test_what_is_no_csv_is_told_by_its_name(roster: Roster, check: Check, content: bytes, rule: str, says: str) -> None:
    """Workbooks, web pages and other documents under the name of a CSV stop the roster with what they are."""
    roster.files["School.csv"] = content
    result = check(roster)
    said = [one for one in result.findings if one.file == "School.csv"]
    assert [one.rule for one in said] == [rule]
    assert says in said[0].message
    assert result.checked.fatal


@pytest.mark.parametrize("rest", ["20,So", '20,"South School,6', "20", "20,South School,6,12,"])
def test_a_file_that_was_cut_off_is_refused(roster: Roster, check: Check, rest: str) -> None:
    """A last row that is not whole and has no end: nobody knows how many rows are missing."""
    roster.files["School.csv"] = "\r\n".join([*roster.lines("School.csv")[:2], rest]).encode()
    result = check(roster)
    assert ("truncated-file", "School.csv", None, None) in result.found
    assert result.checked.fatal


def test_half_a_character_at_the_end_is_no_other_encoding(roster: Roster, check: Check) -> None:
    """The one byte that is left of a letter is not taken for another letter."""
    roster.files["School.csv"] = b"SIS ID,Name\r\n10,North\r\n20,S\xc3"
    result = check(roster)
    assert ("invalid-utf8", "School.csv", 3, None) in result.found
    assert names(result) == ["North"]


def test_lines_above_the_header_are_skipped_and_said(roster: Roster, check: Check) -> None:
    """`#TYPE` and `sep=` lines of scripts and spreadsheets; the lines of findings count them."""
    roster.put("School.csv", 3, "Name", "")
    text = roster.files["School.csv"].replace(b",", b";")
    roster.files["School.csv"] = b"#TYPE System.Object\r\nsep=;\r\n" + text
    assert {one for one in check(roster).found if one[1] == "School.csv"} == {
        ("required-value", "School.csv", 5, "Name"),
        ("separator-line", "School.csv", None, None),
        ("type-line", "School.csv", None, None),
        ("wrong-separator", "School.csv", None, None),
    }


def test_bytes_that_are_not_utf8_cost_their_row_alone(roster: Roster, check: Check) -> None:
    """A row in another encoding is reported with its line; all others are read."""
    roster.files["School.csv"] = "SIS ID,Name\n10,École\n20,South\n30,Zoë\n".encode().replace("é".encode(), b"\xe9")
    roster.files["School.csv"] = roster.files["School.csv"].replace("École".encode(), b"\xc9cole")
    result = check(roster)
    assert ("invalid-utf8", "School.csv", 2, None) in result.found
    assert result.rows("organizations", "source_id, name, line") == [("20", "South", 3), ("30", "Zoë", 4)]


def test_text_that_was_damaged_before_is_a_warning(roster: Roster, check: Check) -> None:
    """A replacement character is kept and reported."""
    roster.put("School.csv", 3, "Name", "S\ufffdd")
    result = check(roster)
    assert result.found == [("damaged-text", "School.csv", 3, "Name")]
    assert names(result) == ["North School", "S\ufffdd"]


def test_control_characters_cost_their_row_alone(roster: Roster, check: Check) -> None:
    """A NUL byte inside a row is an error of that row."""
    roster.files["School.csv"] = b"SIS ID,Name\n10,No\0rth\n20,South\n"
    result = check(roster)
    assert ("control-character", "School.csv", 2, None) in result.found
    assert names(result) == ["South"]


def test_ragged_rows_are_found_where_they_are(roster: Roster, check: Check) -> None:
    """Too few and too many values are errors of their lines; values are never shifted."""
    roster.write("School.csv", ["SIS ID,Name", "10,North", "20", "30,East,x,y", '40,"West, far"', "50,Mid,,"])
    result = check(roster)
    school = [(rule, line) for rule, file, line, _ in result.found if file == "School.csv"]
    assert school == [("ragged-row", 3), ("ragged-row", 4)]
    assert names(result) == ["Mid", "North", "West, far"]
    assert "4 values where the header has 2 columns" in result.findings[1].message
    assert result.checked.rows["School.csv"] == 5


def test_a_quote_that_is_never_closed_costs_its_line_alone(roster: Roster, check: Check) -> None:
    """The rows after it are read as if nothing had happened."""
    roster.write("School.csv", ["SIS ID,Name", "10,North", '20,"South', "30,East", '40,"West ""far"""', "50,Mid"])
    result = check(roster)
    assert ("unterminated-quote", "School.csv", 3, None) in result.found
    assert names(result) == ["East", "Mid", "North", 'West "far"']


def test_text_after_a_closing_quote_costs_its_line_alone(roster: Roster, check: Check) -> None:
    """A value like "An"a says nothing certain."""
    roster.write("School.csv", ["SIS ID,Name", "10,North", '20,"So"uth', '30,5" pipe'])
    result = check(roster)
    assert ("broken-quotes", "School.csv", 3, None) in result.found
    assert names(result) == ['5" pipe', "North"]


def test_a_line_break_inside_a_value_becomes_a_blank(roster: Roster, check: Check) -> None:
    """Lines after it are counted as an editor counts them."""
    roster.files["School.csv"] = b'SIS ID,Name\r\n10,"North\r\nschool"\r\n\r\n20,"South\nby\nsea"\r\n30,\r\n'
    result = check(roster)
    assert [one for one in result.found if one[1] == "School.csv"] == [
        ("line-break", "School.csv", 2, "Name"),
        ("line-break", "School.csv", 5, "Name"),
        ("required-value", "School.csv", 8, "Name"),
    ]
    assert names(result) == ["North school", "South by sea"]


def test_line_breaks_and_damage_in_one_file(roster: Roster, check: Check) -> None:
    """Whole records are found between damaged lines, over several lines where they are."""
    text = 'SIS ID,Name\n10,"North\nschool"\n20,"So"uth\n"30","East\n\n,coast"\n40,"West\n50,Mid\n60\n"70","Top"\n'
    roster.files["School.csv"] = text.encode()
    result = check(roster)
    assert [one[:3] for one in result.found if one[1] == "School.csv" and one[0] != "line-break"] == [
        ("broken-quotes", "School.csv", 4),
        ("unterminated-quote", "School.csv", 8),
        ("ragged-row", "School.csv", 10),
    ]
    assert result.rows("organizations", "source_id, name, line") == [
        ("10", "North school", 2),
        ("30", "East ,coast", 5),
        ("50", "Mid", 9),
        ("70", "Top", 11),
    ]


def test_blank_rows_are_left_out_with_a_warning(roster: Roster, check: Check) -> None:
    """Rows of commas, as spreadsheets leave them, are no records and no errors."""
    roster.add("School.csv", ",,,,,", "", " , ,,,,")
    result = check(roster)
    assert {rule for rule in result.rules if rule != "outer-blanks"} == {"blank-row"}
    assert [line for rule, _, line, _ in result.found if rule == "blank-row"] == [4, 6]
    assert len(result.rows("organizations", "source_id")) == 2


def test_outer_blanks_are_taken_off_and_reported(roster: Roster, check: Check) -> None:
    """An id with a blank or a no-break space around it is the id without."""
    roster.put("School.csv", 2, "SIS ID", " 10\u00a0")
    roster.put("StudentEnrollment.csv", 3, "SIS ID", "s2\t")
    result = check(roster)
    assert result.found == [
        ("outer-blanks", "School.csv", 2, "SIS ID"),
        ("outer-blanks", "StudentEnrollment.csv", 3, "SIS ID"),
    ]
    assert ("A1", "s2", 3) in result.rows("enrollments", "class_id, source_id, line")


def test_a_line_without_end_is_refused(roster: Roster, check: Check) -> None:
    """Megabytes without a line end are no CSV, and are not held in memory."""
    roster.files["School.csv"] = b"SIS ID,Name\n10," + b"x" * 5_000_000
    assert ("line-too-long", "School.csv", None, None) in check(roster).found


@pytest.mark.parametrize("separator", [";", "\t", "|"])
@pytest.mark.parametrize("damage", [False, True])
def test_another_separator_is_read_and_said(roster: Roster, check: Check, separator: str, damage: bool) -> None:
    """A spreadsheet of another country is read as it is; commas are then part of values, and damage costs its line."""
    rows = ["SIS ID,Name", "10,North", "20,South", "30,East"]
    lines = [row.replace(",", separator) for row in rows]
    lines[2] = f'20{separator}"South, {separator}far"'
    roster.write("School.csv", [*lines, *([f"40{separator}x{separator}y"] if damage else [])])
    result = check(roster)
    expected = [("wrong-separator", None)] + [("ragged-row", 5)] * damage
    assert [(rule, line) for rule, file, line, _ in result.found if file == "School.csv"] == expected
    assert result.rows("organizations", "source_id, name, line") == [
        ("10", "North", 2),
        ("20", f"South, {separator}far", 3),
        ("30", "East", 4),
    ]


def test_ids_stay_text(roster: Roster, check: Check) -> None:
    """No leading zero is lost, no number and no date is guessed."""
    ids = ["00042", "1e5", "1.0", "2026-01-02", "0x1F", "TRUE", "9007199254740993"]
    roster.add("School.csv", *(f"{one},School {one},,,," for one in ids))
    result = check(roster)
    assert set(ids) <= {row[0] for row in result.rows("organizations", "source_id")}


CELLS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")) | st.sampled_from('",\n" '), max_size=8)
TABLES = st.integers(2, 4).flatmap(
    lambda width: st.lists(
        st.lists(CELLS, min_size=width, max_size=width).filter(lambda row: any(cell.strip(" \n") for cell in row)),
        min_size=1,
        max_size=6,
    )
)


@settings(deadline=None, max_examples=50)
@given(table=TABLES, end=st.sampled_from(["\n", "\r\n", "\r"]), quoted=st.booleans(), damage=st.booleans())
def test_every_well_formed_table_is_read_as_written(
    tmp_path_factory: pytest.TempPathFactory, table: list[list[str]], end: str, quoted: bool, damage: bool
) -> None:
    """Whatever is in the cells comes out again with the line it begins on; damage at the end changes nothing."""
    scratch = tmp_path_factory.mktemp("table")
    width = len(table[0])
    header = [f"h{place}" for place in range(width)]
    sink = io.StringIO()
    # Python leaves line feeds bare when lines end in carriage returns.
    quoting = csv.QUOTE_ALL if quoted or end == "\r" else csv.QUOTE_MINIMAL
    writer = csv.writer(sink, lineterminator=end, quoting=quoting)
    writer.writerow(header)
    lines = []
    for row in table:
        text = sink.getvalue().replace("\r\n", "\n").replace("\r", "\n")
        lines.append(text.count("\n") + 1)
        writer.writerow(row)
    # A stray quote line would make any value with a CSV line inside ambiguous; those are left to the strict reader.
    spoiled = damage and not any("\n" in cell or '"' in cell for row in table for cell in row)
    if spoiled:
        sink.write('"a"b' + ",x" * (width - 1) + end)
    path = scratch / "table.csv"
    path.write_bytes(sink.getvalue().encode())
    with duckdb.connect() as db:
        for statement in tables.ddl():
            db.execute(statement)
        findings.create(db)
        db.execute("CREATE SCHEMA raw")
        rows = csv_files.read(
            db,
            path,
            first_look.look(path),
            csv_files.header(path),
            table="raw.t",
            columns={name: place for place, name in enumerate(header)},
            file="table.csv",
            scratch=scratch,
            max_rows=100,
        )
        read = db.execute(f"SELECT {rows.line} AS line, {', '.join(header)} FROM raw.t ORDER BY line").fetchall()
        reported = [one.rule for one in findings.listed(db)]
    expected = [(line, *(cell or None for cell in row)) for line, row in zip(lines, table, strict=True)]
    assert [tuple(_bare(cell) for cell in row) for row in read] == [
        tuple(_bare(cell) for cell in row) for row in expected
    ]
    assert reported == (["broken-quotes"] if spoiled else [])


def _bare(cell: object) -> object:
    """Blanks around quotes are taken off by the parser, and all around values by us."""
    return (cell.strip(" ") or None) if isinstance(cell, str) else cell


@settings(deadline=None, max_examples=50)
@given(content=st.binary(max_size=60) | st.text('",\n\r a\0;', max_size=40).map(str.encode))
def test_no_file_makes_the_reader_fail(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """Whatever the bytes are, the answer is a finding or rows, never another exception."""
    scratch = tmp_path_factory.mktemp("bytes")
    path = Path(scratch, "bytes.csv")
    path.write_bytes(b"a,b\n" + content)
    text = first_look.look(path)
    if text.problem is not None:
        return
    with duckdb.connect() as db:
        for statement in tables.ddl():
            db.execute(statement)
        findings.create(db)
        db.execute("CREATE SCHEMA raw")
        try:
            head = csv_files.header(path)
            rows = csv_files.read(
                db,
                path,
                text,
                head,
                table="raw.t",
                columns={"a": 0, "b": 1},
                file="bytes.csv",
                scratch=scratch,
                max_rows=100,
            )
        except csv_files.UnreadableError:
            return
        lines = [row[0] for row in db.execute(f"SELECT {rows.line} AS line FROM raw.t ORDER BY line").fetchall()]
        assert lines == sorted(set(lines)), "no line is there twice"
        assert all(1 < line <= text.lines + 1 for line in lines)


@pytest.mark.parametrize("size", [3, 4, 5, 64])
def test_blanks_are_counted_over_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Of one byte and of several, also where one ends in the chunk after; a byte-order mark is none."""
    monkeypatch.setattr(first_look, "_CHUNK", size)
    text = "\ufeffa b,c\né\u00a0x,\u2007\u200b\ufeff\tö\nÂâ\u00e2,\u202f ï\n"
    path = tmp_path / "blanks.csv"
    path.write_bytes(text.encode())
    blanks = sum(text.count(blank) for blank in " \t\u00a0\u2007\u202f\u200b\ufeff") - 1
    assert first_look.look(path).blanks == blanks == 8
    assert csv_files.header(path).blanks == 1
