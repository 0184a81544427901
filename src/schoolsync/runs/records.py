"""The rows of runs as the worker reads and writes them, and what is known of the runs that came before.

What an entry means is `journal`'s business: nothing here decides when something is written.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, and_, case, func, or_, select, update

from schoolsync import ticks
from schoolsync.plan.policy import Policy
from schoolsync.profiles import status as statuses
from schoolsync.profiles.policy import own_settings, policy_of
from schoolsync.profiles.quarantine import Quarantine
from schoolsync.runs import endings, previews
from schoolsync.runs.apart import is_apart, of_all
from schoolsync.runs.job import Base, CutOff, Known, Undone, Validated
from schoolsync.runs.places import RECORDS, TALLY, run_folder
from schoolsync.runs.selections import Release
from schoolsync.runs.states import ACTIVE, ENDED, Cause, RunState
from schoolsync.settings import Settings
from schoolsync.store import errors as error_rows
from schoolsync.store.control import Control
from schoolsync.store.control_tables import profiles, rekeys, runs, upload_files
from schoolsync.store.objects import objects_of

_LOOKED_BACK = 50
"""So many runs are looked through for the last one that has read a roster."""
UNPACKED = 10
"""Times that a roster is larger than the zip file it is in."""
_KNOWN_MAX = 30
"""So many earlier rosters are looked through for the line that knew a record last."""
_CUT_OFF_MAX = 50
"""So many of the newest runs that were cut off are looked at for what they took away."""
ENTRY_TYPES = {
    "school": "School",
    "section": "Section",
    "student": "Student",
    "teacher": "Teacher",
    "studentenrollment": "StudentEnrollment",
    "teacherroster": "TeacherRoster",
}
"""What errors call the records of a file."""


@dataclass(frozen=True, slots=True)
class Key:
    """Which attempt at which run."""

    tenant: int
    profile: str
    run: str
    attempt: int

    @property
    def workflow(self) -> str:
        """The id of the workflow that makes this attempt; one id, one execution."""
        return f"{self.run}:{self.attempt}"


@dataclass(frozen=True, slots=True)
class Lately:
    """Where it is written what a profile's runs of the last days took away."""

    tallies: tuple[str, ...]  # Parquet files of those that came to their end
    cut_off: tuple[CutOff, ...]


