"""The fault dial: a server that misbehaves when told to, so that people can test how their own client takes it.

Only with the setting `faults` (`schoolsync serve --faults`). It stands before both APIs; `/faults` is its own address,
for admins of the built-in issuer alone. Faults hold for the tenant of the admin's token and for nobody else; the clock
is everybody's. What is answered before acting (429, 503, latency, an expired delta token) has not acted; what is
answered after acting (`errorAfterSuccess`) has. Everything is forgotten when the server ends. Design: docs/faults.md.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal
from urllib.parse import quote

import msgspec

from schoolsync import ticks
from schoolsync.access import roles
from schoolsync.access.principal import Principal
from schoolsync.access.tokens import identify
from schoolsync.errors import Forbidden, Invalid, NotFound, Refused, Throttled, Unauthenticated, WorldError
from schoolsync.graph import errors, requests
from schoolsync.graph.answers import Message, Receive, Scope, Send
from schoolsync.graph.app import ASGI, VERSIONS, Front, Verify
from schoolsync.runs.dial import Dial, Turned

FAULTS_MAX = 50
BODY_MAX = 64 * 1024
LONGEST = 600.0
KEPT = 500
METHODS = ("GET", "POST", "PATCH", "PUT", "DELETE")
PROFILES = "synchronizationprofiles"
SAFE = "/()@"

Kind = Literal[
    "tooManyRequests",
    "unavailable",
    "latency",
    "expiredDelta",
    "errorAfterSuccess",
    "notFoundAfterCreate",
    "staleReads",
    "lateMembership",
    "holdStage",
]


class Unavailable(Throttled):
    """The service is not available at the moment (HTTP 503), and says when it will be."""

    def __str__(self) -> str:
        return "The service is not available at the moment. Try again later."


class Hidden(Refused):
    """A school, class or person that was just made is not found yet."""


class Lost(Refused):
    """An error that is told although the request was carried out."""


errors.KINDS |= {
    Unavailable: errors.Kind(503, "serviceNotAvailable"),
    Hidden: errors.Kind(404, "Request_ResourceNotFound"),
    Lost: errors.Kind(500, "InternalError"),
}


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """One fault, as the control endpoint takes it."""

    kind: Kind
    method: str | None = None  # only this method
    path: str = "*"  # only paths below the version that match; * stands for anything
    skip: int = 0  # let so many matching requests through first
    times: int | None = None  # how often; None: until the dial is turned back
    seconds: float = 1.0  # latency, or how long a created object, a change or a member is not seen
    retry_after: int = 1  # seconds in the Retry-After of 429 and 503
    stage: Literal["extracting", "validating"] | None = None


class Given(msgspec.Struct, forbid_unknown_fields=True):
    """The body of PUT /faults."""

    faults: list[Fault]


class Clock(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /faults/clock: one of the two."""

    set: str | None = None
    advance: float | None = None


@dataclass(slots=True)
class _Armed:
    fault: Fault
    met: int = 0  # matching requests so far
    done: int = 0


@dataclass(slots=True)
class _Tenant:
    armed: list[_Armed] = field(default_factory=list)
    hidden: dict[str, float] = field(default_factory=dict)  # id of a created object -> until when it is not found
    seen: dict[str, tuple[float, list[Message]]] = field(default_factory=dict)  # url -> when it was answered, and how
    late: dict[tuple[str, str], float] = field(default_factory=dict)  # owner and member -> until when it is not shown


