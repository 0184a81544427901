"""Trying a profile's identity rules: a person's values are typed in, and what a run would make of them is told.

Only the directory is read. The rules are followed in the reader process (`plan.trial`), which knows no directory; here
it is asked what they want to know.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import Connection, Row, and_, exists, literal, or_, select, union_all

from schoolsync.access import roles
from schoolsync.access.principal import Principal
from schoolsync.access.roles import Act
from schoolsync.directory import finding
from schoolsync.errors import Invalid
from schoolsync.plan.policy import Policy
from schoolsync.plan.typed import Account, Asked, Decided, LookedFor, Outcome, Person
from schoolsync.profiles import configuration, listing, own_settings
from schoolsync.profiles.policy import policy_of
from schoolsync.store.control_tables import profiles
from schoolsync.store.directory_tables import people, spent_ids
from schoolsync.store.json_text import folded

if TYPE_CHECKING:
    from schoolsync.runs.readers import Readers
    from schoolsync.settings import Settings
    from schoolsync.store.control import Control
    from schoolsync.store.directories import Directories

VALUE_MAX = 256
ACCOUNTS_MAX = 10
"""So many accounts with the same value are told apart."""

_SETTINGS = ("recipes", "protected")
_MEMBERS = ("identitySynchronizationConfiguration", "handleSpecialCharacterConstraint")
"""What of a profile's settings and of its configuration decides about identities, and can be tried unsaved."""

_SAID: dict[Outcome, str] = {
    "keeps": "The profile has this person already, and the account stays what it is.",
    "takesOver": "An account that is there fits, and is taken over.",
    "creates": "A new account is made.",
    "refused": "No account is made or taken over.",
    "leftAlone": "The profile leaves people of this role alone for now.",
}


