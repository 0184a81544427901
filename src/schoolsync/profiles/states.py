"""The life of a profile, from `provisioning` to gone, and what each state allows. Values only."""

from __future__ import annotations

from enum import StrEnum

from schoolsync.errors import Conflict


class State(StrEnum):
    """educationSynchronizationProfileState."""

    PROVISIONING = "provisioning"
    PROVISIONED = "provisioned"
    PROVISIONING_FAILED = "provisioningFailed"
    DELETING = "deleting"
    DELETION_FAILED = "deletionFailed"
    UNKNOWN_FUTURE_VALUE = "unknownFutureValue"  # Graph's sentinel; no profile of ours is ever in it


LIVING = frozenset({State.PROVISIONING, State.PROVISIONED, State.PROVISIONING_FAILED})
"""States in which a profile can be changed and files can be uploaded for it."""


def must_live(state: str) -> None:
    """Raise Conflict when the profile is on its way out and can no longer be changed."""
    if state not in LIVING:
        raise Conflict(f"The profile is {state}: it can no longer be changed.")


def must_stay(state: str) -> None:
    """Raise Conflict when the profile is being deleted; what is about to vanish is only read."""
    if state == State.DELETING:
        raise Conflict("The profile is deleting: it can only be read until it is gone.")


_BEFORE_A_START = {
    State.PROVISIONING: "wait until its state is provisioned, then start it.",
    State.PROVISIONING_FAILED: "its statusMessage says why; put that right, replace the profile with PUT, start it.",
}


def must_be_startable(state: str) -> None:
    """Raise Conflict when the profile cannot be started, and say whether it ever can."""
    if state != State.PROVISIONED:
        raise Conflict(f"The profile is {state}: {_BEFORE_A_START.get(State(state), 'it can no longer be started.')}")


def must_be_provisioned(state: str) -> None:
    """Raise Conflict when the profile cannot synchronize, now or any more."""
    if state != State.PROVISIONED:
        raise Conflict(f"The profile is {state}: it must be provisioned first.")
