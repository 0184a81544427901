"""`schoolsync audit`: verify the audit log, and write it out for those who keep it elsewhere.

Works beside a running server, or without one, or asks one elsewhere for the log of one tenant. Prints ids and times
alone: there is nothing else in the log.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from schoolsync.access.audit import FIELDS, Audit, Chain, Verdict, shown
from schoolsync.cli.answers import tell
from schoolsync.cli.client import existing, guid
from schoolsync.cli.remote import Remote, Whereto
from schoolsync.errors import UsageError, WorldError
from schoolsync.settings import Settings
from schoolsync.store.directories import Directories

PAGE = 500
"""Entries that are asked of a server at a time."""
COLUMNS = ("tenant", *FIELDS, "time", "previous", "hash", "seal")


def verify(settings: Settings, *, tenant: str | None) -> int:
    """Check the chains; 0 when every one is whole, 1 when one is broken."""
    broken = 0
    with _audit(settings) as log:
        for number, tenant_id in _tenants(log, tenant):
            broken += _tell(tenant_id, log.verify(number, tenant_id))
    return 1 if broken else 0


def verify_served(whereto: Whereto) -> int:
    """Fetch a tenant's log from a server and check its chain here; 0 when it is whole, 1 when it is broken.

    Of the seals the server says whether they are its own: their key never leaves it.
    """
    remote = Remote(whereto)
    tenant, chain = str(remote.me()["tenant"]), None
    for page in remote.pages("/audit/export", limit=PAGE):
        chain = chain or Chain((page["headNumber"], page["headHash"]))
        if not all(chain.goes_on(entry, sealed=entry["sealed"]) for entry in page["value"]):
            break
    assert chain is not None, "there is one page at least"
    return _tell(tenant, chain.verdict())


def _tell(tenant: str, verdict: Verdict) -> int:
    """Say what was found; 1 when the log is broken."""
    if verdict.wrong is None:
        words = f"{tenant}  {verdict.number} entries, whole, ends with {verdict.hash}"
    else:
        words = f"{tenant}  BROKEN behind entry {verdict.number}: {verdict.wrong}"
    tell(words, tenant=tenant, entries=verdict.number, wrong=verdict.wrong, hash=verdict.hash)
    return 0 if verdict.wrong is None else 1


def export(settings: Settings, *, tenant: str | None, format: str, after: int, output: Path | None) -> int:  # noqa: A002
    """Write the entries of this installation, or of one tenant; 0 when done."""
    _check(format)
    with _audit(settings) as log:
        rows = (
            shown(row, tenant_id)
            for number, tenant_id in _tenants(log, tenant)
            for row in log.all(number, tenant_id, after=after)
        )
        return _export(rows, format=format, output=output)


def export_served(whereto: Whereto, *, format: str, after: int, output: Path | None) -> int:  # noqa: A002
    """Write the entries of a tenant of a server; 0 when done."""
    _check(format)
    pages = Remote(whereto).pages("/audit/export", limit=PAGE, after=after)
    rows = ({name: entry[name] for name in COLUMNS} for page in pages for entry in page["value"])
    return _export(rows, format=format, output=output)


def _check(format: str) -> None:  # noqa: A002
    if format not in {"csv", "json"}:
        raise UsageError("--format must be csv or json.")


def _export(rows: Iterable[dict[str, Any]], *, format: str, output: Path | None) -> int:  # noqa: A002
    """Write entries as CSV or as one JSON object a line. How many went into a file is told."""
    written = 0

    def counted(rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        nonlocal written
        for row in rows:
            written += 1
            yield row

    try:
        with _sink(output) as sink:
            if format == "csv":
                table = csv.DictWriter(sink, COLUMNS)
                table.writeheader()
                table.writerows(counted(rows))
            else:
                for row in counted(rows):
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
