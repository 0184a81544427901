"""The audit log: who did what, with which token, to which object. Append-only, chained, and free of people's data.

Each tenant's entries are numbered and chained: an entry's hash covers everything in it and the hash before it, so a
changed, removed or inserted entry breaks the chain, and whoever holds an export can check that without us. A seal made
with a key outside the database lies on every hash, so nobody who can only write to the database can make a new chain.
The log is not the history of a sync (that is kept with its runs): it holds what people and programs asked for.

An entry commits together with its act. Where the act is in a tenant's directory file, which SQLite cannot commit
together with the control database, the entry is left beside it in the same transaction and taken over afterwards,
exactly once; every reading of the log takes over first. Design: docs/audit.md.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Self

import msgspec
import structlog
from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from schoolsync import ticks
from schoolsync.access import keys
from schoolsync.access.principal import GUID, Principal
from schoolsync.errors import WorldError
from schoolsync.settings import Settings
from schoolsync.store import acts
from schoolsync.store.control import Control
from schoolsync.store.control_tables import audit, audit_heads, tenants
from schoolsync.store.database import insert_new, is_postgresql, listed, rows_of_lists
from schoolsync.store.directories import Directories
from schoolsync.store.directory_tables import audit_outbox

BEGINNING = "0" * 64
PAGE = 500
WINDOW = 20_000
"""Entries that one search looks at."""
OBJECT_MAX = 400
MEMBERS_MAX = 40

DONE = "done"

FIELDS = (
    "number",
    "id",
    "at",
    "actor",
    "client",
    "issuer",
    "token",
    "request",
    "operation",
    "object",
    "members",
    "outcome",
)
"""What an entry says, in the order that its hash covers."""

# Every act passes here, so the statements are put together once.
_ITS_HEAD = audit_heads.c.tenant == bindparam("its_tenant")
_HEAD = select(audit_heads.c.number, audit_heads.c.hash).where(_ITS_HEAD).with_for_update()
_HEAD_READ = select(audit_heads.c.number).where(_ITS_HEAD)
_MOVE = update(audit_heads).where(_ITS_HEAD).values(number=bindparam("number"), hash=bindparam("hash"))
_ADD = insert(audit)
_COLUMNS = tuple(audit.c.keys())
_ADD_LISTED = insert(audit).from_select(_COLUMNS, select(rows_of_lists(audit, _COLUMNS)))

_MEMBER = re.compile(r"[@\w.]{1,64}", re.ASCII)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One act as the log keeps it: ids alone, nobody's name."""

    tenant: int
    tenant_id: str
    at: int  # ticks
    actor: str  # kind and id: delegated:<id>, application:<id>, machine:<who may run commands here>
    operation: str  # PATCH education/synchronizationProfiles/{profile}
    object: str  # the path with the ids in it
    client: str | None = None
    issuer: str | None = None
    token: str | None = None
    request: str | None = None
    members: str = ""  # names of the members that a body gave, never their values
    outcome: str = DONE
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


def of_principal(
    principal: Principal,
    *,
    at: int,
    operation: str,
    about: str,
    request: str,
    members: str = "",
) -> Act:
    """The act of a caller."""
    return Act(
        tenant=principal.tenant,
        tenant_id=principal.tenant_id,
        at=at,
        actor=principal.audit_name,
        client=principal.client,
        issuer=principal.issuer,
        token=principal.token,
        request=request,
        operation=operation,
        object=about[:OBJECT_MAX],
        members=members,
    )


def without_names(path: str, keys: Mapping[str, str]) -> str:
    """A path whose keys are ids; a key that is no id may be somebody's name and is replaced by its fingerprint."""
    for value in keys.values():
        if not GUID.fullmatch(value):
            path = path.replace(value, "~" + hashlib.sha256(value.encode()).hexdigest()[:16])
    return path


def named(body: object) -> Iterable[str]:
    """The members that a body gave, read as an object or into a structure that knows what was left out."""
    if isinstance(body, Mapping):
        return body.keys()
    fields = getattr(body, "__struct_fields__", ())
    return [name for name in fields if getattr(body, name) is not msgspec.UNSET]


