"""Where a tenant's changes of state are told, a test of it, and what has been told."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import msgspec

from schoolsync.api import notice_shapes
from schoolsync.api.call import Answer, Call, moment
from schoolsync.graph import etags
from schoolsync.notices.notice import OWN_WEBHOOK
from schoolsync.notices.receivers import UNCHANGED, Change, Receiver, Receivers

SHOWN = 50


def _receivers(call: Call) -> Receivers:
    services = call.services
    return Receivers(services.control, services.settings, clock=services.clock, new_id=services.new_id)


def get_notices(call: Call) -> Answer:
    """GET notices."""
    receivers = _receivers(call)
    return _answer(receivers, receivers.find(call.tenant))


def patch_notices(call: Call) -> Answer:
    """PATCH notices."""
    given: notice_shapes.ChangeNotices = call.body
    receivers = _receivers(call)
    changed = {
        name: UNCHANGED if (value := getattr(given, name)) is msgspec.UNSET else value
        for name in ("webhook_url", "mail_to", "events", "stale_hours")
    }
    wanted = Change(webhook_secret=given.webhook_secret, new_secret=given.new_secret, **changed)
    after, fresh = receivers.change(call.tenant, wanted, condition=call.condition())
    return _answer(receivers, after, fresh)


def test(call: Call) -> Answer:
    """POST notices/test."""
    _receivers(call).test(call.tenant, call.principal.tenant_id)
    return replace(list_sent(call), status=202)


def list_sent(call: Call) -> Answer:
    """GET notices/sent."""
    rows = _receivers(call).told(call.tenant, most=min(call.limit, SHOWN))
    return Answer(
        body=notice_shapes.SentNotices(
            value=tuple(
                notice_shapes.SentNotice(
                    id=row.id,
                    channel="webhook" if row.channel == OWN_WEBHOOK else "mail",
                    about=msgspec.json.decode(row.body)["type"],
                    profile=row.profile or None,
                    made=cast(str, moment(row.made)),
                    tries=row.tries,
                    state="waiting" if row.over is None else "sent" if row.sent else "given up",
                    next_try=moment(row.due) if row.over is None else None,
                    problem=row.problem,
                )
                for row in rows
            )
        )
    )


def _answer(receivers: Receivers, found: Receiver, fresh: str | None = None) -> Answer:
    return Answer(
        body=notice_shapes.Notices(
            webhook_url=found.webhook_url,
            webhook_secret_set=found.has_secret,
            webhook_secret=fresh,
            mail_to=found.mail_to,
            mail_possible=receivers.mail_possible,
            events=cast("tuple[notice_shapes.Told, ...]", found.events),
            stale_hours=found.stale_hours,
            installation_stale_hours=receivers.stale_hours,
        ),
        headers={"ETag": etags.weak(found.version)},
    )
