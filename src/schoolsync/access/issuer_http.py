"""The built-in issuer over HTTP: discovery, public keys, and tokens for registered clients.

It answers where Microsoft's identity platform would, so MSAL and azure-identity work when their authority is this
server and instance discovery is off. Registered clients get tokens for their secret, programs that act for a person
for a code that an operator has answered (`access.devices`); there are no passwords here. Errors have OAuth 2.0's
shape, never Graph's.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

import structlog

from schoolsync import ticks
from schoolsync.access import clients, devices, issuer, permissions
from schoolsync.access.tokens import UNIX_EPOCH
from schoolsync.errors import SchoolsyncError
from schoolsync.settings import Settings
from schoolsync.store.control import Control

Scope = MutableMapping[str, Any]  # what ASGI calls a scope: values of many kinds
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]

LIFETIME = 3600  # seconds that a token fetched over HTTP lives
BODY_MAX = 16 * 1024
FAILURES_KEPT = 4096  # pairs of client and address that are remembered for wrong secrets
FIRST_WAIT, LONGEST_WAIT = 0.25, 8.0  # seconds that a wrong secret costs; doubled with each in a row
FORGOTTEN_AFTER = 600.0
QUEUE = 8  # callers that may wait for the same client from the same address

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_NO_SCOPES = frozenset({"openid", "profile", "email", "offline_access", ".default"})  # asked for by libraries
_ANY_TENANT = frozenset({"common", "organizations"})
_TENANT = re.compile(rf"{issuer.GUID.pattern}|common|organizations|consumers")

_STANDING = {
    devices.Answer.PENDING: "Nobody has answered the code yet: ask again.",
    devices.Answer.SLOW_DOWN: "Asked too often: wait five seconds longer each time.",
    devices.Answer.DENIED: "The operator has refused the code.",
    devices.Answer.EXPIRED: "The code is unknown, used, or its time is over: begin anew.",
}

log = structlog.get_logger()


class _OAuthError(Exception):
    """An answer in the shape of RFC 6749, section 5.2."""

    def __init__(
        self, code: str, description: str, *, status: int = 400, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(description)
        self.code = code
        self.status = status
        self.headers = headers or {}


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: dict[str, Any]  # a JSON object
    headers: dict[str, str] = field(default_factory=dict)


def app(control: Control, settings: Settings, clock: Callable[[], int]) -> Asgi:
    """The issuer as an ASGI application; `clock` gives ticks."""
    return _Issuer(control, settings, clock)


class _Issuer:
    def __init__(self, control: Control, settings: Settings, clock: Callable[[], int]) -> None:
        self._control = control
        self._settings = settings
        self._clock = clock
        self._key = issuer.signing_key(settings.keys)
        self._guard = _Guard()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request_id = str(uuid.uuid4())
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            answer = await self._answer(scope, headers, receive)
        except _OAuthError as problem:
            answer = self._error(problem, request_id, headers)
        except SchoolsyncError as problem:
            log.warning("the token issuer cannot work", problem=str(problem), request=request_id)
            failure = _OAuthError("temporarily_unavailable", "The issuer cannot work now: try again.", status=503)
            answer = self._error(failure, request_id, headers)
        except Exception:
            log.exception("the token issuer failed", request=request_id)
            failure = _OAuthError("server_error", "The issuer failed; its log tells more.", status=500)
            answer = self._error(failure, request_id, headers)
        await _send(send, answer, request_id, with_body=scope["method"] != "HEAD")

    def _error(self, problem: _OAuthError, request_id: str, headers: dict[str, str]) -> _Answer:
        body = {
            "error": problem.code,
            "error_description": f"{problem} Trace ID: {request_id}",
            "timestamp": ticks.moment(self._clock()).strftime("%Y-%m-%d %H:%M:%SZ"),
            "trace_id": request_id,
            "correlation_id": _guid_or(headers.get("client-request-id"), request_id),
        }
        return _Answer(problem.status, body, {"Cache-Control": "no-store", "Pragma": "no-cache", **problem.headers})

    async def _answer(self, scope: Scope, headers: dict[str, str], receive: Receive) -> _Answer:
        if not self._settings.built_in_issuer:
            raise _OAuthError("invalid_request", "This server gives out no tokens: ask your own issuer.", status=404)
        parts = [part for part in scope["path"].lower().split("/") if part]
        tenant, rest = (parts[0], "/".join(parts[1:])) if parts else ("", "")
        if not _TENANT.fullmatch(tenant):
            raise _OAuthError("invalid_request", "The path must start with the tenant's GUID.", status=404)
        method = scope["method"]
        match rest:
            case "oauth2/v2.0/token" | "oauth2/token":
                _only(method, "POST")
                version: issuer.Version = "2.0" if "v2.0" in rest else "1.0"
                return await self._token(scope, headers, receive, tenant, version)
            case "oauth2/v2.0/devicecode":
                _only(method, "POST")
                return await self._device(headers, receive, tenant)
            case "v2.0/.well-known/openid-configuration":
                _only(method, "GET", "HEAD")
                return self._configuration(tenant, "2.0")
            case ".well-known/openid-configuration":
                _only(method, "GET", "HEAD")
                return self._configuration(tenant, "1.0")
            case "discovery/v2.0/keys" | "discovery/keys":
                _only(method, "GET", "HEAD")
                key = await asyncio.to_thread(self._key.get)
                now = (self._clock() - UNIX_EPOCH) // ticks.PER_SECOND
                retired = await asyncio.to_thread(issuer.all_retired, self._settings.keys, now)
                return _Answer(200, issuer.public_keys(key, *retired), {"Cache-Control": "max-age=3600"})
            case "oauth2/v2.0/authorize" | "oauth2/authorize":
                raise _OAuthError(
                    "unsupported_response_type",
                    "Nobody signs in with a password here. Tell the code that your program shows to whoever runs this "
                    "schoolsync; they type: schoolsync device approve CODE --tenant TENANT --user YOU",
                )
        raise _OAuthError("invalid_request", "There is no such endpoint.", status=404)

    def _configuration(self, tenant: str, version: issuer.Version) -> _Answer:
        base = self._settings.base_url
        infix = "/v2.0" if version == "2.0" else ""
        body = {
            "issuer": issuer.issuer(base, "{tenantid}" if tenant in _ANY_TENANT else tenant, version),
            "authorization_endpoint": f"{base}/{tenant}/oauth2{infix}/authorize",
            "token_endpoint": f"{base}/{tenant}/oauth2{infix}/token",
            "device_authorization_endpoint": f"{base}/{tenant}/oauth2/v2.0/devicecode",
            "jwks_uri": f"{base}/{tenant}/discovery{infix}/keys",
            "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
            "grant_types_supported": ["client_credentials", DEVICE_GRANT],
            "response_types_supported": ["token"],
            "response_modes_supported": ["query"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": [issuer.ALGORITHM],
            "scopes_supported": [f"{issuer.GRAPH}/.default"],
            "claims_supported": ["aud", "iss", "iat", "nbf", "exp", "tid", "oid", "sub", "roles", "scp", "ver"],
            "request_uri_parameter_supported": False,
        }
        return _Answer(200, body, {"Cache-Control": "max-age=3600", "Access-Control-Allow-Origin": "*"})

    async def _token(
        self, scope: Scope, headers: dict[str, str], receive: Receive, tenant: str, version: issuer.Version
    ) -> _Answer:
        form = _form(headers, await _body(headers, receive))
        grant_type = form.get("grant_type")
        if grant_type is None:
            raise _OAuthError("invalid_request", "The parameter grant_type is missing.")
        if grant_type in {DEVICE_GRANT, "device_code"} and version == "2.0":
            return await self._signed_in(form, tenant)
        if grant_type != "client_credentials":
            raise _OAuthError("unsupported_grant_type", "This issuer grants only client_credentials and device codes.")
        client_id, secret = _credentials(headers, form)
        resource, audience = self._audience(form, version)
        address = (scope.get("client") or ("?",))[0]
        client = await self._authenticated(tenant, client_id, secret, address, basic="authorization" in headers)
        now = (self._clock() - UNIX_EPOCH) // ticks.PER_SECOND
        grant = issuer.Grant(
            tenant_id=tenant, client=client.id, client_secret_used=True, roles=client.roles, audience=audience
        )

        body = await self._minted(grant, version, now)
        if version == "1.0":  # whose numbers are texts
            body |= {"expires_in": str(LIFETIME - 1), "ext_expires_in": str(LIFETIME - 1)}
            body |= {"expires_on": str(now + LIFETIME), "not_before": str(now), "resource": resource}
        log.info("token issued", tenant=tenant, client=client.id)
        return _Answer(200, body, {"Cache-Control": "no-store", "Pragma": "no-cache"})

    async def _minted(self, grant: issuer.Grant, version: issuer.Version, now: int) -> dict[str, Any]:
        """The answer with a token."""

        def mint() -> str:
            return issuer.mint(
                self._key.get(),
                grant,
                base_url=self._settings.base_url,
                now=now,
                lifetime=LIFETIME,
                token_id=str(uuid.uuid4()),
                version=version,
            )

        return {
            "token_type": "Bearer",
            "expires_in": LIFETIME - 1,
            "ext_expires_in": LIFETIME - 1,
            "access_token": await asyncio.to_thread(mint),
        }

    async def _device(self, headers: dict[str, str], receive: Receive, tenant: str) -> _Answer:
        """A program wants to act for a person: the code to show."""
        form = _form(headers, await _body(headers, receive))
        client = self._public_client(form)
        number = await self._known(tenant)
        asked = (scope.rpartition("/")[2] for scope in form.get("scope", "").split())
        scopes = tuple(dict.fromkeys(scope for scope in asked if scope not in _NO_SCOPES))
        for scope in scopes:
            if scope not in permissions.KNOWN_SCOPES:
                raise _OAuthError("invalid_scope", "The scope holds a permission that is not known here.")
        made = await asyncio.to_thread(
            devices.begin, self._control, tenant=number, client=client, scopes=scopes, now=self._clock()
        )
        if made is None:
            raise _OAuthError(
                "temporarily_unavailable", "Too many codes wait at once.", status=429, headers={"Retry-After": "60"}
            )
        secret, code = made
        body = {
            "device_code": secret,
            "user_code": code,
            "verification_uri": f"{self._settings.base_url}/{tenant}/oauth2/v2.0/authorize",
            "expires_in": devices.LIFETIME,
            "interval": devices.INTERVAL,
            "message": f"Tell {code} to whoever runs this schoolsync. They type: schoolsync device approve {code} "
            f"--tenant {tenant} --user YOU",
        }
        return _Answer(200, body, {"Cache-Control": "no-store", "Pragma": "no-cache"})

    async def _signed_in(self, form: dict[str, str], tenant: str) -> _Answer:
        """The token for a code that was granted; otherwise how things stand with it."""
        client = self._public_client(form)
        number = await self._known(tenant)
        found = await asyncio.to_thread(
            devices.collect,
            self._control,
            tenant=number,
            client=client,
            secret=form.get("device_code", ""),
            now=self._clock(),
        )
        if isinstance(found, devices.Answer):
            raise _OAuthError(found, _STANDING[found])
        grant = issuer.Grant(
            tenant_id=tenant,
            client=client,
            scopes=found.scopes,
            roles=found.roles,
            user_id=found.user_id,
            user_name=found.user_name,
        )
        body = await self._minted(grant, "2.0", (self._clock() - UNIX_EPOCH) // ticks.PER_SECOND)
        log.info("token issued for a code", tenant=tenant, client=client)
        return _Answer(
            200, body | {"scope": " ".join(found.scopes)}, {"Cache-Control": "no-store", "Pragma": "no-cache"}
        )

    def _public_client(self, form: dict[str, str]) -> str:
        client = form.get("client_id", "").lower()
        if not issuer.GUID.fullmatch(client):
            raise _OAuthError("invalid_request", "The parameter client_id must be a GUID of the program's own.")
        return client

    async def _known(self, tenant: str) -> int:
        number = None
        if issuer.GUID.fullmatch(tenant):
            number = await asyncio.to_thread(self._control.known_tenant, tenant)
        if number is None:
            raise _OAuthError("invalid_request", "There is no such tenant here: name the one to sign in to.")
        return number

    def _audience(self, form: dict[str, str], version: issuer.Version) -> tuple[str, str]:
        """The resource that was asked for and the audience of its tokens."""
        if version == "1.0":
            resource = form.get("resource", "")
            if not resource:
                raise _OAuthError("invalid_request", "The parameter resource is missing.")
        else:
            scopes = form.get("scope", "").split()
            if not scopes:
                raise _OAuthError("invalid_request", "The parameter scope is missing.")
            if len(scopes) > 1 or not scopes[0].lower().endswith("/.default"):
                raise _OAuthError("invalid_scope", f"The scope must be one resource, such as {issuer.GRAPH}/.default.")
            resource = scopes[0][: -len("/.default")]
        if resource in issuer.GRAPH_AUDIENCES or resource in self._settings.audiences:
            return resource, resource
        if resource.rstrip("/") == self._settings.base_url:  # SDKs derive the scope from the base URL
            return resource, issuer.GRAPH
        code = "invalid_resource" if version == "1.0" else "invalid_scope"
        raise _OAuthError(code, f"There is no such resource here; ask for {issuer.GRAPH}.")

    async def _authenticated(
        self, tenant: str, client_id: str, secret: str, address: str, *, basic: bool
    ) -> clients.Client:
        """The client with this secret; wrong secrets are answered ever more slowly."""
        async with self._guard.turn(f"{tenant}/{client_id}/{address}") as attempt:
            client = None
            if issuer.GUID.fullmatch(tenant) and issuer.GUID.fullmatch(client_id):
                client = await asyncio.to_thread(
                    clients.authenticate, self._control, tenant_id=tenant, client_id=client_id, secret=secret
                )
            if client is not None:
                attempt.succeeded()
                return client
            log.warning("wrong client secret", tenant=tenant, address=address)
            await attempt.failed()
        challenge = {"WWW-Authenticate": 'Basic realm="schoolsync"'} if basic else {}
        raise _OAuthError(
            "invalid_client",
            "There is no such client in this tenant, or its secret is wrong.",
            status=401,
            headers=challenge,
        )


class _Guard:
    """Lets one secret at a time be tried per client and address, and makes each wrong one in a row wait longer.

    Nobody is locked out: a right secret is answered as soon as its turn comes, and other addresses are not affected.
    """

    def __init__(self) -> None:
        self._attempts: dict[str, _Attempt] = {}

    @asynccontextmanager
    async def turn(self, who: str) -> AsyncIterator[_Attempt]:
        """Wait for the turn of `who`; raises when too many wait already."""
        self._forget()
        attempt = self._attempts.setdefault(who, _Attempt())
        if attempt.waiting >= QUEUE:
            raise _OAuthError(
                "temporarily_unavailable", "Too many attempts at once.", status=429, headers={"Retry-After": "10"}
            )
        attempt.waiting += 1
        try:
            async with attempt.lock:
                yield attempt
        finally:
            attempt.waiting -= 1
            attempt.seen = asyncio.get_running_loop().time()
            if not attempt.failures and not attempt.waiting:
                self._attempts.pop(who, None)

    def _forget(self) -> None:
        if len(self._attempts) < FAILURES_KEPT:
            return
        before = asyncio.get_running_loop().time() - FORGOTTEN_AFTER
        idle = [who for who, attempt in self._attempts.items() if not attempt.waiting]
        old = [who for who in idle if self._attempts[who].seen < before]
        for who in old or sorted(idle, key=lambda name: self._attempts[name].seen)[: FAILURES_KEPT // 8]:
            del self._attempts[who]


@dataclass(slots=True)
class _Attempt:
    failures: int = 0
    waiting: int = 0
    seen: float = 0.0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def succeeded(self) -> None:
        self.failures = 0

    async def failed(self) -> None:
        wait = min(FIRST_WAIT * 2**self.failures, LONGEST_WAIT)
        self.failures = min(self.failures + 1, 16)
        await asyncio.sleep(wait)


def _only(method: str, *allowed: str) -> None:
    if method not in allowed:
        raise _OAuthError(
            "invalid_request", "The method is not allowed here.", status=405, headers={"Allow": ", ".join(allowed)}
        )


async def _body(headers: dict[str, str], receive: Receive) -> bytes:
    """The request's body, bounded."""
    too_large = _OAuthError("invalid_request", "The request is too large.", status=413)
    declared = headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > BODY_MAX:
        raise too_large
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise _OAuthError("invalid_request", "The request is incomplete.")
        body += message.get("body", b"")
        if len(body) > BODY_MAX:
            raise too_large
        if not message.get("more_body", False):
            return bytes(body)


