"""Who is calling: what a verified token says, and nothing it does not."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
"""How ids of tenants, people and applications are written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """The caller of one request.

    `delegated` tokens act for a person and carry scopes; `application` tokens act for themselves and carry roles. A
    token with both is delegated, and of its roles only our own count: they are its person's. `none` carries neither
    and may do nothing.
    """

    tenant: int  # tenants.number
    tenant_id: str  # lower-case GUID
    kind: Literal["delegated", "application", "none"]
    grants: frozenset[str]  # scopes of a delegated token, roles of an application token
    user_id: str | None = None  # claim `oid` (or `sub`)
    user_name: str | None = None  # claim `upn`, `preferred_username` or `unique_name`; never logged
    client: str | None = None  # claim `appid` or `azp`
    issuer: str | None = None  # name of the trusted issuer that said so; None: the built-in one
    token: str | None = None  # claim `uti` or `jti`: which token it was
    roles: frozenset[str] = frozenset()  # roles of our own (`access.roles`) among the claim `roles`, of either kind

    @property
    def audit_name(self) -> str:
        """Stable, free of personal data: for logs and for `runs.asked_by`."""
        return f"{self.kind}:{self.user_id or self.client or 'unknown'}"
