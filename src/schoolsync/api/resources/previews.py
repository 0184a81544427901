"""Previews: what would change if these files were synchronized, without touching anything."""

from __future__ import annotations

from schoolsync.api import shapes
from schoolsync.api.call import Answer, Call, moment
from schoolsync.api.resources.runs import shape
from schoolsync.runs import looking


def open_preview(call: Call) -> Answer:
    """POST previews."""
    made = call.services.previews.open(call.principal, call.profile, base_url=call.origin, now=call.now)
    return Answer(
        status=201,
        body=shapes.Preview(id=made.id, upload_url=made.container, expires=moment(made.expires) or ""),
    )


def start(call: Call) -> Answer:
    """POST previews/{preview}/start."""
    preview = call.keys["preview"]
    call.services.previews.start(call.principal, call.profile, preview, now=call.now)
    with call.services.control.read() as connection:
        run = looking.find(connection, call.tenant, call.profile, preview, now=call.now)
    return Answer(status=202, body=shape(run, call.now))


def again(call: Call) -> Answer:
    """POST previews/{preview}/again."""
    made = call.services.previews.again(call.principal, call.profile, call.keys["preview"], now=call.now)
    with call.services.control.read() as connection:
        run = looking.find(connection, call.tenant, call.profile, made, now=call.now)
    return Answer(status=202, body=shape(run, call.now))


def apply(call: Call) -> Answer:
    """POST previews/{preview}/apply."""
    run = call.services.previews.apply(
        call.principal, call.profile, call.keys["preview"], plan=call.body.plan, now=call.now
    )
    return Answer(status=202, body=shapes.Begun(run=run))
