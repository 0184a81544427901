"""Whose request is it: verifies bearer tokens and turns them into a `Principal`.

Only RS256 signatures by a known key are believed, never `none` and never a shared-secret algorithm; lifetime,
audience, and that issuer and tenant belong together are checked on every first sight. What was verified is remembered
for a short while by its hash, because every request brings a token. Tokens and names in them are never logged.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from joserfc import jwt
from joserfc.errors import ExpiredTokenError, InvalidClaimError, JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry
from joserfc.util import urlsafe_b64decode

from schoolsync import ticks
from schoolsync.access import issuer
from schoolsync.access.principal import Principal
from schoolsync.access.roles import NAMES
from schoolsync.errors import Unauthenticated
from schoolsync.settings import Settings
from schoolsync.store.control import Control

UNIX_EPOCH = ticks.parse("1970-01-01T00:00:00Z")
SKEW = 300  # seconds that clocks may differ
LONGEST = 16 * 1024  # characters of a token; Microsoft's have some 2 000
REMEMBERED = 4096  # verified tokens
REMEMBERED_FOR = 300  # seconds

_EMPTY = "Access token is empty."
_MALFORMED = "CompactToken parsing failed with error code: 80049217"
_EXPIRED = "Lifetime validation failed, the token is expired."
_EARLY = "Lifetime validation failed, the token is not yet valid."
_AUDIENCE = "Access token validation failure. Invalid audience."
_SIGNATURE = "Access token validation failure. Invalid signature."
_ISSUER = "Access token validation failure. Invalid issuer."
_TENANT = "Access token validation failure. Invalid tenant."


class InvalidToken(Unauthenticated):
    """There is no token, or none that this server accepts; `challenge` is the answer's WWW-Authenticate header."""

    def __init__(self, message: str, *, challenge: str) -> None:
        super().__init__(message)
        self.challenge = challenge


class _Refusal(Exception):
    """Why a token is not accepted."""


@dataclass(frozen=True, slots=True)
class _Verified:
    principal: Principal
    until: int  # Unix seconds


class Verifier:
    """Verifies tokens of the built-in issuer. Safe to share between threads."""

    def __init__(self, control: Control, settings: Settings, clock: Callable[[], int]) -> None:
        self._control = control
        self._clock = clock
        self._key = issuer.signing_key(settings.keys)
        self._audiences = [*issuer.GRAPH_AUDIENCES, *settings.audiences]
        self._challenge = (
            f'Bearer realm="", authorization_uri="{settings.base_url}/common/oauth2/authorize", '
            f'client_id="{issuer.GRAPH_APP}"'
        )
        self._registry = JWSRegistry(algorithms=[issuer.ALGORITHM])
        self._lock = threading.Lock()
        self._verified: dict[bytes, _Verified] = {}

    def verify(self, authorization: str | None, now: int | None = None) -> Principal:
        """The caller that an `Authorization` header names; `now` in ticks.

        Raises InvalidToken with Graph's message when there is no token or it is not accepted.
        """
        now = self._clock() if now is None else now
        seconds = (now - UNIX_EPOCH) // ticks.PER_SECOND
        try:
            token = _bearer(authorization)
            digest = hashlib.sha256(token.encode()).digest()
            known = self._verified.get(digest)
            if known is not None and seconds < known.until:
                return known.principal
            verified = self._fresh(token, seconds, now)
        except _Refusal as refusal:
            raise InvalidToken(str(refusal), challenge=self._challenge) from refusal.__cause__
        self._remember(digest, verified, seconds)
        return verified.principal

    def _fresh(self, token: str, seconds: int, now: int) -> _Verified:
        key = self._key.get()
        try:
            decoded = jwt.decode(token, KeySet([key]), algorithms=[issuer.ALGORITHM], registry=self._registry)
        except (JoseError, ValueError, RecursionError) as problem:
            # Which of the two it was is of use to the caller, and nothing a forger does not know.
            raise _Refusal(_SIGNATURE if _readable(token) else _MALFORMED) from problem
        if not isinstance(decoded.header.get("kid"), str):
            raise _Refusal(_SIGNATURE)
        claims = decoded.claims
        _check_lifetime(claims, seconds)
        self._check_audience(claims)
        tenant_id = _tenant(claims)
        principal = _principal(claims, tenant=self._control.tenant_number(tenant_id, now), tenant_id=tenant_id)
        return _Verified(principal, min(int(claims["exp"]) + SKEW, seconds + REMEMBERED_FOR))

    def _check_audience(self, claims: dict[str, Any]) -> None:
        registry = jwt.JWTClaimsRegistry(aud={"essential": True, "values": self._audiences})
        try:
            registry.validate({"aud": claims.get("aud")})
        except JoseError as problem:
            raise _Refusal(_AUDIENCE) from problem

    def _remember(self, digest: bytes, verified: _Verified, seconds: int) -> None:
        with self._lock:
            if len(self._verified) >= REMEMBERED:
                self._verified = {key: entry for key, entry in self._verified.items() if entry.until > seconds}
            if len(self._verified) >= REMEMBERED:
                self._verified.clear()
            self._verified[digest] = verified


