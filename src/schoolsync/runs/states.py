"""The states of a run and what each means for the rest of the house. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class RunState(StrEnum):
    """Where one run is (column `runs.state`)."""

    QUEUED = "queued"  # asked for; a worker will take it
    EXTRACTING = "extracting"  # the uploaded files are read
    VALIDATING = "validating"  # the rules run
    PLANNING = "planning"  # what would change is worked out and stored
    APPLYING = "applying"  # batches are written to the directory
    PAUSED = "paused"  # a person asked it to stop for now; resume goes on where it stopped
    HELD = "held"  # findings or a guard stopped it; see `held_for`
    DONE = "done"  # applied whole
    FAILED = "failed"  # it could not go on; the next run compares with what is really there
    DISCARDED = "discarded"  # verification failed at start, or a newer start replaced it before it was applied
    CANCELLED = "cancelled"  # a person, a reset or the deletion of the profile ended it


ACTIVE = frozenset({RunState.QUEUED, RunState.EXTRACTING, RunState.VALIDATING, RunState.PLANNING, RunState.APPLYING})
"""A worker has it or will take it by itself: uploads are blocked."""

WAITING = frozenset({RunState.PAUSED, RunState.HELD})
"""Only a person moves it on. Together with ACTIVE: the open states, of which a profile has at most one."""

ENDED = frozenset({RunState.DONE, RunState.FAILED, RunState.DISCARDED, RunState.CANCELLED})


class Wish(StrEnum):
    """What a person asked of a run at work (column `runs.wish`); the worker heeds it between two batches."""

    PAUSE = "pause"
    CANCEL = "cancel"
    CANCEL_PAUSED = "cancel, paused"  # cancel, and begin nothing before a resume
    RESET = "reset"  # cancel, then begin anew
    RESET_PAUSED = "reset, paused"  # cancel, then begin anew, but not before a resume


class HeldFor(StrEnum):
    """Why a run is held (column `runs.held_for`)."""

    FINDINGS = "findings"  # records are wrong: they may be left out by a delegated resume
    FATAL = "fatal"  # a file is missing, unreadable or empty: only other files help
    GUARD = "guard"  # the plan would do what a guard forbids, until somebody approves exactly this plan
    WINDOW = "window"  # a blackout window is open: the run goes on by itself when it closes


class Cause(StrEnum):
    """Why a run was begun (column `runs.cause`)."""

    START = "start"  # POST start, whose caller still waits for the verification
    LATE = "late"  # POST start, whose caller no longer waits
    RESET = "reset"
    RETRY = "retry"  # the last run failed or the profile was quarantined: it tries again by itself
    AGAIN = "again"  # a person asked to try again: every record is looked at, also when nothing has changed
    DUE = "due"  # a start date of the profile was reached
    SCHEDULE = "schedule"  # the profile's schedule came
    UPLOAD = "upload"  # the files were complete and nobody wrote to them for a while
    WATCH = "watch"  # a complete set of files lay in the watched folder
    PREVIEW = "preview"  # a dry run: planned and never applied
    UNDO = "undo"  # a person takes an earlier run back
    CLEAN_UP = "cleanUp"  # a person has the classes of a profile that has expired cleaned up
    ONE = "one"  # one person, class, school or kind alone, from the last upload
    REPLAN = "replan"  # a held plan no longer fitted what had changed meanwhile: the same files are planned again
    PROVISIONED = "provisioned"  # a profile with an API provider syncs by itself once provisioned


@dataclass(frozen=True, slots=True)
class OpenRun:
    """The one run of a profile that has not ended."""

    id: str
    number: int
    state: RunState
    held_for: HeldFor | None
    wish: Wish | None
    apart: bool = False  # it is about one person, class, school or kind, or cleans up: `runs.apart`
    after_expiry: bool = False  # it goes on although the profile has expired: an undo, or a clean-up

    @property
    def active(self) -> bool:
        """Whether a worker has it or will take it by itself."""
        return self.state in ACTIVE
