"""What the databases have different functions for: texts inside a JSON column, items of a list, places in texts, and
texts compared without regard to the case of the letters A to Z.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Boolean, Column, ColumnElement, Integer, TableValuedAlias, Text, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class _Inside(FunctionElement[Any]):  # a text, or whether there is one
    inherit_cache = True

    def __init__(self, column: ColumnElement[Any], name: str) -> None:
        super().__init__(column, literal(name))


class json_text(_Inside):  # noqa: N801  # reads as the SQL function it stands for
    """The text under a key of the object in a text column; null when there is none."""

    type = Text()
    inherit_cache = True


class json_has(_Inside):  # noqa: N801  # as above
    """Whether the object in a text column has that key, be its value null."""

    type = Boolean()
    inherit_cache = True


class json_items(FunctionElement[Any]):  # noqa: N801  # as above
    """The items of the list in a text column, one row each; `value` is an item, for `json_text` to look into."""

    inherit_cache = True
    name = "json_items"

    def rows(self) -> TableValuedAlias:
        """As something to select from."""
        return self.table_valued(Column("value", Text), joins_implicitly=True)


class text_place(FunctionElement[Any]):  # noqa: N801  # as above
    """Where a text begins in another, counted from one; zero when it is not there."""

    type = Integer()
    inherit_cache = True


class folded(FunctionElement[Any]):  # noqa: N801  # as above
    """A text for comparison with another folded one, without regard to the case of the letters A to Z."""

    type = Text()
    inherit_cache = True
    name = "folded"


@compiles(folded)
def _folded(element: folded, compiler: SQLCompiler, **options: Any) -> str:
    (text,) = element.clauses
    return f"lower({compiler.process(text, **options)})"


@compiles(folded, "postgresql")
def _folded_postgresql(element: folded, compiler: SQLCompiler, **options: Any) -> str:
    (text,) = element.clauses
    return f'lower({compiler.process(text, **options)} COLLATE "C")'


@compiles(json_items)
def _items(element: json_items, compiler: SQLCompiler, **options: Any) -> str:
    (column,) = element.clauses
    return f"json_each({compiler.process(column, **options)})"


@compiles(json_items, "postgresql")
def _items_postgresql(element: json_items, compiler: SQLCompiler, **options: Any) -> str:
    (column,) = element.clauses
    return f"jsonb_array_elements(CAST({compiler.process(column, **options)} AS jsonb))"


@compiles(text_place)
def _place(element: text_place, compiler: SQLCompiler, **options: Any) -> str:
    text, part = element.clauses
    return f"instr({compiler.process(text, **options)}, {compiler.process(part, **options)})"


@compiles(text_place, "postgresql")
def _place_postgresql(element: text_place, compiler: SQLCompiler, **options: Any) -> str:
    text, part = element.clauses
    return f"strpos({compiler.process(text, **options)}, {compiler.process(part, **options)})"


def _arguments(element: _Inside, compiler: SQLCompiler, **options: Any) -> tuple[str, str]:
    column, name = element.clauses
    return compiler.process(column, **options), compiler.process(name, **options)


@compiles(json_text)
def _text(element: json_text, compiler: SQLCompiler, **options: Any) -> str:
    column, name = _arguments(element, compiler, **options)
    return f"json_extract({column}, '$.' || {name})"


@compiles(json_text, "postgresql")
def _text_postgresql(element: json_text, compiler: SQLCompiler, **options: Any) -> str:
    column, name = _arguments(element, compiler, **options)
    return f"(CAST({column} AS jsonb) ->> {name})"


@compiles(json_has)
def _has(element: json_has, compiler: SQLCompiler, **options: Any) -> str:
    column, name = _arguments(element, compiler, **options)
    return f"(json_type({column}, '$.' || {name}) IS NOT NULL)"


@compiles(json_has, "postgresql")
def _has_postgresql(element: json_has, compiler: SQLCompiler, **options: Any) -> str:
    column, name = _arguments(element, compiler, **options)
    return f"coalesce(jsonb_exists(CAST({column} AS jsonb), {name}), false)"


LETTERS_MAX = 3
_A_TO_Z = {ord(letter): letter.lower() for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}


def spellings(text: str) -> list[str]:
    """A text in both cases of the letters that `folded` leaves alone, so that whoever asks for "øystein" finds Øystein.

    With more than `LETTERS_MAX` of them it is the usual spellings: as it is, small, large, and large where words begin.
    """
    places = [place for place, letter in enumerate(text) if _has_case(letter)]
    if len(places) > LETTERS_MAX:
        usual = (text, text.lower(), text.upper(), text.title())
        return list({one.translate(_A_TO_Z): one for one in usual}.values())
    found = [text]
    for place in places:
        cases = (text[place].lower(), text[place].upper())
        found = [f"{one[:place]}{case}{one[place + 1 :]}" for one in found for case in cases]
    return found


def _has_case(letter: str) -> bool:
    small, large = letter.lower(), letter.upper()
    return small != large and len(small) == len(large) == 1 and small > "\x7f" and large > "\x7f"
