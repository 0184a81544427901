"""`schoolsync doctor`: prints what `serving.doctor` found, here or at a server."""

from __future__ import annotations

from collections.abc import Iterable

from schoolsync.cli.answers import tell
from schoolsync.cli.remote import Remote, Whereto
from schoolsync.settings import Settings
from schoolsync.verdicts import Level


def run(settings: Settings) -> int:
    """Look at this installation and print the verdicts; 1 when one of them is an error."""
    from schoolsync.serving.doctor import examine

    return _tell((one.check, one.level.value, one.sentence) for one in examine(settings))


def served(whereto: Whereto) -> int:
    """The same of a server, which looks at itself."""
    found = Remote(whereto).of_the_tenant("GET", "/system/doctor")["value"]
    return _tell((one["check"], one["level"], one["message"]) for one in found)


def _tell(verdicts: Iterable[tuple[str, str, str]]) -> int:
    wrong = False
    for check, level, sentence in verdicts:
        wrong = wrong or level == Level.ERROR.value
        tell(f"{level:<8} {check}: {sentence}", check=check, level=level, message=sentence)
    return 1 if wrong else 0
