"""`schoolsync explain`: why a person, class or school is here or not, on one screen."""

from __future__ import annotations

import json

from schoolsync.cli.plans import step_line
from schoolsync.cli.remote import Remote, Whereto


def run(whereto: Whereto, wanted: str, *, inside: str | None, as_json: bool) -> int:
    """Print the explanation; 0 when the one who is meant is known, else 1."""
    told = Remote(whereto).get("/explain", **{"object": wanted, "in": inside})
    if as_json:
        print(json.dumps(told))
    else:
        for sentence in told["answer"]:
            print(sentence)
        if told["history"]:
            print("\nWhat runs did or would do, newest first:")
        for one in told["history"]:
            print(f"  run {one['number']} ({one['state']}): {step_line(one['step'])}")
    return 0 if told["objects"] else 1
