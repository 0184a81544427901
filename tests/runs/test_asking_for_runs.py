"""What a person can ask of runs, in any order, and what the worker makes of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import pytest
from sqlalchemy import select, update

from schoolsync import ticks
from schoolsync.errors import Conflict, Invalid, NotFound
from schoolsync.runs import cancelling
from schoolsync.runs.endings import HOUR
from schoolsync.runs.job import Finished, Message, Planned, Validated
from schoolsync.runs.records import Key
from schoolsync.runs.states import RunState
from schoolsync.store.control_tables import profiles, runs

BAD = Validated(
    messages=(Message(type="Error", file_name="student.csv", description="2 row(s) are wrong"),),
    errors=2,
    warnings=0,
    fatal=False,
)
FATAL = Validated(messages=BAD.messages, errors=1, warnings=0, fatal=True)
GOOD = Validated(messages=(), errors=0, warnings=0, fatal=False)
PLANNED = Planned(
    plan="p",
    batches=1,
    rows=10,
    steps={"people": {"create": 10}},
    errors=0,
    error_files=(),
    failed={},
    seen={"people": 10},
    held=None,
)


class House(Protocol):
    """What the fixture offers; see conftest."""

    def __getattr__(self, name: str) -> Callable[..., object]: ...


def finished(house: House, *, wakes: int | None = None, missed: int = 0, left_out: int = 0) -> Finished:
    """What the last stage of a run says, with a snapshot where snapshots are."""
    snapshot = str(house.settings.objects / "s")
    return Finished(snapshot=snapshot, input_hash="h", position=1, wakes=wakes, missed=missed, left_out=left_out)


def finish(house: House, key: Key) -> None:
    """Bring a run that was taken up to a good end."""
    assert house.journal.verified(key, GOOD)
    assert house.journal.begins(key, RunState.PLANNING)
    assert house.journal.planned(key, PLANNED) == PLANNED.batches
    assert house.journal.begins(key, RunState.APPLYING)
    assert house.journal.applied(key, 10, 10)
    house.journal.finished(key, PLANNED, finished(house))


def answering(house: House, profile: str, validated: Validated) -> threading.Thread:
    """A worker that takes the next run up and verifies it with this outcome."""

    def work() -> None:
        while not (queued := house.journal.queued(1)):
            pass
        assert house.journal.take(queued[0])
        house.journal.verified(queued[0], validated)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_errors_found_while_the_caller_waits_leave_everything_as_it_was(house: House) -> None:
    """The answer carries the messages, the status is the one from before, the files can be sent again."""
    profile = house.profile()
    upload = house.upload(profile)
    before = house.status(profile)
    worker = answering(house, profile, BAD)
    started = house.start(profile)
    worker.join()
    assert not started.accepted
    assert started.messages == BAD.messages
    after = house.status(profile)
    assert (after.status, after.status_message, after.own_status) == (None, before.status_message, None)
    assert house.run(profile).state == RunState.DISCARDED
    with house.control.read() as connection:
        assert house.uploads.inbox(connection, 1, profile) == upload


def test_errors_found_when_nobody_waits_any_more_hold_the_run(house: House) -> None:
    """The caller was told to go on; what is found later shows as validationError and nothing was changed."""
    profile = house.profile()
    house.upload(profile)
    started = house.start(profile)  # no worker: the wait ends
    assert started.accepted
    assert started.messages == ()
    key = house.journal.queued(1)[0]
    assert house.journal.take(key)
    assert not house.journal.verified(key, BAD)
    assert house.status(profile).status == "validationError"
    assert house.run(profile).held_for == "findings"


def test_only_a_person_passes_over_findings(house: House) -> None:
    """A script's resume is refused; a delegated one queues the run again with the bad records left out."""
    profile = house.profile()
    key = house.begin(profile, cause="late")
    house.journal.verified(key, BAD)
    with pytest.raises(Conflict, match="person"):
        house.ask("resume", profile, by=house.script)
    house.ask("resume", profile)
    run = house.run(profile)
    assert (run.state, run.ignore_findings, run.held_for) == (RunState.QUEUED, True, None)
    again = Key(1, profile, run.id, 2)
    assert house.journal.take(again)
    assert house.journal.verified(again, BAD)


