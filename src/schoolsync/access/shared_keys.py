"""The keys of an installation on several machines: each has them under `keys/`, the object storage has them for all.

Without object storage there is nothing to share. With it a machine takes the keys that are there before it makes any,
and of two that make the same key at once the first one's counts. The key of stored secrets is shared like the others
unless the settings give one, which is the way to keep it out of the storage.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from schoolsync.access import issuer, keys, vault
from schoolsync.folders import listed
from schoolsync.settings import Settings
from schoolsync.store.shared_objects import SharedObjects

EVERY = 30.0
"""Seconds after which a running machine looks whether another one has changed a key."""


def meet(settings: Settings) -> None:
    """Have the same keys here as everywhere. May be called again; raises WorldError when they cannot be had."""
    if settings.storage_url is None:
        return
    settings.keys.mkdir(parents=True, exist_ok=True, mode=0o700)
    tags = settings.data_dir / "keys.tags"
    shared = SharedObjects(settings.keys, tags, settings.storage_url, settings.storage_options, prefix="keys/")
    shared.fetch_folder(settings.keys)
    for path, make in _kinds(settings):
        if not path.exists():
            make()
            if not shared.create(path):
                shared.fetch(path)
    shared.keep(*_mine(settings))


def _mine(settings: Settings) -> list[Path]:
    """The key files that are shared: not what other issuers have published, which is kept beside them."""
    named = [path for path, _ in _kinds(settings)]
    return [*listed(settings.keys / issuer.RETIRED, "*.json"), *named]


def _kinds(settings: Settings) -> list[tuple[Path, Callable[[], object]]]:
    folder = settings.keys
    made: list[tuple[Path, Callable[[], object]]] = [
        (folder / keys.ISSUER, issuer.signing_key(folder).get),
        (folder / keys.UPLOADS, keys.uploads_key(folder).get),
        (folder / keys.AUDIT, keys.audit_key(folder).get),
    ]
    if settings.secrets_key is None and settings.secrets_key_file is None:
        made.append((folder / vault.FILE, vault.Vault(settings).ring))
    return made
