"""What the world does to a server: clocks that are put forward and back, and callers who all press the same button."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from schoolsync.access.roles import ACCESS

from .house import Json, Server, Tenant, put_blob, serving, until
from .own import own
from .rosters import DISTRICT, Roster

pytestmark = pytest.mark.xdist_group("own-api")

SMALLER = DISTRICT.without("students", SIS_ID="3003").without("enrollments", SIS_ID="3003")


@pytest.fixture(scope="module")
def turned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose clock can be turned. A folder of its files cannot be looked into."""
    folder = tmp_path_factory.mktemp("turned")
    fails = folder / "data" / "objects" / "tenants" / "t" / "profiles" / "p" / "uploads"
    fails.parent.mkdir(parents=True)
    fails.symlink_to(fails)
    with serving(folder, options=["--faults"]) as running:
        yield running


def test_a_folder_that_cannot_be_looked_into_stops_nothing(turned: Server) -> None:
    """Who tidies up says so in the log, and goes on with what it is there for."""
    assert Tenant(turned).profile().sync(DISTRICT.files())["status"] == "success"
    log = turned.log.read_text("utf-8")
    assert "a file cannot be read or removed" in log
    assert "the worker process ended" not in log


@pytest.mark.nightly(-90)
@pytest.mark.parametrize("step", [-40 * 86_400, -90, 40 * 86_400])
def test_a_clock_that_is_put_back_or_forward_stops_nothing(turned: Server, step: int) -> None:
    """Between two syncs the clock jumps: the second is applied like any other, and so is a third."""
    tenant = Tenant(turned)
    profile = tenant.profile()
    token = turned.token(tenant.id, scope=ACCESS, roles=("schoolsync.admin",), user="admin@x.example")
    admin = {"Authorization": f"Bearer {token}"}
    assert profile.sync(DISTRICT.files())["status"] == "success"
    try:
        answer = turned.http.post(f"{turned.base}/faults/clock", json={"advance": step}, headers=admin)
        assert answer.status_code == 200, answer.text
        assert profile.sync(SMALLER.files())["status"] == "success"
        assert profile.sync(DISTRICT.files())["status"] == "success"
        people = tenant.server.select(tenant.id, "SELECT count(*) FROM people WHERE active")
        assert people == [(8,)]
    finally:
        turned.http.delete(f"{turned.base}/faults/clock", headers=admin)
    assert profile.sync(SMALLER.files())["status"] == "success"
    listed = own(tenant, "viewer").get(f"/profiles/{profile.id}/runs")["value"]
    assert [(run["number"], run["state"]) for run in listed] == [(4, "done"), (3, "done"), (2, "done"), (1, "done")]


@contextmanager
def days(tenant: Tenant, count: float) -> Iterator[None]:
    """Inside the block the server's clock is so many days ahead."""
    token = tenant.server.token(tenant.id, scope=ACCESS, roles=("schoolsync.admin",), user="admin@x.example")
    admin = {"Authorization": f"Bearer {token}"}
    url = f"{tenant.server.base}/faults/clock"
    assert tenant.server.http.post(url, json={"advance": count * 86_400}, headers=admin).status_code == 200
    try:
        yield
    finally:
        tenant.server.http.delete(url, headers=admin)


def test_an_approval_that_nobody_used_expires(turned: Server) -> None:
    """After three days a yes is worth nothing; a new one is."""
    tenant = Tenant(turned)
    profile = tenant.profile()
    path = f"/profiles/{profile.id}"
    person = own(tenant, "admin")
    person("PATCH", f"{path}/settings", {"guards": {"removalLeast": 0}}, expect=200)
    assert profile.sync(DISTRICT.files())["status"] == "success"
    assert profile.sync(SMALLER.files())["status"] == "validationError"
    run = person.get(f"{path}/runs?limit=1")["value"][0]
    url, plan = f"{path}/runs/{run['id']}", {"plan": run["plan"]}
    person("POST", f"{url}/approvals", {**plan, "school": "100"}, expect=201)
    with days(tenant, 3.01):
        assert "approve it first" in person.refusal("POST", f"{url}/apply", 409, plan)["message"]
        assert profile.status()["status"] == "validationError"
        person("POST", f"{url}/approvals", {**plan, "school": "100"}, expect=201)
        person("POST", f"{url}/apply", plan, expect=202)
        assert profile.wait()["status"] == "success"
    assert tenant.server.select(tenant.id, "SELECT source_id FROM people WHERE NOT active") == [("3003",)]


