"""Fills a server that has just started with a roster: `serve --seed-roster PATH`. A thread of the API process.

It asks the services for what an integrator's script would ask the API for: a profile, an upload, a start, and then it
waits for the end. So what a test reads has come the way that real data comes, and no time is lost until requests can
be answered. One profile, one run: a data directory that was seeded before is left as it is, and where that was cut off
before the run it is gone on with.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from sqlalchemy import select

from schoolsync.access.audit import Act, Audit
from schoolsync.access.principal import Principal
from schoolsync.errors import SchoolsyncError, UsageError, WorldError
from schoolsync.graph.call import Services
from schoolsync.store.control_tables import profiles, runs
from schoolsync.uploads.containers import Conditions, Containers, Properties
from schoolsync.uploads.refusals import BlobRefused
from schoolsync.uploads.signatures import Access

NAME = "Seed"
DOMAIN = "seed.example"
PATIENCE = 600.0
LOOK = 0.004
PIECE = 1 << 20
SHOWN = 5
"""Kinds of errors that are told when the roster has too many."""
ENDINGS = {"success", "error", "validationError", "quarantined", "paused"}

PROFILE: dict[str, Any] = {  # a JSON object: its values are of any kind
    "displayName": NAME,
    "dataProvider": {"@odata.type": "#microsoft.graph.educationCsvDataProvider"},
    "identitySynchronizationConfiguration": {
        "@odata.type": "#microsoft.graph.educationIdentityCreationConfiguration",
        "userDomains": [{"appliesTo": role, "name": DOMAIN} for role in ("student", "teacher")],
    },
    "handleSpecialCharacterConstraint": True,
}


def files(roster: Path) -> dict[str, Path]:
    """The files of a roster by name. Raises UsageError when there are none."""
    if roster.is_file():
        return {roster.name: roster}
    found = {path.name: path for path in sorted(roster.glob("*")) if path.suffix.lower() == ".csv"}
    if not found:
        raise UsageError(f"There is no roster at {roster}: name a folder of CSV files, or a zip.")
    return found


class Seeding:
    """One roster on its way into the seed's tenant."""

    def __init__(self, services: Services, audit: Audit, sent: threading.Event) -> None:
        """`sent` is set once nothing but the run is left."""
        self._sent = sent
        self._services = services
        self._audit = audit
        settings = services.settings
        tenant = services.control.tenant_number(settings.seed_tenant, services.clock())
        # Whoever may start a server may do this; nobody else is asked.
        self._by = Principal(
            tenant=tenant,
            tenant_id=settings.seed_tenant,
            kind="none",
            grants=frozenset(),
            client=f"machine:{os.getuid()}",
        )
        self._deadline = time.monotonic() + PATIENCE

    def seed(self, roster: Path) -> None:
        """Synchronize `roster` and wait until it is there. Raises WorldError when it cannot be."""
        found = files(roster)
        services, tenant = self._services, self._by.tenant
        profile, begun = self._known()
        if begun:
            return
        if profile is None:
            with self._act("profile"):
                profile = str(services.profiles.create(self._by, PROFILE, now=services.clock()).id)
        while self._state(profile) != "provisioned":
            self._wait()
        for name, file in found.items():
            self._put(profile, name, file)
        self._sent.set()
        with self._act(f"start {profile}"):
            started = asyncio.run(services.runs.start(self._by, profile, services.clock()))
        if not started.accepted:
            errors = [f"{one.file_name}: {one.description}" for one in started.messages if one.type == "Error"]
            raise WorldError(f"The roster was not synchronized: {' '.join(errors[:SHOWN])}")
        while (now := services.profiles.status(tenant, profile)).status not in ENDINGS:
            self._wait()
        if now.status not in {"success", "error"}:
            raise WorldError(f"The roster was not synchronized: {now.status}: {now.status_message}")

    def _act(self, what: str) -> AbstractContextManager[None]:
        return self._audit.acting(
            Act(
                tenant=self._by.tenant,
                tenant_id=self._by.tenant_id,
                at=self._services.clock(),
                actor=self._by.client or "",
                operation="serve --seed-roster",
                object=what,
            )
        )

    def _known(self) -> tuple[str | None, bool]:
        """The profile, if it is there, and whether it has ever had a run: we may have died before it had."""
        query = select(profiles.c.id).where(profiles.c.tenant == self._by.tenant, profiles.c.display_name == NAME)
        with self._services.control.read() as connection:
            profile = connection.execute(query.limit(1)).scalar_one_or_none()
            run = select(runs.c.id).where(runs.c.tenant == self._by.tenant, runs.c.profile == profile).limit(1)
            return profile, profile is not None and connection.execute(run).first() is not None

    def _state(self, profile: str) -> str:
        with self._services.control.read() as connection:
            return str(self._services.profiles.find(connection, self._by.tenant, profile).state)

    def _put(self, profile: str, name: str, file: Path) -> None:
        containers = Containers(self._services.uploads)
        now = self._services.clock()
        place = containers.place(Access(self._by.tenant, profile, "w"), now)
        incoming = containers.incoming(place)
        try:
            with file.open("rb") as source:
                while piece := source.read(PIECE):
                    incoming.write(piece)
            containers.put_file(place, name, incoming, Properties(), Conditions(), now)
        except BaseException as problem:
            incoming.abandon()
            if isinstance(problem, BlobRefused):
                raise WorldError(f"The server cannot be seeded: {name} was refused: {problem}") from problem
            raise

    def _wait(self) -> None:
        if time.monotonic() > self._deadline:
            raise WorldError(f"The roster was not synchronized within {PATIENCE:g} seconds.")
        time.sleep(LOOK)


def begin(services: Services, audit: Audit, ended: Callable[[bool], None]) -> threading.Event:
    """Seed in a thread; `ended` hears whether the roster is there. Why it is not is said on standard error.

    What is returned is set once the files are there and nothing but the run is left, or when it has ended.
    """
    roster = services.settings.seed_roster
    assert roster is not None
    sent = threading.Event()

    def work() -> None:
        try:
            Seeding(services, audit, sent).seed(roster)
        except (SchoolsyncError, OSError) as problem:
            sys.stderr.write(f"schoolsync: {problem}\n")
            ended(False)
        else:
            ended(True)
        finally:
            sent.set()

    threading.Thread(target=work, name="seed", daemon=True).start()
    return sent
