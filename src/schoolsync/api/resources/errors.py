"""What of a profile's roster could not be synchronized: record by record, or counted by reason.

A run replaces the errors of the run before it; what Graph calls `errors` of a profile are the same rows.
"""

from __future__ import annotations

from sqlalchemy import and_, func, or_, select

from schoolsync.api.call import Answer, Call, moment
from schoolsync.api.error_shapes import SyncError, SyncErrorCause, SyncErrorCauses
from schoolsync.api.shapes import Page
from schoolsync.errors import Invalid
from schoolsync.store.control_tables import errors, runs

CAUSES_MAX = 100


def list_errors(call: Call) -> Answer:
    """GET profiles/{profile}/errors."""
    query = (
        select(errors, runs.c.number)
        .select_from(
            errors.outerjoin(
                runs,
                and_(runs.c.tenant == errors.c.tenant, runs.c.profile == errors.c.profile, runs.c.id == errors.c.run),
            )
        )
        .where(errors.c.tenant == call.tenant, errors.c.profile == call.profile)
        .order_by(errors.c.id)
        .limit(call.limit + 1)
    )
    for name, column in (("kind", errors.c.entry_type), ("code", errors.c.error_code)):
        if name in call.query:
            query = query.where(column == call.query[name])
    if "object" in call.query:
        about = call.query["object"]
        query = query.where(or_(errors.c.reportable_identifier == about, errors.c.joining_value == about))
    after = call.query.get("after")
    if after is not None:
        if len(after) != 36:
            raise Invalid("after must be what nextLink of the page before says.", target="after")
        query = query.where(errors.c.id > after)
    with call.services.control.read() as connection:
        call.services.profiles.find(connection, call.tenant, call.profile)
        rows = connection.execute(query).all()
    shown = rows[: call.limit]
    return Answer(
        body=Page(
            value=tuple(
                SyncError(
                    id=row.id,
                    entry_type=row.entry_type or "",
                    error_code=row.error_code or "",
                    error_message=row.error_message or "",
                    reportable_identifier=row.reportable_identifier,
                    joining_value=row.joining_value,
                    recorded=moment(row.recorded),
                    run=row.number,
                )
                for row in shown
            ),
            next_link=call.next_link(shown[-1].id) if len(rows) > len(shown) else None,
        )
    )


def list_causes(call: Call) -> Answer:
    """GET profiles/{profile}/errors/causes."""
    alike = (errors.c.entry_type, errors.c.error_code, errors.c.error_message)
    query = (
        select(*alike, func.count().label("many"))
        .where(errors.c.tenant == call.tenant, errors.c.profile == call.profile)
        .group_by(*alike)
        .order_by(func.count().desc(), *alike)
        .limit(CAUSES_MAX)
    )
    with call.services.control.read() as connection:
        call.services.profiles.find(connection, call.tenant, call.profile)
        rows = connection.execute(query).all()
    found = (
        SyncErrorCause(
            entry_type=row.entry_type or "",
            error_code=row.error_code or "",
            error_message=row.error_message or "",
            count=row.many,
        )
        for row in rows
    )
    return Answer(body=SyncErrorCauses(value=tuple(found)))
