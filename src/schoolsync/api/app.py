"""Runs the operations of our own API behind the layer that stands in front of the Graph face.

A request's path is looked up in the table of routes, its caller checked against the act that the row names, its
parameters and body against what the row takes; then the handler runs, in a thread unless it waits by itself. Whatever
is raised becomes a Graph error body in front.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Iterable, Mapping
from functools import partial
from typing import Any, cast
from urllib.parse import parse_qsl, quote

import msgspec

from schoolsync import traces, wrong_values
from schoolsync.access import audit, roles
from schoolsync.api.call import Answer, Call, Services
from schoolsync.api.route import ROOT, TEXT_MAX, Handler, Parameter, Route
from schoolsync.api.routes import ROUTES
from schoolsync.errors import Invalid, NotFound
from schoolsync.graph import requests
from schoolsync.graph.answers import Receive, Scope, Send
from schoolsync.graph.app import Arrival
from schoolsync.graph.errors import BadRequest, MethodNotAllowed, UnknownSegment
from schoolsync.graph.paths import Match, Tree, split
from schoolsync.store import acts

JSON = "application/json"
THREADS = 8
_TRUE, _FALSE = {"true", "1"}, {"false", "0"}


class OwnApi:
    """The operations below /schoolsync/v1, as the front layer calls them."""

    def __init__(self, services: Services, routes: Iterable[Route] = ROUTES) -> None:
        self._services = services
        table = tuple(routes)
        self._tree = Tree(table)
        self._handlers: dict[str, Handler] = {route.handler: route.resolve() for route in table}
        self._threads = acts.Threads(THREADS, thread_name_prefix="own-api")

    async def __call__(self, scope: Scope, receive: Receive, send: Send, arrival: Arrival) -> None:
        """Answer one request. Raises what the caller is to be told."""
        match, route = await self._find(scope, arrival)
        scope[traces.ROUTE] = f"/{ROOT}/{route.template}"
        if not route.public:
            principal = arrival.principal or await arrival.identify()
            arrival.asked = f"{route.method} {ROOT}/", match
            if route.act is not None:
                roles.check(principal, route.act)
        requests.check_accept(arrival.headers.get("accept"), text=route.media != JSON)
        query = _parameters(scope["query_string"], route.parameters)
        body = None
        if route.takes is not None:
            requests.check_content_type(arrival.headers.get("content-type"), arrival.headers.get("content-encoding"))
            body = _body(requests.body(await requests.content(receive, self._services.settings.body_max_bytes)), route)
        await _send(send, await self._perform(arrival, match, route, query, body), route.media)

    async def ask(
        self,
        arrival: Arrival,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: dict[str, Any] | None = None,
        match: str | None = None,
    ) -> Answer:
        """What the operation at `path` answers to a caller who is known already: how the console asks.

        The same checks are made as for a request from outside; the same errors are raised. `match` is the version
        (ETag) that what is changed has to be of.
        """
        found = self._tree.find(split(path.encode()))
        route = found.routes[method]
        if route.act is not None:
            roles.check(cast(Any, arrival.principal), route.act)
        known = {parameter.name: parameter for parameter in route.parameters}
        parameters = {name: _value(known[name], _short_enough(name, text)) for name, text in (query or {}).items()}
        given = None if route.takes is None else _body(body or {}, route)
        return await self._perform(arrival, found, route, parameters, given, match)

    async def _perform(
        self,
        arrival: Arrival,
        match: Match[Route],
        route: Route,
        query: Mapping[str, Any],
        body: Any,  # an instance of what the route takes
        version: str | None = None,
    ) -> Answer:
        """Run the handler of an operation whose caller was checked."""
        call = Call(
            services=self._services,
            principal=cast(Any, arrival.principal),  # None where the route is public, whose handlers ask for none
            origin=arrival.origin,
            url=f"{arrival.origin}/{ROOT}/{quote(match.path)}",
            keys=match.keys,
            query=query,
            headers=arrival.headers if version is None else {**arrival.headers, "if-match": version},
            body=body,
            now=arrival.now,
        )
        if route.method != "GET":
            arrival.operation = f"{route.method} {ROOT}/{match.template}"
            arrival.object = f"{ROOT}/{audit.without_names(match.path, match.keys)}"
            arrival.members = audit.members(audit.named(body))
        handler = self._handlers[route.handler]
        if inspect.iscoroutinefunction(handler):
            return await cast(Awaitable[Answer], handler(call))
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, partial(cast(Any, handler), call))

    async def _find(self, scope: Scope, arrival: Arrival) -> tuple[Match[Route], Route]:
        """The operation that the path and the method mean; a stranger learns nothing about paths."""
        raw = scope.get("raw_path") or quote(scope["path"]).encode()
        try:
            segments = split(raw)
            if [segment.lower() for segment in segments[:2]] != ROOT.split("/"):
                raise NotFound(f"There is nothing at this address: our own API begins with /{ROOT}.")
            match = self._tree.find(segments[2:])
        except UnknownSegment as problem:
            await arrival.identify()
            raise NotFound(f"There is nothing at this address: /{ROOT}/openapi.json has them all.") from problem
        except (Invalid, NotFound):
            await arrival.identify()
            raise
        route = match.routes.get("GET" if scope["method"] == "HEAD" else scope["method"])
        if route is None:
            await arrival.identify()
            methods = [*match.routes, "HEAD"] if "GET" in match.routes else [*match.routes]
            raise MethodNotAllowed((*methods, "OPTIONS"))
        return match, route


def _parameters(query: bytes, known: tuple[Parameter, ...]) -> Mapping[str, Any]:
    """The parameters of a query string, each in its type. Raises Invalid for one that is unknown, double or wrong."""
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, max_num_fields=100, errors="strict")
    except ValueError as problem:
        raise BadRequest("The query string cannot be read.") from problem
    table = {parameter.name: parameter for parameter in known}
    found: dict[str, Any] = {}
    for name, value in pairs:
        parameter = table.get(name)
        if parameter is None:
            listed = ", ".join(table) or "none"
            raise Invalid(f"The parameter '{name[:40]}' is not known here. Known: {listed}.", target=name[:40])
        if name in found:
            raise Invalid(f"The parameter '{name}' is given twice.", target=name)
        found[name] = _value(parameter, _short_enough(name, value))
    return found


def _short_enough(name: str, value: str) -> str:
    if len(value) > TEXT_MAX or "\0" in value:
        raise Invalid(f"The parameter '{name}' must have at most {TEXT_MAX} characters.", target=name)
    return value


def _value(parameter: Parameter, text: str) -> object:
    name = parameter.name
    if parameter.kind == "integer":
        if not (text.isascii() and text.isdecimal() and 1 <= int(text[:10]) < 10**9):
            raise Invalid(f"The parameter '{name}' must be a whole number of at least 1.", target=name)
        return int(text)
    if parameter.kind == "boolean":
        if text.lower() not in _TRUE | _FALSE:
            raise Invalid(f"The parameter '{name}' must be true or false.", target=name)
        return text.lower() in _TRUE
    parts = tuple(text.split(",")) if parameter.several else (text,)
    if parameter.values and (wrong := [part for part in parts if part not in parameter.values]):
        listed = ", ".join(parameter.values)
        raise Invalid(f"The parameter '{name}' cannot be '{wrong[0][:40]}'. It can be {listed}.", target=name)
    return parts if parameter.several else text


def _body(given: dict[str, Any], route: Route) -> Any:
    """The body as the route takes it. Raises Invalid, which names the member."""
    _refuse_nul(given)
    if route.takes is dict:
        return given
    try:
        return msgspec.convert(given, route.takes)
    except msgspec.ValidationError as problem:
        said, at = wrong_values.explained(problem, route.takes, given)
        raise Invalid(f"The body is wrong: {said}.", target=at) from problem


def _refuse_nul(given: dict[str, Any]) -> None:
    """Raise Invalid for a text that PostgreSQL could not keep, however deep it lies; told is the member of the body."""
    for name, value in given.items():
        left: list[Any] = [name, value]
        while left:
            one = left.pop()
            if isinstance(one, str) and "\0" in one:
                raise Invalid("The body holds a NUL character.", target=None if one is name else name)
            if isinstance(one, dict):
                left += [*one.keys(), *one.values()]
            elif isinstance(one, list):
                left += one


async def _send(send: Send, answer: Answer, media: str) -> None:
    if media != JSON:
        body = str(answer.body).encode()
    else:
        body = b"" if answer.body is None else msgspec.json.encode(answer.body)
    headers = {**answer.headers, **({"Content-Type": media} if body else {})}
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    encoded.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})
