"""The HTTP face: one ASGI application for Graph, the upload containers, the built-in issuer and `/healthz`.

In front stands a thin layer that every request passes: it gives the request its id, finds who is asking and which
operation is meant, and puts the same headers on every answer, errors included. Behind it Litestar runs the operations
of `graph.routes`, each under a fixed path; what a client's path looked like is of no concern there.
"""

from __future__ import annotations

import asyncio
import gzip
import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from typing import Any, Literal, cast
from urllib.parse import quote, unquote

import msgspec
from litestar import Litestar, Request, Response
from litestar.exceptions import HTTPException, InternalServerException, LitestarException
from litestar.handlers import ASGIRouteHandler

from schoolsync import traces
from schoolsync.access import audit, permissions
from schoolsync.access.principal import Principal
from schoolsync.access.refusals import Refusals
from schoolsync.access.shared_throttle import Limit, limit
from schoolsync.access.tokens import identify
from schoolsync.errors import Forbidden, Invalid, NotFound, TooLarge
from schoolsync.graph import batch, errors, requests
from schoolsync.graph.answers import (
    JSON_ERROR,
    Message,
    Receive,
    Scope,
    Send,
    Sender,
    answered,
    send_failure,
    send_whole,
)
from schoolsync.graph.call import Call, Services
from schoolsync.graph.errors import BadRequest, MethodNotAllowed
from schoolsync.graph.origin import Origin
from schoolsync.graph.paths import Match, Tree, split
from schoolsync.graph.routes import Area, Route, routes_for
from schoolsync.store import acts

ASGI = Callable[[Scope, Receive, Send], Awaitable[None]]
Verify = Callable[[str | None, int], Principal]
"""Turns an `Authorization` header into the caller, at a moment in ticks. Raises Unauthenticated."""
Own = Callable[[Scope, Receive, Send, "Arrival"], Awaitable[None]]
"""Answers a request of our own API behind this front layer; what it raises becomes an error answer here."""

VERSIONS = {"v1.0": "v1.0", "beta": "beta"}
METHODS = "GET,POST,PATCH,PUT,DELETE,HEAD,OPTIONS"
THREADS = 16
GZIP_MIN = 1400  # bytes: less fits into a packet anyway
GZIP_LEVEL = 4
FOUND_MAX = 1024  # paths whose operation is remembered
MAX_AGE = "86400"  # seconds that a browser may remember a preflight

