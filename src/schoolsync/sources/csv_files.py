"""Reading one CSV file into a DuckDB table, with the physical line of every row, whatever state the file is in.

A clean file is read by DuckDB's parser alone and never rewritten. Any other is copied once with its line ends and
bytes made plain, cut into lines, and its whole records are told from damaged ones; each damaged line becomes a finding
and nothing else is lost. Nothing here knows what the columns mean.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import duckdb

from schoolsync.errors import raise_worlds
from schoolsync.roster import findings
from schoolsync.sources.first_look import CONTROLS, MAX_LINE, WIDE_BLANKS, Text

_CHUNK = 1024**2
_HEADER_BYTES = 256 * 1024
_BUFFER = 32 * _CHUNK  # what the parser takes at a time; with a quarter of it it takes 1.4 times as long
_MULTILINE = 1000  # most lines that one value may span in a damaged file
_INVALID = "\x1a"  # stands for bytes that are not UTF-8
_CONTROL = "\x1b"  # stands for a control character
_SEPARATOR = "\\x1f"  # cannot occur any more once control characters are replaced
_UNDECODED = re.compile("[\udc80-\udcff]")
_ANNOUNCED = re.compile('"?sep=([,;\t|])"?', re.I)
SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
"""What is read between values instead of commas, and how a sentence calls it."""
_TO_CONTROL = bytes(27 if value in CONTROLS else value for value in range(256))


_READ = """
CREATE OR REPLACE TABLE {table} AS SELECT {columns} FROM read_csv($path, columns={all}, header=false,
    auto_detect=false, delim='{delimiter}', quote='"', escape='"', skip={skip}, max_line_size={max_line},
    buffer_size={buffer})
"""
_READ_LINES = """
CREATE OR REPLACE TABLE raw.lines AS SELECT t FROM read_csv($path, columns={{'t': 'VARCHAR'}}, header=false,
    auto_detect=false, delim='{separator}', quote='', escape='', new_line='\\n', max_line_size={max_line})
"""
_JUDGE = """
CREATE OR REPLACE TABLE raw.judged AS
    SELECT rowid + 1 AS line, t, contains(t, '{invalid}') AS invalid, contains(t, '{control}') AS control,
        regexp_full_match(t, $record) AS whole, regexp_full_match(t, $closes) AS closes
    FROM raw.lines WHERE rowid >= $header AND t IS NOT NULL
"""
# Lines that are no record on their own, or that could be the end of a value as well: a value may go on over several of
# them. A run of such lines falls into parts that begin where a quote is opened and end where it is closed.
_PARTS = """
CREATE OR REPLACE TABLE raw.parts AS
    WITH odd AS (
        SELECT line, t, line - row_number() OVER (ORDER BY line) AS run,
            regexp_full_match(t, $opens) AND NOT regexp_full_match(t, $reopens) AS begins
        FROM (
            SELECT rowid + 1 AS line, coalesce(t, '') AS t FROM raw.lines WHERE rowid >= $header
                AND rowid + 1 NOT IN (SELECT line FROM raw.judged WHERE whole AND NOT closes)
        )
    ), numbered AS (
        SELECT *, sum(begins::INTEGER) OVER (PARTITION BY run ORDER BY line) AS part FROM odd
    ), ended AS (
        SELECT *, coalesce(bool_or(NOT begins AND regexp_full_match(t, $closes)) OVER (
            PARTITION BY run, part ORDER BY line ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), false) AS over
        FROM numbered
    )
    SELECT run, part, min(line) AS line, max(line) AS last, string_agg(t, chr(10) ORDER BY line) AS t
    FROM ended WHERE part > 0 AND NOT over
    GROUP BY run, part HAVING count(*) BETWEEN 2 AND {most}
        AND regexp_full_match(string_agg(t, chr(10) ORDER BY line), $record)
"""
_RECORDS = """
CREATE OR REPLACE TABLE raw.records AS
    SELECT line, t FROM (
        SELECT line, t FROM raw.judged WHERE whole
            AND line NOT IN (SELECT unnest(range(line, last + 1)) FROM raw.parts)
        UNION ALL SELECT line, t FROM raw.parts
    ) WHERE NOT contains(t, '{invalid}') AND NOT contains(t, '{control}') ORDER BY line
