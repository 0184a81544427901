"""A notice as a signed call of a webhook, after the Standard Webhooks convention: whoever gets it can prove it is ours.

`webhook-signature` is HMAC-SHA256 over id, time and body with the receiver's secret. The address is judged by
the egress policy of the house at every call, the connection goes to the address that was judged, redirects are not
followed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json

from schoolsync.access import egress
from schoolsync.errors import UsageError
from schoolsync.notices.notice import Notice

PREFIX = "whsec_"
LEAST = 24
"""Bytes that a secret must have."""
GONE = 410


class Unwanted(Exception):
    """The receiver says that it wants no more of it."""


def key_of(secret: str, *, called: str = "webhook_secret") -> bytes:
    """The key in a secret such as the setting `webhook_secret`. Raises UsageError for one that is too short."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise UsageError(f"{called} must be base64, with or without whsec_ before it.") from None
    if len(key) < LEAST:
        raise UsageError(f"{called} must be base64 of {LEAST} bytes or more: openssl rand -base64 32 makes one.")
    return key


def signature(key: bytes, *, notice: str, timestamp: int, body: bytes) -> str:
    """What the header `webhook-signature` says."""
    signed = hmac.new(key, f"{notice}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(signed).decode()


def send(notice: Notice, *, url: str, key: bytes, policy: egress.Policy, timestamp: int) -> None:
    """Call the webhook once. Raises Unreachable, Denied, Unwanted."""
    body = json.dumps(notice.body, ensure_ascii=False, separators=(",", ":")).encode()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "schoolsync",
        "webhook-id": notice.id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(key, notice=notice.id, timestamp=timestamp, body=body),
    }
    status = egress.post(url, policy, body, headers=headers)
    if status == GONE:
        raise Unwanted
    if not 200 <= status < 300:
        raise egress.Unreachable(f"The webhook answered {status}.")