def members(names: Iterable[str]) -> str:
    """The names of a body's members, as far as they look like names."""
    return " ".join(sorted(name for name in names if _MEMBER.fullmatch(name))[:MEMBERS_MAX])


class Pending:
    """An act that has not been written down yet. `describe` says what it is, or None while that is not known."""

    __slots__ = ("_describe", "_log", "_writing", "act", "left")

    def __init__(self, describe: Callable[[], Act | None], audit_log: Audit) -> None:
        self._describe = describe
        self._log = audit_log
        self.act: Act | None = None  # once it was written
        self._writing: Act | None = None
        self.left = False  # in a directory, to be taken over

    def into_control(self, connection: Connection) -> bool:
        return bool(self.all_into_control(connection, [self]))

    def all_into_control(self, connection: Connection, entries: Sequence[Self]) -> Sequence[Self]:
        acts_due, due = list[Act](), list[Self]()
        for entry in entries:
            entry._writing = None if entry.act is not None else entry._describe()
            if entry._writing is not None:
                acts_due.append(entry._writing)
                due.append(entry)
        self._log.append(connection, *acts_due)
        return due

    def into_directory(self, connection: Connection) -> bool:
        self._writing = None if self.act is not None else self._describe()
        if self._writing is None:
            return False
        act = self._writing
        values = {name: getattr(act, name) for name in FIELDS if name != "number"}
        connection.execute(insert(audit_outbox).values(tenant=act.tenant, **values))
        self.left = True
        return True

    def committed(self) -> None:
        self.act = self._writing

    def waits(self, status: int) -> bool:
        """Whether `settle` has anything to do."""
        if self.act is None:
            return status < 400 and self._describe() is not None
        return self.left or status >= 400

    def settle(self, status: int) -> None:
        """Before the answer is sent: an act that wrote nothing is written down too, one that was refused after all is
        marked, one left in a directory is taken over."""
        if self.act is None:
            act = self._describe() if status < 400 else None
            if act is None:
                return
            self.act = act  # first: the transaction that follows must not take it along as well
            try:
                self._log.record(act)
            except BaseException:
                self.act = None
                raise
            return
        try:
            if self.left:
                self._log.take_over(self.act.tenant, self.act.tenant_id)
            if status >= 400:
                self._log.record(replace(self.act, id=str(uuid.uuid4()), outcome=f"refused {status}"))
        except WorldError as problem:  # the act is done and its entry is safe: the answer must say so
            log.warning("audit_entry_waits", request=self.act.request, problem=str(problem))


