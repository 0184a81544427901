"""One person, class, school or kind synchronized alone, now, from the last upload: who is meant, and the run for it.

The roster is the one that a run of the last upload has checked and kept; nothing is read or checked again. The run has
a plan, guards and a history like any other, and is the profile's only open one like any other.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Literal

import msgspec
from sqlalchemy import Connection, Table, select

from schoolsync.access import roles
from schoolsync.access.principal import Principal
from schoolsync.access.roles import Act
from schoolsync.directory import finding
from schoolsync.errors import Conflict, Invalid, NotFound
from schoolsync.plan.policy import Only
from schoolsync.profiles import states
from schoolsync.profiles import status as statuses
from schoolsync.runs import restarting
from schoolsync.runs.places import ROSTER, run_folder, run_of
from schoolsync.runs.restarting import Scope
from schoolsync.runs.states import Cause
from schoolsync.store.control_tables import profiles, runs
from schoolsync.store.directory_tables import classes, people, schools

if TYPE_CHECKING:
    from schoolsync.runs.readers import Readers
    from schoolsync.runs.service import Runs
    from schoolsync.settings import Settings
    from schoolsync.store.control import Control
    from schoolsync.store.directories import Directories
    from schoolsync.uploads.service import Uploads

Kind = Literal["school", "class", "person", "student", "teacher"]
WANTED_MAX = 256
WHY_MAX = 1000
Part = Literal["class", "student", "teacher"]
"""What can be synchronized alone as a kind; schools go one by one, because classes and people depend on them."""
_ALL = {"section": "classes", "student": "students", "teacher": "teachers"}
_MEANT = {"school": ("school",), "class": ("section",), "person": ("student", "teacher")}
_TABLES: dict[str, Table] = {"school": schools, "section": classes, "student": people, "teacher": people}


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a run is about (column `runs.only`)."""

    only: Only
    roster: str  # id of the run that has kept the roster


def wanted(stored: str) -> Wanted:
    """What the column `runs.only` says."""
    return msgspec.json.decode(stored, type=Wanted)


def forgotten(stored: str) -> str:
    """The same without the SIS ID."""
    before = wanted(stored)
    only = msgspec.structs.replace(before.only, source_id="erased")
    return msgspec.json.encode(msgspec.structs.replace(before, only=only)).decode()


def about(only: Only) -> str:
    """What people call that."""
    if only.source_id is None:
        return f"all {_ALL[only.kind]}"
    return f"one {'class' if only.kind == 'section' else only.kind}"


