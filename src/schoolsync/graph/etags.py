"""Entity tags: what `If-Match` and `If-None-Match` are compared with.

Tags are weak and made of a version number. No header is ever required.
"""

from __future__ import annotations

import re

from schoolsync.errors import PreconditionFailed
from schoolsync.graph.call import Call

_TAG = re.compile(r'(?:W/)?"([^"]*)"')


def weak(version: int) -> str:
    """The entity tag of a version."""
    return f'W/"{version}"'


def check(call: Call, tag: str) -> None:
    """Raise PreconditionFailed unless `If-Match`, when it is sent, names `tag` or anything (`*`)."""
    given = call.headers.get("if-match")
    if given is not None and not names(given, tag):
        raise PreconditionFailed("The object was changed after it was read: read it again and repeat the request.")


def not_modified(call: Call, tag: str) -> bool:
    """Whether `If-None-Match` says that the caller has this version already; the answer is then 304 without a body."""
    given = call.headers.get("if-none-match")
    return given is not None and names(given, tag)


def names(header: str, tag: str) -> bool:
    """Whether a header that lists entity tags names `tag`."""
    if header.strip() == "*":
        return True
    wanted = _TAG.fullmatch(tag)
    assert wanted is not None
    tags = [match[1] for match in _TAG.finditer(header)] or [header.strip()]
    return wanted[1] in tags
