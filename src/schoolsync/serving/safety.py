"""Settings that are each allowed and must not stand together: `serve` refuses them, `doctor` explains them.

Pure: looks at settings alone. Standard library, because the supervisor asks it before anything is started.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from urllib.parse import urlsplit

from schoolsync.errors import UsageError
from schoolsync.settings import Settings


def refusals(settings: Settings) -> Iterator[tuple[str, str]]:
    """Name and sentence of every combination that must not be served."""
    outside = not loopback(settings.host)
    public = urlsplit(settings.public_url or "")
    if outside and not settings.secure and not settings.plain_http and not _behind_tls(settings):
        yield (
            "plain-http",
            f"host {settings.host} would be served without TLS: tokens and children's data could be read on their way. "
            "Use tls or tls_cert; behind a proxy that speaks TLS set public_url (https://…) and trusted_proxies; or "
            "set plain_http, if this network is one where nobody listens.",
        )
    if public.scheme == "http" and not loopback(public.hostname or "") and not settings.plain_http:
        yield "public-url", "public_url begins with http: clients would send their tokens in clear. Use https."
    if settings.faults and outside:
        yield "faults", f"faults are for tests on one machine: they must not be served on {settings.host}."
    if settings.faults and settings.database_url is not None:
        yield "faults-shared", "faults are for one machine: they must not be served with database_url."
    if settings.memory and settings.database_url is not None:
        yield "memory-shared", "memory and database_url exclude each other: what is in PostgreSQL stays there."
    for entry in settings.trusted_proxies:
        try:
            network = ipaddress.ip_network(entry, strict=False)
        except ValueError:
            continue  # told elsewhere
        if network.prefixlen == 0:
            yield "proxies", f"trusted_proxies {entry} believes everybody's X-Forwarded headers: name your own proxies."
    for entry in settings.egress_allow:
        try:
            wide = ipaddress.ip_network(entry, strict=False)
        except ValueError:
            continue  # a host's name
        if wide.prefixlen == 0:
            yield "egress", f"egress_allow {entry} opens the whole inside, metadata services too: name what is needed."


def check(settings: Settings) -> None:
    """Raise UsageError with the first combination that must not be served."""
    for _, sentence in refusals(settings):
        raise UsageError(sentence[0].upper() + sentence[1:])


def _behind_tls(settings: Settings) -> bool:
    return bool(settings.trusted_proxies) and (settings.public_url or "").lower().startswith("https://")


def loopback(host: str) -> bool:
    """Whether a host is this machine alone."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
