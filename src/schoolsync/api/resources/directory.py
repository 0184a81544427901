"""Looking around in the directory: schools, classes and people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import select

from schoolsync.api import shapes
from schoolsync.api.call import Answer, Call, moment
from schoolsync.directory import browsing, changes, reading
from schoolsync.directory.browsing import Entry
from schoolsync.errors import Conflict, NotFound
from schoolsync.store.control_tables import profiles


def list_schools(call: Call) -> Answer:
    """GET directory/schools."""
    return _listed(call, "school")


def list_classes(call: Call) -> Answer:
    """GET directory/classes."""
    return _listed(call, "class")


def list_people(call: Call) -> Answer:
    """GET directory/people."""
    return _listed(call, "person")


def get_school(call: Call) -> Answer:
    """GET directory/schools/{school}."""
    return _one(call, "school", call.keys["school"])


def get_class(call: Call) -> Answer:
    """GET directory/classes/{class}."""
    return _one(call, "class", call.keys["class"])


def get_person(call: Call) -> Answer:
    """GET directory/people/{person}."""
    return _one(call, "person", call.keys["person"])


def restore_school(call: Call) -> Answer:
    """POST directory/schools/{school}/restore."""
    return _restored(call, "school", call.keys["school"])


def restore_class(call: Call) -> Answer:
    """POST directory/classes/{class}/restore."""
    return _restored(call, "class", call.keys["class"])


def restore_person(call: Call) -> Answer:
    """POST directory/people/{person}/restore."""
    return _restored(call, "person", call.keys["person"])


def _restored(call: Call, kind: str, wanted: str) -> Answer:
    table = browsing.TABLES[kind]
    with call.services.directories.write(call.principal.tenant_id) as connection:
        if kind == "person":
            row = reading.find_person(connection, call.tenant, wanted)
        else:
            row = reading.find(connection, table, call.tenant, wanted)
        if row is None:
            raise NotFound(f"There is no {kind} {wanted[:80]} in the directory.")
        if not changes.restore(connection, tenant=call.tenant, table=table, row=row, now=call.now):
            raise Conflict(f"The {kind} {wanted[:80]} does not lie in the bin: list the bin to see what does.")
    return _one(call, kind, wanted)


def _listed(call: Call, kind: str) -> Answer:
    with call.services.directories.read(call.principal.tenant_id, seconds=call.services.settings.query_seconds) as read:
        found = browsing.listed(
            read,
            call.tenant,
            kind,
            search=(call.query.get("search") or "").strip() or None,
            school=call.query.get("school"),
            group=call.query.get("class"),
            after=call.position(),
            limit=call.limit,
            binned=bool(call.query.get("bin")),
        )
    if found is None:
        raise NotFound("There is no such school or class.")
    owners = _owners(call, found.entries)
    return Answer(
        body=shapes.Entries(
            value=tuple(_shape(one, owners) for one in found.entries),
            looked_at=found.looked,
            next_link=None if found.last is None else call.next_link(found.last),
        )
    )


def _one(call: Call, kind: str, wanted: str) -> Answer:
    with call.services.directories.read(call.principal.tenant_id) as connection:
        found = browsing.one(connection, call.tenant, kind, wanted)
    if found is None:
        raise NotFound(f"There is no {kind} {wanted[:80]} in the directory.")
    owners = _owners(call, [found.entry, *found.schools, *found.classes])
    return Answer(
        body=shapes.DirectoryObject(
            object=_shape(found.entry, owners),
            schools=tuple(_shape(one, owners) for one in found.schools),
            classes=tuple(_shape(one, owners) for one in found.classes),
            counts=dict(found.counts),
        )
    )


def _owners(call: Call, entries: Iterable[Entry]) -> Mapping[int, str]:
    """The ids of the profiles that own objects."""
    numbers = {one.profile for one in entries if one.profile is not None}
    if not numbers:
        return {}
    query = select(profiles.c.number, profiles.c.id).where(
        profiles.c.tenant == call.tenant, profiles.c.number.in_(numbers)
    )
    with call.services.control.read() as connection:
        return {row.number: row.id for row in connection.execute(query)}


def _shape(one: Entry, owners: Mapping[int, str]) -> shapes.Entry:
    details: dict[str, Any] = dict(one.details)
    return shapes.Entry(
        kind=one.kind,
        id=one.id,
        source_id=one.source_id,
        name=one.name,
        active=one.active,
        binned=moment(one.binned),
        by_hand=one.profile is None,
        profile=None if one.profile is None else owners.get(one.profile),
        role=one.role,
        sign_in=one.sign_in,
        details=details,
    )
