"""Trying a profile's identity rules with the values of one person."""

from __future__ import annotations

from schoolsync.api.call import Answer, Call


def identify(call: Call) -> Answer:
    """POST identify."""
    return Answer(body=call.services.trying.identify(call.principal, call.profile, call.body, now=call.now))
