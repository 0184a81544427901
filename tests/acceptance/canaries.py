"""Secrets that are offered to a server in vain, and a look for them, whole and in pieces."""

from __future__ import annotations

import base64
import re
import time
import uuid
from typing import Any

import httpx

from schoolsync.access import issuer
from schoolsync.api import routes as api_routes
from schoolsync.console import routes as console_routes
from schoolsync.graph import routes as graph_routes

from .house import WRITE, Json, Server, Tenant, creation
from .own import EVERY_ROLE

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


def everywhere(tenant: Tenant, secret: str) -> list[httpx.Response]:
    """What is answered to a secret in every place that takes one, and in every body that any operation takes."""
    server = tenant.server
    one = tenant.profile()
    reader = tenant.reader
    ids = {"profile": one.id, "user": str(uuid.uuid4())}
    scope, roles = f"{WRITE} EduRoster.ReadWrite schoolsync.access", tuple(f"schoolsync.{one}" for one in EVERY_ROLE)
    person_token = server.token(tenant.id, scope=scope, roles=roles, user="ada@skole.example")
    answers = []

    def ask(method: str, path: str, token: str | None = None, **how: Any) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        answers.append(server.http.request(method, f"{server.base}/{path}", headers=headers, **how))

    def at(template: str) -> str:
        return re.sub(r"\{(\w+)\}", lambda key: ids.get(key[1], str(uuid.uuid4())), template)

    bodies: list[Json] = [{**creation(), "dataProvider": provider(secret)} for provider in (oauth2, oauth1)]
    bodies.append({**PERSON, "passwordProfile": {"password": secret, "forceChangePasswordNextSignIn": False}})
    bodies.append({"clientSecret": secret, "password": secret, "why": {"clientSecret": secret}, "kind": None})
    for route in graph_routes.ROUTES:
        if route.body and route.template != "$batch":
            token = person_token if route.delegated else reader.token
            kept = re.search(r"(synchronizationProfiles|education/users|education/me)(/\{\w+\})?$", route.template)
            for body in bodies if kept else bodies[-1:]:
                ask(route.method, f"v1.0/{at(route.template)}", token, json=body)
    for own_route in api_routes.ROUTES:
        if own_route.takes is not None:
            for body in bodies if own_route.template.endswith("{profile}") else bodies[-1:]:
                ask(own_route.method, f"schoolsync/v1/{at(own_route.template)}", person_token, json=body)
    url = "/education/synchronizationProfiles"
    requests = [
        {"id": str(at), "method": "POST", "url": url, "body": body, "headers": {"Content-Type": "application/json"}}
        for at, body in enumerate(bodies)
    ]
    ask("POST", "v1.0/$batch", person_token, json={"requests": requests})
    for row in console_routes.ROWS:
        if row.method == "POST":
            form = {"clientSecret": secret, "password": secret, "code": secret}
            ask("POST", f"console/{at(row.template)}", data=form, follow_redirects=False)
    client = {"client_id": str(uuid.uuid4())}
    for place, form in (
        ("token", {"grant_type": "client_credentials", "client_secret": secret, "scope": ".default"}),
        ("token", {"grant_type": "authorization_code", "code": secret, "code_verifier": secret, "redirect_uri": "x:"}),
        ("token", {"grant_type": "refresh_token", "refresh_token": secret}),
        ("token", {"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": secret}),
        ("revoke", {"token": secret}),
        ("authorize", {"username": "ann@x.example", "password": secret, "user_code": secret}),
    ):
        ask("POST", f"{tenant.id}/oauth2/v2.0/{place}", data={**client, **form})
    basic = base64.b64encode(f"{client['client_id']}:{secret}".encode()).decode()
    grant = {"grant_type": "client_credentials"}
    answers.append(
        server.http.post(
            f"{server.base}/{tenant.id}/oauth2/v2.0/token", data=grant, headers={"Authorization": f"Basic {basic}"}
        )
    )
    ask("GET", f"{tenant.id}/oauth2/v2.0/authorize?state={secret}&code_challenge={secret}")
    ask("GET", f"console/signed-in?code={secret}&state={secret}")
    # The console is no place for them: it sends whoever is to sign in back to the address that they asked for.
    for path in ("v1.0/education/users", "schoolsync/v1/profiles", f"uploads/{one.id}", "nowhere"):
        ask("GET", f"{path}?access_token={secret}&sig={secret}")
        ask(secret.upper()[:20], path)
    return answers


def oauth2(secret: str) -> Json:
    """A provider that is read with a client's secret."""
    return {
        "@odata.type": "#microsoft.graph.educationOneRosterApiDataProvider",
        "connectionUrl": "https://sis.example/ims/oneroster/v1p1",
        "connectionSettings": {
            "@odata.type": f"{CONNECTION}OAuth2ClientCredentialsConnectionSettings",
            "clientId": "client",
            "clientSecret": secret,
            "tokenUrl": "https://sis.example/token",
        },
    }


def oauth1(secret: str) -> Json:
    """Another one, with a mistake in it."""
    return {
        "@odata.type": "#microsoft.graph.educationPowerSchoolDataProvider",
        "connectionUrl": 7,
        "clientId": "client",
        "clientSecret": secret,
        "connectionSettings": {"@odata.type": f"{CONNECTION}OAuth1ConnectionSettings", "clientSecret": secret},
    }


CONNECTION = "#microsoft.graph.educationSynchronization"
PERSON: Json = {
    "displayName": "Somebody",
    "accountEnabled": True,
    "mailNickname": "somebody",
    "userPrincipalName": "somebody@x.example",
    "primaryRole": "student",
}


def pieces(secrets: list[str], text: str) -> list[str]:
    """The pieces of the secrets that stand in a text."""
    wanted = {secret[at : at + PIECE] for secret in secrets for at in range(len(secret) - PIECE + 1)}
    return sorted(piece for piece in wanted if piece in text)
