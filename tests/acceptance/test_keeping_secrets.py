"""Canaries: secrets and names are put in everywhere, and looked for wherever they must not be."""

from __future__ import annotations

import json
import shutil
import sqlite3
import uuid
from pathlib import Path

import httpx
import psycopg
from psycopg.sql import SQL, Identifier

from schoolsync.access import accounts
from schoolsync.settings import Settings
from schoolsync.store.control import open_control

from . import canaries
from .house import ROSTER_WRITE, Api, Server, Tenant, creation, put_blob
from .own import own
from .rosters import DISTRICT

SECRET = "Q7xkTn3vW9zRb5Lm"
NAME = "Canarybird-Zyx"
PASSWORD = "canary bells Q8y sound brass"


def provider(secret: str) -> dict[str, object]:
    settings = "#microsoft.graph.educationSynchronizationOAuth2ClientCredentialsConnectionSettings"
    return {
        "@odata.type": "#microsoft.graph.educationOneRosterApiDataProvider",
        "connectionUrl": "https://sis.example/ims/oneroster/v1p1",
        "providerName": "Sis",
        "schoolsIds": ["1"],
        "termIds": [],
        "connectionSettings": {
            "@odata.type": settings,
            "clientId": "client",
            "clientSecret": secret,
            "tokenUrl": "https://sis.example/token",
            "scope": "roster",
        },
    }


def person(**changes: object) -> dict[str, object]:
    return {
        "displayName": NAME,
        "accountEnabled": True,
        "mailNickname": "canary",
        "userPrincipalName": f"{NAME}@x.example",
        "primaryRole": "student",
        "passwordProfile": {"password": SECRET, "forceChangePasswordNextSignIn": False},
        **changes,
    }


def account(server: Server, tenant: Tenant) -> str:
    """Somebody who signs in with a password, and tries a wrong one first; the refresh token of their program."""
    settings = Settings(data_dir=server.data, database_url=server.database_url)
    control = open_control(settings)
    try:
        options = {"tenant_id": tenant.id, "name": "ann@x.example", "password": PASSWORD}
        made = accounts.add(control, **options, scopes=("EduAdministration.Read",), roles=(), now=1)
        number = control.known_tenant(tenant.id)
    finally:
        control.close()
    assert made is not None
    assert number is not None
    program, base = str(uuid.uuid4()), f"{server.base}/{tenant.id}/oauth2/v2.0"
    asked = {"client_id": program, "scope": "offline_access EduAdministration.Read"}
    begun = server.http.post(f"{base}/devicecode", data=asked).json()
    form = {"username": "ann@x.example", "user_code": begun["user_code"]}
    assert server.http.post(f"{base}/authorize", data={**form, "password": PASSWORD + "x"}).status_code == 401
    assert server.http.post(f"{base}/authorize", data={**form, "password": PASSWORD}).status_code == 200
    grant = {"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": begun["device_code"]}
    given = server.http.post(f"{base}/token", data={**asked, **grant}).json()
    further = {"grant_type": "refresh_token", "client_id": program, "refresh_token": given["refresh_token"]}
    refreshed = server.http.post(f"{base}/token", data=further).json()
    assert Api(server, refreshed["access_token"])("GET", "/synchronizationProfiles").status_code == 200
    return str(refreshed["refresh_token"])


def rows_of(url: str) -> str:
    """Every row of a PostgreSQL as text."""
    with psycopg.connect(url) as connection:
        tables = connection.execute("SELECT schemaname, relname FROM pg_stat_user_tables").fetchall()
        query = SQL("SELECT t::text FROM {} t")
        found = [connection.execute(query.format(Identifier(*table))) for table in tables]
        return "\n".join(row for cursor in found for (row,) in cursor)


