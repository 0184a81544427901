"""Codes of the authorization code flow (RFC 6749 and 7636): made when a person signed in, exchanged once for a token.

A code lives for a minute, is kept as a hash, and opens nothing without the verifier that its program made up (PKCE).
Programs here are public: they have no secret, so a code is only ever sent to where no other program listens: a port of
the person's own machine, or a page of this server.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from urllib.parse import urlsplit

from sqlalchemy import delete, insert, select

from schoolsync import ticks
from schoolsync.access.devices import Granted
from schoolsync.access.refreshing import OFFLINE
from schoolsync.store.control import Control
from schoolsync.store.control_tables import sign_ins

LIFETIME = 60  # seconds
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)  # a SHA-256 in base64url
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}", re.ASCII)
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a program asks for."""

    client: str
    redirect_uri: str
    challenge: str
    scopes: tuple[str, ...]  # none: all that the person has
    openid: bool = False
    offline: bool = False  # whether the program wants to go on when the person is not there
    state: str | None = None
    nonce: str | None = None

    @property
    def beside(self) -> tuple[str, ...]:
        """What is asked for and is no permission."""
        return (*(("openid",) if self.openid else ()), *((OFFLINE,) if self.offline else ()))


@dataclass(frozen=True, slots=True)
class Redeemed:
    """What a code was exchanged for."""

    granted: Granted
    nonce: str | None


def may_receive(redirect_uri: str, base_url: str) -> bool:
    """Whether a code may be sent to an address: this server's own, or a port of the machine where the person sits."""
    try:
        parts = urlsplit(redirect_uri)
        _ = parts.port
    except ValueError:
        return False
    if parts.fragment or parts.username or parts.password or not redirect_uri.isascii() or "\\" in redirect_uri:
        return False
    if parts.scheme == "http" and parts.hostname in _LOOPBACK:
        return True
    own = urlsplit(base_url)
    return (parts.scheme, parts.netloc.lower()) == (own.scheme, own.netloc.lower())


def is_challenge(text: str) -> bool:
    """Whether a text can be a challenge of the kind S256."""
    return _CHALLENGE.fullmatch(text) is not None


def begin(control: Control, *, tenant: int, question: Question, granted: Granted, now: int) -> str:
    """A new code for somebody who has just proved who they are."""
    code = secrets.token_urlsafe(32)
    with control.write(tenant) as connection:
        connection.execute(delete(sign_ins).where(sign_ins.c.tenant == tenant, sign_ins.c.expires <= now))
        connection.execute(
            insert(sign_ins).values(
                tenant=tenant,
                code_hash=_hash(code),
                client=question.client,
                redirect_uri=question.redirect_uri,
                challenge=question.challenge,
                nonce=question.nonce,
                user_id=granted.user_id,
                user_name=granted.user_name,
                scopes=" ".join((*granted.scopes, *question.beside)),
                roles=" ".join(granted.roles),
                expires=now + LIFETIME * ticks.PER_SECOND,
            )
        )
    return code


def redeem(
    control: Control, *, tenant: int, client: str, code: str, redirect_uri: str, verifier: str, now: int
) -> Redeemed | None:
    """What a code is good for, once; None when it is none, or not this program's. A wrong try uses it up."""
    mine = (sign_ins.c.tenant == tenant, sign_ins.c.code_hash == _hash(code))
    with control.write(tenant) as connection:
        row = connection.execute(select(sign_ins).where(*mine)).one_or_none()
        if row is None:
            return None
        connection.execute(delete(sign_ins).where(*mine))
    proof = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    fits = (
        row.expires > now
        and row.client == client
        and row.redirect_uri == redirect_uri
        and _VERIFIER.fullmatch(verifier) is not None
        and hmac.compare_digest(proof, row.challenge)
    )
    if not fits:
        return None
    granted = Granted(row.user_id, row.user_name, tuple(row.scopes.split()), tuple(row.roles.split()))
    return Redeemed(granted, row.nonce)


def _hash(code: str) -> str:
    return hashlib.sha256(code.encode(errors="replace")).hexdigest()
