"""Why somebody or something is here, or is not: what is known, which line of which upload says so, which run did it.

Puts together what five places know: the directory (what is there now), the plans of the newest runs (what changed it,
by which rule), the roster that was checked last (what is wanted, and what of it is left out), the profile's errors, and
the newest upload (the lines that name it, with what is wrong with them).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Table, or_, select

from schoolsync import ticks
from schoolsync.access import roles
from schoolsync.access.principal import Principal
from schoolsync.access.roles import Act
from schoolsync.directory import finding
from schoolsync.errors import Invalid
from schoolsync.plan.policy import Policy
from schoolsync.profiles import listing
from schoolsync.profiles.policy import policy_of
from schoolsync.runs import explained_words
from schoolsync.runs.apart import is_apart
from schoolsync.runs.explained import Explanation, Failure, Happened, Known, Line, Named, Record, Standing
from schoolsync.runs.places import ROSTER, run_folder
from schoolsync.runs.plan_question import PlannedStep
from schoolsync.runs.readers import Readers
from schoolsync.runs.states import RunState
from schoolsync.settings import Settings
from schoolsync.store.control import Control
from schoolsync.store.control_tables import errors, profiles, runs
from schoolsync.store.directories import Directories
from schoolsync.store.directory_tables import class_people, classes, people, school_classes, school_people, schools
from schoolsync.uploads.service import Uploads

RUNS_LOOKED_AT = 30
ERRORS_MAX = 10

_TABLES: dict[str, Table] = {"school": schools, "class": classes, "person": people}
_LINKS = {("class", "person"): class_people, ("school", "person"): school_people, ("school", "class"): school_classes}


@dataclass(frozen=True, slots=True)
class _Found:
    """An object that is meant, and its key in the directory, which nobody else is told."""

    known: Known
    key: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Runs:
    """The newest runs of a profile and where they keep what they know."""

    newest: Sequence[Row[Any]]
    folders: list[str]
    policy: Policy
    owner: int  # the profile's number

    @property
    def whole(self) -> list[str]:
        """The folders of the runs that looked at everybody."""
        pairs = zip(self.newest, self.folders, strict=True)
        return [folder for run, folder in pairs if not is_apart(run) and run.undoes is None]


class Explaining:
    """Explains the objects of all profiles. Safe to share between threads."""

    def __init__(
        self,
        *,
        control: Control,
        settings: Settings,
        directories: Directories,
        readers: Readers,
        uploads: Uploads,
        clock: Callable[[], int],
    ) -> None:
        self._control = control
        self._settings = settings
        self._directories = directories
        self._readers = readers
        self._uploads = uploads
        self._clock = clock

    def explain(self, principal: Principal, profile: str, wanted: str, inside: str | None) -> Explanation:
        """Why the object of that id, SIS ID, principal name or display name is (not) here, or not in `inside`.

        Raises NotFound when there is no such profile, Invalid, Forbidden.
        """
        roles.check(principal, Act.READ_PEOPLE)
        wanted, inside = wanted.strip(), inside.strip() if inside is not None else None
        if not wanted or inside == "":
            raise Invalid("Say what is to be explained: an object id, a SIS ID, a principal name or a display name.")
        tenant = principal.tenant
        with self._control.read() as connection:
            listing.one(connection, tenant, profile)
            known = self._runs(connection, principal, profile)
            upload = next((row for row in known.newest if row.upload is not None), None)
            files = [] if upload is None else self._uploads.files(connection, tenant, profile, upload.upload)
        objects = self._find(principal, known, wanted)
        places = self._find(principal, known, inside) if inside is not None else ()
        linked = self._linked(principal, objects, places) if inside is not None else None
        sure = len(objects) <= 1 and len(places) <= 1
        history: tuple[Happened, ...] = ()
        if len(objects) == 1 and (inside is None or len(places) == 1):
            history = self._history(known, objects[0], places[0] if places else None)
        kept = bool(files) and self._kept([file.path for file in files])
        lines: tuple[Line, ...] = ()
        texts = [_source(objects, wanted)] + ([_source(places, inside)] if inside is not None else [])
        if kept and upload is not None and sure:
            folder = known.folders[known.newest.index(upload)]
            named = [(file.name, str(file.path)) for file in files]
            lines = self._readers.ask("lines_of", tuple[Line, ...], folder=folder, files=named, wanted=texts)
        made = Explanation(
            answer=(),
            objects=tuple(self._kept_by_hand(known, one) for one in objects),
            inside=tuple(one.known for one in places),
            linked=linked,
            roster=self._standing(known, objects, places, texts, inside=inside is not None) if sure else None,
            errors=self._errors(tenant, profile, texts) if sure else (),
            upload_run=None if upload is None else upload.number,
            upload_kept=kept,
            lines=lines,
            history=history,
        )
        first = known.newest[0] if known.newest else None
        newest = None if first is None else explained_words.Newest(first.number, first.state, first.message)
        return msgspec.structs.replace(made, answer=explained_words.sentences(made, wanted, inside, newest))

    # --- looking ---------------------------------------------------------------------------------------------------

    def _runs(self, connection: Connection, principal: Principal, profile: str) -> _Runs:
        tenant = principal.tenant
        columns = (runs.c.id, runs.c.number, runs.c.state, runs.c.ended, runs.c.upload, runs.c.message, runs.c.stage)
        query = (
            select(*columns, runs.c.only, runs.c.cleans, runs.c.undoes)
            .where(runs.c.tenant == tenant, runs.c.profile == profile)
            .order_by(runs.c.number.desc())
            .limit(RUNS_LOOKED_AT)
        )
        newest = [*connection.execute(query)]
        row = connection.execute(select(profiles).where(profiles.c.tenant == tenant, profiles.c.id == profile)).one()
        return _Runs(
            newest=newest,
            folders=[str(run_folder(self._settings, principal.tenant_id, profile, run.id)) for run in newest],
            policy=policy_of(row),
            owner=row.number,
        )

    def _kept(self, paths: list[Path]) -> bool:
        """Whether all these files are still there, which then are on this machine."""
        try:
            for path in paths:
                self._uploads.objects.fetch(path)
        except FileNotFoundError:
            return False
        return True

    def _find(self, principal: Principal, known: _Runs, wanted: str) -> tuple[_Found, ...]:
        """The objects that are meant: those of the directory, the profile's own first, else those that a plan knows."""
        with self._directories.read(principal.tenant_id) as connection:
            rows = [
                (kind, row)
                for kind, table in _TABLES.items()
                for row in finding.named(connection, table, principal.tenant, wanted)
            ]
            own = [(kind, row) for kind, row in rows if row.profile == known.owner]
            if rows:
                return tuple(_found(kind, row, known.owner) for kind, row in own or rows)
            named: list[Named] = []
            if known.folders:
                named = self._readers.ask("named", list[Named], folders=known.folders, whole=known.whole, wanted=wanted)
            found = []
            for one in named:
                table = _TABLES[one.kind]
                row = connection.execute(
                    select(table).where(table.c.tenant == principal.tenant, table.c.id == one.id)
                ).one_or_none()
                found.append(_only_planned(one) if row is None else _found(one.kind, row, known.owner))
        return tuple(found)

    def _kept_by_hand(self, known: _Runs, one: _Found) -> Known:
        if not known.policy.kept_by_hand or one.key is None:
            return one.known
        table = str(_TABLES[one.known.kind].name)  # SQLAlchemy has names of its own type
        fields = self._readers.ask("kept_by_hand", tuple[str, ...], folders=known.whole, table=table, key=one.key)
        return msgspec.structs.replace(one.known, kept_by_hand=fields)

    def _linked(self, principal: Principal, objects: Sequence[_Found], places: Sequence[_Found]) -> bool | None:
        """Whether the one is in the other. Raises Invalid for two that cannot be."""
        if len(objects) != 1 or len(places) != 1:
            return None
        one, place = objects[0], places[0]
        link = _LINKS.get((place.known.kind, one.known.kind))
        if link is None:
            raise Invalid(
                f"A {one.known.kind} cannot be in a {place.known.kind}: `in` names a class or a school.", target="in"
            )
        if one.key is None or place.key is None:
            return False
        query = select(link.c.tenant).where(
            link.c.tenant == principal.tenant,
            link.c[place.known.kind] == place.key,
            link.c[one.known.kind] == one.key,
        )
        with self._directories.read(principal.tenant_id) as connection:
            return connection.execute(query.limit(1)).first() is not None

    def _history(self, known: _Runs, one: _Found, place: _Found | None) -> tuple[Happened, ...]:
        steps = self._readers.ask(
            "steps_of",
            list[tuple[int, PlannedStep]],
            folders=known.folders,
            one=_asked(one),
            inside=None if place is None else _asked(place),
        )
        runs_of = known.newest
        return tuple(
            Happened(
                run=runs_of[number].id,
                number=runs_of[number].number,
                state=runs_of[number].state,
                ended=None if runs_of[number].ended is None else ticks.text(runs_of[number].ended),
                step=step,
            )
            for number, step in steps
        )

    def _standing(
        self, known: _Runs, objects: Sequence[_Found], places: Sequence[_Found], texts: Sequence[str], *, inside: bool
    ) -> Standing | None:
        """What the roster that was checked last has of the one, of the other and of the membership of the two."""
        run = self._keeps_roster(known)
        if run is None:
            return None
        records = self._readers.ask(
            "standing",
            tuple[Record, ...],
            folder=known.folders[known.newest.index(run)],
            one=_meant(objects, texts[0]),
            inside=_meant(places, texts[1]) if inside else None,
            policy=msgspec.to_builtins(known.policy),
            now=self._clock(),
        )
        return Standing(run=run.number, records=records)

    def _keeps_roster(self, known: _Runs) -> Row[Any] | None:
        """The newest run that has kept the roster it checked."""
        for run, folder in zip(known.newest, known.folders, strict=True):
            if run.stage in {RunState.EXTRACTING, RunState.VALIDATING, None} or folder not in known.whole:
                continue
            try:
                self._uploads.objects.fetch(Path(folder) / ROSTER / f"{ROSTER}.json")
            except FileNotFoundError:
                continue
            return run
        return None

    def _errors(self, tenant: int, profile: str, texts: Sequence[str]) -> tuple[Failure, ...]:
        """The errors of the last run that name what is asked about."""
        query = (
            select(errors.c.error_code, errors.c.error_message, errors.c.joining_value)
            .where(errors.c.tenant == tenant, errors.c.profile == profile, errors.c.run.is_not(None))
            .where(or_(errors.c.reportable_identifier.in_(texts), errors.c.joining_value.in_(texts)))
            .order_by(errors.c.id)
            .limit(ERRORS_MAX)
        )
        if len(texts) > 1:  # of a membership: its own error, not that of every other one of the same class
            one, place = texts
            itself = (errors.c.reportable_identifier == one) & (
                errors.c.joining_value.is_(None) | (errors.c.joining_value == place)
            )
            query = query.where(or_(itself, errors.c.reportable_identifier == place))
        with self._control.read() as connection:
            return tuple(
                Failure(code=row.error_code, message=row.error_message, joining_value=row.joining_value)
                for row in connection.execute(query)
            )


