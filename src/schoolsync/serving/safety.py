"""Settings that are each allowed and must not stand together: `serve` refuses them, `doctor` explains them.

Pure: looks at settings alone. Standard library, because the supervisor asks it before anything is started.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from schoolsync.errors import UsageError
from schoolsync.settings import Settings

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_HOST = re.compile(r"[\w-]+(?:\.[\w-]+)*\.?")


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
    if (wide := _everything(settings.trusted_proxies)) is not None:
        yield "proxies", f"trusted_proxies {wide} believes everybody's X-Forwarded headers: name your own proxies."
    if (wide := _everything(settings.egress_allow)) is not None:
        yield "egress", f"egress_allow {wide} opens the whole inside, metadata services too: name what is needed."
    for entry in settings.egress_allow:
        if _network(entry) is None and not _HOST.fullmatch(entry):
            yield (
                "egress",
                f"egress_allow {entry} is no host, address or network: write sis.district.local or 10.20.0.0/16.",
            )


def check(settings: Settings) -> None:
    """Raise UsageError with the first combination that must not be served."""
    for _, sentence in refusals(settings):
        raise UsageError(sentence[0].upper() + sentence[1:])


def _network(entry: str) -> Network | None:
    try:
        return ipaddress.ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        return None


def _everything(entries: Iterable[str]) -> str | None:
    """Those of the entries that contain all there is, also when it takes several of them."""
    networks = [network for entry in entries if (network := _network(entry)) is not None]
    four = [network for network in networks if isinstance(network, ipaddress.IPv4Network)]
    six = [network for network in networks if isinstance(network, ipaddress.IPv6Network)]
    if any(network.prefixlen == 0 for network in ipaddress.collapse_addresses(four)):
        return " ".join(map(str, four))
    if any(network.prefixlen == 0 for network in ipaddress.collapse_addresses(six)):
        return " ".join(map(str, six))
    return None


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
