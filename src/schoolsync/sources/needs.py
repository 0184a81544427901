"""Which columns a profile needs, and which it does anything with: what is not needed does not get in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from schoolsync.plan import kinds
from schoolsync.plan.policy import Policy
from schoolsync.sources.columns import Column, File, Kind, Need, Table


@dataclass(frozen=True, slots=True)
class Needs:
    """What one profile needs of the columns of a format."""

    policy: Policy | None
    creates: bool  # whether accounts are created (True) or only matched (False)

    def needed(self, file: File, column: Column) -> bool:
        """Whether the file must have the column."""
        if not self.allowed(file, column):
            return False
        return column.need is Need.HEADER or self.filled(file, column)

    def filled(self, file: File, column: Column) -> bool:
        """Whether every row must have a value in the column."""
        match column.need:
            case Need.ALWAYS:
                return True
            case Need.CREATION:
                return self.creates
            case Need.USERNAME:
                return self.creates or column.header.lower() in self.matches(file)
            case Need.MATCHING:
                return not self.creates and column.header.lower() in self.matches(file)
            case _:
                return False

    def read(self, file: File, column: Column) -> bool:
        """Whether anything is done with the column's values."""
        if column.kind is Kind.PASSWORD:
            return self.creates
        if not self.allowed(file, column) or not column.name:
            return False
        if self.filled(file, column) or (column.need is not Need.OPTIONAL and column.need is not Need.MATCHING):
            return True
        chosen = self._chosen(file)
        if chosen is None or column.refers is not None:
            return True  # what is named elsewhere brings properties of other records with it
        header = _PROPERTIES.get(file.properties or "", {}).get(column.name)
        return header is None or header in chosen

    def allowed(self, file: File, column: Column) -> bool:
        """Whether the profile's field allow-list has the column, if it is a sensitive one.

        Naming a column among the optional properties of its kind allows it as well.
        """
        names = self._names(file, column)
        if not names or self.policy is None or names & set(self.policy.fields):
            return True
        return _PROPERTIES.get(file.properties or "", {}).get(column.name) in (self._chosen(file) or frozenset())

    @staticmethod
    def _names(file: File, column: Column) -> set[str]:
        """What the allow-list may say for the column to be read: an id is read along with what it belongs to."""
        if column.sensitive is not None:
            return {column.sensitive}
        if file.sensitive is None:
            return set()
        if column.need is not Need.ALWAYS and column.name not in _ABOUT_ROWS:
            return {file.sensitive}
        return {file.sensitive, *(one.sensitive for one in file.columns if one.sensitive is not None)}

    def names(self, field: str) -> bool:
        """Whether the profile's allow-list names a sensitive field; without a profile nothing is kept, all is read."""
        return self.policy is None or field in self.policy.fields

    def allows(self, header: str) -> bool:
        """Whether an extension column is read."""
        return self.policy is None or bool({"extras", header.lower()} & {name.lower() for name in self.policy.fields})

    def asked_for(self, file: File) -> list[Column]:
        """Optional columns that the profile names itself."""
        chosen = self._chosen(file) or frozenset()
        names = _PROPERTIES.get(file.properties or "", {})
        return [column for column in file.columns if names.get(column.name) in chosen]

    def matches(self, file: File) -> frozenset[str]:
        """The headers that accounts of this file's people are matched by, in lower case."""
        options = self.policy.matching if self.policy else ()
        found = {one.source.lower() for one in options if file.role in {None, one.role}}
        return frozenset(found or {"username"})

    def told_apart_by(self, file: File) -> str:
        """Our name of the column that no two people may share."""
        headers = {"username"} if self.creates else self.matches(file)
        return next((column.name for column in file.columns if column.header.lower() in headers), "username")

    def _chosen(self, file: File) -> frozenset[str] | None:
        for kind, customization in (self.policy.customizations if self.policy else {}).items():
            if kind == file.properties and customization.optional_properties is not None:
                return frozenset(map(_joined, customization.optional_properties))
        return None


_ABOUT_ROWS = frozenset({"row_status", "modified"})
"""Columns that say what a row is for: read along with whatever of it is allowed."""


def _joined(header: str) -> str:
    """Property lists are written with and without blanks ("GradeLow"), in any letter case."""
    return header.replace(" ", "").lower()


# Kind -> our name of a column -> what a customization calls it, which is its header in SDS V1. Whatever the format, a
# column is chosen by what it means; one that no customization can name is not left out by one.
_PROPERTIES: Mapping[str, Mapping[str, str]] = {
    kind.name: {one.source: _joined(one.header) for one in kind.properties if one.header is not None}
    for kind in kinds.OBJECTS
}


def creates(policy: Policy | None, names: Mapping[str, frozenset[str]], headers: Mapping[str, frozenset[str]]) -> bool:
    """The profile says whether accounts are created; without one, a roster with names is meant for that.

    `names` are the headers of people's names, by table.
    """
    if policy is not None:
        return policy.creates
    return any(there & headers.get(table, frozenset()) for table, there in names.items())


def canonical(table: Table) -> frozenset[str]:
    """The columns of the canonical table that this file has."""
    return frozenset(table.columns) - {"password"}
