"""What an upload URL proves: which container, until when, for what. Pure; the key comes in as an argument.

The URL has the shape of an Azure container SAS, so that Azure's clients take it as it is. Its signature is ours:
HMAC-SHA256 over the decoded values, in front of it the tenant's number, because the path names only the profile.
Signatures are compared in constant time and belong into no log.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote

from schoolsync import ticks

VERSION = "2015-07-08"
PARAMETERS = ("sv", "sr", "si", "sig", "se", "sp")
_TENANT_BYTES = 4
_PURPOSE = "schoolsync upload 1"


class NotSigned(Exception):
    """The URL proves nothing; the message says why without helping to forge one."""


class Expired(NotSigned):
    """The URL was good once."""


@dataclass(frozen=True, slots=True)
class Access:
    """What a verified URL opens."""

    tenant: int  # tenants.number
    profile: str  # profile id, which is the container's name
    permissions: str  # letters of `sp`


def signed_query(key: bytes, *, tenant: int, profile: str, now: int, expires: int, permissions: str) -> str:
    """The query of a container URL, in the order that Microsoft documents; times in ticks, cut to seconds."""
    issued = ticks.moment(now).strftime("%Y%m%d%H%M%S")
    values = {
        "sv": VERSION,
        "sr": "c",
        "si": f"SharedAccessPolicy_{issued}",
        "se": ticks.text(expires // ticks.PER_SECOND * ticks.PER_SECOND),
        "sp": permissions,
    }
    values["sig"] = _signature(key, tenant=tenant, profile=profile, values=values)
    return "&".join(f"{name}={quote(values[name], safe='')}" for name in PARAMETERS)


def check(key: bytes, *, profile: str, query: Mapping[str, str], now: int) -> Access:
    """What the URL with this container and these decoded parameters opens; raises NotSigned or Expired."""
    values = {name: query.get(name, "") for name in PARAMETERS}
    # A client that decoded "+" as a blank did not change what was signed: base64 has no blanks.
    given = values["sig"].replace(" ", "+")
    try:
        raw = base64.b64decode(given, validate=True)
    except (binascii.Error, ValueError):
        raise NotSigned("The signature is not base64.") from None
    tenant = int.from_bytes(raw[:_TENANT_BYTES], "big")
    if not hmac.compare_digest(given, _signature(key, tenant=tenant, profile=profile, values=values)):
        raise NotSigned("Signature did not match.")
    expires = ticks.parse(values["se"])
    if now >= expires:
        raise Expired(f"Signature not valid in the specified time frame: Expiry [{values['se']}].")
    return Access(tenant, profile, values["sp"])


def parameters(query_string: bytes) -> dict[str, str]:
    """The decoded parameters of a query; of a name that comes twice, nothing is believed.

    A raw `+` stays a plus: some clients decode a URL and send it on as it is, and base64 is full of them.
    """
    found: dict[str, str] = {}
    twice: set[str] = set()
    for part in query_string.decode("latin-1").split("&"):
        name, _, value = part.partition("=")
        name = unquote(name).lower()
        if name in found:
            twice.add(name)
        found[name] = unquote(value)
    return {name: value for name, value in found.items() if name and name not in twice}


def _signature(key: bytes, *, tenant: int, profile: str, values: Mapping[str, str]) -> str:
    signed = "\n".join(
        (_PURPOSE, str(tenant), profile, *(values[name] for name in PARAMETERS if name != "sig"))
    ).encode()
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return base64.b64encode(tenant.to_bytes(_TENANT_BYTES, "big") + digest).decode()
