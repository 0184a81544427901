"""`schoolsync doctor`: looks at an installation and says what is wrong, what is doubtful, and what to do.

Changes nothing but what looking makes (a missing key file is not made). Every check is one function; each says what it
looked at even when all is well, so that the list shows what was checked.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

from cryptography import x509

from schoolsync.access import certificates, egress, trusted
from schoolsync.access.issuer_keys import IssuerKeys
from schoolsync.access.vault import Vault, stored
from schoolsync.errors import SchoolsyncError, UsageError
from schoolsync.graph.origin import Origin
from schoolsync.serving import safety
from schoolsync.settings import Settings
from schoolsync.store import installation
from schoolsync.store.control import open_control
from schoolsync.store.objects import objects_of
from schoolsync.verdicts import Level, Verdict

SPACE_MIN = 1024**3
ENDS_SOON = timedelta(days=21)
VERSIONS = {"entra": ("1.0", "2.0"), "oidc": ("",)}

Check = Callable[[Settings], Iterator[Verdict]]


def examine(settings: Settings) -> list[Verdict]:
    """Everything that can be said about an installation, in the order of docs/doctor.md."""
    found: list[Verdict] = []
    for name, check in CHECKS.items():
        try:
            verdicts = [*check(settings)]
        except (SchoolsyncError, OSError) as problem:
            verdicts = [Verdict(name, Level.ERROR, str(problem))]
        found += verdicts
    return found


def _combinations(settings: Settings) -> Iterator[Verdict]:
    refused = [*safety.refusals(settings)]
    for name, sentence in refused:
        yield Verdict("settings", Level.ERROR, f"{name}: {sentence}")
    Origin(settings)  # raises for proxies that are no addresses
    if not refused:
        yield Verdict("settings", Level.OK, "no settings that must not stand together")


def _folder(settings: Settings) -> Iterator[Verdict]:
    folder = settings.data_dir
    if not folder.is_dir():
        yield Verdict("data directory", Level.WARNING, f"{folder} is not there yet; serve makes it")
        return
    with tempfile.TemporaryFile(dir=folder):
        pass  # it can be written
    free = shutil.disk_usage(folder).free
    if free < SPACE_MIN:
        yield Verdict("data directory", Level.WARNING, f"only {free // 1024**2} MiB are free on the disk of {folder}")
    else:
        yield Verdict("data directory", Level.OK, f"{folder} can be written and has room")


def _permissions(settings: Settings) -> Iterator[Verdict]:
    if not settings.data_dir.is_dir():
        return
    watched = [settings.keys, *settings.keys.rglob("*"), settings.control_db, settings.runs_db, settings.directories]
    watched += [
        settings.kept_objects,
        settings.data_dir / "tls" / "key.pem",
        *filter(None, [settings.secrets_key_file]),
    ]
    open_to_others = [path for path in watched if path.exists() and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)]
    for path in open_to_others:
        yield Verdict("permissions", Level.ERROR, f"{path} is open to other accounts: chmod go= {path}")
    strangers = [path for path in watched if path.exists() and path.stat().st_uid not in {os.getuid(), 0}]
    for path in strangers:
        yield Verdict("permissions", Level.WARNING, f"{path} belongs to another account than yours")
    if not open_to_others and not strangers:
        yield Verdict("permissions", Level.OK, "keys and data are closed to other accounts")


def _storage(settings: Settings) -> Iterator[Verdict]:
    objects = objects_of(settings)
    objects.probe()
    if objects.shared:
        yield Verdict("storage", Level.OK, "the object storage can be reached and lets us in")
    else:
        yield Verdict("storage", Level.OK, "files lie in the data directory; other machines do not see them")
    if objects.sealed:
        yield Verdict("storage", Level.OK, f"files are encrypted, and worked with in {settings.work_dir}")
        if objects.mixed:
            words = "files from before encryption may lie as they were: type `schoolsync keys encrypt`"
            yield Verdict("storage", Level.WARNING, words)
    elif not safety.loopback(settings.host):
        yield Verdict("storage", Level.OK, "files are not encrypted by schoolsync (encrypt_files): encrypt the disk")


def _certificate(settings: Settings) -> Iterator[Verdict]:
    if settings.tls_cert is None or settings.tls_key is None:
        how = "a certificate of our own making" if settings.tls else "no TLS here"
        yield Verdict("certificate", Level.OK, how)
        return
    try:
        certificates.check(settings.tls_cert, settings.tls_key)
        found = x509.load_pem_x509_certificate(settings.tls_cert.read_bytes())
    except (UsageError, OSError, ValueError) as problem:
        yield Verdict("certificate", Level.ERROR, str(problem))
        return
    left = found.not_valid_after_utc - datetime.now(UTC)
    if left < timedelta():
        yield Verdict("certificate", Level.ERROR, f"{settings.tls_cert} ended on {found.not_valid_after_utc:%Y-%m-%d}")
    elif left < ENDS_SOON:
        yield Verdict("certificate", Level.WARNING, f"{settings.tls_cert} ends on {found.not_valid_after_utc:%Y-%m-%d}")
    host = urlsplit(settings.base_url).hostname or ""
    if not _names(found, host):
        yield Verdict("certificate", Level.WARNING, f"{settings.tls_cert} does not name {host}, which clients ask for")
    elif left >= ENDS_SOON:
        yield Verdict("certificate", Level.OK, f"names {host} and is good until {found.not_valid_after_utc:%Y-%m-%d}")


def _names(certificate: x509.Certificate, host: str) -> bool:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    wildcard = "*." + host.partition(".")[2]
    known = {str(name).lower() for name in names.get_values_for_type(x509.DNSName)}
    known |= {str(name) for name in names.get_values_for_type(x509.IPAddress)}
    return host.lower() in known or wildcard.lower() in known


def _database(settings: Settings) -> Iterator[Verdict]:
    if settings.database_url is None and not settings.control_db.exists():
        yield Verdict("database", Level.WARNING, "there is no database yet; serve makes it")
        return
    control = open_control(settings)  # raises for a schema that this release must leave alone
    try:
        installation.refuse_strangers(installation.known(control), installation.beside_files(settings), settings)
    finally:
        control.close()
    if settings.database_url is not None:
        parts = urlsplit(settings.database_url)
        mode = (parse_qs(parts.query).get("sslmode") or ["prefer"])[0]
        if parts.hostname and not safety.loopback(parts.hostname) and mode not in {"verify-full", "verify-ca"}:
            yield Verdict(
                "database",
                Level.WARNING,
                f"database_url has sslmode {mode}: add sslmode=verify-full, or be listened to",
            )
    yield Verdict("database", Level.OK, "can be used and has the schema of this release")


_LOST = "put it back, or give the providers their secrets again"


def _stored(settings: Settings) -> Mapping[str, int]:
    """How many secrets lie in the database under which key; what is wrong with the database is told elsewhere."""
    if settings.database_url is None and not settings.control_db.exists():
        return {}
    try:
        control = open_control(settings)
    except SchoolsyncError:
        return {}
    try:
        return stored(control)
    finally:
        control.close()


def _secrets(settings: Settings) -> Iterator[Verdict]:
    inside = settings.secrets_key is None and settings.secrets_key_file is None
    path = settings.secrets_key_file or settings.keys / "secrets.key"
    there = _stored(settings)
    if settings.secrets_key is None and not path.exists():
        if not inside:
            yield Verdict("secrets", Level.ERROR, f"the key file {path} is not there")
        elif there:
            yield Verdict("secrets", Level.ERROR, f"secrets are stored, and their key {path} is not there: {_LOST}")
        else:
            yield Verdict("secrets", Level.OK, "no secret is stored yet")
        return
    known = {name for name, _ in Vault(settings).ring().keys}
    if lost := sum(count for name, count in there.items() if name not in known):
        yield Verdict("secrets", Level.ERROR, f"{lost} stored secrets are encrypted with another key: {_LOST}")
        return
    where = "the environment" if settings.secrets_key is not None else str(path)
    hint = "; a copy of the data directory holds key and secrets together" if inside else ""
    yield Verdict("secrets", Level.OK, f"the key comes from {where}{hint}")


def _issuers(settings: Settings) -> Iterator[Verdict]:
    path = trusted.find(settings.issuers, settings.data_dir)
    if path is None:
        if not settings.built_in_issuer:
            yield Verdict(
                "issuers", Level.ERROR, "no issuer is trusted: built_in_issuer is off and there is no issuers file"
            )
        else:
            yield Verdict("issuers", Level.OK, "the built-in issuer alone")
        return
    policy = egress.Policy.of(settings.egress_allow)
    with ThreadPoolExecutor(1) as pool:
        for entry in trusted.read(path):
            if trusted.ANY in entry.tenants and not entry.apps:
                yield Verdict(
                    "issuers",
                    Level.WARNING,
                    f"{entry.name} lets every tenant's every application in: list tenants or apps",
                )
            for version in VERSIONS[entry.kind]:
                keys = IssuerKeys(entry, version, policy=policy, folder=settings.keys / "issuers", pool=pool)
                try:
                    keys.check()
                except SchoolsyncError as problem:
                    yield Verdict("issuers", Level.ERROR, f"{entry.name}: {problem}")
                    break
            else:
                yield Verdict("issuers", Level.OK, f"{entry.name} answers and publishes keys")
    if settings.built_in_issuer and not safety.loopback(settings.host):
        yield Verdict(
            "issuers",
            Level.WARNING,
            "the built-in issuer is on beside others: switch built_in_issuer off if nobody uses it",
        )


CHECKS: dict[str, Check] = {
    "settings": _combinations,
    "data directory": _folder,
    "permissions": _permissions,
    "certificate": _certificate,
    "database": _database,
    "storage": _storage,
    "secrets": _secrets,
    "issuers": _issuers,
}


def worst(verdicts: list[Verdict]) -> Level:
    """The worst level among verdicts."""
    order = [Level.OK, Level.WARNING, Level.ERROR]
    return max((verdict.level for verdict in verdicts), key=order.index, default=Level.OK)
