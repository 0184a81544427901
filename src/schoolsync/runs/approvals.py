"""Approvals of held plans: rows that say who let which part of which plan go on, when and why, and until when.

A part can be discarded as well: such a row says no, as long as there is that plan. What was last said of a part counts.
A row is bound to one run and the hash of its plan. A plan made anew has another hash, and nobody has approved that one.
Only functions over the control database in the caller's transaction; who may call them is decided by `runs.plans` and
`runs.service`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, insert, select

from schoolsync import ticks
from schoolsync.access.principal import Principal
from schoolsync.runs.selections import WHOLE, Release, Selection, Yes
from schoolsync.store.control_tables import approvals

HOUR = 3600 * ticks.PER_SECOND
OBJECTS_MAX = 1000
"""One approval names at most so many objects."""
DISCARD = "discard"
"""`via` of a no."""
LIMITS = "limits"
"""`via` of other limits for one plan: whoever sets them lets go what only the profile's own hold."""


class Approval(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One approval, or a no to a part, as people see it."""

    id: str
    run: str
    plan: str
    what: Selection
    person: str
    via: str
    why: str | None
    given: int
    expires: int

    @property
    def refuses(self) -> bool:
        """Whether it is a no."""
        return self.via == DISCARD

    @property
    def runs_out(self) -> bool:
        """Whether it is a yes, which holds for a time only."""
        return self.via not in (DISCARD, LIMITS)


def give(
    connection: Connection,
    *,
    tenant: int,
    profile: str,
    run: str,
    plan: str,
    what: Selection,
    by: Principal,
    via: str,
    why: str | None,
    hours: int,
    now: int,
    new_id: str,
) -> Approval:
    """Keep an approval; with no `hours` it is a no (`via` DISCARD), or says who has set other limits (LIMITS)."""
    made = Approval(
        id=new_id,
        run=run,
        plan=plan,
        what=what,
        person=by.audit_name,
        via=via,
        why=why,
        given=now,
        expires=now
        + hours * HOUR,  # what is no yes has ended as one: the release before this one must not take it for one
    )
    connection.execute(
        insert(approvals).values(
            tenant=tenant,
            profile=profile,
            id=new_id,
            run=run,
            plan=plan,
            kind=what.kind,
            school=what.school,
            objects=json.dumps(what.objects),
            person=made.person,
            via=via,
            why=why,
            given=now,
            expires=made.expires,
        )
    )
    return made


def of(connection: Connection, tenant: int, profile: str, run: str) -> list[Approval]:
    """The approvals of a run's plans, the oldest first; expired ones and those of earlier plans included."""
    rows = connection.execute(
        select(approvals)
        .where(approvals.c.tenant == tenant, approvals.c.profile == profile, approvals.c.run == run)
        .order_by(approvals.c.given, approvals.c.id)
    ).all()
    return [_shown(row) for row in rows]


def _shown(row: Any) -> Approval:  # a row of the table
    return Approval(
        id=row.id,
        run=row.run,
        plan=row.plan,
        what=Selection(kind=row.kind, school=row.school, objects=tuple(json.loads(row.objects))),
        person=row.person,
        via=row.via,
        why=row.why,
        given=row.given,
        expires=row.expires,
    )


def release(given: Sequence[Approval], *, plan: str, persons: int, now: int) -> Release | None:
    """What approvals that still hold let go on of `plan`, or None; each part needs the yes of so many persons.

    The whole plan counts for every part of it. What somebody has discarded is let go by nobody's yes to more than that.
    """
    standing = [one for one in given if _stands(one, plan, now)]
    last = {one.what: one for one in given if one.plan == plan and one.via != LIMITS}
    without = tuple(what for what, one in last.items() if one.refuses)
    parts: dict[Selection, list[Approval]] = {}
    for what in dict.fromkeys(one.what for one in standing):
        parts[what] = [one for one in standing if one.what in (what, WHOLE)]
    enough = {
        what: found
        for what, found in parts.items()
        if what not in without and len({one.person for one in found}) >= persons
    }
    if WHOLE in enough:
        enough = {WHOLE: enough[WHOLE]}
    if not enough:
        return None
    used = {one.id: one for found in enough.values() for one in found}
    return Release(
        plan=plan,
        selections=tuple(enough),
        without=without,
        given=tuple(Yes(id=one.id, what=one.what, person=one.person, given=one.given) for one in used.values()),
        expires=min(one.expires for one in used.values()),
    )


def persons(given: Sequence[Approval], *, plan: str, what: Selection, now: int) -> int:
    """How many persons have approved a part of `plan`, or the whole of it."""
    return len({one.person for one in given if _stands(one, plan, now) and one.what in (what, WHOLE)})


def _stands(one: Approval, plan: str, now: int) -> bool:
    return one.plan == plan and one.expires > now and one.runs_out
