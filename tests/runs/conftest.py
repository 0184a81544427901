"""A house without processes: the real services on a real control database, with a clock the test moves."""

from __future__ import annotations

import asyncio
import itertools
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select

from schoolsync import ticks
from schoolsync.access.principal import Principal
from schoolsync.profiles import housekeeping, status
from schoolsync.profiles.service import Profiles
from schoolsync.runs.journal import Journal
from schoolsync.runs.plans import Plans
from schoolsync.runs.readers import Readers
from schoolsync.runs.records import Key
from schoolsync.runs.service import Runs, Started
from schoolsync.settings import Settings
from schoolsync.store.control import Control, open_control
from schoolsync.store.control_tables import errors, profile_status, runs, upload_files, uploads
from schoolsync.store.directories import Directories
from schoolsync.uploads.service import Uploads

TENANT_ID = "11111111-2222-4333-8444-555555555555"
NOW = ticks.parse("2026-09-01T06:00:00Z")


@dataclass
class House:
    """The services, a tenant, and what tests keep asking for."""

    control: Control
    settings: Settings
    uploads: Uploads
    runs: Runs
    journal: Journal
    profiles: Profiles
    person: Principal
    script: Principal
    time: list[int] = field(default_factory=lambda: [NOW])

    def clock(self) -> int:
        """Every look at the clock is a millisecond later."""
        self.time[0] += ticks.PER_SECOND // 1000
        return self.time[0]

    def profile(self, provider: str = "educationCsvDataProvider") -> str:
        """A provisioned profile."""
        body: dict[str, Any] = {
            "displayName": "Contoso",
            "dataProvider": {"@odata.type": f"#microsoft.graph.{provider}"},
            "identitySynchronizationConfiguration": {
                "@odata.type": "#microsoft.graph.educationIdentityCreationConfiguration",
                "userDomains": [{"appliesTo": "student", "name": "contoso.example"}],
            },
        }
        if provider != "educationCsvDataProvider":
            body["dataProvider"] |= {"connectionUrl": "https://sis.example", "clientId": "a", "clientSecret": "b"}
        row = self.profiles.create(self.person, body, now=self.clock())
        housekeeping.sweep(self.control, self.settings, self.runs, self.clock())
        return str(row.id)

    def upload(self, profile: str) -> str:
        """An inbox with one file in it."""
        upload = str(uuid.uuid4())
        with self.control.write() as connection:
            connection.execute(
                insert(uploads).values(tenant=1, profile=profile, id=upload, state="open", opened=self.clock())
            )
            connection.execute(
                insert(upload_files).values(
                    tenant=1,
                    profile=profile,
                    upload=upload,
                    name="School.csv",
                    object="x",
                    size=1,
                    sha256="0",
                    etag="0",
                    modified=self.clock(),
                )
            )
        return upload

    def begin(self, profile: str, *, cause: str = "start") -> Key:
        """A run that a worker has just taken up."""
        with self.control.write() as connection:
            upload = self.uploads.inbox(connection, 1, profile)
            run = self.runs.begin(connection, 1, profile, cause=cause, upload=upload, now=self.clock(), by=self.person)
        key = Key(1, profile, run, 1)
        assert self.journal.take(key)
        return key

    def start(self, profile: str) -> Started:
        """POST start, waiting as long as the settings say."""
        return asyncio.run(self.runs.start(self.person, profile, self.clock()))

    def ask(self, what: str, profile: str, by: Principal | None = None) -> None:
        """pause, resume or reset."""
        with self.control.write() as connection:
            getattr(self.runs, what)(connection, 1, profile, now=self.clock(), by=by or self.person)

    def run(self, profile: str) -> Any:
        """The profile's newest run."""
        with self.control.read() as connection:
            return connection.execute(
                select(runs).where(runs.c.profile == profile).order_by(runs.c.number.desc()).limit(1)
            ).one()

    def status(self, profile: str) -> status.ProfileStatus:
        """What GET profileStatus shows."""
        with self.control.read() as connection:
            return status.load(connection, tenant=1, profile=profile)

    def errors(self, profile: str) -> list[Any]:
        """The profile's errors."""
        with self.control.read() as connection:
            return list(connection.execute(select(errors).where(errors.c.profile == profile)))

    def summary(self, profile: str) -> dict[str, Any]:
        """What is kept about the newest run."""
        kept: dict[str, Any] = json.loads(self.run(profile).summary)
        return kept

    def version(self, profile: str) -> int:
        """The version behind the status' ETag."""
        with self.control.read() as connection:
            return int(
                connection.execute(
                    select(profile_status.c.version).where(profile_status.c.profile == profile)
                ).scalar_one()
            )


@pytest.fixture
def house(tmp_path: Path, database_url: str | None) -> Iterator[House]:
    """A fresh house in a temporary folder."""
    settings = Settings(data_dir=tmp_path, database_url=database_url, start_wait=0.2)
    settings.objects.mkdir()
    control = open_control(settings)
    control.tenant_number(TENANT_ID, NOW)
    time = [NOW]

    def clock() -> int:
        time[0] += ticks.PER_SECOND // 1000
        return time[0]

    numbers = itertools.count(1)

    def new_id() -> str:
        return f"00000000-0000-4000-8000-{next(numbers):012x}"

    inbox = Uploads(control=control, settings=settings, clock=clock, new_id=new_id)
    service = Runs(control=control, settings=settings, uploads=inbox, clock=clock, new_id=new_id)
    made = House(
        control=control,
        settings=settings,
        uploads=inbox,
        runs=service,
        journal=Journal(control=control, settings=settings, uploads=inbox, runs=service, clock=clock),
        profiles=Profiles(control=control, runs=service, settings=settings, clock=clock, new_id=new_id),
        person=Principal(
            tenant=1,
            tenant_id=TENANT_ID,
            kind="delegated",
            grants=frozenset({"EduAdministration.ReadWrite"}),
            user_id="a",
        ),
        script=Principal(
            tenant=1,
            tenant_id=TENANT_ID,
            kind="application",
            grants=frozenset({"EduAdministration.ReadWrite.All"}),
            client="b",
        ),
        time=time,
    )
    yield made
    control.close()


@pytest.fixture
def plans(house: House) -> Iterator[Plans]:
    """The service that faces ask."""
    numbers = iter(range(10**6))
    readers = Readers(house.settings)
    yield Plans(
        control=house.control,
        settings=house.settings,
        runs=house.runs,
        readers=readers,
        directories=Directories(house.settings),
        new_id=lambda: f"99999999-0000-4000-8000-{next(numbers):012x}",
    )
    readers.close()
