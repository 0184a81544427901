"""What a format is: the files it declares, and how its rows become records. One module for each; values only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from schoolsync.roster.values import DateFormat
from schoolsync.sources.columns import Column, File


class Shape(Enum):
    """How a format writes down who is who. There are two ways, and everything else follows from that."""

    TWO_LISTS = "two lists"  # students and teachers in files of their own, with a row for each school: SDS V1
    USERS = "users"  # one list of users, whose roles say what they are where: SDS V2, OneRoster


def _no_hint(file: File, column: Column, headers: frozenset[str]) -> str:
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One roster format."""

    id: str
    title: str
    shape: Shape
    files: tuple[File, ...]
    dates: DateFormat | None = None  # None: as the profile says
    unread: frozenset[str] = frozenset()  # names of files that are known and not read, in lower case
    manifest: str | None = None  # the table that says what is in the other files
    changes: bool = False  # files may hold nothing but what has changed
    year_of_start: bool = False  # a school year is called by the year in which it starts
    hint: Callable[[File, Column, frozenset[str]], str] = _no_hint  # more about a missing column

    def file(self, table: str) -> File | None:
        """The file that is read into `table`."""
        return next((file for file in self.files if file.table == table), None)

    @property
    def names(self) -> Mapping[str, frozenset[str]]:
        """Headers of people's names, in lower case, by table."""
        return {
            file.table: frozenset(column.header.lower() for column in file.columns if column.name in _NAMES)
            for file in self.files
            if file.records == "people"
        }


_NAMES = {"given_name", "surname"}
