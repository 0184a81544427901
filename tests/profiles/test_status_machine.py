"""The status machine, walked at random: people and programs write, pause, resume and reset while a worker works.

A model of a few lines says what must be shown after every step; the real services on a real database must agree.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from hypothesis import note, settings
from hypothesis import strategies as some
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import func, select

from schoolsync.errors import Conflict
from schoolsync.profiles.status import Status
from schoolsync.runs import cancelling
from schoolsync.store.control_tables import runs

LATE = ("extracting", "validating")
ENDINGS = ("success", "error", "quarantined")
VALUES = [None, *(str(value) for value in Status)]


@dataclass
class Model:
    """What should be so."""

    own: str | None = None
    shown: str | None = None
    run: str | None = None  # queued, working, paused, held
    held: str | None = None  # findings, fatal, guard
    wish: str | None = None
    ending: str | None = None  # how the last run ended
    sealed: bool = False
    cut_off: bool = False  # the last run, whose files then lie where they were sent to
    stage: str | None = None  # the last one that the run has begun

    def show(self, value: str | None) -> bool:
        self.own = self.shown = value
        return True

    def patch(self, value: str | None, *, person: bool) -> bool:
        """False: refused."""
        if value == self.shown or (value == "unknownFutureValue" and self.shown in LATE):
            return True
        if value == self.own or (value == "unknownFutureValue" and self.own in LATE):
            self.shown = self.own
            return True
        if value == "paused":
            return self.pause()
        if value == "inProgress" and self.own in ("paused", "validationError"):
            return self.resume(person=person)
        if self.run is not None:
            return False
        self.shown = value
        return True

    def pause(self) -> bool:
        if self.run == "paused" or (self.wish or "").endswith("pause"):
            return True
        if self.wish:
            self.wish += ", pause"
        elif self.run == "working":
            self.wish = "pause"
        elif self.run is not None:
            self.run = "paused"
        return self.show("paused")

    def resume(self, *, person: bool) -> bool:
        if self.run is None:
            return self.show(self.ending) if self.own == "paused" else True
        if self.run in ("queued", "working"):
            if (self.wish or "").endswith("pause"):
                self.wish = None if self.wish == "pause" else str(self.wish).partition(",")[0]
                return self.show("inProgress")
            return True
        if self.run == "paused" and self.held:
            self.run = "held"
            return self.show("validationError")
        if self.held in ("fatal", "guard") or (self.held == "findings" and not person):
            return False
        self.run, self.held = "queued", None
        return self.show("inProgress")

    def reset(self) -> bool:
        if self.run == "working":
            self.wish = "reset"
            return self.show("inProgress")
        return self.again()

    def cancel(self) -> bool:
        """False: there is nothing to cancel."""
        if self.run is None:
            return False
        if self.run == "working":
            if (self.wish or "").startswith("cancel"):
                return True
            pause = (self.wish or "").endswith("pause")
            self.wish = "cancel, pause" if pause else "cancel"
            return pause or self.show("inProgress")
        return self.cancelled(pause=self.run == "paused")

    def cancelled(self, *, pause: bool) -> bool:
        if self.stage == "applying":
            self.ending = "error"
        self.run = self.held = self.wish = self.stage = None
        self.cut_off = True
        return self.show("paused" if pause else self.ending)

    def again(self) -> bool:
        if self.stage == "applying":
            self.ending = "error"
        self.held = self.wish = self.stage = None
        begins = self.sealed or self.run is not None or self.cut_off
        self.run, self.cut_off = "queued" if begins else None, False
        return self.show("inProgress" if begins else None)


class Walk(RuleBasedStateMachine):
    """One profile's life."""

    house: Any  # set by the test

    @initialize(sealed=some.booleans())
    def made(self, sealed: bool) -> None:
        self.profile = self.house.made()
        if sealed:
            self.house.uploads.sealed[self.profile] = "earlier"
        self.model = Model(sealed=sealed)
        self.seen = self.house.status(self.profile)

    def _ask(self, allowed: bool, ask: Any, *arguments: Any, **named: Any) -> None:
        self.house.clock.step()
        before = self.house.status(self.profile)
        try:
            ask(*arguments, now=self.house.clock(), **named)
        except Conflict as refusal:
            note(f"refused: {refusal}")
            assert not allowed
            assert self.house.status(self.profile) == before
        else:
            assert allowed

    def _by(self, person: bool) -> Any:
        return replace(self.house.admin, kind="delegated" if person else "application")

    # --- people and programs ---

    @rule(value=some.sampled_from(VALUES), person=some.booleans(), count=some.none() | some.integers(0, 9))
    def patch(self, value: str | None, person: bool, count: int | None) -> None:
        allowed = self.model.patch(value, person=person)
        given: dict[str, Any] = {"status": value} | ({} if count is None else {"error_count": count})
        write = self.house.profiles.change_status
        self._ask(allowed, write, self._by(person), self.profile, given, condition=self.house.always)
        if allowed and count is not None:
            assert self.house.status(self.profile).error_count == count

    @rule(prefers=some.booleans(), person=some.booleans())
    def write_back_what_was_read(self, prefers: bool, person: bool) -> None:
        read = self.house.status(self.profile)
        value = "unknownFutureValue" if read.status in LATE and not prefers else read.status
        given = {"status": value, "status_message": read.status_message, "error_count": read.error_count}
        write = self.house.profiles.change_status
        self._ask(True, write, self._by(person), self.profile, given, condition=self.house.always)
        assert self.house.status(self.profile) == read

    @rule(person=some.booleans())
    def pause(self, person: bool) -> None:
        self._ask(self.model.pause(), self.house.profiles.pause, self._by(person), self.profile)

    @rule(person=some.booleans())
    def resume(self, person: bool) -> None:
        allowed = self.model.resume(person=person)
        self._ask(allowed, self.house.profiles.resume, self._by(person), self.profile)

    @rule(person=some.booleans())
    def reset(self, person: bool) -> None:
        self._ask(self.model.reset(), self.house.profiles.reset, self._by(person), self.profile)
        assert self.house.status(self.profile).error_count == 0

    @rule()
    def cancel(self) -> None:
        opened = self.house.open_run(self.profile)

        def cancel(*, now: int) -> None:
            with self.house.control.write() as connection:
                row = connection.execute(select(runs).where(runs.c.id == opened.id)).one()
                cancelling.cancel(connection, self.house.runs, row, by="delegated:a", why=None, now=now)

        if opened is not None:
            self._ask(self.model.cancel(), cancel)

    @rule()
    def clear(self) -> None:
        allowed = self.model.run is None
        if allowed:
            self.model.show(None)

        def clear(*, now: int) -> None:
            self.house.profiles.clear_status(self.house.admin, self.profile, condition=self.house.always)

        self._ask(allowed, clear)

    @precondition(lambda self: self.model.run is None and self.model.own != "paused")
    @rule()
    def start(self) -> None:
        self.model.run, self.model.cut_off = "queued", False
        self.model.show("extracting")
        self.house.begin(self.profile)

    # --- the worker ---

    @precondition(lambda self: self.model.run == "queued")
    @rule()
    def worker_takes_it(self) -> None:
        self.model.run = "working"
        self.model.show("extracting")
        self.house.work(self.profile, state="extracting", shows="extracting")

    @precondition(lambda self: self.model.run == "working" and self.model.wish is None)
    @rule(stage=some.sampled_from(["validating", "planning", "applying"]))
    def worker_goes_on(self, stage: str) -> None:
        shows = stage if stage == "validating" else "inProgress"
        self.model.show(shows)
        self.model.stage = stage
        self.house.work(self.profile, state=stage, shows=shows, stage=stage)

    @precondition(lambda self: self.model.run == "working" and self.model.wish is None)
    @rule(why=some.sampled_from(["findings", "fatal", "guard"]))
    def worker_holds_it(self, why: str) -> None:
        self.model.run, self.model.held = "held", why
        self.model.show("validationError")
        self.house.work(self.profile, state="held", shows="validationError", held_for=why)

    @precondition(lambda self: self.model.run == "working" and self.model.wish is None)
    @rule(ending=some.sampled_from(ENDINGS))
    def worker_ends_it(self, ending: str) -> None:
        self.model.run = self.model.held = self.model.stage = None
        self.model.ending = ending
        self.model.show(ending)
        summary = f'{{"status": "{ending}"}}'
        self.house.work(self.profile, state="done", shows=ending, ended=self.house.clock(), summary=summary)

    @precondition(lambda self: self.model.wish is not None)
    @rule()
    def worker_heeds_the_wish(self) -> None:
        wish, self.model.wish = self.model.wish, None
        if wish == "pause":
            self.model.run = "paused"
        elif str(wish).startswith("cancel"):
            self.model.cancelled(pause=wish == "cancel, pause")
        else:
            self.model.again()
            if wish == "reset, pause":
                self.model.pause()
        self.house.heeds(self.profile)

    # --- what must always be so ---

    @invariant()
    def what_is_shown_is_what_should_be(self) -> None:
        if not hasattr(self, "profile"):
            return
        status = self.house.status(self.profile)
        assert (status.status, status.own_status) == (self.model.shown, self.model.own)

    @invariant()
    def a_change_has_a_new_version(self) -> None:
        if not hasattr(self, "profile"):
            return
        status = self.house.status(self.profile)
        if status.version == self.seen.version:
            assert status == self.seen
        assert status.version >= self.seen.version
        self.seen = status

    @invariant()
    def at_most_one_run_is_open(self) -> None:
        if not hasattr(self, "profile"):
            return
        with self.house.control.read() as connection:
            own = (runs.c.profile == self.profile) & runs.c.ended.is_(None)
            found = connection.execute(select(func.count()).select_from(runs).where(own)).scalar_one()
        assert found == (self.model.run is not None)


def test_no_walk_leaves_the_model(house: Any) -> None:
    """Whatever order people, programs and the worker act in, status and runs are where the rules put them."""
    Walk.house = house
    run_state_machine_as_test(Walk, settings=settings(max_examples=60, stateful_step_count=40))
