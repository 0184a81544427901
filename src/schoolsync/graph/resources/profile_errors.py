"""The errors of a profile: what could not be synchronized, as our runs found it or as callers report it.

A run replaces the errors of the run before it, a reset forgets them all; both are the work of `runs`.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from sqlalchemy import Row, select

from schoolsync.graph import bodies, etags, expand, query, render
from schoolsync.graph.call import Call, Json, Reply
from schoolsync.graph.resources.profiles import SET, condition, unmodified
from schoolsync.profiles.service import same_id
from schoolsync.store.control_tables import errors

TYPE = "educationSynchronizationError"
COLUMNS = {
    "entryType": "entry_type",
    "errorCode": "error_code",
    "errorMessage": "error_message",
    "joiningValue": "joining_value",
    "recordedDateTime": "recorded",
    "reportableIdentifier": "reportable_identifier",
}


def list_errors(call: Call) -> Reply:
    """GET errors."""
    with call.services.control.read() as connection:
        call.services.profiles.find(connection, call.principal.tenant, call.keys["profile"])
        return query.page(call, connection, _listing(call))


def count_errors(call: Call) -> Reply:
    """GET errors/$count."""
    with call.services.control.read() as connection:
        call.services.profiles.find(connection, call.principal.tenant, call.keys["profile"])
        return query.count(call, connection, _listing(call))


def get_error(call: Call) -> Reply:
    """GET errors/{error}."""
    with call.services.control.read() as connection:
        row = call.services.profiles.find_error(
            connection, call.principal.tenant, call.keys["profile"], call.keys["error"]
        )
    if etags.not_modified(call, etags.weak(row.version)):
        return unmodified(row.version)
    return _reply(call, row)


def create_error(call: Call) -> Reply:
    """POST errors."""
    given = bodies.read(TYPE, call.body, partial=False)
    row = call.services.profiles.add_error(call.principal, call.keys["profile"], _columns(given), now=call.now)
    return _reply(call, row, status=201)


def patch_error(call: Call) -> Reply:
    """PATCH errors/{error}."""
    given = bodies.read(TYPE, call.body, partial=True)
    same_id(given, call.keys["error"])
    row = call.services.profiles.change_error(
        call.principal, call.keys["profile"], call.keys["error"], _columns(given), condition=condition(call)
    )
    return _reply(call, row)


def delete_error(call: Call) -> Reply:
    """DELETE errors/{error}."""
    call.services.profiles.delete_error(
        call.principal, call.keys["profile"], call.keys["error"], condition=condition(call)
    )
    return Reply(status=204)


def expanded(call: Call, profile: str, select_text: str | None) -> list[Json]:
    """The first errors of a profile as part of it."""
    write = render.shape(TYPE, select=select_text, version=call.version, unveiled=call.shows_unknown_members)
    mine = (errors.c.tenant == call.principal.tenant) & (errors.c.profile == profile)
    with call.services.control.read() as connection:
        rows = connection.execute(select(errors).where(mine).order_by(errors.c.id).limit(expand.ITEMS_MAX)).all()
    return [write(_values(row)) for row in rows]


def _listing(call: Call) -> query.Listing:
    profile = call.keys["profile"]
    return query.Listing(
        type_name=TYPE,
        source=errors,
        where=(errors.c.tenant == call.principal.tenant) & (errors.c.profile == profile),
        columns={"id": errors.c.id, **{name: errors.c[column] for name, column in COLUMNS.items()}},
        key=(errors.c.id,),
        writer=partial(render.rows, TYPE, _values, call),
        context=f"{SET}('{profile}')/errors",
        always_count=True,
    )


def _columns(given: Json) -> dict[str, Any]:  # column values are of any type
    return {column: given[name] for name, column in COLUMNS.items() if name in given}


def _values(row: Row[Any]) -> Json:
    return {"id": row.id, **{name: getattr(row, column) for name, column in COLUMNS.items()}}


def _reply(call: Call, row: Row[Any], *, status: int = 200) -> Reply:
    tag = etags.weak(row.version)
    context = f"{SET}('{call.keys['profile']}')/errors/$entity"
    body = render.entity(TYPE, {"@odata.etag": tag, **_values(row)}, call=call, context=context)
    return Reply(status=status, body=body, headers={"ETag": tag})
