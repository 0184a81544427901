"""…/delta: the whole set first, then what has changed since.

A token says where a reader is and what it asked for; it is opaque, self-sufficient, and good on every process and
after every restart. What it says is checked, and it can never show more than its bearer may see.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
from sqlalchemy import Row, select

from schoolsync.directory import following
from schoolsync.directory.following import Gone, Membership, Place
from schoolsync.directory.shapes import CLASS, PERSON, SCHOOL, Shape
from schoolsync.errors import Invalid
from schoolsync.graph import query, render
from schoolsync.graph.call import Call, Json, Reply
from schoolsync.graph.errors import SyncStateNotFound
from schoolsync.graph.resources.views import View, reading_view

MEMBERS_MAX = 5000  # memberships that one page tells
_REFUSED = ("orderby", "expand", "search", "skip")
_KEPT = ("select", "filter", "top")


class _Token(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    version: int
    tenant: str
    viewer: str  # the person whose eyes see, empty for an application
    kind: str  # which set
    options: dict[str, str]
    stage: Literal["all", "since"]
    position: int  # what came after it is still to be told
    place: list[int | str | None]


def schools(call: Call) -> Reply:
    """GET /education/schools/delta."""
    return _delta(call, SCHOOL)


def classes(call: Call) -> Reply:
    """GET /education/classes/delta: classes with their members and teachers."""
    return _delta(call, CLASS)


def users(call: Call) -> Reply:
    """GET /education/users/delta."""
    return _delta(call, PERSON)


def _delta(call: Call, shape: Shape) -> Reply:
    for name in _REFUSED:
        if name in call.query:
            raise Invalid(
                f"${name} is not supported by delta queries: leave it out, or ask the list itself.", target=f"${name}"
            )
    with reading_view(call) as view:
        return _Reader(view, shape).answer()


class _Reader:
    """One page for one reader."""

    def __init__(self, view: View, shape: Shape) -> None:
        self._view, self._shape = view, shape
        self._call = view.call
        self._viewer = "" if not view.delegated else view.caller.id if view.caller is not None else "nobody"
        self._now, self._forgotten = following.position(view.connection, view.tenant)

    def answer(self) -> Reply:
        given = self._call.query
        text = given.get("skiptoken") or given.get("deltatoken")
        if text is None:
            token = self._token({name: given[name] for name in _KEPT if name in given}, "all", self._now, [])
        elif text.strip().lower() == "latest" and "skiptoken" not in given:
            options = {name: given[name] for name in _KEPT if name in given}
            return self._reply(options, [], link=("delta", self._token(options, "since", self._now, [])), applied=None)
        else:
            token = self._read(text)
        size, applied = query.page_size(self._call, token.options)
        size = max(size, 1)  # a page of nothing would lead nowhere
        read = self._all if token.stage == "all" else self._since
        items, link = read(token, size)
        return self._reply(token.options, items, link=link, applied=applied)

    # --- the whole set ---------------------------------------------------------------------------------------------

    def _all(self, token: _Token, size: int) -> tuple[list[Json], tuple[str, _Token]]:
        table = self._shape.table
        behind, person = _listed(token)
        statement = select(table).where(self._view.seen(table), self._filter(token)).order_by(table.c.id)
        if behind:  # a class whose members did not all fit comes again
            statement = statement.where(table.c.id >= behind if person else table.c.id > behind)
        rows = self._view.connection.execute(statement.limit(size + 1)).all()
        whole = len(rows) <= size
        rows = rows[:size]
        items, told, rest = self._written(token, rows, person, since=None)
        if rest is not None:
            return items, ("next", self._token(token.options, "all", token.position, [rows[told - 1].id, rest]))
        if whole and told == len(rows):
            return items, ("delta", self._token(token.options, "since", token.position, []))
        return items, ("next", self._token(token.options, "all", token.position, [rows[told - 1].id, 0]))

    # --- what has changed ------------------------------------------------------------------------------------------

    def _since(self, token: _Token, size: int) -> tuple[list[Json], tuple[str, _Token]]:
        view, table = self._view, self._shape.table
        self._check_sight(token)
        place, person = _changed(token)
        seen = view.seen(table) & self._filter(token)
        start = place
        if person and place.key is not None:  # a class whose members did not all fit comes again
            start = Place(place.position, place.key - 1)
        found = following.changes(view.connection, view.tenant, table, start, seen=seen, limit=size + 1)
        if person and not (found and not isinstance(found[0], Gone) and found[0].key == place.key):
            person = 0  # it has changed again and comes later, whole
        whole = len(found) <= size
        found = found[:size]
        rows = [one for one in found if not isinstance(one, Gone)]
        items, told, rest = self._written(token, rows, person, since=token.position)
        # Removals stand between the objects, in the order in which all of it happened.
        written = iter(items)
        result: list[Json] = []
        last: Row[Any] | Gone | None = None
        count = 0
        for one in found:
            if isinstance(one, Gone):
                result += self._removed(one, token)
            elif count == told:
                break
            else:
                result.append(next(written))
                count += 1
            last = one
        if rest is not None:
            assert last is not None
            assert not isinstance(last, Gone)
            return result, (
                "next",
                self._token(token.options, "since", token.position, [last.position, last.key, "", rest]),
            )
        if whole and count == len(rows):
            return result, ("delta", self._token(token.options, "since", self._now, []))
        assert last is not None
        behind = [last.position, None, last.id, 0] if isinstance(last, Gone) else [last.position, last.key, "", 0]
        return result, ("next", self._token(token.options, "since", token.position, behind))

    def _removed(self, gone: Gone, token: _Token) -> list[Json]:
        hidden = self._shape is CLASS and not self._call.services.settings.delta_deleted_classes
        if hidden or (self._view.delegated and self._shape is not SCHOOL) or "filter" in token.options:
            return []
        return [{"id": gone.id, "@removed": {"reason": "changed" if gone.restorable else "deleted"}}]

    def _check_sight(self, token: _Token) -> None:
        """A person who sees other classes or other people than before cannot be told so change by change."""
        view = self._view
        if not view.delegated or self._shape is SCHOOL:
            return
        caller = view.caller
        if caller is None or following.sight_changed(
            view.connection, view.tenant, caller.key, caller.id, token.position
        ):
            raise self._lost(token.options)

    # --- what is written -------------------------------------------------------------------------------------------

    def _written(
        self, token: _Token, rows: Sequence[Row[Any]], person: int, *, since: int | None
    ) -> tuple[list[Json], int, int | None]:
        """The rows as they are answered, how many of them, and the person behind whom the last one's members go on."""
        write = self._view.writer(self._shape, token.options.get("select"))
        parts = self._parts(token)
        if not parts or not rows:
            return [write(row) for row in rows], len(rows), None
        view = self._view
        counts = following.counted(view.connection, view.tenant, [row.key for row in rows], since=since)
        told, total = 0, 0
        while told < len(rows) and (told == 0 or total + counts.get(rows[told].key, 0) <= MEMBERS_MAX):
            total += counts.get(rows[told].key, 0)
            told += 1
        rows = rows[:told]
        keys = [int(row.key) for row in rows]
        links = following.memberships(
            view.connection,
            view.tenant,
            keys[:1] if person else keys,
            since=since,
            behind=person,
            limit=MEMBERS_MAX + 1,
            seen=view.seen(PERSON.table) if view.delegated else None,
        )
        rest: int | None = None
        if person or len(links) > MEMBERS_MAX:  # a single class fills the page
            rows, told = rows[:1], 1
            links = [one for one in links if one.group == keys[0]]
            if len(links) > MEMBERS_MAX:
                links = links[:MEMBERS_MAX]
                rest = links[-1].key
        if since is not None and not person:
            links += following.left(view.connection, view.tenant, [int(row.key) for row in rows], since=since)
        of: dict[int, list[Membership]] = {}
        for link in links:
            of.setdefault(link.group, []).append(link)
        items = [{**write(row), **_members(of.get(int(row.key), []), parts)} for row in rows]
        return items, told, rest

    def _parts(self, token: _Token) -> tuple[str, ...]:
        """Which memberships are told of a class."""
        if self._shape is not CLASS:
            return ()
        select_text = token.options.get("select")
        if select_text is None:
            return ("members", "teachers")
        named = {name.strip().lower() for name in select_text.split(",")}
        return tuple(part for part in ("members", "teachers") if part in named or "*" in named)

    def _filter(self, token: _Token) -> Any:  # a condition
        """Only ids can be filtered by: they never change, so nothing ever leaves the filter."""
        text = token.options.get("filter")
        table = self._shape.table
        if text is None:
            return table.c.tenant == self._view.tenant
        from schoolsync.graph import filters  # its grammar is loaded when somebody filters

        return filters.where(text, self._shape.type_name, {"id": table.c.id})

    def _reply(
        self, options: Mapping[str, str], items: list[Json], *, link: tuple[str, _Token], applied: str | None
    ) -> Reply:
        kind, token = link
        name = "skiptoken" if kind == "next" else "deltatoken"
        body: Json = {
            "@odata.context": f"{self._call.root}/$metadata#Collection({self._shape.type_name})",
            f"@odata.{kind}Link": f"{self._address()}?${name}={_encoded(token)}",
            "value": items,
        }
        return Reply(body=body, headers={"Preference-Applied": applied} if applied else {})

    def _address(self) -> str:
        return f"{self._call.root}/education/{self._shape.table.name if self._shape is not PERSON else 'users'}/delta"

    # --- tokens ----------------------------------------------------------------------------------------------------

    def _token(
        self, options: dict[str, str], stage: Literal["all", "since"], position: int, place: list[int | str | None]
    ) -> _Token:
        return _Token(
            1, self._call.principal.tenant_id, self._viewer, self._shape.type_name, options, stage, position, place
        )

    def _read(self, text: str) -> _Token:
        try:
            padded = text + "=" * (-len(text) % 4)
            token = msgspec.msgpack.decode(base64.b64decode(padded, altchars=b"-_", validate=True), type=_Token)
        except (binascii.Error, ValueError, msgspec.MsgspecError, RecursionError) as problem:
            raise _bad_token() from problem
        if token.version != 1 or not set(token.options) <= set(_KEPT):
            raise _bad_token()
        mine = (self._call.principal.tenant_id, self._viewer, self._shape.type_name)
        known = self._forgotten <= token.position <= self._now
        if (token.tenant, token.viewer, token.kind) != mine or not known:
            raise self._lost(token.options)
        return token

    def _lost(self, options: Mapping[str, str]) -> SyncStateNotFound:
        again = "&".join(f"${name}={render.quoted(value)}" for name, value in options.items())
        return SyncStateNotFound(f"{self._address()}{'?' if again else ''}{again}")


