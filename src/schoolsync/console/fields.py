"""What a form of a profile's settings is made of, and how what is sent back becomes a change of just these settings.

A `Field` is one setting by its path in `profiles.policy.OwnSettings`; a `Group` is an object that may be there or not;
a field of kind `rows` is a list whose entries are added and taken out one by one. Which there are says
`console.sections`. What may be in a field is decided where it is stored.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from schoolsync.errors import Invalid

Kind = Literal["text", "number", "check", "choice", "lines", "numbers", "several", "date", "rows"]
Row = dict[str, str]  # cell -> what stands in it
_LISTS = frozenset({"lines", "numbers", "several"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One setting in a form, or one cell of a row."""

    path: str  # members, joined by dots; of a cell its name alone
    label: str
    help: str = ""
    kind: Kind = "text"
    choices: tuple[tuple[str, str], ...] = ()  # value, what it is called; "" is the default
    unit: str = ""
    example: str = ""
    known: tuple[str, ...] = ()  # what may stand in the lines
    more: str = ""  # of several: what other values, typed in one a line, are called
    switch: str = ""  # the box that says that there is a list of one's own; off: the default
    cells: tuple[Field, ...] = ()  # of rows
    words: bool = False  # rows of list, word, meaning, kept as an object of objects

    @property
    def id(self) -> str:
        """How the page names it."""
        return self.path.replace(".", "-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Settings that are there together or not at all."""

    path: str
    title: str
    about: str
    fields: tuple[Field, ...]
    switch: str = ""  # the box that says that they are there; without one they are when anything is typed in
    usual: Mapping[str, Any] = field(default_factory=dict)  # what the fields show while they are not


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One form."""

    name: str  # in the address
    title: str
    about: str
    parts: tuple[Field | Group, ...]

    def fields(self) -> Iterator[Field]:
        """Every field, those in groups too."""
        for part in self.parts:
            yield from part.fields if isinstance(part, Group) else (part,)


def shown(section: Section, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What the profile has, as the form shows it, by the names of the fields."""
    values: dict[str, Any] = {}
    for part in section.parts:
        if isinstance(part, Group):
            found = _at(settings, part.path)
            values[part.path] = found is not None
            there = part.usual if found is None else found
            values |= {one.path: _value(one, there.get(_last(one.path))) for one in part.fields}
        else:
            found = _at(settings, part.path)
            values[part.path] = _value(part, found)
            if part.switch:
                values[f"{part.path}.own"] = found is not None
    return values


def sent(section: Section, form: Mapping[str, str]) -> dict[str, Any]:
    """What was sent, as the form shows it again."""
    values: dict[str, Any] = {part.path: form.get(part.path) == "on" for part in section.parts}
    for one in section.fields():
        if one.kind == "rows":
            values[one.path] = rows(one, form)
        elif one.kind == "check":
            values[one.path] = form.get(one.path) == "on"
        elif one.kind == "several":
            values[one.path] = _chosen(one, form)
        else:
            values[one.path] = form.get(one.path, "")
        if one.switch:
            values[f"{one.path}.own"] = form.get(f"{one.path}.own") == "on"
    return values


def changes(wanted: Section, form: Mapping[str, str]) -> dict[str, Any]:
    """What a form that was sent back asks for, as our own API takes it. Raises Invalid, which names the field."""
    made: dict[str, Any] = {}
    for part in wanted.parts:
        place = made
        *outer, last = part.path.split(".")
        for name in outer:
            place = place.setdefault(name, {})
        place[last] = _group(part, form) if isinstance(part, Group) else _read(part, form)
    return made


def replacing(section: Section, wanted: dict[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """A change is merged: words that are not there any more have to be taken out by name."""
    for one in section.fields():
        if one.words:
            wanted[one.path] = _without(wanted[one.path], before.get(one.path) or {})
    return wanted


def _without(wanted: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {name: None for name in before if name not in wanted}
    for name, new in wanted.items():
        old = before.get(name)
        made[name] = _without(new, old) if isinstance(new, Mapping) and isinstance(old, Mapping) else new
    return made


# --- rows -----------------------------------------------------------------------------------------------------------


def rows(one: Field, form: Mapping[str, str], *, blank: bool = False) -> list[Row]:
    """The rows of a form in their order; those in which nothing was typed only when `blank`."""
    cell = re.compile(rf"{re.escape(one.path)}\.(\d{{1,9}})\.(\w+)")
    found: dict[int, Row] = {}
    for name, value in form.items():
        if match := cell.fullmatch(name):
            found.setdefault(int(match[1]), {})[match[2]] = value.strip()
    made = [{each.path: found[number].get(each.path, "") for each in one.cells} for number in sorted(found)]
    typed = [each.path for each in one.cells if each.kind != "choice"]
    return [row for row in made if blank or any(row[name] for name in typed)]


def changed_rows(section: Section, form: Mapping[str, str]) -> dict[str, list[Row]]:
    """The rows of a form whose button adds one or takes one out: nothing is saved by that. Empty: it was another."""
    what, _, rest = form.get("row", "").partition(" ")
    path, _, number = rest.partition(" ")
    one = next((each for each in section.fields() if each.kind == "rows" and each.path == path), None)
    if one is None:
        return {}
    there = rows(one, form, blank=True)
    if what == "add":
        return {path: [*there, {}]}
    return {path: [row for place, row in enumerate(there) if str(place) != number]}


def _rows_shown(one: Field, found: Any) -> list[Row]:  # found: a value of JSON
    if one.words:
        listed: Iterable[tuple[str, ...]] = (
            (name, word, code) for name, words in (found or {}).items() for word, code in words.items()
        )
        return [dict(zip((each.path for each in one.cells), entry, strict=True)) for entry in listed]
    return [{each.path: str(entry[each.path]) for each in one.cells} for entry in found or ()]


def _rows_read(one: Field, form: Mapping[str, str]) -> Any:  # JSON
    typed = rows(one, form)
    if not one.words:
        return [{name: value for name, value in row.items() if value} for row in typed]
    words: dict[str, dict[str, str]] = {}
    for row in typed:
        name, word, code = (row[each.path] for each in one.cells)
        if words.setdefault(name, {}).setdefault(word, code) != code:
            raise Invalid(f"“{word[:40]}” stands there twice for {name}: take one of the two out.", target=one.path)
    return words


# --- one field ------------------------------------------------------------------------------------------------------


def _group(group: Group, form: Mapping[str, str]) -> dict[str, Any] | None:
    typed = (one for one in group.fields if one.kind in {"text", "lines"})
    there = form.get(group.path) == "on" if group.switch else any(form.get(one.path, "").strip() for one in typed)
    return {_last(one.path): _read(one, form) for one in group.fields} if there else None


def _value(one: Field, found: Any) -> Any:  # a value of JSON; as the form shows it
    if one.kind == "rows":
        return _rows_shown(one, found)
    if one.kind == "several":
        return list(found or ())
    if one.kind in {"lines", "numbers"}:
        return "\n".join(str(each) for each in found or ())
    if one.kind == "number" and isinstance(found, float) and found.is_integer():
        return int(found)
    return "" if found is None else found


def _read(one: Field, form: Mapping[str, str]) -> Any:  # JSON
    text = form.get(one.path, "").strip()
    if one.switch and form.get(f"{one.path}.own") != "on":
        return None
    if one.kind == "rows":
        return _rows_read(one, form)
    if one.kind == "check":
        return text == "on"
    if one.kind in _LISTS:
        lines = _chosen(one, form) if one.kind == "several" else _lines(text)
        return lines if one.kind != "numbers" else [_number(one, line) for line in lines]
    if not text:
        return None
    return _number(one, text) if one.kind == "number" else text


def _chosen(one: Field, form: Mapping[str, str]) -> list[str]:
    return [*_lines(form.get(f"{one.path}[]", "")), *_lines(form.get(f"{one.path}.more", ""))]


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _number(one: Field, text: str) -> int | float:
    try:
        number = float(text.replace(",", "."))
        return int(number) if number.is_integer() else number
    except (ValueError, OverflowError):
        raise Invalid(f"“{text[:40]}” is no number.", target=one.path) from None


def _at(settings: Mapping[str, Any], path: str) -> Any:  # JSON
    found: Any = settings
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _last(path: str) -> str:
    return path.rpartition(".")[2]
