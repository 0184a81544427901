"""Traces of requests and runs, for whoever collects them with OpenTelemetry; off unless `traces_endpoint` is set.

A span knows operations, ids, times and results: never an address, a query, a name or anything else of a person. All
stages of a run are one trace, whose id is the run's id without its dashes, whichever process or machine did them. The
libraries are those of the extra `schoolsync[traces]`, loaded only when they are asked for.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from schoolsync import __version__
from schoolsync.errors import UsageError
from schoolsync.settings import Settings

ROUTE = "schoolsync.route"
"""Where a face says in the scope of a request which operation it is."""
SOON = 1000
"""Milliseconds that spans wait for company before they are sent."""

_tracer: Any = None
_provider: Any = None


def check(settings: Settings) -> None:
    """Raise UsageError unless the libraries are there that the settings need."""
    if settings.traces_endpoint is None:
        return
    try:
        import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    except ImportError:
        raise UsageError("traces_endpoint needs more libraries: pip install “schoolsync[traces]”.") from None


def configure(settings: Settings, part: str) -> None:
    """Send the traces of this process from now on, when the settings ask for it; `part` is api or worker."""
    global _tracer, _provider
    if settings.traces_endpoint is None:
        return
    exporter = import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    resources = import_module("opentelemetry.sdk.resources")
    sdk = import_module("opentelemetry.sdk.trace")
    export = import_module("opentelemetry.sdk.trace.export")
    named = {"service.name": f"schoolsync-{part}", "service.version": __version__}
    _provider = sdk.TracerProvider(resource=resources.Resource(named))
    url = f"{settings.traces_endpoint.rstrip('/')}/v1/traces"
    _provider.add_span_processor(
        export.BatchSpanProcessor(exporter.OTLPSpanExporter(endpoint=url), schedule_delay_millis=SOON)
    )
    _tracer = _provider.get_tracer("schoolsync", __version__)


def flush() -> None:
    """Send what still waits, for two seconds at most: before a process ends."""
    if _provider is not None:
        _provider.force_flush(2000)


@contextmanager
def stage(name: str, *, run: str, **attributes: str | int | None) -> Iterator[None]:
    """A stage of a run, or one batch of it. An exception is told by its class alone."""
    if _tracer is None:
        yield
        return
    api = import_module("opentelemetry.trace")
    number = uuid.UUID(run).int
    whole = api.SpanContext(
        trace_id=number, span_id=(number & 0xFFFFFFFFFFFFFFFF) or 1, is_remote=True, trace_flags=api.TraceFlags(1)
    )
    told = {f"schoolsync.{key}": value for key, value in {"run": run, **attributes}.items() if value is not None}
    context = api.set_span_in_context(api.NonRecordingSpan(whole))
    with _tracer.start_as_current_span(
        f"run {name}", context=context, attributes=told, record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            yield
        except Exception as problem:
            span.set_status(api.Status(api.StatusCode.ERROR, type(problem).__name__))
            raise


class Traced:
    """An ASGI application whose requests are spans. Their names are the operations of the tables of routes."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or _tracer is None:
            await self._app(scope, receive, send)
            return
        api = import_module("opentelemetry.trace")
        propagate = import_module("opentelemetry.propagate")
        method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
        given = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        context = propagate.extract({name: given[name] for name in ("traceparent", "tracestate") if name in given})
        with _tracer.start_as_current_span(
            method, context=context, kind=api.SpanKind.SERVER, record_exception=False, set_status_on_exception=False
        ) as span:

            async def sent(message: Mapping[str, Any]) -> None:
                if message["type"] == "http.response.start":
                    _answered(span, message, api)
                await send(message)

            try:
                await self._app(scope, receive, sent)
            finally:
                route = scope.get(ROUTE) or _area(scope)
                span.update_name(f"{method} {route}")
                span.set_attribute("http.request.method", method)
                span.set_attribute("http.route", route)


def _answered(span: Any, message: Mapping[str, Any], api: Any) -> None:
    span.set_attribute("http.response.status_code", message["status"])
    if message["status"] >= 500:
        span.set_status(api.Status(api.StatusCode.ERROR))
    for name, value in message.get("headers", ()):
        if name.lower() == b"request-id":
            span.set_attribute("schoolsync.request_id", value.decode("latin-1"))


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_AREAS = ("uploads", "console", "schoolsync", "healthz", "v1.0", "beta")


def _area(scope: Any) -> str:
    """The part of the house that a request without an operation went to: a path may have names in it, its area not."""
    first = str(scope["path"]).lstrip("/").partition("/")[0].lower()
    return f"/{first}" if first in _AREAS else "/other"