class Audit:
    """The audit log of an installation. Safe to share between threads."""

    def __init__(self, control: Control, directories: Directories, settings: Settings) -> None:
        self._control = control
        self._directories = directories
        self._settings = settings
        self._key = keys.audit_key(settings.keys)

    def expect(self, describe: Callable[[], Act | None]) -> Pending:
        """An entry for `acts.acting`, whose first write transaction takes it along."""
        return Pending(describe, self)

    @contextmanager
    def acting(self, act: Act) -> Iterator[None]:
        """For commands: what is written inside is this act; it is written down even when nothing was."""
        pending = self.expect(lambda: act)
        with acts.acting(pending):
            yield
        pending.settle(200)

    def append(self, connection: Connection, *several: Act) -> None:
        """Add entries of one tenant in the caller's transaction."""
        if not several:
            return
        tenant = several[0].tenant
        head = self._head(connection, tenant)
        if head is None:
            connection.execute(insert_new(connection, audit_heads).values(tenant=tenant, number=0, hash=BEGINNING))
            head = self._head(connection, tenant)
            assert head is not None
        number, previous = head
        rows: list[dict[str, object]] = []
        key = self._key.get()
        for act in several:
            assert act.tenant == tenant
            number += 1
            entry = {name: getattr(act, name) for name in FIELDS if name != "number"} | {"number": number}
            digest = chained(previous, entry)
            rows.append(entry | {"tenant": tenant, "previous": previous, "hash": digest, "seal": _seal(key, digest)})
            previous = digest
        if len(rows) > 1 and is_postgresql(connection):
            connection.execute(_ADD_LISTED, listed({name: [row[name] for row in rows] for name in _COLUMNS}))
        else:
            connection.execute(_ADD, rows)
        connection.execute(_MOVE, {"its_tenant": tenant, "number": number, "hash": previous})

    def _head(self, connection: Connection, tenant: int) -> tuple[int, str] | None:
        """The end of the chain, which nobody else can move until the transaction is over."""
        row = connection.execute(_HEAD, {"its_tenant": tenant}).one_or_none()
        return None if row is None else (int(row.number), str(row.hash))

    def record(self, act: Act) -> None:
        """Add an entry in a transaction of its own."""
        with self._control.write(act.tenant) as connection:
            self.append(connection, act)

    def take_over(self, tenant: int, tenant_id: str) -> None:
        """Move entries that acts left in the tenant's directory into the chain, each exactly once."""
        if not self._directories.may_hold_entries(tenant_id):
            return
        with self._directories.read(tenant_id) as connection:
            left = connection.execute(
                select(audit_outbox).where(audit_outbox.c.tenant == tenant).order_by(audit_outbox.c.at)
            ).all()
        if not left:
            return
        with self._control.write(tenant) as connection:
            for row in left:
                known = select(audit.c.number).where(audit.c.tenant == tenant, audit.c.id == row.id)
                if connection.execute(known).first() is None:
                    said = {name: getattr(row, name) for name in FIELDS if name != "number"}
                    self.append(connection, Act(tenant=tenant, tenant_id=tenant_id, **said))
        with self._directories.write(tenant_id) as connection:
            ids = [row.id for row in left]
            connection.execute(delete(audit_outbox).where(audit_outbox.c.tenant == tenant, audit_outbox.c.id.in_(ids)))

    def entries(
        self, tenant: int, tenant_id: str, *, after: int = 0, most: int = PAGE
    ) -> list[Row[tuple[object, ...]]]:
        """Entries in order, from the one behind `after`."""
        self.take_over(tenant, tenant_id)
        query = select(audit).where(audit.c.tenant == tenant, audit.c.number > after).order_by(audit.c.number)
        with self._control.read() as connection:
            return [*connection.execute(query.limit(most)).all()]

    def newest(
        self,
        tenant: int,
        tenant_id: str,
        *,
        below: int | None = None,
        most: int = PAGE,
        containing: Mapping[str, str] | None = None,
        operations: Sequence[str] | None = None,
        since: int | None = None,
        until: int | None = None,
    ) -> tuple[list[Row[tuple[object, ...]]], int | None]:
        """Entries, the newest first, and where to go on; None when there are no more.

        `containing` says what must stand in a field; of `operations` only what was done counts. `WINDOW` entries are
        looked at once, so a page may hold fewer than `most` and still not be the last.
        """
        self.take_over(tenant, tenant_id)
        mine = audit.c.tenant == tenant
        query = select(audit).where(mine).order_by(audit.c.number.desc()).limit(most + 1)
        with self._control.read() as connection:
            if below is None:
                head = connection.execute(_HEAD_READ, {"its_tenant": tenant}).scalar_one_or_none()
                below = int(head or 0) + 1
            floor = max(0, below - WINDOW - 1)
            query = query.where(audit.c.number < below, audit.c.number > floor)
            for name, text in (containing or {}).items():
                query = query.where(audit.c[name].icontains(text, autoescape=True))
            if operations is not None:
                query = query.where(audit.c.operation.in_(operations), audit.c.outcome == DONE)
            query = query if since is None else query.where(audit.c.at >= since)
            query = query if until is None else query.where(audit.c.at < until)
            rows = connection.execute(query).all()
        if len(rows) > most:
            return [*rows[:most]], int(rows[most - 1].number)
        return [*rows], floor + 1 if floor else None

    def moment(self, tenant: int, number: int) -> int:
        """When the act of an entry was, in ticks; of the next one, should it not be there."""
        query = select(audit.c.at).where(audit.c.tenant == tenant, audit.c.number >= number).order_by(audit.c.number)
        with self._control.read() as connection:
            return int(connection.execute(query.limit(1)).scalar_one())

    def all(self, tenant: int, tenant_id: str, *, after: int = 0) -> Iterator[Row[tuple[object, ...]]]:
        """Every entry, page by page."""
        while page := self.entries(tenant, tenant_id, after=after):
            yield from page
            after = page[-1].number

    def verify(self, tenant: int, tenant_id: str) -> Verdict:
        """Check the chain, the seals and the head of a tenant's log."""
        chain = Chain(self.head(tenant))
        for row in self.all(tenant, tenant_id):
            if not chain.goes_on(shown(row, tenant_id), sealed=self.sealed(row)):
                break
        return chain.verdict()

    def head(self, tenant: int) -> tuple[int, str]:
        """Number and hash that the log of a tenant ends with, or goes on behind by now."""
        with self._control.read() as connection:
            head = connection.execute(select(audit_heads).where(audit_heads.c.tenant == tenant)).one_or_none()
        return (0, BEGINNING) if head is None else (int(head.number), str(head.hash))

    def sealed(self, row: Row[tuple[object, ...]]) -> bool:
        """Whether this installation has written an entry."""
        return hmac.compare_digest(str(row.seal), _seal(self._key.get(), str(row.hash)))

    def tenants(self) -> list[tuple[int, str]]:
        """Number and id of every tenant."""
        with self._control.read() as connection:
            return [(row.number, row.id) for row in connection.execute(select(tenants).order_by(tenants.c.id))]


