"""What an API process is before it has any face: its settings, its services, and how it hears the supervisor.

It is there before what answers requests has been loaded; a server in memory makes runs with it meanwhile.
"""

from __future__ import annotations

import shutil
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from schoolsync import logs, traces
from schoolsync.access import vault
from schoolsync.access.audit import Audit
from schoolsync.graph.call import Services
from schoolsync.profiles.service import Profiles
from schoolsync.runs import lifeline
from schoolsync.runs.dial import Dial
from schoolsync.runs.processes import NOT_SEEDED, SEEDED, WORKER_GONE, WORKER_READY, clock, follow, make_folders, new_id
from schoolsync.runs.service import Runs
from schoolsync.settings import Settings
from schoolsync.store import installation
from schoolsync.store.control import open_control
from schoolsync.store.directories import Directories
from schoolsync.uploads.service import Uploads


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One API process."""

    services: Services
    audit: Audit
    dial: Dial | None  # the fault dial, where the settings have one
    worker_ready: threading.Event  # somebody makes runs
    ending: threading.Event  # nothing new is begun
    sent: threading.Event | None  # of the roster that the server is filled with, nothing but its run is left


def begin(settings: Settings, said: Iterator[bytes]) -> Process:
    """Begin the process; it ends by itself when `said` does.

    With the setting `seed_roster` a thread fills it from now on. Raises WorldError or Refusal when what it needs cannot
    be had.
    """
    worker_ready, ending = threading.Event(), threading.Event()

    def heard(line: bytes) -> None:
        if line == WORKER_READY:
            worker_ready.set()
        elif line == WORKER_GONE:
            worker_ready.clear()

    lifeline.watch(said, heard, ending=partial(_forget, settings))
    logs.configure(settings.log_level, "api")
    traces.configure(settings, "api")
    make_folders(settings)
    dial = follow(settings)
    services = _services(settings)
    audit = Audit(services.control, services.directories, settings)
    sent = None
    if settings.seed_roster is not None:
        from schoolsync.serving import seed  # loaded by those alone who are seeded

        sent = seed.begin(services, audit, lambda there: say(SEEDED if there else NOT_SEEDED))
    return Process(services=services, audit=audit, dial=dial, worker_ready=worker_ready, ending=ending, sent=sent)


def say(line: bytes) -> None:
    """Tell the supervisor something."""
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


def _services(settings: Settings) -> Services:
    control = open_control(settings)
    if not settings.memory:
        installation.join(control, settings, new_id)
        vault.must_be_there(control, settings)
    uploads = Uploads(control=control, settings=settings, clock=clock, new_id=new_id)
    runs = Runs(control=control, settings=settings, uploads=uploads, clock=clock, new_id=new_id)
    return Services(
        settings=settings,
        control=control,
        directories=Directories(settings),
        profiles=Profiles(control=control, runs=runs, settings=settings, clock=clock, new_id=new_id),
        runs=runs,
        uploads=uploads,
        clock=clock,
        new_id=new_id,
    )


def _forget(settings: Settings) -> None:
    """What was kept in memory goes with the server, also when that was killed."""
    if settings.memory:
        shutil.rmtree(settings.data_dir, ignore_errors=True)
