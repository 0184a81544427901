"""`schoolsync erase`: erase one person, beside a running server or without one.

Prints ids and counts alone; what was known of the person is not shown. After a backup was put back, an export of the
audit log that was kept elsewhere says whom to erase again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from schoolsync import ticks
from schoolsync.access.issuer import GUID
from schoolsync.cli.answers import tell
from schoolsync.cli.client import acting, existing, guid
from schoolsync.errors import UsageError
from schoolsync.runs.erasing import Erasing
from schoolsync.settings import Settings
from schoolsync.store.control import Control
from schoolsync.store.directories import Directories

OPERATION = "erase"


def run(settings: Settings, *, tenant: str, person: str | None, repeat: Path | None, waiting: bool) -> int:
    """Erase; 0 when done, 1 when a run that began meanwhile may know the person again."""
    tenant_id = guid("--tenant", tenant)
    if (person is None) == (repeat is None):
        raise UsageError("Say whom to erase: a person, or --repeat with an export of the audit log.")
    with existing(settings) as control, _erasing(settings, control, tenant_id) as erasing:
        wanted = [erasing.find(person)] if person is not None else []
        if repeat is not None:
            wanted = _erased_before(repeat, tenant_id)
        status = 0
        for object_id in wanted:
            with acting(settings, control, tenant_id=tenant_id, operation=OPERATION, about=object_id):
                done = erasing.erase(object_id, with_waiting=waiting, now=ticks.of(datetime.now(UTC)))
            where = "the directory" if done.directory else "not in the directory any more"
            words = [f"{object_id} is erased: {where}, files of {done.runs} runs, {done.uploads} uploads deleted."]
            if done.again:
                status = 1
                words.append(
                    "A run has begun meanwhile and may know the person: type the command again when it has ended."
                )
            tell(
                *words,
                erased=object_id,
                directory=done.directory,
                runs=done.runs,
                uploads=done.uploads,
                again=done.again,
            )
    return status


@contextmanager
def _erasing(settings: Settings, control: Control, tenant_id: str) -> Iterator[Erasing]:
    number = control.known_tenant(tenant_id)
    if number is None:
        raise UsageError(f"The tenant {tenant_id} has never been here.")
    directories = Directories(settings)
    try:
        yield Erasing(control, directories, settings, tenant=number, tenant_id=tenant_id)
    finally:
        directories.close()


def _erased_before(path: Path, tenant_id: str) -> list[str]:
    """The object ids that an export of the audit log says were erased, in its order."""
    found: dict[str, None] = {}
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as problem:
        raise UsageError(f"{path} cannot be read as an export of the audit log.") from problem
    for line in lines:
        try:
            entry = json.loads(line)
            theirs = entry["tenant"] == tenant_id and entry["operation"] == OPERATION and entry["outcome"] == "done"
            if theirs and GUID.fullmatch(entry["object"]):
                found[entry["object"]] = None
        except (ValueError, KeyError, TypeError) as problem:
            raise UsageError(f"{path} is no export of the audit log: write one with audit export (json).") from problem
    return list(found)
