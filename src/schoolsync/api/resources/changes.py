"""The change history: what was changed, by which run or by whose hand."""

from __future__ import annotations

from datetime import date, timedelta
from functools import cache

from schoolsync import ticks
from schoolsync.api import shapes
from schoolsync.api.call import Answer, Call
from schoolsync.errors import Invalid
from schoolsync.graph import routes
from schoolsync.runs.change_history import ByHand, Wanted

_OBJECTS = ("education/schools", "education/classes", "education/users", "users", "groups", "directory")
_ME = "education/me"


@cache
def by_hand() -> tuple[ByHand, ...]:
    """Graph's operations that change objects of the directory, as the audit log names them."""
    found = [
        f"{route.method} {route.template}"
        for route in routes.ROUTES
        if route.method != "GET" and (route.template == _ME or route.template.startswith(_OBJECTS))
    ]
    return tuple(ByHand(one) for one in dict.fromkeys(found))


def list_changes(call: Call) -> Answer:
    """GET changes."""
    query = call.query
    wanted = Wanted(
        **{name: query[name] for name in ("by", "profile", "kind", "op", "object") if query.get(name)},
        since=_day(call, "since"),
        until=_day(call, "until", more=1),
    )
    found, further = call.services.changes.page(
        call.principal, wanted, after=query.get("after"), most=call.limit, by_hand=by_hand()
    )
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
