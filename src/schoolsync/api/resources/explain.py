"""Why somebody or something is here, or is not."""

from __future__ import annotations

from schoolsync.api.call import Answer, Call
from schoolsync.errors import Invalid


def explain(call: Call) -> Answer:
    """GET explain."""
    if "object" not in call.query:
        raise Invalid("The parameter 'object' is needed: who or what is to be explained.", target="object")
    return Answer(
        body=call.services.explaining.explain(call.principal, call.profile, call.query["object"], call.query.get("in"))
    )
