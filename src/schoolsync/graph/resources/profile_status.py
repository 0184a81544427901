"""The status of a profile: read, write, clear. Each behaviour of the write is told in docs/profile-status.md.

What a written status means is decided by `profiles.status`; here bodies become columns and columns bodies.
"""

from __future__ import annotations

from typing import Any

from schoolsync.errors import Invalid
from schoolsync.graph import bodies, etags, render
from schoolsync.graph.call import Call, Json, Reply
from schoolsync.graph.resources.profiles import SET, condition, unmodified
from schoolsync.profiles.service import same_id
from schoolsync.profiles.status import ProfileStatus

TYPE = "educationSynchronizationProfileStatus"
COLUMNS = {
    "status": "status",
    "lastSynchronizationDateTime": "last_synchronization",
    "lastActivityDateTime": "last_activity",
    "errorCount": "error_count",
    "statusMessage": "status_message",
}


async def get_status(call: Call) -> Reply:
    """GET profileStatus."""
    status = await call.services.profiles.status_now(call.principal.tenant, call.keys["profile"])
    if etags.not_modified(call, etags.weak(status.version)):
        return unmodified(status.version)
    return _reply(call, status)


def expanded(call: Call, profile: str, select: str | None) -> Json:
    """The status as part of its profile."""
    status = call.services.profiles.status(call.principal.tenant, profile)
    write = render.shape(TYPE, select=select, version=call.version, unveiled=call.shows_unknown_members)
    return write({"id": profile, **{name: getattr(status, column) for name, column in COLUMNS.items()}})


async def patch_status(call: Call) -> Reply:
    """PATCH profileStatus."""
    given = bodies.read(TYPE, call.body, partial=True)
    same_id(given, call.keys["profile"])
    status = await call.services.profiles.report_status(
        call.principal, call.keys["profile"], _columns(given), condition=condition(call), now=call.now
    )
    return _reply(call, status)


def delete_status(call: Call) -> Reply:
    """DELETE profileStatus."""
    call.services.profiles.clear_status(call.principal, call.keys["profile"], condition=condition(call))
    return Reply(status=204)


def _columns(given: Json) -> dict[str, Any]:  # column values are of any type
    count = given.get("errorCount")
    if count is not None and count < 0:
        raise Invalid("errorCount must be zero or more.", target="errorCount")
    return {column: given[name] for name, column in COLUMNS.items() if name in given}


def _reply(call: Call, status: ProfileStatus) -> Reply:
    profile, tag = call.keys["profile"], etags.weak(status.version)
    values = {
        "@odata.type": f"#microsoft.graph.{TYPE}",
        "@odata.etag": tag,
        "id": profile,
        **{name: getattr(status, column) for name, column in COLUMNS.items()},
    }
    context = f"{SET}('{profile}')/profileStatus/$entity"
    return Reply(body=render.entity(TYPE, values, call=call, context=context), headers={"ETag": tag})
