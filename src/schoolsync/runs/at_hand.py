"""Whether there is anything for a worker to do: one look-up, asked after every commit that the worker hears of.

Most commits are reports of callers and concern no worker; what a look does takes several queries. Days that come, such
as a profile's last, are not seen here: for those a worker looks from time to time.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, ColumnElement, bindparam, func, literal_column, or_, select

from schoolsync.profiles.states import State
from schoolsync.runs.states import ACTIVE, RunState
from schoolsync.store.control import Control
from schoolsync.store.control_tables import profiles, runs, uploads
from schoolsync.store.database import LookUp


def _is(column: ColumnElement[str], states: list[str]) -> ColumnElement[bool]:
    """In words that the statement has in itself: it is put together once."""
    return or_(*(column == literal_column(f"'{state}'") for state in states))


_NOW = bindparam("now", type_=BigInteger())
_FILES = select(uploads.c.id).where(
    uploads.c.tenant == profiles.c.tenant, uploads.c.profile == profiles.c.id, _is(uploads.c.state, ["open"])
)
_WORK = (
    select(runs.c.id).where(_is(runs.c.state, [RunState.QUEUED])),
    select(profiles.c.id).where(_is(profiles.c.state, [State.PROVISIONING, State.DELETING])),
    select(profiles.c.id).where(profiles.c.due <= _NOW),
    select(profiles.c.id).where(profiles.c.scheduled <= _NOW),
    select(profiles.c.id).where(profiles.c.on_upload.is_not(None), _FILES.exists()),
)
_AT_WORK = select(func.count()).select_from(runs).where(_is(runs.c.state, sorted(ACTIVE - {RunState.QUEUED})))
_LOOK_UP = LookUp(
    select(
        or_(*(each.exists() for each in _WORK)).label("waits"),
        _AT_WORK.scalar_subquery().label("at_work"),
    )
)


def is_something(control: Control, now: int, at_work: int) -> bool:
    """Whether a run waits, a profile has something that is due, or nobody is seen to work at some run.

    `at_work` says how many attempts are being made: of a run that somebody works at every step is a commit.
    """
    found = control.look_up(_LOOK_UP, now=now)
    return found is not None and (bool(found["waits"]) or found["at_work"] > at_work)
