"""The built-in token issuer: RS256 tokens for one machine, or for a district without an identity provider.

It speaks in the claim forms of Microsoft's v1.0 and v2.0 tokens, so whatever reads a Graph token can read these. It
trusts whoever may read the data directory (`schoolsync token`), knows a registered client's secret
(`access.issuer_http`) or the password of an account (`access.accounts`). Design: docs/access.md.
"""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from joserfc import jwt
from joserfc.jwk import RSAKey

from schoolsync.access import keys
from schoolsync.access.principal import GUID as GUID
from schoolsync.folders import listed

ALGORITHM = "RS256"
GRAPH = "https://graph.microsoft.com"
GRAPH_APP = "00000003-0000-0000-c000-000000000000"
GRAPH_AUDIENCES = frozenset({GRAPH, GRAPH + "/", GRAPH_APP})

Version = Literal["1.0", "2.0"]

RETIRED = "issuer-retired"
_KID = re.compile(r"[\w-]{1,64}", re.ASCII)
_NAMES = uuid.UUID("6f1d9f1e-3c55-4f6e-9a1b-5d1f0f5a7c11")  # name space of the ids that we derive
CLI_CLIENT = str(uuid.uuid5(_NAMES, "schoolsync token"))  # `appid` of tokens made on the command line


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a token says its bearer is and may do."""

    tenant_id: str  # lower-case GUID
    client: str  # GUID of the application
    client_secret_used: bool = False
    scopes: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    user_id: str | None = None  # GUID; only with scopes
    user_name: str | None = None
    audience: str = GRAPH


def signing_key(folder: Path) -> keys.KeyFile[RSAKey]:
    """The issuer's key pair, kept in `folder`."""
    return keys.KeyFile(folder / keys.ISSUER, make=_new_key, load=_read_key)


def rotate(folder: Path, *, until: int) -> str:
    """Sign with a new key from now on; tokens of the old one are accepted until then (Unix seconds). The new key's id.

    The old key's public half is put aside first, so that no token is refused at any moment.
    """
    old = signing_key(folder).get()
    kept = {"until": until, "key": old.as_dict(private=False)}
    keys.replace_file(folder / RETIRED / f"{old.kid}.json", json.dumps(kept).encode())
    new = _new_key()
    keys.replace_file(folder / keys.ISSUER, new)
    return str(_read_key(new).kid)


