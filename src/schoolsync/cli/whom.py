"""Whom a command turns to that works on this machine's databases or asks a server: what was typed and set decides."""

from __future__ import annotations

import os
from pathlib import Path


def asks(server: str | None, user: str | None, data_dir: Path | None) -> bool:
    """Whether a server is asked, and not the databases of this machine."""
    if server is not None or user is not None:
        return True
    if data_dir is not None or "SCHOOLSYNC_DATA_DIR" in os.environ:
        return False
    if os.environ.get("SCHOOLSYNC_SERVER") or os.environ.get("SCHOOLSYNC_TOKEN"):
        return True
    from schoolsync.cli import contexts

    return contexts.chosen(None) is not None
