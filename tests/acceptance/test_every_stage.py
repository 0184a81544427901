"""A run that stands still at one of its stages, what people press meanwhile in any order, and what comes of it.

The model of the status machine says what a real server must show after every step and when the run has gone on.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as some

from schoolsync import fault_points
from schoolsync.testing import rosters

from ..profiles.test_status_machine import LATE, Model
from .house import PREFER, Profile, Server, Tenant, serving, until
from .own import own

pytestmark = pytest.mark.xdist_group("slow")

PRESSED = ("pause", "resume", "reset", "cancel", "paused", "inProgress", "success", "delete")
SAID = {"inProgress", "success", "paused"}
"""Of what is pressed: written into the status."""
CARELESS = {"guards": {"removalPercent": 100, "classPercent": 100, "updatePercent": 100, "windowDays": 0}}


@dataclass
class Stage:
    """A server that can be made to stand still, a profile of it, and two rosters in turns."""

    server: Server
    profile: Profile
    armed: Path
    turns: list[dict[str, bytes]]

    def stand_still(self, point: str) -> list[psutil.Process]:
        """Begin a run; the processes that stand once it has come so far."""
        self.armed.write_text(f"{point} freeze", "utf-8")
        self.profile.upload(self.turns[1])
        self.profile.start()
        return until(f"it stands at {point}", self.standing)

    def standing(self) -> list[psutil.Process]:
        return [one for one in self.server.processes() if _stands(one)]


def _stands(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(process.status() == psutil.STATUS_STOPPED)
    return False


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("stage")
    turns = []
    for churn in (0.0, 0.3):
        rosters.write(folder / str(churn), people=60, classes=6, enrollments=240, churn=churn)
        turns.append({path.name: path.read_bytes() for path in (folder / str(churn)).iterdir()})
    armed = folder / "fault-point"
    variable = fault_points.VARIABLE.removeprefix("SCHOOLSYNC_").lower()
    with serving(folder / "server", settings={"batch_rows": 20, "start_wait": 0.1, variable: armed}) as server:
        profile = made(server)
        yield Stage(server, profile, armed, turns)


def made(server: Server) -> Profile:
    """A profile without guards."""
    profile = Tenant(server).profile()
    own(profile.tenant, "admin")("PATCH", f"/profiles/{profile.id}/settings", CARELESS, expect=200)
    return profile


@pytest.mark.nightly
@given(
    point=some.sampled_from(sorted(set(fault_points.POINTS) - {"worker-finished"})),
    pressed=some.lists(some.sampled_from(PRESSED), max_size=5),
)
@settings(
    max_examples=60,
    deadline=None,
    database=None,
    phases=[Phase.generate],  # every example takes the profile as the one before has left it
    suppress_health_check=list(HealthCheck),
)
def test_whatever_is_pressed_while_a_run_stands_still(stage: Stage, point: str, pressed: list[str]) -> None:
    """Every step is answered and shown as the model says, and so is what the run comes to when it goes on."""
    if stage.profile.api("GET", stage.profile.path).status_code == 404:  # the example before has deleted it
        stage.profile = made(stage.server)
    profile = stage.profile
    final = profile.sync(stage.turns[0])
    assert final["status"] == "success", final
    standing = stage.stand_still(point)
    try:
        gone = presses(stage, model := standing_model(stage, point), pressed)
    finally:
        for process in standing:
            process.send_signal(signal.SIGCONT)
    if gone:
        until("the profile is gone", lambda: profile.api("GET", profile.path).status_code == 404)
        return
    ends(stage, model, finishing=point == "engine-finish")
    settled = until("the run is put down", lambda: (s := profile.status()["status"]) not in (*LATE, "inProgress") and s)
    assert settled == model.shown
    if settled == "paused":
        profile.api("POST", f"{profile.path}/resume", expect=200)
        profile.wait()


def standing_model(stage: Stage, point: str) -> Model:
    """What is so while the run stands still."""
    profile = stage.profile
    ((state, reached),) = stage.server.control(
        "SELECT state, stage FROM runs WHERE profile = ? AND ended IS NULL", profile.id
    )
    note(f"{point}: {state}")
    shown = profile.status()["status"]
    return Model(own=shown, shown=shown, run="working", ending="success", sealed=True, stage=reached)


def presses(stage: Stage, model: Model, pressed: list[str]) -> bool:
    """Press one after the other and look; whether the profile is on its way out."""
    profile = stage.profile
    for one in pressed:
        note(one)
        if press(stage, model, one):
            return True
        assert (one, profile.status()["status"]) == (one, model.shown)
        profile.api("GET", f"{profile.path}/uploadUrl", expect=409)
    return False


def press(stage: Stage, model: Model, one: str) -> bool:
    """Do it, and have the model do it; whether the profile is on its way out."""
    profile = stage.profile
    if one == "delete":
        profile.api("DELETE", profile.path, expect=202)
        for refused in ("pause", "start", "reset"):
            profile.api("POST", f"{profile.path}/{refused}", expect=409)
        return True
    if one in SAID:
        allowed = model.patch(one, person=True)
        answer = profile.api("PATCH", f"{profile.path}/profileStatus", {"status": one}, headers=PREFER)
    elif one == "cancel":
        allowed = model.cancel()
        path = f"/profiles/{profile.id}/runs"
        operator = own(profile.tenant, "operator")
        number = operator.get(f"{path}?limit=1")["value"][0]["id"]
        answer = operator("POST", f"{path}/{number}/cancel", {})
    else:
        allowed = {"pause": model.pause, "reset": model.reset}.get(one, lambda: model.resume(person=True))()
        answer = profile.api("POST", f"{profile.path}/{one}")
    assert (one, answer.status_code in {200, 202}) == (one, allowed), answer.text
    assert allowed or re.search(r'"code": ?"Conflict"', answer.text)
    return False


def ends(stage: Stage, model: Model, *, finishing: bool) -> None:
    """What the model says of a run that goes on, with what was wished for."""
    wish, model.wish = model.wish or "", None
    if finishing:  # all of it is in the directory: there is nothing left to cancel
        model.run = model.stage = None
        model.show("success")
        if wish.startswith("reset"):
            model.again()
        elif wish == "cancel":
            wish = ""
    elif wish.startswith("cancel"):
        model.cancelled(pause=wish == "cancel, pause")
        return
    elif wish.startswith("reset"):
        model.again()
    if wish.endswith("pause"):
        model.pause() if model.run != "working" else model.show("paused")
    elif wish != "cancel":
        model.show("success")
