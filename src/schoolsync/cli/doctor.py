"""`schoolsync doctor`: prints what `serving.doctor` found."""

from __future__ import annotations

from schoolsync.cli.answers import tell
from schoolsync.serving.doctor import examine, worst
from schoolsync.settings import Settings
from schoolsync.verdicts import Level


def run(settings: Settings) -> int:
    """Print the verdicts; 1 when one of them is an error."""
    verdicts = examine(settings)
    for one in verdicts:
        tell(
            f"{one.level:<8} {one.check}: {one.sentence}", check=one.check, level=one.level.value, message=one.sentence
        )
    return 1 if worst(verdicts) is Level.ERROR else 0