@pytest.mark.parametrize("pause_first", [False, True])
def test_nobody_passes_over_a_missing_file(house: House, pause_first: bool) -> None:
    """A fatal finding stays one, with a pause in between too."""
    profile = house.profile()
    key = house.begin(profile, cause="late")
    assert not house.journal.verified(key, FATAL)
    if pause_first:
        house.ask("pause", profile)
        assert house.status(profile).status == "paused"
        house.ask("resume", profile)
    with pytest.raises(Conflict, match="missing"):
        house.ask("resume", profile)
    assert house.status(profile).status == "validationError"


def test_a_held_run_that_was_paused_can_be_replaced(house: House) -> None:
    """Pause, resume, then corrected files and a start: the held run is discarded."""
    profile = house.profile()
    house.upload(profile)
    assert not house.journal.verified(house.begin(profile, cause="late"), FATAL)
    house.ask("pause", profile)
    with pytest.raises(Conflict, match="resume"):
        house.start(profile)
    house.ask("resume", profile)
    house.upload(profile)
    worker = answering(house, profile, GOOD)
    assert house.start(profile).accepted
    worker.join()


def test_what_holds_a_run_is_listed_as_errors(house: House) -> None:
    """Everything found can be read, not only the first; a run that goes on replaces it by its own errors."""
    profile = house.profile()
    key = house.begin(profile, cause="late")
    more = Message(type="Error", file_name="section.csv", description="1 row(s) are wrong")
    warning = Message(type="Warning", file_name="section.csv", description="1 row(s) are odd")
    house.journal.verified(key, Validated(messages=(*BAD.messages, more, warning), errors=3, warnings=1, fatal=False))
    assert house.status(profile).error_count == 2
    listed = house.errors(profile)
    assert sorted((row.entry_type, row.error_message) for row in listed) == [
        ("Section", "section.csv: 1 row(s) are wrong"),
        ("Student", "student.csv: 2 row(s) are wrong"),
    ]
    house.ask("resume", profile)
    again = house.journal.queued(1)[0]
    assert house.journal.take(again)
    finish(house, again)
    assert house.errors(profile) == []
    assert (house.status(profile).status, house.status(profile).error_count) == ("success", 0)


def test_findings_passed_over_once_are_not_asked_about_again(house: House) -> None:
    """A reset reads the same files under the same decision; other files are looked at afresh."""
    profile = house.profile()
    house.upload(profile)
    house.journal.verified(house.begin(profile, cause="late"), BAD)
    house.ask("resume", profile)
    again = house.journal.queued(1)[0]
    assert house.journal.take(again)
    finish(house, again)
    house.ask("reset", profile)
    assert house.run(profile).ignore_findings
    house.ask("pause", profile)
    house.ask("reset", profile)
    house.upload(profile)
    key = house.journal.queued(1)[0]
    assert house.journal.take(key)
    finish(house, key)
    assert not house.run(house.begin(profile).profile).ignore_findings


def test_a_pause_after_a_reset_counts(house: House) -> None:
    """The run that the reset begins waits for the resume."""
    profile = house.profile()
    house.upload(profile)
    key = house.begin(profile)
    assert house.journal.verified(key, GOOD)
    house.ask("reset", profile)
    house.ask("pause", profile)
    assert house.status(profile).status == "paused"
    assert not house.journal.begins(key, RunState.PLANNING)
    assert house.run(profile).state == RunState.PAUSED
    assert house.status(profile).status == "paused"
    house.ask("resume", profile)
    assert house.run(profile).state == RunState.QUEUED


