"""Throttling: who asks too often waits, nobody else does, and nothing was done meanwhile."""

import asyncio
import uuid
from contextlib import ExitStack

import httpx
import pytest
from sqlalchemy import select, update

from schoolsync.access.principal import Principal
from schoolsync.access.shared_throttle import SharedThrottle
from schoolsync.access.throttle import KEPT, Throttle
from schoolsync.errors import Forbidden, Throttled
from schoolsync.graph import app as graph_app
from schoolsync.graph.call import Reply, Services
from schoolsync.graph.routes import ROUTES, Route, routes_for
from schoolsync.settings import Settings
from schoolsync.store.control import open_control
from schoolsync.store.control_tables import allowances
from schoolsync.store.directories import Directories

from .conftest import TENANT, now


def caller(tenant=1, client="c", kind="application", *grants):
    return Principal(tenant=tenant, tenant_id=TENANT, kind=kind, grants=frozenset(grants), client=client)


class Watch:
    now = 0.0

    def __call__(self):
        return self.now


def test_so_many_in_so_long():
    """The allowance is used up, the wait is told truly, and it fills up evenly."""
    watch = Watch()
    throttle = Throttle(10, 20, monotonic=watch)
    for _ in range(10):
        throttle.check(caller())
    with pytest.raises(Throttled) as refused:
        throttle.check(caller())
    assert refused.value.seconds == 2
    watch.now += refused.value.seconds
    throttle.check(caller())
    with pytest.raises(Throttled):
        throttle.check(caller())
    watch.now += 1000
    for _ in range(10):
        throttle.check(caller())
    with pytest.raises(Throttled):
        throttle.check(caller())


def test_nobody_else_waits():
    """Another application, and the same one in another tenant, have allowances of their own."""
    throttle = Throttle(1, 10, monotonic=Watch())
    for other in (caller(), caller(tenant=2), caller(client="d")):
        throttle.check(other)
    with pytest.raises(Throttled):
        throttle.check(caller())


def test_off_and_bounded():
    """Without the setting nothing is counted; with it a crowd of callers costs bounded memory."""
    off = Throttle(0, 10)
    for _ in range(100):
        off.check(caller())
    assert not off._allowances
    watch = Watch()
    throttle = Throttle(5, 10, monotonic=watch)
    for number in range(KEPT + 100):
        throttle.check(caller(client=str(number)))
    assert len(throttle._allowances) <= KEPT


def test_processes_that_share_a_database_count_together(postgresql):
    """Two of them let through what one would, whoever is asked; nobody else waits, and full allowances leave no row."""
    with postgresql.database() as url, ExitStack() as stack:
        controls = [open_control(Settings(database_url=url)) for _ in range(2)]
        for control in controls:
            stack.callback(control.close)
        number = controls[0].tenant_number(TENANT, now())

        async def ask(throttle, times, *who):
            answers = await asyncio.gather(
                *(throttle.admit(caller(number, *who)) for _ in range(times)), return_exceptions=True
            )
            waits = [answer.seconds for answer in answers if isinstance(answer, Throttled)]
            assert [one for one in answers if one is not None and not isinstance(one, Throttled)] == []
            return times - len(waits), waits

        async def both(requests, seconds, *who):
            here, there = (SharedThrottle(control, requests, seconds) for control in controls)
            passed = [await ask(throttle, requests // 2, *who) for throttle in (here, there)]
            passed += await asyncio.gather(ask(here, requests, *who), ask(there, requests, *who))
            return sum(count for count, _ in passed), [wait for _, waits in passed for wait in waits]

        passed, waits = asyncio.run(both(96, 96_000))
        assert passed == 96
        assert 900 < min(waits) <= max(waits) <= 1000
        assert asyncio.run(both(96, 96_000, "d"))[0] == 96
        with controls[0].write() as connection:
            assert connection.execute(update(allowances).values(at=1)).rowcount == 2
        assert asyncio.run(both(96, 96_000))[0] == 96, "it has filled up since 1970"
        with controls[0].write() as connection:
            connection.execute(update(allowances).values(at=1))
        assert asyncio.run(both(96, 96_000, "e"))[0] == 96
        with controls[0].read() as connection:
            assert len(connection.execute(select(allowances)).all()) == 1


@pytest.fixture
def fresh_handlers():
    """Faces of one process share their handlers: none that a test has put in place is there before or after."""
    graph_app._operations.cache_clear()
    yield
    graph_app._operations.cache_clear()


def test_a_throttled_request_has_not_acted(tmp_path, monkeypatch, fresh_handlers):
    """429 with Retry-After comes before the handler, as a Graph error; the next caller is served."""
    acted = []
    monkeypatch.setattr(Route, "resolve", lambda _route: lambda call: acted.append(call.path) or Reply(status=204))
    settings = Settings(data_dir=tmp_path, throttle_requests=2, throttle_seconds=100)
    control, directories = open_control(settings), Directories(settings)
    everything = ("EduAdministration.ReadWrite", "EduRoster.ReadWrite")
    services = Services(
        settings=settings,
        control=control,
        directories=directories,
        profiles=None,
        runs=None,
        uploads=None,
        clock=now,
        new_id=lambda: str(uuid.uuid4()),
    )
    number = control.tenant_number(TENANT, now())
    app = graph_app.create_app(
        services,
        verify=lambda client, _now: caller(number, client, "delegated", *everything),
        blobs=None,
        issuer=None,
        ready=lambda: None,
    )

    async def ask(client):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as http:
            path = f"/beta/education/synchronizationProfiles/{uuid.uuid4()}/start"
            return await http.post(path, headers={"Authorization": client})

    answers = [asyncio.run(ask("one")) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [204, 204, 429]
    assert answers[2].headers["retry-after"] == "50"
    assert answers[2].json()["error"]["code"] == "TooManyRequests"
    assert answers[2].json()["error"]["innerError"]["request-id"] == answers[2].headers["request-id"]
    assert len(acted) == 2
    assert asyncio.run(ask("two")).status_code == 204
    directories.close()
    control.close()


WRITTEN = {("POST", ""), ("PUT", ""), ("PUT", "/{profile}"), ("PATCH", "/{profile}"), ("DELETE", "/{profile}")}


def test_programs_create_profiles_only_where_the_setting_says_so():
    """App-only create, change and delete are closed; `app_only_create` opens these five operations and no other."""
    root = "education/synchronizationProfiles"
    program = caller(1, "c", "application", "EduAdministration.ReadWrite.All")
    opened = []
    for before, after in zip(ROUTES, routes_for(Settings(app_only_create=True)), strict=True):
        assert before in routes_for(Settings())
        if before == after:
            continue
        opened.append((after.method, after.template.removeprefix(root)))
        graph_app.check(program, after)
        with pytest.raises(Forbidden):
            graph_app.check(program, before)
        with pytest.raises(Forbidden):
            graph_app.check(caller(1, "c", "application", "EduAdministration.Read.All"), after)
    assert set(opened) == WRITTEN
