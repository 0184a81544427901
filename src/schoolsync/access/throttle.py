"""Throttling: so many requests in so many seconds for each application in each tenant, then 429 until the time is over.

Off unless the setting `throttle_requests` says otherwise. Judged before anything of the request was done, because
clients repeat a 429 by themselves, POST included. A caller's allowance fills up evenly (no burst at the turn of a
window), is kept in this process alone, and is forgotten when it is full again. Where several API processes share a
PostgreSQL, `shared_throttle` counts instead.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from schoolsync.access.principal import Principal
from schoolsync.errors import Throttled

KEPT = 10_000
"""Callers that are remembered."""


@dataclass(slots=True)
class _Allowance:
    left: float
    at: float


class Throttle:
    """The allowances of all callers. Safe to share between threads."""

    def __init__(self, requests: int, seconds: int, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._requests = requests
        self._rate = requests / seconds
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._allowances: dict[tuple[int, str], _Allowance] = {}

    async def admit(self, principal: Principal) -> None:
        """`check`, for callers that would wait for a throttle that several processes share."""
        self.check(principal)

    def check(self, principal: Principal) -> None:
        """Count one request. Raises Throttled, which says how long to wait, when there were too many."""
        if not self._requests:
            return
        who = principal.tenant, principal.client or principal.user_id or ""
        now = self._monotonic()
        with self._lock:
            allowance = self._allowances.get(who)
            if allowance is None:
                self._forget(now)
                allowance = self._allowances[who] = _Allowance(float(self._requests), now)
            allowance.left = min(self._requests, allowance.left + (now - allowance.at) * self._rate)
            allowance.at = now
            if allowance.left < 1:
                raise Throttled(max(1, math.ceil((1 - allowance.left) / self._rate)))
            allowance.left -= 1

    def _forget(self, now: float) -> None:
        """Make room: full allowances are as good as none; after that the ones used longest ago go."""
        if len(self._allowances) < KEPT:
            return
        full = [
            who for who, kept in self._allowances.items() if kept.left + (now - kept.at) * self._rate >= self._requests
        ]
        for who in full or sorted(self._allowances, key=lambda who: self._allowances[who].at)[: KEPT // 8]:
            del self._allowances[who]
