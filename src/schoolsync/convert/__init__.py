"""Writing a canonical roster in another format, and saying what that format cannot hold.

Works on the tables of a roster engine that a source has filled; set by set, whatever the size. Rosters are data: values
are written as they are, formulas and all, because the program that reads them must find what was there.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Protocol

from schoolsync.convert import oneroster, sds_v1, sds_v2
from schoolsync.convert.unheld import Unheld, unheld
from schoolsync.convert.writing import Target, keep_passwords, prepare, write

__all__ = ["TARGETS", "Target", "Unheld", "keep_passwords", "prepare", "unheld", "write"]


class Make(Protocol):
    """How a target is made."""

    def __call__(self, *, passwords: bool) -> Target:
        """The target, with or without a place for passwords that were kept."""


TARGETS: Mapping[str, Make] = {
    "sds-v1": sds_v1.target,
    "sds-v2.1": sds_v2.target,
    "oneroster-1.1": partial(oneroster.target, "1.1"),
    "oneroster-1.2": partial(oneroster.target, "1.2"),
}