def retired(folder: Path, kid: str, now: int) -> RSAKey | None:
    """The public half of a key that signed before and is still accepted; `now` in Unix seconds."""
    if not _KID.fullmatch(kid):  # it becomes a file name
        return None
    try:
        kept = json.loads((folder / RETIRED / f"{kid}.json").read_bytes())
        if now >= int(kept["until"]):
            return None
        return RSAKey.import_key(kept["key"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def all_retired(folder: Path, now: int) -> list[RSAKey]:
    """Every key that signed before and is still accepted."""
    found = (retired(folder, path.stem, now) for path in listed(folder / RETIRED, "*.json"))
    return [key for key in found if key is not None]


def _new_key() -> bytes:
    return RSAKey.generate_key(2048).as_pem(private=True)


def _read_key(content: bytes) -> RSAKey:
    key = RSAKey(_private(content), content, {"use": "sig", "alg": ALGORITHM})
    key.ensure_kid()
    return key


def _private(content: bytes) -> RSAPrivateKey:
    """The private key in a file that is our own. Raises ValueError for what is none, or damaged.

    That its numbers belong together shows in a signature that holds; to prove that its factors are prime, which nobody
    doubts who has made them, takes thirty times as long, and whoever starts waits for it.
    """
    key = load_pem_private_key(content, None, unsafe_skip_rsa_key_validation=True)
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("not a private key of this kind")
    try:
        key.public_key().verify(key.sign(_PROBE, PKCS1v15(), SHA256()), _PROBE, PKCS1v15(), SHA256())
    except InvalidSignature:
        raise ValueError("its numbers do not belong together") from None
    return key


_PROBE = b"schoolsync"


def issuer(base_url: str, tenant_id: str, version: Version) -> str:
    """The `iss` of a tenant's tokens."""
    return f"{base_url}/{tenant_id}/v2.0" if version == "2.0" else f"{base_url}/{tenant_id}/"


@cache
def _issuer_shape(version: Version) -> re.Pattern[str]:
    tail = "/v2\\.0" if version == "2.0" else "/"
    return re.compile(rf"https?://[^\s?#]+/({GUID.pattern}){tail}")


def issued_for(iss: str, version: Version) -> str | None:
    """The tenant that an `iss` of ours names, or None.

    Host and port are not compared: the command line does not know where the server will listen, and the key, which
    belongs to this installation alone, already proves who issued the token.
    """
    match = _issuer_shape(version).fullmatch(iss)
    return match[1] if match else None


def user_id_of(tenant_id: str, user_name: str) -> str:
    """The object id that our tokens give a user name: the same every time, different in every tenant."""
    return str(uuid.uuid5(_NAMES, f"{tenant_id}/{user_name.lower()}"))


def mint(
    key: RSAKey, grant: Grant, *, base_url: str, now: int, lifetime: int, token_id: str, version: Version = "1.0"
) -> str:
    """A signed token. `now` is in Unix seconds; with a negative `lifetime` the token is born expired."""
    begins = min(now, now + lifetime)
    claims: dict[str, Any] = {  # JWT claims are of any JSON kind
        "aud": grant.audience,
        "iss": issuer(base_url, grant.tenant_id, version),
        "iat": begins,
        "nbf": begins,
        "exp": now + lifetime,
        "tid": grant.tenant_id,
        "uti": token_id,
        "ver": version,
    }
    client, credential = ("azp", "azpacr") if version == "2.0" else ("appid", "appidacr")
    claims |= {client: grant.client, credential: "1" if grant.client_secret_used else "0"}
    if grant.scopes:
        user = grant.user_id or str(uuid.uuid5(_NAMES, f"{grant.tenant_id}/{grant.client}"))
        claims |= {"oid": user, "sub": user, "idtyp": "user", "scp": " ".join(grant.scopes)}
        if grant.user_name is not None:
            claims |= {"upn": grant.user_name}
            claims |= {"preferred_username" if version == "2.0" else "unique_name": grant.user_name}
    else:
        service = str(uuid.uuid5(_NAMES, f"{grant.tenant_id}/{grant.client}/service"))
        claims |= {"oid": service, "sub": service, "idtyp": "app"}
    if grant.roles:
        claims["roles"] = list(grant.roles)
    return jwt.encode({"alg": ALGORITHM, "kid": key.kid}, claims, key, algorithms=[ALGORITHM])


def mint_id(key: RSAKey, grant: Grant, *, base_url: str, now: int, lifetime: int, nonce: str | None) -> str:
    """An id token: tells a program who signed in, and opens nothing, because the program itself is its audience."""
    claims: dict[str, Any] = {
        "aud": grant.client,
        "iss": issuer(base_url, grant.tenant_id, "2.0"),
        "iat": now,
        "nbf": now,
        "exp": now + lifetime,
        "tid": grant.tenant_id,
        "oid": grant.user_id,
        "sub": grant.user_id,
        "preferred_username": grant.user_name,
        "name": grant.user_name,
        "ver": "2.0",
    }
    if nonce is not None:
        claims["nonce"] = nonce
    if grant.roles:
        claims["roles"] = list(grant.roles)
    return jwt.encode({"alg": ALGORITHM, "kid": key.kid}, claims, key, algorithms=[ALGORITHM])


def public_keys(key: RSAKey, *retired: RSAKey) -> dict[str, Any]:
    """The JWKS document that verifies our tokens."""
    return {"keys": [known.as_dict(private=False) for known in (key, *retired)]}
