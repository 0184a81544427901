"""A control database in a temporary folder, real profiles and runs on it, and hands that play the worker."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy import select, update

from schoolsync import ticks
from schoolsync.access import vault
from schoolsync.access.principal import Principal
from schoolsync.errors import PreconditionFailed, Unauthenticated
from schoolsync.graph.app import create_app
from schoolsync.graph.call import Services
from schoolsync.graph.routes import ROUTES
from schoolsync.profiles import housekeeping, status
from schoolsync.profiles.service import Profiles
from schoolsync.profiles.status import ProfileStatus
from schoolsync.runs.journal import Journal
from schoolsync.runs.records import Key
from schoolsync.runs.service import Runs
from schoolsync.runs.states import RunState
from schoolsync.settings import Settings
from schoolsync.store.control import Control, open_control
from schoolsync.store.control_tables import profiles, runs, secrets
from schoolsync.store.directories import Directories
from schoolsync.uploads.service import Uploads

# Examples are not kept between runs, and a busy machine is no reason to fail.
settings.register_profile("profiles", database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("profiles")

NOW = ticks.parse("2026-03-02T08:00:00Z")
CSV_PROFILE: dict[str, Any] = {
    "displayName": "Nordkapp",
    "dataProvider": {"@odata.type": "#microsoft.graph.educationCsvDataProvider"},
    "identitySynchronizationConfiguration": {
        "@odata.type": "#microsoft.graph.educationIdentityCreationConfiguration",
        "userDomains": [{"appliesTo": "student", "name": "skole.example"}],
    },
}
ONEROSTER_PROFILE: dict[str, Any] = {
    **CSV_PROFILE,
    "dataProvider": {
        "@odata.type": "#microsoft.graph.educationOneRosterApiDataProvider",
        "connectionUrl": "https://sis.example/ims/oneroster/v1p1",
        "connectionSettings": {
            "@odata.type": "#microsoft.graph.educationSynchronizationOAuth2ClientCredentialsConnectionSettings",
            "clientId": "id-1",
            "clientSecret": "hush-hush",
            "tokenUrl": "https://sis.example/token",
        },
    },
}


def always(_version: int) -> None:
    """The condition of an unconditional request."""


class Clock:
    """A clock that moves only when it is told to, one second at a time."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now

    def step(self, seconds: int = 1) -> int:
        self.now += seconds * ticks.PER_SECOND
        return self.now


@dataclass
class ShelfOfUploads:
    """What runs ask of uploads: whether files wait, and which were used last."""

    sealed: dict[str, str] = field(default_factory=dict)  # profile -> upload

    def inbox(self, _connection: Any, _tenant: int, _profile: str) -> str | None:
        return "inbox"

    def let_go(self, _connection: Any, _tenant: int, _profile: str) -> bool:
        return False

    def latest_sealed(self, _connection: Any, _tenant: int, profile: str) -> str | None:
        return self.sealed.get(profile)


class House:
    """Everything a profile needs, on one database; the worker's part is played by `work` and its like."""

    def __init__(self, folder: Path, new_id: Callable[[], str]) -> None:
        self.settings = Settings(data_dir=folder, public_url="https://graph.test")
        self.control: Control = open_control(self.settings)
        self.vault = vault.Vault(self.settings)
        self.clock = Clock()
        self.uploads = ShelfOfUploads()
        self.runs = Runs(
            control=self.control,
            settings=self.settings,
            uploads=self.uploads,  # type: ignore[arg-type]
            clock=self.clock,
            new_id=new_id,
        )
        self.journal = Journal(
            control=self.control,
            settings=self.settings,
            uploads=self.uploads,  # type: ignore[arg-type]
            runs=self.runs,
            clock=self.clock,
        )
        self.profiles = Profiles(
            control=self.control, runs=self.runs, settings=self.settings, clock=self.clock, new_id=new_id
        )
        self.new_id = new_id
        self.always = always
        self.admin = self.person(str(uuid.UUID(int=7)))

    def person(self, tenant_id: str, kind: Any = "delegated") -> Principal:
        number = self.control.tenant_number(tenant_id, NOW)
        return Principal(
            tenant=number, tenant_id=tenant_id, kind=kind, grants=frozenset({"EduAdministration.ReadWrite"})
        )

    def secrets(self, profile: str) -> dict[str, str]:
        """A profile's secrets by name; in the database none can be read."""
        with self.control.read() as connection:
            rows = connection.execute(select(secrets).where(secrets.c.profile == profile)).all()
        opened = {}
        for row in rows:
            opened[row.name] = self.vault.open(row.value, place=vault.place(row.tenant, profile, row.name))
            assert opened[row.name] not in row.value
        return opened

    def close(self) -> None:
        self.control.close()

    def sweep(self) -> bool:
        return housekeeping.sweep(self.control, self.settings, self.runs, self.clock())

    def made(self, body: dict[str, Any] | None = None, *, by: Principal | None = None) -> str:
        """A provisioned profile's id."""
        row = self.profiles.create(by or self.admin, body or CSV_PROFILE, now=self.clock())
        self.sweep()
        return str(row.id)

    def row(self, profile: str) -> Any:
        with self.control.read() as connection:
            return self.profiles.find(connection, self.admin.tenant, profile)

    def status(self, profile: str) -> ProfileStatus:
        return self.profiles.status(self.admin.tenant, profile)

    def patch(self, profile: str, *, version: int | None = None, **columns: Any) -> ProfileStatus:
        """Write the status; with a `version`, only over that one."""

        def condition(found: int) -> None:
            if version not in (None, found):
                raise PreconditionFailed("It has changed.")

        return self.profiles.change_status(self.admin, profile, columns, condition=condition, now=self.clock())

    def open_run(self, profile: str) -> Any:
        with self.control.read() as connection:
            return self.runs.open_run(connection, self.admin.tenant, profile)

    # --- the worker's part ---

    def begin(self, profile: str, cause: str = "start") -> str:
        """A run as `start` queues it."""
        with self.control.write() as connection:
            return self.runs.begin(
                connection, self.admin.tenant, profile, cause=cause, upload="inbox", now=self.clock(), by=self.admin
            )

    def work(self, profile: str, *, state: str, shows: str, **columns: Any) -> None:
        """The open run is in `state` from now on and the profile shows `shows`; `columns` are those of the run."""
        with self.control.write() as connection:
            run = self.runs.open_run(connection, self.admin.tenant, profile)
            assert run is not None
            connection.execute(update(runs).where(runs.c.id == run.id).values(state=state, **columns))
            self.record(connection, profile, shows)

    def puts_down(self, profile: str, **columns: Any) -> None:
        """The worker heeds a wish: it puts the run down and says nothing about it."""
        run = self.open_run(profile)
        with self.control.write() as connection:
            connection.execute(update(runs).where(runs.c.id == run.id).values(wish=None, **columns))

    def heeds(self, profile: str) -> None:
        """The worker heeds a wish between two batches, through its journal."""
        run = self.open_run(profile)
        key = Key(self.admin.tenant, profile, run.id, 0)
        assert not self.journal.begins(key, RunState.APPLYING)

    def record(self, connection: Any, profile: str, shows: str | None, **columns: Any) -> None:
        status.record(
            connection,
            tenant=self.admin.tenant,
            profile=profile,
            status=shows,
            message=f"The work is {shows}.",
            now=self.clock(),
            **columns,
        )

    def ran(self, profile: str, ending: str = "success") -> None:
        """A whole run, begun and ended."""
        self.begin(profile)
        summary = f'{{"status": "{ending}"}}'
        self.work(profile, state="done", shows=ending, ended=self.clock(), summary=summary)

    def numbers(self) -> list[int]:
        with self.control.read() as connection:
            found = select(profiles.c.number).where(profiles.c.tenant == self.admin.tenant)
            return list(connection.execute(found.order_by(profiles.c.number)).scalars())


