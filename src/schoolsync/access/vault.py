"""Secrets of providers, kept so that the database alone, or a copy of it, is of no use.

Envelope encryption: every secret is encrypted (AES-256-GCM) with a key of its own, and that key with the vault's key,
which is not in the database: a file, or the environment. Where a secret lies (tenant, profile, name) is part of what is
authenticated, so a row that was moved elsewhere does not open. The vault's keys are a ring, newest first: a new one is
put in front while everything goes on, what lies under the older ones is wrapped anew, and those are kept for one more
turn. Nothing here shows a secret to a face. Design: docs/access.md.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import secrets as random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import select, update

from schoolsync.access.keys import KeyFile, replace_file
from schoolsync.errors import UsageError, WorldError
from schoolsync.settings import Settings
from schoolsync.store.control import Control
from schoolsync.store.control_tables import secrets

FILE = "secrets.key"
KEY_BYTES = 32
NONCE = 12
KEPT = 2  # keys of the ring that stay after a rotation
BATCH = 500
_MARK = "v1"


@dataclass(frozen=True, slots=True)
class Ring:
    """The vault's keys, newest first."""

    keys: tuple[tuple[str, bytes], ...]

    def newest(self) -> tuple[str, bytes]:
        return self.keys[0]

    def named(self, kid: str) -> bytes:
        for name, key in self.keys:
            if name == kid:
                return key
        raise WorldError(
            "A stored secret was encrypted with a key that is not there (any more): put the key back, or give the "
            "provider its secret again."
        )


def _ring(raw: list[bytes]) -> Ring:
    if not raw or any(len(key) != KEY_BYTES for key in raw):
        raise ValueError("wrong length")
    return Ring(tuple((hashlib.sha256(b"vault" + key).hexdigest()[:12], key) for key in raw))


def _read(content: bytes) -> Ring:
    try:
        return _ring([base64.b64decode(line, validate=True) for line in content.split()])
    except binascii.Error as problem:
        raise ValueError("not base64") from problem


def fresh_key() -> bytes:
    """A new key as it stands in the file or the environment."""
    return base64.b64encode(random.token_bytes(KEY_BYTES))


class Vault:
    """Seals and opens secrets. Safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        self._file: KeyFile[Ring] | None = None
        self._seen = False  # there has been a file
        self._given: Ring | None = None
        if settings.secrets_key is not None:
            try:
                self._given = _read(settings.secrets_key.replace(",", " ").encode())
            except ValueError as problem:
                raise UsageError(
                    f"The setting secrets_key must be one or more base64 keys of {KEY_BYTES} bytes, newest first."
                ) from problem
        else:
            self.path = settings.secrets_key_file or settings.keys / FILE
            self._file = KeyFile(self.path, make=fresh_key, load=_read)

    def ring(self) -> Ring:
        """The keys now; a file that was changed is read again, and one that never was is made."""
        if self._given is not None:
            return self._given
        assert self._file is not None
        if self._seen:
            return self._known()
        found = self._file.get()
        self._seen = True
        return found

    def _known(self) -> Ring:
        """The keys that are there. What was sealed before is never answered by making a new key. Raises WorldError."""
        if self._given is not None:
            return self._given
        assert self._file is not None
        if not self.path.exists():
            raise WorldError(
                f"A stored secret was encrypted with a key that is not there (any more): put the key file {self.path} "
                "back, or give the provider its secret again."
            )
        return self._file.get()

    def seal(self, secret: str, *, place: str) -> str:
        """`secret` as the database may keep it, bound to `place`."""
        kid, key = self.ring().newest()
        own = random.token_bytes(KEY_BYTES)
        return ":".join((_MARK, kid, _encrypted(key, own, place + kid), _encrypted(own, secret.encode(), place)))

    def open(self, kept: str, *, place: str) -> str:
        """The secret in what `seal` made for the same place. Raises WorldError when it cannot be opened."""
        kid, wrapped, sealed = _parts(kept)
        own = _decrypted(self._known().named(kid), wrapped, place + kid)
        return _decrypted(own, sealed, place).decode()

    def renewed(self, kept: str, *, place: str) -> str | None:
        """The same secret under the newest key; None when it is so already. The secret itself is not opened."""
        kid, wrapped, sealed = _parts(kept)
        newest, key = self._known().newest()
        if kid == newest:
            return None
        own = _decrypted(self._known().named(kid), wrapped, place + kid)
        return ":".join((_MARK, newest, _encrypted(key, own, place + newest), sealed))

    def add_key(self) -> None:
        """Put a new key in front of the ring. Raises UsageError where the ring is given by the environment."""
        if self._file is None:
            raise UsageError(
                "The key is given by the setting secrets_key: put a new one in front of it (NEW,OLD), restart every "
                "process, and run this command again with it."
            )
        lines = [fresh_key(), *(base64.b64encode(key) for _, key in self._file.get().keys[: KEPT - 1])]
        replace_file(self.path, b"\n".join(lines) + b"\n")


def place(tenant: int, profile: str, name: str) -> str:
    """Where a provider's secret lies."""
    return f"{tenant}/{profile}/{name}"


