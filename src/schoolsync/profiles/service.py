"""What a caller may do with profiles, their status and their errors: each request is one transaction.

Everything a write depends on is read under the same write lock, so concurrent requests queue and none is lost.
A `Condition` sees the version before anything is decided and may raise PreconditionFailed. Work itself is left to
`runs`, states that move by themselves to `housekeeping`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, Table, bindparam, delete, func, insert, select, update

from schoolsync.access import egress, vault
from schoolsync.access.principal import Principal
from schoolsync.errors import Conflict, Invalid, NotFound, SchoolsyncError, WorldError
from schoolsync.profiles import configuration, own_settings, schedules, states, status
from schoolsync.profiles.configuration import Configuration, Json
from schoolsync.profiles.policy import own_settings as own_policy
from schoolsync.profiles.states import State
from schoolsync.profiles.status import Act, ProfileStatus
from schoolsync.store import acts
from schoolsync.store.control_tables import errors, profiles, secrets
from schoolsync.store.gathering import Gathering, Trips, Turns

if TYPE_CHECKING:
    from schoolsync.runs.restarting import Scope
    from schoolsync.runs.service import Runs
    from schoolsync.settings import Settings
    from schoolsync.store.control import Control

_PROFILE = select(profiles).where(profiles.c.tenant == bindparam("its_tenant"), profiles.c.id == bindparam("its_id"))

Condition = Callable[[int], None]
Columns = Mapping[str, Any]  # column -> value of any type


REPORTERS = 4
"""Tenants whose reports are being written at the same time."""


@dataclass(frozen=True, slots=True)
class _Report:
    """What a caller reports of a profile's status."""

    principal: Principal
    profile: str
    given: Columns
    condition: Condition
    now: int
    entry: acts.Entry | None