def _ids() -> Callable[[], str]:
    count = itertools.count(1)
    return lambda: str(uuid.UUID(int=0xA << 124 | next(count)))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "data", _ids())
    yield made
    made.close()


@pytest.fixture
def csv_body() -> dict[str, Any]:
    return {**CSV_PROFILE}


@pytest.fixture
def oneroster_body() -> dict[str, Any]:
    return {**ONEROSTER_PROFILE}


# --- over HTTP ----------------------------------------------------------------------------------------------------

STRANGER = "00000000-0000-0000-0000-00000000beef"


async def _nowhere(_scope: Any, _receive: Any, _send: Any) -> None:
    raise AssertionError("not asked in these tests")


class Api:
    """The Graph face on a house, called in process. Tokens are names: whoever sends `Bearer admin` is the admin."""

    root = "https://graph.test"

    def __init__(self, house: House) -> None:
        self.house = house
        tenant = house.admin.tenant_id
        self.callers = {
            "admin": _caller(house, tenant, "delegated", "EduAdministration.ReadWrite"),
            "reader": _caller(house, tenant, "delegated", "EduAdministration.Read"),
            "program": _caller(house, tenant, "application", "EduAdministration.ReadWrite.All"),
            "reading program": _caller(house, tenant, "application", "EduAdministration.Read.All"),
            "teacher": _caller(house, tenant, "delegated", "EduRoster.Read"),
            "nobody": _caller(house, tenant, "none"),
            "stranger": _caller(house, STRANGER, "delegated", "EduAdministration.ReadWrite"),
            "strange program": _caller(house, STRANGER, "application", "EduAdministration.ReadWrite.All"),
        }
        services = Services(
            settings=house.settings,
            control=house.control,
            directories=Directories(house.settings),
            profiles=house.profiles,
            runs=house.runs,
            uploads=Uploads(control=house.control, settings=house.settings, clock=house.clock, new_id=house.new_id),
            clock=house.clock,
            new_id=house.new_id,
        )
        self.app = create_app(
            services,
            verify=self._verify,
            blobs=_nowhere,
            issuer=_nowhere,
            ready=lambda: None,
            routes=[route for route in ROUTES if route.handler.startswith("profile")],
        )

    def _verify(self, authorization: str | None, _now: int) -> Principal:
        caller = (authorization or "").removeprefix("Bearer ")
        if caller not in self.callers:
            raise Unauthenticated("Access token is empty.")
        return self.callers[caller]

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        by: str = "admin",
        content: bytes | None = None,
        **headers: str,
    ) -> httpx.Response:
        """One request; header names are given with underscores."""
        sent = {"Authorization": f"Bearer {by}"} if by else {}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        transport = httpx.ASGITransport(app=self.app)
        url = self.root + path if path.startswith("/") else path
        async with httpx.AsyncClient(transport=transport) as client:
            if body is not None:
                return await client.request(method, url, json=body, headers=sent)
            return await client.request(method, url, content=content, headers=sent)

    def __call__(self, method: str, path: str, body: Any = None, **named: Any) -> httpx.Response:
        return asyncio.run(self.send(method, path, body, **named))

    def status_of(self, profile: str) -> str:
        return f"/v1.0/education/synchronizationProfiles/{profile}/profileStatus"


def _caller(house: House, tenant_id: str, kind: Any, *grants: str) -> Principal:
    number = house.control.tenant_number(tenant_id, NOW)
    return Principal(tenant=number, tenant_id=tenant_id, kind=kind, grants=frozenset(grants))


@pytest.fixture
def api(house: House) -> Api:
    return Api(house)
