"""`schoolsync audit`: verify the audit log, and write it out for those who keep it elsewhere.

Works beside a running server, or without one. Prints ids and times alone: there is nothing else in the log.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from schoolsync.access.audit import FIELDS, Audit, shown
from schoolsync.cli.answers import tell
from schoolsync.cli.client import existing, guid
from schoolsync.errors import UsageError, WorldError
from schoolsync.settings import Settings
from schoolsync.store.directories import Directories

COLUMNS = ("tenant", *FIELDS, "time", "previous", "hash", "seal")


def verify(settings: Settings, *, tenant: str | None) -> int:
    """Check the chains; 0 when every one is whole, 1 when one is broken."""
    broken = 0
    with _audit(settings) as log:
        for number, tenant_id in _tenants(log, tenant):
            verdict = log.verify(number, tenant_id)
            if verdict.wrong is None:
                words = f"{tenant_id}  {verdict.number} entries, whole, ends with {verdict.hash}"
            else:
                broken += 1
                words = f"{tenant_id}  BROKEN behind entry {verdict.number}: {verdict.wrong}"
            tell(words, tenant=tenant_id, entries=verdict.number, wrong=verdict.wrong, hash=verdict.hash)
    return 1 if broken else 0


def export(settings: Settings, *, tenant: str | None, format: str, after: int, output: Path | None) -> int:  # noqa: A002
    """Write entries as CSV or as one JSON object a line; 0 when done. How many went into a file is told."""
    if format not in {"csv", "json"}:
        raise UsageError("--format must be csv or json.")
    written = 0

    def counted(rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        nonlocal written
        for row in rows:
            written += 1
            yield row

    try:
        with _audit(settings) as log, _sink(output) as sink:
            rows = counted(
                shown(row, tenant_id)
                for number, tenant_id in _tenants(log, tenant)
                for row in log.all(number, tenant_id, after=after)
            )
            if format == "csv":
                table = csv.DictWriter(sink, COLUMNS)
                table.writeheader()
                table.writerows(rows)
            else:
                for row in rows:
                    sink.write(json.dumps(row) + "\n")
    except OSError as problem:
        raise WorldError(f"The export cannot be written: {problem.strerror}.") from problem
    if output is not None:
        tell(f"{written:,} entries are written to {output}.", entries=written, format=format, output=str(output))
    return 0


@contextmanager
def _audit(settings: Settings) -> Iterator[Audit]:
    with existing(settings) as control:
        directories = Directories(settings)
        try:
            yield Audit(control, directories, settings)
        finally:
            directories.close()


def _tenants(log: Audit, tenant: str | None) -> list[tuple[int, str]]:
    known = log.tenants()
    if tenant is None:
        return known
    wanted = guid("--tenant", tenant)
    found = [entry for entry in known if entry[1] == wanted]
    if not found:
        raise UsageError(f"The tenant {wanted} has never been here.")
    return found


@contextmanager
def _sink(output: Path | None) -> Iterator[TextIO]:
    if output is None:
        yield sys.stdout
        return
    with output.open("w", encoding="utf-8", newline="") as sink:
        yield sink