class Profiles:
    """The profiles of all tenants. Safe to share between threads."""

    def __init__(
        self,
        *,
        control: Control,
        runs: Runs,
        settings: Settings,
        clock: Callable[[], int],
        new_id: Callable[[], str],
    ) -> None:
        self._control = control
        self._runs = runs
        self._settings = settings
        self._clock = clock
        self._new_id = new_id
        self._vault = vault.Vault(settings)
        self._egress = egress.Policy.of(settings.egress_allow)
        self._glances: Turns[int, str, ProfileStatus] | Trips[int, str, ProfileStatus] = (
            Turns(self._statuses) if control.inline else Trips(self._statuses_there)
        )
        self._reports = Gathering(self._reported, threads=REPORTERS, name="reports")

    # --- profiles --------------------------------------------------------------------------------------------------

    def find(self, connection: Connection, tenant: int, profile: str) -> Row[Any]:
        """The row of a profile. Raises NotFound."""
        row = connection.execute(_PROFILE, {"its_tenant": tenant, "its_id": profile}).one_or_none()
        if row is None:
            raise NotFound(f"There is no synchronization profile {profile}.")
        return row

    def create(self, principal: Principal, given: Json, *, now: int) -> Row[Any]:
        """A new profile in state provisioning; `given` is its normalised body. Raises Invalid."""
        wanted = self._judged(configuration.created(given, now=now))
        tenant, profile = principal.tenant, self._new_id()
        with self._control.write(tenant) as connection:
            connection.execute(
                insert(profiles).values(
                    tenant=tenant,
                    id=profile,
                    number=_next_number(connection, tenant),
                    state=State.PROVISIONING,
                    created=now,
                    changed=now,
                    **wanted.columns(),
                )
            )
            self._keep_secrets(connection, tenant, profile, wanted)
            message = status.WAITS_FOR_FILES if wanted.is_csv else status.STARTS_ITSELF
            status.create(connection, tenant=tenant, profile=profile, message=message)
            return self.find(connection, tenant, profile)

    def replace(self, principal: Principal, profile: str, given: Json, *, condition: Condition, now: int) -> Row[Any]:
        """Give a profile a new configuration as a whole; it is provisioned again."""

        def replaced(before: Configuration, created: int) -> Configuration:
            return configuration.replaced(before, given, created=created, now=now)

        return self._configure(principal.tenant, profile, given, replaced, provision=True, condition=condition, now=now)

    def change(self, principal: Principal, profile: str, given: Json, *, condition: Condition, now: int) -> Row[Any]:
        """Merge `given` into the configuration of a profile.

        Another display name alone, or nothing new at all, leaves it provisioned; everything else provisions it again.
        """

        def merged(before: Configuration, created: int) -> Configuration:
            return configuration.merged(before, given, created=created, now=now)

        return self._configure(principal.tenant, profile, given, merged, provision=False, condition=condition, now=now)

    def _configure(
        self,
        tenant: int,
        profile: str,
        given: Json,
        decide: Callable[[Configuration, int], Configuration],
        *,
        provision: bool,
        condition: Condition,
        now: int,
    ) -> Row[Any]:
        same_id(given, profile)
        with self._control.write(tenant) as connection:
            row = self.find(connection, tenant, profile)
            condition(row.version)
            states.must_live(row.state)
            before = configuration.stored(row, self._secrets(connection, tenant, profile))
            after = self._judged(decide(before, row.created))
            columns = {name: value for name, value in after.columns().items() if getattr(row, name) != value}
            fresh = after.secrets != before.secrets
            if not provision and not columns and not fresh:
                return row
            if provision or fresh or columns.keys() != {"display_name"}:
                columns["state"] = State.PROVISIONING
            if fresh:
                self._keep_secrets(connection, tenant, profile, after)
            _write(connection, tenant, profile, changed=now, **columns)
            return self.find(connection, tenant, profile)

    def delete(self, principal: Principal, profile: str, *, condition: Condition, now: int) -> None:
        """Begin to delete a profile; twice is once. Objects in the directory stay."""
        with self._control.write(principal.tenant) as connection:
            row = self.find(connection, principal.tenant, profile)
            condition(row.version)
            if row.state != State.DELETING:
                _write(connection, principal.tenant, profile, state=State.DELETING, due=None, changed=now)

    def settings(self, tenant: int, profile: str) -> tuple[Json, int]:
        """The profile's settings of our own, defaults included, and the profile's version. Raises NotFound."""
        with self._control.read() as connection:
            row = self.find(connection, tenant, profile)
        return own_settings.effective(row.policy), row.version

    def change_settings(
        self, principal: Principal, profile: str, given: Json, *, condition: Condition, now: int
    ) -> tuple[Json, int]:
        """Merge `given` into the profile's settings of our own; the next run heeds them. Raises Invalid."""
        with self._control.write() as connection:
            row = self.find(connection, principal.tenant, profile)
            condition(row.version)
            states.must_live(row.state)
            policy = own_settings.merged(row.policy, given)
            if own_settings.effective(policy) != own_settings.effective(row.policy):
                times = _times(policy, row, now)
                _write(connection, principal.tenant, profile, changed=now, policy=policy, **times)
                row = self.find(connection, principal.tenant, profile)
        return own_settings.effective(row.policy), row.version

    def _judged(self, wanted: Configuration) -> Configuration:
        """`wanted`, if this server may connect to where it leads. Raises Invalid."""
        for url, member in configuration.targets(wanted.data_provider):
            try:
                self._egress.check_stored(url)
            except egress.Denied as problem:
                raise Invalid(str(problem), target=member) from problem
        return wanted

    def _secrets(self, connection: Connection, tenant: int, profile: str) -> dict[str, str]:
        rows = connection.execute(
            select(secrets.c.name, secrets.c.value).where(secrets.c.tenant == tenant, secrets.c.profile == profile)
        )
        return {row.name: self._vault.open(row.value, place=vault.place(tenant, profile, row.name)) for row in rows}

    def _keep_secrets(self, connection: Connection, tenant: int, profile: str, wanted: Configuration) -> None:
        connection.execute(delete(secrets).where(secrets.c.tenant == tenant, secrets.c.profile == profile))
        for name, value in vault.sealed(self._vault, tenant, profile, wanted.secrets).items():
            connection.execute(insert(secrets).values(tenant=tenant, profile=profile, name=name, value=value))

    # --- actions ---------------------------------------------------------------------------------------------------

    def pause(self, principal: Principal, profile: str, *, now: int) -> None:
        """Stop the profile's synchronizing until `resume`."""
        with self._control.write(principal.tenant) as connection:
            states.must_be_provisioned(self.find(connection, principal.tenant, profile).state)
            self._runs.pause(connection, principal.tenant, profile, now=now, by=principal)

    def resume(self, principal: Principal, profile: str, *, now: int) -> None:
        """Go on after a pause, or past findings when the caller may."""
        with self._control.write(principal.tenant) as connection:
            states.must_be_provisioned(self.find(connection, principal.tenant, profile).state)
            self._runs.resume(connection, principal.tenant, profile, now=now, by=principal)

    def reset(self, principal: Principal, profile: str, *, now: int) -> None:
        """Forget the profile's errors and synchronize again."""
        with self._control.write(principal.tenant) as connection:
            row = self.find(connection, principal.tenant, profile)
            states.must_be_provisioned(row.state)
            if configuration.expired(row.expiration_date, now=now):
                raise Conflict(f"The profile expired on {row.expiration_date}: set a later expirationDate first.")
            self._runs.reset(connection, principal.tenant, profile, now=now, by=principal)

    def restart(self, principal: Principal, profile: str, scope: Scope, *, now: int) -> None:
        """Try again now, and forget as much of what failed before as `scope` says. Raises Conflict."""
        with self._control.write(principal.tenant) as connection:
            states.must_be_provisioned(self.find(connection, principal.tenant, profile).state)
            self._runs.restart(connection, principal.tenant, profile, scope=scope, now=now, by=principal)

    # --- status ----------------------------------------------------------------------------------------------------

    def status(self, tenant: int, profile: str) -> ProfileStatus:
        """What GET profileStatus shows. Raises NotFound."""
        return status.look_up(self._control, tenant=tenant, profile=profile)

    async def status_now(self, tenant: int, profile: str) -> ProfileStatus:
        """The same for those who are many: whoever asks at the same time asks once, together."""
        return await self._glances.ask(tenant, profile)

    def _statuses(self, tenant: int, asked: Sequence[str]) -> Sequence[ProfileStatus | Exception]:
        return self._each(asked, status.look_up_all(self._control, tenant=tenant, asked=set(asked)))

    async def _statuses_there(self, tenant: int, asked: Sequence[str]) -> Sequence[ProfileStatus | Exception]:
        return self._each(asked, await status.ask_all(self._control, tenant=tenant, asked=set(asked)))

    def _each(
        self, asked: Sequence[str], found: Mapping[str, tuple[ProfileStatus, str]]
    ) -> Sequence[ProfileStatus | Exception]:
        return [found[profile][0] if profile in found else status.missing(profile) for profile in asked]

    async def report_status(
        self, principal: Principal, profile: str, given: Columns, *, condition: Condition, now: int
    ) -> ProfileStatus:
        """`change_status` for those who are many: reports of a tenant that come at the same time are one commit."""
        report = _Report(principal, profile, given, condition, now, acts.current())
        changed = await self._reports.ask(principal.tenant, report)
        if changed is None:  # it asks for more than words
            change = partial(self.change_status, condition=condition, now=now)
            return await asyncio.to_thread(change, principal, profile, given)
        return changed

    def _reported(self, tenant: int, reports: Sequence[_Report]) -> Sequence[ProfileStatus | Exception | None]:
        try:
            return self._reported_at_once(tenant, reports)
        except WorldError:
            raise
        except Exception as problem:  # a value that the database refuses spoils nobody else's report
            if len(reports) == 1:
                return [problem]
            return [self._reported(tenant, [report])[0] for report in reports]

    def _reported_at_once(self, tenant: int, reports: Sequence[_Report]) -> Sequence[ProfileStatus | Exception | None]:
        answers: list[ProfileStatus | Exception | None] = []
        written: dict[str, ProfileStatus] = {}
        entries: list[acts.Entry] = []
        with self._control.write(tenant) as connection:
            found = status.load_all(connection, tenant=tenant, asked={report.profile for report in reports})
            for report in reports:
                try:
                    if report.profile not in found:
                        raise status.missing(report.profile)
                    before, state = found[report.profile]
                    report.condition(before.version)
                    states.must_stay(state)
                    act = self._decide(connection, tenant, report.profile, report.given, before)
                except SchoolsyncError as refusal:
                    answers.append(refusal)
                    continue
                if act in {Act.PAUSE, Act.RESUME}:
                    answers.append(None)
                    continue
                changes = status.settle(report.given, before=before, act=act, now=report.now)
                if changes:
                    before = replace(before, **changes, version=before.version + 1)
                    found[report.profile] = before, state
                    written[report.profile] = before
                answers.append(before)
                if report.entry is not None:
                    entries.append(report.entry)
            status.change_all(connection, tenant=tenant, changed=written)
            due = entries[0].all_into_control(connection, entries) if entries else ()
        for entry in due:
            entry.committed()
        return answers

    def _decide(self, connection: Connection, tenant: int, profile: str, given: Columns, before: ProfileStatus) -> Act:
        if "status" not in given:
            return Act.NOTHING
        return status.decide(given["status"], now=before, run=self._runs.open_run(connection, tenant, profile))

    def change_status(
        self, principal: Principal, profile: str, given: Columns, *, condition: Condition, now: int
    ) -> ProfileStatus:
        """Merge a caller's `given` columns into the status; writing `status` may pause or resume the profile."""
        tenant = principal.tenant
        with self._control.write(tenant) as connection:
            row = self.find(connection, tenant, profile)
            before = status.load(connection, tenant=tenant, profile=profile)
            condition(before.version)
            states.must_stay(row.state)
            act = self._decide(connection, tenant, profile, given, before)
            if act in {Act.PAUSE, Act.RESUME}:
                states.must_be_provisioned(row.state)
                ask = self._runs.pause if act is Act.PAUSE else self._runs.resume
                ask(connection, tenant, profile, now=now, by=principal)
                before = status.load(connection, tenant=tenant, profile=profile)
            changes = status.settle(given, before=before, act=act, now=now)
            if not changes:
                return before
            status.change(connection, tenant=tenant, profile=profile, **changes)
            return replace(before, **changes, version=before.version + 1)

    def clear_status(self, principal: Principal, profile: str, *, condition: Condition) -> None:
        """Back to the status of a profile that has not synchronized; refused while a run is open."""
        tenant = principal.tenant
        with self._control.write(tenant) as connection:
            row = self.find(connection, tenant, profile)
            condition(status.load(connection, tenant=tenant, profile=profile).version)
            states.must_stay(row.state)
            run = self._runs.open_run(connection, tenant, profile)
            if run is not None:
                raise Conflict(status.busy(run))
            message = status.WAITS_FOR_FILES if configuration.stored(row, {}).is_csv else status.CLEARED
            status.change(connection, tenant=tenant, profile=profile, **status.initial(message))

    # --- errors ----------------------------------------------------------------------------------------------------

    def find_error(self, connection: Connection, tenant: int, profile: str, error: str) -> Row[Any]:
        """The row of one error of a profile. Raises NotFound."""
        self.find(connection, tenant, profile)
        row = connection.execute(select(errors).where(*_error(tenant, profile, error))).one_or_none()
        if row is None:
            raise NotFound(f"Profile {profile} has no error {error}.")
        return row

    def add_error(self, principal: Principal, profile: str, given: Columns, *, now: int) -> Row[Any]:
        """Keep an error that a caller observed; it stays until a reset or the next run's errors replace it."""
        tenant, error = principal.tenant, self._new_id()
        with self._control.write(tenant) as connection:
            states.must_stay(self.find(connection, tenant, profile).state)
            connection.execute(
                insert(errors).values({"tenant": tenant, "profile": profile, "id": error, "recorded": now, **given})
            )
            return self.find_error(connection, tenant, profile, error)

    def change_error(
        self, principal: Principal, profile: str, error: str, given: Columns, *, condition: Condition
    ) -> Row[Any]:
        """Merge `given` columns into an error."""
        tenant = principal.tenant
        with self._control.write(tenant) as connection:
            row = self.find_error(connection, tenant, profile, error)
            condition(row.version)
            states.must_stay(self.find(connection, tenant, profile).state)
            changes = {name: value for name, value in given.items() if getattr(row, name) != value}
            if changes:
                connection.execute(
                    update(errors)
                    .where(*_error(tenant, profile, error))
                    .values(version=errors.c.version + 1, **changes)
                )
            return self.find_error(connection, tenant, profile, error)

    def delete_error(self, principal: Principal, profile: str, error: str, *, condition: Condition) -> None:
        """Forget one error."""
        tenant = principal.tenant
        with self._control.write(tenant) as connection:
            condition(self.find_error(connection, tenant, profile, error).version)
            states.must_stay(self.find(connection, tenant, profile).state)
            connection.execute(delete(errors).where(*_error(tenant, profile, error)))