def _found(kind: str, row: Row[Any], owner: int) -> _Found:
    known = Known(
        kind=kind,
        object_id=row.id,
        source_id=row.source_id,
        name=row.display_name,
        school=row.source_id if kind == "school" else row.school_source_id,
        here=True,
        active=bool(row.active),
        binned=ticks.text(row.binned_at) if row.binned_at is not None and not row.active else None,
        by_hand=row.profile is None,
        elsewhere=row.profile not in (None, owner),
        role=row.primary_role if kind == "person" else None,
    )
    return _Found(known, row.key)


def _only_planned(one: Named) -> _Found:
    known = Known(
        kind=one.kind,
        object_id=one.id,
        source_id=one.source_id,
        name=one.name,
        school=one.school,
        here=False,
        active=False,
        by_hand=False,
    )
    return _Found(known, None)


def _asked(one: _Found) -> dict[str, object]:
    return {"kind": one.known.kind, "id": one.known.object_id, "key": one.key}


def _meant(found: Sequence[_Found], text: str) -> list[tuple[str, str]]:
    """Whom a roster may mean: the one that is known, or whatever has that SIS ID."""
    return [(found[0].known.kind, text)] if found else [(kind, text) for kind in _TABLES]


def _source(found: Sequence[_Found], wanted: str | None) -> str:
    return str((found[0].known.source_id if found else None) or wanted)
