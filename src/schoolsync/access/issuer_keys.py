"""The public keys of a trusted issuer: fetched, kept, renewed, and still good while the issuer is away.

Keys are fetched when they are first needed, again every hour, and at once (not more than every half minute) when a
token names a key that is not known, which is how issuers rotate. A good answer replaces everything before it, so a key
that the issuer withdrew is gone. It is also kept in a file, so a restart does not need the issuer either; after a day
without any good answer its keys are no longer believed. Nothing here blocks: whoever needs keys that are not there is
told so (`KeysWanted`) and may wait for the fetch, which one thread does for everybody.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key

from schoolsync.access import egress
from schoolsync.access.trusted import Trusted, read
from schoolsync.errors import SchoolsyncError, UsageError, WorldError

FRESH = 3600.0
"""Seconds after which keys are fetched again, in the background."""
AGAIN = 30.0
"""Fewest seconds between two fetches, whatever tokens say."""
STALE = 24 * 3600.0
"""Seconds after which keys that could not be renewed are believed no more."""
KEYS_MAX = 64
SMALLEST_RSA = 2048
TENANT = "{tenantid}"

log = structlog.get_logger()


class KeysWanted(Exception):
    """The keys are being fetched: wait for `future`, then ask again."""

    def __init__(self, future: Future[None]) -> None:
        super().__init__()
        self.future = future


class KeysUnavailable(WorldError):
    """The issuer's keys could not be fetched; its tokens cannot be judged until they can."""


@dataclass(frozen=True, slots=True)
class Usable:
    """A key that may verify signatures."""

    key: Key
    tied: str | None  # the one issuer that it may speak for, where it says so


@dataclass(frozen=True, slots=True)
class Published:
    """What an issuer says about itself."""

    issuer: str  # what `iss` must be; may contain TENANT
    keys: Mapping[str, tuple[Usable, ...]]  # by key id, which several may share
    fetched: float  # Unix seconds


