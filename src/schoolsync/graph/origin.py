"""Under which URL a client sees this server: links and contexts are built on it.

The configured public URL wins; then what a trusted proxy forwards; then the request's own scheme and host. Forwarded
headers of anybody else are ignored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from schoolsync.errors import UsageError
from schoolsync.settings import Settings

_HOST = re.compile(r"(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?", re.IGNORECASE | re.ASCII)
_DEFAULT_PORTS = {"http": "80", "https": "443"}


class Origin:
    """Finds the public base URL of a request."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._proxies: list[IPv4Network | IPv6Network] = []
        for address in settings.trusted_proxies:
            try:
                self._proxies.append(ip_network(address, strict=False))
            except ValueError as problem:
                raise UsageError(
                    f"The setting trusted_proxies names “{address}”, which is no address or network."
                ) from problem

    def of(self, *, scheme: str, client: str | None, headers: Mapping[str, str]) -> str:
        """Scheme, host and port without a trailing slash; `client` is the address the request came from."""
        if self._settings.public_url:
            return self._settings.base_url
        host = headers.get("host", "")
        if self._trusts(client):
            scheme = _first(headers.get("x-forwarded-proto")).lower() or scheme
            host = _first(headers.get("x-forwarded-host")) or host
            port = _first(headers.get("x-forwarded-port"))
            bare = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
            if port.isdecimal():
                host = bare if _DEFAULT_PORTS.get(scheme) == port else f"{bare}:{port}"
        return _base(scheme, host) or self._settings.base_url

    def _trusts(self, client: str | None) -> bool:
        if not self._proxies or client is None:
            return False
        try:
            address = ip_address(client)
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)  # ::ffff:10.0.0.1 is 10.0.0.1
        return any((mapped or address) in network for network in self._proxies)


@lru_cache(256)
def _base(scheme: str, host: str) -> str | None:
    """The base URL of a host, or None for what is none."""
    return f"{scheme}://{host}" if scheme in _DEFAULT_PORTS and _HOST.fullmatch(host) else None


def _first(header: str | None) -> str:
    return (header or "").partition(",")[0].strip()
