"""Our own API with the services that it asks, put together."""

from __future__ import annotations

from collections.abc import Callable

from schoolsync.api import call as api
from schoolsync.api.app import OwnApi
from schoolsync.api.directory_routes import RESTORING
from schoolsync.graph.routes import changing_objects
from schoolsync.runs.change_history import ChangeHistory
from schoolsync.runs.explaining import Explaining
from schoolsync.runs.one import Ones
from schoolsync.runs.plans import Plans
from schoolsync.runs.previews import Previews
from schoolsync.runs.processes import clock, new_id
from schoolsync.runs.readers import Readers
from schoolsync.runs.trying import Trying
from schoolsync.serving.process import Process


def make(process: Process, *, examine: Callable[[], list[tuple[str, str, str]]]) -> OwnApi:
    """Our own API of a process; `examine` yields what `schoolsync doctor` finds."""
    services = process.services
    settings, control, directories = services.settings, services.control, services.directories
    uploads, runs, profiles = services.uploads, services.runs, services.profiles
    readers = Readers(settings)
    plans = Plans(
        control=control, settings=settings, runs=runs, readers=readers, directories=directories, new_id=new_id
    )
    return OwnApi(
        api.Services(
            settings=settings,
            control=control,
            profiles=profiles,
            runs=runs,
            explaining=Explaining(
                control=control,
                settings=settings,
                directories=directories,
                readers=readers,
                uploads=uploads,
                clock=clock,
            ),
            trying=Trying(control=control, settings=settings, readers=readers, directories=directories),
            previews=Previews(control=control, uploads=uploads, runs=runs, new_id=new_id),
            plans=plans,
            changes=ChangeHistory(
                control=control,
                directories=directories,
                plans=plans,
                audit=process.audit,
                operations=(*changing_objects(), *RESTORING),
            ),
            ones=Ones(
                control=control,
                settings=settings,
                runs=runs,
                readers=readers,
                directories=directories,
                uploads=uploads,
            ),
            uploads=uploads,
            readers=readers,
            directories=directories,
            audit=process.audit,
            working=process.worker_ready.is_set,
            examine=examine,
            clock=clock,
            new_id=new_id,
        )
    )