"""
_REJECTED = """
SELECT line, t FROM raw.judged
WHERE NOT whole AND NOT invalid AND NOT control AND NOT regexp_full_match(t, '{nothing}*')
    AND line NOT IN (SELECT unnest(range(line, last + 1)) FROM raw.parts)
"""
# The lines that could not be read as rows: whatever refers to a record that may stand there is told so.
REJECTED_TABLE = "CREATE TABLE IF NOT EXISTS raw.rejected (file VARCHAR, line BIGINT, t VARCHAR)"
_KEEP_REJECTED = """
INSERT INTO raw.rejected SELECT $file, line, t FROM ({rejected} UNION ALL {marked})
"""
_COUNT_MARKED = "SELECT count(*) FROM raw.lines WHERE contains(t, '{invalid}') OR contains(t, '{control}')"
_REJECTED_BECAUSE = "SELECT * FROM ({rejected}) WHERE {test}"
_COUNTED = "SELECT count(*) FROM ({rows})"
_BLANK = "SELECT line FROM raw.judged WHERE NOT whole AND regexp_full_match(t, '{nothing}+')"
_MARKED = "SELECT line, t FROM raw.judged WHERE {mark}"
_WRITE = """
COPY (SELECT t FROM raw.records ORDER BY line) TO '{path}'
    (FORMAT csv, HEADER false, QUOTE '', ESCAPE '', DELIMITER '{separator}')
"""
_JOIN = "CREATE OR REPLACE TABLE {table} AS SELECT {columns}, line FROM raw.{part} POSITIONAL JOIN raw.{lines}"
_STRICT_LINES = """
CREATE OR REPLACE TABLE raw.records AS
    SELECT {header} + 1 + coalesce(sum(1 + breaks) OVER (ORDER BY rowid ROWS BETWEEN UNBOUNDED PRECEDING AND
        1 PRECEDING), 0)::BIGINT AS line, breaks
    FROM (SELECT rowid, {breaks} AS breaks FROM raw.attempt) ORDER BY rowid
"""


@dataclass(frozen=True, slots=True)
class _Grammar:
    """The grammar of a line, as DuckDB's parser reads it, for one separator: patterns and expressions over `t`."""

    separator: str

    @property
    def _inner(self) -> str:
        """The separator inside a class of characters."""
        return {"\t": "\\t"}.get(self.separator, self.separator)

    @property
    def outer(self) -> str:
        """The separator outside of one."""
        return {"\t": "\\t", "|": "\\|"}.get(self.separator, self.separator)

    @property
    def field(self) -> str:
        """One value: quoted, or bare and then without separators."""
        return f'(?: *"(?:[^"]|"")*" *| *[^"{self._inner} \\n][^{self._inner}\\n]*| *)'

    @property
    def opens(self) -> str:
        """Values, the last of which has a quote that is not closed."""
        return f'(?:{self.field}{self.outer})* *"(?:[^"]|"")*'

    @property
    def closes(self) -> str:
        """The end of a quoted value, and more values."""
        return f'(?:[^"]|"")*" *(?:{self.outer}{self.field})*'

    @property
    def nothing(self) -> str:
        """A character of a line without any value."""
        return f"[{self._inner}\\s]"

    @property
    def values(self) -> str:
        """How many values there are."""
        bare = "regexp_replace(t, '\"(?:[^\"]|\"\")*\"', '', 'g')"
        return f"(length(t) - length(replace({bare}, {self.literal}, '')) + 1)"

    @property
    def literal(self) -> str:
        """The separator as SQL has it."""
        return "chr(9)" if self.separator == "\t" else f"'{self.separator}'"


@dataclass(frozen=True, slots=True)
class Header:
    """The header row: its cells as they stand there, and how many physical lines there are down to its end."""

    cells: tuple[str, ...]
    lines: int
    typed: bool  # a #TYPE line stands above it
    separator: str  # between values
    announced: bool  # a line `sep=` stands above it
    blanks: int  # how many blanks there are in those lines


