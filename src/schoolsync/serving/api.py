"""The API process: builds the services, serves both APIs, the upload containers and the built-in issuer.

It never loads the roster engine or a bulk driver; it talks to the worker through the control database alone.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

import structlog
from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.http import HTTP1Settings, HTTP2Settings
from granian.server.embed import Server

from schoolsync import traces
from schoolsync.access.tokens import Verifier
from schoolsync.graph.app import Arrival, create_app
from schoolsync.loading import MODELS, without
from schoolsync.runs import lifeline
from schoolsync.runs.engines import Engines
from schoolsync.runs.processes import READY, clock, from_line, real_clock, run
from schoolsync.serving import connections
from schoolsync.serving.process import Process, begin, say
from schoolsync.serving.readiness import Readiness
from schoolsync.settings import Settings
from schoolsync.store.control import Control
from schoolsync.uploads import blobs

HEADERS_MAX = 512 * 1024
"""More than a request may have (`graph.requests`), so that too much gets an answer of ours."""
GRACE = 5.0
"""Seconds that requests at work get when the server is asked to end."""

LIVE = re.compile(r"/console/.*/live")
"""What the console follows live."""

log = structlog.get_logger()


def build(process: Process, engines: Engines | None = None) -> Any:  # an ASGI application
    """Everything one API process serves, as one ASGI application; with `engines`, the worker is inside."""
    services, dial = process.services, process.dial
    settings, control = services.settings, services.control
    if not settings.memory:  # what is there for long loads the grammar of filters before anybody waits for it
        import_module("schoolsync.graph.filters")
    own = Later(partial(_own_api, process))
    issuer = Later(partial(_issuer, process))
    if not settings.memory:
        own.now()
        issuer.now()
    pages: Pages | None = Pages(own.now, control=control, settings=settings) if settings.console else None
    # Tokens live in real time, whatever the fault dial makes of the clock.
    verifier = Verifier(control=control, settings=settings, clock=real_clock)
    with without(*MODELS):
        front = create_app(
            services,
            verify=verifier.verify if dial is None else lambda token, _now: verifier.verify(token),
            blobs=blobs.app(services.uploads),
            issuer=issuer,
            ready=Readiness(control, settings, worker=process.worker_ready.is_set, ending=process.ending.is_set).check,
            own=own,
            console=pages,
        )
    app: Any = front
    if dial is not None:
        from schoolsync.serving.faults import Faults  # loaded by those alone who ask for them

        app = Faults(front, front, verify=verifier.verify, dial=dial, clock=clock, real_clock=real_clock)
    return app if engines is None else Warming(app, engines)


def main() -> int:
    """Serve until the supervisor goes or asks for the end."""
    said = lifeline.lines()
    return serve(begin(from_line(next(said)), said))


def serve(process: Process, engines: Engines | None = None) -> int:
    """Serve until the supervisor goes or asks for the end."""
    settings = process.services.settings
    app = build(process, engines)
    cert, key = _certificate(settings)
    asyncio.run(_serve(settings, app, cert, key, process.ending))
    return 0


def _own_api(process: Process) -> Any:  # an ASGI application, and what the console asks
    from schoolsync.serving import own

    return own.make(process, examine=partial(_examined, process.services.settings))


def _issuer(process: Process) -> Any:  # an ASGI application
    from schoolsync.access import issuer_http

    services = process.services
    return issuer_http.app(
        control=services.control,
        settings=services.settings,
        clock=real_clock,
        directories=services.directories,
        languages=_languages,
    )


def _languages(accept: str | None) -> tuple[str, Callable[[str], str]]:
    """Those of the page where people sign in, which are the console's; loaded when somebody looks at it."""
    from schoolsync.console import catalogue

    return catalogue.page_beside(accept)


