"""How commands put things into words. Light to import: commands that ask a server load no database and no engine."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Seconds in words."""
    for size, word in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {word}"
    return f"{seconds:.0f} s"


def size(octets: float) -> str:
    """Bytes in words."""
    for unit, word in ((1024**3, "GiB"), (1024**2, "MiB"), (1024, "KiB")):
        if octets >= unit:
            return f"{octets / unit:.1f} {word}"
    return f"{octets:.0f} B"
