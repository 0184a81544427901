"""The one place where errors become Graph's error envelope.

Every refusal has a status and a code of its own; what is nobody's refusal is a bug, answered 500 without a word about
the inside and logged by class and place, never by message (messages of databases and parsers quote people's data).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog

from schoolsync import logs, ticks
from schoolsync.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    PreconditionFailed,
    Refused,
    Throttled,
    TooCostly,
    TooLarge,
    Unauthenticated,
    Unready,
    WorldError,
    is_worlds,
)
from schoolsync.graph.call import Call, Json
from schoolsync.graph.filterable import UnsupportedQuery

RETRY_AFTER = 5  # seconds; clients read 0 as absent

log = structlog.get_logger()


class BadRequest(Invalid):
    """The request itself is wrong, whatever it is about (HTTP 400, code BadRequest everywhere)."""


class UnknownSegment(BadRequest):
    """Resource not found for the segment '…'."""

    def __init__(self, segment: str) -> None:
        super().__init__(f"Resource not found for the segment '{segment[:100]}'.")


class MethodNotAllowed(Refused):
    """The path is right, the method is not (HTTP 405)."""

    def __init__(self, allowed: tuple[str, ...]) -> None:
        super().__init__("The method is not allowed for this resource.")
        self.allowed = allowed


class SyncStateNotFound(Refused):
    """The token of a delta query leads nowhere any more (HTTP 410); `location` is where to begin anew."""

    def __init__(self, location: str) -> None:
        super().__init__(
            "The sync state generation is not found: the token is too old or belongs elsewhere. Begin anew at the "
            "address in the Location header."
        )
        self.location = location


class RequestDenied(Forbidden):
    """The token lacks the permission for a plain object of the directory (HTTP 403 in the directory's own words)."""

    def __init__(self, missing: str) -> None:
        super().__init__(f"Insufficient privileges to complete the operation. {missing}")


class NotAcceptable(Refused):
    """The caller takes nothing that this server can send (HTTP 406)."""


class TooSlow(Refused):
    """The body did not come at a pace (HTTP 408)."""

    def __init__(self) -> None:
        super().__init__("The body of the request came too slowly. Send it again.")


class AddressTooLong(Refused):
    """The path and query are longer than a limit (HTTP 414)."""


class HeadersTooLarge(Refused):
    """The headers are larger than a limit (HTTP 431)."""


class UnsupportedMediaType(Refused):
    """The body is not JSON (HTTP 415)."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Status and code of one class of errors; directory objects have codes of their own where Graph has them."""

    status: int
    code: str
    directory_code: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


KINDS: dict[type[Exception], Kind] = {
    Unauthenticated: Kind(401, "InvalidAuthenticationToken"),
    Forbidden: Kind(403, "AccessDenied"),
    RequestDenied: Kind(403, "Authorization_RequestDenied"),
    BadRequest: Kind(400, "BadRequest"),
    UnsupportedQuery: Kind(400, "Request_UnsupportedQuery"),
    TooCostly: Kind(400, "Request_UnsupportedQuery"),
    Invalid: Kind(400, "BadRequest", "Request_BadRequest"),
    NotFound: Kind(404, "NotFound", "Request_ResourceNotFound"),
    MethodNotAllowed: Kind(405, "Request_BadRequest"),
    NotAcceptable: Kind(406, "NotAcceptable"),
    TooSlow: Kind(408, "RequestTimeout"),
    Conflict: Kind(409, "Conflict"),
    SyncStateNotFound: Kind(410, "syncStateNotFound"),
    PreconditionFailed: Kind(412, "PreconditionFailed"),
    TooLarge: Kind(413, "RequestEntityTooLarge"),
    AddressTooLong: Kind(414, "RequestUriTooLong"),
    UnsupportedMediaType: Kind(415, "UnsupportedMediaType"),
    Throttled: Kind(429, "TooManyRequests"),
    HeadersTooLarge: Kind(431, "RequestHeaderFieldsTooLarge"),
    Unready: Kind(503, "serviceNotAvailable", headers={"Retry-After": str(RETRY_AFTER)}),
    WorldError: Kind(503, "serviceNotAvailable", headers={"Retry-After": str(RETRY_AFTER)}),
}
_BUG = Kind(500, "InternalError")


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as it is answered."""

    status: int
    body: Json
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What an error body says about the request it answers."""

    request_id: str
    client_request_id: str
    now: int


def member(code: str, message: str, *, call: Call, target: str | None = None) -> Json:
    """The `error` member of an answer to `call`."""
    request = Request(request_id=call.request_id, client_request_id=call.client_request_id, now=call.now)
    return _member(code, message, request, target)


def failure(error: Exception, *, request: Request, directory: bool, authorize_url: str) -> Failure:
    """How `error` is answered; `directory` says whether the request was about schools, classes or users."""
    for kind in type(error).__mro__:
        if kind in KINDS:
            found = KINDS[kind]
            break
    else:
        found = KINDS[WorldError] if is_worlds(error) else _BUG
    headers = dict(found.headers)
    message, target = str(error), getattr(error, "target", None)
    if found is _BUG:
        message, target = "An unexpected error occurred while the request was processed.", None
        log.error("request_failed", request=request.request_id, error=type(error).__name__, at=logs.places(error))
    elif is_worlds(error):
        message, target = "The service is not available at the moment. Try again later.", None
        log.error("service_unavailable", request=request.request_id, error=type(error).__name__, at=logs.places(error))
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = getattr(error, "challenge", None) or challenge(authorize_url)
    if isinstance(error, Throttled):
        headers["Retry-After"] = str(error.seconds)
    if isinstance(error, SyncStateNotFound):
        headers["Location"] = error.location
    if isinstance(error, MethodNotAllowed):
        headers["Allow"] = ", ".join(error.allowed)
    of_object = directory and not (target or "").startswith("$")  # query options are nobody's property
    code = (found.directory_code if of_object else None) or found.code
    return Failure(found.status, {"error": _member(code, message, request, target)}, headers)


def challenge(authorize_url: str) -> str:
    """The `WWW-Authenticate` header of a 401. It never asks for claims: clients would fetch a new token in vain."""
    return f'Bearer realm="", authorization_uri="{authorize_url}", client_id="00000003-0000-0000-c000-000000000000"'


def _member(code: str, message: str, request: Request, target: str | None) -> Json:
    return {
        "code": code,
        "message": message,
        **({"target": target} if target else {}),
        "innerError": {
            "date": ticks.text(request.now).partition(".")[0].rstrip("Z"),
            "request-id": request.request_id,
            "client-request-id": request.client_request_id,
        },
    }
