"""One notice, on its way to one channel. A value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What is told of one change of one profile."""

    tenant: int
    id: str  # the same at every try
    channel: str
    body: dict[str, Any]  # JSON: values of any kind
    tries: int  # this one included
    made: int  # ticks
