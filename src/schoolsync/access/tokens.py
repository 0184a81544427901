"""Whose request is it: verifies bearer tokens and turns them into a `Principal`.

Only signatures by a known key of the built-in issuer or a trusted one are believed (RS256, or what a trusted issuer's
entry allows), never `none` and never a shared-secret algorithm; lifetime, audience, and that issuer and tenant belong
together are checked on every first sight. What was verified is remembered for a short while by its hash, because every
request brings a token. Tokens and names in them are never logged.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from joserfc import jwt
from joserfc.errors import ExpiredTokenError, InvalidClaimError, JoseError
from joserfc.jwk import Key
from joserfc.jws import JWSRegistry
from joserfc.util import urlsafe_b64decode

from schoolsync import ticks
from schoolsync.access import egress, issuer, trusted
from schoolsync.access.claims import MALFORMED as _MALFORMED
from schoolsync.access.claims import Facts, is_issuer, read_foreign, read_own, speaks_for
from schoolsync.access.claims import Refusal as _Refusal
from schoolsync.access.issuer_keys import Issuers, KeysUnavailable, KeysWanted, Usable
from schoolsync.access.principal import Principal
from schoolsync.errors import Unauthenticated, WorldError
from schoolsync.settings import Settings
from schoolsync.store.control import Control

UNIX_EPOCH = ticks.parse("1970-01-01T00:00:00Z")
SKEW = 300  # seconds that clocks may differ
LONGEST = 16 * 1024  # characters of a token; Microsoft's have some 2 000
ISSUERS = 4  # that one token may wait for: it may be of any cloud
REMEMBERED = 4096  # verified tokens
REMEMBERED_FOR = 300  # seconds

_TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt"})

_EMPTY = "Access token is empty."
_EXPIRED = "Lifetime validation failed, the token is expired."
_EARLY = "Lifetime validation failed, the token is not yet valid."
_AUDIENCE = "Access token validation failure. Invalid audience."
_SIGNATURE = "Access token validation failure. Invalid signature."


class InvalidToken(Unauthenticated):
    """There is no token, or none that this server accepts; `challenge` is the answer's WWW-Authenticate header."""

    def __init__(self, message: str, *, challenge: str) -> None:
        super().__init__(message)
        self.challenge = challenge


@dataclass(frozen=True, slots=True)
class _Verified:
    principal: Principal
    until: int  # Unix seconds