def test_rows_that_met_somebody_elses_change_are_made_good_at_once(house: House) -> None:
    """The run does not call itself a success, and the next one begins by itself."""
    profile = house.profile()
    house.upload(profile)
    key = house.begin(profile)
    assert house.journal.verified(key, GOOD)
    missing = finished(house, missed=2)
    house.journal.finished(key, PLANNED, missing)
    assert house.status(profile).status == "error"
    assert "2 rows were passed over" in house.status(profile).status_message
    assert house.status(profile).last_synchronization is None
    assert house.journal.begin_due()
    again = house.journal.queued(1)[0]
    assert house.journal.take(again)
    house.journal.finished(again, PLANNED, missing)
    assert not house.journal.begin_due()  # not over and over


def test_a_plan_held_by_a_guard_is_not_released_by_resume(house: House) -> None:
    """Resume answers with a conflict that names what is needed; a new start discards the held plan."""
    profile = house.profile()
    house.upload(profile)
    key = house.begin(profile)
    assert house.journal.verified(key, GOOD)
    held = Planned(**{**{name: getattr(PLANNED, name) for name in PLANNED.__struct_fields__}, "held": "Too much."})
    assert house.journal.planned(key, held) == -1
    assert house.status(profile).status == "validationError"
    assert house.status(profile).status_message == "Too much."
    with pytest.raises(Conflict, match="approval"):
        house.ask("resume", profile)
    house.upload(profile)
    worker = answering(house, profile, GOOD)
    assert house.start(profile).accepted
    worker.join()
    with house.control.read() as connection:
        states = connection.execute(select(runs.c.state).order_by(runs.c.number)).scalars().all()
    assert states == [RunState.DISCARDED, RunState.EXTRACTING]


def test_a_pause_stops_the_run_between_two_batches_and_resume_goes_on(house: House) -> None:
    """The status is paused at once, the batch at work is finished, the next attempt goes on with the stored plan."""
    profile = house.profile()
    key = house.begin(profile)
    house.journal.verified(key, GOOD)
    house.journal.planned(key, PLANNED)
    assert house.journal.begins(key, RunState.APPLYING)
    house.ask("pause", profile)
    assert house.status(profile).status == "paused"
    with pytest.raises(Conflict, match="paused"):  # what is shown counts, not what the batch still does
        house.start(profile)
    assert "is finished first" in str(house.status(profile).status_message)
    assert not house.journal.applied(key, 5, 10)
    assert house.run(profile).state == RunState.PAUSED
    assert (house.status(profile).status, house.status(profile).status_message) == ("paused", "Paused.")
    house.ask("pause", profile)  # twice is once
    house.ask("resume", profile)
    assert house.status(profile).status == "inProgress"
    again = house.journal.queued(1)[0]
    assert again.attempt == 2
    assert house.journal.take(again)
    assert house.journal.is_planned(again)
    house.journal.finished(again, PLANNED, finished(house))
    assert house.status(profile).status == "success"


def test_a_pause_that_is_taken_back_in_time_leaves_no_trace(house: House) -> None:
    """Pause and resume before the next batch: the attempt just goes on."""
    profile = house.profile()
    key = house.begin(profile)
    house.ask("pause", profile)
    house.ask("resume", profile)
    assert house.journal.begins(key, RunState.VALIDATING)
    assert house.run(profile).attempt == 1


def test_pause_and_resume_without_a_run_give_back_the_last_status(house: House) -> None:
    """Before any run, and after a good one."""
    profile = house.profile()
    house.ask("pause", profile)
    assert house.status(profile).status == "paused"
    with pytest.raises(Conflict, match="paused"):
        house.start(profile)
    house.ask("resume", profile)
    assert house.status(profile).status is None
    finish(house, house.begin(profile))
    house.ask("pause", profile)
    house.ask("resume", profile)
    assert house.status(profile).status == "success"