def _seal(key: bytes, digest: str) -> str:
    return hmac.new(key, digest.encode(), hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a tenant's log is whole; `number` and `hash` are the last good entry's."""

    number: int
    hash: str
    wrong: str | None


class Chain:
    """Entries as exports show them, looked at one after the other, wherever they come from.

    The head was read before them: the log may have grown since, but may not have lost anything.
    """

    def __init__(self, head: tuple[int, str]) -> None:
        self._head = head
        self._number, self._hash = 0, BEGINNING
        self._wrong: str | None = None

    def goes_on(self, entry: Mapping[str, object], *, sealed: bool) -> bool:
        """Whether the next entry is what must come next; `sealed`: whether the installation says that it wrote it."""
        number = entry["number"]
        wrong = None
        if number != self._number + 1:
            wrong = f"entries {self._number + 1} to {int(str(number)) - 1} are missing"
        elif entry["previous"] != self._hash:
            wrong = "it does not follow the entry before it"
        elif entry["hash"] != chained(self._hash, {name: entry[name] for name in FIELDS}):
            wrong = "its content was changed"
        elif not sealed:
            wrong = "it was not written by this installation"
        if wrong is not None:
            self._wrong = f"Entry {number}: {wrong}."
            return False
        self._number, self._hash = self._number + 1, str(entry["hash"])
        return True

    def verdict(self) -> Verdict:
        """What was found, when there are no more entries."""
        number, known = self._head
        lost = self._number < number or (self._number == number and self._hash != known)
        if self._wrong is None and (lost or (number == 0 and self._number != 0)):
            self._wrong = f"Entries behind number {self._number} are missing."
        return Verdict(self._number, self._hash, self._wrong)


def chained(previous: str, entry: dict[str, object]) -> str:
    """The hash of an entry behind `previous`; docs/audit.md tells how to work it out elsewhere."""
    said = [previous, *(entry[name] for name in FIELDS)]
    return hashlib.sha256(json.dumps(said, ensure_ascii=True, separators=(",", ":")).encode()).hexdigest()


def shown(row: Row[tuple[object, ...]], tenant_id: str) -> dict[str, object]:
    """An entry as exports show it."""
    entry = {name: getattr(row, name) for name in FIELDS}
    return {
        "tenant": tenant_id,
        **entry,
        "time": ticks.text(row.at),
        "previous": row.previous,
        "hash": row.hash,
        "seal": row.seal,
    }
