"""Sensitive fields of a roster: what a profile's allow-list may name. What it does not name is not even read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

SENSITIVE: Mapping[str, str] = {
    "contacts": "guardians, their addresses and who is whose",
    "birthDate": "birth dates",
    "gender": "genders",
    "demographics": "birth places, races, ethnicities",
    "flags": "user flags",
    "phone": "people's own phone numbers",
    "identifiers": "further identifiers of a person",
    "preferredNames": "preferred names",
    "pronouns": "pronouns",
    "accounts": "accounts elsewhere, without passwords",
    "extras": "all extension columns",
}
EXTENSION = "metadata."
"""An extension column is named by its header, which begins so."""


def unknown(names: Iterable[str]) -> str | None:
    """The first name that no sensitive field has."""
    return next((name for name in names if name not in SENSITIVE and not name.startswith(EXTENSION)), None)
