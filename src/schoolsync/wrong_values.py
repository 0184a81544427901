"""What is wrong with a value that somebody has set, as a sentence that names it and says what it can be.

msgspec finds what is wrong and says it in the words of a program; which values there are stands in the types. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import inspect

_WHERE = re.compile(r"(.*?)(?: - at (`key` in )?`\$\.?(.*)`)?", re.DOTALL)
_STEP = re.compile(r"\[(\d+|\.\.\.)\]|\.?([^.\[\]]+)")
_SAID = re.compile(r"([a-z]\w*(?:\.[a-z]\w*)*): ", re.ASCII)  # ours, said by __post_init__: the member leads
_MISSING = re.compile(r"Object missing required field `(.*)`", re.DOTALL)
_MISFIT = re.compile(r"Expected |Invalid (?!value )")
_SHOWN = 100


def explained(
    problem: msgspec.ValidationError,
    kind: Any,  # any type of msgspec
    given: object = None,
) -> tuple[str, str | None]:
    """The sentence without its full stop, and the path of what is wrong; `kind` is what the whole was to become, and
    `given` what it was made from: msgspec does not say under which name of an object something wrong stands.
    """
    match = _WHERE.fullmatch(str(problem))
    assert match is not None  # whatever it says, the first group takes it
    text, key, path = match[1], match[2] is not None, match[3] or ""
    steps = [(index, name) for index, name in _STEP.findall(path)]
    if not key and given is not None and any(index == "..." for index, _ in steps):
        named = _named(steps, given, kind, str(problem))
        path = ".".join(name for _, name in named if name) if named != steps else path
        outer, inner = steps[0][1], ".".join(name for _, name in named)
        text = f"{inner}.{text.removeprefix(f'{outer}.')}" if named != steps and text.startswith(f"{outer}.") else text
        steps = named
    said = _SAID.match(text)
    if said is not None:
        return text, said[1]
    name = ".".join(name for _, name in steps if name)[:_SHOWN]
    entry = "".join(f" (entry {int(index) + 1})" for index, _ in steps if index.isdecimal())
    missing = _MISSING.fullmatch(text)
    if missing is not None:
        return f"{name or 'this'}{entry} needs {missing[1]}", f"{path}.{missing[1]}".removeprefix(".")
    if key:
        name = f"a name in {name}" if name else "a name"
    elif steps and steps[-1][0] == "...":
        name = f"what stands in {name}"
    there = _within(inspect.type_info(kind), steps, key=key) if _MISFIT.match(text) else None
    wanted = " or ".join(dict.fromkeys(_described(there))) if there is not None else ""
    if not wanted:
        return (f"{name}: {text}" if name else text), path or None
    return f"{name or 'this'}{entry} must be {wanted}", path or None


def _named(steps: list[tuple[str, str]], given: Any, kind: Any, text: str) -> list[tuple[str, str]]:
    """The steps with the names of objects in them: those that alone are refused in the same words."""
    found: list[tuple[str, str]] = []
    for index, name in steps:
        if index != "...":
            found.append((index, name))
            continue
        there = given
        for before, called in found:
            there = there[int(before)] if before else there[called]
        key = next((one for one in there if _refused(_only(given, found, one), kind, text)), None)
        if not isinstance(key, str):
            return steps
        found.append(("", key))
    return found


def _only(given: Any, steps: list[tuple[str, str]], key: str) -> Any:
    """What was given, with this name alone in the object that the steps lead to."""
    if not steps:
        return {key: given[key]}
    (index, name), *others = steps
    if index:
        return [_only(one, others, key) if place == int(index) else one for place, one in enumerate(given)]
    return {**given, name: _only(given[name], others, key)}


def _refused(given: object, kind: Any, text: str) -> bool:
    try:
        msgspec.convert(given, kind)
    except msgspec.ValidationError as problem:
        return str(problem) == text
    return False


def _within(kind: inspect.Type, steps: list[tuple[str, str]], *, key: bool) -> inspect.Type | None:
    """The type of what a path leads to, or None when it cannot be told from the types."""
    for index, name in steps:
        inner = _inner(kind, index, name)
        if inner is None:
            return None
        kind = inner
    if not key:
        return kind
    return next((one.key_type for one in _alternatives(kind) if isinstance(one, inspect.DictType)), None)


def _inner(kind: inspect.Type, index: str, name: str) -> inspect.Type | None:
    for one in _alternatives(kind):
        if name and isinstance(one, inspect.StructType):
            return next((field.type for field in one.fields if field.encode_name == name), None)
        if isinstance(one, inspect.DictType):
            return one.value_type
        if index and isinstance(one, inspect.CollectionType):
            return one.item_type
    return None


def _alternatives(kind: inspect.Type) -> Iterator[inspect.Type]:
    if isinstance(kind, inspect.UnionType):
        for one in kind.types:
            yield from _alternatives(one)
    elif isinstance(kind, inspect.Metadata):
        yield from _alternatives(kind.type)
    else:
        yield kind


def _described(kind: inspect.Type) -> Iterator[str]:
    """What a value of the type can be; nothing for a type that has no short name."""
    for one in _alternatives(kind):
        match one:
            case inspect.LiteralType():
                yield f"one of {', '.join(str(value) for value in one.values)}"
            case inspect.EnumType():
                yield f"one of {', '.join(str(member.value) for member in one.cls)}"
            case inspect.BoolType():
                yield "true or false"
            case inspect.IntType():
                yield f"a whole number{_range(one.ge, one.le, one.gt, one.lt)}"
            case inspect.FloatType():
                yield f"a number{_range(one.ge, one.le, one.gt, one.lt)}"
            case inspect.StrType():
                yield f"a text{_many(one.min_length, one.max_length, 'characters')}"
            case inspect.DateType():
                yield "a day such as 2026-01-31"
            case inspect.TimeType():
                yield "a time such as 06:30"
            case inspect.DateTimeType():
                yield "a point in time such as 2026-01-31T06:30:00Z"
            case inspect.CollectionType():
                yield f"a list{_many(one.min_length, one.max_length, 'entries')}"
            case inspect.DictType() | inspect.StructType():
                yield "an object"
            case inspect.NoneType():
                pass  # whoever wants the default leaves it out
            case _:
                return


def _range(least: float | None, most: float | None, above: float | None, below: float | None) -> str:
    """The limits of a number."""
    if least is not None and most is not None:
        return f" from {least:g} to {most:g}"
    if least is not None:
        return f" of at least {least:g}"
    if most is not None:
        return f" of at most {most:g}"
    if above is not None:
        return f" above {above:g}"
    return f" below {below:g}" if below is not None else ""


def _many(least: int | None, most: int | None, called: str) -> str:
    """The limits of how many there are."""
    if least is not None and most is not None:
        return f" of {least} to {most} {called}"
    if least is not None:
        return f" of at least {least} {called}"
    return f" of at most {most} {called}" if most is not None else ""
