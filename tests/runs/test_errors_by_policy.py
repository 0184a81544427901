"""A verification that leaves records out goes on, and the run ends as `error` with their number."""

from __future__ import annotations

from typing import Any

import msgspec

from schoolsync.runs.states import RunState

from .test_asking_for_runs import BAD, PLANNED, finished

LEAVES_OUT = msgspec.structs.replace(
    BAD, leaves_out=True, left_out={"people": 2}, statistics={"schools": 1, "students": 10}
)


def test_a_run_that_leaves_records_out_goes_on_and_ends_as_error(house: Any) -> None:
    """Its numbers are kept; the status counts what was left out."""
    profile = house.profile()
    house.upload(profile)
    key = house.begin(profile)
    assert house.journal.verified(key, LEAVES_OUT)
    assert house.journal.begins(key, RunState.PLANNING)
    planned = msgspec.structs.replace(PLANNED, errors=2)
    assert house.journal.planned(key, planned)
    assert house.journal.begins(key, RunState.APPLYING)
    assert house.journal.applied(key, 10, 10)
    house.journal.finished(key, planned, finished(house))
    status = house.status(profile)
    assert (status.status, status.error_count) == ("error", 2)
    assert house.summary(profile)["left_out"] == {"people": 2}
    assert house.summary(profile)["statistics"] == {"schools": 1, "students": 10}


def test_more_than_the_share_is_refused_like_any_error(house: Any) -> None:
    """The caller of `start` is answered with the findings, and nothing runs."""
    profile = house.profile()
    house.upload(profile)
    key = house.begin(profile)
    assert not house.journal.verified(key, msgspec.structs.replace(LEAVES_OUT, leaves_out=False))
    assert house.run(profile).state == RunState.DISCARDED
