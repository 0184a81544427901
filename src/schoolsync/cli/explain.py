"""`schoolsync explain`: why a person, class or school is here or not, on one screen."""

from __future__ import annotations

import json

from schoolsync.cli.plans import step_line
from schoolsync.cli.remote import Remote, Whereto

CHANGES_SHOWN = 3
HISTORY_SHOWN = 8
"""So many steps fit on a screen beside the answer."""


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
        for one in told["history"][:HISTORY_SHOWN]:
            # What a new object is given is all that is known of it, and would fill the screen.
            changes = [] if one["step"]["op"] == "create" else one["step"]["changes"][:CHANGES_SHOWN]
            print(f"  run {one['number']} ({one['state']}): {step_line({**one['step'], 'changes': changes})}")
        if len(told["history"]) > HISTORY_SHOWN:
            print(f"  … and {len(told['history']) - HISTORY_SHOWN:,} more steps: --json lists them.")
    return 0 if told["objects"] else 1
