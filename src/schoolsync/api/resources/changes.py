"""The change history: what was changed, by which run or by whose hand."""

from __future__ import annotations

from datetime import date, timedelta

from schoolsync import ticks
from schoolsync.api import shapes
from schoolsync.api.call import Answer, Call
from schoolsync.errors import Invalid
from schoolsync.runs.change_history import Wanted


def list_changes(call: Call) -> Answer:
    """GET changes."""
    query = call.query
    wanted = Wanted(
        **{name: query[name] for name in ("by", "profile", "kind", "op", "object") if query.get(name)},
        since=_day(call, "since"),
        until=_day(call, "until", more=1),
    )
    found, further = call.services.changes.page(call.principal, wanted, after=query.get("after"), most=call.limit)
    return Answer(
        body=shapes.Changes(value=tuple(found), next_link=None if further is None else call.next_link(further))
    )


def _day(call: Call, name: str, *, more: int = 0) -> int | None:
    """When the day that a parameter names begins; with `more` so many days later."""
    given = call.query.get(name)
    if not given:
        return None
    try:
        return ticks.midnight(date.fromisoformat(given) + timedelta(days=more), "UTC")
    except (ValueError, OverflowError):
        raise Invalid(f"{name} must be a day such as 2026-01-31.", target=name) from None
