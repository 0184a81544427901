"""`schoolsync doctor`: prints what `serving.doctor` found."""

from __future__ import annotations

import json

from schoolsync.serving.doctor import examine, worst
from schoolsync.settings import Settings
from schoolsync.verdicts import Level


def run(settings: Settings, *, as_json: bool) -> int:
    """Print the verdicts; 1 when one of them is an error."""
    verdicts = examine(settings)
    if as_json:
        shown = [{"check": verdict.check, "level": verdict.level, "message": verdict.sentence} for verdict in verdicts]
        print(json.dumps(shown, indent=2))
    else:
        for verdict in verdicts:
            print(f"{verdict.level:<8} {verdict.check}: {verdict.sentence}")
    return 1 if worst(verdicts) is Level.ERROR else 0
