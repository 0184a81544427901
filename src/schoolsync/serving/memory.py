"""The API process of a server in memory: what `serving.api` is, with the worker inside.

When a roster is to be there at once, its engine is started before anything else, and its run is made while what answers
requests is still being loaded: the three get ready side by side.
"""

from __future__ import annotations

import sys

from schoolsync.loading import load
from schoolsync.runs import lifeline
from schoolsync.runs.engines import Engines
from schoolsync.runs.processes import from_line, run

LONGEST = 5.0
"""Seconds that a roster on its way is waited for, before what answers requests is loaded."""


def main() -> int:
    """Serve until the supervisor goes or asks for the end."""
    said = lifeline.lines()
    settings = from_line(next(said))
    engines = Engines(spares=0)  # a server that only answers stays small
    if settings.seed_roster is not None:
        engines.warm_up()
    inside = load("schoolsync.runs.inside")
    process = load("schoolsync.serving.process").begin(settings, said)
    services = process.services
    inside.start(
        settings=settings,
        control=services.control,
        uploads=services.uploads,
        runs=services.runs,
        engines=engines,
        dial=process.dial,
        clock=services.clock,
        new_id=services.new_id,
    )
    if process.sent is not None:  # what is loaded next would be in its way
        process.sent.wait(LONGEST)
    answer: int = load("schoolsync.serving.api").serve(process, engines)
    return answer


if __name__ == "__main__":
    sys.exit(run(main))
