"""What a guard says about a plan, as data: whoever shows, stores or decides on it works with these values.

A verdict holds a plan; a plan without any goes on by itself. The sentence says in words what would have happened.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

Guard = Literal[
    "emptied",
    "renumbered",
    "removals",
    "school-gone",
    "class-halved",
    "leavers",
    "window",
    "bins",
    "purges",
    "updates",
    "adoptions",
    "other-person",
    "clean-up",
]
"""The guards there are; docs/plan.md has a row for each."""

Holds = Literal["removals", "updates", "everything"]
"""What of a plan a guard holds; with the setting `additionsFlow` the rest may be applied meanwhile."""

Scope = Literal["profile", "school", "class", "object"]

LISTED = 200
"""A plan lists so many of its verdicts, the widest first; the rest is counted."""


NOTHING_CHANGED = "Nothing was changed: "
"""How people are told that a plan is held, unless what it adds was applied meanwhile."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One guard that holds the plan, for one kind in one place."""

    guard: Guard
    holds: Holds
    kind: str  # school, section, student, teacher, guardians, studentEnrollment, teacherRoster, studentSchools, …
    scope: Scope
    scope_id: str | None  # the SIS ID of the school, class or record; None: the whole profile
    endangered: int  # what would go (or change), rejected records included
    of: int  # what the directory has of it
    limit: int  # the most that would have passed
    rejected: int = 0  # of the endangered: records that were left out for their mistakes
    sentence: str


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """What the guards say about one plan."""

    verdicts: tuple[Verdict, ...] = ()  # at most LISTED
    count: int = 0  # all of them

    @property
    def sentence(self) -> str | None:
        """What people are told, or None when nothing holds the plan."""
        if not self.verdicts:
            return None
        more = self.count - 1
        also = f" {more:,} more {'guards say' if more > 1 else 'guard says'} so, too: see the plan." if more else ""
        return f"{NOTHING_CHANGED}{self.verdicts[0].sentence}{also}"

    @property
    def holds(self) -> frozenset[Holds]:
        """What is held."""
        return frozenset(one.holds for one in self.verdicts)


def settle(found: Sequence[Verdict]) -> Settled:
    """The verdicts of a plan, the widest and gravest first."""
    guards = list(Guard.__args__)  # type: ignore[attr-defined]  # a Literal has its values there
    scopes = list(Scope.__args__)  # type: ignore[attr-defined]  # as above
    ordered = sorted(
        found,
        key=lambda one: (
            scopes.index(one.scope),
            guards.index(one.guard),
            -one.endangered / max(one.of, 1),
            one.kind,
            one.scope_id or "",
        ),
    )
    return Settled(verdicts=tuple(ordered[:LISTED]), count=len(ordered))
