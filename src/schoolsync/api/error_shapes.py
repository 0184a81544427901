"""Errors of a synchronization, in the words of Graph's educationSynchronizationError."""

from __future__ import annotations

from schoolsync.api.shapes import Moment, Number, Shape


class SyncErrorCause(Shape, frozen=True, kw_only=True):
    """Records of one kind that could not be synchronized for the same reason."""

    entry_type: str  # Student, Section, StudentEnrollment and so on
    error_code: str
    error_message: str  # what is wrong and what to do
    count: Number


class SyncErrorCauses(Shape, frozen=True, kw_only=True):
    """The reasons of all errors of a profile, those of most records first; at most a hundred."""

    value: tuple[SyncErrorCause, ...]


class SyncError(Shape, frozen=True, kw_only=True):
    """One record that could not be synchronized."""

    id: str
    entry_type: str
    error_code: str
    error_message: str
    reportable_identifier: str | None  # the SIS ID of the record
    joining_value: str | None  # what it was to be joined with, such as the class of an enrollment
    recorded: Moment | None
    run: int | None  # number of the run that found it; null: a caller reported it