class IssuerKeys:
    """Discovery document and keys of one issuer, for one version of its tokens. Safe to share between threads."""

    def __init__(
        self,
        trusted: Trusted,
        version: str,
        *,
        policy: egress.Policy,
        folder: Path,
        pool: ThreadPoolExecutor,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._trusted = trusted
        self._version = version
        self._policy = policy
        self._pool = pool
        self._wall = wall
        name = hashlib.sha256(f"{trusted.discovery(version)} {trusted.jwks_url or ''}".encode()).hexdigest()[:32]
        self._file = folder / f"{name}.json"
        self._lock = threading.Lock()
        self._published: Published | None = None
        self._loaded = False
        self._attempted = float("-inf")
        self._fetching: Future[None] | None = None

    def published(self, kid: str) -> Published:
        """What the issuer says, with the key `kid` if it has that one.

        Raises KeysWanted while it is being asked, KeysUnavailable when it could not be asked.
        """
        with self._lock:
            if not self._loaded:
                self._published, self._loaded = self._kept(), True
            found, now = self._published, self._wall()
            if found is not None and now - found.fetched > STALE:
                found = self._published = None
            if found is not None and kid in found.keys:
                if now - found.fetched > FRESH:
                    self._ask()
                return found
            self._ask()
            if self._fetching is not None:
                raise KeysWanted(self._fetching)
            if found is None:
                raise KeysUnavailable(f"The keys of the issuer {self._trusted.name} cannot be fetched.")
            return found

    def check(self) -> Published:
        """Fetch now, in this thread; for `schoolsync doctor`. Raises what is wrong."""
        return self._fetch()

    def _ask(self) -> None:
        """Begin a fetch unless one is going on or was tried a moment ago. The lock is held."""
        if self._fetching is not None or time.monotonic() - self._attempted < AGAIN:
            return
        self._attempted = time.monotonic()
        self._fetching = self._pool.submit(self._renew)

    def _renew(self) -> None:
        try:
            found = self._fetch()
        except SchoolsyncError as problem:
            log.warning("issuer_away", issuer=self._trusted.name, problem=str(problem))
            found = None
        except Exception as problem:  # whatever a stranger's document can break
            log.warning("issuer_unreadable", issuer=self._trusted.name, error=type(problem).__name__)
            found = None
        with self._lock:
            self._fetching = None
            if found is not None:
                self._published = found

    def _fetch(self) -> Published:
        document = self._json(self._trusted.discovery(self._version))
        issuer, address = document.get("issuer"), self._trusted.jwks_url or document.get("jwks_uri")
        if not isinstance(issuer, str) or not isinstance(address, str):
            raise WorldError(f"{self._trusted.discovery(self._version)} is no discovery document.")
        if self._trusted.kind == "oidc" and issuer != self._trusted.url:
            raise WorldError(f"The issuer {self._trusted.url} calls itself “{issuer[:200]}”: the two must be the same.")
        keys = self._json(address)
        found = self._published_of(issuer, keys, self._wall())
        self._keep({"issuer": issuer, "fetched": found.fetched, "document": keys})
        return found

    def _json(self, url: str) -> dict[str, Any]:  # JSON from a stranger
        content = egress.fetch(url, self._policy, authority=self._trusted.authority_file)
        try:
            document = json.loads(content)
        except (ValueError, RecursionError) as problem:
            raise WorldError(f"{url} does not answer with JSON.") from problem
        if not isinstance(document, dict):
            raise WorldError(f"{url} does not answer with a JSON object.")
        return document

    def _published_of(self, issuer: str, document: Mapping[str, Any], fetched: float) -> Published:
        entries = document.get("keys")
        if not isinstance(entries, list):
            raise WorldError(f"The issuer {self._trusted.name} publishes no list of keys.")
        keys: dict[str, tuple[Usable, ...]] = {}
        for entry in entries[:KEYS_MAX]:
            key = _key(entry)
            if key is not None:
                tied = entry.get("issuer")
                usable = Usable(key, tied if isinstance(tied, str) else None)
                keys[entry["kid"]] = (*keys.get(entry["kid"], ()), usable)
        if not keys:
            raise WorldError(f"The issuer {self._trusted.name} publishes no key that can be used.")
        return Published(issuer, keys, fetched)

    def _keep(self, answer: Mapping[str, Any]) -> None:  # JSON
        """Write the last answer aside, whole or not at all; without it only a restart needs the issuer."""
        aside = self._file.with_name(f".{self._file.name}.{secrets.token_hex(8)}")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as sink:
                json.dump(answer, sink)
            aside.replace(self._file)
        except OSError as problem:
            log.warning("issuer_keys_not_kept", issuer=self._trusted.name, problem=problem.strerror)

    def _kept(self) -> Published | None:
        try:
            kept = json.loads(self._file.read_text())
            return self._published_of(kept["issuer"], kept["document"], float(kept["fetched"]))
        except (OSError, ValueError, KeyError, TypeError, SchoolsyncError):
            return None


def _key(entry: Any) -> Key | None:  # JSON from a stranger
    """A public key that may verify signatures, or None."""
    if not isinstance(entry, dict) or not isinstance(entry.get("kid"), str) or entry.get("use", "sig") != "sig":
        return None
    if entry.get("kty") not in {"RSA", "EC", "OKP"} or "d" in entry:
        return None
    known = {name: entry[name] for name in ("kty", "n", "e", "crv", "x", "y", "kid", "alg") if name in entry}
    try:
        key = JWKRegistry.import_key(known)
        if entry["kty"] == "RSA" and key.raw_value.key_size < SMALLEST_RSA:  # type: ignore[union-attr]
            return None
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    return key


class Issuers:
    """All trusted issuers, read again when their file changes. Safe to share between threads."""

    def __init__(self, file: Path | None, *, policy: egress.Policy, folder: Path) -> None:
        self._file = file
        self._policy = policy
        self._folder = folder
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="issuers")
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._trusted: tuple[Trusted, ...] = ()
        self._keys: dict[tuple[Trusted, str], IssuerKeys] = {}
        if file is not None:
            self._seen, self._trusted = _state(file), read(file)

    def all(self) -> tuple[Trusted, ...]:
        """The trusted issuers now; a file that was changed for the worse changes nothing, and is told in the log."""
        if self._file is None or (state := _state(self._file)) == self._seen:
            return self._trusted
        with self._lock:
            self._seen = state
            try:
                self._trusted = read(self._file)
            except UsageError as problem:
                log.error("issuers_file_ignored", problem=str(problem))
            return self._trusted

    def keys(self, trusted: Trusted, version: str) -> IssuerKeys:
        """The keys of one issuer for one version of tokens."""
        with self._lock:
            found = self._keys.get((trusted, version))
            if found is None:
                found = IssuerKeys(trusted, version, policy=self._policy, folder=self._folder, pool=self._pool)
                self._keys[trusted, version] = found
            return found


def _state(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
