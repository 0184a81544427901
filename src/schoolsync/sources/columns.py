"""What a CSV format consists of: files, columns, and what each column may hold. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from schoolsync.roster.values import DateFormat

LARGE = 100_000  # rows from which it matters what a table takes in memory
_WITH = "(SELECT *, {others} FROM {table})"
LINE_BITS = 31
EARLIER = " (earlier upload)"
"""What stands behind the name of a file when its row is kept from an upload before this one."""


class Kind(Enum):
    """What a column may hold."""

    TEXT = "text"
    ID = "id"
    DATE = "date"
    GRADE = "grade"
    MAIL = "mail"
    USERNAME = "username"
    PASSWORD = "password"  # noqa: S105  a kind of column, not a secret
    YEAR = "year"
    RELATIONSHIP = "relationship"
    DAY = "day"  # a date that can be done without: one that cannot be read is left out
    CODE = "code"  # a word of a code list
    CODES = "codes"  # several, separated by commas
    IDS = "ids"  # ids of records in another file, separated by commas
    BOOLEAN = "boolean"
    SCHOOL_YEAR = "school year"
    MOMENT = "moment"  # a date and time


class Need(Enum):
    """When a column has to be there and filled."""

    ALWAYS = "always"
    CREATION = "creation"  # when the profile creates accounts
    MATCHING = "matching"  # when it is what accounts are matched by
    USERNAME = "username"  # when accounts are created, or matched by it
    HEADER = "header"  # the column has to be there, its cells may be empty
    EXPECTED = "expected"  # the format wants it, and much is done without: reported, nothing is left out
    OPTIONAL = "optional"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: the header as the format spells it, and the name it has in our tables."""

    header: str
    name: str
    need: Need = Need.OPTIONAL
    kind: Kind = Kind.TEXT
    length: int = 256
    codes: str | None = None  # its code list
    refers: str | None = None  # the table whose key it holds
    aliases: tuple[str, ...] = ()  # other headers that mean it; read with a warning
    sensitive: str | None = None  # what the profile's field allow-list calls it; not read without


@dataclass(frozen=True, slots=True)
class Key:
    """Columns that tell the rows of a file apart, and the rule that a second row with the same values breaks."""

    columns: tuple[str, ...]
    rule: str = "duplicate-id"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A record that a bad row leaves out: its canonical table and the two halves of its key."""

    kind: str
    source: str = "source_id"
    other: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file of the format."""

    name: str  # as documented samples spell it, e.g. "StudentEnrollment.csv"
    table: str  # what it is called in the schema `raw`
    columns: tuple[Column, ...]
    ignored: tuple[str, ...] = ()  # headers that are neither read nor reported
    required: bool = True  # has to be there, unless it is paired
    paired: str | None = None  # optional, but not without this file
    keys: tuple[Key, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    sensitive: str | None = None  # what the field allow-list calls all of it; not read without
    extensions: bool = False  # may have columns of anybody's own: `metadata.…`
    records: str = ""  # canonical table that its rows belong to
    role: str | None = None  # student or teacher, for files of people and of their links
    properties: str | None = None  # what the API calls its kind when properties are chosen (Policy.customizations)

    def column(self, name: str) -> Column:
        """The column with our name `name`."""
        return next(column for column in self.columns if column.name == name)

    @property
    def headers(self) -> tuple[str, ...]:
        """The header row as the format has it."""
        return tuple(column.header for column in self.columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A file that was read into the schema `raw`."""

    file: File
    uploaded: str  # the name it came with, without folders
    columns: Mapping[str, Column]  # those that the file has, by our name
    line: str  # SQL expression of the physical line over the raw table
    rows: int  # data rows of the file, those that could not be read included
    exact: bool  # every record is one line of the file
    damaged: bool  # replacement characters occur in it
    blanks: bool  # there may be blanks in its rows
    extras: Mapping[str, str] = field(default_factory=dict)  # columns of anybody's own: our name -> header
    dates: DateFormat  # how its dates are written
    earlier: bool = False  # some of its rows are kept from earlier uploads (`changes`)
    void: tuple[str, ...] = ()  # columns that the file has and fills in no row: they are not stored

    @property
    def stored(self) -> str:
        """The table's name in SQL, to change it."""
        return f"raw.{self.file.table}"

    @property
    def raw(self) -> str:
        """The table with all columns that the file has, as a FROM item."""
        return self._with("rowid") if self.void else self.stored

    @property
    def placed(self) -> str:
        """The table as it was read, with its columns `rowid` and `line`, as a FROM item."""
        return self._with("rowid", f"{self.line} AS line")

    def _with(self, *others: str) -> str:
        given = (*others, *(f"NULL::VARCHAR AS {name}" for name in self.void))
        return _WITH.format(others=", ".join(given), table=self.stored)

    @property
    def lined(self) -> str:
        """The table with its column `line`, as a FROM item."""
        if self.line == "line":
            return self.raw
        return self._with(f"{self.line} AS line")


def real_line(expression: str) -> str:
    """The physical line, of rows that are kept from earlier uploads too (`changes`)."""
    return f"({expression} & {(1 << LINE_BITS) - 1})"
