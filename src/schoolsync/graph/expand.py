"""`$expand` read: which links are followed, and what of their objects is shown. One level, `$select` inside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from schoolsync.errors import Invalid
from schoolsync.graph import advice
from schoolsync.graph.filterable import UnsupportedQuery
from schoolsync.graph.types import find

LENGTH_MAX = 1024
ITEMS_MAX = 20  # objects of a list that are shown
PAGE_MAX = 100  # objects on a page whose lists are shown


@dataclass(frozen=True, slots=True)
class Expansion:
    """One link that is followed."""

    name: str
    select: str | None


def parse(text: str, type_name: str, names: Sequence[str]) -> list[Expansion]:
    """What `text` asks for; `names` are the links that a `type_name` has. Raises Invalid."""
    if len(text) > LENGTH_MAX:
        raise Invalid(f"$expand is longer than {LENGTH_MAX} characters. {advice.SPLIT}", target="$expand")
    found: dict[str, Expansion] = {}
    for part in _split(text, ","):
        written, parenthesis, rest = part.strip().partition("(")
        written = written.strip()
        if parenthesis and not rest.endswith(")"):
            raise _wrong(part)
        select = _inside(rest[:-1]) if parenthesis else None
        prop = find(type_name, written)
        chosen = list(names) if written == "*" else [prop.name] if prop is not None and prop.name in names else []
        if not chosen:
            raise Invalid(
                f"Could not find a property named '{written[:100]}' on type 'microsoft.graph.{type_name}' "
                f"that can be expanded. {advice.among(written, names)}",
                target="$expand",
            )
        for name in chosen:
            if name in found:
                raise Invalid(
                    f"$expand names '{name}' twice: name it once, with every property in its $select.", target="$expand"
                )
            found[name] = Expansion(name, select)
    return list(found.values())


def _inside(text: str) -> str | None:
    """The nested `$select`."""
    select: str | None = None
    for option in _split(text, ";"):
        name, equals, value = option.strip().partition("=")
        if name.strip().lower().removeprefix("$") != "select" or not equals:
            raise UnsupportedQuery(
                "Inside of $expand only $select is supported, as in $expand=classes($select=id): ask the list itself.",
                target="$expand",
            )
        if select is not None or not value.strip():
            raise _wrong(option)
        select = value
    return select


def _split(text: str, mark: str) -> list[str]:
    """Parts between marks that stand in no parentheses."""
    parts, depth, start = [], 0, 0
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth < 0:
            raise _wrong(text)
        if letter == mark and depth == 0:
            parts.append(text[start:place])
            start = place + 1
    parts.append(text[start:])
    if depth or not all(part.strip() for part in parts):
        raise _wrong(text)
    return parts


def _wrong(text: str) -> Invalid:
    return Invalid(
        f"$expand cannot be understood at '{text[:100]}': write it as name or name($select=id).", target="$expand"
    )
