# ruff: noqa: S608  # what is put into these statements are names of ours, numbers and quoted literals
"""Sign-in names, mail addresses and nicknames that a profile makes up for the accounts it creates.

A recipe is a text with fields of the record in braces (`{givenName:3}.{surname}`); its result is the part before the @.
Such a name belongs to one person in the whole tenant, whatever the domain and the letter case. Who comes second gets a
number, where the recipe allows that, and is an error otherwise: a name that somebody has is never taken over, and a
name once given stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import duckdb

from schoolsync.plan.desired import Terms
from schoolsync.plan.identity import text
from schoolsync.plan.kinds import ObjectKind
from schoolsync.plan.policy import RECIPE_FIELDS, RECIPE_PART, Recipe

LAST = 99
"""The last number that tells people of one name apart."""

# What strip_accents leaves as it is, because it is a letter of its own.
_LETTERS = {"æ": "ae", "œ": "oe", "ø": "o", "ß": "ss", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ħ": "h", "ı": "i"}


def name(recipe: Recipe) -> str:
    """The part before the @ as the recipe makes it, SQL over the record `r`; NULL when nothing is left of it."""
    parts = []
    for literal, field, length in _parts(recipe.username):
        if literal:
            parts.append(text(literal))
        if field:
            value = _plain(f"coalesce(r.{RECIPE_FIELDS[field]}, '')")
            parts.append(f"left({value}, {int(length)})" if length else value)
    longest = recipe.longest - (len(str(LAST)) if recipe.counter else 0)
    # A field that is empty leaves no dot behind at either end, nor two of them.
    joined = f"regexp_replace(concat({', '.join(parts)}), '([._-])[._-]+', '\\1', 'g')"
    return f"nullif(trim(left(trim({joined}, '._-'), {longest}), '._-'), '')"


def _plain(value: str) -> str:
    """Lower case, no accents, and nothing but letters and digits that every directory takes."""
    value = f"strip_accents(lower({value}))"
    for letter, plain in _LETTERS.items():
        value = f"replace({value}, '{letter}', '{plain}')"
    return f"regexp_replace({value}, '[^a-z0-9]', '', 'g')"


def _parts(recipe: str) -> list[tuple[str, str, str]]:
    return [(one[1] or "", one[2] or "", one[3] or "") for one in re.finditer(f"([^{{}}]+)|{RECIPE_PART}", recipe)]


def of(terms: Terms, kind: ObjectKind) -> Recipe | None:
    """The recipe for new accounts of this kind, if the profile has one."""
    return terms.policy.recipes.get(kind.role) if kind.role is not None and terms.policy.creates else None


def mail(recipe: Recipe, account: str) -> str:
    """The mail address of a new account, SQL over its sign-in name; call it only for a recipe that has one."""
    return _around(recipe.mail or "", account)


def nickname(recipe: Recipe | None, account: str) -> str:
    """The mail nickname of a new account, SQL over its sign-in name."""
    return _around("{alias}" if recipe is None or recipe.nickname is None else recipe.nickname, account)


def _around(recipe: str, account: str) -> str:
    before, after = recipe.split("{alias}", 1)
    return f"({text(before)} || split_part({account}, '@', 1) || {text(after)})"


def wanted(db: duckdb.DuckDBPyConnection, terms: Terms) -> bool:
    """Whether names have to be made up: then `give` wants to know all names there are."""
    return bool(terms.policy.creates and terms.policy.recipes) and bool(
        db.execute(f"SELECT 1 FROM planned.new WHERE kind IN ({_kinds(terms)}) LIMIT 1").fetchall()
    )


def _kinds(terms: Terms) -> str:
    return ", ".join(text(role) for role in sorted(terms.policy.recipes)) or "NULL"


ACCOUNT_COLUMNS = ("account_name", "mail", "mail_nickname")
"""What has to be known of everybody before names are given."""


def made(patterns: Iterable[str | None], aliases: Iterable[str]) -> list[str]:
    """What the recipes of a mail address or nickname make of the aliases, in lower case."""
    known = sorted({one for one in patterns if one is not None})
    return [one.replace("{alias}", alias).lower() for alias in aliases for one in known]


def _made_already(terms: Terms, accounts: str) -> str:
    """The query for the names that would make a mail address or nickname which somebody has, as recipes make them."""
    made = {role: one.mail for role, one in terms.policy.recipes.items() if one.mail is not None}
    mails = [f"SELECT mail AS value FROM {accounts}"]
    # Whose recipe has no mail address has the one that the roster says.
    others = ", ".join(text(role) for role in ("student", "teacher") if role not in made) or "NULL"
    mails.append(f"SELECT email AS value FROM roster.people WHERE role IN ({others})")
    given = [(one, values) for one in made.values() for values in mails]
    given += [
        (one.nickname or "{alias}", f"SELECT mail_nickname AS value FROM {accounts}")
        for one in terms.policy.recipes.values()
    ]
    return " UNION ".join(f"SELECT {_inside(recipe, 'value')} AS name FROM ({values})" for recipe, values in given)


def _inside(recipe: str, value: str) -> str:
    """The SQL for the alias in a value that may have been made by `_around`; NULL when it was not."""
    before, after = recipe.lower().split("{alias}", 1)
    fits = f"starts_with(lower({value}), {text(before)}) AND ends_with(lower({value}), {text(after)})"
    long = f"length({value}) > {len(before) + len(after)}"
    inside = f"substr(lower({value}), {len(before) + 1}, length({value}) - {len(before) + len(after)})"
    return f"CASE WHEN {fits} AND {long} THEN {inside} END"


def give(db: duckdb.DuckDBPyConnection, terms: Terms, accounts: str) -> None:
    """Give the new people of `planned.new` names that nobody has; `accounts` has the ACCOUNT_COLUMNS of everybody.

    Nor are they names that would make a mail address or nickname which somebody has. `planned.nameless` are those for
    whom there is none. Who is found under the id of old needs no name. The order of the roster decides, so the same
    roster gives the same names.
    """
    reserved = " UNION ALL ".join(
        f"SELECT {text(word.lower())} AS name" for recipe in terms.policy.recipes.values() for word in recipe.words
    )
    counting = ", ".join(text(role) for role, one in terms.policy.recipes.items() if one.counter) or "NULL"
    # A name that ends in a number, somebody's or wanted, may be the one of a shorter name with that number.
    db.execute(f"""
        CREATE TABLE planned.names_taken AS
        WITH there AS (
            SELECT split_part(account_name, '@', 1) AS name FROM {accounts}
            UNION SELECT name FROM ({reserved})
            UNION SELECT name FROM ({_made_already(terms, accounts)}) WHERE name IS NOT NULL
            UNION SELECT split_part(lower(name), '@', 1) FROM planned.new
                WHERE kind IN ('student', 'teacher') AND kind NOT IN ({_kinds(terms)}) AND name IS NOT NULL
        )
        , all_of_them AS (
            FROM there UNION SELECT split_part(name, '@', 1) FROM planned.new
            WHERE kind IN ({_kinds(terms)}) AND name IS NOT NULL
        )
        SELECT name AS base, 1 AS number FROM there
        UNION SELECT left(name, -1), right(name, 1)::INTEGER FROM all_of_them WHERE regexp_matches(name, '[2-9]$')
        UNION SELECT left(name, -2), right(name, 2)::INTEGER FROM all_of_them WHERE regexp_matches(name, '[1-9][0-9]$')
    """)
    db.execute(f"""
        CREATE TABLE planned.named AS
        WITH asking AS (
            SELECT kind, source_id, rank, line, split_part(name, '@', 1) AS base, split_part(name, '@', 2) AS domain,
                kind IN ({counting}) AS counts,
                row_number() OVER (PARTITION BY split_part(name, '@', 1) ORDER BY rank, line, source_id) AS place
            FROM planned.new ANTI JOIN planned.hits USING (kind, source_id)
            WHERE kind IN ({_kinds(terms)}) AND name IS NOT NULL
        ), bases AS (
            SELECT base, count(*) AS many, bool_or(counts) AS counts,
                (SELECT count(*) FROM planned.names_taken AS t WHERE t.base = a.base) AS taken
            FROM asking AS a GROUP BY base
        ), numbers AS (
            SELECT base, unnest(range(1, least({LAST}, many + taken) + 1)) AS number FROM bases
        ), free AS (
            SELECT base, number, row_number() OVER (PARTITION BY base ORDER BY number) AS place
            FROM numbers ANTI JOIN planned.names_taken USING (base, number)
        ), given AS (
            SELECT a.*, CASE WHEN f.number = 1 THEN base WHEN a.counts THEN base || f.number END AS alias
            FROM asking AS a LEFT JOIN free AS f USING (base, place)
        )
        SELECT kind, source_id, CASE WHEN alias IS NOT NULL AND row_number() OVER (
                PARTITION BY alias ORDER BY rank, line, source_id) = 1 THEN alias || '@' || domain END AS name,
            base || '@' || domain AS asked
        FROM given
    """)
    db.execute("""
        INSERT INTO planned.nameless SELECT kind, source_id, asked FROM planned.named WHERE name IS NULL
    """)
    db.execute("""
        UPDATE planned.new AS n SET name = g.name FROM planned.named AS g
        WHERE g.kind = n.kind AND g.source_id = n.source_id
    """)
    db.execute("DROP TABLE planned.named")
    db.execute("DROP TABLE planned.names_taken")
