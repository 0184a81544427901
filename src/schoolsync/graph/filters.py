"""`$filter` as SQL: odata-query's parser reads it, a small visitor of our own writes typed, bounded expressions.

Only properties that a listing names can be compared, each with literals of its own type; whatever else OData can say
is refused with a sentence. Texts compare without regard to the case of their letters, as Graph's directory does.
A comparison with null counts as false under `not`, as OData wants and SQL does not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast

from odata_query import ast, exceptions
from odata_query.grammar import ODataLexer, ODataParser
from sqlalchemy import ColumnElement, Integer, and_, false, func, literal, not_, or_, true
from sqlalchemy import cast as sql_cast

from schoolsync import ticks
from schoolsync.errors import Forbidden, Invalid
from schoolsync.graph import advice
from schoolsync.graph.filterable import Items, Scope, UnsupportedQuery
from schoolsync.graph.types import ENUMS, Property, at, canonical, find
from schoolsync.store.json_text import folded, spellings, text_place

LENGTH_MAX = 4096
DEPTH_MAX = 20
FUNCTIONS_MAX = 10
"""How deep conditions and functions may stand in one another: SQLite reads no more than a hundred levels of its own."""
TERMS_MAX = 200
LITERAL_MAX = 1024

# What the parser cannot take as OData writes it: a type name before a text (microsoft.graph.someEnum'member', by alias
# graph.someEnum'member'), function names in other letter case, `not(`, and an `in` list of one literal, which needs a
# trailing comma there. Texts are matched first, so that nothing inside one is touched.
_STRING = r"'(?:[^']|'')*'"
_PREDICATES = ("startswith", "endswith", "contains")
_TEXTS = ("tolower", "toupper", "trim", "concat", "substring")
_NUMBERS = ("length", "indexof", "year", "month", "day")
_FUNCTIONS = (*_PREDICATES, *_TEXTS, *_NUMBERS, "date", "now")
_PIECES = re.compile(
    rf"(?P<typed>\b(?:microsoft\.)?graph\.\w+)(?={_STRING})|(?P<text>{_STRING})"
    rf"|\b(?P<function>{'|'.join(_FUNCTIONS)}|not)\s*\("
    rf"|(?<=\s)in\s*\(\s*(?P<only>{_STRING}|[^\s,()']+)\s*(?P<end>[,)])",
    re.IGNORECASE,
)
_ORDERED = {ast.Lt: "__lt__", ast.LtE: "__le__", ast.Gt: "__gt__", ast.GtE: "__ge__"}
_MIRRORED = {ast.Lt: ast.Gt, ast.LtE: ast.GtE, ast.Gt: ast.Lt, ast.GtE: ast.LtE}
_LAST = "\U0010ffff"  # behind every text that goes on
_DATE_PARTS = {"year": (1, 4), "month": (6, 2), "day": (9, 2)}  # where they stand in YYYY-MM-DD
_DAYS = {"date": "date(createdDateTime) eq 2026-08-31", "year": "year(createdDateTime) eq 2026"}
_FUNCTIONS_THERE = f"There are {', '.join(sorted(_FUNCTIONS))}, with what docs/graph.md, “Lists”, says."
_LITERALS = (ast.Null, ast.String, ast.Integer, ast.Float, ast.Boolean, ast.Date, ast.DateTime, ast.GUID)


def where(
    text: str,
    type_name: str,
    columns: Mapping[str, ColumnElement[Any]],
    *,
    visible: frozenset[str] | None = None,
    folded: frozenset[str] = frozenset({"id"}),
    extension: Callable[[str], ColumnElement[Any] | None] | None = None,
    items: Callable[[str], Items | None] | None = None,
    now: int = 0,
) -> ColumnElement[bool]:
    """The condition that `text` states over properties of `type_name`; `now` (ticks) is what `now()` means.

    The other arguments are those of `Scope`. Raises Forbidden for a property that is not visible, Invalid for what
    cannot be, UnsupportedQuery for what OData can say and this server does not do.
    """
    if len(text) > LENGTH_MAX:
        raise Invalid(f"$filter is longer than {LENGTH_MAX} characters. {advice.SPLIT}", target="$filter")
    scope = Scope(
        type_name=type_name, columns=columns, visible=visible, folded=folded, extension=extension, items=items
    )
    return _Visitor(scope, now).condition(_parse(text), 0)


def pins(text: str, scope: Scope, indexed: frozenset[str]) -> bool:
    """Whether the filter can only be met by the few objects that one of the `indexed` columns leads to.

    Such a list is better sorted after it was found: a database that is asked for it in the order of ids would rather
    walk through all of them in that order.
    """

    def leads(node: ast._Node) -> bool:
        if isinstance(node, ast.Call) and node.args:
            return _full_name(node.func).lower() == "startswith" and leads(node.args[0])
        if not isinstance(node, ast.Identifier | ast.Attribute):
            return False
        written = _path(node)
        path = canonical(scope.type_name, written)
        column = scope.columns.get(path) if path else scope.extension(written) if scope.extension else None
        return getattr(column, "name", None) in indexed

    def pinned(node: ast._Node) -> bool:
        match node:
            case ast.BoolOp(op=ast.And(), left=left, right=right):
                return pinned(left) or pinned(right)
            case ast.BoolOp(op=ast.Or(), left=left, right=right):
                return pinned(left) and pinned(right)
            case ast.Compare(comparator=ast.Eq(), left=left, right=right):
                one, other = (right, left) if isinstance(left, _LITERALS) else (left, right)
                return leads(one) and isinstance(other, ast.String | ast.GUID)
            case ast.Compare(comparator=ast.In(), left=left):
                return leads(left)
            case ast.Call():
                return leads(node)
        return False

    return pinned(_parse(text))


def _parse(text: str) -> ast._Node:
    if not text.strip():
        raise Invalid(f"$filter is empty: leave it out, or state a condition. {advice.FILTER}", target="$filter")
    try:
        tokens = ODataLexer().tokenize(_PIECES.sub(_prepared, text.strip()))
        node = ODataParser().parse(tokens)
    except exceptions.ODataException as problem:
        raise Invalid(
            f"Invalid filter clause: the expression cannot be understood. {advice.FILTER}", target="$filter"
        ) from problem
    except (RecursionError, NotImplementedError, AttributeError, TypeError) as problem:
        # The parser builds some lambda and path forms by hand and trips over others.
        raise UnsupportedQuery(f"Unsupported filter clause. {advice.FILTER}", target="$filter") from problem
    if node is None:
        raise Invalid(f"Invalid filter clause: the expression cannot be understood. {advice.FILTER}", target="$filter")
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
    days: str | None = None  # `date` or `year` of a moment: compared by the span of time that it names


class _Visitor:
    def __init__(self, scope: Scope, now: int) -> None:
        self._scope = scope
        self._now = now
        self._terms = 0
        self._functions = 0  # that are being read, one in another
        self._inside: dict[str, Scope | ColumnElement[Any]] = {}  # variables of `any` and `all`

    def condition(self, node: ast._Node, depth: int) -> ColumnElement[bool]:
        if depth > DEPTH_MAX:
            raise Invalid(
                f"Invalid filter clause: it is nested more than {DEPTH_MAX} levels deep. {advice.SPLIT}",
                target="$filter",
            )
        match node:
            case ast.BoolOp(op=op):
                # A long chain leans to the left: walk it instead of descending into it.
                parts = self._chain(node, type(op))
                join = and_ if isinstance(op, ast.And) else or_
                return join(*(self.condition(part, depth + 1) for part in parts))
            case ast.UnaryOp(op=ast.Not()):
                inner, length = _behind_not(node)
                meant = func.coalesce(self.condition(inner, depth + length), false())
                return not_(meant) if length % 2 else meant
            case ast.Compare(comparator=ast.In(), left=left, right=ast.List(val=items)):
                return or_(*(self._compare(ast.Eq, left, item) for item in items))
            case ast.Compare(
                comparator=ast.Eq() | ast.NotEq() as comparator, left=ast.Call() as call, right=ast.Boolean() as right
            ):
                wanted = (right.val.lower() == "true") == isinstance(comparator, ast.Eq)
                said = self._call(_full_name(call.func).lower(), call.args)
                return said if wanted else not_(func.coalesce(said, false()))
            case ast.Compare(comparator=comparator, left=left, right=right):
                return self._compare(type(comparator), left, right)
            case ast.Call(func=name, args=args):
                return self._call(_full_name(name).lower(), args)
            case ast.CollectionLambda():
                return self._lambda(node, depth)
            case ast.Identifier() | ast.Attribute():
                alone = self._property(node)
                if alone.prop.type != "Boolean":
                    raise Invalid(
                        f"Invalid filter clause: a property alone must be Boolean. {advice.COMPARED}", target="$filter"
                    )
                return alone.column == true()
            case ast.Boolean():
                return true() if node.py_val else false()
        raise UnsupportedQuery(f"Unsupported filter clause. {advice.FILTER}", target="$filter")

    def _chain(self, node: ast._Node, op: type[ast._BoolOpToken]) -> list[ast._Node]:
        parts: list[ast._Node] = []
        while isinstance(node, ast.BoolOp) and isinstance(node.op, op):
            parts.append(node.right)
            node = node.left
        parts.append(node)
        return parts[::-1]

    def _lambda(self, node: ast.CollectionLambda, depth: int) -> ColumnElement[bool]:
        """`any` and `all` over a collection; inside of it only the item itself can be asked about."""
        self._count()
        written = _path(node.owner)
        prop = find(self._scope.type_name, written)
        if prop is None or not prop.collection:
            raise self._unknown(written)
        if self._inside:
            raise UnsupportedQuery(
                f"Unsupported filter clause: one collection inside of another. {advice.SPLIT}", target="$filter"
            )
        self._check_visible(prop.name)
        items = self._scope.items(prop.name) if self._scope.items else None
        if items is None:
            raise UnsupportedQuery(
                f"Unsupported property filter: '{prop.name}' cannot be compared. {self._instead('', self._scope)}",
                target="$filter",
            )
        if node.lambda_ is None:
            return items.exists(true())
        self._inside = {node.lambda_.identifier.name: items.scope}
        condition = self.condition(node.lambda_.expression, depth + 1)
        self._inside = {}
        if isinstance(node.operator, ast.All):
            return not_(items.exists(not_(func.coalesce(condition, false()))))
        return items.exists(condition)

    def _compare(self, comparator: type[ast._Comparator], left: ast._Node, right: ast._Node) -> ColumnElement[bool]:
        self._count()
        left, right = self._settled(left), self._settled(right)
        if isinstance(left, _LITERALS):
            left, right = right, left
            comparator = _MIRRORED.get(comparator, comparator)
        operand = self._operand(left)
        prop = operand.prop
        if isinstance(right, ast.Null):
            if comparator is ast.Eq:
                return operand.column.is_(None)
            if comparator is ast.NotEq:
                return operand.column.is_not(None)
            raise Invalid("Invalid filter clause: null can only be compared with eq and ne.", target="$filter")
        if (prop.type in ENUMS or prop.type == "Boolean") and comparator not in {ast.Eq, ast.NotEq}:
            raise Invalid(
                f"Invalid filter clause: '{prop.name}' can only be compared with eq, ne and in.", target="$filter"
            )
        if operand.days is not None:
            return self._span(comparator, operand, right)
        if not isinstance(right, _LITERALS):
            return self._alike(comparator, operand, self._operand(right))
        found = self._value(prop, right)
        if operand.lower and isinstance(found, str):
            found = found.lower()
        folds = prop.type == "String" and not (operand.lower or operand.settled)
        if folds and isinstance(found, str) and comparator in {ast.Eq, ast.NotEq}:
            each = [
                _said(comparator, operand.column, literal(one, operand.column.type), folds=True)
                for one in spellings(found)
            ]
            return or_(*each) if comparator is ast.Eq else and_(*each)
        return _said(comparator, operand.column, literal(found, operand.column.type), folds=folds)

    def _settled(self, node: ast._Node) -> ast._Node:
        """Negative numbers and `now()` as literals."""
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Integer):
            return ast.Integer("-" + node.operand.val)
        if isinstance(node, ast.Call) and not node.args and _full_name(node.func).lower() == "now":
            return ast.DateTime(ticks.text(self._now))
        return node

    def _alike(self, comparator: type[ast._Comparator], left: _Operand, right: _Operand) -> ColumnElement[bool]:
        """Two properties compared with each other."""
        if left.prop.type != right.prop.type or right.days is not None:
            raise Invalid(
                f"Invalid filter clause: two properties of different types are compared. {advice.COMPARED}",
                target="$filter",
            )
        folds = left.prop.type == "String" and not (left.settled or right.settled)
        return _said(comparator, left.column, right.column, folds=folds)

    def _span(self, comparator: type[ast._Comparator], operand: _Operand, right: ast._Node) -> ColumnElement[bool]:
        """`date(moment)` and `year(moment)`: from the first tick of the day or the year up to the next one."""
        try:
            if operand.days == "date" and isinstance(right, ast.Date):
                first = date.fromisoformat(right.val)
                after = first + timedelta(days=1)
            elif operand.days == "year" and isinstance(right, ast.Integer) and len(right.val) < 5:
                first, after = date(int(right.val), 1, 1), date(int(right.val) + 1, 1, 1)
            else:
                shown = _DAYS[str(operand.days)]
                raise Invalid(
                    f"Invalid filter clause: '{operand.days}' is compared with one, as in {shown}.", target="$filter"
                )
        except (ValueError, OverflowError) as problem:
            raise Invalid(
                "Invalid filter clause: there is no such date. Write one as 2026-08-31.", target="$filter"
            ) from problem
        begins, ends = (literal(_midnight(day), operand.column.type) for day in (first, after))
        column = operand.column
        match comparator:
            case ast.Eq:
                return and_(column >= begins, column < ends)
            case ast.NotEq:
                return or_(column < begins, column >= ends, column.is_(None))
            case ast.Lt:
                return column < begins
            case ast.LtE:
                return column < ends
            case ast.Gt:
                return column >= ends
        return column >= begins

    def _call(self, name: str, args: list[ast._Node]) -> ColumnElement[bool]:
        self._count()
        if name not in _PREDICATES or len(args) != 2:
            raise UnsupportedQuery(
                f"Unsupported filter clause: the function '{name[:40]}'. {_FUNCTIONS_THERE}", target="$filter"
            )
        operand = self._operand(args[0])
        if operand.prop.type != "String" or not isinstance(args[1], ast.String):
            raise Invalid(
                f"Invalid filter clause: '{name}' compares a text property with a text, as in {name}(displayName,'A').",
                target="$filter",
            )
        text = self._text(args[1].val)
        if operand.lower:
            return _found(name, operand.column, text.lower(), literal)
        return or_(*(_found(name, folded(operand.column), one, _folded_literal) for one in spellings(text)))

    def _operand(self, node: ast._Node) -> _Operand:
        """A property, or a function of one."""
        if isinstance(node, ast.Call) and node.args:
            if self._functions == FUNCTIONS_MAX:
                raise Invalid(
                    f"Invalid filter clause: more than {FUNCTIONS_MAX} functions stand in one another. {advice.SPLIT}",
                    target="$filter",
                )
            self._functions += 1
            found = self._function(_full_name(node.func).lower(), node.args)
            self._functions -= 1
            return found
        if not isinstance(node, ast.Identifier | ast.Attribute):
            raise UnsupportedQuery(
                f"Unsupported filter clause: compare a property with a literal. {advice.FILTER}", target="$filter"
            )
        return self._property(node)

    def _function(self, name: str, args: list[ast._Node]) -> _Operand:
        self._count()
        operand = (
            _Operand(Property("text", "String"), self._said_text(args[0]))
            if isinstance(args[0], ast.String)
            else self._operand(args[0])
        )
        column, kind = operand.column, operand.prop.type
        text, number = Property(name, "String"), Property(name, "Int64")
        match name, args[1:]:
            case (("tolower" | "toupper"), []) if kind == "String":
                changed = func.lower(column) if name == "tolower" else func.upper(column)
                return _Operand(text, changed, settled=True)
            case "trim", [] if kind == "String":
                return _Operand(text, func.trim(column), settled=operand.settled)
            case "length", [] if kind == "String":
                return _Operand(number, func.length(column))
            case "concat", [more] if kind == "String":
                return _Operand(text, column.concat(self._said_text(more)), settled=operand.settled)
            case "indexof", [ast.String(val=part)] if kind == "String":
                return _Operand(number, text_place(func.lower(column), func.lower(literal(self._text(part)))) - 1)
            case "substring", [ast.Integer(val=start)] if kind == "String" and len(start) < 9:
                return _Operand(text, func.substr(column, int(start) + 1), settled=operand.settled)
            case "substring", [ast.Integer(val=start), ast.Integer(val=size)] if (
                kind == "String" and len(start) + len(size) < 18
            ):
                return _Operand(text, func.substr(column, int(start) + 1, int(size)), settled=operand.settled)
            case (("year" | "month" | "day"), []) if kind == "Date":
                return _Operand(number, sql_cast(func.substr(column, *_DATE_PARTS[name]), Integer))
            case (("year" | "date"), []) if kind == "DateTimeOffset":
                return _Operand(operand.prop, column, days=name)
        raise UnsupportedQuery(
            f"Unsupported filter clause: the function '{name[:40]}'. {_FUNCTIONS_THERE}", target="$filter"
        )

    def _said_text(self, node: ast._Node) -> ColumnElement[Any]:
        if isinstance(node, ast.String):
            return literal(self._text(node.val))
        operand = self._operand(node)
        if operand.prop.type != "String":
            raise Invalid(
                "Invalid filter clause: 'concat' joins texts, as in concat(givenName,' B') eq 'A B'.", target="$filter"
            )
        return operand.column

    def _property(self, node: ast._Node) -> _Operand:
        written = _path(node)
        scope = self._scope
        variable, _, below = written.partition("/")
        if variable in self._inside:
            item = self._inside[variable]
            if not isinstance(item, Scope):
                if below:
                    raise self._unknown(written)
                return _Operand(Property(variable, "String"), item)
            scope, written = item, below
        if scope.extension is not None and written.lower().startswith("extension_"):
            return self._attribute(scope, written)
        path = canonical(scope.type_name, written)
        prop = at(scope.type_name, path) if path else None
        if path is None or prop is None:
            raise self._unknown(written, scope)
        self._check_visible(path, scope)
        if path not in scope.columns:
            raise UnsupportedQuery(
                f"Unsupported property filter: '{path}' cannot be compared. {self._instead('', scope)}",
                target="$filter",
            )
        return _Operand(prop, scope.columns[path], lower=path in scope.folded)

    def _check_visible(self, path: str, scope: Scope | None = None) -> None:
        visible = (scope or self._scope).visible
        if visible is not None and path not in visible:
            raise Forbidden("The token's permission does not include a property that the filter names.", target=path)

    def _unknown(self, written: str, scope: Scope | None = None) -> Invalid:
        scope = scope or self._scope
        return Invalid(
            f"Could not find a property named '{written[:100]}' on type 'microsoft.graph.{scope.type_name}'. "
            f"{self._instead(written, scope)}",
            target="$filter",
        )

    def _instead(self, written: str, scope: Scope) -> str:
        """What can be compared; what the caller may not see is not among it."""
        return advice.among(written, (path for path in scope.columns if scope.visible is None or path in scope.visible))

    def _attribute(self, scope: Scope, written: str) -> _Operand:
        assert scope.extension is not None
        column = scope.extension(written)
        if column is None:
            raise self._unknown(written, scope)
        if scope.visible is not None:
            raise Forbidden("The token's permission does not include a property that the filter names.", target=written)
        return _Operand(Property(written, "String"), column)

    def _value(self, prop: Property, node: ast._Node) -> object:
        """The literal's value as the column holds it."""
        if prop.type in ENUMS and isinstance(node, ast.String):
            for member in ENUMS[prop.type].members:
                if member.lower() == node.val.lower():
                    return member
            raise Invalid(
                f"Invalid filter clause: '{node.val[:40]}' is not a member of '{prop.type}'. "
                f"{advice.members(ENUMS[prop.type].members)}",
                target="$filter",
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
            case ("DateTimeOffset", ast.Date(val=text)):
                return self._value(prop, ast.DateTime(f"{text}T00:00:00Z"))
            case ("DateTimeOffset", ast.DateTime(val=text)):
                try:
                    return ticks.parse(text)
                except ValueError as problem:
                    raise Invalid(
                        f"Invalid filter clause: {problem}. {advice.written(prop.type)}", target="$filter"
                    ) from problem
        kind = prop.type if prop.type in ENUMS else f"Edm.{prop.type}"
        raise Invalid(
            f"Invalid filter clause: '{prop.name}' is of type '{kind}'. {advice.written(prop.type)}", target="$filter"
        )

    def _text(self, text: str) -> str:
        if len(text) > LITERAL_MAX:
            raise Invalid(
                f"Invalid filter clause: a text is longer than {LITERAL_MAX} characters. Look for a part of it.",
                target="$filter",
            )
        return text

    def _count(self) -> None:
        self._terms += 1
        if self._terms > TERMS_MAX:
            raise Invalid(
                f"Invalid filter clause: it has more than {TERMS_MAX} comparisons. {advice.SPLIT}", target="$filter"
            )


def _behind_not(node: ast._Node) -> tuple[ast._Node, int]:
    """What a chain of `not` is about, and how long the chain is."""
    length = 0
    while isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        node, length = node.operand, length + 1
    return node, length


def _folded_literal(text: str) -> ColumnElement[Any]:
    return folded(literal(text))


def _found(
    name: str, column: ColumnElement[Any], text: str, fold: Callable[[str], ColumnElement[Any]]
) -> ColumnElement[bool]:
    """Whether a text stands at the beginning, at the end or anywhere in a column."""
    escaped = re.sub(r"([\\%_])", r"\\\1", text)
    pattern = f"{'' if name == 'startswith' else '%'}{escaped}{'' if name == 'endswith' else '%'}"
    found = column.like(fold(pattern), escape="\\")
    if name != "startswith" or not text:
        return found
    # As a span of texts too: an index can lead to that. Both databases compare texts byte by byte.
    return and_(column >= fold(text), column < fold(text + _LAST), found)


def _said(
    comparator: type[ast._Comparator], left: ColumnElement[Any], right: ColumnElement[Any], *, folds: bool
) -> ColumnElement[bool]:
    """One comparison; `folds` when texts are equal whatever the case of their letters."""
    if folds and comparator in {ast.Eq, ast.NotEq}:
        left, right = folded(left), folded(right)
    if comparator is ast.Eq:
        return left == right
    if comparator is ast.NotEq:
        return left.is_distinct_from(right)
    return cast(ColumnElement[bool], getattr(left, _ORDERED[comparator])(right))


def _midnight(day: date) -> int:
    return ticks.of(datetime(day.year, day.month, day.day, tzinfo=UTC))


def _full_name(node: ast.Identifier) -> str:
    return ".".join((*node.namespace, node.name))


def _path(node: ast._Node) -> str:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(str(node.attr))
        node = node.owner
    if not isinstance(node, ast.Identifier):
        raise UnsupportedQuery(f"Unsupported filter clause. {advice.FILTER}", target="$filter")
    parts.append(_full_name(node))
    return "/".join(reversed(parts))
