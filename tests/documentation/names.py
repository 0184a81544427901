"""What the program really has, for tests of files that name it."""

from __future__ import annotations

from docs.site import reference


def known_commands() -> set[str]:
    """Every command as it is typed, without the program's name."""
    return {name.partition(" ")[2] for name, _ in reference.commands()}
