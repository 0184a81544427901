"""The one tree of errors.

Every error a person can meet derives from `SchoolsyncError`. Its `str()` is the sentence that person reads, its
attributes are the facts. The HTTP face turns them into Graph's envelope in exactly one place (`graph.errors`); the
command line prints them as one line. Three kinds show in the type: the data is wrong (a finding, never raised past
the engine), the world is wrong (`WorldError`: retry or quarantine), we are wrong (anything else: a bug, loud).
"""

from __future__ import annotations

import errno

_WORLDS = frozenset(
    {errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
    | {errno.EAGAIN, errno.EBUSY, errno.ESTALE, errno.ENODEV, errno.ENXIO, errno.ETIMEDOUT}
)


class SchoolsyncError(Exception):
    """Something a person has to know about; the message says what and what to do next."""


class WorldError(SchoolsyncError):
    """The world failed us: a disk, a database, a network. Trying again may help."""


def is_worlds(problem: Exception) -> bool:
    """Whether the world failed us: said by one of ours, or by the system of a disk that is full or fails."""
    return isinstance(problem, WorldError) or (isinstance(problem, OSError) and problem.errno in _WORLDS)


def raise_worlds(problem: Exception) -> None:
    """Raise a WorldError when it was the world that kept us from a file; of a file that is wrong nothing is said."""
    if isinstance(problem, OSError) and is_worlds(problem):
        raise WorldError(
            f"A file cannot be read or written now ({problem.strerror}): look at the disk, then try again."
        ) from problem


class Refusal(WorldError):
    """A database or storage that this release, or this installation, must leave alone; trying again does not help."""


class UsageError(SchoolsyncError):
    """A command or a setting was used wrongly."""


class Refused(SchoolsyncError):
    """A caller's request that cannot be granted. `target` names the member or parameter at fault, if there is one."""

    def __init__(self, message: str, *, target: str | None = None) -> None:
        super().__init__(message)
        self.target = target


class Invalid(Refused):
    """The request is wrong in itself: a bad value, an unknown member, a missing one (HTTP 400)."""


class TooCostly(Refused):
    """What the request asks for takes longer than the setting `query_seconds` allows (HTTP 400)."""

    def __init__(self) -> None:
        super().__init__(
            "The query takes too long on a directory of this size and was stopped: look objects up by id, externalId, "
            "mailNickname or userPrincipalName, or read the pages without $filter, $search and $orderby."
        )


class NotFound(Refused):
    """What the request names does not exist in this tenant (HTTP 404)."""


class Conflict(Refused):
    """The request is right but not now: the state of the object forbids it (HTTP 409)."""


class PreconditionFailed(Refused):
    """The object changed since the caller read it (HTTP 412)."""


class Forbidden(Refused):
    """The caller may not do this (HTTP 403)."""


class Unauthenticated(Refused):
    """There is no token, or none that this server accepts (HTTP 401)."""


class Throttled(Refused):
    """The caller has asked too often (HTTP 429); `seconds` says how long to wait."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"Too many requests. Try again in {seconds} seconds.")
        self.seconds = seconds


class Unready(Refused):
    """Something that serving takes is missing for a while (HTTP 503); the message says what, and no secret of it."""


class TooLarge(Refused):
    """The request is larger than a limit allows (HTTP 413)."""
