"""A profile from its creation until it is gone, and what each state allows."""

from __future__ import annotations

import shutil
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from schoolsync.errors import Conflict, Invalid, NotFound, PreconditionFailed
from schoolsync.profiles import status
from schoolsync.profiles.housekeeping import BELONGINGS
from schoolsync.profiles.states import must_be_startable
from schoolsync.store import control_tables
from schoolsync.store.control_tables import profiles, runs, secrets

EXPIRED = "2026-03-01"
TENANT = "00000000-0000-0000-0000-000000000007"


def _folder(house: Any, profile: str) -> Path:
    return Path(house.settings.objects, "tenants", TENANT, "profiles", profile)


def _set_state(house: Any, profile: str, state: str) -> None:
    with house.control.write() as connection:
        connection.execute(update(profiles).where(profiles.c.id == profile).values(state=state))


def _ways(house: Any, profile: str, body: dict[str, Any]) -> dict[str, Any]:
    """Every request that changes something, by name."""
    service, by, now, always = house.profiles, house.admin, house.clock(), house.always
    return {
        "put": lambda: service.replace(by, profile, body, condition=always, now=now),
        "patch": lambda: service.change(by, profile, {"displayName": "Alta"}, condition=always, now=now),
        "pause": lambda: service.pause(by, profile, now=now),
        "resume": lambda: service.resume(by, profile, now=now),
        "reset": lambda: service.reset(by, profile, now=now),
        "report": lambda: house.patch(profile, status="success"),
        "clear": lambda: service.clear_status(by, profile, condition=always),
        "add error": lambda: service.add_error(by, profile, {}, now=now),
        "delete": lambda: service.delete(by, profile, condition=always, now=now),
    }


ALLOWED = {
    "provisioning": {"put", "patch", "report", "clear", "add error", "delete"},
    "provisioned": {"put", "patch", "pause", "resume", "reset", "report", "clear", "add error", "delete"},
    "provisioningFailed": {"put", "patch", "report", "clear", "add error", "delete"},
    "deletionFailed": {"report", "clear", "add error", "delete"},
    "deleting": {"delete"},
}


@pytest.mark.parametrize("state", list(ALLOWED))
def test_a_state_allows_what_it_allows(house: Any, csv_body: dict[str, Any], state: str) -> None:
    """Each state takes the requests that make sense in it and refuses the others as a conflict."""
    for name in _ways(house, "", csv_body):
        profile = house.made()
        _set_state(house, profile, state)
        if name in ALLOWED[state]:
            _ways(house, profile, csv_body)[name]()
        else:
            with pytest.raises(Conflict, match=state):
                _ways(house, profile, csv_body)[name]()


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("provisioning", "wait until its state is provisioned"),
        ("provisioningFailed", "replace the profile with PUT"),
        ("deleting", "can no longer be started"),
        ("deletionFailed", "can no longer be started"),
    ],
)
def test_who_cannot_start_yet_is_told_whether_it_ever_can(state: str, words: str) -> None:
    """Nobody is told to wait for a profile that is going away."""
    with pytest.raises(Conflict, match=words):
        must_be_startable(state)


def test_a_new_profile_is_provisioned_by_itself(house: Any, csv_body: dict[str, Any]) -> None:
    """Created as provisioning, provisioned soon after, with a private folder and a status that waits for files."""
    row = house.profiles.create(house.admin, csv_body, now=house.clock())
    assert row.state == "provisioning"
    assert house.status(row.id).status is None
    assert house.sweep()
    assert house.row(row.id).state == "provisioned"
    assert stat.S_IMODE(_folder(house, row.id).stat().st_mode) == 0o700
    assert not house.sweep()
    assert house.open_run(row.id) is None


def test_a_profile_that_fetches_begins_by_itself(house: Any, oneroster_body: dict[str, Any]) -> None:
    """The first run of a OneRoster profile begins once it is provisioned, and only the first."""
    profile = house.made(oneroster_body)
    assert house.open_run(profile).number == 1
    house.work(profile, state="failed", shows="error", ended=house.clock())
    house.profiles.replace(house.admin, profile, oneroster_body, condition=house.always, now=house.clock())
    house.sweep()
    assert house.row(profile).state == "provisioned"
    assert house.open_run(profile) is None
    assert house.status(profile).status == "error"


