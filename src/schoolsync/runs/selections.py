"""Parts of a plan that people let go on or leave out. Values only, light enough for the engine."""

from __future__ import annotations

import msgspec


class Selection(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A part of a plan: what meets all that is named. Nothing named: the whole plan."""

    kind: str | None = None  # school, section, student, teacher, studentEnrollment, teacherRoster, …
    school: str | None = None  # SIS ID
    objects: tuple[str, ...] = ()  # object ids; their memberships come along

    @property
    def whole(self) -> bool:
        """Whether nothing is left out."""
        return self.kind is None and self.school is None and not self.objects


WHOLE = Selection()


class Yes(msgspec.Struct, frozen=True, kw_only=True):
    """An approval that a release rests on; its reason stays with the approval."""

    id: str
    what: Selection
    person: str
    given: int  # ticks


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """What may be applied of a held plan (column `runs.released`)."""

    plan: str  # hash
    selections: tuple[Selection, ...]  # what meets one of them ...
    without: tuple[Selection, ...] = ()  # ... and none of these, which somebody has discarded
    given: tuple[Yes, ...]  # who has said yes to it
    expires: int  # ticks; must have been begun before

    @property
    def whole(self) -> bool:
        """Whether all of the plan is released."""
        return not self.without and any(one.whole for one in self.selections)

    @property
    def said(self) -> tuple[tuple[Selection, ...], tuple[Selection, ...]]:
        """What was approved, and what was discarded."""
        return self.selections, self.without