def _bearer(authorization: str | None) -> str:
    """The token in an `Authorization` header; the scheme in any letter case."""
    scheme, _, token = (authorization or "").strip().partition(" ")
    token = token.strip()
    if not token and scheme.lower() in {"", "bearer"}:
        raise _Refusal(_EMPTY)
    if scheme.lower() != "bearer" or len(token) > LONGEST or not token.isascii():
        raise _Refusal(_MALFORMED)
    return token


def _readable(token: str) -> bool:
    """Whether a token looks like one: three parts, of which the first two are JSON objects."""
    parts = token.split(".")
    if len(parts) != 3:
        return False
    try:
        return all(isinstance(json.loads(urlsafe_b64decode(part.encode())), dict) for part in parts[:2])
    except (ValueError, RecursionError):
        return False


def _check_lifetime(claims: dict[str, Any], seconds: int) -> None:
    registry = jwt.JWTClaimsRegistry(now=seconds, leeway=SKEW, exp={"essential": True})
    try:
        registry.validate({name: claims[name] for name in ("exp", "nbf", "iat") if name in claims})
    except ExpiredTokenError as problem:
        raise _Refusal(_EXPIRED) from problem
    except InvalidClaimError as problem:
        raise _Refusal(_EARLY) from problem
    except JoseError as problem:
        raise _Refusal(_MALFORMED) from problem


def _tenant(claims: dict[str, Any]) -> str:
    """The tenant of a token whose `iss` was issued for the same tenant."""
    tenant = claims.get("tid")
    if not isinstance(tenant, str) or not issuer.GUID.fullmatch(tenant.lower()):
        raise _Refusal(_TENANT)
    iss, version = claims.get("iss"), claims.get("ver")
    if not isinstance(iss, str) or version not in ("1.0", "2.0"):  # a tuple: a claim may be unhashable
        raise _Refusal(_ISSUER)
    if issuer.issued_for(iss.lower(), version) != tenant.lower():
        raise _Refusal(_ISSUER)
    return tenant.lower()


def _principal(claims: dict[str, Any], *, tenant: int, tenant_id: str) -> Principal:
    scopes, roles = claims.get("scp", ""), claims.get("roles", [])
    if not isinstance(scopes, str) or not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
        raise _Refusal(_MALFORMED)

    def text(*names: str) -> str | None:
        return next((value for name in names if isinstance(value := claims.get(name), str) and value), None)

    facts = {
        "user_name": text("upn", "preferred_username", "unique_name"),
        "client": text("appid", "azp"),
    }
    user_id = text("oid", "sub")
    if scopes.split():
        return Principal(
            tenant=tenant,
            tenant_id=tenant_id,
            kind="delegated",
            grants=frozenset(scopes.split()),
            user_id=user_id,
            roles=NAMES.intersection(roles),
            **facts,
        )
    # Roles that were given to a person are not an application's: without scopes they open nothing.
    if roles and claims.get("idtyp") != "user":
        return Principal(
            tenant=tenant,
            tenant_id=tenant_id,
            kind="application",
            grants=frozenset(roles),
            roles=NAMES.intersection(roles),
            client=facts["client"],
        )
    return Principal(
        tenant=tenant, tenant_id=tenant_id, kind="none", grants=frozenset(), user_id=user_id, client=facts["client"]
    )
