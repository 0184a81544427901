"""What the claims of a verified token say: tenant, caller, permissions.

Claims come in three dialects: the built-in issuer's and Entra's, which are alike (v1.0 and v2.0 forms), and those of an
OpenID Connect issuer, whose claim names its entry in the issuers file tells. All end as the same `Facts`. Pure; a
`Refusal` says in Graph's words what does not fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from schoolsync.access import issuer
from schoolsync.access.principal import Principal
from schoolsync.access.roles import NAMES
from schoolsync.access.trusted import Trusted

MALFORMED = "CompactToken parsing failed with error code: 80049217"
ISSUER = "Access token validation failure. Invalid issuer."
TENANT = "Access token validation failure. Invalid tenant."
APP = "Access token validation failure. The application is not allowed."

_TENANT_MARK = "{tenantid}"

Claims = Mapping[str, Any]  # JWT claims are of any JSON kind


class Refusal(Exception):
    """Why a token is not accepted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a token says about its bearer."""

    tenant_id: str
    expires: int  # Unix seconds
    kind: Literal["delegated", "application", "none"]
    grants: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    user_id: str | None = None
    user_name: str | None = None
    client: str | None = None
    issuer: str | None = None
    token: str | None = None

    def principal(self, tenant: int) -> Principal:
        """The caller, in the tenant with this number."""
        return Principal(
            tenant=tenant,
            tenant_id=self.tenant_id,
            kind=self.kind,
            grants=self.grants,
            roles=self.roles,
            user_id=self.user_id,
            user_name=self.user_name,
            client=self.client,
            issuer=self.issuer,
            token=self.token,
        )


def read_own(claims: Claims) -> Facts:
    """A token of the built-in issuer."""
    tenant = _guid(claims.get("tid"))
    iss, version = claims.get("iss"), claims.get("ver")
    if not isinstance(iss, str) or version not in ("1.0", "2.0"):  # a tuple: a claim may be unhashable
        raise Refusal(ISSUER)
    if issuer.issued_for(iss.lower(), version) != tenant:
        raise Refusal(ISSUER)
    return _microsoft(claims, tenant, issuer=None, roles=_texts(claims, "roles"))


def speaks_for(trusted: Trusted, iss: object, claims: Claims, version: str) -> bool:
    """Whether a token, unverified yet, may be one of this issuer's; a yes is worth asking for its keys, no more."""
    if not isinstance(iss, str):
        return False
    if trusted.kind == "oidc":
        return iss == trusted.url
    tenant = claims.get("tid")
    return bool(version) and isinstance(tenant, str) and trusted.allows_tenant(tenant.lower())


def is_issuer(trusted: Trusted, published: str, iss: object, claims: Claims) -> bool:
    """Whether `iss` is what the issuer publishes as its name, with the token's own tenant in it."""
    if trusted.kind == "oidc":
        return iss == published == trusted.url
    tenant = claims.get("tid")
    if not isinstance(tenant, str) or not isinstance(iss, str):
        return False
    named, tenant = iss.lower(), tenant.lower()
    return named == published.lower().replace(_TENANT_MARK, tenant) and tenant in named


def read_foreign(trusted: Trusted, claims: Claims, *, tied: str | None) -> Facts:
    """A verified token of a trusted issuer; `tied` is the issuer that its key may speak for, where the key says so."""
    facts = _entra(trusted, claims, tied) if trusted.kind == "entra" else _oidc(trusted, claims)
    if trusted.apps and facts.client not in trusted.apps:
        raise Refusal(APP)
    return facts


def _entra(trusted: Trusted, claims: Claims, tied: str | None) -> Facts:
    tenant = _guid(claims.get("tid"))
    if not trusted.allows_tenant(tenant):
        raise Refusal(TENANT)
    if tied is not None and _TENANT_MARK not in tied and tenant not in tied.lower():
        raise Refusal(ISSUER)  # a key of one tenant may not speak for another
    return _microsoft(claims, tenant, issuer=trusted.name, roles=_mapped(trusted, _texts(claims, "roles")))