class Later:
    """A part of the application, loaded when somebody first asks for it: a server in memory is to be there at once."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._made: Any = None
        self._making = threading.Lock()

    def now(self) -> Any:
        """The part itself."""
        with self._making:
            if self._made is None:
                self._made = self._make()
            return self._made

    async def __call__(self, *call: Any) -> None:
        await (self._made or await asyncio.to_thread(self.now))(*call)


class Pages:
    """The console, loaded when somebody first comes: templates and catalogues cost a server nothing before."""

    def __init__(self, own: Callable[[], Any], *, control: Control, settings: Settings) -> None:
        self._own = own
        self._parts: dict[str, Any] = {"control": control, "settings": settings}
        self._made: Any = None
        self._making = asyncio.Lock()

    async def __call__(self, scope: Any, receive: Any, send: Any, arrival: Arrival) -> None:
        async with self._making:
            if self._made is None:
                self._made = await asyncio.to_thread(self._make)
        await self._made(scope, receive, send, arrival)

    def _make(self) -> Any:
        from schoolsync.console.app import Console

        return Console(own=self._own(), **self._parts)


class Warming:
    """Has an engine started when somebody is about to need it; a server in memory keeps none at other times."""

    def __init__(self, app: Any, engines: Engines) -> None:
        self._app = app
        self._engines = engines

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope.get("path", "").lower()
        needed = any(part in path for part in ("synchronizationprofiles", "/schoolsync/", "/console/"))
        if needed and scope["method"] not in {"GET", "HEAD"}:
            await asyncio.to_thread(self._engines.warm_up)
        await self._app(scope, receive, send)


def _examined(settings: Settings) -> list[tuple[str, str, str]]:
    """What `schoolsync doctor` finds; loaded when somebody asks, because a server starts without it."""
    from schoolsync.serving import doctor

    return [(one.check, str(one.level), one.sentence) for one in doctor.examine(settings)]


class AtWork:
    """Counts the requests that are being answered."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.count = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope.get("path", "").endswith("/live") and LIVE.fullmatch(scope["path"]):
            await self._app(scope, receive, send)  # it has no end: nobody waits for it
            return
        self.count += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self.count -= 1


def _leave(at_work: AtWork) -> None:
    """End the process when nothing is being answered any more, or when the time for that is over.

    Threads at work hold nothing that is not crash-safe.
    """
    deadline = time.monotonic() + GRACE
    while at_work.count and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.1)  # what was just answered is still being sent
    traces.flush()
    os._exit(0)


async def _serve(settings: Settings, app: Any, cert: Path | None, key: Path | None, ending: threading.Event) -> None:
    traced = app if settings.traces_endpoint is None else traces.Traced(app)
    at_work = AtWork(connections.paced(traced, patience=settings.body_seconds))
    server = Server(
        at_work,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.auto,
        http1_settings=HTTP1Settings(header_read_timeout=30_000, max_buffer_size=HEADERS_MAX),
        http2_settings=HTTP2Settings(max_headers_size=HEADERS_MAX),
        websockets=False,
        backlog=connections.BACKLOG,
        backpressure=connections.room(),
        log_enabled=False,
        ssl_cert=cert,
        ssl_key=key,
        # Windows PowerShell 5.1 knows nothing newer than 1.2
        ssl_protocol_min=SSLProtocols.tls13 if settings.tls_min == "1.3" else SSLProtocols.tls12,
    )

    def end(_number: int, _frame: FrameType | None) -> None:
        threading.Thread(target=ending.set, daemon=True).start()  # its lock may be held by whom this interrupts
        server.stop()  # type: ignore[no-untyped-call]  # no new connections; idle ones would keep it waiting
        threading.Thread(target=_leave, args=(at_work,), daemon=True).start()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor hears Ctrl-C and tells us
    ready = asyncio.get_running_loop().call_soon(_say_ready)
    try:
        await server.serve()
    finally:
        ready.cancel()
    _leave(at_work)


def _say_ready() -> None:
    say(READY)


def _certificate(settings: Settings) -> tuple[Path | None, Path | None]:
    if not settings.tls and (settings.tls_cert is None or settings.tls_key is None):
        return None, None
    from schoolsync.access import certificates  # loaded by those alone who need one

    if settings.tls_cert is not None and settings.tls_key is not None:
        certificates.check(settings.tls_cert, settings.tls_key)
        return settings.tls_cert, settings.tls_key
    hosts = {settings.host, "localhost", "127.0.0.1"}
    if settings.public_url:
        hosts.add(settings.public_url.split("://", 1)[1].partition("/")[0].rpartition("@")[2].rsplit(":", 1)[0])
    return certificates.ensure(settings.data_dir / "tls", sorted(hosts))


if __name__ == "__main__":
    sys.exit(run(main))
