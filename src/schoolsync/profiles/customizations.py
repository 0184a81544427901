"""Customizations of a profile: which optional columns of each kind are written, and when a kind is left alone.

Only what differs from the defaults is kept, so that writing back what was read changes nothing; the face fills the
defaults in again. Column names are compared without case, blanks and underscores and kept in their canonical form.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schoolsync.errors import Invalid
from schoolsync.plan.policy import KINDS, Customization, Kind

Json = dict[str, Any]  # a JSON object: its values are of any kind

_PLACE = ("Address", "City", "State", "Zip", "Latitude", "Longitude", "Country")

ALWAYS: dict[Kind, tuple[str, ...]] = {
    "school": ("SIS ID", "Name"),
    "section": ("SIS ID", "School SIS ID", "Section Name"),
    "student": ("SIS ID", "School SIS ID", "Username"),
    "teacher": ("SIS ID", "School SIS ID", "Username"),
    "studentEnrollment": (),
    "teacherRoster": (),
}
"""Columns that are synchronized whatever a customization says."""

OPTIONAL: dict[Kind, tuple[str, ...]] = {
    "school": (
        *("School Number", "School NCES_ID", "State ID", "Grade Low", "Grade High", "Principal SIS ID"),
        *("Principal Name", "Principal Secondary Email", "Address", "City", "State", "Country", "Zip", "Phone", "Zone"),
    ),
    "section": (
        *("Section Number", "Term SIS ID", "Term Name", "Term StartDate", "Term EndDate", "Course SIS ID"),
        *("Course Name", "Course Description", "Course Number", "Course Subject", "Periods", "Status"),
    ),
    "student": (
        *("State ID", "Secondary Email", "Student Number", "Middle Name"),
        *(f"Mailing {part}" for part in _PLACE),
        *(f"Residence {part}" for part in _PLACE),
        *("Gender", "Birthdate", "Grade", "ELL Status", "FederalRace", "Graduation Year", "Status"),
    ),
    "teacher": (*("State ID", "Teacher Number", "Status", "Middle Name", "Secondary Email", "Title", "Qualification"),),
    "studentEnrollment": (),
    "teacherRoster": (),
}
"""Columns that a customization may choose from, in the order in which they are shown when all are chosen."""

# Other spellings met in published samples; the files themselves say “Resident”.
_ALIASES: dict[Kind, dict[str, str]] = {
    "student": {"email": "Secondary Email"} | {f"resident{part.lower()}": f"Residence {part}" for part in _PLACE},
    "teacher": {"email": "Secondary Email"},
}


def _folded(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())


_KNOWN: dict[Kind, dict[str, str]] = {
    kind: {_folded(name): name for name in (*ALWAYS[kind], *OPTIONAL[kind])} | _ALIASES.get(kind, {}) for kind in KINDS
}


def merged(
    base: Mapping[str, Json], given: Mapping[str, Any] | None, *, before: Mapping[str, Json], at: str, now: int
) -> dict[str, Json]:
    """The customizations to keep after a caller wrote `given` over `base`; `before` are those of now.

    Members that are not given stay, null puts a kind or a property back to its default. Raises Invalid, naming the
    member below `at`, for a column that there is not and for a start date that is neither in the future nor kept.
    """
    if given is None:
        return {}
    result = {kind: dict(values) for kind, values in base.items()}
    for kind in KINDS:
        if kind not in given:
            continue
        if given[kind] is None:
            result.pop(kind, None)
            continue
        after = result.get(kind, {})
        for name, value in given[kind].items():
            if name.startswith("@"):
                continue
            target = f"{at}/{kind}/{name}"
            if name == "optionalPropertiesToSync":
                value = _columns(kind, value, target)
            elif name == "synchronizationStartDate":
                value = _start(value, before.get(kind, {}).get(name), now, target)
            if value:
                after[name] = value
            elif name == "optionalPropertiesToSync" and value is not None:
                after[name] = value  # no optional column at all is something else than all of them
            else:
                after.pop(name, None)
        if after:
            result[kind] = after
        else:
            result.pop(kind, None)
    return result


def _columns(kind: Kind, names: list[str] | None, target: str) -> list[str] | None:
    """The canonical names of the chosen columns; None means all there are."""
    if names is None:
        return None
    if not OPTIONAL[kind]:
        if names:
            raise Invalid(f"{kind} has no optional properties to choose from: leave the list empty.", target=target)
        return None
    chosen: dict[str, None] = {}
    for name in names:
        known = _KNOWN[kind].get(_folded(name))
        if known is None:
            raise Invalid(f"“{name}” is not an optional property of {kind}.", target=target)
        if known not in ALWAYS[kind]:
            chosen[known] = None
    return None if chosen.keys() == set(OPTIONAL[kind]) else list(chosen)


def _start(start: int | None, before: int | None, now: int, target: str) -> int | None:
    """The start date; the first moment of all time stands for none, as it does in what we show."""
    if not start:
        return None
    if start <= now and start != before:
        raise Invalid("synchronizationStartDate must be in the future.", target=target)
    return start


def shown(stored: Mapping[str, Json]) -> dict[str, Json]:
    """All six customizations with every property, as the API shows them."""
    return {
        kind: {
            "optionalPropertiesToSync": stored.get(kind, {}).get("optionalPropertiesToSync", list(OPTIONAL[kind])),
            "synchronizationStartDate": stored.get(kind, {}).get("synchronizationStartDate", 0),
            "isSyncDeferred": stored.get(kind, {}).get("isSyncDeferred", False),
            "allowDisplayNameUpdate": stored.get(kind, {}).get("allowDisplayNameUpdate", False),
        }
        for kind in KINDS
    }


def policies(stored: Mapping[str, Json]) -> dict[Kind, Customization]:
    """The kinds that are not synchronized by default rules, as the plan reads them."""
    result: dict[Kind, Customization] = {}
    for kind in KINDS:
        if kind not in stored:
            continue
        values = stored[kind]
        names = values.get("optionalPropertiesToSync")
        result[kind] = Customization(
            optional_properties=None if names is None else tuple(_header(name) for name in names),
            deferred=bool(values.get("isSyncDeferred")),
            allow_display_name_update=bool(values.get("allowDisplayNameUpdate")),
            start=values.get("synchronizationStartDate") if kind == "studentEnrollment" else None,
        )
    return result


def _header(name: str) -> str:
    """The CSV header of a property: files say “Resident” where the API says “Residence”."""
    return name.replace("Residence ", "Resident ")
