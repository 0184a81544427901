"""`$filter` as SQL: odata-query's parser reads it, a small visitor of our own writes typed, bounded expressions.

Only properties that a listing names can be compared, each with literals of its own type; whatever else OData can say
is refused with a sentence. Texts compare without regard to the case of the letters A to Z, as Graph's directory does
(PostgreSQL: of all letters). A comparison with null counts as false under `not`, as OData wants and SQL does not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from odata_query import ast, exceptions
from odata_query.grammar import ODataLexer, ODataParser
from sqlalchemy import ColumnElement, and_, false, func, literal, not_, or_, true

from schoolsync import ticks
from schoolsync.errors import Forbidden, Invalid
from schoolsync.graph.types import ENUMS, Property, at, canonical

LENGTH_MAX = 4096
DEPTH_MAX = 40
TERMS_MAX = 200
LITERAL_MAX = 1024

# What the parser cannot take as OData writes it: a type name before a text (microsoft.graph.someEnum'member'), function
# names in other letter case, `not(`, and an `in` list of one literal, which needs a trailing comma there. Texts are
# matched first, so that nothing inside one is touched.
_STRING = r"'(?:[^']|'')*'"
_PIECES = re.compile(
    rf"(?P<typed>\bmicrosoft\.graph\.\w+)(?={_STRING})|(?P<text>{_STRING})"
    r"|\b(?P<function>startswith|endswith|contains|tolower|toupper|not)\s*\("
    rf"|(?<=\s)in\s*\(\s*(?P<only>{_STRING}|[^\s,()']+)\s*(?P<end>[,)])",
    re.IGNORECASE,
)
_ORDERED = {ast.Lt: "__lt__", ast.LtE: "__le__", ast.Gt: "__gt__", ast.GtE: "__ge__"}
_MIRRORED = {ast.Lt: ast.Gt, ast.LtE: ast.GtE, ast.Gt: ast.Lt, ast.GtE: ast.LtE}
_LITERALS = (ast.Null, ast.String, ast.Integer, ast.Float, ast.Boolean, ast.Date, ast.DateTime, ast.GUID)


class UnsupportedQuery(Invalid):
    """OData can say this, this server does not do it."""


def where(
    text: str,
    type_name: str,
    columns: Mapping[str, ColumnElement[Any]],
    *,
    visible: frozenset[str] | None = None,
    folded: frozenset[str] = frozenset({"id"}),
    extension: Callable[[str], ColumnElement[Any] | None] | None = None,
) -> ColumnElement[bool]:
    """The condition that `text` states over properties of `type_name`.

    `columns` are the columns behind the properties that can be compared, by path. `visible`, when it is given, are
    the properties the caller may see: to compare another one raises Forbidden, for it would tell its value.
    `folded` are text properties whose column holds lower case already, so that an index on it serves. `extension`
    finds what an extension attribute is in the query.
    """
    if len(text) > LENGTH_MAX:
        raise Invalid(f"$filter is longer than {LENGTH_MAX} characters.", target="$filter")
    visitor = _Visitor(type_name, columns, visible, folded, extension)
    return visitor.condition(_parse(text), 0)


def _parse(text: str) -> ast._Node:
    if not text.strip():
        raise Invalid("$filter is empty.", target="$filter")
    try:
        tokens = ODataLexer().tokenize(_PIECES.sub(_prepared, text.strip()))
        node = ODataParser().parse(tokens)
    except exceptions.ODataException as problem:
        raise Invalid("Invalid filter clause: the expression cannot be understood.", target="$filter") from problem
    except (RecursionError, NotImplementedError, AttributeError, TypeError) as problem:
        # The parser builds some lambda and path forms by hand and trips over others.
        raise UnsupportedQuery("Unsupported filter clause.", target="$filter") from problem
    if node is None:
        raise Invalid("Invalid filter clause: the expression cannot be understood.", target="$filter")
    return cast(ast._Node, node)


def _prepared(piece: re.Match[str]) -> str:
    if piece["typed"]:
        return ""
    if piece["function"]:
        name = piece["function"].lower()
        return "not (" if name == "not" else f"{name}("
    if piece["only"]:
        return f"in ({piece['only']}, )" if piece["end"] == ")" else f"in ({piece['only']},"
    return piece[0]


@dataclass(frozen=True, slots=True)
class _Operand:
    prop: Property
    column: ColumnElement[Any]
    lower: bool = False  # the column holds lower case
    settled: bool = False  # the caller has chosen a case with `tolower` or `toupper`


class _Visitor:
    def __init__(
        self,
        type_name: str,
        columns: Mapping[str, ColumnElement[Any]],
        visible: frozenset[str] | None,
        folded: frozenset[str],
        extension: Callable[[str], ColumnElement[Any] | None] | None,
    ) -> None:
        self._type_name = type_name
        self._columns = columns
        self._visible = visible
        self._folded = folded
        self._extension = extension
        self._terms = 0

    def condition(self, node: ast._Node, depth: int) -> ColumnElement[bool]:
        if depth > DEPTH_MAX:
            raise Invalid("Invalid filter clause: it is nested too deeply.", target="$filter")
        match node:
            case ast.BoolOp(op=op):
                # A long chain leans to the left: walk it instead of descending into it.
                parts = self._chain(node, type(op))
                join = and_ if isinstance(op, ast.And) else or_
                return join(*(self.condition(part, depth + 1) for part in parts))
            case ast.UnaryOp(op=ast.Not(), operand=inner):
                return not_(func.coalesce(self.condition(inner, depth + 1), false()))
            case ast.Compare(comparator=ast.In(), left=left, right=ast.List(val=items)):
                return or_(*(self._compare(ast.Eq, left, item) for item in items))
            case ast.Compare(comparator=comparator, left=left, right=right):
                return self._compare(type(comparator), left, right)
            case ast.Call(func=name, args=args):
                return self._call(_full_name(name).lower(), args)
            case ast.Identifier() | ast.Attribute():
                alone = self._property(node)
                if alone.prop.type != "Boolean":
                    raise Invalid("Invalid filter clause: a property alone must be Boolean.", target="$filter")
                return alone.column == true()
            case ast.Boolean():
                return true() if node.py_val else false()
        raise UnsupportedQuery("Unsupported filter clause.", target="$filter")

    def _chain(self, node: ast._Node, op: type[ast._BoolOpToken]) -> list[ast._Node]:
        parts: list[ast._Node] = []
        while isinstance(node, ast.BoolOp) and isinstance(node.op, op):
            parts.append(node.right)
            node = node.left
        parts.append(node)
        return parts[::-1]

    def _compare(self, comparator: type[ast._Comparator], left: ast._Node, right: ast._Node) -> ColumnElement[bool]:
        self._count()
        if isinstance(left, _LITERALS):
            left, right = right, left
            comparator = _MIRRORED.get(comparator, comparator)
        if isinstance(right, ast.UnaryOp) and isinstance(right.op, ast.USub) and isinstance(right.operand, ast.Integer):
            right = ast.Integer("-" + right.operand.val)
        if not isinstance(right, _LITERALS):
            raise UnsupportedQuery("Unsupported filter clause: compare a property with a literal.", target="$filter")
        operand = self._operand(left)
        prop, column = operand.prop, operand.column
        if isinstance(right, ast.Null):
            if comparator is ast.Eq:
                return column.is_(None)
            if comparator is ast.NotEq:
                return column.is_not(None)
            raise Invalid("Invalid filter clause: null can only be compared with eq and ne.", target="$filter")
        if (prop.type in ENUMS or prop.type == "Boolean") and comparator not in {ast.Eq, ast.NotEq}:
            raise Invalid(
                f"Invalid filter clause: '{prop.name}' can only be compared with eq, ne and in.", target="$filter"
            )
        found = self._value(prop, right)
        if operand.lower and isinstance(found, str):
            found = found.lower()
        value: ColumnElement[Any] = literal(found, column.type)
        if prop.type == "String" and not (operand.lower or operand.settled) and comparator in {ast.Eq, ast.NotEq}:
            column, value = func.lower(column), func.lower(value)
        if comparator is ast.Eq:
            return column == value
        if comparator is ast.NotEq:
            return column.is_distinct_from(value)
        return cast(ColumnElement[bool], getattr(column, _ORDERED[comparator])(value))

    def _call(self, name: str, args: list[ast._Node]) -> ColumnElement[bool]:
        self._count()
        if name not in {"startswith", "endswith", "contains"} or len(args) != 2:
            raise UnsupportedQuery(f"Unsupported filter clause: the function '{name[:40]}'.", target="$filter")
        operand = self._operand(args[0])
        if operand.prop.type != "String" or not isinstance(args[1], ast.String):
            raise Invalid(f"Invalid filter clause: '{name}' compares a text property with a text.", target="$filter")
        text = self._text(args[1].val)
        escaped = re.sub(r"([\\%_])", r"\\\1", text)
        pattern = f"{'' if name == 'startswith' else '%'}{escaped}{'' if name == 'endswith' else '%'}"
        return func.lower(operand.column).like(func.lower(pattern), escape="\\")

    def _operand(self, node: ast._Node) -> _Operand:
        """A property, or a text property in `tolower` or `toupper`."""
        if isinstance(node, ast.Call) and len(node.args) == 1:
            name = _full_name(node.func).lower()
            operand = self._operand(node.args[0])
            if name in {"tolower", "toupper"} and operand.prop.type == "String":
                change = func.lower if name == "tolower" else func.upper
                return replace(operand, column=change(operand.column), lower=False, settled=True)
        if not isinstance(node, ast.Identifier | ast.Attribute):
            raise UnsupportedQuery("Unsupported filter clause: compare a property with a literal.", target="$filter")
        return self._property(node)

    def _property(self, node: ast._Node) -> _Operand:
        written = _path(node)
        if self._extension is not None and written.lower().startswith("extension_"):
            return self._attribute(written)
        path = canonical(self._type_name, written)
        prop = at(self._type_name, path) if path else None
        if path is None or prop is None:
            raise Invalid(
                f"Could not find a property named '{written[:100]}' on type 'microsoft.graph.{self._type_name}'.",
                target="$filter",
            )
        if self._visible is not None and path not in self._visible:
            raise Forbidden("The token's permission does not include a property that the filter names.", target=path)
        if path not in self._columns:
            raise UnsupportedQuery(f"Unsupported property filter: '{path}' cannot be compared.", target="$filter")
        return _Operand(prop, self._columns[path], lower=path in self._folded)

    def _attribute(self, written: str) -> _Operand:
        assert self._extension is not None
        column = self._extension(written)
        if column is None:
            raise Invalid(
                f"Could not find a property named '{written[:100]}' on type 'microsoft.graph.{self._type_name}'.",
                target="$filter",
            )
        if self._visible is not None:
            raise Forbidden("The token's permission does not include a property that the filter names.", target=written)
        return _Operand(Property(written, "String"), column)

    def _value(self, prop: Property, node: ast._Node) -> object:
        """The literal's value as the column holds it."""
        if prop.type in ENUMS and isinstance(node, ast.String):
            for member in ENUMS[prop.type].members:
                if member.lower() == node.val.lower():
                    return member
            raise Invalid(
                f"Invalid filter clause: '{node.val[:40]}' is not a member of '{prop.type}'.", target="$filter"
            )
        match prop.type, node:
            case ("String", ast.String(val=text)):
                return self._text(text)
            case ("String", ast.GUID(val=text)) | ("Guid", ast.GUID(val=text)) | ("Guid", ast.String(val=text)):
                return text.lower()
            case ("Boolean", ast.Boolean()):
                return node.py_val
            case ("Int64", ast.Integer(val=digits)) if len(digits) < 20 and -(2**63) <= int(digits) < 2**63:
                return int(digits)
            case ("Date", ast.Date(val=text)):
                return text
            case ("DateTimeOffset", ast.DateTime(val=text)):
                try:
                    return ticks.parse(text)
                except ValueError as problem:
                    raise Invalid(f"Invalid filter clause: {problem}.", target="$filter") from problem
        kind = prop.type if prop.type in ENUMS else f"Edm.{prop.type}"
        raise Invalid(f"Invalid filter clause: '{prop.name}' is of type '{kind}'.", target="$filter")

    def _text(self, text: str) -> str:
        if len(text) > LITERAL_MAX:
            raise Invalid(f"Invalid filter clause: a text is longer than {LITERAL_MAX} characters.", target="$filter")
        return text

    def _count(self) -> None:
        self._terms += 1
        if self._terms > TERMS_MAX:
            raise Invalid(f"Invalid filter clause: it has more than {TERMS_MAX} comparisons.", target="$filter")


def _full_name(node: ast.Identifier) -> str:
    return ".".join((*node.namespace, node.name))


def _path(node: ast._Node) -> str:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(str(node.attr))
        node = node.owner
    if not isinstance(node, ast.Identifier):
        raise UnsupportedQuery("Unsupported filter clause.", target="$filter")
    parts.append(_full_name(node))
    return "/".join(reversed(parts))
