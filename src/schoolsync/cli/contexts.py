"""The servers that somebody has signed in to from this machine, in a file that is theirs alone.

A *context* is a server, a tenant of it, and who one is there: the tokens of `schoolsync login`. One is in use; commands
that ask a server take it unless they are told another server, a data directory or a token. The file holds tokens, so it
is refused when others may read it. Standard library alone: every command of the command line looks here.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from schoolsync.errors import UsageError, WorldError

CONTEXT = "SCHOOLSYNC_CONTEXT"
"""Variable that names another context than the one in use."""
EARLY = 60
"""Seconds before its end that a token is taken for ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """A server, and who one is there."""

    name: str
    server: str
    issuer: str
    client: str
    scope: str
    token_endpoint: str
    revocation_endpoint: str | None = None
    tenant: str | None = None
    authority: str | None = None  # file of certificates that are trusted beside the system's
    person: str | None = None
    token: str | None = None
    expires: int = 0  # seconds since 1970
    refresh_token: str | None = None

    @property
    def ended(self) -> bool:
        """Whether the token is none any more."""
        return self.token is None or self.expires - EARLY <= time.time()


@dataclass(frozen=True, slots=True)
class Known:
    """What is in the file."""

    used: str | None
    contexts: dict[str, Context]


def file() -> Path:
    """Where contexts are kept."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "schoolsync" / "contexts.json"


def read() -> Known:
    """What is known. Raises UsageError for a file that others may read, or that is none of ours."""
    path = file()
    try:
        with path.open("rb") as source:
            state = os.fstat(source.fileno())
            if state.st_mode & 0o077 or state.st_uid != os.getuid():
                raise UsageError(f"{path} holds tokens and is open to others: chmod 600 {path}, or remove it.")
            found = json.load(source)
        contexts = {name: Context(**{**entry, "name": name}) for name, entry in found["contexts"].items()}
        used = found["used"]
    except FileNotFoundError:
        return Known(None, {})
    except OSError as problem:
        raise WorldError(f"{path} cannot be read: {problem.strerror}.") from problem
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise UsageError(f"{path} is damaged: remove it and sign in again.") from problem
    return Known(used if used in contexts else None, contexts)


def chosen(server: str | None) -> Context | None:
    """The context for a server, or the one in use when none is named; None when there is none."""
    known = read()
    name = os.environ.get(CONTEXT) or known.used
    if name is not None and name not in known.contexts:
        raise UsageError(f"{CONTEXT}: there is no context {name!r}; `schoolsync context list` shows them.")
    used = known.contexts[name] if name is not None else None
    if server is None or (used is not None and used.server == server.rstrip("/")):
        return used
    fitting = [one for one in known.contexts.values() if one.server == server.rstrip("/")]
    return fitting[0] if len(fitting) == 1 else None


@contextmanager
def changing() -> Iterator[Known]:
    """What is known, while nobody else changes it."""
    path = file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path.with_name("contexts.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as problem:
        raise WorldError(f"{path.parent} cannot be written: {problem.strerror}.") from problem
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield read()
    finally:
        os.close(descriptor)


def write(known: Known) -> None:
    """Keep what is known; the file is whole at any moment."""
    path = file()
    kept = {name: {**asdict(one), "name": name} for name, one in known.contexts.items()}
    aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as sink:
            json.dump({"used": known.used, "contexts": kept}, sink, indent=1, sort_keys=True)
            sink.flush()
            os.fsync(sink.fileno())
        aside.replace(path)
    except OSError as problem:
        aside.unlink(missing_ok=True)
        raise WorldError(f"{path} cannot be written: {problem.strerror}.") from problem


def with_context(known: Known, context: Context) -> Known:
    """The same with one more, or another one of its name, in use."""
    return Known(context.name, {**known.contexts, context.name: context})


def token_of(context: Context) -> str:
    """A token that is good now; one that has ended is exchanged for another one.

    Raises UsageError when the person has to sign in again.
    """
    if not context.ended:
        assert context.token is not None
        return context.token
    from schoolsync.cli import signing_in  # loaded when there is something to ask

    again = f"You are not signed in to {context.server} any more: schoolsync login --context {context.name}"
    with changing() as known:
        seen = known.contexts.get(context.name)
        if seen is None:
            raise UsageError(again)
        if seen.ended:
            if seen.refresh_token is None:
                raise UsageError(again)
            try:
                tokens = signing_in.refreshed(seen)
            except signing_in.NotSignedIn as problem:
                write(Known(known.used, {**known.contexts, seen.name: replace(seen, token=None, refresh_token=None)}))
                raise UsageError(f"{again} ({problem})") from problem
            seen = tokens.into(seen)
            write(Known(known.used, {**known.contexts, seen.name: seen}))
    assert seen.token is not None
    return seen.token
