"""Why somebody or something is here, or is not: what is known, which line of which upload says so, which run did it.

Puts together what four places know: the directory (what is there now), the plans of the newest runs (what changed it,
by which rule), the newest upload (the lines that name it) and its findings (what is wrong with those lines).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Table, or_, select

from schoolsync import ticks
from schoolsync.access import roles
from schoolsync.access.principal import Principal
from schoolsync.access.roles import Act
from schoolsync.errors import Invalid
from schoolsync.profiles import listing
from schoolsync.runs.explained import Explanation, Happened, Known, Line, Named
from schoolsync.runs.places import run_folder
from schoolsync.runs.plan_question import PlannedStep
from schoolsync.runs.readers import Readers
from schoolsync.runs.states import RunState
from schoolsync.settings import Settings
from schoolsync.store.control import Control
from schoolsync.store.directories import Directories
from schoolsync.store.tables import class_people, classes, people, runs, school_classes, school_people, schools
from schoolsync.uploads.service import Uploads

RUNS_LOOKED_AT = 30
FOUND_MAX = 10

_TABLES: dict[str, Table] = {"school": schools, "class": classes, "person": people}
_LINKS = {("class", "person"): class_people, ("school", "person"): school_people, ("school", "class"): school_classes}


class Explaining:
    """Explains the objects of all profiles. Safe to share between threads."""

    def __init__(
        self, *, control: Control, settings: Settings, directories: Directories, readers: Readers, uploads: Uploads
    ) -> None:
        self._control = control
        self._settings = settings
        self._directories = directories
        self._readers = readers
        self._uploads = uploads

    def explain(self, principal: Principal, profile: str, wanted: str, inside: str | None) -> Explanation:
        """Why the object of that id, SIS ID, principal name or display name is (not) here, or not in `inside`.

        Raises NotFound when there is no such profile, Invalid, Forbidden.
        """
        roles.check(principal, Act.READ_PEOPLE)
        wanted, inside = wanted.strip(), inside.strip() if inside is not None else None
        if not wanted or inside == "":
            raise Invalid("Say what is to be explained: an object id, a SIS ID, a principal name or a display name.")
        with self._control.read() as connection:
            listing.one(connection, principal.tenant, profile)
            newest = self._newest(connection, principal.tenant, profile)
            upload = next((row for row in newest if row.upload is not None), None)
            files = (
                self._uploads.files(connection, principal.tenant, profile, upload.upload) if upload is not None else []
            )
        folders = [str(run_folder(self._settings, principal.tenant_id, profile, row.id)) for row in newest]
        objects = self._find(principal, folders, wanted)
        places = self._find(principal, folders, inside) if inside is not None else ()
        linked = self._linked(principal, objects, places) if inside is not None else None
        history: tuple[Happened, ...] = ()
        if len(objects) == 1 and (inside is None or len(places) == 1):
            history = self._history(newest, folders, objects[0], places[0] if places else None)
        kept = bool(files) and self._kept([file.path for file in files])
        lines: tuple[Line, ...] = ()
        if kept and upload is not None and len(objects) <= 1 and len(places) <= 1:
            texts = [_source(objects, wanted)] + ([_source(places, inside)] if inside is not None else [])
            folder = folders[newest.index(upload)]
            named = [(file.name, str(file.path)) for file in files]
            lines = self._readers.ask("lines_of", tuple[Line, ...], folder=folder, files=named, wanted=texts)
        made = Explanation(
            answer=(),
            objects=objects,
            inside=places,
            linked=linked,
            upload_run=None if upload is None else upload.number,
            upload_kept=kept,
            lines=lines,
            history=history,
        )
        return _answered(made, wanted, inside, newest)

    # --- looking ---------------------------------------------------------------------------------------------------

    def _kept(self, paths: list[Path]) -> bool:
        """Whether all these files are still there, which then are on this machine."""
        try:
            for path in paths:
                self._uploads.objects.fetch(path)
        except FileNotFoundError:
            return False
        return True

    def _newest(self, connection: Connection, tenant: int, profile: str) -> list[Row[Any]]:
        query = (
            select(runs.c.id, runs.c.number, runs.c.state, runs.c.ended, runs.c.upload, runs.c.message, runs.c.held_for)
            .where(runs.c.tenant == tenant, runs.c.profile == profile)
            .order_by(runs.c.number.desc())
            .limit(RUNS_LOOKED_AT)
        )
        return [*connection.execute(query)]

    def _find(self, principal: Principal, folders: list[str], wanted: str) -> tuple[Known, ...]:
        """The objects that are meant: those of the directory first, else those that a plan knows."""
        with self._directories.read(principal.tenant_id) as connection:
            found = [
                _known(kind, row)
                for kind, table in _TABLES.items()
                for row in connection.execute(_same(table, principal.tenant, wanted)).all()
            ]
            if found:
                return tuple(found)
            named = self._readers.ask("named", list[Named], folders=folders, wanted=wanted) if folders else []
            for one in named:
                table = _TABLES[one.kind]
                row = connection.execute(
                    select(table).where(table.c.tenant == principal.tenant, table.c.id == one.id)
                ).one_or_none()
                found.append(_known(one.kind, row) if row is not None else _only_planned(one))
        return tuple(found)

    def _linked(self, principal: Principal, objects: Sequence[Known], places: Sequence[Known]) -> bool | None:
        """Whether the one is in the other. Raises Invalid for two that cannot be."""
        if len(objects) != 1 or len(places) != 1:
            return None
        one, place = objects[0], places[0]
        link = _LINKS.get((place.kind, one.kind))
        if link is None:
            raise Invalid(f"A {one.kind} cannot be in a {place.kind}: `in` names a class or a school.", target="in")
        outer, inner = _TABLES[place.kind], _TABLES[one.kind]
        tenant = principal.tenant
        query = (
            select(link.c.tenant)
            .join(outer, (outer.c.tenant == link.c.tenant) & (outer.c.key == link.c[place.kind]))
            .join(inner, (inner.c.tenant == link.c.tenant) & (inner.c.key == link.c[one.kind]))
            .where(link.c.tenant == tenant, outer.c.id == place.object_id, inner.c.id == one.object_id)
        )
        with self._directories.read(principal.tenant_id) as connection:
            return connection.execute(query.limit(1)).first() is not None

    def _history(
        self, newest: Sequence[Row[Any]], folders: list[str], one: Known, place: Known | None
    ) -> tuple[Happened, ...]:
        steps = self._readers.ask(
            "steps_of",
            list[tuple[int, PlannedStep]],
            folders=folders,
            wanted=one.object_id,
            inside=None if place is None else place.object_id,
        )
        return tuple(
            Happened(
                run=newest[number].id,
                number=newest[number].number,
                state=newest[number].state,
                ended=None if newest[number].ended is None else ticks.text(newest[number].ended),
                step=step,
            )
            for number, step in steps
        )


def _same(table: Table, tenant: int, wanted: str) -> Any:  # a SELECT
    same = [table.c.id == wanted.lower(), table.c.source_id == wanted]
    if table is people:
        same.append(table.c.account_name == wanted.lower())
    return select(table).where(table.c.tenant == tenant, or_(*same)).limit(FOUND_MAX)


def _known(kind: str, row: Row[Any]) -> Known:
    return Known(
        kind=kind,
        object_id=row.id,
        source_id=row.source_id,
        name=row.display_name,
        school=row.source_id if kind == "school" else row.school_source_id,
        here=True,
        active=bool(row.active),
        by_hand=row.profile is None,
    )


def _only_planned(one: Named) -> Known:
    return Known(
        kind=one.kind,
        object_id=one.id,
        source_id=one.source_id,
        name=one.name,
        school=one.school,
        here=False,
        active=False,
        by_hand=False,
    )


def _source(found: Sequence[Known], wanted: str | None) -> str:
    return str((found[0].source_id if found else None) or wanted)


# --- in words ------------------------------------------------------------------------------------------------------


def _answered(made: Explanation, wanted: str, inside: str | None, newest: Sequence[Row[Any]]) -> Explanation:
    said: list[str] = []
    for typed, found in ((wanted, made.objects), (inside, made.inside)):
        if typed is not None:
            said += _about(typed, found)
    if inside is not None and made.linked is not None:
        one, place = made.objects[0], made.inside[0]
        said.insert(0, f"{_call(one)} is {'' if made.linked else 'not '}in {_call(place)}.")
    said += _what_happened(made.history)
    said += _in_the_upload(made, inside)
    first = newest[0] if newest else None
    if first is None:
        said.append("The profile has never been synchronized.")
    elif first.state in {RunState.HELD, RunState.FAILED, RunState.PAUSED} and first.message:
        said.append(f"Run {first.number} is {first.state}: {first.message}")
    return msgspec.structs.replace(made, answer=tuple(said))


def _about(typed: str, found: Sequence[Known]) -> list[str]:
    if not found:
        return [f"The directory and the newest plans know nothing by “{typed}”."]
    if len(found) > 1:
        listed = ", ".join(f"{one.kind} {_call(one)} = {one.object_id}" for one in found)
        return [f"“{typed}” may mean {len(found)} objects: {listed}. Ask again with an object id."]
    (one,) = found
    if not one.here:
        return [f"{_call(one)} is not in the directory; a plan has it."]
    if one.by_hand:
        return [f"{_call(one)}, a {one.kind}, is in the directory: made by hand, no profile owns it."]
    if not one.active:
        return [f"{_call(one)}, a {one.kind}, is in the directory but marked inactive: its roster no longer has it."]
    return [f"{_call(one)}, a {one.kind}, is in the directory."]


def _what_happened(history: Sequence[Happened]) -> list[str]:
    said = []
    for one in history[:3]:
        step = one.step
        earlier = f", last known from run {step.upload_run}" if step.upload_run else ""
        place = f" ({step.file} line {step.line}{earlier})" if step.file and step.line else ""
        put_off = " A window puts it off." if step.part == "deferred" else ""
        verb = {"done": "did", "held": "would do"}.get(one.state, f"is {one.state}, and planned")
        what = f"{step.op} {step.kind}"
        if step.member_name or step.member_source_id:
            what += f" of {step.member_name or step.member_source_id} in {step.name or step.source_id}"
        said.append(f"Run {one.number} {verb}: {what}. {step.reason}{place}{put_off}{_let_go(step)}")
    return said


def _let_go(step: PlannedStep) -> str:
    """Who has let a step go that a guard held."""
    if not step.held:
        return ""
    given = ", ".join(f"{yes.person} on {yes.given[:10]}" for yes in step.approved_by)
    return f" A guard held it; approved by {given}." if given else " A guard held it, and nobody has approved it."


def _in_the_upload(made: Explanation, inside: str | None) -> list[str]:
    if made.upload_run is None:
        return []
    upload = f"the newest upload (run {made.upload_run})"
    if not made.upload_kept:
        return [f"The files of {upload} are not kept any more."]
    if len(made.objects) > 1 or len(made.inside) > 1:
        return []
    if not made.lines:
        return [f"No line of {upload} names {'both' if inside is not None else 'it'}."]
    places = ", ".join(f"{line.file} line {line.line}" for line in made.lines[:5])
    more = f" and {len(made.lines) - 5} more" if len(made.lines) > 5 else ""
    said = [f"In {upload}: {places}{more}."]
    said += [
        f"{line.file} line {line.line}: {finding.message}" for line in made.lines for finding in line.findings[:3]
    ][:10]
    return said


def _call(one: Known) -> str:
    return f"{one.name or 'unnamed'} ({one.source_id or one.object_id})"