def _microsoft(claims: Claims, tenant: str, *, issuer: str | None, roles: frozenset[str]) -> Facts:
    scopes = claims.get("scp", "")
    if not isinstance(scopes, str):
        raise Refusal(MALFORMED)
    client = _text(claims, "appid", "azp")
    name = _text(claims, "upn", "preferred_username", "unique_name")
    user = _text(claims, "oid", "sub")
    expires = int(claims["exp"])
    if scopes.split():
        return Facts(
            tenant_id=tenant,
            expires=expires,
            kind="delegated",
            grants=frozenset(scopes.split()),
            roles=NAMES & roles,
            user_id=user,
            user_name=name,
            client=client,
            issuer=issuer,
        )
    # Roles that were given to a person are not an application's: without scopes they open nothing.
    if roles and client is not None and _is_program(claims):
        return Facts(
            tenant_id=tenant,
            expires=expires,
            kind="application",
            grants=roles,
            roles=NAMES & roles,
            client=client,
            issuer=issuer,
        )
    return Facts(tenant_id=tenant, expires=expires, kind="none", user_id=user, client=client, issuer=issuer)


def _is_program(claims: Claims) -> bool:
    """Whether a token without scopes was given to a program. Where it does not say so, a program's `sub` is its `oid`,
    and a person's is another for each program."""
    kind = claims.get("idtyp")
    return kind == "app" or (kind is None and claims.get("oid") == claims.get("sub"))


def _oidc(trusted: Trusted, claims: Claims) -> Facts:
    tenant = trusted.tenant if trusted.tenant is not None else _guid(_deep(claims, trusted.tenant_claim))
    if not trusted.allows_tenant(tenant):
        raise Refusal(TENANT)
    client = _text(claims, trusted.client_claim, "azp", "client_id")
    roles = _mapped(trusted, _values(_deep(claims, trusted.roles_claim)))
    expires = int(claims["exp"])
    # Which client is a program is for the issuers file to say: OpenID Connect has no claim for it, and a person whose
    # token passed for a program's would see everybody.
    if client is not None and client in trusted.applications:
        return Facts(
            tenant_id=tenant,
            expires=expires,
            kind="application" if roles else "none",
            grants=roles,
            roles=NAMES & roles,
            client=client,
            issuer=trusted.name,
        )
    user = _text(claims, trusted.user_claim)
    scopes = _values(_deep(claims, trusted.scope_claim))
    return Facts(
        tenant_id=tenant,
        expires=expires,
        kind="delegated" if scopes and user else "none",
        grants=scopes,
        roles=NAMES & roles,
        user_id=user,
        user_name=_text(claims, trusted.name_claim),
        client=client,
        issuer=trusted.name,
    )


def _guid(value: object) -> str:
    if not isinstance(value, str) or not issuer.GUID.fullmatch(value.lower()):
        raise Refusal(TENANT)
    return value.lower()


def _text(claims: Claims, *names: str) -> str | None:
    return next((value for name in names if isinstance(value := claims.get(name), str) and value), None)


def _texts(claims: Claims, name: str) -> frozenset[str]:
    value = claims.get(name, [])
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise Refusal(MALFORMED)
    return frozenset(value)


def _deep(claims: Claims, name: str) -> object:
    """A claim by its name, or by a path with dots (`realm_access.roles`)."""
    if name in claims:
        return claims[name]
    found: object = claims
    for part in name.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return None
        found = found[part]
    return found


def _values(value: object) -> frozenset[str]:
    """Several texts, as a list or separated by blanks."""
    if value is None:
        return frozenset()
    if isinstance(value, str):
        return frozenset(value.split())
    if isinstance(value, list) and all(isinstance(entry, str) for entry in value):
        return frozenset(value)
    raise Refusal(MALFORMED)


def _mapped(trusted: Trusted, roles: frozenset[str]) -> frozenset[str]:
    return roles | {meant for said, meant in trusted.role_map if said in roles}
