"""Secrets that are offered to a server in vain, and a look for them, whole and in pieces."""

from __future__ import annotations

import time
import uuid

import httpx

from schoolsync.access import issuer

from .house import WRITE, Server, Tenant

PIECE = 8
"""Characters of a secret that may stand nowhere; a few are in every text by chance."""


def refused(tenant: Tenant) -> list[str]:
    """Tokens that are nearly right: changed by one character in each part, expired, and for another audience."""
    server = tenant.server
    good = server.token(tenant.id, scope=WRITE)
    head, claims, _ = good.split(".")
    changed = []
    for at in (len(head) // 2, len(head) + len(claims) // 2, len(good) - 100):
        other = "A" if good[at] != "A" else "B"
        changed.append(good[:at] + other + good[at + 1 :])
    elsewhere = issuer.mint(
        issuer.signing_key(server.data / "keys").get(),
        issuer.Grant(tenant_id=tenant.id, client=str(uuid.uuid4()), scopes=(WRITE,), audience="https://other.example"),
        base_url=server.base,
        now=int(time.time()),
        lifetime=600,
        token_id=str(uuid.uuid4()),
    )
    return [*changed, server.token(tenant.id, scope=WRITE, expires_in=-3600), elsewhere]


def offer(server: Server, tokens: list[str]) -> list[httpx.Response]:
    """What each token is answered, as a bearer of every face and where no token belongs."""
    answers = []
    for token in tokens:
        bearer = {"Authorization": f"Bearer {token}"}
        for path in ("v1.0/education/synchronizationProfiles", "schoolsync/v1/profiles", "beta/nowhere", "metrics"):
            answers.append(server.http.get(f"{server.base}/{path}", headers=bearer))
        answers.append(server.http.get(f"{server.base}/v1.0/education/me", headers={"Authorization": token}))
        asked = [{"id": "1", "method": "GET", "url": "/education/users", "headers": bearer}]
        answers.append(server.http.post(f"{server.base}/v1.0/$batch", json={"requests": asked}, headers=bearer))
    return answers


def pieces(secrets: list[str], text: str) -> list[str]:
    """The pieces of the secrets that stand in a text."""
    wanted = {secret[at : at + PIECE] for secret in secrets for at in range(len(secret) - PIECE + 1)}
    return sorted(piece for piece in wanted if piece in text)
