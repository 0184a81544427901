"""Synchronization profiles: list, count, read, create, replace, change, delete.

What a profile may hold is decided by `profiles.configuration`, what its state allows by `profiles.service`. Secrets
are read from bodies and never written to answers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Row

from schoolsync.errors import Invalid
from schoolsync.graph import bodies, etags, expand, query, render
from schoolsync.graph.call import Call, Json, Reply
from schoolsync.profiles import configuration
from schoolsync.store.control_tables import profiles

TYPE = "educationSynchronizationProfile"
SET = "education/synchronizationProfiles"


def list_profiles(call: Call) -> Reply:
    """GET synchronizationProfiles."""
    with call.services.control.read() as connection:
        return query.page(call, connection, _listing(call))


def count_profiles(call: Call) -> Reply:
    """GET synchronizationProfiles/$count."""
    with call.services.control.read() as connection:
        return query.count(call, connection, _listing(call))


def get_profile(call: Call) -> Reply:
    """GET synchronizationProfiles/{id}."""
    with call.services.control.read() as connection:
        row = call.services.profiles.find(connection, call.principal.tenant, call.keys["profile"])
    if "expand" not in call.query and etags.not_modified(call, etags.weak(row.version)):
        return unmodified(row.version)
    return _reply(call, row, status=200)


def create_profile(call: Call) -> Reply:
    """POST synchronizationProfiles."""
    given = bodies.read(TYPE, call.body, partial=False)
    return _reply(call, call.services.profiles.create(call.principal, given, now=call.now), status=202)


def put_profile_in_collection(call: Call) -> Reply:
    """PUT synchronizationProfiles: the body names the profile."""
    given = bodies.read(TYPE, call.body, partial=False)
    if "id" not in given:
        raise Invalid("A PUT to the collection needs the id of the profile in its body.", target="id")
    return _replaced(call, given["id"].lower(), given)


def put_profile(call: Call) -> Reply:
    """PUT synchronizationProfiles/{id}."""
    return _replaced(call, call.keys["profile"], bodies.read(TYPE, call.body, partial=False))


def _replaced(call: Call, profile: str, given: Json) -> Reply:
    row = call.services.profiles.replace(call.principal, profile, given, condition=condition(call), now=call.now)
    return _reply(call, row, status=202)


def patch_profile(call: Call) -> Reply:
    """PATCH synchronizationProfiles/{id}."""
    given = bodies.read(TYPE, call.body, partial=True)
    row = call.services.profiles.change(
        call.principal, call.keys["profile"], given, condition=condition(call), now=call.now
    )
    return _reply(call, row, status=200)


def delete_profile(call: Call) -> Reply:
    """DELETE synchronizationProfiles/{id}."""
    call.services.profiles.delete(call.principal, call.keys["profile"], condition=condition(call), now=call.now)
    return Reply(status=202)


def _listing(call: Call) -> query.Listing:
    return query.Listing(
        type_name=TYPE,
        source=profiles,
        where=profiles.c.tenant == call.principal.tenant,
        columns={
            "id": profiles.c.id,
            "displayName": profiles.c.display_name,
            "state": profiles.c.state,
            "expirationDate": profiles.c.expiration_date,
            "handleSpecialCharacterConstraint": profiles.c.special_characters,
        },
        key=(profiles.c.created, profiles.c.id),
        writer=partial(render.rows, TYPE, _values, call),
        context=SET,
        expand=lambda text: _adding(call, text),
    )


def _adding(call: Call, text: str) -> Callable[[Sequence[Row[Any]]], list[Json]]:
    """What `$expand` adds to profiles: their status, and the first of their errors."""
    from schoolsync.graph.resources import profile_errors, profile_status

    readers = {"errors": profile_errors.expanded, "profileStatus": profile_status.expanded}
    wanted = expand.parse(text, TYPE, list(readers))

    def added(rows: Sequence[Row[Any]]) -> list[Json]:
        return [{one.name: readers[one.name](call, row.id, one.select) for one in wanted} for row in rows]

    return added


def _values(row: Row[Any]) -> Json:
    return {"@odata.etag": etags.weak(row.version), **configuration.shown(row)}


def _reply(call: Call, row: Row[Any], *, status: int) -> Reply:
    body = render.entity(TYPE, _values(row), call=call, context=f"{SET}/$entity")
    if "expand" in call.query:
        body.update(*_adding(call, call.query["expand"])([row]))
    return Reply(status=status, body=body, headers={"ETag": etags.weak(row.version)})


# --- what the resources of a profile share ------------------------------------------------------------------------


def condition(call: Call) -> Callable[[int], None]:
    """`If-Match` as a condition on the version that is there, checked where nobody can change it meanwhile."""
    return lambda version: etags.check(call, etags.weak(version))


def unmodified(version: int) -> Reply:
    """The answer to a caller who has this version already."""
    return Reply(status=304, headers={"ETag": etags.weak(version)})
