"""What to write instead, for an option of a query that cannot be answered: the second sentence of its refusal."""

from __future__ import annotations

from collections.abc import Iterable

PAGE = "docs/graph.md, “Lists”"
FILTER = f"Write comparisons such as startswith(displayName,'A') and externalId eq '7' ({PAGE})."
SPLIT = "Ask in several requests; a $batch takes twenty of them."
COMPARED = f"Compare a property with a value, as in externalId eq '7' ({PAGE})."
SHOWN = 12
"""Names that a refusal lists; the page has all."""

_WRITTEN = {
    "Boolean": "true or false",
    "Date": "2026-08-31",
    "DateTimeOffset": "2026-08-31T07:30:00Z",
    "Guid": "00000000-0000-0000-0000-000000000000",
    "Int64": "42",
}


def written(kind: str) -> str:
    """How a value of a type is written."""
    return f"Write the value as {_WRITTEN.get(kind, 'a text in apostrophes, as in ' + chr(39) + 'text' + chr(39))}."


def members(names: Iterable[str]) -> str:
    """The members of an enumeration."""
    return f"Its members are {', '.join(names)}."


def among(asked: str, names: Iterable[str]) -> str:
    """The name that may have been meant, or those that can be asked for."""
    import difflib  # for the few who have slipped

    known = {name.lower(): name for name in sorted(names)}
    near = difflib.get_close_matches(asked.lower()[:100], known, 1, 0.75)
    if near:
        return f"Did you mean '{known[near[0]]}'?"
    listed = ", ".join([*known.values()][:SHOWN])
    more = f" and {len(known) - SHOWN} more ({PAGE})" if len(known) > SHOWN else ""
    return f"Here can be asked for: {listed}{more}." if listed else f"Nothing can be asked for here ({PAGE})."
