"""From the path a client sent to the operation it means.

Segments are compared without case, double slashes collapse, `name('key')` is `name/key`, `name()` and
`microsoft.graph.name` are `name`. A path that no operation has is refused at the segment where it leaves the tree.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar
from urllib.parse import unquote_to_bytes

from schoolsync.graph.errors import BadRequest, UnknownSegment

SEGMENTS_MAX = 32
_GUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_CALL = re.compile(r"(?P<name>[^()]*)\((?P<key>.*)\)", re.DOTALL)
_QUALIFIER = "microsoft.graph."


class Operation(Protocol):
    """What a row of a table of routes has at least."""

    @property
    def method(self) -> str: ...

    @property
    def template(self) -> str: ...


R = TypeVar("R", bound=Operation)


@dataclass(slots=True)
class _Node:
    below: dict[str, tuple[str, _Node]] = field(default_factory=dict)  # lower-case literal -> canonical spelling, node
    key: tuple[str, _Node] | None = None  # name of the key, node
    template: str | None = None


@dataclass(frozen=True, slots=True)
class Match(Generic[R]):
    """The resource a path names."""

    template: str
    path: str  # canonical, keys filled in
    keys: Mapping[str, str]
    routes: Mapping[str, R]  # by method


class Tree(Generic[R]):
    """All templates of the route table, ready for look-ups."""

    def __init__(self, routes: Iterable[R]) -> None:
        self._root = _Node()
        self._routes: dict[str, dict[str, R]] = {}
        for route in routes:
            self._routes.setdefault(route.template, {})[route.method] = route
            self._plant(route.template)

    def _plant(self, template: str) -> None:
        node = self._root
        for part in filter(None, template.split("/")):
            if part.startswith("{"):
                if node.key is None:
                    node.key = (part[1:-1], _Node())
                assert node.key[0] == part[1:-1], f"{template}: two names for one key"
                node = node.key[1]
            else:
                node = node.below.setdefault(part.lower(), (part, _Node()))[1]
        node.template = template

    def find(self, segments: Iterable[str]) -> Match[R]:
        """The resource at these segments (decoded, below the version). Raises UnknownSegment."""
        node, path, keys = self._root, list[str](), dict[str, str]()
        last = ""
        for segment, is_key in _parts(segments):
            last = segment
            literal = None if is_key else node.below.get(_unqualified(segment).lower(), None)
            if literal is not None:
                path.append(literal[0])
                node = literal[1]
            elif node.key is not None and segment and (is_key or not segment.startswith("$")):
                value = segment.lower() if _GUID.fullmatch(segment) else segment
                keys[node.key[0]] = value
                path.append(value)
                node = node.key[1]
            else:
                raise UnknownSegment(segment)
        if node.template is None:
            raise UnknownSegment(last)
        return Match(node.template, "/".join(path), keys, self._routes[node.template])


def split(raw_path: bytes) -> list[str]:
    """The segments of a raw path, decoded one by one: an encoded slash stays in its segment. Empty ones go."""
    segments = [unquote_to_bytes(part) for part in raw_path.partition(b"?")[0].split(b"/") if part]
    if len(segments) > SEGMENTS_MAX:
        raise BadRequest("The path has too many segments.")
    try:
        decoded = [segment.decode() for segment in segments]
    except UnicodeDecodeError as problem:
        raise BadRequest("The path is not valid UTF-8.") from problem
    if any("\0" in segment for segment in decoded):
        raise BadRequest("The path holds a NUL character.")
    return decoded


def keyed(segments: Iterable[str]) -> list[str]:
    """The segments with keys in parentheses as segments of their own: `users('7')` is `users`, `7`."""
    return [text for text, _ in _parts(segments)]


def _parts(segments: Iterable[str]) -> Iterable[tuple[str, bool]]:
    """Names and keys in order: `(text, whether it can only be a key)`."""
    for segment in segments:
        call = _CALL.fullmatch(segment)
        if call is None:
            yield segment, False
            continue
        if call["name"]:
            yield call["name"], False
        if call["key"].strip():  # nothing between the parentheses: a function's call
            yield _key(call["key"]), True


def _key(text: str) -> str:
    """The key between parentheses: quoted or bare, perhaps with its name before it (`id='x'`)."""
    text = text.strip()
    name, equals, value = text.partition("=")
    if equals and name.strip().isidentifier():
        text = value.strip()
    if len(text) >= 2 and text[0] == text[-1] == "'":
        return text[1:-1].replace("''", "'")
    return text


def _unqualified(segment: str) -> str:
    return segment[len(_QUALIFIER) :] if segment.lower().startswith(_QUALIFIER) else segment
