"""Lists and counts: `$filter`, `$orderby`, `$top`, `$skip`, `$count`, `$select` and pages over one selectable.

Pages go by key, so they neither repeat nor lose an object when others come and go. A page token holds everything it
needs (options and place) in unreserved characters, because some clients send it back alone and unescaped. It is read
as any other input: what it says is checked, and it can only ever narrow what the handler's own condition allows.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any
from urllib.parse import quote

import msgspec
from sqlalchemy import (
    Boolean,
    ColumnElement,
    Connection,
    FromClause,
    Integer,
    Row,
    Table,
    Text,
    and_,
    bindparam,
    cast,
    func,
    literal,
    literal_column,
    or_,
    select,
)

from schoolsync.directory import reading
from schoolsync.errors import Forbidden, Invalid
from schoolsync.graph import advice, expand, filterable, render, search
from schoolsync.graph.call import Call, Json, Reply
from schoolsync.graph.types import canonical
from schoolsync.store.database import LookUp

INTEGER_MAX = 2**63  # the first one that no database can take
ORDER_MAX = 8  # properties in one $orderby
_PAGE_SIZE = re.compile(r"(?:odata\.)?maxpagesize\s*=\s*\"?(\d{1,9})\"?", re.IGNORECASE)
_NUMBER = re.compile(r"\d{1,18}", re.ASCII)
_CARRIED = ("select", "filter", "search", "expand", "orderby", "top", "count")  # what a token holds
_LINKED = (*_CARRIED, "skip", "format")  # options that a link repeats


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What is listed, and what may be asked about it."""

    type_name: str
    source: FromClause
    where: ColumnElement[bool]  # what the caller may see; always leads with the tenant
    # Of a whole set: all of its rows, and which of them `where` leaves out. They are counted apart.
    all_but: tuple[ColumnElement[bool], ColumnElement[bool]] | None = None
    columns: Mapping[str, ColumnElement[Any]]  # by property path: what can be filtered and sorted by
    key: Sequence[ColumnElement[Any]]  # not null, together unique within `where`; the order when none is asked for
    writer: Callable[[str | None], Callable[[Row[Any]], Json]]  # how a row is written under a `$select`
    context: str  # what follows `$metadata#`
    fetch: Sequence[ColumnElement[Any]] | None = None  # columns that are written; None = all of `source`
    always_count: bool = False  # `@odata.count` on every page, asked for or not
    visible: frozenset[str] | None = None  # property paths that the caller may ask about; None = all
    folded: frozenset[str] = frozenset({"id"})  # text properties whose column holds lower case already
    extension: Callable[[str], ColumnElement[Any] | None] | None = None  # what an extension attribute is in a query
    indexed: frozenset[str] = frozenset()  # names of columns that an index leads from to few objects
    items: Callable[[str], filterable.Items | None] | None = None  # a collection that `any` and `all` look into
    expand: Callable[[str], Callable[[Sequence[Row[Any]]], Sequence[Json]]] | None = None  # what `$expand` adds to rows


@dataclass(frozen=True, slots=True)
class _Order:
    column: ColumnElement[Any]
    descending: bool = False
    nullable: bool = True