class TriedAccount(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The account that is kept or taken over, as it is now."""

    id: str
    display_name: str | None
    user_principal_name: str | None
    mail: str | None
    mail_nickname: str | None
    sis_id: str | None


class Tried(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a run would make of a person."""

    outcome: Outcome
    answer: tuple[str, ...]  # in sentences
    object_id: str | None  # that the person has, or would be given
    user_principal_name: str | None  # of the account that is made; null when none is
    mail: str | None
    mail_nickname: str | None
    account: TriedAccount | None
    looked_for: tuple[LookedFor, ...]  # what accounts are matched by, in the profile's order


class Trying:
    """Tries the rules of all profiles. Safe to share between threads."""

    def __init__(self, *, control: Control, settings: Settings, readers: Readers, directories: Directories) -> None:
        self._control = control
        self._settings = settings
        self._readers = readers
        self._directories = directories

    def identify(
        self,
        principal: Principal,
        profile: str,
        person: Person,
        *,
        settings: Mapping[str, Any],
        changed: Mapping[str, Any],
        now: int,
    ) -> Tried:
        """What a run would make of the person, by the saved rules with these changes of them. Nothing is kept.

        Raises NotFound when there is no such profile, Invalid, Forbidden; TooCostly when the directory is too large
        to be looked through for what the profile matches by.
        """
        roles.check(principal, Act.READ_PEOPLE)
        tenant = principal.tenant
        with self._control.read() as connection:
            listing.one(connection, tenant, profile)
            row = connection.execute(
                select(profiles).where(profiles.c.tenant == tenant, profiles.c.id == profile)
            ).one()
            living = [*connection.execute(select(profiles.c.number).where(profiles.c.tenant == tenant)).scalars()]
        person = _trimmed(person)
        policy = _policy(row, settings, changed, now=now)
        given = {
            "terms": {
                "tenant_id": principal.tenant_id,
                "profile": row.number,
                "living": living,
                "policy": msgspec.to_builtins(policy),
                "now": now,
            },
            "person": msgspec.to_builtins(person),
        }
        asked = self._readers.ask("identity_asked", Asked, **given)
        with self._directories.read(principal.tenant_id, seconds=self._settings.query_seconds) as connection:
            found = _accounts(connection, tenant, asked, person, owner=row.number)
            spent = _spent(connection, tenant, asked)
            taken = _taken(connection, tenant, asked)
        accounts = [msgspec.to_builtins(_account(one)) for one in found]
        told = self._readers.ask("identity_decided", Decided, **given, accounts=accounts, spent=spent, taken=taken)
        return _tried(told, next((one for one in found if one.key == told.key), None), policy, person)


def _policy(row: Row[Any], settings: Mapping[str, Any], changed: Mapping[str, Any], *, now: int) -> Policy:
    """The profile's policy with changes that nobody has saved. Raises Invalid."""
    columns = dict(row._mapping)
    for name in (one for one in settings if one not in _SETTINGS):
        raise Invalid(f"{name[:40]} is no setting for identities: {', '.join(_SETTINGS)}.", target="settings")
    for name in (one for one in changed if one not in _MEMBERS):
        raise Invalid(f"{name[:40]} is no member for identities: {', '.join(_MEMBERS)}.", target="configuration")
    if settings:
        columns["policy"] = own_settings.merged(row.policy, settings)
    if changed:
        before = configuration.stored(row, {"": ""})  # a secret is not read here, and does not become a missing one
        columns |= configuration.merged(before, dict(changed), created=row.created, now=now).columns()
    return policy_of(SimpleNamespace(**columns))


def _trimmed(person: Person) -> Person:
    """Values as a roster has them: without blanks around them, and none where nothing is left."""
    values = {}
    for name, value in msgspec.structs.asdict(person).items():
        if isinstance(value, str):
            if len(value) > VALUE_MAX or not value.replace("\t", " ").isprintable():
                raise Invalid(f"A value has at most {VALUE_MAX} printable characters.", target=name)
            values[name] = value.strip() or None
    if len([value for value in values.values() if value]) < 2:
        raise Invalid("Type in at least one value of the person, such as the SIS ID or the user name.")
    return msgspec.structs.replace(person, **values)


def _accounts(connection: Connection, tenant: int, asked: Asked, person: Person, *, owner: int) -> list[Row[Any]]:
    """Whoever may be meant: the profile's own of that SIS ID, and those that the rules ask for."""
    found: dict[int, Row[Any]] = {}
    if person.sis_id is not None:
        for row in finding.named(connection, people, tenant, person.sis_id, owner=owner):
            if row.source_id == person.sis_id:
                found.setdefault(row.key, row)
    wanted = [people.c.id == one for one in asked.ids]
    wanted += [people.c.account_name == asked.name] if asked.name is not None else []
    for column, value in asked.columns:
        # The principal name has its index in lower case.
        named = people.c.account_name if column == "user_principal_name" else folded(people.c[column])
        wanted.append(named == (value.lower() if column == "user_principal_name" else folded(literal(value))))
    for condition in wanted:
        query = select(people).where(people.c.tenant == tenant, condition).limit(ACCOUNTS_MAX)
        for row in connection.execute(query):
            found.setdefault(row.key, row)
    return list(found.values())


def _spent(connection: Connection, tenant: int, asked: Asked) -> list[str]:
    query = select(spent_ids.c.id).where(spent_ids.c.tenant == tenant, spent_ids.c.id.in_(asked.ids))
    return [*connection.execute(query).scalars()] if asked.ids else []


def _taken(connection: Connection, tenant: int, asked: Asked) -> list[tuple[str | None, str | None, str | None]]:
    """Who has a name of these, or a mail address or nickname that one would make: sign-in name, address, nickname.

    Of the parts before the @, whatever the domain, each is one look into an index; addresses have none.
    """
    if not asked.aliases:
        return []
    name = people.c.account_name
    beside = or_(folded(people.c.mail).in_(asked.mails), folded(people.c.mail_nickname).in_(asked.nicknames))
    others = select(people.c.mail, people.c.mail_nickname).where(people.c.tenant == tenant, beside)
    queries = [
        select(literal(f"{alias}@").label("name")).where(
            exists().where(and_(people.c.tenant == tenant, name >= f"{alias}@", name < f"{alias}@\U0010ffff"))
        )
        for alias in asked.aliases
    ]
    named = connection.execute(union_all(*queries)).scalars()
    reached = connection.execute(others)
    return [*((one, None, None) for one in named), *((None, one.mail, one.mail_nickname) for one in reached)]


def _account(row: Row[Any]) -> Account:
    known = row._mapping
    given = {one.name: known[one.name] for one in msgspec.structs.fields(Account) if one.name != "owner"}
    return msgspec.convert({**given, "owner": known["profile"], "active": bool(known["active"])}, Account)


def _tried(told: Decided, row: Row[Any] | None, policy: Policy, person: Person) -> Tried:
    said = [_SAID[told.outcome]]
    if told.message is not None:
        said.append(told.message)
    if told.outcome == "creates" and person.sis_id is None:
        said.append("Without a SIS ID nobody can say which object id the account is given.")
    if told.outcome in ("creates", "refused") and policy.creates and person.role in policy.recipes:
        said.append("The user name is made by the profile's recipe; whoever is planned before this person comes first.")
    account = None
    if row is not None:
        known = row._mapping
        account = TriedAccount(
            id=str(known["id"]),
            sis_id=known["source_id"],
            **{name: known[name] for name in ("display_name", "user_principal_name", "mail", "mail_nickname")},
        )
    made = told.id if person.sis_id is not None else None
    return Tried(
        outcome=told.outcome,
        answer=tuple(said),
        object_id=account.id if account is not None else made,
        user_principal_name=told.user_principal_name,
        mail=told.mail,
        mail_nickname=told.mail_nickname,
        account=account,
        looked_for=told.looked_for,
    )
