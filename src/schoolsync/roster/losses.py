"""What leaving records out costs: of every kind of record, how many stay and how many do not.

A policy that goes on without wrong records asks these numbers, and so do guards: a record that is left out is no
removal, but a roster that loses a third of its people to mistakes is not one to go on with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb

# kind -> what a person calls its records, and how the keys of `roster.left_out` match its own
_KINDS: Mapping[str, tuple[str, str]] = {
    "organizations": ("schools", "one.source_id = gone.source_id"),
    "classes": ("classes", "one.source_id = gone.source_id"),
    "people": ("people", "one.role = gone.role AND one.source_id = gone.source_id"),
    "enrollments": (
        "enrollments",
        "one.class_id = gone.source_id AND one.source_id = gone.other AND one.person_role = gone.role",
    ),
    "contacts": ("guardians", "one.student_id = gone.source_id AND lower(one.email) = lower(gone.other)"),
}
# A record that another good row makes all the same is not left out. Rows whose key cannot be read are one record each.
_COUNT = """
SELECT (SELECT count(*) FROM roster.{kind}), (
    SELECT count(*) FROM (
        SELECT DISTINCT role, source_id, other, CASE WHEN source_id IS NULL OR (other IS NULL AND {pair})
            THEN file || ':' || line END AS place
        FROM roster.left_out WHERE kind = '{kind}'
    ) AS gone WHERE NOT EXISTS (SELECT 1 FROM roster.{kind} AS one WHERE {match})
)
"""
_PAIRS = frozenset({"enrollments", "contacts"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """One kind of record."""

    name: str  # as a sentence calls it
    kept: int
    left_out: int  # rows that could not be read or were rejected, and what hung on them

    @property
    def percent(self) -> float:
        """How much of the kind is left out."""
        whole = self.kept + self.left_out
        return 100 * self.left_out / whole if whole else 0.0


def counts(db: duckdb.DuckDBPyConnection) -> Sequence[Loss]:
    """Count them, after `findings.leave_out`; before it, what hangs on left-out records is counted as kept."""
    found = []
    for kind, (name, match) in _KINDS.items():
        pair = "true" if kind in _PAIRS else "false"
        row = db.execute(_COUNT.format(kind=kind, match=match, pair=pair)).fetchone()
        assert row is not None
        found.append(Loss(name=name, kept=row[0], left_out=row[1]))
    return found


def beyond(found: Sequence[Loss], percent: float) -> str | None:
    """The sentence about the kind that loses most, when that is more than `percent` of it; else None."""
    worst = max(found, key=lambda one: one.percent, default=None)
    if worst is None or worst.percent <= percent:
        return None
    whole = worst.kept + worst.left_out
    return (
        f"{worst.left_out:,} of {whole:,} {worst.name} would be left out ({worst.percent:.1f} %), more than "
        f"the {percent:g} % that the profile allows."
    )