class Verifier:
    """Verifies tokens of the built-in issuer and of the trusted ones. Safe to share between threads."""

    def __init__(self, control: Control, settings: Settings, clock: Callable[[], int]) -> None:
        self._control = control
        self._clock = clock
        self._folder = settings.keys
        self._key = issuer.signing_key(settings.keys) if settings.built_in_issuer else None
        self._audiences = [*issuer.GRAPH_AUDIENCES, *settings.audiences]
        self._foreign_audiences = [name for name in settings.audiences if name not in issuer.GRAPH_AUDIENCES]
        self._issuers = Issuers(
            trusted.find(settings.issuers, settings.data_dir),
            policy=egress.Policy.of(settings.egress_allow),
            folder=settings.keys / "issuers",
        )
        self._challenge = (
            f'Bearer realm="", authorization_uri="{settings.base_url}/common/oauth2/authorize", '
            f'client_id="{issuer.GRAPH_APP}"'
        )
        self._lock = threading.Lock()
        self._verified: dict[bytes, _Verified] = {}

    def verify(self, authorization: str | None, now: int | None = None) -> Principal:
        """The caller that an `Authorization` header names; `now` in ticks.

        Raises InvalidToken with Graph's message when there is no token or it is not accepted, KeysWanted when a
        trusted issuer is being asked for its keys (`identify` waits for that), WorldError when it could not be asked.
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
        said = _unverified(token)
        if said is None:
            raise _Refusal(_MALFORMED)
        header, claims = said
        kid = header.get("kid")
        if not isinstance(kid, str):
            raise _Refusal(_SIGNATURE)
        own = self._key.get() if self._key is not None else None
        if own is not None and kid != own.kid:
            own = issuer.retired(self._folder, kid, seconds)
        if own is not None:
            claims = _decoded(token, own, (issuer.ALGORITHM,))
            _check_lifetime(claims, seconds)
            _check_audience(claims, self._audiences)
            facts = read_own(claims)
        else:
            facts = self._foreign(token, kid, claims, seconds)
        tenant = self._control.tenant_number(facts.tenant_id, now)
        token_id = next((claims[name] for name in ("uti", "jti") if isinstance(claims.get(name), str)), None)
        principal = replace(facts, token=token_id[:128] if token_id else None).principal(tenant)
        return _Verified(principal, min(facts.expires + SKEW, seconds + REMEMBERED_FOR))

    def _foreign(self, token: str, kid: str, claims: dict[str, Any], seconds: int) -> Facts:
        """What a token of a trusted issuer says. The unverified `claims` only tell which issuer to ask."""
        iss, said = claims.get("iss"), claims.get("ver")
        later: KeysWanted | KeysUnavailable | None = None
        for candidate in self._issuers.all():
            version = str(said) if candidate.kind == "entra" and said in ("1.0", "2.0") else ""
            if not speaks_for(candidate, iss, claims, version):
                continue
            try:
                published = self._issuers.keys(candidate, version).published(kid)
            except (KeysWanted, KeysUnavailable) as problem:  # that one is away is no reason not to ask the others
                later = problem if later is None or isinstance(problem, KeysWanted) else later
                continue
            usable = published.keys.get(kid)
            # Clouds may sign in the same name, each with keys of its own.
            if usable is None or not is_issuer(candidate, published.issuer, iss, claims):
                continue
            checked, tied = _verified_by(token, usable, candidate.algorithms)
            _check_lifetime(checked, seconds)
            _check_audience(checked, [*candidate.audiences, *self._foreign_audiences])
            return read_foreign(candidate, checked, tied=tied)
        if later is not None:
            raise later
        raise _Refusal(_SIGNATURE)

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


def _unverified(token: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Header and claims of what looks like a token for us, believed by nobody yet; None when it does not look so."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        header, claims = (json.loads(urlsafe_b64decode(part.encode())) for part in parts[:2])
    except (ValueError, RecursionError):
        return None
    if not isinstance(header, dict) or not isinstance(claims, dict):
        return None
    kind = header.get("typ", "JWT")
    # What an issuer signs for another purpose, such as the end of a session, says so (RFC 8725, 3.11).
    return (header, claims) if isinstance(kind, str) and kind.lower() in _TYPES else None


def _decoded(token: str, key: Key, algorithms: Sequence[str]) -> dict[str, Any]:
    """The claims, signed by `key` with one of the allowed algorithms."""
    try:
        return jwt.decode(token, key, algorithms=[*algorithms], registry=_registry(tuple(algorithms))).claims
    except (JoseError, ValueError, RecursionError) as problem:
        raise _Refusal(_SIGNATURE) from problem


def _verified_by(token: str, usable: Sequence[Usable], algorithms: Sequence[str]) -> tuple[dict[str, Any], str | None]:
    """The claims, signed by one of the keys, and the issuer that this one is tied to."""
    *others, last = usable
    for one in others:
        try:
            return _decoded(token, one.key, algorithms), one.tied
        except _Refusal:
            continue
    return _decoded(token, last.key, algorithms), last.tied


@cache
def _registry(algorithms: tuple[str, ...]) -> JWSRegistry:
    return JWSRegistry(algorithms=[*algorithms])


def _check_audience(claims: dict[str, Any], audiences: list[str]) -> None:
    registry = jwt.JWTClaimsRegistry(aud={"essential": True, "values": audiences})
    try:
        registry.validate({"aud": claims.get("aud")})
    except JoseError as problem:
        raise _Refusal(_AUDIENCE) from problem


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


async def identify(verify: Callable[[str | None, int], Principal], authorization: str | None, now: int) -> Principal:
    """`verify`, waiting without blocking anybody while an issuer is asked for its keys."""
    for _ in range(ISSUERS):
        try:
            return verify(authorization, now)
        except KeysWanted as wanted:
            await asyncio.wrap_future(wanted.future)
    try:
        return verify(authorization, now)
    except KeysWanted as wanted:
        raise WorldError("A trusted issuer's keys cannot be fetched now.") from wanted
