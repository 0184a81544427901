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
from schoolsync.serving.children import SEEDED

LONGEST = 5.0
"""Seconds that a roster on its way is waited for, before what answers requests is loaded."""
SOON = 0.5
"""The same for its engine, which then works by itself."""
TURN = 0.0005
"""Seconds after which one thread lets another go on until all is loaded: several get a roster on its way at once."""


def main() -> int:
    """Serve until the supervisor goes or asks for the end. Everything is loaded before the settings come."""
    said = lifeline.lines()
    engines = Engines(spares=0)  # a server that only answers stays small
    if SEEDED in sys.argv:
        engines.warm_up()
    inside, process_of = load("schoolsync.runs.inside"), load("schoolsync.serving.process")
    told = next(said, None)
    if told is None:  # started ahead, and not needed
        return 0
    settings = from_line(told)
    usual = sys.getswitchinterval()
    if settings.seed_roster is not None:
        engines.warm_up()
        sys.setswitchinterval(TURN)
    process = process_of.begin(settings, said)
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
        engines.asked.wait(SOON)
    api = load("schoolsync.serving.api")
    sys.setswitchinterval(usual)
    answer: int = api.serve(process, engines)
    return answer


if __name__ == "__main__":
    sys.exit(run(main))
