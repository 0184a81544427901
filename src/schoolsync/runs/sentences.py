"""What statuses and runs say in words: counts and times, never people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from schoolsync import ticks
from schoolsync.runs import endings
from schoolsync.runs.job import Planned, Validated
from schoolsync.runs.states import RunState

STAGES = {
    RunState.EXTRACTING: ("extracting", "Reading the uploaded files."),
    RunState.VALIDATING: ("validating", "Checking the roster."),
    RunState.PLANNING: ("inProgress", "Working out what changes."),
    RunState.APPLYING: ("inProgress", "Applying the changes."),
}
# How the kinds of a plan are called in a sentence: one, more of them, and when some have failed. The order is that of
# the sentence.
KINDS = {
    "schools": ("1 school", "{count:,} schools", "{done:,} of {count:,} schools"),
    "classes": ("1 class", "{count:,} classes", "{done:,} of {count:,} classes"),
    "people": ("1 person", "{count:,} people", "{done:,} of {count:,} people"),
    "links": ("1 membership", "{count:,} memberships", "{done:,} of {count:,} memberships"),
}
MOVED = (
    "Nothing was changed: what the plan was made from has changed since it was looked at, so this is another plan. "
    "Make a new one and look at it."
)
_SECOND = ticks.PER_SECOND


def held_message(validated: Validated, *, waits: bool) -> str:
    """Why the roster is not synchronized, and what to do: a run that `waits` can be resumed, one that ended cannot."""
    first = next((message for message in validated.messages if message.type == "Error"), None)
    what = f" First: {first.file_name}: {first.description}." if first else ""
    if validated.fatal:
        return "The uploaded files cannot be used; nothing was changed." + what.replace("..", ".")
    wrong = "1 record of the roster is" if validated.errors == 1 else f"{validated.errors:,} records of the roster are"
    todo = (
        "Resume to leave them out, or upload corrected files and start again."
        if waits
        else "Correct the files and try again, or have the profile leave such records out."
    )
    return f"{wrong} wrong; nothing was changed. " + todo + what.replace("..", ".")


def done_message(planned: Planned) -> str:
    seen = ", ".join(_of(planned, kind) for kind in KINDS if kind in planned.seen)
    message = f"Synchronized {seen or 'the roster'}: {counts(planned)}."
    if planned.errors:
        message += (
            " 1 record could not be synchronized: see errors."
            if planned.errors == 1
            else f" {planned.errors:,} records could not be synchronized: see errors."
        )
    return " ".join([message, *planned.notes])


def _of(planned: Planned, kind: str) -> str:
    """How many of a kind were synchronized, and of how many when some have failed."""
    one, several, some = KINDS[kind]
    count, failed = planned.seen[kind], planned.failed.get(kind, 0)
    if failed:
        return some.format(done=max(0, count - failed), count=count)
    return one if count == 1 else several.format(count=count)


def counts(planned: Planned) -> str:
    sums: dict[str, int] = {}
    for steps in planned.steps.values():
        for step, count in steps.items():
            sums[step] = sums.get(step, 0) + count
    return _steps(sums)


def _steps(sums: Mapping[str, int]) -> str:
    words = {
        "create": "{count:,} created",
        "restore": "{count:,} restored",
        "adopt": "{count:,} taken over",
        "rekey": "{count:,} re-keyed",
        "update": "{count:,} updated",
        "remove": "{count:,} set inactive",
        "expire": "{count:,} marked as expired",
        "unbin": "{count:,} taken out of the bin",
        "bin": "{count:,} put into the bin",
        "purge": "{count:,} purged for good",
        "link": "{count:,} linked",
        "unlink": "{count:,} unlinked",
    }
    parts = [said.format(count=sums[step]) for step, said in words.items() if sums.get(step)]
    return ", ".join(parts) or "nothing to change"


def told(ending: endings.Ending | None) -> str:
    """When the profile tries again by itself, as the end of a message."""
    if ending is None:
        return ""
    again = "" if ending.retry is None else f" Tried again at {ticks.text(ending.retry // _SECOND * _SECOND)}."
    if ending.rung is None:
        return again
    given_up = again or " It is not tried again by itself any more: correct the files and start, or restart it."
    return f" Quarantined: {ending.rung.why}." + given_up


def rung(ending: endings.Ending | None) -> dict[str, Any] | None:  # plain values
    """What is kept of a quarantine with the run that led to it."""
    if ending is None or ending.rung is None:
        return None
    kept: dict[str, Any] = msgspec.to_builtins(ending.rung)
    return kept | {"retry": ending.retry}