def test_reset_during_a_run_begins_anew_once_the_worker_has_stopped(house: House) -> None:
    """The old attempt is refused from then on; the new run compares with what is really there."""
    profile = house.profile()
    house.upload(profile)
    finish(house, house.begin(profile))
    house.upload(profile)
    key = house.begin(profile)
    house.journal.verified(key, GOOD)
    house.ask("reset", profile)
    assert house.status(profile).status == "inProgress"
    assert not house.journal.begins(key, RunState.PLANNING)
    new = house.run(profile)
    assert (new.state, new.cause) == (RunState.QUEUED, "reset")
    again = Key(1, profile, new.id, 1)
    assert house.journal.take(again)
    job = house.journal.job(again)
    assert job is not None
    assert job.base is None
    assert len(job.files) == 1
    assert not house.journal.applied(key, 1, 1)


def test_a_reset_that_is_cancelled_leaves_the_profile_in_error(house: House) -> None:
    """The run that it has cut off is half in the directory: neither the cancel nor a resume calls that a success."""
    profile = house.profile()
    house.upload(profile)
    finish(house, house.begin(profile))
    house.upload(profile)
    key = house.begin(profile)
    house.journal.verified(key, GOOD)
    assert house.journal.begins(key, RunState.APPLYING)
    house.ask("reset", profile)
    assert not house.journal.applied(key, 1, 10)
    house.ask("pause", profile)
    with house.control.write() as connection:
        row = connection.execute(select(runs).where(runs.c.id == house.run(profile).id)).one()
        cancelling.cancel(connection, house.runs, row, by="delegated:a", why=None, now=house.clock())
    house.ask("resume", profile)
    shown = house.status(profile)
    assert shown.status == "error"
    assert "Run 2 was cancelled while its plan was applied" in str(shown.status_message)


def test_reset_of_a_profile_that_never_got_files_waits_for_them(house: House) -> None:
    """There is nothing to begin with."""
    profile = house.profile()
    house.ask("reset", profile)
    assert house.status(profile).status is None


@pytest.mark.parametrize("at_work", [True, False])
def test_reset_during_the_first_verification_looks_at_the_same_files_again(house: House, at_work: bool) -> None:
    """Nothing was sealed yet, and whoever sent the files has started them: they are not to be sent or started again."""
    profile = house.profile()
    upload = house.upload(profile)
    assert house.start(profile).accepted  # no worker: the wait ends
    key = house.journal.queued(1)[0]
    if at_work:
        assert house.journal.take(key)
    house.ask("reset", profile)
    if at_work:
        assert not house.journal.verified(key, GOOD)
    assert house.status(profile).status == "inProgress"
    new = house.run(profile)
    assert (new.number, new.state, new.upload, new.cause) == (2, RunState.QUEUED, upload, "late")
    again = Key(1, profile, new.id, 1)
    assert house.journal.take(again)
    finish(house, again)
    with house.control.read() as connection:
        assert house.uploads.latest_sealed(connection, 1, profile) == upload
    house.ask("reset", profile)
    assert house.run(profile).cause == "reset"


def test_files_that_were_refused_are_not_started_by_a_reset(house: House) -> None:
    """They wait to be mended."""
    profile = house.profile()
    house.upload(profile)
    worker = answering(house, profile, BAD)
    assert not house.start(profile).accepted
    worker.join()
    house.ask("reset", profile)
    assert house.status(profile).status is None


def test_an_older_attempt_cannot_write_any_more(house: House) -> None:
    """After pause and resume, what the first attempt still says is refused."""
    profile = house.profile()
    key = house.begin(profile)
    house.ask("pause", profile)
    assert not house.journal.begins(key, RunState.VALIDATING)
    house.ask("resume", profile)
    again = house.journal.queued(1)[0]
    assert house.journal.take(again)
    assert not house.journal.begins(key, RunState.VALIDATING)
    assert house.journal.job(key) is None
    house.journal.failed(key, "late")
    assert house.run(profile).state == RunState.EXTRACTING


def test_ten_starts_at_once_make_one_run(house: House) -> None:
    """All callers get the verification of the same run."""
    profile = house.profile()
    house.upload(profile)
    worker = answering(house, profile, GOOD)
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: house.start(profile), range(10)))
    worker.join()
    assert all(answer.accepted for answer in answers)
    with house.control.read() as connection:
        assert len(connection.execute(select(runs.c.id)).all()) == 1


