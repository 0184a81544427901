"""Signing in at a trusted issuer of one's own: an authorization code with PKCE, good for a token that opens our API.

The console is a client of the issuer like any program, and believes the token exactly as our own API would: the same
entry of the issuers file says which tenants, audiences and roles count. Nothing of the token is kept but what it says.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from urllib.parse import quote_plus, urlencode

from schoolsync.access import egress, trusted
from schoolsync.access.trusted import Trusted
from schoolsync.errors import Forbidden, UsageError, WorldError
from schoolsync.settings import Settings

_VERSION = "2.0"
_POST = "client_secret_post"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where an issuer says that people and codes go."""

    authorization: str
    token: str
    issuer: str
    takes_secret_in_form: bool


def offered(settings: Settings) -> tuple[Trusted, ...]:
    """The trusted issuers that people of the console sign in at; none while the file has a mistake."""
    path = trusted.find(settings.issuers, settings.data_dir)
    if path is None:
        return ()
    try:
        return tuple(one for one in trusted.read(path) if one.console_client)
    except UsageError:  # said in the log by who verifies tokens
        return ()


def named(settings: Settings, name: str) -> Trusted:
    """The issuer of that name. Raises Forbidden."""
    found = next((one for one in offered(settings) if one.name == name), None)
    if found is None:
        raise Forbidden("Nobody signs in to this console at that issuer.")
    return found


def endpoints(settings: Settings, issuer: Trusted) -> Endpoints:
    """What the issuer says about itself. Raises WorldError when it cannot be asked, or says something unusable."""
    content = egress.fetch(issuer.discovery(_VERSION), _policy(settings), authority=issuer.authority_file)
    try:
        found = json.loads(content)
        told = Endpoints(
            authorization=str(found["authorization_endpoint"]),
            token=str(found["token_endpoint"]),
            issuer=str(found["issuer"]),
            takes_secret_in_form=_POST in found.get("token_endpoint_auth_methods_supported", ()),
        )
    except (ValueError, KeyError, TypeError) as problem:
        raise WorldError(f"The issuer {issuer.name} does not say where people sign in.") from problem
    egress.check_url(told.authorization)
    return told


def asking(issuer: Trusted, told: Endpoints, *, back: str, state: str, challenge: str) -> str:
    """The address at the issuer where a person signs in."""
    asked = {
        "client_id": issuer.console_client,
        "redirect_uri": back,
        "response_type": "code",
        "scope": " ".join(issuer.console_scopes),
        "state": state,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    return f"{told.authorization}{'&' if '?' in told.authorization else '?'}{urlencode(asked)}"


def redeem(settings: Settings, issuer: Trusted, *, code: str, back: str, verifier: str) -> str:
    """The access token that a code is good for. Raises Forbidden, WorldError."""
    form = {
        "grant_type": "authorization_code",
        "client_id": str(issuer.console_client),
        "code": code,
        "redirect_uri": back,
        "code_verifier": verifier,
    }
    told, headers = endpoints(settings, issuer), {}
    if issuer.console_secret_file is not None:
        try:
            secret = issuer.console_secret_file.read_text("utf-8").strip()
        except OSError as problem:
            raise WorldError(f"The secret of the console at {issuer.name} cannot be read.") from problem
        if told.takes_secret_in_form:
            form["client_secret"] = secret
        else:  # what every issuer takes that does not say otherwise
            del form["client_id"]
            named = f"{quote_plus(str(issuer.console_client))}:{quote_plus(secret)}"
            headers["Authorization"] = f"Basic {base64.b64encode(named.encode()).decode()}"
    sent = urlencode(form).encode()
    try:
        content = egress.fetch(
            told.token, _policy(settings), authority=issuer.authority_file, headers=headers, form=sent
        )
        return str(json.loads(content)["access_token"])
    except (egress.TurnedDown, ValueError, KeyError, TypeError) as problem:
        raise Forbidden(f"The issuer {issuer.name} gave no token for this sign-in: sign in again.") from problem


def _policy(settings: Settings) -> egress.Policy:
    return egress.Policy.of(settings.egress_allow)