def rotate(control: Control, vault: Vault) -> int:
    """Wrap every secret of the database under the newest key; how many were. May run beside a server, and twice."""
    done = 0
    with control.read() as connection:
        rows = connection.execute(select(secrets)).all()
    for start in range(0, len(rows), BATCH):
        with control.write() as connection:
            for row in rows[start : start + BATCH]:
                value = vault.renewed(row.value, place=place(row.tenant, row.profile, row.name))
                if value is None:
                    continue
                # Only what has not been written anew meanwhile.
                changed = connection.execute(
                    update(secrets)
                    .where(
                        secrets.c.tenant == row.tenant,
                        secrets.c.profile == row.profile,
                        secrets.c.name == row.name,
                        secrets.c.value == row.value,
                    )
                    .values(value=value)
                )
                done += changed.rowcount
    return done


def stored(control: Control) -> Mapping[str, int]:
    """How many secrets of the database lie under which key, by the keys' names. Nothing is opened."""
    with control.read() as connection:
        return Counter(_parts(value)[0] for value in connection.execute(select(secrets.c.value)).scalars())


def must_be_there(control: Control, settings: Settings) -> None:
    """Raise UsageError when secrets are stored and the file that the settings name for their key is not there.

    To make a new key in its place would look as if all were well, and what is sealed then would be lost with the other
    key's return.
    """
    path = settings.secrets_key_file
    if settings.secrets_key is not None or path is None or path.exists():
        return
    count = sum(stored(control).values())
    if count:
        raise UsageError(
            f"The key file {path} that the setting secrets_key_file names is not there, and {count} stored "
            f"secret{'s were' if count > 1 else ' was'} encrypted with it: put it back. If it is lost for good, make a "
            f"new one (head -c {KEY_BYTES} /dev/urandom | base64 > {path}) and give every provider its secret again."
        )


def sealed(vault: Vault, tenant: int, profile: str, values: Mapping[str, str]) -> dict[str, str]:
    """A provider's secrets as the database keeps them."""
    return {name: vault.seal(value, place=place(tenant, profile, name)) for name, value in values.items()}


def _encrypted(key: bytes, content: bytes, bound: str) -> str:
    nonce = os.urandom(NONCE)
    return base64.b64encode(nonce + AESGCM(key).encrypt(nonce, content, bound.encode())).decode()


def _decrypted(key: bytes, text: str, bound: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
        return AESGCM(key).decrypt(raw[:NONCE], raw[NONCE:], bound.encode())
    except (binascii.Error, InvalidTag, ValueError) as problem:
        raise WorldError(
            "A stored secret cannot be opened: it was changed, or it lies where it does not belong."
        ) from problem


def _parts(kept: str) -> tuple[str, str, str]:
    mark, _, rest = kept.partition(":")
    parts = rest.split(":")
    if mark != _MARK or len(parts) != 3:
        raise WorldError("A stored secret cannot be read: give the provider its secret again.")
    return parts[0], parts[1], parts[2]