@dataclass(frozen=True, slots=True)
class Rows:
    """What was read: the number of data rows, the SQL expression of their line, and whether all was plain."""

    count: int
    line: str
    exact: bool
    blank: int = 0  # of the rows, those without any value that were passed over


class UnreadableError(Exception):
    """The file cannot be read; `rule` and `detail` say why."""

    def __init__(self, rule: str, detail: str | None = None) -> None:
        super().__init__(rule)
        self.rule = rule
        self.detail = detail


def header(path: Path, *, most: int = 500) -> Header:
    """The header row of the file, of at most so many columns. Raises UnreadableError when there is none."""
    with path.open("rb") as file:
        text = file.read(_HEADER_BYTES).decode("utf-8", errors="replace").removeprefix("\ufeff")
    lines = list(io.StringIO(text, newline=""))
    above = 0
    typed = announced = False
    separator = None
    for line in lines:
        if line.startswith("#TYPE"):
            typed = True
        elif found := _ANNOUNCED.fullmatch(line.strip("\r\n")):
            announced, separator = True, found[1]
        elif line.strip(" \t\r\n,;|"):
            break
        above += 1
    cells, used = _cells(lines[above:], separator or ",")
    if separator is None and len(cells) == 1:
        others = {one: _cells(lines[above:], one) for one in SEPARATORS if one in cells[0]}
        if others:
            separator = max(others, key=lambda one: len(others[one][0]))
            cells, used = others[separator]
    if len(cells) > most:
        raise UnreadableError("too-many-columns", f"{most:,}")
    end = above + used
    blanks = sum(line.count(blank) for line in lines[:end] for blank in (" ", "\t", *WIDE_BLANKS.values()))
    return Header(tuple(cells), end, typed, separator or ",", announced, blanks)


def _cells(lines: list[str], separator: str) -> tuple[list[str], int]:
    """The cells of the first row, and how many lines it takes."""
    reader = csv.reader(iter(lines), strict=True, delimiter=separator)
    try:
        return next(reader), reader.line_num
    except StopIteration:
        raise UnreadableError("empty-file") from None
    except csv.Error:
        raise UnreadableError("unreadable-file", "the quotes of its header do not fit together") from None


def words(path: Path) -> frozenset[str]:
    """The headers of a file, in lower case; none when it has no header that can be read."""
    try:
        return frozenset(cell.strip().strip('"').strip().lower() for cell in header(path).cells)
    except (UnreadableError, OSError) as problem:
        raise_worlds(problem)
        return frozenset()


