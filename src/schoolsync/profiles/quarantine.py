"""The ladder of a profile that fails: the numbers of it, each a setting of the profile. Values only.

A record that fails is left out and listed; when many fail in one school or of one kind, that part is set aside; when
too many of a kind fail, or too many runs in a row cannot be finished, the profile is quarantined. Either is tried again
after longer and longer waits, and given up at last. One success leaves it.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

Minutes = Annotated[int, msgspec.Meta(ge=1, le=24 * 60)]
Hours = Annotated[int, msgspec.Meta(ge=1, le=24 * 28)]


class Quarantine(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The setting `quarantine` of a profile; docs/operations.md has a row for each."""

    failed_percent: Annotated[float, msgspec.Meta(ge=0, le=100)] = 40.0  # of the records of a kind: more than this ...
    failed_least: Annotated[int, msgspec.Meta(ge=1)] = 5  # ... and at least so many
    part_percent: Annotated[float, msgspec.Meta(ge=0, le=100)] = 20.0  # of the records of a kind in one school, or ...
    """... of one kind in all: more than this and at least `failed_least` set it aside, before the whole profile is."""
    part_runs: Annotated[int, msgspec.Meta(ge=0, le=30)] = 3  # so many runs in a row with that many failures do; 0: not
    runs_in_a_row: Annotated[int, msgspec.Meta(ge=1, le=30)] = 3  # that could not be finished
    retry_minutes: Annotated[tuple[Minutes, ...], msgspec.Meta(max_length=10)] = (1, 10)
    """Waits after runs that the world has failed, before quarantine; the last one counts for the rest."""
    wait_hours: Annotated[tuple[Hours, ...], msgspec.Meta(min_length=1, max_length=10)] = (6, 12, 24)
    """Waits in quarantine; the last one counts for the rest."""
    give_up_days: Annotated[int, msgspec.Meta(ge=1, le=365)] = 28
