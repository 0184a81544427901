"""What one caller sees of the directory, and how its objects are answered.

Applications see the whole tenant. Whoever acts for a person sees the classes that person is in and the people of
those classes; with no more than ReadBasic, only a few properties of each. Nothing here is ever of another tenant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Table, and_, false

from schoolsync.access import permissions
from schoolsync.directory import attributes, reading
from schoolsync.directory.reading import Found
from schoolsync.directory.shapes import CLASS, GROUP, PERSON, SCHOOL, USER, Shape
from schoolsync.errors import NotFound
from schoolsync.graph import etags, query, render, rows
from schoolsync.graph.call import Call, Reply
from schoolsync.graph.errors import BadRequest
from schoolsync.graph.resources import expansions
from schoolsync.graph.routes import Permission

_NAMED = frozenset({"id", "displayName"})
# What ReadBasic shows of each type; docs/graph.md lists it.
BASIC: Mapping[str, frozenset[str]] = {
    "educationSchool": _NAMED | {"description", "externalId", "externalSource", "externalSourceDetail", "schoolNumber"},
    "educationClass": _NAMED
    | {"description", "mailNickname", "classCode", "externalId", "externalName"}
    | {"externalSource", "externalSourceDetail"},
    "educationUser": _NAMED | {"givenName", "middleName", "surname", "mail", "accountEnabled", "primaryRole"},
    "administrativeUnit": _NAMED | {"description", "visibility"},
    "group": _NAMED | {"description", "mailNickname", "visibility", "groupTypes"},
    "user": _NAMED | {"givenName", "surname", "mail", "accountEnabled"},
}
_SETS = {
    "educationSchool": "education/schools",
    "educationClass": "education/classes",
    "educationUser": "education/users",
    "administrativeUnit": "directory/administrativeUnits",
    "group": "groups",
    "user": "users",
}
_PLAIN = frozenset({"administrativeUnit", "group", "user"})

Condition = Callable[[int, int], ColumnElement[bool]]  # (tenant, key) -> condition


class View:
    """The directory through the eyes of one caller, during one request."""

    def __init__(self, call: Call, connection: Connection) -> None:
        self.call = call
        self.connection = connection
        self.tenant = call.principal.tenant

    # --- what may be seen ------------------------------------------------------------------------------------------

    @cached_property
    def caller(self) -> Found | None:
        """The person a delegated token acts for, when the directory has that person."""
        principal = self.call.principal
        return reading.caller(self.connection, self.tenant, principal.user_id, principal.user_name)

    @property
    def delegated(self) -> bool:
        """Whether the caller acts for a person."""
        return self.call.principal.kind == "delegated"

    def basic(self, type_name: str) -> frozenset[str] | None:
        """The properties that ReadBasic leaves of a type, for a caller that has no more; None = all of them."""
        if self.delegated and not permissions.has(self.call.principal, Permission.ROSTER_READ.value):
            return BASIC[type_name]
        return None

    def seen(self, table: Table) -> ColumnElement[bool]:
        """The condition under which the caller may see a row of an object table."""
        tenant = and_(table.c.tenant == self.tenant, reading.in_sight(table))
        if not self.delegated or table is SCHOOL.table:
            return tenant
        if self.caller is None:
            return false()
        shared = reading.classes_shared_with if table is CLASS.table else reading.people_sharing_with
        return and_(tenant, shared(self.tenant, self.caller.key))

    # --- single objects --------------------------------------------------------------------------------------------

    def school(self, also: ColumnElement[bool] | None = None) -> Found:
        """The school of the path. Raises NotFound when there is none that the caller may see."""
        return self.one(SCHOOL, self.call.keys["school"], also)

    def group(self, also: ColumnElement[bool] | None = None) -> Found:
        """The class of the path. Raises NotFound when there is none that the caller may see."""
        return self.one(CLASS, self.call.keys["class"], also)

    def person(self, also: ColumnElement[bool] | None = None) -> Found:
        """The person of the path, by id or principal name. Raises NotFound when the caller may see none."""
        return self.one(PERSON, self.call.keys["user"], also)

    def me(self) -> Found:
        """The person a delegated token acts for. Raises NotFound when the directory does not have that person."""
        if not self.delegated:
            raise BadRequest("/me request is only valid with delegated authentication flow.")
        if self.caller is None:
            raise NotFound("The signed-in user does not exist in the directory.")
        return self.caller

    def one(self, shape: Shape, key: str, also: ColumnElement[bool] | None = None) -> Found:
        """The object with that key; `also` narrows. Raises NotFound when there is none that the caller may see."""
        seen = self.seen(shape.table)
        condition = seen if also is None else and_(seen, also)
        if shape is PERSON:
            found = reading.find_person(self.connection, self.tenant, key, condition)
        else:
            found = reading.find(self.connection, shape.table, self.tenant, key, condition)
        if found is None:
            raise NotFound(
                f"Resource '{key[:100]}' does not exist or one of its queried reference-property objects "
                "are not present."
            )
        return found

    # --- answers ---------------------------------------------------------------------------------------------------

    def answer(self, shape: Shape, row: Found, *, status: int = 200, context: str | None = None) -> Reply:
        """One object, with its entity tag."""
        tag = etags.weak(row.position)
        if self.call.reads and "expand" not in self.call.query and etags.not_modified(self.call, tag):
            return Reply(status=304, headers={"ETag": tag})
        context = context or f"{_SETS[shape.type_name]}/$entity"
        head = {"@odata.context": f"{self.call.root}/$metadata#{context}", "@odata.etag": tag}
        body = {**head, **self.writer(shape, self.call.query.get("select"))(row)}
        text = self.call.query.get("expand")
        if text is not None:
            body.update(*expansions.adding(self, shape, text)([row]))
        return Reply(status=status, body=body, headers={"ETag": tag})

    def page(self, shape: Shape, condition: ColumnElement[bool] | None = None) -> Reply:
        """A page of the objects that meet the condition and that the caller may see."""
        return query.page(self.call, self.connection, self._listing(shape, condition))

    def directory_objects(self, condition: ColumnElement[bool]) -> Reply:
        """A page of the users that meet the condition, as members of a group or a unit: each with its type.

        As in Graph's lists of directory objects, what `$select` names and users do not have is left out.
        """

        def writer(select: str | None) -> rows.Write:
            known = [name for name in (select or "").split(",") if render.is_known(USER.type_name, name.strip())]
            write = self.writer(USER, ",".join(known or ["id"]) if select and select.strip() else None)
            return lambda row: {"@odata.type": f"#microsoft.graph.{USER.type_name}", **write(row)}

        return query.page(self.call, self.connection, replace(self._listing(USER, condition), writer=writer))

    def count(self, shape: Shape, condition: ColumnElement[bool] | None = None) -> Reply:
        """How many objects meet the condition and may be seen by the caller."""
        return query.count(self.call, self.connection, self._listing(shape, condition))

    def references(self, shape: Shape, condition: ColumnElement[bool]) -> Reply:
        """A page of links to the objects that meet the condition."""

        def writer(select: str | None) -> rows.Write:
            render.selection(shape.type_name, select)  # which must be right, whatever becomes of it
            return lambda row: {"@odata.id": f"{self.call.root}/{_SETS[shape.type_name]}/{row.id}"}

        listing = replace(
            self._listing(shape, condition),
            context="Collection($ref)",
            expand=None,
            writer=writer,
        )
        return query.page(self.call, self.connection, listing)

    def attributes(self, shape: Shape) -> Callable[[Row[Any]], Mapping[str, Any]]:
        """What comes of a row when `$select` names it, as far as the caller may see it: the extension attributes of a
        plain object, of a class the properties of its group.
        """
        if shape is CLASS:
            return self.writer(GROUP, None)
        if shape.type_name not in _PLAIN or self.basic(shape.type_name) is not None:
            return lambda _: {}
        return lambda row: attributes.shown(shape.table.name, row)

    def _listing(self, shape: Shape, condition: ColumnElement[bool] | None) -> query.Listing:
        seen = self.seen(shape.table)
        narrowed = condition is not None or (self.delegated and shape is not SCHOOL)
        return query.Listing(
            type_name=shape.type_name,
            source=shape.table,
            where=seen if condition is None else and_(seen, condition),
            # Counting everything reads an index alone: what lies in the bin is counted for itself.
            all_but=None if narrowed else (shape.table.c.tenant == self.tenant, reading.in_bin(shape.table)),
            columns=self.columns(shape),
            # Where links lead to the rows, the id must not tempt the planner to walk the whole table in its order.
            key=[shape.table.c.id.concat("") if narrowed else shape.table.c.id],
            writer=partial(self.writer, shape),
            context=_SETS[shape.type_name],
            visible=self.basic(shape.type_name),
            folded=frozenset({"id", "userPrincipalName"}),
            extension=partial(attributes.column, shape.table.name) if shape.type_name in _PLAIN else None,
            indexed=reading.looked_up_by(shape.table),
            items=expansions.Collections(self, shape),
            expand=lambda text: expansions.adding(self, shape, text),
        )

    def columns(self, shape: Shape) -> dict[str, ColumnElement[Any]]:
        """What can be asked about, by property path."""
        columns: dict[str, ColumnElement[Any]] = dict(shape.columns)
        if shape.table is PERSON.table:
            columns["userPrincipalName"] = shape.table.c.account_name
        return columns

    def writer(self, shape: Shape, select: str | None) -> rows.Write:
        """How a row is written for the caller under one `$select`. Raises Invalid for a name that does not exist.

        Graph's beta shows the extension attributes of plain objects to whoever selects nothing: scripts rely on it.
        """
        unasked = self.call.version == "beta" and shape.type_name in _PLAIN and not (select or "").strip()
        return rows.writer(
            shape,
            select=select,
            version=self.call.version,
            unveiled=self.call.shows_unknown_members,
            visible=self.basic(shape.type_name),
            on_request=self.attributes(shape) if unasked or select is not None else None,
            unasked=unasked,
        )


@contextmanager
def reading_view(call: Call) -> Iterator[View]:
    """The caller's view for reading. What a caller can make arbitrarily costly has its time."""
    directories, tenant = call.services.directories, call.principal.tenant_id
    costly = bool(call.query) or call.template.endswith("/$count")
    seconds = call.services.settings.query_seconds if costly else None
    with directories.read(tenant, seconds=seconds) as connection:
        yield View(call, connection)


async def whole_page(call: Call, shape: Shape) -> Reply:
    """The first page of all objects for an application that has no wish (`Call.is_plain`).

    Whoever copies a directory begins with it, so its statement is put together once and nothing is begun around it.
    """
    size, _ = query.page_size(call, {})
    principal = call.principal
    statement = query.first_page(shape.table, size + 1)
    found = await call.services.directories.ask(principal.tenant_id, statement, its_tenant=principal.tenant)
    write = rows.writer(shape, select=None, version=call.version, unveiled=False)
    return query.first_reply(call, _SETS[shape.type_name], found, size, write, shape.places["id"])


@contextmanager
def writing_view(call: Call) -> Iterator[View]:
    """The caller's view inside a write transaction."""
    with call.services.directories.write(call.principal.tenant_id) as connection:
        yield View(call, connection)
