"""Trying a profile's identity rules, saved or not, with the values of one person."""

from __future__ import annotations

import msgspec

from schoolsync.api import shapes
from schoolsync.api.call import Answer, Call
from schoolsync.plan.typed import Person


def identify(call: Call) -> Answer:
    """POST identify."""
    given: shapes.Identify = call.body
    person = Person(**{one.name: getattr(given, one.name) for one in msgspec.structs.fields(Person)})
    rules = {"settings": given.settings or {}, "changed": given.configuration or {}}
    return Answer(body=call.services.trying.identify(call.principal, call.profile, person, **rules, now=call.now))
