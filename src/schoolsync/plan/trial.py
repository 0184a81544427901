# ruff: noqa: S608  # what is put into these statements are names of ours and quoted literals
"""What the identity rules of a profile make of one person who is typed in: the names, the key, the account that fits.

The rules are those that plans are made by (`matching`, `recipes`), asked about a roster of this one record. It is done
in two steps, because whoever can read the directory answers in between: `asked` says what has to be looked up, and
`decided` takes the answers in. Nothing is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import duckdb
import msgspec

from schoolsync.plan import desired, matching, recipes
from schoolsync.plan.desired import Terms, held_columns
from schoolsync.plan.identity import text
from schoolsync.plan.kinds import ObjectKind
from schoolsync.plan.typed import Account, Asked, Decided, LookedFor, Outcome, Person
from schoolsync.roster import tables

GENERATIONS = 8
"""So many ids of a record are looked up, one of which no earlier object has had."""

_HELD = ", ".join(held_columns("people"))
_OUTCOMES: Mapping[str, Outcome] = {"kept": "keeps", "adopted": "takesOver", "created": "creates"}


def asked(db: duckdb.DuckDBPyConnection, terms: Terms, person: Person) -> Asked:
    """What has to be known of the directory. Raises matching.UnknownPropertyError."""
    kind = _begin(db, terms, person, ())
    if kind is None:
        return Asked(ids=(), name=None, aliases=(), columns=())
    ((name, looked_for),) = db.execute("SELECT name, looked_for FROM planned.new").fetchall()
    recipe = recipes.of(terms, kind)
    ids = [desired.id_of(terms, kind, text(person.sis_id or ""), str(number)) for number in range(GENERATIONS)]
    aliases: list[str] = []
    if recipe is not None and name is not None:
        base = str(name).split("@")[0]
        aliases = [base, *(f"{base}{number}" for number in range(2, recipes.LAST + 1) if recipe.counter)]
    options = [one for one in matching.options(terms) if one.role == person.role]
    return Asked(
        ids=tuple(map(str, db.execute(f"SELECT {', '.join(ids)}").fetchall()[0])) if person.sis_id else (),
        name=str(name).lower() if recipe is None and name is not None else None,
        aliases=tuple(aliases),
        mails=tuple(recipes.made((one.mail for one in terms.policy.recipes.values()), aliases)),
        nicknames=tuple(recipes.made((one.nickname or "{alias}" for one in terms.policy.recipes.values()), aliases)),
        columns=tuple((one.column, value) for one, value in zip(options, looked_for, strict=True) if value),
    )


def decided(
    db: duckdb.DuckDBPyConnection,
    terms: Terms,
    person: Person,
    *,
    accounts: Sequence[Account],
    spent: Sequence[str],
    taken: Sequence[Sequence[str | None]],
) -> Decided:
    """What becomes of the person: `accounts` are those that what was asked for led to, `spent` the ids that objects
    had which are gone, `taken` the recipes.ACCOUNT_COLUMNS of
    who has such a name or address. Raises matching.UnknownPropertyError.
    """
    kind = _begin(db, terms, person, accounts)
    if kind is None:
        return Decided(outcome="leftAlone")
    db.execute("CREATE TABLE spent AS SELECT unnest($1::VARCHAR[]) AS id", [[*spent]])
    while db.execute("SELECT 1 FROM planned.new SEMI JOIN spent USING (id)").fetchall():
        matching.pass_over(db, terms, "spent")
    known = ", ".join((_HELD, *matching.ACCOUNT_COLUMNS))
    for lookup in matching.lookups(terms):
        if lookup.table == "people" and (lookup.column != "id" or person.sis_id):
            db.execute(f"""
                CREATE OR REPLACE TABLE answer AS SELECT {known}, {lookup.column} AS value FROM arrived
                WHERE {lookup.column} IN ({lookup.values})
            """)
            matching.found(db, terms, lookup, "answer")
    if recipes.wanted(db, terms):
        db.execute(f"CREATE TABLE accounts ({', '.join(f'{name} VARCHAR' for name in recipes.ACCOUNT_COLUMNS)})")
        if taken:
            db.executemany("INSERT INTO accounts VALUES (?, ?, ?)", [list(one) for one in taken])
        recipes.give(db, terms, "accounts")
    looked_for: tuple[LookedFor, ...] = ()
    if matching.options(terms):
        looked_for = _looked_for(db, terms, person)
        found = matching.match(db, terms, "arrived")
        db.execute(
            f"CREATE OR REPLACE TABLE answer AS SELECT {known}, key AS value FROM arrived WHERE key IN ({found})"
        )
        matching.protect(db, terms, "answer")
        db.execute(f"INSERT INTO held.people BY NAME SELECT {_HELD} FROM answer")
    matching.resolve(db, terms)
    return msgspec.structs.replace(_outcome(db, terms, kind), looked_for=looked_for)


def _begin(
    db: duckdb.DuckDBPyConnection, terms: Terms, person: Person, accounts: Sequence[Account]
) -> ObjectKind | None:
    """A roster of the person alone, and what new people would be called; None when the profile leaves them alone."""
    for statement in tables.ddl():
        db.execute(statement)
    db.execute(
        "INSERT INTO roster.people BY NAME SELECT $role AS role, $sis_id AS source_id, $username AS username, "
        "$given_name AS given_name, $middle_name AS middle_name, $surname AS surname, true AS enabled, "
        "$email AS email, $match_id AS match_id, $state_id AS state_id, $secondary_email AS secondary_email, "
        "$number AS number, $graduation_year AS graduation_year, 'typed' AS file, 1 AS line",
        {**msgspec.structs.asdict(person), "sis_id": person.sis_id or ""},
    )
    kind = next((one for one in terms.objects if one.role == person.role), None)
    if kind is None:
        return None
    desired.prepare(db, terms)
    # What is not known of an account is not asked either before the record has one.
    columns = {"key": "BIGINT", "owner": "BIGINT", "active": "BOOLEAN"}
    known = [one.name for one in msgspec.structs.fields(Account)]
    described = {**dict.fromkeys(known, "VARCHAR"), **columns}
    described |= {name: type_ for name, type_ in held_columns("people").items() if name not in described}
    db.execute(f"CREATE TABLE arrived ({', '.join(f'{name} {type_}' for name, type_ in described.items())})")
    for one in accounts:
        values = msgspec.structs.astuple(one)
        db.execute(f"INSERT INTO arrived ({', '.join(known)}) VALUES ({', '.join('?' * len(known))})", values)
    own = f"{terms.is_ours('owner')} AND primary_role = {text(person.role)} AND source_id = {text(person.sis_id or '')}"
    db.execute(f"INSERT INTO held.people BY NAME SELECT {_HELD} FROM arrived WHERE {own}")
    # Who else is there of this profile stays in the roster.
    db.execute(f"""
        INSERT INTO planned.spared SELECT primary_role, source_id FROM arrived
        WHERE {terms.is_ours("owner")} AND active AND source_id IS NOT NULL AND NOT ({own})
    """)
    matching.seek(db, terms)
    return kind


def _looked_for(db: duckdb.DuckDBPyConnection, terms: Terms, person: Person) -> tuple[LookedFor, ...]:
    rows = db.execute("SELECT looked_for FROM planned.new").fetchall()
    if not rows:
        return ()
    found = []
    options = [one for one in matching.options(terms) if one.role == person.role]
    targets = [one.target for one in terms.policy.matching if one.role == person.role]
    for option, target, value in zip(options, targets, rows[0][0], strict=True):
        query = f"SELECT count(*) FROM arrived WHERE lower({option.column}) = lower($1)"
        ((many,),) = db.execute(query, [value]).fetchall()
        found.append(LookedFor(property=target, value=value, accounts=int(many)))
    return tuple(found)


def _outcome(db: duckdb.DuckDBPyConnection, terms: Terms, kind: ObjectKind) -> Decided:
    refused = db.execute("SELECT error_code, error_message FROM planned.errors LIMIT 1").fetchall()
    chosen = db.execute("SELECT how, key, id FROM planned.chosen").fetchall()
    if refused or not chosen:
        code, message = refused[0] if refused else (None, None)
        return Decided(outcome="refused", code=code, message=message)
    how, key, object_id = chosen[0]
    if key is not None:
        return Decided(outcome=_OUTCOMES[how], key=int(key))
    recipe = recipes.of(terms, kind)
    mail = "r.email" if recipe is None or recipe.mail is None else recipes.mail(recipe, "n.name")
    ((name, mail, nickname),) = db.execute(
        f"SELECT n.name, {mail}, {recipes.nickname(recipe, 'n.name')} FROM planned.newcomers AS n, roster.people AS r"
    ).fetchall()
    return Decided(outcome="creates", id=object_id, user_principal_name=name, mail=mail, mail_nickname=nickname)
