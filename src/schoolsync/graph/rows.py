"""Rows of the directory as Graph writes them.

What a shape, its type and a `$select` make of a row is put together once and then done for every row: pages are a
hundred rows and more, and the time of a page is the time of this. Columns are taken by their place, most of them at
once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

from schoolsync.directory.shapes import CLASS, GROUP, PERSON, SCHOOL, UNIT, USER, Shape
from schoolsync.graph import render
from schoolsync.graph.call import Json
from schoolsync.graph.types import Property

Write = Callable[[Any], Json]  # a row that begins with the columns of the shape's table -> a JSON object
_Read = Callable[[Sequence[Any]], Any]  # a row -> a JSON-able value
_Part = tuple[str, int, Callable[[Any], Any] | None]  # name, place of its column, what is made of the column

_SHAPES = {shape.type_name: shape for shape in (SCHOOL, CLASS, PERSON, UNIT, GROUP, USER)}
_MAKERS = 256  # who made an object, for many objects the same


def writer(
    shape: Shape,
    *,
    select: str | None,
    version: str,
    unveiled: bool,
    visible: frozenset[str] | None = None,
    on_request: Callable[[Any], Mapping[str, Any]] | None = None,
    unasked: bool = False,
) -> Write:
    """A writer of a shape's rows under one `$select`; what it returns is nobody's to change but at the top.

    `visible` names the properties that the caller may see, None = all; `on_request` yields values of a row that are
    written only when `$select` names them, or all of them `unasked`. Raises Invalid for an unknown name in `$select`.
    """
    tree = render.freeze(render.selection(shape.type_name, select))
    write = _composed(shape.type_name, tree, unveiled, version != "beta", visible)
    extras = render.named_extras(shape.type_name, select) if on_request is not None else frozenset()
    if on_request is None or not (extras or unasked):
        return write

    def written(row: Any) -> Json:
        result = write(row)
        result.update((name, value) for name, value in on_request(row).items() if unasked or name.lower() in extras)
        return result

    return written


@lru_cache(512)
def _composed(type_name: str, tree: render.Frozen, unveiled: bool, v1: bool, visible: frozenset[str] | None) -> Write:
    shape = _SHAPES[type_name]
    below = {} if tree is None else dict(tree)
    shown = [prop for prop in render.shown(type_name, tree, v1) if visible is None or prop.name in visible]
    plain: list[_Part] = []
    fixed: Json = {}
    special: list[tuple[str, _Read]] = []
    for prop in shown:
        write = render.property_writer(prop, below.get(prop.name), unveiled, v1)
        column = shape.paths.get(prop.name)
        if column is not None:
            # A file keeps truth as a number.
            plain.append((prop.name, shape.places[column], bool if prop.type == "Boolean" else write))
            continue
        # The name keeps its place in the answer, whatever is put there later.
        plain.append((prop.name, 0, None))
        if prop.name in shape.constants or prop.name in shape.empty_lists:
            value = shape.constants.get(prop.name, [])
            fixed[prop.name] = value if write is None or value is None else write(value)
        elif prop.name in shape.followed:
            column, text = shape.followed[prop.name]
            plain[-1] = prop.name, shape.places[column], _followed(text)
        elif prop.name in shape.lists:
            special.append((prop.name, _list(shape.places[shape.lists[prop.name]], write)))
        elif prop.name == "businessPhones" and shape.phone is not None:
            special.append((prop.name, _only(shape.places[shape.phone])))
        elif prop.name == "createdBy":
            special.append((prop.name, _maker(shape.places["created_by"], write)))
        elif parts := _parts(shape, prop, below.get(prop.name), unveiled, v1):
            special.append((prop.name, _complex(shape, prop.name, parts)))
        else:
            plain.pop()
    take = _object(plain)

    def written(row: Any) -> Json:
        result = take(row)
        if fixed:
            result.update(fixed)
        for name, read in special:
            result[name] = read(row)
        return result

    return written


def _object(parts: Sequence[_Part]) -> Callable[[Sequence[Any]], Json]:
    """Names with the values of their columns, those of most columns as they are."""
    names = [name for name, _, _ in parts]
    take = _taken([place for _, place, _ in parts])
    made = [(name, make) for name, _, make in parts if make is not None]

    def read(row: Sequence[Any]) -> Json:
        result = dict(zip(names, take(row), strict=True))
        for name, make in made:
            if result[name] is not None:
                result[name] = make(result[name])
        return result

    return read


def _taken(places: Sequence[int]) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """The columns at these places, all at once."""
    if len(places) == 1:
        (only,) = places
        return lambda row: (row[only],)
    return itemgetter(*places)


def _parts(shape: Shape, prop: Property, below: render.Frozen, unveiled: bool, v1: bool) -> list[_Part]:
    """What is written of a complex property."""
    chosen = {} if below is None else dict(below)
    return [
        (
            part.name,
            shape.places[shape.paths[f"{prop.name}/{part.name}"]],
            render.property_writer(part, chosen.get(part.name), unveiled, v1),
        )
        for part in render.shown(prop.type, below, v1)
        if f"{prop.name}/{part.name}" in shape.paths
    ]


def _complex(shape: Shape, owner: str, parts: Sequence[_Part]) -> _Read:
    """A complex property: None without any value, but where a column says that it is there."""
    every = [shape.places[column] for path, column in shape.paths.items() if path.startswith(f"{owner}/")]
    all_of, nothing = _taken(every), (None,) * len(every)
    column, marked = shape.always.get(owner, (None, None))
    marker = None if column is None else shape.places[column]
    take = _object(parts)

    def read(row: Sequence[Any]) -> Json | None:
        if (marker is None or row[marker] != marked) and tuple(all_of(row)) == nothing:
            return None
        return take(row)

    return read


def _list(place: int, write: Callable[[Any], Any] | None) -> _Read:
    """A list kept as JSON."""

    def read(row: Sequence[Any]) -> Any:
        text = row[place]
        if text == "[]":
            return []
        return json.loads(text) if write is None else write(json.loads(text))

    return read


def _followed(text: str) -> Callable[[Any], Any]:
    """What a column holds, with `text` behind it."""
    return lambda value: value + text


def _only(place: int) -> _Read:
    """A list of one value at most."""

    def read(row: Sequence[Any]) -> list[Any]:
        value = row[place]
        return [] if value is None else [value]

    return read


def _maker(place: int, write: Callable[[Any], Any] | None) -> _Read:
    """Who made an object."""

    @lru_cache(_MAKERS)
    def written(text: str) -> Any:
        value = json.loads(text)
        return value if write is None else write(value)

    def read(row: Sequence[Any]) -> Any:
        text = row[place]
        return None if text is None else written(text)

    return read
