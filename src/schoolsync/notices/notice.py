"""One notice, on its way to one channel. A value. Light: the API process loads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

WEBHOOK, MAIL = "webhook", "mail"
"""Channels of the installation, which hear of every tenant."""
OWN_WEBHOOK, OWN_MAIL = "tenant-webhook", "tenant-mail"
"""Channels that each tenant sets up for itself (`notices.receivers`)."""
OWN = (OWN_WEBHOOK, OWN_MAIL)
TEST = "test"
"""What is told when somebody tries their receivers; nothing has happened then."""
_APART = frozenset(' ,;:<>"()[]\\')


def is_address(text: str) -> bool:
    """Whether a mail can be sent there, and the text brings no header or second address along."""
    local, at, domain = text.partition("@")
    return bool(at and local and domain) and "@" not in domain and text.isprintable() and not _APART & set(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What is told of one change of one profile."""

    tenant: int
    id: str  # the same at every try
    channel: str
    body: dict[str, Any]  # JSON: values of any kind
    tries: int  # this one included
    made: int  # ticks
