"""SIS IDs that have changed: what a plan takes for the same objects, and a person's word that they are."""

from __future__ import annotations

from schoolsync.api import shapes
from schoolsync.api.call import Answer, Call
from schoolsync.api.resources.plans import place


def get_proposal(call: Call) -> Answer:
    """GET renumbered."""
    return Answer(body=shapes.Pairs(pairs=call.services.plans.proposal(call.principal, *place(call))))


def rekey(call: Call) -> Answer:
    """POST rekeys."""
    given: shapes.Rekey = call.body
    count = call.services.plans.rekey(call.principal, call.profile, given.pairs, why=given.why, now=call.now)
    return Answer(status=201, body=shapes.Rekeyed(pairs=count))