def test_storage_that_cannot_be_made_fails_the_provisioning(house: Any, csv_body: dict[str, Any]) -> None:
    """Where no folder can be made the profile says so; once it can, a PUT provisions it."""
    house.settings.objects.write_text("in the way")
    row = house.profiles.create(house.admin, csv_body, now=house.clock())
    house.sweep()
    assert house.row(row.id).state == "provisioningFailed"
    assert "storage" in house.status(row.id).status_message
    house.settings.objects.unlink()
    house.profiles.replace(house.admin, row.id, csv_body, condition=house.always, now=house.clock())
    house.sweep()
    assert house.row(row.id).state == "provisioned"


@pytest.mark.parametrize(
    ("members", "state"),
    [
        ({}, "provisioned"),
        ({"displayName": "Alta"}, "provisioned"),
        ({"displayName": "Nordkapp"}, "provisioned"),
        ({"expirationDate": "2026-12-31"}, "provisioning"),
        ({"displayName": "Alta", "handleSpecialCharacterConstraint": True}, "provisioning"),
    ],
)
def test_a_patch_provisions_again_when_more_than_the_name_changes(
    house: Any, members: dict[str, Any], state: str
) -> None:
    """Another name, or nothing new, leaves the profile provisioned."""
    profile = house.made()
    before = house.row(profile)
    after = house.profiles.change(house.admin, profile, members, condition=house.always, now=house.clock())
    assert after.state == state
    changed = after.display_name != before.display_name or state == "provisioning"
    assert (after.version > before.version) == changed


def test_configuring_leaves_the_status_alone(house: Any, csv_body: dict[str, Any]) -> None:
    """PUT and PATCH change the profile, not how its synchronizing goes."""
    profile = house.made()
    house.ran(profile, "error")
    before = house.status(profile)
    house.profiles.replace(house.admin, profile, csv_body, condition=house.always, now=house.clock())
    house.profiles.change(house.admin, profile, {"displayName": "Alta"}, condition=house.always, now=house.clock())
    house.sweep()
    assert house.status(profile) == before


def test_a_body_may_name_its_own_id_alone(house: Any, csv_body: dict[str, Any]) -> None:
    """The id of the profile itself is fine in any letter case; another one is refused."""
    profile = house.made()
    same = {**csv_body, "id": profile.upper()}
    house.profiles.replace(house.admin, profile, same, condition=house.always, now=house.clock())
    with pytest.raises(Invalid) as caught:
        house.profiles.change(house.admin, profile, {"id": "x"}, condition=house.always, now=house.clock())
    assert caught.value.target == "id"


def test_a_profile_goes_with_everything_that_is_its_own(house: Any, oneroster_body: dict[str, Any]) -> None:
    """After DELETE the profile is deleting, then gone: files, secrets, runs and errors with it."""
    profile = house.made(oneroster_body)
    other = house.made(oneroster_body)
    house.profiles.add_error(house.admin, profile, {"entry_type": "Student"}, now=house.clock())
    folder = _folder(house, profile)
    (folder / "uploads").mkdir()
    (folder / "uploads" / "student.csv").write_text("SIS ID")
    house.profiles.delete(house.admin, profile, condition=house.always, now=house.clock())
    assert house.row(profile).state == "deleting"
    house.sweep()
    with pytest.raises(NotFound):
        house.row(profile)
    assert not folder.exists()
    assert house.row(other).state == "provisioned"
    with house.control.read() as connection:
        for table in BELONGINGS:
            left = connection.execute(select(func.count()).where(table.c.profile == profile)).scalar_one()
            assert left == 0, table.name
    assert list(house.secrets(other).values()) == ["hush-hush"]


def test_whatever_belongs_to_a_profile_is_forgotten_with_it() -> None:
    """Every table of the control database that holds rows of a profile is on the list of what goes.

    Previews are not: each goes with its own files and rows as soon as its profile is gone (runs.retention).
    """
    own = {
        table.name for table in control_tables.control.tables.values() if "profile" in table.c and "tenant" in table.c
    }
    assert {table.name for table in BELONGINGS} == own - {"previews"}


def test_a_run_at_work_is_put_down_before_its_profile_goes(house: Any) -> None:
    """A deletion waits until the worker has let go of the run; nothing is lost half-way."""
    profile = house.made()
    house.begin(profile)
    house.work(profile, state="applying", shows="inProgress")
    house.profiles.delete(house.admin, profile, condition=house.always, now=house.clock())
    assert not house.sweep()
    assert house.row(profile).state == "deleting"
    assert house.open_run(profile).wish == "cancel"
    house.puts_down(profile, state="cancelled", ended=house.clock())
    assert house.sweep()
    with pytest.raises(NotFound):
        house.row(profile)