def test_canaries_are_seen_nowhere(server: Server, tmp_path: Path) -> None:
    """Secrets of a provider, a client, a person, an account, an upload URL and tokens, also of those that are refused,
    stand in no log, error, metric, audit entry, database or backup, nor does a piece of them in the first four; names
    stand in no log, error, metric or audit entry."""
    tenant = Tenant(server)
    added = server.command("client", "add", "--tenant", tenant.id, "--role", ROSTER_WRITE)
    client_id, client_secret = (line.split()[-1] for line in added.stdout.splitlines()[1:3])
    form = {"grant_type": "client_credentials", "client_id": client_id, "scope": "https://graph.microsoft.com/.default"}
    url = f"{server.base}/{tenant.id}/oauth2/v2.0/token"
    token = server.http.post(url, data={**form, "client_secret": client_secret}).json()["access_token"]
    told = [server.http.post(url, data={**form, "client_secret": SECRET + "wrong"}).text]

    admin, reader = tenant.admin, Api(server, token)
    body = {**creation(), "displayName": f"Schools of {NAME}", "dataProvider": provider(SECRET)}
    made = admin("POST", "/synchronizationProfiles", body, expect=202)
    shown = [made.text, admin("GET", f"/synchronizationProfiles/{made.json()['id']}", expect=200).text]
    assert SECRET not in "".join(shown)
    user = reader("POST", "/users", person(), expect=201).json()["id"]
    assert SECRET not in reader("GET", f"/users/{user}").text
    # Each of these is wrong in a way that a careless answer would quote.
    wrong = [
        admin("POST", "/synchronizationProfiles", {**creation(), "dataProvider": {**provider(SECRET), "odd": NAME}}),
        admin("PATCH", f"/synchronizationProfiles/{made.json()['id']}", {"licensesToAssign": SECRET}),
        reader("POST", "/users", person()),
        reader("POST", "/users", person(userPrincipalName=f"{NAME} {SECRET}")),
        reader("PATCH", f"/users/{user}", {"birthDate": NAME, "student": {"birthDate": f"{NAME}1"}}),
        Api(server, f"{token[:-4]}xxxx")("GET", "/users"),
        Api(server, SECRET)("GET", "/users"),
        Tenant(server).reader("GET", f"/users/{user}"),
    ]
    assert all(answer.status_code >= 400 for answer in wrong)
    # Graph's own words for an unknown key name the key, to the caller who sent it; nobody else learns it.
    tenant.reader.refusal("GET", f"/users/{NAME}@nowhere.example", 404)
    profile = tenant.profile()
    wrong_rows = DISTRICT.changed("students", "3001", First_Name=NAME, Last_Name="", Password=SECRET)
    profile.upload(wrong_rows.files())
    told.append(json.dumps(profile.start(expect=400)))
    told += [answer.text for answer in wrong]
    tokens = canaries.refused(tenant)
    offered = canaries.offer(server, tokens)
    assert {answer.status_code for answer in offered} == {401}
    told += [f"{answer.text} {answer.headers}" for answer in offered]
    container = httpx.URL(tenant.admin.get(f"{profile.path}/uploadUrl")["value"])
    signature = container.params["sig"]
    changed = container.copy_set_param("sig", signature[:-4] + "AAA=")
    told += [put_blob(server, url, "no name.csv", "x").text for url in (container, changed)]
    secrets = [SECRET, client_secret, token, NAME, PASSWORD, signature, *tokens]
    assert canaries.pieces(secrets, "".join(told)) == []

    metrics = own(tenant, "viewer")("GET", "/metrics", expect=200).text
    assert "schoolsync_" in metrics
    refresh = account(server, tenant)
    exported = server.command("audit", "export", "--tenant", tenant.id).stdout
    assert "POST education/synchronizationProfiles" in exported
    log = server.log.read_text("utf-8", "replace")
    assert canaries.pieces([*secrets, refresh], "".join((log, exported, metrics))) == []
    # A backup of everything but the keys: copies of the databases, and the files as they lie there. What the roster's
    # Password column holds is in the uploaded file alone, for as long as that is kept.
    backup = tmp_path / "backup"
    shutil.copytree(server.data, backup, ignore=shutil.ignore_patterns("keys", "tls", "objects", "*.lock", "*.db*"))
    for path in [*server.data.glob("*.db"), *server.data.glob("directory/*.db")]:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as source, sqlite3.connect(backup / path.name) as copy:
            source.backup(copy)
        source.close()
        copy.close()
    for path in [*backup.rglob("*"), *server.data.glob("*.db-wal"), *server.data.glob("directory/*.db-wal")]:
        if path.is_file():
            content = path.read_bytes()
            for text in (SECRET, client_secret, token, PASSWORD, refresh, signature, *tokens):
                assert text.encode() not in content, path
    # And what the command makes, keys and all: whoever has it can open the secrets, and still reads none of them.
    made = server.command("backup", str(tmp_path / "whole"))
    assert made.returncode == 0, made.stderr
    found = (tmp_path / "whole").rglob("*")
    whole = [path for path in found if path.is_file() and "objects" not in path.parts]  # not the roster itself
    assert any(path.name == "control.db" for path in whole)
    for path in whole:
        content = path.read_bytes()
        for text in (SECRET, client_secret, token, refresh, signature, *tokens):
            assert text.encode() not in content, path
    if server.database_url is not None:
        stored = rows_of(server.database_url)
        assert user in stored
        for text in (SECRET, client_secret, token, PASSWORD, refresh, signature, *tokens):
            assert text not in stored


def test_a_stranger_reads_no_audit_entry(server: Server) -> None:
    """The log of one tenant holds nothing of another: each command and each reader is asked for a tenant."""
    one, two = Tenant(server), Tenant(server)
    mark = one.reader("POST", "/users", person(mailNickname="x"), expect=201).json()["id"]
    other = two.reader("POST", "/users", person(mailNickname="y"), expect=201).json()["id"]
    assert two.reader("PATCH", f"/users/{mark}", {"displayName": "x"}).status_code == 404
    assert two.reader("PATCH", f"/users/{other}", {"displayName": "x"}).status_code < 300
    exported = server.command("audit", "export", "--tenant", two.id).stdout
    assert other in exported
    assert mark not in exported
    assert one.id not in exported
    nobody = server.command("audit", "export", "--tenant", str(uuid.uuid4()))
    assert nobody.returncode == 2
    verdict = server.command("audit", "verify")
    assert verdict.returncode == 0, verdict.stdout
