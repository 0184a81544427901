"""Throttling over several API processes: on a PostgreSQL an allowance is a row that all of them take from.

A process takes a thirty-second part of the allowance at a time, so that most requests ask no database; what it has not
spent soon is worth nothing any more. Time is the database's. Who is counted stands there as a digest, and not after
the allowance is full again.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from sqlalchemy import Connection, delete, func, select, text, tuple_, update

from schoolsync.access.principal import Principal
from schoolsync.access.throttle import KEPT, Throttle
from schoolsync.errors import Throttled
from schoolsync.settings import Settings
from schoolsync.store.control import WHAT, Control
from schoolsync.store.control_tables import allowances
from schoolsync.store.database import world

PARTS = 32
"""How often a process that asks alone goes to the database for a whole allowance."""
_MICRO = 1_000_000


class Limit(Protocol):
    """What counts requests."""

    async def admit(self, principal: Principal) -> None:
        """Count one request. Raises Throttled, which says how long to wait, when there were too many."""


@dataclass(slots=True)
class _Held:
    """What this process has taken for one caller."""

    left: int = 0
    until: float = 0.0  # when that is worth nothing any more
    refused: float = 0.0  # until then there is nothing to take
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def spend(self, now: float) -> bool:
        """Whether there was one left; raises Throttled when it is known that there is none anywhere."""
        if self.left and now < self.until:
            self.left -= 1
            return True
        if now < self.refused:
            raise Throttled(max(1, math.ceil(self.refused - now)))
        return False


class SharedThrottle:
    """The allowances of all callers, in the control database. For one event loop."""

    def __init__(
        self, control: Control, requests: int, seconds: int, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._control = control
        self._requests = requests
        self._seconds = seconds
        self._part = max(1, requests // PARTS)
        self._monotonic = monotonic
        self._held: dict[tuple[int, str], _Held] = {}

    async def admit(self, principal: Principal) -> None:
        """Count one request. Raises Throttled, which says how long to wait, when there were too many anywhere."""
        who = principal.tenant, principal.client or principal.user_id or ""
        held = self._held.get(who)
        if held is None:
            self._forget()
            held = self._held[who] = _Held()
        if held.spend(self._monotonic()):
            return
        async with held.lock:  # of many requests at once one asks the database
            if held.spend(self._monotonic()):
                return
            taken, wait = await asyncio.to_thread(self._take, *who)
            now = self._monotonic()
            if not taken:
                held.refused = now + wait
                raise Throttled(max(1, math.ceil(wait)))
            held.left, held.until = taken - 1, now + max(1.0, self._seconds / PARTS)

    def _take(self, tenant: int, client: str) -> tuple[int, float]:
        """How many requests this process may let through, or, when there are none, the seconds until there is one."""
        from sqlalchemy.dialects.postgresql import insert  # a server on SQLite does without

        digest = hashlib.sha256(client.encode()).hexdigest()[:32]
        mine = (allowances.c.tenant == tenant) & (allowances.c.who == digest)
        most, rate = self._requests * _MICRO, self._requests / self._seconds  # millionths, also those of a second
        with world(WHAT), self._control.engine.begin() as connection:
            connection.execute(text("SET LOCAL synchronous_commit = off"))  # a crash may forgive a request or two
            new = insert(allowances).values(tenant=tenant, who=digest, unspent=most, at=0)
            # Of a row that is there nothing changes, but it is locked, and nobody clears it away meanwhile.
            locked = new.on_conflict_do_update(index_elements=["tenant", "who"], set_={"at": allowances.c.at})
            row = connection.execute(locked.returning(allowances.c.unspent, allowances.c.at)).one()
            if not row.at:
                self._clear(connection)
            now = max(_now(connection), row.at)
            unspent = min(most, row.unspent + int((now - row.at) * rate)) if row.at else most
            taken = min(self._part, unspent // _MICRO)
            if taken:
                unspent -= taken * _MICRO
                connection.execute(update(allowances).where(mine).values(unspent=unspent, at=now))
        return taken, (_MICRO - unspent) / rate / _MICRO

    def _clear(self, connection: Connection) -> None:
        """Forget who has not asked for so long that their allowance is full."""
        full = _now(connection) - self._seconds * _MICRO
        old = select(allowances.c.tenant, allowances.c.who).where(allowances.c.at > 0, allowances.c.at < full)
        free = old.with_for_update(skip_locked=True)  # whoever is being counted at this moment holds nobody up
        connection.execute(delete(allowances).where(tuple_(allowances.c.tenant, allowances.c.who).in_(free)))

    def _forget(self) -> None:
        if len(self._held) < KEPT:
            return
        now = self._monotonic()
        idle = [who for who, held in self._held.items() if held.until < now and held.refused < now]
        for who in idle or [*self._held][: KEPT // 8]:
            if not self._held[who].lock.locked():
                del self._held[who]


def limit(settings: Settings, control: Control) -> Limit:
    """What counts the requests of an installation: one file has one API process, a PostgreSQL may have many."""
    if settings.throttle_requests and settings.database_url is not None:
        return SharedThrottle(control, settings.throttle_requests, settings.throttle_seconds)
    return Throttle(settings.throttle_requests, settings.throttle_seconds)


def _now(connection: Connection) -> int:
    return int(connection.execute(select(func.extract("epoch", func.clock_timestamp()) * _MICRO)).scalar_one())