@pytest.mark.parametrize("state", ["queued", "paused", "held"])
def test_a_waiting_run_does_not_keep_its_profile(house: Any, state: str) -> None:
    """A run that no worker has is ended at once."""
    profile = house.made()
    house.begin(profile)
    house.work(profile, state=state, shows="inProgress")
    house.profiles.delete(house.admin, profile, condition=house.always, now=house.clock())
    assert house.sweep()
    with pytest.raises(NotFound):
        house.row(profile)


def test_files_that_cannot_be_deleted_fail_the_deletion(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed deletion says so and can be asked for again."""
    profile = house.made()
    house.profiles.delete(house.admin, profile, condition=house.always, now=house.clock())

    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", refuse)
        house.sweep()
    assert house.row(profile).state == "deletionFailed"
    assert "Permission denied" in house.status(profile).status_message
    house.profiles.delete(house.admin, profile, condition=house.always, now=house.clock())
    house.sweep()
    with pytest.raises(NotFound):
        house.row(profile)


def test_a_number_never_comes_back(house: Any) -> None:
    """The number that directory rows know a profile by is not given to another one, even when the profile is gone."""
    made = [house.made() for _ in range(3)]
    assert house.numbers() == [1, 2, 3]
    for profile in (made[2], made[1]):
        house.profiles.delete(house.admin, profile, condition=house.always, now=house.clock())
        house.sweep()
    house.made()
    assert house.numbers() == [1, 4]
    for profile in list(made[:1]):
        house.profiles.delete(house.admin, profile, condition=house.always, now=house.clock())
        house.sweep()
    house.made()
    assert house.numbers() == [4, 5]


def test_numbers_stay_apart_under_pressure(house: Any, csv_body: dict[str, Any]) -> None:
    """Profiles that are created at the same time each get a number of their own."""
    start = threading.Barrier(8)

    def create() -> None:
        start.wait()
        house.profiles.create(house.admin, csv_body, now=house.clock())

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert house.numbers() == list(range(1, 9))


def test_an_expired_profile_pauses_and_says_why(house: Any) -> None:
    """On its last day a profile pauses by itself, a run at work with it, and stays paused until the date moves."""
    profile = house.made()
    house.begin(profile)
    house.work(profile, state="applying", shows="inProgress")
    house.profiles.change(house.admin, profile, {"expirationDate": EXPIRED}, condition=house.always, now=house.clock())
    house.sweep()  # provisioned again
    assert house.sweep()
    after = house.status(profile)
    assert (after.status, house.open_run(profile).wish) == ("paused", "pause")
    assert EXPIRED in after.status_message
    assert not house.sweep()
    for way in (house.profiles.resume, house.profiles.reset):
        with pytest.raises(Conflict, match=EXPIRED):
            way(house.admin, profile, now=house.clock())
    house.profiles.change(house.admin, profile, {"expirationDate": None}, condition=house.always, now=house.clock())
    house.sweep()
    house.profiles.resume(house.admin, profile, now=house.clock())
    assert house.status(profile).status == "inProgress"


def test_the_last_day_begins_at_midnight(house: Any) -> None:
    """A profile works until its expiration date begins, in UTC."""
    profile = house.made()
    house.profiles.change(
        house.admin, profile, {"expirationDate": "2026-03-03"}, condition=house.always, now=house.clock()
    )
    house.sweep()
    house.clock.step(16 * 3600 - 1)
    assert not house.sweep()
    house.clock.step()
    assert house.sweep()
    assert house.status(profile).status == "paused"


def test_an_expired_profile_does_not_begin(house: Any, oneroster_body: dict[str, Any]) -> None:
    """A profile that is created on its last day is provisioned and paused, not begun."""
    profile = house.made({**oneroster_body, "expirationDate": EXPIRED})
    house.sweep()
    assert house.open_run(profile) is None
    assert house.status(profile).status == "paused"


def test_a_secret_is_kept_apart_and_goes_when_it_is_taken_away(house: Any, oneroster_body: dict[str, Any]) -> None:
    """The secret is in a table of its own; a write without it keeps it, null removes it."""
    profile = house.made(oneroster_body)
    assert "hush" not in house.row(profile).data_provider
    provider = {"@odata.type": oneroster_body["dataProvider"]["@odata.type"], "schoolsIds": ["1"]}
    by, always, now = house.admin, house.always, house.clock()
    house.profiles.change(by, profile, {"dataProvider": provider}, condition=always, now=now)
    assert house.secrets(profile) == {"dataProvider/connectionSettings/clientSecret": "hush-hush"}
    settings = {**oneroster_body["dataProvider"]["connectionSettings"], "clientSecret": None}
    provider["connectionSettings"] = settings
    version = house.row(profile).version
    after = house.profiles.change(by, profile, {"dataProvider": provider}, condition=always, now=now)
    assert after.version > version
    with house.control.read() as connection:
        assert connection.execute(select(func.count()).select_from(secrets)).scalar_one() == 0


def test_an_old_version_is_not_written_over(house: Any, csv_body: dict[str, Any]) -> None:
    """A conditional request on an older version changes nothing, whichever request it is."""
    profile = house.made()

    def refuse(_version: int) -> None:
        raise PreconditionFailed("It has changed.")

    before = house.row(profile)
    error = house.profiles.add_error(house.admin, profile, {}, now=house.clock()).id
    by, now = house.admin, house.clock()
    for way in (
        lambda: house.profiles.replace(by, profile, csv_body, condition=refuse, now=now),
        lambda: house.profiles.change(by, profile, {"displayName": "Alta"}, condition=refuse, now=now),
        lambda: house.profiles.delete(by, profile, condition=refuse, now=now),
        lambda: house.profiles.clear_status(by, profile, condition=refuse),
        lambda: house.profiles.change_error(by, profile, error, {"error_code": "x"}, condition=refuse),
        lambda: house.profiles.delete_error(by, profile, error, condition=refuse),
    ):
        with pytest.raises(PreconditionFailed):
            way()
    assert house.row(profile) == before


def test_another_tenant_finds_no_profile(house: Any, csv_body: dict[str, Any]) -> None:
    """Whatever a stranger asks of a profile, it does not exist for them."""
    profile = house.made()
    error = house.profiles.add_error(house.admin, profile, {}, now=house.clock()).id
    before = house.row(profile)
    mine, house.admin = house.admin, house.person("00000000-0000-0000-0000-00000000beef")
    for way in _ways(house, profile, csv_body).values():
        with pytest.raises(NotFound):
            way()
    stranger, house.admin = house.admin, mine
    with pytest.raises(NotFound):
        house.profiles.change_error(stranger, profile, error, {}, condition=house.always)
    with pytest.raises(NotFound):
        house.profiles.delete_error(stranger, profile, error, condition=house.always)
    assert house.row(profile) == before


def test_an_error_belongs_to_its_profile(house: Any) -> None:
    """An error is found under its own profile and under no other."""
    one, other = house.made(), house.made()
    error = house.profiles.add_error(house.admin, one, {"error_code": "None"}, now=house.clock())
    assert (error.recorded, error.run) == (house.clock(), None)
    with pytest.raises(NotFound):
        house.profiles.delete_error(house.admin, other, error.id, condition=house.always)
    changed = house.profiles.change_error(house.admin, one, error.id, {"joining_value": "x"}, condition=house.always)
    assert (changed.error_code, changed.joining_value, changed.version) == ("None", "x", 2)
    house.profiles.delete_error(house.admin, one, error.id, condition=house.always)
    with house.control.read() as connection, pytest.raises(NotFound):
        house.profiles.find_error(connection, house.admin.tenant, one, error.id)


def test_a_reset_forgets_errors(house: Any) -> None:
    """Reset deletes the profile's errors, forgives what failed, begins again from the last files; no more changes."""
    profile = house.made()
    house.uploads.sealed[profile] = "earlier"
    house.ran(profile, "error")
    house.profiles.add_error(house.admin, profile, {}, now=house.clock())
    before = house.row(profile)._asdict()
    house.profiles.reset(house.admin, profile, now=house.clock())
    assert (house.status(profile).status, house.status(profile).error_count) == ("inProgress", 0)
    with house.control.read() as connection:
        assert connection.execute(select(func.count()).select_from(control_tables.errors)).scalar_one() == 0
        run = connection.execute(select(runs).where(runs.c.ended.is_(None))).one()
    assert (run.upload, run.cause) == ("earlier", "reset")
    assert house.row(profile)._asdict() == before | {"forgiven": house.clock()}


def test_a_start_that_came_to_nothing_leaves_no_trace(house: Any) -> None:
    """What a discarded start had recorded is taken back; what a caller wrote meanwhile stays."""
    profile = house.made()
    house.ran(profile, "error")
    house.patch(profile, status="success")
    before = house.status(profile)
    house.clock.step()
    house.begin(profile)
    house.patch(profile, last_synchronization=77)
    with house.control.write() as connection:
        columns = {name: getattr(before, name) for name in status.initial("")}
        status.restore(connection, tenant=house.admin.tenant, profile=profile, before=columns)
    after = house.status(profile)
    assert after.last_synchronization == 77
    for name in ("status", "own_status", "status_message", "error_count"):
        assert getattr(after, name) == getattr(before, name)
