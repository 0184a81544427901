"""The issuers whose tokens are believed beside the built-in one: Entra ID in any cloud, and any OpenID Connect issuer.

They are listed in a TOML file (setting `issuers`, or `issuers.toml` in the data directory), one `[[issuer]]` each. This
module reads and checks the list; `access.issuer_keys` fetches keys, `access.tokens` verifies. Design: docs/access.md.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from schoolsync.access import permissions
from schoolsync.access.egress import check_url
from schoolsync.access.issuer import GRAPH_AUDIENCES, GUID
from schoolsync.errors import UsageError

FILE = "issuers.toml"
ANY = "*"

ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"})
"""All that may be allowed. Those with a shared secret, and `none`, may not."""

CLOUDS: dict[str, str] = {
    "global": "https://login.microsoftonline.com",
    "usgov": "https://login.microsoftonline.us",
    "china": "https://login.partner.microsoftonline.cn",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trusted:
    """One trusted issuer, as its entry says."""

    name: str  # for messages and logs
    kind: Literal["entra", "oidc"]
    url: str  # entra: the cloud's authority; oidc: the `iss` of its tokens
    audiences: frozenset[str]
    tenants: frozenset[str]  # lower-case GUIDs that a token may name; or ANY
    tenant: str | None = None  # oidc: the directory of all its tokens, when no claim names one
    tenant_claim: str = "tid"
    apps: frozenset[str] = frozenset()  # client ids; empty: all
    applications: frozenset[str] = frozenset()  # oidc: clients whose tokens are a program's, not a person's
    algorithms: tuple[str, ...] = ("RS256",)
    discovery_url: str | None = None
    jwks_url: str | None = None
    authority_file: Path | None = None  # certificates trusted beside the system's
    user_claim: str = "sub"
    name_claim: str = "preferred_username"
    client_claim: str = "azp"
    scope_claim: str = "scope"
    roles_claim: str = "roles"
    role_map: tuple[tuple[str, str], ...] = ()  # value of the roles claim -> role that it means here
    console_client: str | None = None  # the console's client id there; None: nobody signs in to the console with it
    console_scopes: tuple[str, ...] = ("openid",)  # what the console asks for
    console_secret_file: Path | None = None  # where a confidential client's secret stands

    def discovery(self, version: str) -> str:
        """Where the issuer describes itself; Entra does so for each version of its tokens."""
        if self.kind == "oidc":
            return self.discovery_url or f"{self.url.rstrip('/')}/.well-known/openid-configuration"
        tenant = next(iter(self.tenants)) if len(self.tenants) == 1 and ANY not in self.tenants else "organizations"
        infix = "/v2.0" if version == "2.0" else ""
        return f"{self.url}/{tenant}{infix}/.well-known/openid-configuration"

    def allows_tenant(self, tenant: str) -> bool:
        """Whether a token of this issuer may open a tenant's directory."""
        return ANY in self.tenants or tenant in self.tenants


def find(setting: Path | None, data_dir: Path) -> Path | None:
    """The file that lists the issuers, if there is one."""
    if setting is not None:
        return setting
    path = data_dir / FILE
    return path if path.is_file() else None


def read(path: Path) -> tuple[Trusted, ...]:
    """The issuers that a file lists. Raises UsageError, naming file and entry, for whatever could not be meant."""
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except OSError as problem:
        raise UsageError(f"The issuers file {path} cannot be read: {problem.strerror}.") from problem
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise UsageError(f"The issuers file {path} is not valid TOML: {problem}.") from problem
    entries = content.pop("issuer", None)
    if content or not isinstance(entries, list) or not entries:
        raise UsageError(f"The issuers file {path} must hold one or more [[issuer]] tables and nothing else.")
    return tuple(_Entry(entry, f"{path}, issuer {number}").trusted() for number, entry in enumerate(entries, 1))


