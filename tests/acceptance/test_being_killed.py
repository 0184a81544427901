"""kill -9 of every process of the server in the middle of a run: it finishes by itself, with the right result."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from schoolsync.testing import rosters

from ..disks import full, small
from .conftest import another_database
from .house import Profile, Server, Tenant, put_blob, serving, until
from .own import own

pytestmark = pytest.mark.xdist_group("killed")

TENANT = "5d7c3b1e-0000-4000-8000-00000000abcd"  # one tenant everywhere: object ids are made from it
PEOPLE, CLASSES, ENROLLMENTS = 3000, 300, 15_000
LINKS = {
    "school_classes": ("schools", "school", "classes", "class", ""),
    "school_people": ("schools", "school", "people", "person", ""),
    "class_people": ("classes", "class", "people", "person", ", link.member, link.teacher"),
}
PRIVATE = {"tenant", "key", "profile", "created", "changed", "position", "left_at"}
"""Columns that may differ between two installations: local keys, times, and in which transaction something came."""
UNGUARDED = {"guards": {"removalPercent": 100, "classPercent": 100, "updatePercent": 100, "schoolGone": False}}
"""So much changes at once that a profile's usual limits would hold the run."""


@pytest.fixture(scope="module")
def roster(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("roster")
    rosters.write(folder, people=PEOPLE, classes=CLASSES, enrollments=ENROLLMENTS, seed=7)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def later(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The same district some weeks later: a fifth of it has changed."""
    folder = tmp_path_factory.mktemp("later")
    rosters.write(folder, people=PEOPLE, classes=CLASSES, enrollments=ENROLLMENTS, seed=7, churn=0.2)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def undisturbed(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    roster: dict[str, bytes],
    later: dict[str, bytes],
    database: dict[str, object],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the directory holds after the first and after the second sync when nobody disturbs them."""
    with (
        another_database(request, database) as own,
        serving(tmp_path_factory.mktemp("undisturbed"), settings=own) as server,
    ):
        profile = unguarded(server)
        assert profile.sync(roster)["status"] == "success"
        first = contents(server)
        assert profile.sync(later)["status"] == "success"
        return first, contents(server)


@pytest.fixture
def fragile(tmp_path: Path, fresh_database: dict[str, object]) -> Iterator[Server]:
    """A server of its own for a test that kills it; its batches are small, so that there is time to."""
    with serving(tmp_path, settings={"batch_rows": 250} | fresh_database) as running:
        yield running


def contents(server: Server) -> dict[str, Any]:
    """Every object and link of the directory, without what is local to one installation."""
    found: dict[str, Any] = {}
    for kind in ("schools", "classes", "people"):
        names, rows = server.rows(TENANT, f"SELECT * FROM {kind} ORDER BY id")
        kept = [place for place, name in enumerate(names) if name not in PRIVATE]
        found[kind] = [tuple(row[place] for place in kept) for row in rows]
    for name, (left, left_key, right, right_key, more) in LINKS.items():
        found[name] = server.select(
            TENANT,
            f"SELECT a.id, b.id{more} FROM {name} AS link "
            f'JOIN {left} AS a ON (a.tenant, a.key) = (link.tenant, link."{left_key}") '
            f'JOIN {right} AS b ON (b.tenant, b.key) = (link.tenant, link."{right_key}") ORDER BY 1, 2',
        )
        assert found[name]
    return found


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Compared set by set, and told by a few rows: pytest's own comparison of so many takes minutes."""
    for kind, rows in expected.items():
        missing, more = set(rows) - set(found[kind]), set(found[kind]) - set(rows)
        told = (kind, len(missing), sorted(missing, key=str)[:3], sorted(more, key=str)[:3])
        assert not missing, told
        assert not more, told
    assert found == expected, "the same rows, but not as often"


def ledger(server: Server) -> list[tuple[Any, ...]]:
    return server.select(TENANT, "SELECT run, batch, rows, position FROM batches ORDER BY position")


def check_ledger(server: Server, runs: int) -> None:
    """Each run's batches are 0, 1, 2 … without gap or repetition, each one transaction, all rows of the plan."""
    rows = ledger(server)
    by_run: dict[str, list[int]] = {}
    for run, batch, _, _ in rows:
        by_run.setdefault(run, []).append(batch)
    assert len(by_run) == runs
    for batches in by_run.values():
        assert batches == list(range(len(batches))), "in order, no gap, no repetition"
    positions = [position for *_, position in rows]
    assert len(set(positions)) == len(positions), "every batch is a transaction of its own"
    assert server.select(TENANT, "SELECT max(position) FROM positions")[0][0] >= positions[-1]
    for run, batches in by_run.items():
        ((state, done, total),) = server.control("SELECT state, rows_done, rows_total FROM runs WHERE id = ?", run)
        assert state == "done"
        assert done == total == sum(row[2] for row in rows if row[0] == run), json.dumps(batches)


def unguarded(server: Server) -> Profile:
    tenant = Tenant(server, TENANT)
    profile = tenant.profile()
    own(tenant, "admin")("PATCH", f"/profiles/{profile.id}/settings", UNGUARDED, expect=200)
    return profile


def begin(server: Server, roster: dict[str, bytes]) -> Profile:
    profile = Tenant(server, TENANT).profile()
    profile.upload(roster)
    profile.start()
    return profile


def wait_for_batches(server: Server, more_than: int) -> int:
    """How many batches are written, once there are more than that."""
    return until(
        "batches are being applied", lambda: (n := len(ledger(server))) > more_than and n, pause=0.005, seconds=60
    )


def caught(profile: Profile) -> None:
    assert profile.status()["status"] == "inProgress", "caught too late: the roster is too small for this machine"


@pytest.mark.nightly("api", "serve alone")
@pytest.mark.parametrize("victim", ["engine", "worker", "api", "everything", "serve alone"])
def test_a_run_survives_the_death_of(
    fragile: Server,
    roster: dict[str, bytes],
    undisturbed: tuple[dict[str, Any], dict[str, Any]],
    victim: str,
) -> None:
    """Killed while it applies, the run goes on by itself and ends as if nothing had happened.

    An engine that is frozen when its worker dies, perhaps in the middle of a batch, never wakes up to write it.
    """
    profile = begin(fragile, roster)
    wait_for_batches(fragile, 4)
    caught(profile)
    written = len(ledger(fragile))
    frozen: list[psutil.Process] = []
    if victim == "everything":
        fragile.kill()
        fragile.start()
    elif victim == "serve alone":
        fragile.kill_top()
        fragile.start()
    else:
        victims = fragile.those(victim)
        assert victims
        frozen += fragile.those("engine") if victim == "worker" else []
        for process in frozen:
            process.suspend()
        for process in victims:
            process.kill()
    # Whatever was killed, on either database: with the settings as they come it goes on within half a minute.
    until("it goes on", lambda: len(ledger(fragile)) > written or settled(profile), seconds=30, pause=0.1)
    final = until("the run ends", lambda: settled(profile), seconds=90, pause=0.1)
    assert final["status"] == "success", final
    assert not any(process.is_running() for process in frozen)
    check_ledger(fragile, runs=1)
    assert_same(contents(fragile), undisturbed[0])


def settled(profile: Profile) -> Any:
    """The final status, or None while the run works or the API is being restarted."""
    try:
        status = profile.status()
    except httpx.TransportError:
        return None
    return None if status["status"] in {"extracting", "validating", "inProgress"} else status


@pytest.mark.nightly
def test_a_second_run_survives_too(
    fragile: Server,
    roster: dict[str, bytes],
    later: dict[str, bytes],
    undisturbed: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    """A run that changes, removes and adds is killed whole, twice, and ends like an undisturbed one."""
    profile = unguarded(fragile)
    assert profile.sync(roster)["status"] == "success"
    before = len(ledger(fragile))
    profile.upload(later)
    profile.start()
    seen = wait_for_batches(fragile, before + 1)
    fragile.kill()
    assert len(ledger(fragile)) >= seen
    fragile.start()
    if settled(profile) is None:
        wait_for_batches(fragile, seen)
        fragile.kill()
        fragile.start()
    final = until("the run ends", lambda: settled(profile), seconds=90, pause=0.1)
    assert final["status"] == "success", final
    check_ledger(fragile, runs=2)
    assert_same(contents(fragile), undisturbed[1])
    again = profile.sync(later)
    assert again["status"] == "success"
    assert_same(contents(fragile), undisturbed[1])


@pytest.mark.nightly
def test_a_run_killed_again_and_again_arrives(
    fragile: Server, roster: dict[str, bytes], undisturbed: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    """The whole process group is killed at every stage, from before the verification to between batches."""
    profile = Tenant(fragile, TENANT).profile()
    profile.upload(roster)
    with contextlib.suppress(httpx.ReadTimeout):  # nobody waits for the answer: the server will not live that long
        fragile.http.post(
            f"{fragile.base}/v1.0/education{profile.path}/start",
            headers={"Authorization": f"Bearer {profile.api.token}"},
            timeout=0.05,
        )
    for delay in (0.0, 0.3, 0.6):
        until_after = until("time passes", _timer(delay))
        assert until_after
        fragile.kill()
        fragile.start()
    if profile.status()["status"] is None:  # the request itself did not arrive: whoever got no answer asks again
        profile.start()
    for _ in range(3):
        applied = len(ledger(fragile)) + 2
        # On a busy machine everything may be there before we look.
        until("two batches more, or all", lambda at=applied: settled(profile) or len(ledger(fragile)) >= at)
        fragile.kill()
        fragile.start()
    final = until("the run ends", lambda: settled(profile), seconds=90, pause=0.1)
    assert final["status"] == "success", final
    check_ledger(fragile, runs=1)
    assert_same(contents(fragile), undisturbed[0])


def _timer(seconds: float) -> Any:
    import time

    end = time.monotonic() + seconds
    return lambda: time.monotonic() >= end


def test_sigterm_in_the_middle_ends_it_within_ten_seconds(
    fragile: Server, roster: dict[str, bytes], undisturbed: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    """SIGTERM during a sync is a clean end; the next start finishes the sync."""
    profile = begin(fragile, roster)
    wait_for_batches(fragile, 4)
    caught(profile)
    assert fragile.stop() < 10
    written = len(ledger(fragile))
    fragile.start()
    final = until("the run ends", lambda: settled(profile), seconds=90, pause=0.1)
    assert final["status"] == "success", final
    assert len(ledger(fragile)) > written
    check_ledger(fragile, runs=1)
    assert_same(contents(fragile), undisturbed[0])


def test_a_run_outlives_a_full_disk(
    fragile: Server, roster: dict[str, bytes], undisturbed: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    """The worker cannot write a byte for a while, not even that it failed; later the run goes on by itself."""
    profile = begin(fragile, roster)
    wait_for_batches(fragile, 4)
    caught(profile)
    (worker,) = fragile.those("worker")
    before = worker.rlimit(psutil.RLIMIT_FSIZE)
    at_work = fragile.those("engine")
    worker.rlimit(psutil.RLIMIT_FSIZE, (0, before[1]))  # what the kernel answers then is an error, as on a full disk
    until("the attempt has ended", lambda: not any(engine.is_running() for engine in at_work))
    assert profile.status()["status"] == "inProgress"
    worker.rlimit(psutil.RLIMIT_FSIZE, before)
    final = until("the run ends", lambda: settled(profile), seconds=90, pause=0.1)
    assert final["status"] == "success", final
    assert [process.pid for process in fragile.those("worker")] == [worker.pid]
    check_ledger(fragile, runs=1)
    assert_same(contents(fragile), undisturbed[0])


@pytest.mark.nightly
def test_a_server_outlives_a_full_disk(
    tmp_path: Path, roster: dict[str, bytes], undisturbed: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    """Files, status reports and runs are refused with 503 or wait, and everything goes on once there is room."""
    with small(tmp_path / "data", megabytes=96), serving(tmp_path, settings={"batch_rows": 250}) as server:
        profile = Tenant(server, TENANT).profile()
        container = profile.api.get(f"{profile.path}/uploadUrl")["value"]
        report, told = {"status": "error", "errorCount": 3}, f"{profile.path}/profileStatus"
        with full(server.data):
            answer = put_blob(server, container, "School.csv", bytes(100_000))
            assert (answer.status_code, answer.headers["x-ms-error-code"]) == (503, "ServerBusy")
            answer = profile.api("PATCH", told, report)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        profile.api("PATCH", told, report, expect=200)
        profile.upload(roster)
        profile.start()
        wait_for_batches(server, 4)
        caught(profile)
        with full(server.data):
            written = until("nothing is written any more", lambda: stands_still(server))
        assert_arrives(profile)
        assert len(ledger(server)) > written
        assert_same(contents(server), undisturbed[0])


def assert_arrives(profile: Profile) -> None:
    """The run ends well by itself; one that had given up says when it is tried again, and does well when told to."""
    final = until("the run ends, or says why not", lambda: settled(profile), seconds=90, pause=0.1)
    if final["status"] == "error":
        assert "Tried again at" in final["statusMessage"]
        own(profile.tenant, "operator")("POST", f"/profiles/{profile.id}/restart", {"scope": "failedItems"})
        final = until("the run ends", lambda: (s := settled(profile)) and s["status"] == "success" and s)
    assert final["status"] == "success", final


def stands_still(server: Server) -> int:
    """How many batches there are, when there are no more of them a moment later."""
    before = len(ledger(server))
    try:
        until("another batch", lambda: len(ledger(server)) > before, seconds=1.5)
    except AssertionError:
        return before
    return 0


def test_what_was_reported_survives_too(fragile: Server) -> None:
    """A PATCH that was answered 200 is there after kill -9, and so are an upload and a profile."""
    tenant = Tenant(fragile, TENANT)
    profile = tenant.profile()
    profile.upload({"School.csv": "SIS ID,Name\r\n1,One\r\n"})
    body = {"status": "error", "errorCount": 3, "lastSynchronizationDateTime": "2026-01-01T00:00:00.1234567Z"}
    profile.api("PATCH", f"{profile.path}/profileStatus", body, expect=200)
    fragile.kill()
    fragile.start()
    status = profile.status()
    assert {name: status[name] for name in body} == body
    missing = {item["fileName"] for item in profile.start(expect=400)["value"]}
    assert "school.csv" not in missing
    assert "student.csv" in missing