class Ones:
    """Runs of one alone, of all profiles. Safe to share between threads."""

    def __init__(
        self,
        *,
        control: Control,
        settings: Settings,
        runs: Runs,
        readers: Readers,
        directories: Directories,
        uploads: Uploads,
    ) -> None:
        self._control = control
        self._settings = settings
        self._runs = runs
        self._readers = readers
        self._directories = directories
        self._uploads = uploads

    def begin(self, principal: Principal, profile: str, *, kind: Kind, one: str, why: str | None, now: int) -> str:
        """Begin a run of one alone; `one` is its object id, SIS ID or principal name. Returns the run's id.

        Raises NotFound when neither the last upload nor the directory knows it, Conflict when it means several, a run
        of the profile is open, or no roster of the last upload is kept; Invalid, Forbidden.
        """
        roles.check(principal, Act.SYNC)
        one = one.strip()
        if not one or len(one) > WANTED_MAX:
            raise Invalid("Say who is meant: an object id, a SIS ID or a principal name.", target="object")
        if why is not None and len(why) > WHY_MAX:
            raise Invalid(f"A reason has at most {WHY_MAX:,} characters.", target="why")
        roster, number = self._ready(principal, profile, now)
        only = self._meant(principal, profile, number, roster, _MEANT.get(kind, (kind,)), one)
        return self._begin(principal, profile, only, roster, why=why, now=now)

    def restart(
        self, principal: Principal, profile: str, *, scope: Scope, school: str | None, kind: Part | None, now: int
    ) -> str:
        """Try one school (object id or SIS ID) or all of one kind again, before the whole profile. The run's id.

        Whether the caller may is looked at before. Raises as `begin` does.
        """
        if scope is not Scope.FAILED_ITEMS:
            raise Invalid(
                f"A school or a kind is tried again with the scope {Scope.FAILED_ITEMS.value}: {scope.value} is about "
                "the whole profile.",
                target="scope",
            )
        if (school is None) == (kind is None):
            raise Invalid("Say a school or a kind, not both: restart one after the other.", target="kind")
        roster, number = self._ready(principal, profile, now)
        if school is None:
            only = msgspec.convert({"kind": "section" if kind == "class" else kind, "source_id": None}, Only)
        else:
            one = school.strip()
            if not one or len(one) > WANTED_MAX:
                raise Invalid("Say which school is meant: an object id or a SIS ID.", target="school")
            only = self._meant(principal, profile, number, roster, _MEANT["school"], one)
        return self._begin(principal, profile, only, roster, why=None, now=now)

    def _ready(self, principal: Principal, profile: str, now: int) -> tuple[str, int]:
        """The run that has kept the roster, and the profile's number. Raises unless a run may begin."""
        tenant = principal.tenant
        with self._control.read() as connection:
            self._require(connection, tenant, profile, now)
            roster = self._roster(connection, principal, profile)
            number = connection.execute(
                select(profiles.c.number).where(profiles.c.tenant == tenant, profiles.c.id == profile)
            ).scalar_one()
        return roster, int(number)

    def _begin(self, principal: Principal, profile: str, only: Only, roster: str, *, why: str | None, now: int) -> str:
        tenant = principal.tenant
        with self._control.write(tenant) as connection:
            self._require(connection, tenant, profile, now)
            said = {"only": msgspec.json.encode(Wanted(only=only, roster=roster)).decode(), "message": why}
            return self._runs.begin(
                connection, tenant, profile, cause=Cause.ONE, upload=None, now=now, by=principal, **said
            )

    def _require(self, connection: Connection, tenant: int, profile: str, now: int) -> None:
        """Raise unless a run of the profile may begin."""
        row = connection.execute(
            select(profiles.c.state).where(profiles.c.tenant == tenant, profiles.c.id == profile)
        ).one_or_none()
        if row is None:
            raise NotFound(f"There is no synchronization profile {profile[:40]}.")
        states.must_be_provisioned(row.state)
        date = self._runs.expired(connection, tenant, profile, now)
        if date is not None:
            raise Conflict(f"The profile expired on {date}: set a later expirationDate first.")
        opened = self._runs.open_run(connection, tenant, profile)
        if opened is not None and opened.state == "held":
            raise Conflict(
                f"Run {opened.number} of the profile is held: approve just this object of its plan, or discard it "
                "first."
            )
        if opened is not None:
            raise Conflict(f"Run {opened.number} of the profile is {opened.state}: wait for its end.")
        if statuses.own(connection, tenant=tenant, profile=profile) == statuses.Status.PAUSED:
            raise Conflict("The profile is paused: resume it first.")

    def _roster(self, connection: Connection, principal: Principal, profile: str) -> str:
        """The run that has kept the roster of the last upload."""
        upload = self._uploads.latest_sealed(connection, principal.tenant, profile)
        if upload is None:
            raise Conflict(restarting.without_files(connection, self._uploads, principal.tenant, profile))
        found = connection.execute(
            select(runs.c.id, runs.c.snapshot)
            .where(runs.c.tenant == principal.tenant, runs.c.profile == profile, runs.c.upload == upload)
            .order_by(runs.c.number.desc())
        ).all()
        for run in found:
            # A run that found nothing changed has the roster of the run that it equals.
            for one in (run.id, run_of(run.snapshot) if run.snapshot else None):
                if one is not None:
                    folder = run_folder(self._settings, principal.tenant_id, profile, one)
                    with suppress(FileNotFoundError):
                        self._uploads.objects.fetch(folder / ROSTER / f"{ROSTER}.json")
                        return str(one)
        raise Conflict(
            "The last upload has not got as far as a plan, or is not kept any more: start a whole synchronization "
            "first."
        )

    def _meant(
        self, principal: Principal, profile: str, number: int, roster: str, kinds: tuple[str, ...], one: str
    ) -> Only:
        folder = str(run_folder(self._settings, principal.tenant_id, profile, roster))
        known: set[tuple[str, str]] = {
            (only.kind, str(only.source_id))
            for only in self._readers.ask("in_roster", tuple[Only, ...], folder=folder, kinds=kinds, wanted=one)
        }
        with self._directories.read(principal.tenant_id) as connection:
            for table in dict.fromkeys(_TABLES[kind] for kind in kinds):
                # Whom the roster knows is in it by the SIS ID, so the index is enough; else nobody else can tell.
                for row in finding.named(connection, table, principal.tenant, one, owner=number, thoroughly=not known):
                    kind = row.primary_role if table is people else "school" if table is schools else "section"
                    if kind in kinds and row.source_id is not None:
                        known.add((kind, row.source_id))
        if not known:
            raise NotFound("Neither the last upload nor the directory knows that by an id or a principal name.")
        if len(known) > 1:
            raise Conflict(
                f"That may mean {len(known)} records: a student and a teacher may have the same SIS ID. Say the kind "
                "(student or teacher), or ask with an object id."
            )
        ((kind, source_id),) = known
        return msgspec.convert({"kind": kind, "source_id": source_id}, Only)
