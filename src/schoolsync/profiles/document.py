"""A profile as one document that people review: its configuration and its settings of our own, without a secret.

Pure: plain values in and out. The document says everything: what is absent from it has its default. What is written
into a file, asked of a server or shown is for whoever calls.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime, time
from math import isfinite
from typing import Any

from schoolsync.errors import Invalid
from schoolsync.profiles import own_settings
from schoolsync.profiles.customizations import OPTIONAL

Json = dict[str, Any]  # a JSON object: its values are of any kind

SETTINGS = "settings"
IDENTITY = "identitySynchronizationConfiguration"
CONFIGURATION = (
    *("displayName", "expirationDate", "handleSpecialCharacterConstraint", "dataProvider"),
    *(IDENTITY, "licensesToAssign"),
)
SECRETS = frozenset({"clientsecret", "client_secret", "password"})
_TYPE = "@odata.type"
_NEVER = "0001-01-01T00:00:00Z"


def document(profile: Mapping[str, Any], settings: Mapping[str, Any]) -> Json:
    """The document of a profile as Graph shows it and of its settings; members at their defaults are left out of the
    configuration, settings are all there."""
    shown: Json = {name: profile[name] for name in CONFIGURATION if name in profile}
    provider = dict(shown.get("dataProvider") or {})
    provider["customizations"] = _customized(provider.get("customizations") or {})
    shown["dataProvider"] = provider
    found: Json = _bare(shown, empty=False)
    return found | {SETTINGS: _bare(settings, empty=True)}


def read(given: Mapping[str, Any]) -> Json:
    """What somebody has written, in the form of `document`. Raises Invalid, which names the member."""
    plain: Json = _plain(given)
    for name in plain:
        if name not in (*CONFIGURATION, SETTINGS):
            raise Invalid(f"A profile has no {name[:100]}: it may have {', '.join((*CONFIGURATION, SETTINGS))}.")
    for name in ("displayName", "dataProvider", IDENTITY):
        if not plain.get(name):
            raise Invalid(f"{name} is required: `schoolsync profile export` writes such a file whole.", target=name)
    for path, _ in flat(plain):
        if path.rpartition(".")[2].casefold() in SECRETS:
            raise Invalid(
                f"{path} is a secret: such a file holds none. Take it out; the server keeps the one it has.",
                target=path,
            )
    settings = plain.pop(SETTINGS, {})
    if not isinstance(settings, dict):
        raise Invalid("settings must be a table: begin it with [settings].", target=SETTINGS)
    effective = own_settings.effective(own_settings.merged("{}", settings))
    if isinstance(plain["dataProvider"], dict) and isinstance(plain["dataProvider"].get("customizations"), dict):
        plain["dataProvider"]["customizations"] = _customized(plain["dataProvider"]["customizations"])
    found: Json = _bare(plain, empty=False)
    return found | {SETTINGS: _bare(effective, empty=True)}


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Path, value there and value here of all that differs; None where one has no value."""
    before, after = dict(flat(there)), dict(flat(here))
    paths = sorted({*before, *after}, key=lambda path: (path.startswith(f"{SETTINGS}."), path))
    return [(path, before.get(path), after.get(path)) for path in paths if _differ(before.get(path), after.get(path))]


def change(there: Mapping[str, Any], here: Mapping[str, Any], *, lists: bool) -> Json:
    """What merged into `there` makes it `here`: a member that `here` does not have is null.

    With `lists`, lists that it does not have are empty ones: Graph's collections cannot be null.
    """
    changed: Json = {}
    for name in {**there, **here}:
        before, after = there.get(name), here.get(name)
        if name not in here:
            changed[name] = [] if lists and isinstance(before, list) else None
        elif isinstance(after, dict) and isinstance(before, dict):
            inner = change(before, after, lists=lists)
            if inner:
                changed[name] = inner
        elif _differ(before, after):
            changed[name] = after
    if changed and _TYPE in here:
        if here[_TYPE] != there.get(_TYPE):
            return dict(here)
        changed[_TYPE] = here[_TYPE]  # or a server would not know how to read the members
    return changed


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values that are no objects, each with its path; lists are one value."""
    for name, value in values.items():
        path = f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from flat(value, f"{path}.")
        else:
            yield path, value


def _differ(before: Any, after: Any) -> bool:  # any two JSON values
    return bool(before != after or isinstance(before, bool) != isinstance(after, bool))


def _all_columns(kind: str) -> list[str]:
    return next((list(names) for known, names in OPTIONAL.items() if known == kind), [])


def _customized(given: Mapping[str, Any]) -> Json:
    """Customizations without what says the default."""
    found: Json = {}
    for kind, values in given.items():
        if not isinstance(values, Mapping):
            continue
        kept = {
            name: value
            for name, value in values.items()
            if not name.startswith("@")
            and value not in (None, False)
            and not (name == "optionalPropertiesToSync" and value == _all_columns(kind))
            and not (name == "synchronizationStartDate" and value == _NEVER)
        }
        if kept:
            found[kind] = kept
    return found


def _bare(value: Any, *, empty: bool) -> Any:  # any JSON value in, one out
    """Without nulls, empty objects and annotations other than types; `empty`: lists of nothing stay."""
    if not isinstance(value, Mapping):
        return list(value) if isinstance(value, tuple) else value
    found: Json = {}
    for name, inner in value.items():
        if inner is None or ("@" in name and name != _TYPE):
            continue
        if isinstance(inner, list | tuple):
            inner = [_item(one) for one in inner]
            if not inner and not empty and name != "optionalPropertiesToSync":
                continue  # no optional column at all is something else than all of them
        elif isinstance(inner, Mapping):
            inner = _bare(inner, empty=empty)
            if not inner:
                continue
        found[name] = inner
    return found


def _item(value: Any) -> Any:  # any JSON value in, one out
    """A member of a list, without nulls and annotations: none of them is of an abstract type."""
    if not isinstance(value, Mapping):
        return list(value) if isinstance(value, tuple) else value
    return {
        name: [str(sku).lower() for sku in inner] if name == "skuIds" and isinstance(inner, list) else _item(inner)
        for name, inner in value.items()
        if inner is not None and "@" not in name
    }


def _plain(value: Any) -> Any:  # any value of TOML in, one of JSON out
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, float) and not isfinite(value):
        raise Invalid(f"{value} is no number that a setting can have: say a finite one, or leave it out.")
    return value
