"""`$search`: texts in quotes, each looked for in one property or in those a person would look in.

`"ane"` looks in names and identifiers, `"mail:ane"` in one property; AND, OR, NOT and parentheses join them, and texts
that stand side by side are joined by AND. A text is found anywhere in the property, whatever the case of its letters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, and_, false, func, literal, not_, or_

from schoolsync.errors import Forbidden, Invalid
from schoolsync.graph import advice
from schoolsync.graph.types import at, canonical
from schoolsync.store.json_text import folded, spellings

LENGTH_MAX = 1024
TERMS_MAX = 20
DEPTH_MAX = 10
_TOKEN = re.compile(r'\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<mark>[()])|(?P<word>[^\s()"]+))')

# Where a text without a property is looked for, as far as the type has it.
_LOOKED_IN = (
    *("displayName", "externalId", "schoolNumber", "mailNickname", "classCode", "givenName", "surname", "mail"),
    *("userPrincipalName", "student/externalId", "student/studentNumber", "teacher/externalId"),
    *("teacher/teacherNumber", "errorCode", "errorMessage", "joiningValue", "reportableIdentifier"),
)


def where(
    text: str, type_name: str, columns: Mapping[str, ColumnElement[Any]], visible: frozenset[str] | None
) -> ColumnElement[bool]:
    """The condition that `text` states; the arguments are those of `filters.where`."""
    if len(text) > LENGTH_MAX:
        raise Invalid(f"$search is longer than {LENGTH_MAX} characters. {advice.SPLIT}", target="$search")
    return _Reader(text, type_name, columns, visible).whole()


class _Reader:
    def __init__(
        self, text: str, type_name: str, columns: Mapping[str, ColumnElement[Any]], visible: frozenset[str] | None
    ) -> None:
        self._type_name = type_name
        self._columns = columns
        self._visible = visible
        self._tokens = _tokens(text)
        self._place = 0

    def whole(self) -> ColumnElement[bool]:
        condition = self._any(0)
        if self._place < len(self._tokens):
            raise _wrong()
        return condition

    def _next(self) -> tuple[str, str]:
        return self._tokens[self._place] if self._place < len(self._tokens) else ("end", "")

    def _any(self, depth: int) -> ColumnElement[bool]:
        if depth > DEPTH_MAX:
            raise Invalid(f"$search is nested more than {DEPTH_MAX} levels deep. {advice.SPLIT}", target="$search")
        parts = [self._all(depth)]
        while self._next() == ("word", "OR"):
            self._place += 1
            parts.append(self._all(depth))
        return or_(*parts)

    def _all(self, depth: int) -> ColumnElement[bool]:
        parts = [self._one(depth)]
        while self._next()[0] != "end" and self._next() not in {("word", "OR"), ("mark", ")")}:
            if self._next() == ("word", "AND"):
                self._place += 1
            parts.append(self._one(depth))
        return and_(*parts)

    def _one(self, depth: int) -> ColumnElement[bool]:
        kind, text = self._next()
        self._place += 1
        if (kind, text) == ("word", "NOT"):
            return not_(func.coalesce(self._one(depth), false()))
        if (kind, text) == ("mark", "("):
            inner = self._any(depth + 1)
            if self._next() != ("mark", ")"):
                raise _wrong()
            self._place += 1
            return inner
        if kind == "quoted" or (kind == "word" and text not in {"AND", "OR"}):
            return self._term(text)
        raise _wrong()

    def _instead(self) -> str:
        """What can be looked in."""
        seen = (path for path in self._columns if self._visible is None or path in self._visible)
        return advice.among("", (path for path in seen if _is_text(self._type_name, path)))

    def _term(self, text: str) -> ColumnElement[bool]:
        name, colon, rest = text.partition(":")
        path = canonical(self._type_name, name.strip()) if colon else None
        if path is not None:
            text = rest
            prop = at(self._type_name, path)
            if self._visible is not None and path not in self._visible:
                raise Forbidden("The token's permission does not include a property that $search names.", target=path)
            if path not in self._columns or prop is None or prop.type != "String":
                raise Invalid(f"$search cannot look in '{path}'. {self._instead()}", target="$search")
            paths = [path]
        else:
            paths = [
                path
                for path in _LOOKED_IN
                if path in self._columns and (self._visible is None or path in self._visible)
            ]
        text = text.strip()
        if not text:
            raise _wrong()
        patterns = [folded(literal("%" + re.sub(r"([\\%_])", r"\\\1", one) + "%")) for one in spellings(text)]
        columns = [folded(self._columns[path]) for path in paths]
        return or_(*(column.like(pattern, escape="\\") for column in columns for pattern in patterns))


def _is_text(type_name: str, path: str) -> bool:
    prop = at(type_name, path)
    return prop is not None and prop.type == "String"


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    place = 0
    text = text.rstrip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise _wrong()
        place = match.end()
        kind = match.lastgroup or ""
        found = match[kind]
        tokens.append((kind, re.sub(r"\\(.)", r"\1", found) if kind == "quoted" else found))
    if not tokens:
        raise _wrong()
    if sum(kind in {"quoted", "word"} for kind, _ in tokens) > TERMS_MAX:
        raise Invalid(f"$search has more than {TERMS_MAX} texts. {advice.SPLIT}", target="$search")
    return tokens


def _wrong() -> Invalid:
    return Invalid(f'$search cannot be understood: write "text" or "property:text" ({advice.PAGE}).', target="$search")
