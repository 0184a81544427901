"""`schoolsync keys`: a new key in the place of an old one, and files under a key, beside a running server.

Tokens signed with the issuer's old key stay good for the overlap; stored secrets are wrapped anew at once.
"""

from __future__ import annotations

import shutil
import time

from schoolsync.access import issuer, shared_keys
from schoolsync.access.vault import Vault, must_be_there, rotate
from schoolsync.cli.answers import tell
from schoolsync.cli.client import opened
from schoolsync.errors import UsageError
from schoolsync.settings import Settings
from schoolsync.store.objects import objects_of

LONGEST = 400 * 24 * 3600


def run(settings: Settings, *, which: str, overlap: int) -> int:
    """Rotate one key; 0 when done."""
    if which == "issuer":
        if not 0 <= overlap <= LONGEST:
            raise UsageError(f"--overlap must be from 0 to {LONGEST} seconds.")
        shared_keys.meet(settings)
        kid = issuer.rotate(settings.keys, until=int(time.time()) + overlap)
        shared_keys.meet(settings)
        tell(
            f"The issuer signs with the new key {kid}; tokens of the old one are accepted for {overlap} seconds more.",
            key=kid,
            overlap=overlap,
        )
        return 0
    if which != "secrets":
        raise UsageError("There are two keys to rotate: issuer and secrets.")
    shared_keys.meet(settings)
    vault = Vault(settings)
    with opened(settings) as control:
        must_be_there(control, settings)
        if settings.secrets_key is None:
            vault.add_key()
            shared_keys.meet(settings)
        done = rotate(control, vault)
    objects_of(settings).renew()
    beside = ", and so are the keys of files" if settings.encrypt_files else ""
    tell(f"{done} secrets are under the new key{beside}.", secrets=done)
    return 0


def encrypt(settings: Settings) -> int:
    """Encrypt the files that were kept before encryption was switched on; 0 when done."""
    if not settings.encrypt_files:
        raise UsageError("Files are not encrypted here: set encrypt_files and a key first, and start the server.")
    objects = objects_of(settings)
    if objects.mixed:
        done = objects.encrypt()
        shutil.rmtree(settings.data_dir / "scratch", ignore_errors=True)  # of before; it lies elsewhere now
        tell(f"{done} files from before are encrypted now; no other lies as it was.", files=done)
    else:
        tell("Every file is encrypted already.", files=0)
    objects.leave()
    return 0
