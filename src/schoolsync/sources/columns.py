"""What a CSV format consists of: files, columns, and what each column may hold. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from schoolsync.roster.values import DateFormat

_LINED = "(SELECT *, {line} AS line FROM {table})"


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


class Need(Enum):
    """When a column has to be there and filled."""

    ALWAYS = "always"
    CREATION = "creation"  # when the profile creates accounts
    MATCHING = "matching"  # when it is what accounts are matched by
    USERNAME = "username"  # when accounts are created, or matched by it
    HEADER = "header"  # the column has to be there, its cells may be empty
    OPTIONAL = "optional"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: the header as the format spells it, and the name it has in our tables."""

    header: str
    name: str
    need: Need = Need.OPTIONAL
    kind: Kind = Kind.TEXT
    length: int = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file of the format."""

    name: str  # as documented samples spell it, e.g. "StudentEnrollment.csv"
    table: str  # what it is called in the schema `raw`
    columns: tuple[Column, ...]
    ignored: tuple[str, ...] = ()  # headers that are neither read nor reported
    paired: str | None = None  # optional, but not without this file
    records: str = ""  # canonical table that its rows belong to
    role: str | None = None  # student or teacher, for files of people and of their links
    properties: str | None = None  # what the API calls its kind when properties are chosen (Policy.customizations)

    def column(self, name: str) -> Column:
        """The column with our name `name`."""
        return next(column for column in self.columns if column.name == name)


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
    dates: DateFormat  # how its dates are written

    @property
    def raw(self) -> str:
        """The table's name in SQL."""
        return f"raw.{self.file.table}"

    @property
    def lined(self) -> str:
        """The table with its column `line`, as a FROM item."""
        if self.line == "line":
            return self.raw
        return _LINED.format(line=self.line, table=self.raw)
