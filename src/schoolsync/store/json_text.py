"""Texts inside a JSON column, for the databases there are: each has functions of its own for that."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Boolean, ColumnElement, Text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class _Inside(FunctionElement[Any]):  # a text, or whether there is one
    inherit_cache = True

    def __init__(self, column: ColumnElement[Any], name: str) -> None:
        from sqlalchemy import literal

        super().__init__(column, literal(name))


class json_text(_Inside):  # noqa: N801  # reads as the SQL function it stands for
    """The text under a key of the object in a text column; null when there is none."""

    type = Text()
    inherit_cache = True


class json_has(_Inside):  # noqa: N801  # as above
    """Whether the object in a text column has that key, be its value null."""

    type = Boolean()
    inherit_cache = True


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