class Records:
    """The worker's hand on the tables of runs and profiles."""

    def __init__(self, *, control: Control, settings: Settings, clock: Callable[[], int]) -> None:
        self._control = control
        self._settings = settings
        self._objects = objects_of(settings)
        self._clock = clock

    def queued(self, most: int, *, small: bool = False) -> list[Key]:
        """The runs that are to be taken up next; their next attempts.

        Tenants take turns: who has the fewest runs at work comes first, among those whoever's last run began longest
        ago, and then whoever has waited longest. A tenant has at most `concurrent_runs_per_tenant` at work, over all
        workers. With `small` only runs that are quickly done, and only of tenants that have none at work.
        """
        if most <= 0:
            return []
        busy = (
            select(runs.c.tenant, func.count().label("count"))
            .where(runs.c.state.in_(ACTIVE - {RunState.QUEUED}))
            .group_by(runs.c.tenant)
            .subquery()
        )
        place = func.row_number().over(partition_by=runs.c.tenant, order_by=(runs.c.asked, runs.c.id))
        turn = place + func.coalesce(busy.c.count, 0)
        waiting = (
            select(runs.c.tenant, runs.c.profile, runs.c.id, runs.c.attempt, runs.c.asked, turn.label("turn"))
            .outerjoin(busy, busy.c.tenant == runs.c.tenant)
            .where(runs.c.state == RunState.QUEUED)
        )
        if small:
            waiting = waiting.where(self._is_small())
        found = waiting.subquery()
        earlier = runs.alias()
        served = select(func.max(earlier.c.began)).where(earlier.c.tenant == found.c.tenant).scalar_subquery()
        most_turns = 1 if small else self._settings.concurrent_runs_per_tenant
        with self._control.read() as connection:
            rows = connection.execute(
                select(found.c.tenant, found.c.profile, found.c.id, found.c.attempt)
                .where(found.c.turn <= most_turns)
                .order_by(found.c.turn, func.coalesce(served, 0), found.c.asked, found.c.id)
                .limit(most)
            ).all()
        return [Key(row.tenant, row.profile, row.id, row.attempt + 1) for row in rows]

    def _is_small(self) -> ColumnElement[bool]:
        """Whether the files of a run are few enough that it is done before anybody minds."""
        mine = (
            upload_files.c.tenant == runs.c.tenant,
            upload_files.c.profile == runs.c.profile,
            upload_files.c.upload == runs.c.upload,
        )
        unpacked = case((upload_files.c.name.ilike("%.zip"), upload_files.c.size * UNPACKED), else_=upload_files.c.size)
        size = select(func.sum(unpacked)).where(*mine).scalar_subquery()
        return size <= self._settings.small_run_bytes  # without files it is null: nobody knows how large it is

    def is_planned(self, key: Key) -> bool:
        """Whether there is nothing to read first: a plan is gone on with, or an earlier run's is taken back."""
        with self._control.read() as connection:
            row = self._find(connection, key)
        return row is not None and (
            row.stage == RunState.APPLYING or row.released is not None or row.undoes is not None or is_apart(row)
        )

    def provider(self, key: Key) -> str:
        """The type of the profile's data provider, such as `educationCsvDataProvider`."""
        with self._control.read() as connection:
            home = previews.profile_of(connection, key.tenant, key.profile)
            stored = connection.execute(
                select(profiles.c.data_provider).where(profiles.c.tenant == key.tenant, profiles.c.id == home)
            ).scalar_one()
        return str(json.loads(stored)["@odata.type"]).rpartition(".")[2]

    def folder(self, tenant_id: str, profile: str, run: str) -> Path:
        """Where a run keeps its plan, snapshot and reports."""
        return run_folder(self._settings, tenant_id, profile, run)

    def _find(self, connection: Connection, key: Key) -> Row[Any] | None:
        return connection.execute(select(runs).where(*is_run(key))).one_or_none()

    def _current(self, connection: Connection, key: Key) -> Row[Any] | None:
        """The run's row, when this attempt still is the one that works on it."""
        row = self._find(connection, key)
        if row is None or row.attempt != key.attempt or row.state not in ACTIVE - {RunState.QUEUED}:
            return None
        return row

    def _set(self, connection: Connection, key: Key, **values: Any) -> None:
        connection.execute(update(runs).where(*is_run(key)).values(**values))

    def _note_rows(self, connection: Connection, key: Key, stage: RunState, done: int, total: int) -> None:
        """How far a stage is, unless the run is somewhere else by now."""
        mine = (*is_run(key), runs.c.attempt == key.attempt, runs.c.state == stage)
        connection.execute(update(runs).where(*mine).values(stage_done=done, stage_total=total))

    def _show(
        self,
        connection: Connection,
        key: Key,
        status: str | None,
        message: str,
        *,
        error_count: int | None = None,
        synchronized: int | None = None,
    ) -> None:
        statuses.record(
            connection,
            tenant=key.tenant,
            profile=key.profile,
            status=status,
            message=message,
            now=self._clock(),
            error_count=error_count,
            synchronized=synchronized,
        )

    def _begun(self, row: Row[Any], stage: str) -> str:
        """The column `stages` once `stage` has begun; the same stage again by another attempt is the same one."""
        begun = json.loads(row.stages)
        if not begun or begun[-1][0] != stage:
            begun.append([stage, self._clock()])
        return json.dumps(begun)

    def _put_aside(self, connection: Connection, key: Key) -> dict[str, Any]:  # column values are of any type
        """The columns of a run that is held from now on."""
        row = self._find(connection, key)
        assert row is not None, "only a run that is there is held"
        return {"state": RunState.HELD, "stages": self._begun(row, RunState.HELD)}

    def _policy(self, connection: Connection, key: Key) -> Policy:
        return policy_of(
            connection.execute(
                select(profiles).where(profiles.c.tenant == key.tenant, profiles.c.id == key.profile)
            ).one()
        )

    def _list_findings(self, connection: Connection, key: Key, validated: Validated) -> int:
        """List what holds the run as the profile's errors, one for each message; how many there are."""
        rows = [
            {
                "id": str(uuid.uuid5(uuid.UUID(key.run), f"{number} {message.file_name} {message.description}")),
                "entry_type": ENTRY_TYPES.get(message.file_name.lower().removesuffix(".csv")),
                "error_code": "UnSpecified",
                "error_message": f"{message.file_name}: {message.description}".removeprefix(": "),
                "recorded": self._clock() // ticks.PER_SECOND * ticks.PER_SECOND,
            }
            for number, message in enumerate(validated.messages)
            if message.type == "Error"
        ]
        error_rows.forget(connection, tenant=key.tenant, profile=key.profile)
        error_rows.insert_chunk(connection, tenant=key.tenant, profile=key.profile, run=key.run, rows=json.dumps(rows))
        return len(rows)

    # --- what came before ------------------------------------------------------------------------------------------

    def _last_done(self, connection: Connection, key: Key) -> Row[Any] | None:
        """The profile's last run that was applied whole, unless one that came later was cut off."""
        row = connection.execute(
            select(runs)
            .where(runs.c.tenant == key.tenant, runs.c.profile == key.profile, runs.c.snapshot.is_not(None))
            .order_by(runs.c.number.desc())
            .limit(1)
        ).one_or_none()
        if row is None:
            return None
        later = connection.execute(
            select(func.count())
            .select_from(runs)
            .where(
                runs.c.tenant == key.tenant,
                runs.c.profile == key.profile,
                runs.c.number > row.number,
                runs.c.id != key.run,
                runs.c.stage == RunState.APPLYING,
                or_(runs.c.rows_total.is_(None), runs.c.rows_total > 0),  # one that had nothing to write left no trace
            )
        ).scalar_one()
        return None if later else row

    def _base(self, connection: Connection, key: Key, tenant_id: str) -> Base | None:
        last = self._last_done(connection, key)
        return None if last is None else self._base_of(last)

    def _base_of(self, row: Row[Any]) -> Base:
        snapshot = str(self._objects.path(row.snapshot))
        return Base(run=row.id, snapshot=snapshot, input_hash=row.input_hash, position=row.position)

    def _before(self, connection: Connection, key: Key) -> Base | None:
        """The last run that was applied whole, whatever has come later."""
        row = connection.execute(
            select(runs)
            .where(runs.c.tenant == key.tenant, runs.c.profile == key.profile, runs.c.snapshot.is_not(None))
            .order_by(runs.c.number.desc())
            .limit(1)
        ).one_or_none()
        return None if row is None else self._base_of(row)

    def _earlier(self, connection: Connection, key: Key, tenant_id: str) -> str | None:
        """Where the records of the last roster are, if it kept any, for packages of changes to go on from.

        What a source has said counts, whatever became of the plan: its next changes go on from there. A roster that was
        refused is sent again corrected when somebody waited for the answer; when nobody did, a part is missing since.
        """
        rows = connection.execute(
            select(runs.c.id, runs.c.stage, runs.c.state, runs.c.cause)
            .where(
                *(runs.c.tenant == key.tenant, runs.c.profile == key.profile, runs.c.id != key.run),
                *(runs.c.undoes.is_(None), runs.c.upload.is_not(None)),
            )
            .order_by(runs.c.number.desc())
            .limit(_LOOKED_BACK)
        ).all()
        for row in rows:
            if row.stage in {RunState.PLANNING, RunState.APPLYING}:
                return str(self.folder(tenant_id, key.profile, row.id) / RECORDS)
            if row.stage == RunState.VALIDATING and row.cause != Cause.START:
                return None
        return None

    def _undone(self, connection: Connection, key: Key, tenant_id: str, run: str | None) -> Undone | None:
        row = None if run is None else self._find(connection, Key(key.tenant, key.profile, run, 0))
        if row is None:
            return None
        return Undone(run=row.id, number=row.number, folder=str(self.folder(tenant_id, key.profile, row.id)))

    def _known(self, connection: Connection, key: Key, tenant_id: str) -> tuple[Known, ...]:
        """The newest earlier runs that may have kept the rosters they read."""
        mine = (runs.c.tenant == key.tenant, runs.c.profile == key.profile)
        taken_back = connection.execute(
            select(func.max(runs.c.number)).where(*mine, runs.c.undoes.is_not(None))
        ).scalar_one()
        rows = connection.execute(
            select(runs.c.id, runs.c.number, runs.c.snapshot)
            .where(
                *(*mine, runs.c.id != key.run),
                *(runs.c.upload.is_not(None), runs.c.stage.in_([RunState.PLANNING, RunState.APPLYING])),
            )
            .order_by(runs.c.number.desc())
            .limit(_KNOWN_MAX)
        ).all()
        return tuple(
            Known(
                number=row.number,
                folder=str(self.folder(tenant_id, key.profile, row.id)),
                applied=row.snapshot is not None and row.number > (taken_back or 0),
            )
            for row in rows
        )

    def _rekeys(self, connection: Connection, key: Key) -> tuple[str, ...]:
        rows = connection.execute(
            select(rekeys.c.object)
            .where(rekeys.c.tenant == key.tenant, rekeys.c.profile == key.profile)
            .order_by(rekeys.c.number)
        ).scalars()
        return tuple(str(self._objects.path(key)) for key in rows)

    def _rekeyed(self, connection: Connection, key: Key) -> int:
        """How many maps a run has carried out that was applied whole, and whose new ids nobody has taken back since."""
        mine = (runs.c.tenant == key.tenant, runs.c.profile == key.profile, runs.c.id != key.run)
        last = connection.execute(
            select(runs.c.number, runs.c.asked)
            .where(*mine, runs.c.state == RunState.DONE, runs.c.snapshot.is_not(None))
            .order_by(runs.c.number.desc())
            .limit(1)
        ).one_or_none()
        if last is None:
            return 0
        undone, again = runs.alias(), runs.alias()
        same = (undone.c.tenant == runs.c.tenant, undone.c.profile == runs.c.profile, undone.c.id == runs.c.undoes)
        back = (again.c.tenant == runs.c.tenant, again.c.profile == runs.c.profile, again.c.undoes == runs.c.id)
        undos = connection.execute(
            select(undone.c.summary)
            .select_from(runs.join(undone, and_(*same)))
            .where(*mine, runs.c.state == RunState.DONE, runs.c.number > last.number)
            .where(~select(again.c.id).where(*back, again.c.state == RunState.DONE).exists())
        ).scalars()
        if any("rekey" in ops for summary in undos for ops in json.loads(summary or "{}").get("steps", {}).values()):
            return 0
        given = select(func.count()).where(
            rekeys.c.tenant == key.tenant, rekeys.c.profile == key.profile, rekeys.c.given < last.asked
        )
        return int(connection.execute(given).scalar_one())

    def _tallies(self, connection: Connection, key: Key, tenant_id: str, days: int) -> Lately:
        """What says of the runs of the last days what they took away without a person's yes, and was not taken back."""
        mine = (runs.c.tenant == key.tenant, runs.c.profile == key.profile)
        since = self._clock() - days * 24 * endings.HOUR
        undos = connection.execute(
            select(runs.c.undoes, runs.c.summary).where(
                *mine, runs.c.undoes.is_not(None), runs.c.state == RunState.DONE, runs.c.ended > since
            )
        ).all()
        back = {row.undoes for row in undos if not json.loads(row.summary or "{}").get("partly")}
        cut = and_(runs.c.state.in_(ENDED - {RunState.DONE}), runs.c.stage == RunState.APPLYING)
        rows = connection.execute(
            select(runs.c.id, runs.c.state)
            .where(*mine, runs.c.id != key.run, runs.c.ended > since, or_(runs.c.state == RunState.DONE, cut))
            .order_by(runs.c.number)
        ).all()
        standing = [row for row in rows if row.id not in back]

        def folder(run: str) -> Path:
            return self.folder(tenant_id, key.profile, run)

        cut_off = [CutOff(run=row.id, folder=str(folder(row.id))) for row in standing if row.state != RunState.DONE]
        return Lately(
            tallies=tuple(str(folder(row.id) / TALLY) for row in standing if row.state == RunState.DONE),
            cut_off=tuple(cut_off[-_CUT_OFF_MAX:]),
        )

    def _past(self, connection: Connection, key: Key) -> list[endings.Past]:
        mine = (profiles.c.tenant == key.tenant, profiles.c.id == key.profile)
        forgiven = select(func.coalesce(profiles.c.forgiven, 0)).where(*mine).scalar_subquery()
        rows = connection.execute(
            select(runs.c.state, runs.c.summary, runs.c.ended)
            .where(
                runs.c.tenant == key.tenant,
                runs.c.profile == key.profile,
                runs.c.id != key.run,
                runs.c.ended > forgiven,
                *of_all(),
                runs.c.state.in_([RunState.DONE, RunState.FAILED]),
            )
            .order_by(runs.c.number.desc())
            .limit(400)
        ).all()
        return [
            endings.Past(
                status=json.loads(row.summary or "{}").get("status", "success"),
                failed=row.state == RunState.FAILED,
                ended=row.ended,
            )
            for row in rows
        ]

    def _limits(self, connection: Connection, key: Key) -> Quarantine:
        home = previews.profile_of(connection, key.tenant, key.profile)
        stored = select(profiles.c.policy).where(profiles.c.tenant == key.tenant, profiles.c.id == home)
        return own_settings(connection.execute(stored).scalar_one()).quarantine


def release_of(row: Row[Any]) -> Release | None:
    return msgspec.json.decode(row.released, type=Release) if row.released else None


def is_run(key: Key) -> tuple[Any, ...]:
    return runs.c.tenant == key.tenant, runs.c.profile == key.profile, runs.c.id == key.run
