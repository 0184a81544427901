"""The built-in issuer over HTTP: discovery, public keys, and tokens for registered clients.

It answers where Microsoft's identity platform would, so MSAL and azure-identity work when their authority is this
server and instance discovery is off. Registered clients get tokens for their secret, programs that act for a person
for a code: one that an operator or the person answered (`access.devices`), or one that a browser brought back after the
person signed in (`access.sign_in_page`). Errors have OAuth 2.0's shape, never Graph's.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote_plus

import structlog

from schoolsync import ticks
from schoolsync.access import clients, devices, issuer, permissions, refreshing, sign_ins
from schoolsync.access.oauth import (
    NO_STORE,
    Answer,
    Asgi,
    Guard,
    OAuthError,
    Receive,
    Scope,
    Send,
    body_of,
    form_of,
    guid_or,
    only,
    send_answer,
)
from schoolsync.access.sign_in_page import BESIDE, Languages, SignInPage, english
from schoolsync.access.tokens import UNIX_EPOCH
from schoolsync.errors import SchoolsyncError
from schoolsync.settings import Settings
from schoolsync.store.control import Control
from schoolsync.store.directories import Directories

LIFETIME = 3600  # seconds that a token fetched over HTTP lives
OPENID = "openid"
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_ANY_TENANT = frozenset({"common", "organizations"})
_TENANT = re.compile(rf"{issuer.GUID.pattern}|common|organizations|consumers")

_STANDING = {
    devices.Answer.PENDING: "Nobody has answered the code yet: ask again.",
    devices.Answer.SLOW_DOWN: "Asked too often: wait five seconds longer each time.",
    devices.Answer.DENIED: "The operator has refused the code.",
    devices.Answer.EXPIRED: "The code is unknown, used, or its time is over: begin anew.",
}

log = structlog.get_logger()


def app(
    control: Control,
    settings: Settings,
    clock: Callable[[], int],
    directories: Directories,
    languages: Languages = english,
) -> Asgi:
    """The issuer as an ASGI application; `clock` gives ticks, `languages` those of the page where people sign in."""
    return _Issuer(control, settings, clock, directories, languages)


class _Issuer:
    def __init__(
        self,
        control: Control,
        settings: Settings,
        clock: Callable[[], int],
        directories: Directories,
        languages: Languages,
    ) -> None:
        self._control = control
        self._settings = settings
        self._clock = clock
        self._key = issuer.signing_key(settings.keys)
        self._guard = Guard()
        self._page = SignInPage(
            control=control,
            settings=settings,
            clock=clock,
            guard=self._guard,
            directories=directories,
            languages=languages,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request_id = str(uuid.uuid4())
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            answer = await self._answer(scope, headers, receive, request_id)
        except OAuthError as problem:
            answer = self._error(problem, request_id, headers)
        except SchoolsyncError as problem:
            log.warning("the token issuer cannot work", problem=str(problem), request=request_id)
            failure = OAuthError("temporarily_unavailable", "The issuer cannot work now: try again.", status=503)
            answer = self._error(failure, request_id, headers)
        except Exception:
            log.exception("the token issuer failed", request=request_id)
            failure = OAuthError("server_error", "The issuer failed; its log tells more.", status=500)
            answer = self._error(failure, request_id, headers)
        await send_answer(send, answer, request_id, with_body=scope["method"] != "HEAD")

    def _error(self, problem: OAuthError, request_id: str, headers: dict[str, str]) -> Answer:
        body = {
            "error": problem.code,
            "error_description": f"{problem} Trace ID: {request_id}",
            "timestamp": ticks.moment(self._clock()).strftime("%Y-%m-%d %H:%M:%SZ"),
            "trace_id": request_id,
            "correlation_id": guid_or(headers.get("client-request-id"), request_id),
        }
        return Answer(problem.status, body, {**NO_STORE, **problem.headers})

    async def _answer(self, scope: Scope, headers: dict[str, str], receive: Receive, request_id: str) -> Answer:
        if not self._settings.built_in_issuer:
            raise OAuthError("invalid_request", "This server gives out no tokens: ask your own issuer.", status=404)
        parts = [part for part in scope["path"].lower().split("/") if part]
        tenant, rest = (parts[0], "/".join(parts[1:])) if parts else ("", "")
        if not _TENANT.fullmatch(tenant):
            raise OAuthError("invalid_request", "The path must start with the tenant's GUID.", status=404)
        method = scope["method"]
        match rest:
            case "oauth2/v2.0/token" | "oauth2/token":
                only(method, "POST")
                version: issuer.Version = "2.0" if "v2.0" in rest else "1.0"
                return await self._token(scope, headers, receive, tenant, version)
            case "oauth2/v2.0/revoke":
                only(method, "POST")
                return await self._revoked(headers, receive, tenant)
            case "oauth2/v2.0/devicecode":
                only(method, "POST")
                return await self._device(headers, receive, tenant)
            case "v2.0/.well-known/openid-configuration":
                only(method, "GET", "HEAD")
                return self._configuration(tenant, "2.0")
            case ".well-known/openid-configuration":
                only(method, "GET", "HEAD")
                return self._configuration(tenant, "1.0")
            case "discovery/v2.0/keys" | "discovery/keys":
                only(method, "GET", "HEAD")
                key = await asyncio.to_thread(self._key.get)
                now = (self._clock() - UNIX_EPOCH) // ticks.PER_SECOND
                retired = await asyncio.to_thread(issuer.all_retired, self._settings.keys, now)
                return Answer(200, issuer.public_keys(key, *retired), {"Cache-Control": "max-age=3600"})
            case "oauth2/v2.0/authorize" | "oauth2/authorize":
                number = await self._known(tenant)
                return await self._page.answer(
                    scope, headers, receive, tenant_id=tenant, tenant=number, request=request_id
                )
        raise OAuthError("invalid_request", "There is no such endpoint.", status=404)

    def _configuration(self, tenant: str, version: issuer.Version) -> Answer:
        base = self._settings.base_url
        infix = "/v2.0" if version == "2.0" else ""
        body = {
            "issuer": issuer.issuer(base, "{tenantid}" if tenant in _ANY_TENANT else tenant, version),
            "authorization_endpoint": f"{base}/{tenant}/oauth2{infix}/authorize",
            "token_endpoint": f"{base}/{tenant}/oauth2{infix}/token",
            "device_authorization_endpoint": f"{base}/{tenant}/oauth2/v2.0/devicecode",
            "revocation_endpoint": f"{base}/{tenant}/oauth2/v2.0/revoke",
            "jwks_uri": f"{base}/{tenant}/discovery{infix}/keys",
            "token_endpoint_auth_methods_supported": ["none", "client_secret_post", "client_secret_basic"],
            "grant_types_supported": ["client_credentials", "authorization_code", "refresh_token", DEVICE_GRANT],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": [issuer.ALGORITHM],
            "scopes_supported": [f"{issuer.GRAPH}/.default"],
            "claims_supported": ["aud", "iss", "iat", "nbf", "exp", "tid", "oid", "sub", "roles", "scp", "ver"],
            "request_uri_parameter_supported": False,
        }
        return Answer(200, body, {"Cache-Control": "max-age=3600", "Access-Control-Allow-Origin": "*"})

    async def _token(
        self, scope: Scope, headers: dict[str, str], receive: Receive, tenant: str, version: issuer.Version
    ) -> Answer:
        form = form_of(headers, await body_of(headers, receive))
        grant_type = form.get("grant_type")
        if grant_type is None:
            raise OAuthError("invalid_request", "The parameter grant_type is missing.")
        if grant_type in {DEVICE_GRANT, "device_code"} and version == "2.0":
            return await self._signed_in(form, tenant)
        if grant_type == "authorization_code" and version == "2.0":
            return await self._redeemed(form, tenant)
        if grant_type == "refresh_token" and version == "2.0":
            return await self._refreshed(form, tenant)
        if grant_type != "client_credentials":
            raise OAuthError(
                "unsupported_grant_type",
                "Granted are client_credentials, authorization_code, device codes and refresh_token.",
            )
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
        return Answer(200, body, NO_STORE)

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

    async def _device(self, headers: dict[str, str], receive: Receive, tenant: str) -> Answer:
        """A program wants to act for a person: the code to show."""
        form = form_of(headers, await body_of(headers, receive))
        client = self._public_client(form)
        number = await self._known(tenant)
        asked = (scope.rpartition("/")[2] for scope in form.get("scope", "").split())
        scopes = tuple(dict.fromkeys(scope for scope in asked if scope not in BESIDE or scope == refreshing.OFFLINE))
        for scope in scopes:
            if scope not in permissions.KNOWN_SCOPES and scope != refreshing.OFFLINE:
                raise OAuthError("invalid_scope", "The scope holds a permission that is not known here.")
        made = await asyncio.to_thread(
            devices.begin, self._control, tenant=number, client=client, scopes=scopes, now=self._clock()
        )
        if made is None:
            raise OAuthError(
                "temporarily_unavailable", "Too many codes wait at once.", status=429, headers={"Retry-After": "60"}
            )
        secret, code = made
        page = f"{self._settings.base_url}/{tenant}/oauth2/v2.0/authorize"
        body = {
            "device_code": secret,
            "user_code": code,
            "verification_uri": page,
            "expires_in": devices.LIFETIME,
            "interval": devices.INTERVAL,
            "message": f"Open {page} and type the code {code}. Without an account of your own, tell the code to "
            f"whoever runs this schoolsync. They type: schoolsync device approve {code} --tenant {tenant} --user YOU",
        }
        return Answer(200, body, NO_STORE)

    async def _signed_in(self, form: dict[str, str], tenant: str) -> Answer:
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
            raise OAuthError(found, _STANDING[found])
        return await self._for_person(tenant, client, found)

    async def _redeemed(self, form: dict[str, str], tenant: str) -> Answer:
        """The token for a code that a browser brought back."""
        client = self._public_client(form)
        number = await self._known(tenant)
        found = await asyncio.to_thread(
            sign_ins.redeem,
            self._control,
            tenant=number,
            client=client,
            code=form.get("code", ""),
            redirect_uri=form.get("redirect_uri", ""),
            verifier=form.get("code_verifier", ""),
            now=self._clock(),
        )
        if found is None:
            raise OAuthError("invalid_grant", "The code is unknown, used, too old, or of another program: begin anew.")
        return await self._for_person(tenant, client, found.granted, nonce=found.nonce)

    async def _refreshed(self, form: dict[str, str], tenant: str) -> Answer:
        """A further token for a person who signed in before."""
        client = self._public_client(form)
        number = await self._known(tenant)
        found = await asyncio.to_thread(
            refreshing.redeem,
            self._control,
            tenant=number,
            client=client,
            token=form.get("refresh_token", ""),
            now=self._clock(),
        )
        if found is None:
            raise OAuthError("invalid_grant", "The refresh token is unknown, used or too old: sign in again.")
        return await self._for_person(tenant, client, found[0], follows=found[1])

    async def _revoked(self, headers: dict[str, str], receive: Receive, tenant: str) -> Answer:
        """A program signs its person out (RFC 7009)."""
        form = form_of(headers, await body_of(headers, receive))
        client = self._public_client(form)
        number = await self._known(tenant)
        await asyncio.to_thread(
            refreshing.revoke, self._control, tenant=number, client=client, token=form.get("token", "")
        )
        return Answer(200, {}, NO_STORE)

    async def _for_person(
        self, tenant: str, client: str, granted: devices.Granted, *, nonce: str | None = None, follows: str = ""
    ) -> Answer:
        """The answer with a person's token, and with an id token and a refresh token for programs that want them."""
        scopes = tuple(scope for scope in granted.scopes if scope not in {OPENID, refreshing.OFFLINE})
        grant = issuer.Grant(
            tenant_id=tenant,
            client=client,
            scopes=scopes,
            roles=granted.roles,
            user_id=granted.user_id,
            user_name=granted.user_name,
        )
        now = (self._clock() - UNIX_EPOCH) // ticks.PER_SECOND
        body = await self._minted(grant, "2.0", now)
        if OPENID in granted.scopes:
            body["id_token"] = await asyncio.to_thread(
                lambda: issuer.mint_id(
                    self._key.get(), grant, base_url=self._settings.base_url, now=now, lifetime=LIFETIME, nonce=nonce
                )
            )
        if refreshing.OFFLINE in granted.scopes:
            number = await self._known(tenant)
            follows = await asyncio.to_thread(
                refreshing.begin, self._control, tenant=number, client=client, granted=granted, now=self._clock()
            )
        if follows:
            body["refresh_token"] = follows
        log.info("token issued to a person's program", tenant=tenant, client=client)
        return Answer(200, body | {"scope": " ".join(granted.scopes)}, NO_STORE)

    def _public_client(self, form: dict[str, str]) -> str:
        client = form.get("client_id", "").lower()
        if not issuer.GUID.fullmatch(client):
            raise OAuthError("invalid_request", "The parameter client_id must be a GUID of the program's own.")
        return client

    async def _known(self, tenant: str) -> int:
        number = None
        if issuer.GUID.fullmatch(tenant):
            number = await asyncio.to_thread(self._control.known_tenant, tenant)
        if number is None:
            raise OAuthError("invalid_request", "There is no such tenant here: name the one to sign in to.")
        return number

    def _audience(self, form: dict[str, str], version: issuer.Version) -> tuple[str, str]:
        """The resource that was asked for and the audience of its tokens."""
        if version == "1.0":
            resource = form.get("resource", "")
            if not resource:
                raise OAuthError("invalid_request", "The parameter resource is missing.")
        else:
            scopes = form.get("scope", "").split()
            if not scopes:
                raise OAuthError("invalid_request", "The parameter scope is missing.")
            if len(scopes) > 1 or not scopes[0].lower().endswith("/.default"):
                raise OAuthError("invalid_scope", f"The scope must be one resource, such as {issuer.GRAPH}/.default.")
            resource = scopes[0][: -len("/.default")]
        if resource in issuer.GRAPH_AUDIENCES or resource in self._settings.audiences:
            return resource, resource
        if resource.rstrip("/") == self._settings.base_url:  # SDKs derive the scope from the base URL
            return resource, issuer.GRAPH
        code = "invalid_resource" if version == "1.0" else "invalid_scope"
        raise OAuthError(code, f"There is no such resource here; ask for {issuer.GRAPH}.")

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
        raise OAuthError(
            "invalid_client",
            "There is no such client in this tenant, or its secret is wrong.",
            status=401,
            headers=challenge,
        )


def _credentials(headers: dict[str, str], form: dict[str, str]) -> tuple[str, str]:
    """Client id (lower case) and secret, from the form or from Basic authentication, never from both."""
    scheme, _, encoded = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        if "client_secret" in form:
            raise OAuthError("invalid_request", "Send the client's secret in one way only.")
        try:
            name, colon, secret = base64.b64decode(encoded.strip(), validate=True).decode("utf-8").partition(":")
        except (binascii.Error, ValueError):
            raise OAuthError("invalid_request", "The Authorization header cannot be read.") from None
        if not colon:
            raise OAuthError("invalid_request", "The Authorization header cannot be read.")
        return unquote_plus(name).lower(), unquote_plus(secret)
    if "client_assertion" in form:
        raise OAuthError("invalid_client", "Clients sign in with a secret here, not with an assertion.", status=401)
    if not form.get("client_id") or not form.get("client_secret"):
        raise OAuthError("invalid_client", "The parameters client_id and client_secret are needed.", status=401)
    return form["client_id"].strip().lower(), form["client_secret"]