def same_id(given: Json, own: str) -> None:
    """Raise Invalid when a body names another id than the resource it is written to."""
    if given.get("id", own) is None or str(given.get("id", own)).lower() != own:
        raise Invalid("id cannot be changed: it must be that of the resource, or left out.", target="id")


def _write(connection: Connection, tenant: int, profile: str, **columns: Any) -> None:
    connection.execute(
        update(profiles)
        .where(profiles.c.tenant == tenant, profiles.c.id == profile)
        .values(version=profiles.c.version + 1, **columns)
    )


def _times(policy: str, row: Row[Any], now: int) -> dict[str, int | None]:
    """The columns that say when a profile begins by itself, after its settings became `policy`."""
    before, after = own_policy(row.policy), own_policy(policy)
    if (before.schedule, before.time_zone) == (after.schedule, after.time_zone):
        return {}
    due = schedules.following(after.schedule, time_zone=after.time_zone, after=now, seed=row.id)
    return {"scheduled": due, "on_upload": after.schedule.quiet_seconds if after.schedule.on_upload else None}


def _error(tenant: int, profile: str, error: str) -> tuple[Any, ...]:
    return errors.c.tenant == tenant, errors.c.profile == profile, errors.c.id == error


# --- numbers ------------------------------------------------------------------------------------------------------
# The directory's rows and fences know a profile by its number, and outlive it: a number must never come back. So a
# deleted profile leaves its number behind in a row under the negative tenant, where no query of a tenant can see it.


def _next_number(connection: Connection, tenant: int) -> int:
    highest = connection.execute(
        select(func.max(profiles.c.number)).where(profiles.c.tenant.in_([tenant, -tenant]))
    ).scalar_one()
    return int(highest or 0) + 1


def forget(connection: Connection, row: Row[Any], *, belongings: Collection[Table], now: int) -> None:
    """Delete a profile's row and what the tables `belongings` hold of it; its number alone stays behind."""
    for table in belongings:
        connection.execute(delete(table).where(table.c.tenant == row.tenant, table.c.profile == row.id))
    connection.execute(delete(profiles).where(profiles.c.tenant == row.tenant, profiles.c.id == row.id))
    connection.execute(delete(profiles).where(profiles.c.tenant == -row.tenant, profiles.c.number < row.number))
    kept = connection.execute(select(func.max(profiles.c.number)).where(profiles.c.tenant == -row.tenant)).scalar_one()
    if kept is None:
        connection.execute(
            insert(profiles).values(
                tenant=-row.tenant,
                id=row.id,
                number=row.number,
                display_name="",
                data_provider="{}",
                identity="{}",
                state="gone",
                created=row.created,
                changed=now,
            )
        )