class Faults:
    """The dial, in front of the application."""

    def __init__(
        self,
        front: Front,
        app: ASGI,
        *,
        verify: Verify,
        dial: Dial,
        clock: Callable[[], int],
        real_clock: Callable[[], int],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._front = front
        front.items = self  # what is in a batch is struck as anything else
        self._app = app
        self._verify = verify
        self._dial = dial
        self._clock = clock
        self._real_clock = real_clock
        self._monotonic = monotonic
        self._tenants: dict[int, _Tenant] = {}
        dial.write(Turned())  # what an earlier server was told is over

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        parts = [part for part in scope["path"].split("/") if part]
        first = parts[0].lower() if parts else ""
        if first == "faults":
            await self._control(scope, receive, send, [part.lower() for part in parts[1:]])
            return
        tenant = None
        if first in VERSIONS or first == "schoolsync":
            principal = await self._caller(scope)
            tenant = self._tenants.get(principal.tenant) if principal is not None else None
        if tenant is None:
            await self._app(scope, receive, send)
            return
        await self._faulty(tenant, "/".join(parts[1:]), scope, receive, send)

    # --- the control endpoint --------------------------------------------------------------------------------------

    async def _control(self, scope: Scope, receive: Receive, send: Send, below: list[str]) -> None:
        try:
            principal = await self._admin(scope)
            answer = self._turned(principal, scope["method"], below, await _body(receive))
        except Exception as problem:
            await self._front.refuse(scope, send, problem)
            return
        content = json.dumps(answer).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else content})

    async def _admin(self, scope: Scope) -> Principal:
        token = requests.headers(scope["headers"]).get("authorization")
        principal = await identify(self._verify, token, self._real_clock())
        if principal.issuer is not None:
            raise Forbidden("Only admins of the built-in issuer may turn the fault dial.")
        roles.check(principal, roles.Act.FAULTS)
        return principal

    def _turned(self, principal: Principal, method: str, below: list[str], body: bytes) -> dict[str, object]:
        match method, below:
            case (("GET" | "HEAD"), []):
                pass
            case "PUT", []:
                self._arm(principal.tenant, _read(body, Given).faults)
            case "DELETE", []:
                self._arm(principal.tenant, [])
            case "POST", ["clock"]:
                self._set_clock(_read(body, Clock))
            case "DELETE", ["clock"]:
                self._dial.write(Turned(0, self._dial.read().holds))
            case _, ([] | ["clock"]):
                raise errors.MethodNotAllowed(("GET", "PUT", "DELETE") if not below else ("POST", "DELETE"))
            case _:
                raise NotFound("There is nothing at this address: the dial is /faults and /faults/clock.")
        tenant = self._tenants.get(principal.tenant, _Tenant())
        return {
            "clock": ticks.text(self._clock()),
            "faults": [{**msgspec.to_builtins(armed.fault), "done": armed.done} for armed in tenant.armed],
        }

    def _arm(self, number: int, faults: list[Fault]) -> None:
        if len(faults) > FAULTS_MAX:
            raise Invalid(f"At most {FAULTS_MAX} faults can be armed at once.", target="faults")
        for fault in faults:
            if (fault.kind == "holdStage") != (fault.stage is not None):
                raise Invalid("stage belongs to holdStage, and holdStage needs one.", target="stage")
            if fault.method is not None and fault.method.upper() not in METHODS:
                raise Invalid(f"method must be one of {', '.join(METHODS)}.", target="method")
            if not 0 <= fault.seconds <= LONGEST or not 0 <= fault.retry_after <= LONGEST:
                raise Invalid(f"seconds and retryAfter must be from 0 to {LONGEST:g}.", target="seconds")
        turned = self._dial.read()
        holds = {tenant: stages for tenant, stages in turned.holds.items() if tenant != str(number)}
        if held := [fault.stage for fault in faults if fault.stage is not None]:
            holds[str(number)] = [*held]
        self._dial.write(Turned(turned.offset, holds))
        if faults:
            self._tenants[number] = _Tenant([_Armed(fault) for fault in faults])
        else:
            self._tenants.pop(number, None)

    def _set_clock(self, clock: Clock) -> None:
        turned = self._dial.read()
        if (clock.set is None) == (clock.advance is None):
            raise Invalid("Say either set, a moment, or advance, seconds.")
        if clock.set is not None:
            try:
                offset = ticks.parse(clock.set) - self._real_clock()
            except ValueError as problem:
                raise Invalid("set must be a moment such as 2026-08-17T06:00:00Z.", target="set") from problem
        else:
            offset = turned.offset + int((clock.advance or 0) * ticks.PER_SECOND)
        now = self._real_clock() + offset
        if not ticks.parse("2000-01-01T00:00:00Z") <= now <= ticks.parse("2200-01-01T00:00:00Z"):
            raise Invalid("The clock goes from 2000 to 2200.")
        self._dial.write(Turned(offset, turned.holds))

    # --- requests under faults -------------------------------------------------------------------------------------

    async def _caller(self, scope: Scope) -> Principal | None:
        token = requests.headers(scope["headers"]).get("authorization")
        try:
            return await identify(self._verify, token, self._real_clock())
        except (Unauthenticated, WorldError):
            return None  # the application says so better

    def _meets(self, tenant: _Tenant, scope: Scope, path: str, *kinds: str) -> Fault | None:
        """The first armed fault of some kinds that this request meets; it counts."""
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        for armed in tenant.armed:
            fault = armed.fault
            if fault.kind not in kinds or (fault.method or method).upper() != method:
                continue
            if not fnmatchcase(path.lower(), fault.path.lower().strip("/")):
                continue
            armed.met += 1
            if armed.met <= fault.skip or (fault.times is not None and armed.done >= fault.times):
                continue
            armed.done += 1
            return fault
        return None

    async def _faulty(self, tenant: _Tenant, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        now = self._monotonic()
        reading = scope["method"] in {"GET", "HEAD"}
        if (slow := self._meets(tenant, scope, path, "latency")) is not None:
            await asyncio.sleep(slow.seconds)
        refusal = self._refusal(tenant, path, scope, now)
        if refusal is not None:
            await self._front.refuse(scope, send, refusal)
            return
        place = f"{scope['path']}?{scope['query_string'].decode('latin-1')}"
        if reading and place in tenant.seen:
            fault = self._meets(tenant, scope, path, "staleReads")
            if fault is not None and now - tenant.seen[place][0] <= fault.seconds:
                for message in tenant.seen[place][1]:
                    await send(message)
                return
        scope["headers"] = [entry for entry in scope["headers"] if entry[0].lower() != b"accept-encoding"]
        body = b""
        if scope["method"] == "POST" and path.lower().endswith("$ref"):
            body, receive = await _replayed(receive)
        answer = _Kept()
        await self._app(scope, receive, answer)
        status = answer.status
        if reading:
            self._hide_late(tenant, answer, path, now)
            if status == 200 and len(tenant.seen) < KEPT and any(a.fault.kind == "staleReads" for a in tenant.armed):
                tenant.seen[place] = (now, answer.messages)
        elif status < 300:
            self._remember(tenant, scope, path, answer, body, now)
            if self._meets(tenant, scope, path, "errorAfterSuccess") is not None:
                await self._front.refuse(scope, send, Lost("An error occurred after the request was carried out."))
                return
        for message in answer.messages:
            await send(message)

    def _refusal(self, tenant: _Tenant, path: str, scope: Scope, now: float) -> Exception | None:
        if (fault := self._meets(tenant, scope, path, "tooManyRequests")) is not None:
            return Throttled(fault.retry_after)
        if (fault := self._meets(tenant, scope, path, "unavailable")) is not None:
            return Unavailable(fault.retry_after)
        if b"deltatoken" in scope["query_string"].lower() and self._meets(tenant, scope, path, "expiredDelta"):
            return errors.SyncStateNotFound(_afresh(scope))
        hidden = next((part.lower() for part in path.split("/") if tenant.hidden.get(part.lower(), 0) > now), None)
        if hidden is not None and scope["method"] in {"GET", "HEAD"}:
            gone = (
                f"Resource '{hidden}' does not exist or one of its queried reference-property objects are not present."
            )
            return NotFound(gone) if PROFILES in path.lower() else Hidden(gone)
        return None

    def _remember(self, tenant: _Tenant, scope: Scope, path: str, answer: _Kept, body: bytes, now: float) -> None:
        """What a successful change makes later answers lie about."""
        created = scope["method"] == "POST" and answer.status in {201, 202}  # the latter: a profile
        if created and isinstance(made := answer.json().get("id"), str):
            fault = self._meets(tenant, scope, path, "notFoundAfterCreate")
            if fault is not None and len(tenant.hidden) < KEPT:
                tenant.hidden[made.lower()] = now + fault.seconds
        parts = path.lower().split("/")
        if scope["method"] == "POST" and parts[-1] == "$ref" and len(parts) >= 3:
            member = _reference(body)
            fault = self._meets(tenant, scope, path, "lateMembership") if member else None
            if fault is not None and len(tenant.late) < KEPT:
                tenant.late[parts[-3], member] = now + fault.seconds

    def _hide_late(self, tenant: _Tenant, answer: _Kept, path: str, now: float) -> None:
        """Take members out of a list that is not to show them yet, from either side of the link."""
        if not tenant.late or answer.status != 200:
            return
        parts = set(path.lower().split("/"))
        others = {member for (owner, member), until in tenant.late.items() if owner in parts and until > now}
        others |= {owner for (owner, member), until in tenant.late.items() if member in parts and until > now}
        shown = answer.json()
        items = shown.get("value")
        if not others or not isinstance(items, list):
            return
        left = [item for item in items if not isinstance(item, dict) or str(item.get("id", "")).lower() not in others]
        if len(left) < len(items):
            answer.replace({**shown, "value": left})


def _afresh(scope: Scope) -> str:
    """Where a delta query begins anew: its own address, without the token."""
    host = requests.headers(scope["headers"]).get("host", "localhost")
    return f"{scope.get('scheme', 'http')}://{host}{quote(scope['path'], safe=SAFE)}"


class _Kept:
    """An answer that is held back."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def __call__(self, message: Message) -> None:
        self.messages.append(message)

    @property
    def status(self) -> int:
        return int(self.messages[0]["status"]) if self.messages else 500

    def json(self) -> dict[str, Any]:  # JSON of an answer of ours
        content = b"".join(message.get("body", b"") for message in self.messages[1:])
        try:
            found = json.loads(content)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def replace(self, body: dict[str, Any]) -> None:
        content = json.dumps(body, ensure_ascii=False).encode()
        start: MutableMapping[str, Any] = {**self.messages[0]}
        start["headers"] = [
            (name, str(len(content)).encode() if name == b"content-length" else value)
            for name, value in start["headers"]
        ]
        self.messages = [start, {"type": "http.response.body", "body": content}]


async def _body(receive: Receive) -> bytes:
    content = bytearray()
    while True:
        message = await receive()
        content += message.get("body", b"")
        if len(content) > BODY_MAX:
            raise Invalid("The body is too large.")
        if not message.get("more_body"):
            return bytes(content)


async def _replayed(receive: Receive) -> tuple[bytes, Receive]:
    """A small body, and a `receive` that gives it once more."""
    content = await _body(receive)
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": content, "more_body": False}

    return content, again


def _read(body: bytes, kind: type[Any]) -> Any:  # an instance of `kind`
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError as problem:
        raise Invalid(f"The body is wrong: {problem}.") from problem


def _reference(body: bytes) -> str:
    """The id at the end of an `@odata.id`."""
    try:
        link = str(json.loads(body)["@odata.id"])
    except (ValueError, KeyError, TypeError):
        return ""
    return link.rstrip("/").rpartition("/")[2].lower()