def _members(links: Sequence[Membership], parts: Sequence[str]) -> Json:
    """`members@delta` and `teachers@delta` of a class."""
    result: Json = {}
    for part in parts:
        told: list[Json] = []
        for link in links:
            if link.member if part == "members" else link.teacher:
                gone = {"@removed": {"reason": "deleted"}} if link.lost else {}
                told.append({"@odata.type": "#microsoft.graph.educationUser", "id": link.id, **gone})
        if told:
            result[f"{part}@delta"] = told
    return result


def _listed(token: _Token) -> tuple[str, int]:
    match token.place:
        case []:
            return "", 0
        case [str(behind), int(person)] if behind:
            return behind, person
    raise _bad_token()


def _changed(token: _Token) -> tuple[Place, int]:
    match token.place:
        case []:
            return Place(token.position, None), 0
        case [int(position), int(key), "", int(person)] if _fits(position, key, person):
            return Place(position, key), person
        case [int(position), None, str(object_id), 0] if _fits(position):
            return Place(position, None, object_id), 0
    raise _bad_token()


def _fits(*numbers: int) -> bool:
    return all(0 <= number < 2**62 for number in numbers)


def _encoded(token: _Token) -> str:
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(token)).rstrip(b"=").decode()


def _bad_token() -> Invalid:
    return Invalid("The token is not one of this server: begin with a delta query without one.", target="$deltatoken")