def first_rows(path: Path, most: int = 200) -> list[list[str]]:
    """The first rows of a small file, header included; none when it cannot be read."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            return list(islice(csv.reader(file), most))
    except (OSError, csv.Error) as problem:
        raise_worlds(problem)
        return []


def read(
    db: duckdb.DuckDBPyConnection,
    path: Path,
    text: Text,
    head: Header,
    *,
    table: str,
    columns: Mapping[str, int],
    file: str,
    scratch: Path,
    max_rows: int,
) -> Rows:
    """Read the data rows into `table`; `columns` says which place in the row each of its columns comes from.

    Raises UnreadableError when nothing can be made of the file. Damaged lines become findings about `file`.
    """
    reader = _Reader(db, head, table, columns, file, scratch, max_rows)
    expected = text.lines - head.lines
    if text.plain and head.lines == 1:
        count = reader.strict(path, table, columns, skip=1)
        if count is not None and count == expected:
            reader.limit(count)
            return Rows(count, "rowid + 2", exact=True)
    with _copied(path, scratch) as plain:
        return reader.careful(plain, expected, mixed=text.mixed, ended=text.ended)


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads one file; the parameters are those of `read`."""

    db: duckdb.DuckDBPyConnection
    head: Header
    table: str
    columns: Mapping[str, int]
    file: str
    scratch: Path
    max_rows: int

    @property
    def grammar(self) -> _Grammar:
        return _Grammar(self.head.separator)

    def limit(self, count: int) -> None:
        if count > self.max_rows:
            raise UnreadableError("too-many-rows", f"{self.max_rows:,}")

    def strict(self, path: Path, table: str, columns: Mapping[str, int], *, skip: int) -> int | None:
        """Let DuckDB's parser read the file; None when it refuses a row of it."""
        every = ", ".join(f"'c{place}': 'VARCHAR'" for place in range(len(self.head.cells)))
        chosen = ", ".join(f"c{place} AS {name}" for name, place in columns.items())
        query = _READ.format(
            table=table,
            columns=chosen,
            all=f"{{{every}}}",
            skip=skip,
            max_line=MAX_LINE,
            buffer=_BUFFER,
            delimiter=self.head.separator,
        )
        with _named(path, self.scratch) as safe:
            try:
                made = self.db.execute(query, {"path": str(safe)}).fetchone()
            except duckdb.InvalidInputException:
                return None
        assert made is not None
        return int(made[0])

    def careful(self, path: Path, expected: int, *, mixed: bool, ended: bool) -> Rows:
        """Read a copy with plain line ends: as RFC 4180 has it if that works out, else line by line."""
        self.db.execute(_READ_LINES.format(separator=_SEPARATOR, max_line=MAX_LINE), {"path": str(path)})
        try:
            rows = self._as_written(path, expected) or self._line_by_line()
            if not ended:
                self._cut_off(self.head.lines + expected)
        finally:
            for name in ("lines", "judged", "parts", "records", "attempt"):
                self.db.execute(f"DROP TABLE IF EXISTS raw.{name}")
        if mixed and rows.count == expected:  # line breaks inside values are reported as such
            findings.add_file(self.db, "mixed-line-ends", file=self.file)
        return rows

    def _as_written(self, path: Path, expected: int) -> Rows | None:
        """Values may span lines: the parser knows how, and the breaks inside values tell the lines."""
        if self.head.lines != 1 or self._marked():
            return None
        every = {f"c{place}": place for place in range(len(self.head.cells))}
        count = self.strict(path, "raw.attempt", every, skip=1)
        if count is None:
            return None
        breaks = " + ".join(f"coalesce(length({name}) - length(replace({name}, chr(10), '')), 0)" for name in every)
        self.db.execute(_STRICT_LINES.format(header=self.head.lines, breaks=breaks))
        if self._number("SELECT coalesce(sum(1 + breaks), 0) FROM raw.records") != expected:
            return None  # blank lines stand between the records
        self.limit(count)
        chosen = ", ".join(f"c{place} AS {name}" for name, place in self.columns.items())
        self.db.execute(_JOIN.format(table=self.table, columns=chosen, part="attempt", lines="records"))
        return Rows(count, "line", exact=False)

    def _marked(self) -> bool:
        return self._number(_COUNT_MARKED.format(invalid=_INVALID, control=_CONTROL)) > 0

    def _line_by_line(self) -> Rows:
        width = len(self.head.cells)
        grammar = self.grammar
        # Empty values after the last column are tolerated, as the parser does.
        record = f"{grammar.field}(?:{grammar.outer}{grammar.field}){{{width - 1}}}{grammar.outer}*"
        marks = {"invalid": _INVALID, "control": _CONTROL}
        judged = {"record": record, "closes": grammar.closes, "header": self.head.lines}
        self.db.execute(_JUDGE.format(**marks), judged)
        shapes = {
            "record": record,
            "opens": grammar.opens,
            "closes": grammar.closes,
            "reopens": f"{grammar.closes}{grammar.outer}{grammar.opens}",
            "header": self.head.lines,
        }
        self.db.execute(_PARTS.format(most=_MULTILINE), shapes)
        self.db.execute(_RECORDS.format(**marks))
        rejected, blank = self._report(width)
        part = self.scratch / f"{self.table}.records.csv"
        self.db.execute(_WRITE.format(path=str(part).replace("'", "''"), separator=_SEPARATOR))
        try:
            count = self.strict(part, "raw.attempt", self.columns, skip=0)
        finally:
            part.unlink(missing_ok=True)
        if count is None or count != self._number("SELECT count(*) FROM raw.records"):
            raise UnreadableError("unreadable-file", "its quotes do not fit together")
        self.limit(count + rejected + blank)
        self.db.execute(
            _JOIN.format(table=self.table, columns=", ".join(self.columns), part="attempt", lines="records")
        )
        return Rows(count + rejected + blank, "line", exact=False, blank=blank)

    def _report(self, width: int) -> tuple[int, int]:
        """Add a finding for every line that is no record; how many are damaged, and how many have no values."""
        before = self._number("SELECT count(*) FROM roster.findings")
        for rule, mark in (("invalid-utf8", "invalid"), ("control-character", "control AND NOT invalid")):
            findings.add_rows(self.db, rule, file=self.file, rows=_MARKED.format(mark=mark))
        grammar = self.grammar
        rejected_lines = _REJECTED.format(nothing=grammar.nothing)
        single = f"regexp_full_match(t, '{grammar.field}(?:{grammar.outer}{grammar.field})*')"
        opens = f"regexp_full_match(t, '{grammar.opens}')"
        findings.add_rows(
            self.db,
            "ragged-row",
            file=self.file,
            rows=_REJECTED_BECAUSE.format(rejected=rejected_lines, test=single),
            detail=f"""CASE {grammar.values} WHEN 1 THEN '1 value' ELSE {grammar.values} || ' values' END
                || ' where the header has {width} column{"s" if width > 1 else ""}'""",
        )
        for rule, test in (("unterminated-quote", opens), ("broken-quotes", f"NOT {opens}")):
            rows = _REJECTED_BECAUSE.format(rejected=rejected_lines, test=f"NOT {single} AND {test}")
            findings.add_rows(self.db, rule, file=self.file, rows=rows)
        rejected = self._number("SELECT count(*) FROM roster.findings") - before
        if rejected:
            kept = _KEEP_REJECTED.format(rejected=rejected_lines, marked=_MARKED.format(mark="invalid OR control"))
            self.db.execute(REJECTED_TABLE)
            self.db.execute(kept, {"file": self.file})
        blank = _BLANK.format(nothing=grammar.nothing)
        findings.add_rows(self.db, "blank-row", file=self.file, rows=blank)
        return rejected, self._number(_COUNTED.format(rows=blank))

    def _cut_off(self, last: int) -> None:
        """A last line that neither ends nor is whole is where the file was cut off: nobody knows what is missing."""
        count = self._number(
            f"SELECT count(*) FROM roster.findings WHERE file = {_literal(self.file)} AND line = {int(last)} "  # noqa: S608  # quoted
            f"AND (rule = 'unterminated-quote' OR (rule = 'ragged-row' AND try_cast(split_part(detail, ' ', 1) "
            f"AS BIGINT) < {len(self.head.cells)}))"
        )
        if count:
            raise UnreadableError("truncated-file")

    def _number(self, query: str) -> int:
        row = self.db.execute(query).fetchone()
        assert row is not None
        return int(row[0])


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


