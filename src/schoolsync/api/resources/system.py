"""The tenant's audit log, and how the installation is as far as it concerns the tenant."""

from __future__ import annotations

from collections import Counter

import msgspec
from sqlalchemy import func, select

from schoolsync import __version__, ticks
from schoolsync.access import audit
from schoolsync.api import audit_shapes, shapes
from schoolsync.api.call import Answer, Call
from schoolsync.errors import Conflict, Forbidden
from schoolsync.runs import looking
from schoolsync.runs.states import RunState
from schoolsync.store.control_tables import runs, workers

FILTERS = ("actor", "operation", "object")


def list_audit(call: Call) -> Answer:
    """GET audit."""
    wanted = {name: call.query[name] for name in FILTERS if call.query.get(name)}
    rows, further = call.services.audit.newest(
        call.tenant, call.principal.tenant_id, below=call.position(), most=call.limit, containing=wanted
    )
    entries = tuple(
        shapes.AuditEntry(
            number=row.number,
            at=ticks.text(row.at),
            actor=row.actor,
            client=row.client,
            operation=row.operation,
            object=row.object,
            members=row.members,
            outcome=row.outcome,
            request=row.request,
            hash=row.hash,
        )
        for row in rows
    )
    return Answer(
        body=shapes.AuditEntries(value=entries, next_link=None if further is None else call.next_link(further))
    )


def export_audit(call: Call) -> Answer:
    """GET audit/export."""
    log, tenant_id = call.services.audit, call.principal.tenant_id
    number, digest = log.head(call.tenant)
    rows = log.entries(call.tenant, tenant_id, after=call.position() or 0, most=call.limit)
    records = tuple(
        msgspec.convert({**audit.shown(row, tenant_id), "sealed": log.sealed(row)}, audit_shapes.AuditRecord)
        for row in rows
    )
    return Answer(
        body=audit_shapes.AuditRecords(
            value=records,
            head_number=number,
            head_hash=digest,
            next_link=call.next_link(rows[-1].number) if len(rows) == call.limit else None,
        )
    )


def get_system(call: Call) -> Answer:
    """GET system."""
    settings = call.services.settings
    with call.services.control.read() as connection:
        found = Counter(row.state for row in looking.opened(connection, call.tenant, runs.c.state))
        many = connection.execute(select(func.count()).select_from(workers)).scalar_one()
    resting = {RunState.QUEUED, RunState.HELD, RunState.PAUSED}
    return Answer(
        body=shapes.System(
            version=__version__,
            database="postgresql" if settings.database_url else "sqlite",
            storage=settings.storage_url.partition(":")[0] if settings.storage_url else "folder",
            workers=max(many, int(call.services.working())),
            queued=found[RunState.QUEUED],
            at_work=sum(n for state, n in found.items() if state not in resting),
            held=found[RunState.HELD],
            paused=found[RunState.PAUSED],
        )
    )


def list_diagnoses(call: Call) -> Answer:
    """GET system/doctor."""
    operator = call.services.settings.operator_tenant
    if operator is not None and operator.lower() != call.principal.tenant_id:
        raise Forbidden("Only the tenant that runs this installation sees this: sign in to that one.")
    if operator is None and len(call.services.control.first_tenants(2)) > 1:
        raise Conflict(
            "This installation has several tenants, and it is not said which of them runs it: set operator_tenant to "
            "its id and sign in to that one, or type `schoolsync doctor --data-dir DIR` on the server."
        )
    found = call.services.examine()
    return Answer(
        body=shapes.Diagnoses(
            value=tuple(shapes.Diagnosis(check=check, level=level, message=said) for check, level, said in found)
        )
    )
