"""What the world does to a server: clocks that are put forward and back, and callers who all press the same button."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from schoolsync.access.roles import ACCESS

from .house import Server, Tenant, put_blob, serving, until
from .own import own
from .rosters import DISTRICT

pytestmark = pytest.mark.xdist_group("own-api")

SMALLER = DISTRICT.without("students", SIS_ID="3003").without("enrollments", SIS_ID="3003")


@pytest.fixture(scope="module")
def turned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose clock can be turned."""
    with serving(tmp_path_factory.mktemp("turned"), options=["--faults"]) as running:
        yield running


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