class _Token(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    version: int
    options: dict[str, str]
    place: list[str | int | float | bool | None]


@dataclass(frozen=True, slots=True)
class _Options:
    given: Mapping[str, str]
    place: Sequence[str | int | float | bool | None] | None = None
    applied: Mapping[str, str] = field(default_factory=dict)


def page(call: Call, connection: Connection, listing: Listing) -> Reply:
    """One page of the listing as the caller asks for it.

    Raises Invalid (target: the option) for an option that cannot be understood.
    """
    options = _options(call)
    size, applied = page_size(call, options.given)
    adding = None
    if "expand" in options.given:
        if listing.expand is None:
            raise Invalid(
                "$expand is not supported here: ask for what it would show at its own address.", target="$expand"
            )
        adding = listing.expand(options.given["expand"])
        size = min(size, expand.PAGE_MAX)
    orders = _orders(listing, options.given.get("orderby"))
    where = _where(call, listing, options.given)
    if _pinned(listing, options.given.get("filter")):
        orders = [_sorted_after(order) if order.column in listing.key else order for order in orders]
    write = listing.writer(options.given.get("select"))
    body: Json = {"@odata.context": f"{call.root}/$metadata#{listing.context}"}
    wants_count = _flag(options.given.get("count"))
    if listing.always_count or (wants_count and options.place is None):
        body["@odata.count"] = _total(connection, listing, where)
    rows = _rows(connection, listing, where, orders, options, size) if size else []
    if len(rows) > size > 0:
        rows = rows[:size]
        place = list(rows[-1])[-len(orders) :]
        body["@odata.nextLink"] = _next_link(call, options.given, place)
    body["value"] = [write(row) for row in rows]
    if adding is not None:
        for item, more in zip(body["value"], adding(rows), strict=True):
            item.update(more)
    return Reply(body=body, headers={"Preference-Applied": applied} if applied else {})


def _pinned(listing: Listing, text: str | None) -> bool:
    """Whether the filter leads to few objects by an index."""
    if text is None:
        return False
    from schoolsync.graph import filters  # its grammar is loaded when somebody filters

    scope = filterable.Scope(type_name=listing.type_name, columns=listing.columns, extension=listing.extension)
    return filters.pins(text, scope, listing.indexed)


def _sorted_after(order: _Order) -> _Order:
    """The same order by an expression, which no index gives."""
    return replace(order, column=order.column.concat("")) if isinstance(order.column.type, Text) else order


@cache
def first_page(table: Table, most: int) -> LookUp:
    """The statement of a first page of all objects of a table, as `page` asks it; its parameter is `its_tenant`.

    How many rows it is about stands in it, so that a database that plans it once plans for so many.
    """
    mine = select(table).where(table.c.tenant == bindparam("its_tenant"), reading.in_sight(table))
    return LookUp(mine.order_by(table.c.id.asc()).limit(literal_column(str(most), Integer())))


def first_reply(
    call: Call,
    context: str,
    found: Sequence[Sequence[Any]],
    size: int,
    write: Callable[[Any], Json],
    place: int,
) -> Reply:
    """The answer with the rows that `first_page` found, one more than `size` when there are more; `place` is where
    their id stands."""
    body: Json = {"@odata.context": f"{call.root}/$metadata#{context}"}
    if len(found) > size:
        found = found[:size]
        body["@odata.nextLink"] = _next_link(call, {}, [found[-1][place]])
    body["value"] = [write(row) for row in found]
    return Reply(body=body)


def count(call: Call, connection: Connection, listing: Listing) -> Reply:
    """How many objects the listing holds, `$filter` applied, as plain text."""
    return Reply(body=str(_total(connection, listing, _where(call, listing, call.query))))


def _options(call: Call) -> _Options:
    text = call.query.get("skiptoken")
    if text is None:
        return _Options(call.query)
    try:
        padded = text + "=" * (-len(text) % 4)
        token = msgspec.msgpack.decode(base64.b64decode(padded, altchars=b"-_", validate=True), type=_Token)
    except (binascii.Error, ValueError, msgspec.MsgspecError, RecursionError) as problem:
        raise _bad_token() from problem
    if token.version != 1 or not set(token.options) <= set(_CARRIED):
        raise _bad_token()
    if any(isinstance(value, int) and not -INTEGER_MAX <= value < INTEGER_MAX for value in token.place):
        raise _bad_token()  # no number of ours, and none that a database can take
    kept = {name: value for name, value in call.query.items() if name not in {*_CARRIED, "skip"}}
    return _Options({**kept, **token.options}, token.place)


def _bad_token() -> Invalid:
    return Invalid("The $skiptoken is not one of this server: start again with the first page.", target="$skiptoken")


def page_size(call: Call, given: Mapping[str, str]) -> tuple[int, str | None]:
    """How many objects the page may hold, and the preference that decided it."""
    settings = call.services.settings
    top = _number("$top", given.get("top"))
    wish = _PAGE_SIZE.search(call.headers.get("prefer", ""))
    wished = int(wish[1]) if wish and int(wish[1]) > 0 else None
    if wished is None:
        return min(settings.page_size if top is None else top, settings.page_max), None
    size = min(wished, settings.page_max)
    return size if top is None else min(size, top), f"odata.maxpagesize={size}"


def _number(option: str, text: str | None) -> int | None:
    if text is None:
        return None
    if not _NUMBER.fullmatch(text.strip()):
        raise Invalid(
            f"Invalid value '{text[:40]}' for {option}: it must be a whole number, zero or more.", target=option
        )
    return int(text)


def _flag(text: str | None) -> bool:
    if text is None or text.strip().lower() == "false":
        return False
    if text.strip().lower() == "true":
        return True
    raise Invalid("Invalid value for $count: it must be true or false.", target="$count")


def _where(call: Call, listing: Listing, given: Mapping[str, str]) -> ColumnElement[bool]:
    """What may be seen, narrowed by `$filter` and `$search`."""
    conditions = [listing.where]
    if "search" in given:
        conditions.append(search.where(given["search"], listing.type_name, listing.columns, listing.visible))
    text = given.get("filter")
    if text is None:
        return and_(*conditions) if len(conditions) > 1 else listing.where
    from schoolsync.graph import filters  # its grammar is loaded when somebody filters

    return and_(
        *conditions,
        filters.where(
            text,
            listing.type_name,
            listing.columns,
            visible=listing.visible,
            folded=listing.folded,
            extension=listing.extension,
            items=listing.items,
            now=call.now,
        ),
    )


def _orders(listing: Listing, text: str | None) -> list[_Order]:
    orders = [_order(listing, part) for part in text.split(",")] if text is not None else []
    if len(orders) > ORDER_MAX:
        raise Invalid(
            f"$orderby names more than {ORDER_MAX} properties: the last ones hardly matter, leave them out.",
            target="$orderby",
        )
    return [*orders, *(_Order(column, nullable=False) for column in listing.key)]


def _order(listing: Listing, part: str) -> _Order:
    name, *rest = part.split() or [""]
    direction = " ".join(rest).lower()
    attribute = listing.extension(name) if listing.extension and name.lower().startswith(render.EXTENSION) else None
    if attribute is not None and direction in {"", "asc", "desc"}:
        if listing.visible is not None:
            raise Forbidden("The token's permission does not include a property that $orderby names.", target=name)
        return _Order(attribute, direction == "desc")
    path = canonical(listing.type_name, name)
    if path is None:
        raise Invalid(
            f"Could not find a property named '{name[:100]}' on type 'microsoft.graph.{listing.type_name}'. "
            f"{advice.among(name, _sortable(listing))}",
            target="$orderby",
        )
    if listing.visible is not None and path not in listing.visible:
        raise Forbidden("The token's permission does not include a property that $orderby names.", target=path)
    if path not in listing.columns or direction not in {"", "asc", "desc"}:
        hint = "Write asc or desc behind it." if path in listing.columns else advice.among("", _sortable(listing))
        raise Invalid(f"Unsupported $orderby: '{part.strip()[:100]}'. {hint}", target="$orderby")
    column = listing.columns[path]
    if isinstance(column.type, Boolean):
        column = cast(column, Integer)
    return _Order(column, direction == "desc")


def _sortable(listing: Listing) -> Iterator[str]:
    """What a list can be sorted by, as far as the caller may see it."""
    return (path for path in listing.columns if listing.visible is None or path in listing.visible)


def _rows(
    connection: Connection,
    listing: Listing,
    where: ColumnElement[bool],
    orders: Sequence[_Order],
    options: _Options,
    size: int,
) -> list[Row[Any]]:
    fetch = list(listing.source.c) if listing.fetch is None else list(listing.fetch)
    # The places of the last row come behind what the handler reads, under names of their own.
    placed = [order.column.label(f"order_{number}") for number, order in enumerate(orders)]
    statement = select(*fetch, *placed).select_from(listing.source).where(where).limit(size + 1)
    for order in orders:
        sort = order.column.desc() if order.descending else order.column.asc()
        if order.nullable:  # null is the smallest value, whichever database it is
            sort = sort.nulls_last() if order.descending else sort.nulls_first()
        statement = statement.order_by(sort)
    if options.place is not None:
        statement = statement.where(_after(orders, options.place))
    elif skip := _number("$skip", options.given.get("skip")):
        statement = statement.offset(skip)
    return list(connection.execute(statement).all())


def _after(orders: Sequence[_Order], place: Sequence[str | int | float | bool | None]) -> ColumnElement[bool]:
    """Strictly behind the row at `place`."""
    if len(place) != len(orders):
        raise _bad_token()
    condition: ColumnElement[bool] | None = None
    for order, value in reversed(list(zip(orders, place, strict=True))):
        if value is None and not order.nullable:
            raise _bad_token()
        bound = literal(value, order.column.type)
        same = order.column.is_(None) if value is None else order.column == bound
        beyond: list[ColumnElement[bool]] = []
        if value is not None:
            beyond.append(order.column < bound if order.descending else order.column > bound)
            if order.descending and order.nullable:
                beyond.append(order.column.is_(None))
        elif not order.descending:
            beyond.append(order.column.is_not(None))
        if condition is not None:
            beyond.append(and_(same, condition))
        condition = or_(*beyond)
    assert condition is not None
    return condition


def _total(connection: Connection, listing: Listing, where: ColumnElement[bool]) -> int:
    counted = select(func.count()).select_from(listing.source)
    if listing.all_but is None or where is not listing.where:
        return connection.execute(counted.where(where)).scalar_one()
    every, hidden = listing.all_but
    return sum(
        sign * connection.execute(counted.where(condition)).scalar_one()
        for sign, condition in ((1, every), (-1, and_(every, hidden)))
    )


def _next_link(call: Call, given: Mapping[str, str], place: list[Any]) -> str:
    options = {name: given[name] for name in _CARRIED if name in given}
    token = base64.urlsafe_b64encode(msgspec.msgpack.encode(_Token(1, options, place))).rstrip(b"=").decode()
    repeated = [(name, given[name]) for name in _LINKED if name in given]
    query = "&".join(f"${name}={quote(value, safe='')}" for name, value in [*repeated, ("skiptoken", token)])
    return f"{call.root}/{quote(call.path, safe='/@')}?{query}"
