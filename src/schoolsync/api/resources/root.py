"""What the API says about itself and about who is asking."""

from __future__ import annotations

from schoolsync.access import roles
from schoolsync.api import openapi
from schoolsync.api.call import Answer, Call
from schoolsync.api.shapes import Me
from schoolsync.runs import metrics


def describe(call: Call) -> Answer:
    """GET openapi.json."""
    server = call.url.removesuffix("/openapi.json")
    return Answer(body={**openapi.description(), "servers": [{"url": server}]})


def get_metrics(call: Call) -> Answer:
    """GET metrics."""
    with call.services.control.read() as connection:
        return Answer(body=metrics.text(connection, call.tenant, now=call.now))


def me(call: Call) -> Answer:
    """GET me."""
    who = call.principal
    return Answer(
        body=Me(
            tenant=who.tenant_id,
            kind=who.kind,
            name=who.user_name,
            id=who.user_id or who.client,
            roles=tuple(sorted(role.value for role in roles.held(who))),
            acts=tuple(rule.act.value for rule in roles.MATRIX if roles.allows(who, rule.act)),
        )
    )
