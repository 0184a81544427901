"""Requests that were refused because their caller may not do that, in the audit log: so many a minute of one caller.

Whoever tries doors should be found in the log that is sealed, and cannot fill it: beyond the limit refusals are in the
server's log alone. A request without a good token is nobody's, so it belongs into no tenant's log.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

import structlog

from schoolsync.access.audit import Act, Audit
from schoolsync.access.principal import Principal
from schoolsync.access.throttle import Throttle
from schoolsync.errors import Throttled, WorldError

A_MINUTE = 10
"""Refusals of one caller that the audit log takes in a minute."""

log = structlog.get_logger()


class Refusals:
    """Writes refusals down. Safe to share between threads."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit
        self._bound = Throttle(A_MINUTE, 60)

    async def note(self, principal: Principal, act: Act, status: int) -> None:
        """Write one down, before its answer is sent; the answer is the same when that cannot be done."""
        log.info("refused", status=status, operation=act.operation, tenant=act.tenant_id, request=act.request)
        try:
            self._bound.check(principal)
            await asyncio.to_thread(self._audit.record, replace(act, outcome=f"refused {status}"))
        except Throttled:
            return
        except WorldError as problem:
            log.warning("a refusal is not in the audit log", request=act.request, problem=str(problem))