@contextmanager
def _named(path: Path, scratch: Path) -> Iterator[Path]:
    """The file under a name that DuckDB does not take for a pattern."""
    if not set("*?[]") & set(str(path)):
        yield path
        return
    link = scratch / "plainly-named.csv"
    link.symlink_to(path.resolve())
    try:
        yield link
    finally:
        link.unlink()


@contextmanager
def _copied(path: Path, scratch: Path) -> Iterator[Path]:
    """A copy with plain line ends, in which what is not text is marked."""
    copy = scratch / "plain-lines.csv"
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    try:
        with path.open("rb") as source, copy.open("wb") as target:
            held = b""
            first = True
            while chunk := source.read(_CHUNK):
                if first:
                    chunk = chunk.removeprefix(codecs.BOM_UTF8)
                    first = False
                chunk = held + chunk
                # A carriage return at the end may be half of a line end.
                held = b"\r" if chunk.endswith(b"\r") else b""
                target.write(_plain(chunk[: len(chunk) - len(held)], decoder))
            target.write(_plain(held, decoder))
            if decoder.decode(b"", final=True):
                target.write(_INVALID.encode())
        yield copy
    finally:
        copy.unlink(missing_ok=True)


def _plain(chunk: bytes, decoder: codecs.IncrementalDecoder) -> bytes:
    chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n").translate(_TO_CONTROL)
    if chunk.isascii() and not decoder.getstate()[0]:
        return chunk
    return _UNDECODED.sub(_INVALID, decoder.decode(chunk)).encode()
