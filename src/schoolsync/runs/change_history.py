"""The change history of a tenant: which objects were changed, by which run of which profile or by whose hand.

Runs keep their steps and the audit log keeps what was asked by hand; here both are read side by side, newest first, in
bounded looks: a page may be short and still not be the last. Nothing is kept twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec
from sqlalchemy import Row, Select, and_, or_, select

from schoolsync import ticks
from schoolsync.access import roles
from schoolsync.access.principal import Principal
from schoolsync.access.roles import Act
from schoolsync.errors import Invalid, NotFound
from schoolsync.runs.plan_question import Change, PlannedStep, Question
from schoolsync.runs.states import Cause, RunState
from schoolsync.store.control_tables import runs
from schoolsync.store.directory_tables import classes, people, schools

if TYPE_CHECKING:
    from schoolsync.access.audit import Audit
    from schoolsync.runs.plans import Plans
    from schoolsync.store.control import Control
    from schoolsync.store.directories import Directories

WINDOW = 500
"""Rows of runs that one request looks at; most have changed nothing."""
RUNS_MAX = 25
"""Runs whose steps one request asks for."""
LOOKS_MAX = 3
"""Windows of the audit log that one request looks at."""

By = Literal["run", "hand"]
_CURSOR = re.compile(r"(\d{1,19})\.([0-9a-f-]{36}|-)\.(-?\d{1,12})\.(\d{1,18}|-)\Z")
_GUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_METHODS = {"POST": "create", "PATCH": "update", "DELETE": "remove"}
_LINKS = {"POST": "link", "DELETE": "unlink"}
_PERSONS = ("student", "teacher")
_AROUND = frozenset({"education", "directory"})  # segments that no object stands behind


class Changed(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One change of one object or one membership."""

    at: str  # of a run: when it began
    by: By
    profile: str | None  # of a run
    run: int | None  # its number
    step: int | None  # number of the step in the run's plan
    actor: str | None  # by hand: who, for those who may read the audit log; of a run: who asked for it
    op: str  # as in plans
    kind: str  # as in plans; by hand a person is just that
    object_id: str | None  # of a membership: the class' (or school's); null: made by hand, and not told
    source_id: str | None
    name: str | None
    member_id: str | None
    member_source_id: str | None
    member_name: str | None
    changes: tuple[Change, ...]  # of a run
    members: str  # by hand: names of the properties that were written
    rule: str | None
    file: str | None
    line: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which changes; what is None does not narrow."""

    by: By | None = None
    profile: str | None = None
    kind: str | None = None
    op: str | None = None
    object: str | None = None  # object id, or SIS ID (which only runs know)
    since: int | None = None  # ticks
    until: int | None = None  # ticks, not included


@dataclass(frozen=True, slots=True)
class ByHand:
    """An operation that changes objects by hand, as the audit log names it."""

    operation: str  # PATCH education/users/{user}

    @property
    def op(self) -> str:
        method, _, template = self.operation.partition(" ")
        if template.endswith("/restore"):
            return "unbin"
        below = template.removesuffix("/$ref").split("/")
        whose = [word for word in below if not word.startswith("{") and word not in _AROUND]
        return (_LINKS if template.endswith("/$ref") or (len(whose) > 1 and method != "PATCH") else _METHODS)[method]

    @property
    def kind(self) -> str:
        words = re.split(r"[ /]", self.operation)
        last = next((word for word in reversed(words) if word in _KINDS), "users")
        return _KINDS[last]


_KINDS = {
    "schools": "school",
    "administrativeUnits": "school",
    "administrativeUnit": "school",
    "classes": "section",
    "groups": "section",
    "users": "person",
    "people": "person",
    "me": "person",
    "members": "person",
    "teachers": "person",
    "owners": "person",
}


class _Cursor(msgspec.Struct, frozen=True):
    """Where a page goes on."""

    began: int  # ticks: runs that began then or earlier are still to come
    run: str  # of those that began just then
    step: int  # the run's last one that was shown; -1: none of it yet
    audit: int | None = None  # entries below this number are still to come; None: all were there

    def __str__(self) -> str:
        return f"{self.began}.{self.run}.{self.step}.{'-' if self.audit is None else self.audit}"


_DONE = -2
"""In place of a step: the run has no more."""
_FIRST = _Cursor(2**63 - 1, "-", _DONE, 10**18 - 1)
_OVER = _Cursor(0, "-", _DONE)


class _Item(NamedTuple):
    """One change on its way into a page."""

    at: int  # ticks
    where: _Cursor | None  # None: made by hand
    entry: int  # of the audit log
    what: Changed | Row[Any]


def cursor(text: str | None) -> _Cursor:
    """Where a page goes on. Raises Invalid."""
    if text is None:
        return _FIRST
    match = _CURSOR.match(text)
    if match is None or int(match[1]) > _FIRST.began:
        raise Invalid("after must be what nextLink of the page before says.", target="after")
    began, run, step, entry = match.groups()
    return _Cursor(int(began), run, int(step), None if entry == "-" else int(entry))


def window(tenant: int, wanted: Wanted, place: _Cursor) -> Select[Any]:
    """The query for the next runs, through the index of when they began."""
    known = runs.c
    terms = [known.tenant == tenant, known.began.is_not(None), known.began <= place.began]
    if place.began != _FIRST.began:
        within = known.id < place.run if place.step == _DONE else known.id <= place.run
        terms.append(or_(known.began < place.began, and_(known.began == place.began, within)))
    if wanted.profile is not None:
        terms.append(known.profile == wanted.profile)
    if wanted.since is not None:
        terms.append(known.began >= wanted.since)
    if wanted.until is not None:
        terms.append(known.began < wanted.until)
    columns: tuple[Any, ...] = (known.profile, known.id, known.number, known.began, known.stage, known.cause)
    query = select(*columns, known.asked_by).where(*terms)
    return query.order_by(known.began.desc(), known.id.desc()).limit(WINDOW)


class ChangeHistory:
    """The change history of all tenants. Safe to share between threads."""

    def __init__(
        self,
        *,
        control: Control,
        directories: Directories,
        plans: Plans,
        audit: Audit,
        operations: Sequence[str],
    ) -> None:
        """`operations` are those that change objects by hand, as the audit log names them."""
        self._by_hands = [ByHand(one) for one in operations]
        self._control = control
        self._directories = directories
        self._plans = plans
        self._audit = audit

    def page(
        self, principal: Principal, wanted: Wanted, *, after: str | None, most: int
    ) -> tuple[list[Changed], str | None]:
        """Some changes, the newest first, and where to go on; None when there are no more.

        Raises Invalid, Forbidden.
        """
        roles.check(principal, Act.READ_PEOPLE)
        place = cursor(after)
        by_runs: list[tuple[int, _Cursor, Changed]] = []
        further: _Cursor | None = None
        if wanted.by != "hand" and place.began > 0:
            by_runs, further = self._of_runs(principal, wanted, place, most)
        entries: list[Row[Any]] = []
        below: int | None = None
        if wanted.by != "run" and wanted.profile is None and place.audit is not None:
            entries, below = self._by_hand(principal, wanted, place.audit, most)
        return self._merged(principal, place, by_runs, further, entries, below, most)

    # --- what runs did ---------------------------------------------------------------------------------------------

    def _of_runs(
        self, principal: Principal, wanted: Wanted, place: _Cursor, most: int
    ) -> tuple[list[tuple[int, _Cursor, Changed]], _Cursor | None]:
        with self._control.read() as connection:
            rows = connection.execute(window(principal.tenant, wanted, place)).all()
        found: list[tuple[int, _Cursor, Changed]] = []
        asked = 0
        for row in rows:
            if row.stage != RunState.APPLYING or row.cause == Cause.PREVIEW:
                continue
            if asked == RUNS_MAX or len(found) > most:
                return found, _Cursor(row.began, row.id, -1)
            asked += 1
            begin = place.step if row.id == place.run and place.step >= -1 else -1
            question = Question(
                kind=wanted.kind,
                op=wanted.op,
                object=wanted.object,
                applied=True,
                top=most + 1 - len(found),
                after=begin,
            )
            try:
                page = self._plans.steps(principal, row.profile, row.id, question)
            except NotFound:
                continue  # what it held is not kept any more
            found += [(row.began, _Cursor(row.began, row.id, step.number), _changed(row, step)) for step in page.steps]
            if page.more:
                return found, _Cursor(row.began, row.id, page.steps[-1].number)
        if len(rows) == WINDOW:
            return found, _Cursor(rows[-1].began, rows[-1].id, _DONE)
        return found, None

    # --- what was done by hand -------------------------------------------------------------------------------------

    def _by_hand(
        self, principal: Principal, wanted: Wanted, below: int, most: int
    ) -> tuple[list[Row[Any]], int | None]:
        kinds = {wanted.kind, "person"} if wanted.kind in _PERSONS else {wanted.kind}
        operations = [
            one.operation
            for one in self._by_hands
            if (wanted.kind is None or one.kind in kinds) and wanted.op in (None, one.op)
        ]
        if not operations:
            return [], None
        found: list[Row[Any]] = []
        start: int | None = None if below == _FIRST.audit else below
        for _ in range(LOOKS_MAX):
            rows, further = self._audit.newest(
                principal.tenant,
                principal.tenant_id,
                below=start,
                most=most + 1 - len(found),
                containing={} if wanted.object is None else {"object": wanted.object},
                operations=operations,
                since=wanted.since,
                until=wanted.until,
            )
            found += rows
            start = further
            if further is None or len(found) > most:
                break
        return found, start

    # --- both ------------------------------------------------------------------------------------------------------

    def _merged(
        self,
        principal: Principal,
        place: _Cursor,
        by_runs: list[tuple[int, _Cursor, Changed]],
        further: _Cursor | None,
        entries: list[Row[Any]],
        below: int | None,
        most: int,
    ) -> tuple[list[Changed], str | None]:
        both: list[_Item] = [_Item(at, where, 0, one) for at, where, one in by_runs]
        at = _FIRST.began
        for row in entries:  # the log's own order counts, also where a clock was put back
            at = min(at, row.at)
            both.append(_Item(at, None, row.number, row))
        both.sort(key=lambda one: -one.at)  # which leaves those of one run, and those of the log, in their order
        # What is older than where either of the two has looked so far waits for the next page.
        looked = [further.began] if further is not None else []
        if below is not None:
            looked.append(at if entries else self._audit.moment(principal.tenant, below))
        shown = [one for one in both if one.at >= max(looked, default=0)][:most]
        left = both[len(shown) :]
        first = next((one.where for one in left if one.where is not None), None)
        if first is not None:
            before = [one.where for one in shown if one.where is not None and one.where.run == first.run]
            begun = before[-1] if before else place if place.run == first.run else None
            further = begun if begun is not None else msgspec.structs.replace(first, step=-1)
        entry = next((one.entry for one in left if one.where is None), None)
        below = below if entry is None else entry + 1
        value = [*self._told(principal, [one.what for one in shown])]
        if further is None and below is None:
            return value, None
        return value, str(msgspec.structs.replace(further or _OVER, audit=below))

    def _told(self, principal: Principal, found: Sequence[Changed | Row[Any]]) -> Iterator[Changed]:
        rows = [one for one in found if not isinstance(one, Changed)]
        ids = {row.number: _GUID.findall(row.object) for row in rows}
        known = self._names(principal, {one for several in ids.values() for one in several}) if rows else {}
        audits = roles.allows(principal, Act.AUDIT)
        for one in found:
            yield one if isinstance(one, Changed) else _by_hand(one, ids[one.number], known, audits=audits)

    def _names(self, principal: Principal, ids: set[str]) -> Mapping[str, tuple[str | None, str | None]]:
        """SIS IDs and names of those that are still there."""
        found: dict[str, tuple[str | None, str | None]] = {}
        if not ids:
            return found
        with self._directories.read(principal.tenant_id) as connection:
            for table in (schools, classes, people):
                query = select(table.c.id, table.c.source_id, table.c.display_name).where(
                    table.c.tenant == principal.tenant, table.c.id.in_(ids)
                )
                found |= {row.id: (row.source_id, row.display_name) for row in connection.execute(query)}
        return found


def _changed(row: Row[Any], step: PlannedStep) -> Changed:
    return Changed(
        at=ticks.text(row.began),
        by="run",
        profile=row.profile,
        run=row.number,
        step=step.number,
        actor=row.asked_by,
        op=step.op,
        kind=step.kind,
        object_id=step.object_id,
        source_id=step.source_id,
        name=step.name,
        member_id=step.member_id,
        member_source_id=step.member_source_id,
        member_name=step.member_name,
        changes=step.changes,
        members="",
        rule=step.rule,
        file=step.file,
        line=step.line,
    )


def _by_hand(
    row: Row[Any], ids: Sequence[str], known: Mapping[str, tuple[str | None, str | None]], *, audits: bool
) -> Changed:
    did = ByHand(row.operation)
    source_id, name = known.get(ids[0], (None, None)) if ids else (None, None)
    member_source_id, member_name = known.get(ids[1], (None, None)) if len(ids) > 1 else (None, None)
    return Changed(
        at=ticks.text(row.at),
        by="hand",
        profile=None,
        run=None,
        step=None,
        actor=row.actor if audits else None,
        op=did.op,
        kind=did.kind,
        object_id=ids[0] if ids else None,
        source_id=source_id,
        name=name,
        member_id=ids[1] if len(ids) > 1 else None,
        member_source_id=member_source_id,
        member_name=member_name,
        changes=(),
        members=row.members,
        rule=None,
        file=None,
        line=None,
    )
