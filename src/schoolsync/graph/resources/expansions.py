"""`$expand`, and collections that `any` and `all` look into, for schools, classes and people.

An expansion shows at most twenty objects of a list, as Graph's directory does, and no more than its caller would see
in the list itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Row, and_, exists, literal, select

from schoolsync.directory import reading
from schoolsync.directory.navigations import NAVIGATIONS, PLAIN, Navigation, firsts
from schoolsync.directory.shapes import Shape
from schoolsync.errors import Forbidden
from schoolsync.graph import expand
from schoolsync.graph.call import Json
from schoolsync.graph.filterable import Items, Scope
from schoolsync.graph.types import ENUMS, TYPES, Access
from schoolsync.store.json_text import json_items, json_text

if TYPE_CHECKING:
    from schoolsync.graph.resources.views import View

# Lists that a person's token may not read as a whole may not be expanded by it either.
_CLOSED_TO_PEOPLE = frozenset({("educationSchool", "users")})


def adding(view: View, shape: Shape, text: str) -> Callable[[Sequence[Row[Any]]], list[Json]]:
    """What `$expand` adds to rows of a shape. Raises Invalid for what cannot be expanded."""
    names = [name for name, prop in TYPES[shape.type_name].properties.items() if prop.access is Access.NAVIGATION]
    parts: list[Callable[[Sequence[Row[Any]]], list[Json]]] = []
    for item in expand.parse(text, shape.type_name, names if shape.type_name in NAVIGATIONS else []):
        plain, behind = PLAIN[shape.type_name]
        if item.name == plain:
            parts.append(_plain(view, item, behind))
            continue
        navigation = next(one for one in NAVIGATIONS[shape.type_name] if one.name == item.name)
        if view.delegated and (shape.type_name, item.name) in _CLOSED_TO_PEOPLE:
            raise Forbidden("Required scp claim values are not provided.", target="$expand")
        parts.append(_many(view, item, navigation))

    def added(rows: Sequence[Row[Any]]) -> list[Json]:
        result: list[Json] = [{} for _ in rows]
        for part in parts:
            for whole, more in zip(result, part(rows), strict=True):
                whole.update(more)
        return result

    return added


def _plain(view: View, item: expand.Expansion, shape: Shape) -> Callable[[Sequence[Row[Any]]], list[Json]]:
    write = view.writer(shape, item.select)
    return lambda rows: [{item.name: write(row)} for row in rows]


def _many(view: View, item: expand.Expansion, navigation: Navigation) -> Callable[[Sequence[Row[Any]]], list[Json]]:
    shape, tenant = navigation.shape, view.tenant
    write = view.writer(shape, item.select)

    def added(rows: Sequence[Row[Any]]) -> list[Json]:
        keys = [int(row.key) for row in rows]
        seen = view.seen(shape.table) if view.delegated else None
        pairs = firsts(view.connection, navigation, tenant, keys, most=expand.ITEMS_MAX, seen=seen)
        wanted = sorted({far for _, far in pairs})
        table = shape.table
        statement = select(table).where(table.c.tenant == tenant, table.c.key.in_(wanted), reading.in_sight(table))
        written = {int(row.key): write(row) for row in view.connection.execute(statement)} if wanted else {}
        lists: dict[int, list[Json]] = {key: [] for key in keys}
        for near, far in pairs:
            if far in written:
                lists[near].append(written[far])
        return [{item.name: lists[key]} for key in keys]

    return added


# --- collections in filters ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Collections:
    """The collections of one shape, as filters look into them."""

    view: View
    shape: Shape

    def __call__(self, name: str) -> Items | None:
        """The collection of that name, or None when nothing can be asked of it."""
        shape = self.shape
        if shape.phone and name == "businessPhones":
            phone = shape.table.c[shape.phone]
            return Items(phone, lambda condition: and_(phone.is_not(None), condition))
        if name in shape.lists:
            return self._kept(name, shape.table.c[shape.lists[name]])
        if isinstance(shape.constants.get(name), list):
            (only,) = shape.constants[name]
            return Items(literal(only), lambda condition: condition)
        for navigation in NAVIGATIONS.get(shape.type_name, ()):
            if navigation.name == name:
                return self._linked(navigation)
        return None

    def _kept(self, name: str, column: ColumnElement[Any]) -> Items:
        """A list kept as JSON."""
        rows = json_items(column).rows()
        kind = TYPES[TYPES[self.shape.type_name].properties[name].type]
        columns: Mapping[str, ColumnElement[Any]] = {
            prop.name: json_text(rows.c.value, prop.name)
            for prop in kind.properties.values()
            if not prop.collection and (prop.type in {"String", "Guid"} or prop.type in ENUMS)
        }
        scope = Scope(type_name=kind.name, columns=columns, folded=frozenset({"skuId"}))
        return Items(scope, lambda condition: exists(select(literal(1)).select_from(rows).where(condition)))

    def _linked(self, navigation: Navigation) -> Items:
        view, link, found = self.view, navigation.link, navigation.shape.table
        scope = Scope(
            type_name=navigation.shape.type_name,
            columns=view.columns(navigation.shape),
            visible=view.basic(navigation.shape.type_name),
            folded=frozenset({"id", "userPrincipalName"}),
        )

        def meets(condition: ColumnElement[bool]) -> ColumnElement[bool]:
            return exists(
                select(literal(1))
                .select_from(link)
                .join(found, (found.c.tenant == link.c.tenant) & (found.c.key == link.c[navigation.far]))
                .where(
                    navigation.of(view.tenant),
                    link.c[navigation.near] == self.shape.table.c.key,
                    view.seen(found),
                    condition,
                )
                .correlate(self.shape.table)
            )

        return Items(scope, meets)
