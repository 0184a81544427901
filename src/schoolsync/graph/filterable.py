"""What can be asked of objects with `$filter`. The language itself is in `graph.filters`, which loads its grammar."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement

from schoolsync.errors import Invalid


class UnsupportedQuery(Invalid):
    """OData can say this, this server does not do it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What can be asked of one kind of object."""

    type_name: str
    columns: Mapping[str, ColumnElement[Any]]  # behind the properties that can be compared, by path
    visible: frozenset[str] | None = None  # what the caller may see, None is all; to ask for more would tell its value
    folded: frozenset[str] = frozenset({"id"})  # text properties whose column holds lower case: an index on it serves
    extension: Callable[[str], ColumnElement[Any] | None] | None = None  # what an extension attribute is in a query
    items: Callable[[str], Items | None] | None = None  # a collection, by its declared name


@dataclass(frozen=True, slots=True)
class Items:
    """A collection that `any` and `all` look into: the scope of an item, or the column of one that is a text."""

    scope: Scope | ColumnElement[Any]
    exists: Callable[[ColumnElement[bool]], ColumnElement[bool]]  # whether an item meets the condition