class _Entry:
    """One table of the file; every key is taken once and what is left over is a mistake."""

    def __init__(self, table: Any, where: str) -> None:  # TOML holds anything
        if not isinstance(table, dict):
            raise UsageError(f"{where}: this must be a table.")
        self._table = dict(table)
        self._where = where

    def wrong(self, sentence: str) -> UsageError:
        return UsageError(f"{self._where}: {sentence}.")

    def trusted(self) -> Trusted:
        kind = self._text("kind")
        if kind == "entra":
            found = self._entra()
        elif kind == "oidc":
            found = self._oidc()
        else:
            raise self.wrong('kind must be "entra" or "oidc"')
        if self._table:
            raise self.wrong(f"there is no key “{next(iter(self._table))}” for an issuer of kind {kind}")
        return found

    def _entra(self) -> Trusted:
        cloud = self._text("cloud", "global")
        url = self._text("authority", CLOUDS.get(cloud or "", ""))
        if not url:
            raise self.wrong(f"cloud must be one of {', '.join(CLOUDS)}")
        audiences = self._audiences()
        if audiences & GRAPH_AUDIENCES:
            raise self.wrong(
                "a token that Entra made for Graph can be validated by Graph alone: name the audience of your own app "
                "registration, such as api://schoolsync"
            )
        return Trusted(
            **self._console(("openid", *(f"{audience}/.default" for audience in sorted(audiences)[:1]))),
            name=self._text("name", f"entra-{cloud}") or "",
            kind="entra",
            url=self._url("authority", url).rstrip("/"),
            audiences=audiences,
            tenants=self._tenants(required=True),
            apps=self._texts("apps"),
            authority_file=self._path("ca"),
            roles_claim="roles",
            role_map=self._role_map(),
        )

    def _oidc(self) -> Trusted:
        url = self._url("url", self._text("url") or "")
        tenant = self._text("tenant")
        claim = self._text("tenant_claim", "" if tenant else "tid")
        if tenant is not None and (claim or not GUID.fullmatch(tenant.lower())):
            raise self.wrong("tenant must be a GUID, and stands instead of tenant_claim")
        tenants = frozenset({tenant.lower()}) if tenant else self._tenants(required=True)
        algorithms = tuple(sorted(self._texts("algorithms"))) or ("RS256",)
        for algorithm in algorithms:
            if algorithm not in ALGORITHMS:
                raise self.wrong(
                    f"the algorithm “{algorithm}” is not allowed; allowed are {', '.join(sorted(ALGORITHMS))}"
                )
        return Trusted(
            **self._console(("openid",)),
            name=self._text("name", url) or url,
            kind="oidc",
            url=url,
            audiences=self._audiences(),
            tenants=tenants,
            tenant=tenant.lower() if tenant else None,
            tenant_claim=claim or "",
            apps=self._texts("apps"),
            applications=self._texts("applications"),
            algorithms=algorithms,
            discovery_url=self._optional_url("discovery_url"),
            jwks_url=self._optional_url("jwks_url"),
            authority_file=self._path("ca"),
            user_claim=self._text("user_claim", "sub") or "sub",
            name_claim=self._text("name_claim", "preferred_username") or "",
            client_claim=self._text("client_claim", "azp") or "azp",
            scope_claim=self._text("scope_claim", "scope") or "scope",
            roles_claim=self._text("roles_claim", "roles") or "roles",
            role_map=self._role_map(),
        )

    def _console(self, scopes: tuple[str, ...]) -> dict[str, Any]:
        """How people of the console sign in there."""
        given = self._table.pop("console_scopes", [*scopes])
        if not isinstance(given, list) or not all(isinstance(one, str) and one for one in given):
            raise self.wrong("console_scopes must be a list of texts")
        return {
            "console_client": self._text("console_client"),
            "console_scopes": tuple(given),
            "console_secret_file": self._path("console_secret_file"),
        }

    def _text(self, key: str, default: str | None = None) -> str | None:
        value = self._table.pop(key, default)
        if value is not None and not isinstance(value, str):
            raise self.wrong(f"{key} must be a text")
        return value

    def _texts(self, key: str) -> frozenset[str]:
        value = self._table.pop(key, [])
        if not isinstance(value, list) or not all(isinstance(entry, str) and entry for entry in value):
            raise self.wrong(f"{key} must be a list of texts")
        return frozenset(value)

    def _url(self, key: str, value: str) -> str:
        try:
            check_url(value)
        except UsageError as problem:
            raise self.wrong(f"{key}: {str(problem).rstrip('.')}") from problem
        return value

    def _optional_url(self, key: str) -> str | None:
        value = self._text(key)
        return self._url(key, value) if value is not None else None

    def _path(self, key: str) -> Path | None:
        value = self._text(key)
        return Path(value) if value else None

    def _audiences(self) -> frozenset[str]:
        found = self._texts("audiences")
        if not found:
            raise self.wrong('audiences must name who the tokens are for, such as ["api://schoolsync"]')
        return found

    def _tenants(self, *, required: bool) -> frozenset[str]:
        found = frozenset(entry.lower() for entry in self._texts("tenants"))
        if required and not found:
            raise self.wrong('tenants must list the tenants that may come in, or be ["*"] for every tenant')
        if found != {ANY} and not all(GUID.fullmatch(entry) for entry in found):
            raise self.wrong('tenants must be GUIDs, or ["*"] alone')
        return found

    def _role_map(self) -> tuple[tuple[str, str], ...]:
        value = self._table.pop("role_map", {})
        if not isinstance(value, dict) or not all(isinstance(role, str) for role in value.values()):
            raise self.wrong("role_map must be a table of texts")
        for role in value.values():
            if role not in permissions.KNOWN_ROLES:
                raise self.wrong(f"role_map: there is no role “{role}”")
        return tuple(sorted(value.items()))