_ISSUER_MARKS = ("/oauth2/", "/.well-known/", "/discovery/")
OWN = re.compile(r"/+schoolsync(?:/|$)", re.IGNORECASE)
CONSOLE = re.compile(r"/+console(?:/|$)", re.IGNORECASE)
_CLIENT_ID = re.compile(r"[\x21-\x7e]{1,128}")
_HEADER_UNSAFE = re.compile(r"[^\x20-\x7e]")
BATCH = "$batch"
UNITS = "administrativeunits"
_BATCH_HEADERS = frozenset(
    {b"authorization", b"host", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-port", b"x-forwarded-for"}
)
_ARRIVAL = "schoolsync.arrival"  # key in the ASGI scope


def create_app(
    services: Services,
    *,
    verify: Verify,
    blobs: ASGI,
    issuer: ASGI,
    ready: Callable[[], None],
    own: Own | None = None,
    console: Own | None = None,
    routes: Iterable[Route] | None = None,
) -> Front:
    """The whole application.

    `blobs` answers below /uploads, `issuer` the token endpoints; each gets requests as they came in. `ready` raises
    what /healthz answers with when not everything can be served. `own` answers below /schoolsync, `console` below
    /console.
    """
    return Front(services, verify, blobs, issuer, ready, own, console, tuple(routes or routes_for(services.settings)))


@dataclass(slots=True)
class Arrival:
    """What the front layer knows of one request."""

    services: Services
    verify: Verify
    throttle: Limit
    request_id: str
    client_request_id: str
    now: int
    origin: str
    headers: Mapping[str, str]
    directory: bool = False
    # Known once the path and the token were read:
    version: str = ""
    match: Match[Route] | None = None
    principal: Principal | None = None
    # What the audit log says about the request; set where an operation is found that it keeps.
    operation: str | None = None
    object: str = ""
    members: str = ""
    run: batch.Run | None = None  # how a batch runs its requests
    asked: tuple[str, Match[Any]] | None = None  # method with what stands before the path, and the operation's path

    async def identify(self) -> Principal:
        """Find out who is asking. Raises Unauthenticated."""
        self.principal = await identify(self.verify, self.headers.get("authorization"), self.now)
        await self.throttle.admit(self.principal)
        return self.principal

    def act(self) -> audit.Act | None:
        """The request as an entry of the audit log, or None when it is none, or not known yet."""
        if self.operation is None or self.principal is None:
            return None
        return self._act(self.principal, self.operation, self.object)

    def refused(self) -> tuple[Principal, audit.Act] | None:
        """Who asked for what, when a permission was missing for it."""
        if self.asked is None or self.principal is None:
            return None
        method, match = self.asked
        before = method.partition(" ")[2]
        about = before + audit.without_names(match.path, match.keys)
        return self.principal, self._act(self.principal, method + match.template, about)

    def _act(self, principal: Principal, operation: str, about: str) -> audit.Act:
        return audit.of_principal(
            principal, at=self.now, operation=operation, about=about, request=self.request_id, members=self.members
        )

    def failure(self, error: Exception, *, late: bool = False) -> errors.Failure:
        request = errors.Request(request_id=self.request_id, client_request_id=self.client_request_id, now=self.now)
        return errors.failure(
            errors.TooSlow() if late else _ours(error),
            request=request,
            directory=self.directory,
            authorize_url=f"{self.origin}/common/oauth2/authorize",
        )


class Front:
    """The application; an ASGI callable."""

    def __init__(
        self,
        services: Services,
        verify: Verify,
        blobs: ASGI,
        issuer: ASGI,
        ready: Callable[[], None],
        own: Own | None,
        console: Own | None,
        routes: tuple[Route, ...],
    ) -> None:
        self._services = services
        self._verify = verify
        self._blobs = blobs
        self._issuer = issuer
        self._ready = ready
        self._health_thread = ThreadPoolExecutor(1, thread_name_prefix="health")  # never behind slow requests
        self._own = own
        self._console = console
        self._find = lru_cache(FOUND_MAX)(partial(_find, Tree(routes)))
        self._origin = Origin(services.settings)
        self._audit = audit.Audit(services.control, services.directories, services.settings)
        self._refusals = Refusals(self._audit)
        self._throttle = limit(services.settings, services.control)
        self._litestar = _operations(routes, services.settings.body_max_bytes)
        self.items: ASGI = self._answer
        """Answers the requests of a batch, each as if it had come alone."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await cast(ASGI, self._litestar)(scope, receive, send)
            return
        if scope["type"] != "http":
            raise NotImplementedError(f"no {scope['type']} here")
        first = scope["path"].lstrip("/").partition("/")[0].lower()
        if first == "uploads":
            await self._blobs(scope, receive, send)
            return
        if first not in VERSIONS and any(mark in scope["path"].lower() for mark in _ISSUER_MARKS):
            await self._issuer(scope, receive, send)
            return
        await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        arrival = self._arrive(scope)
        pending = self._audit.expect(arrival.act)
        with acts.acting(pending):
            head = scope["method"] == "HEAD"
            await self._answered(scope, receive, Sender(send, arrival, pending, self._refusals, head=head))

    async def refuse(self, scope: Scope, send: Send, error: Exception) -> None:
        """Answer with an error and do nothing else."""
        arrival = self._arrive(scope)
        pending = self._audit.expect(arrival.act)
        sender = Sender(send, arrival, pending, self._refusals, head=scope["method"] == "HEAD")
        await send_failure(sender, arrival.failure(error))

    async def _answered(self, scope: Scope, receive: Receive, sender: Sender) -> None:
        arrival = sender.arrival
        try:
            requests.check_size(scope["path"], scope["query_string"], scope["headers"])
            if scope["method"] == "OPTIONS":
                await self._preflight(arrival, sender)
            elif scope["path"].rstrip("/").lower() == "/healthz":
                await self._health(scope, arrival, sender)
            elif self._own is not None and OWN.match(scope["path"]):
                await self._own(scope, receive, sender, arrival)
            elif self._console is not None and _for_a_browser(scope, arrival):
                await self._console(scope, receive, sender, arrival)
            else:
                await self._enter(scope, arrival)
                await cast(ASGI, self._litestar)(scope, receive, sender)
        except Exception as raised:
            if sender.started:
                raise
            # Litestar believes to have answered; what kept our sender from that is behind its exception.
            behind = raised.__cause__ if type(raised) is LitestarException else None
            error = behind if isinstance(behind, Exception) else raised
            await send_failure(sender, arrival.failure(error, late=bool(scope.get(requests.LATE))))

    def _arrive(self, scope: Scope) -> Arrival:
        headers = requests.headers(scope["headers"])
        request_id = self._services.new_id()
        named = headers.get("client-request-id", "")
        client = scope.get("client")
        return Arrival(
            services=self._services,
            verify=self._verify,
            throttle=self._throttle,
            request_id=request_id,
            client_request_id=named if _CLIENT_ID.fullmatch(named) else request_id,
            now=self._services.clock(),
            origin=self._origin.of(
                scheme=scope.get("scheme", "http"), client=client[0] if client else None, headers=headers
            ),
            headers=headers,
        )

    async def _enter(self, scope: Scope, arrival: Arrival) -> None:
        """Find caller and operation; point the scope at the operation's own path. Raises what Graph would refuse."""
        try:
            place = self._find(scope.get("raw_path") or quote(scope["path"]).encode())
        except Invalid:
            await arrival.identify()  # a stranger learns nothing about paths
            raise
        if place is None:
            await arrival.identify()
            raise NotFound("There is nothing at this address: the API begins with /v1.0 or /beta.")
        match = place.match
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        route = match.routes.get(method)
        arrival.directory = place.directory
        if route is None or not route.public:
            await arrival.identify()
        if route is None:
            methods = [*match.routes, "HEAD"] if "GET" in match.routes else [*match.routes]
            raise MethodNotAllowed((*methods, "OPTIONS"))
        arrival.asked = f"{route.method} ", match
        if not route.public:
            check(cast(Principal, arrival.principal), route)  # before the body is read
        arrival.version, arrival.match = place.version, match
        scope[traces.ROUTE] = f"/{match.template}"
        if route.audited:
            arrival.operation = f"{route.method} {match.template}"
            arrival.object = audit.without_names(match.path, match.keys)
        if match.template == BATCH:
            arrival.run = partial(self._run, dict(scope), place.version)
        scope["method"] = method
        scope["path"] = place.path
        scope["raw_path"] = place.raw_path
        scope["root_path"] = ""
        scope[_ARRIVAL] = arrival

    async def _run(self, outer: Scope, version: str, item: batch.Item) -> batch.Answer:
        """One request of a batch, through the front door with the token and the host of the whole."""
        raw = f"/{version}{item.path}".encode("ascii")
        kept = [(name, value) for name, value in outer["headers"] if name.lower() in _BATCH_HEADERS]
        own = [(name.encode(), value.encode()) for name, value in item.headers.items()]
        scope: Scope = {
            "type": "http",
            "asgi": outer.get("asgi", {"version": "3.0"}),
            "http_version": outer.get("http_version", "1.1"),
            "scheme": outer.get("scheme", "http"),
            "server": outer.get("server"),
            "client": outer.get("client"),
            "root_path": "",
            "method": item.method,
            "path": unquote(raw.decode()),
            "raw_path": raw,
            "query_string": item.query.encode("ascii"),
            "headers": [*kept, *own, (b"content-length", str(len(item.content)).encode())],
            "state": {},
        }
        status, headers, content = 0, dict[str, str](), bytearray()
        waiting = [{"type": "http.request", "body": item.content, "more_body": False}]

        async def receive() -> Message:
            return waiting.pop() if waiting else {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            nonlocal status, headers
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in message["headers"]}
            else:
                content.extend(message.get("body", b""))

        await self.items(scope, receive, send)
        return status, headers, bytes(content)

    async def _preflight(self, arrival: Arrival, send: Send) -> None:
        asked = _HEADER_UNSAFE.sub("", arrival.headers.get("access-control-request-headers", ""))
        headers = {
            "Allow": METHODS,
            "Access-Control-Allow-Methods": METHODS,
            "Access-Control-Allow-Headers": asked or "*",
            "Access-Control-Max-Age": MAX_AGE,
        }
        await send_whole(send, 204, headers, b"")

    async def _health(self, scope: Scope, arrival: Arrival, send: Send) -> None:
        if scope["method"] not in {"GET", "HEAD"}:
            raise MethodNotAllowed(("GET", "HEAD", "OPTIONS"))
        await asyncio.get_running_loop().run_in_executor(self._health_thread, self._ready)
        await send_whole(send, 200, {"Content-Type": JSON_ERROR}, b'{"status":"ready"}')


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a path leads."""

    version: str
    match: Match[Route]
    directory: bool  # it is about schools, classes or people
    path: str  # where Litestar keeps what can be done there
    raw_path: bytes


def _find(tree: Tree[Route], raw_path: bytes) -> _Place | None:
    """The version that a path names, and the resource below it. Raises UnknownSegment."""
    version, *below = split(raw_path) or [""]
    known = VERSIONS.get(version.lower())
    if known is None:
        return None
    if below and below[0].lower() == UNITS:
        below.insert(0, "directory")  # where units were when many scripts were written
    match = tree.find(below)
    path = _fixed_path(match.template)
    directory = any(route.area is Area.DIRECTORY for route in match.routes.values())
    return _Place(known, match, directory, path, path.encode())


def _for_a_browser(scope: Scope, arrival: Arrival) -> bool:
    """Whether the console answers: below its path, and to a browser that was only told the host's name."""
    bare = scope["path"] == "/" and "text/html" in arrival.headers.get("accept", "")
    return bare or CONSOLE.match(scope["path"]) is not None


@cache
def _fixed_path(template: str) -> str:
    """Where Litestar keeps the operations of a template: keys are no part of the look-up."""
    return "/" + re.sub(r"\{(\w+)\}", r":\1", template)


# --- inside Litestar -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Operation:
    """A route, and what answers it."""

    route: Route
    handler: Callable[[Call], Any]  # yields a Reply, or one to wait for
    waits: bool
    whole_set: Callable[[Call], Any] | None  # yields one to wait for


@cache
def _operations(routes: tuple[Route, ...], body_max_bytes: int) -> Litestar:
    """The operations as Litestar runs them. Whose they are stands in each request, so several faces share them."""
    threads = acts.Threads(THREADS, thread_name_prefix="graph")
    found: dict[str, dict[str, _Operation]] = {}
    for route in routes:
        handler = route.resolve()
        operation = _Operation(route, handler, inspect.iscoroutinefunction(handler), route.resolve_whole_set())
        found.setdefault(route.template, {})[route.method] = operation
    return Litestar(
        [_endpoint(template, operations, threads, body_max_bytes) for template, operations in found.items()],
        openapi_config=None,
        logging_config=None,
        exception_handlers={Exception: _refused},
    )


def _endpoint(
    template: str, operations: Mapping[str, _Operation], threads: acts.Threads, body_max_bytes: int
) -> ASGIRouteHandler:
    """What can be done at one path, as Litestar runs it: plain, because what it would read of a request is read."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        arrival = cast(Arrival, scope[_ARRIVAL])
        operation = operations[scope["method"]]
        route, handler = operation.route, operation.handler
        call = await _call(arrival, route, scope, receive, body_max_bytes)
        if call.body:
            arrival.members = audit.members(call.body)
        if operation.waits:
            reply = await handler(call)
        elif operation.whole_set is not None and call.is_plain:
            reply = await operation.whole_set(call)
        elif call.services.directories.inline and route.inline:
            reply = handler(call)
        else:
            reply = await asyncio.get_running_loop().run_in_executor(threads, handler, call)
        made = answered(call, reply)
        if len(made.content) >= GZIP_MIN and requests.accepts_gzip(arrival.headers.get("accept-encoding")):
            packed = partial(gzip.compress, made.content, GZIP_LEVEL, mtime=0)
            made.content = await asyncio.get_running_loop().run_in_executor(threads, packed)
            made.headers["Content-Encoding"] = "gzip"
        await send_whole(send, made.status, made.headers, made.content)

    return ASGIRouteHandler(_fixed_path(template), copy_scope=False)(answer)


def check(principal: Principal, route: Route) -> None:
    """Raise Forbidden unless the caller may use the operation."""
    delegated = principal.kind == "delegated"
    missing = _missing(principal.kind, principal.grants, route.scopes if delegated else route.roles)
    if missing is not None:
        raise errors.RequestDenied(missing) if route.plain else Forbidden(missing)


@lru_cache(FOUND_MAX)
def _missing(
    kind: Literal["delegated", "application", "none"], grants: frozenset[str], needed: tuple[str, ...]
) -> str | None:
    """What a caller with these grants is told that needs one of `needed`; None when there is one."""
    anybody = Principal(tenant=0, tenant_id="", kind=kind, grants=grants)
    refusal = ""
    for name in needed or (None,):
        try:
            permissions.check(anybody, delegated=name, application=name)
        except Forbidden as problem:
            refusal = str(problem)
        else:
            return None
    return refusal


async def _call(arrival: Arrival, route: Route, scope: Scope, receive: Receive, body_max_bytes: int) -> Call:
    """The request as its handler takes it. Raises what is wrong with it."""
    match, headers = arrival.match, arrival.headers
    assert match is not None
    content = None
    if route.body:
        requests.check_content_type(headers.get("content-type"), headers.get("content-encoding"))
        content = await requests.content(receive, body_max_bytes, announced=headers.get("content-length"))
    query = requests.options(scope["query_string"])
    if route.body or route.method == "GET":
        requests.check_accept(headers.get("accept"), text=route.text, xml=route.xml)
    return Call(
        services=arrival.services,
        principal=cast(Principal, arrival.principal),
        version=arrival.version,
        root=f"{arrival.origin}/{arrival.version}",
        path=match.path,
        keys=match.keys,
        query=query,
        headers=headers,
        body=None if content is None else requests.body(content),
        method=route.method,
        template=route.template,
        run=arrival.run,
        now=arrival.now,
        request_id=arrival.request_id,
        client_request_id=arrival.client_request_id,
    )


def _refused(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Litestar's way to an error answer; the envelope is made in `graph.errors`."""
    scope = cast(Any, request.scope)
    failure = cast(Arrival, scope[_ARRIVAL]).failure(error, late=scope.get(requests.LATE, False))
    headers = {**failure.headers, "Content-Type": JSON_ERROR}
    return Response(msgspec.json.encode(failure.body), status_code=failure.status, headers=headers)


def _ours(error: Exception) -> Exception:
    """An error of the framework as one of ours."""
    if not isinstance(error, HTTPException):
        return error
    if error.status_code == 413:
        return TooLarge("The body is larger than this server takes.")
    if error.status_code < 500 or (isinstance(error, InternalServerException) and "disconnected" in error.detail):
        return BadRequest("The request cannot be read.")
    return error