def _form(headers: dict[str, str], body: bytes) -> dict[str, str]:
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise _OAuthError("invalid_request", "The body must be application/x-www-form-urlencoded.")
    try:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=64)
    except ValueError:
        raise _OAuthError("invalid_request", "The body cannot be read as a form.") from None
    form: dict[str, str] = {}
    for name, value in pairs:
        if name in form:
            raise _OAuthError("invalid_request", "A parameter is given twice.")
        form[name] = value
    return form


def _credentials(headers: dict[str, str], form: dict[str, str]) -> tuple[str, str]:
    """Client id (lower case) and secret, from the form or from Basic authentication, never from both."""
    scheme, _, encoded = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        if "client_secret" in form:
            raise _OAuthError("invalid_request", "Send the client's secret in one way only.")
        try:
            name, colon, secret = base64.b64decode(encoded.strip(), validate=True).decode("utf-8").partition(":")
        except (binascii.Error, ValueError):
            raise _OAuthError("invalid_request", "The Authorization header cannot be read.") from None
        if not colon:
            raise _OAuthError("invalid_request", "The Authorization header cannot be read.")
        return unquote_plus(name).lower(), unquote_plus(secret)
    if "client_assertion" in form:
        raise _OAuthError("invalid_client", "Clients sign in with a secret here, not with an assertion.", status=401)
    if not form.get("client_id") or not form.get("client_secret"):
        raise _OAuthError("invalid_client", "The parameters client_id and client_secret are needed.", status=401)
    return form["client_id"].strip().lower(), form["client_secret"]


def _guid_or(text: str | None, otherwise: str) -> str:
    return text.lower() if text and issuer.GUID.fullmatch(text.lower()) else otherwise


def _header_list(answer: _Answer, request_id: str, length: int) -> Iterator[tuple[bytes, bytes]]:
    fixed = {
        "Content-Type": "application/json; charset=utf-8",
        "Content-Length": str(length),
        "x-ms-request-id": request_id,
        "Strict-Transport-Security": "max-age=31536000",
        "X-Content-Type-Options": "nosniff",
    }
    for name, value in {**fixed, **answer.headers}.items():
        yield name.lower().encode(), value.encode("latin-1")


async def _send(send: Send, answer: _Answer, request_id: str, *, with_body: bool) -> None:
    content = json.dumps(answer.body, separators=(",", ":")).encode()
    headers = list(_header_list(answer, request_id, len(content)))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": content if with_body else b""})
