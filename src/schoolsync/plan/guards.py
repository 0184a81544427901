# ruff: noqa: S608  # what is put into these statements are names of ours
"""Rules over a whole plan that hold it, so that a damaged export never empties a school.

A guard looks at counts alone and answers with a sentence for the person who decides, or with None. A new guard is one
function in `GUARDS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import duckdb

from schoolsync.plan.desired import Terms
from schoolsync.plan.kinds import LINKS, OBJECTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """One kind of record in numbers."""

    name: str  # as a sentence calls it
    said: int  # in the roster, records that are left out for their mistakes included
    held: int  # active in the directory before the plan, of this profile
    going: int  # of those, what the plan takes away


def object_counts(db: duckdb.DuckDBPyConnection, terms: Terms) -> list[Count]:
    """The numbers of every kind of object that the plan may set inactive, and of guardians."""
    found = [
        _count(
            db,
            f"{kind.name}s",
            said=f"SELECT count(*) FROM roster.{kind.records} AS r WHERE {kind.where}",
            left_out=f"r.kind = '{kind.records}' AND {kind.where}",
            held=f"SELECT count(*) FROM planned.own AS o WHERE o.kind = '{kind.name}' AND o.active",
            going=f"SELECT count(*) FROM planned.gone AS g WHERE g.kind = '{kind.name}'",
        )
        for kind in OBJECTS
        if kind in terms.objects
    ]
    if not terms.deferred("student") and "contacts" not in terms.absent:
        with_contacts = f"{terms.is_ours('h.owner')} AND h.active AND h.related_contacts <> '[]'"
        found.append(
            _count(
                db,
                "guardians",
                said="SELECT count(*) FROM roster.contacts",
                left_out="r.kind = 'contacts'",
                held=f"SELECT count(*) FROM held.people AS h WHERE {with_contacts}",
                going="SELECT count(*) FROM planned.student_after AS a JOIN held.people AS h USING (key) "
                f"WHERE {with_contacts} AND a.related_contacts = '[]'",
            )
        )
    return found


def link_counts(db: duckdb.DuckDBPyConnection, terms: Terms) -> list[Count]:
    """The numbers of every kind of membership of classes that the plan may take away."""
    return [
        _count(
            db,
            {"studentEnrollment": "student enrollments", "teacherRoster": "teacher assignments"}[link.name],
            said=f"SELECT count(*) FROM roster.{link.records} AS r WHERE {link.where}",
            left_out=f"r.kind = '{link.records}' AND {link.where}",
            held="SELECT count(*) FROM held.class_people AS h "
            f"WHERE {terms.is_ours('h.owner')} AND {'' if link.teacher else 'NOT '}coalesce(h.teacher, false)",
            going=f"SELECT count(*) FROM planned.class_people_stale AS s WHERE s.kind = '{link.name}'",
        )
        for link in LINKS
        if link in terms.links and link.table == "class_people"
    ]


def _count(db: duckdb.DuckDBPyConnection, name: str, *, said: str, left_out: str, held: str, going: str) -> Count:
    left = f"(SELECT count(*) FROM roster.left_out AS r WHERE {left_out})"
    (row,) = db.execute(f"SELECT ({said}) + {left}, ({held}), ({going})").fetchall()
    return Count(name=name, said=row[0], held=row[1], going=row[2])


def emptied(count: Count) -> str | None:
    """A roster without a single record of a kind is a broken export, not a school without pupils."""
    if count.said or not count.going:
        return None
    return (
        f"The roster has no {count.name} at all, while the directory has {count.held:,} from earlier uploads "
        f"and {count.going:,} would go. Nothing was changed; upload a complete roster and start again."
    )


GUARDS: Sequence[Callable[[Count], str | None]] = (emptied,)


def verdict(found: Sequence[Count]) -> str | None:
    """The sentence of the first guard that holds the plan, or None."""
    return next((sentence for guard in GUARDS for count in found if (sentence := guard(count)) is not None), None)
