"""A profile's settings of our own: what they are with their defaults, and what a change of them means.

Pure. A change is a merge: members given replace, null goes back to the default, objects are merged member by member.
What there is and what it may be is said by `policy.OwnSettings` alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from schoolsync import wrong_values
from schoolsync.errors import Invalid
from schoolsync.profiles import schedules
from schoolsync.profiles.policy import OwnSettings

_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)

Json = dict[str, Any]  # plain values of any type


def effective(stored: str) -> Json:
    """All settings, those that were never set with their defaults."""
    shown: Json = msgspec.to_builtins(msgspec.json.decode(stored, type=OwnSettings))
    return shown


def merged(stored: str, given: Mapping[str, Any]) -> str:
    """The stored settings with `given` merged in. Raises Invalid, which names the member."""
    before: Json = msgspec.json.decode(stored)
    wanted = _merge(before, given)
    try:
        settings = msgspec.convert(wanted, OwnSettings)
    except msgspec.ValidationError as problem:
        text, _, path = str(problem).partition(" - at `$")
        unknown_field = _UNKNOWN.fullmatch(text)
        if unknown_field is not None:
            where = f"{path.strip('`.')}.{unknown_field[1]}".strip(".")
            raise _no_setting(where) from problem
        said, at = wrong_values.explained(problem, OwnSettings, wanted)
        raise Invalid(f"The setting cannot be that: {said}.", target=at) from problem
    except ValueError as problem:
        raise Invalid(f"The settings cannot be that: {problem}.") from problem
    unknown = _unknown(wanted, msgspec.to_builtins(settings))
    if unknown is not None:
        raise _no_setting(unknown)
    try:
        _check_new(settings, msgspec.convert(before, OwnSettings))
    except ValueError as problem:
        raise Invalid(f"The setting cannot be that: {problem}.", target=str(problem).partition(":")[0]) from problem
    return msgspec.json.encode(wanted, order="deterministic").decode()


def _check_new(wanted: OwnSettings, before: OwnSettings) -> None:
    """Refuse what nobody may set any more, though profiles may have it: what was stored is read and kept. Raises
    ValueError, whose text the setting leads."""
    if wanted.windows != before.windows:
        for number, one in enumerate(wanted.windows):
            if one.last_day < one.first_day:
                raise ValueError(f"windows[{number}].lastDay: it is before firstDay")
    if wanted.codes != before.codes:
        for name, words in wanted.codes.items():
            for word, code in words.items():
                if not word.strip() or not code.strip():
                    said = f"the word “{word[:40]}” has no code" if word.strip() else f"“{code[:40]}” has no word"
                    raise ValueError(f"codes.{name}: {said}, and needs one")
    if wanted.schedule.cron != before.schedule.cron:
        schedules.check_rhythm(wanted.schedule)


def _no_setting(where: str) -> Invalid:
    """The refusal of a name; told are those that stand where it stood, or the whole list's place."""
    at, _, _ = where.rpartition(".")
    known: Any = msgspec.to_builtins(OwnSettings())
    for part in at.split(".") if at else ():
        known = known.get(part) if isinstance(known, dict) else None
    names = f" Known are {', '.join(known)}." if isinstance(known, dict) and known else ""
    return Invalid(f"There is no setting {where[:100]}.{names}", target=where[:100])


def _merge(before: Json, given: Mapping[str, Any]) -> Json:
    after = dict(before)
    for name, value in given.items():
        if value is None:
            after.pop(name, None)
        elif isinstance(value, dict):
            kept = after.get(name)
            after[name] = _merge(kept if isinstance(kept, dict) else {}, value)
        else:
            after[name] = value
    return after


def _unknown(wanted: Mapping[str, Any], known: Mapping[str, Any], path: str = "") -> str | None:
    """The first member that no setting has: converting to the settings' types drops what they do not know."""
    for name, value in wanted.items():
        where = f"{path}.{name}" if path else name
        if name not in known:
            return where
        if isinstance(value, dict) and isinstance(known[name], dict):
            found = _unknown(value, known[name], where)
            if found is not None:
                return found
    return None