def test_windows_open_and_close_by_themselves(turned: Server) -> None:
    """In a blackout nothing is written; where only additions may come a removal waits; both end with their day."""
    tenant = Tenant(turned)
    profile = tenant.profile()
    admin, path = own(tenant, "admin"), f"/profiles/{profile.id}"
    assert profile.sync(DISTRICT.files())["status"] == "success"

    def between(kind: str, roster: Roster) -> tuple[Json, Json]:
        """Synchronize in a window of today and tomorrow: the status, and the run."""
        first, last = (f"{datetime.now(UTC) + timedelta(days=ahead):%Y-%m-%d}" for ahead in (0, 1))
        window = {"firstDay": first, "lastDay": last, "kind": kind}
        admin("PATCH", f"{path}/settings", {"windows": [window]}, expect=200)
        return profile.sync(roster.files()), admin.get(f"{path}/runs?limit=1")["value"][0]

    def seen() -> tuple[set[str], str]:
        """Who is inactive, and in which grade 3004 is."""
        rows = tenant.server.select(tenant.id, "SELECT source_id, active, student_grade FROM people")
        return {row[0] for row in rows if not row[1]}, next(row[2] for row in rows if row[0] == "3004")

    status, run = between("blackout", SMALLER.changed("students", "3004", Grade="8"))
    assert (status["status"], run["heldFor"], seen()) == ("paused", "window", (set(), "7"))
    with days(tenant, 2):
        until("the window is over", lambda: seen() == ({"3003"}, "8"))
        until("the run ends", lambda: admin.get(f"{path}/runs/{run['id']}")["state"] == "done")

    later = SMALLER.without("students", SIS_ID="3006").without("enrollments", SIS_ID="3006")
    status, run = between("additionsOnly", later.changed("students", "3004", Grade="9"))
    assert (status["status"], run["state"], seen()) == ("success", "done", ({"3003"}, "9"))
    deferred = admin.get(f"{path}/runs/{run['id']}/plan/steps?part=deferred")["value"]
    assert {(step["op"], step["memberSourceId"] or step["sourceId"]) for step in deferred} == {
        ("unlink", "3006"),
        ("remove", "3006"),
    }
    with days(tenant, 2):
        until("the window is over", lambda: seen() == ({"3003", "3006"}, "9"))
        until("the run ends", lambda: admin.get(f"{path}/runs?limit=1")["value"][0]["state"] == "done")


def test_ten_callers_start_the_same_profile_at_once(turned: Server) -> None:
    """All are answered alike, one run is made, and an upload in the middle of it is refused."""
    tenant = Tenant(turned)
    profile = tenant.profile()
    container = profile.api.get(f"{profile.path}/uploadUrl")["value"]
    profile.upload(DISTRICT.files())
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: profile.start(), range(10)))
    assert all(answer["value"] == answers[0]["value"] for answer in answers)
    late = put_blob(turned, container, "School.csv", "SIS ID,Name\r\n")
    assert late.status_code in {201, 409}, "refused while the run works; afterwards it belongs to the next one"
    assert profile.wait()["status"] == "success"
    runs = until("there are runs", lambda: own(tenant, "viewer").get(f"/profiles/{profile.id}/runs")["value"])
    assert [run["number"] for run in runs] == [1]
    assert tenant.server.select(tenant.id, "SELECT count(*) FROM people WHERE active") == [(8,)]