def test_start_is_refused_for_what_cannot_be_started(house: House) -> None:
    """Unknown profiles, profiles that fetch by themselves, profiles that are not provisioned or have expired."""
    with pytest.raises(NotFound):
        house.start("99999999-9999-4999-8999-999999999999")
    with pytest.raises(Invalid, match="CSV"):
        house.start(house.profile("educationPowerSchoolDataProvider"))
    profile = house.profile()
    with house.control.write() as connection:
        connection.execute(update(profiles).where(profiles.c.id == profile).values(expiration_date="2026-09-01"))
    with pytest.raises(Conflict, match="expired"):
        house.start(profile)
    with house.control.write() as connection:
        connection.execute(
            update(profiles).where(profiles.c.id == profile).values(expiration_date=None, state="provisioning")
        )
    with pytest.raises(Conflict, match="provisioning"):
        house.start(profile)


def test_three_broken_runs_quarantine_and_a_retry_comes_by_itself(house: House) -> None:
    """Six hours later the worker begins a run of its own with the files it has."""
    profile = house.profile()
    house.upload(profile)
    finish(house, house.begin(profile))
    for number in range(3):
        house.journal.failed(house.begin(profile), "The disk is full.")
        assert house.status(profile).status == ("quarantined" if number == 2 else "error")
    assert not house.journal.begin_due()
    house.time[0] += 6 * HOUR
    assert house.journal.begin_due()
    run = house.run(profile)
    assert (run.cause, run.state) == ("retry", RunState.QUEUED)
    assert run.upload is not None
    key = Key(1, profile, run.id, 1)
    house.journal.take(key)
    finish(house, key)
    assert house.status(profile).status == "success"


def test_a_start_date_of_the_profile_begins_a_run_when_it_comes(house: House) -> None:
    """What the plan left for later is done by a run of its own."""
    profile = house.profile()
    house.upload(profile)
    key = house.begin(profile)
    assert house.journal.verified(key, GOOD)
    later = house.time[0] + 3 * HOUR
    house.journal.finished(key, PLANNED, finished(house, wakes=later))
    assert not house.journal.begin_due()
    house.time[0] = later
    assert house.journal.begin_due()
    assert house.run(profile).cause == "due"


def test_an_unchanged_run_ends_as_the_one_before(house: House) -> None:
    """Errors that stay unsolved stay listed, and the status says so again."""
    profile = house.profile()
    house.upload(profile)
    key = house.begin(profile)
    assert house.journal.verified(key, GOOD)
    with_errors = Planned(
        **{**{name: getattr(PLANNED, name) for name in PLANNED.__struct_fields__}, "errors": 1, "failed": {"people": 1}}
    )
    assert house.journal.planned(key, with_errors) == with_errors.batches
    house.journal.finished(key, with_errors, finished(house))
    first = house.status(profile)
    assert (first.status, first.error_count, first.last_synchronization) == ("error", 1, None)
    house.upload(profile)
    again = house.begin(profile)
    assert house.journal.unchanged(again)
    second = house.status(profile)
    assert (second.status, second.error_count, second.last_synchronization) == ("error", 1, None)
    assert "Nothing has changed" in (second.status_message or "")
    with house.control.read() as connection:
        assert house.uploads.inbox(connection, 1, profile) is None


def test_progress_is_told_in_rows(house: House) -> None:
    """The message says how many of how many rows are applied."""
    profile = house.profile()
    key = house.begin(profile)
    house.journal.verified(key, GOOD)
    house.journal.planned(key, PLANNED)
    house.journal.begins(key, RunState.APPLYING)
    house.journal.applied(key, 1234, 5678)
    assert house.status(profile).status_message == "Applying: 1,234 of 5,678 rows."
    assert house.status(profile).last_activity == house.time[0] - house.time[0] % (ticks.PER_SECOND // 1000)
