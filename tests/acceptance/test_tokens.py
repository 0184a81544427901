"""Tokens: from the command line, and from the built-in issuer through the libraries that programs use."""

from __future__ import annotations

import json
import re
import uuid
from pathlib import Path

import msal
import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ClientSecretCredential
from msgraph_beta import GraphServiceClient

from .house import DOMAIN, GUID, Api, Server, Tenant, command
from .rosters import DISTRICT

pytestmark = pytest.mark.xdist_group("tls")
SCOPE = "https://graph.microsoft.com/.default"


@pytest.fixture
def client(secure: Server, secure_tenant: Tenant) -> tuple[str, str]:
    """Id and secret of a client that may write profiles and read the directory."""
    answer = command(
        *("client", "add", "--data-dir", secure.data, "--tenant", secure_tenant.id, "--name", "nightly"),
        *("--role", "EduAdministration.ReadWrite.All", "--role", "EduRoster.Read.All"),
    )
    assert answer.returncode == 0, answer.stderr
    shown = dict(line.split(": ", 1) for line in answer.stdout.splitlines())
    number, secret = shown["client id"].strip(), shown["client secret"].strip()
    assert GUID.fullmatch(number)
    assert len(secret) >= 32
    return number, secret


async def test_azure_identity_drives_the_graph_sdk(
    secure: Server, secure_tenant: Tenant, client: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """ClientSecretCredential against our issuer, handed to the unmodified Graph SDK, reads and reports."""
    monkeypatch.setenv("SSL_CERT_FILE", str(secure.certificate))
    profile = secure_tenant.profile()
    assert profile.sync(DISTRICT.files())["status"] == "success"
    credential = ClientSecretCredential(
        secure_tenant.id,
        *client,
        authority=secure.base,
        disable_instance_discovery=True,
        connection_verify=str(secure.certificate),
    )
    graph = GraphServiceClient(credential, [SCOPE])
    graph.request_adapter.base_url = f"{secure.base}/v1.0"
    users = await graph.education.users.get()
    assert len(users.value) == 8
    profiles = await graph.education.synchronization_profiles.get()
    assert [item.id for item in profiles.value] == [profile.id]
    await graph.request_adapter._http_client.aclose()
    credential.close()


def test_a_wrong_secret_is_an_authentication_error(
    secure: Server, secure_tenant: Tenant, client: tuple[str, str]
) -> None:
    """azure-identity reports the OAuth2 error of the issuer, not a failure of the network."""
    credential = ClientSecretCredential(
        secure_tenant.id,
        client[0],
        "wrong-secret-wrong-secret",
        authority=secure.base,
        disable_instance_discovery=True,
        connection_verify=str(secure.certificate),
    )
    with pytest.raises(ClientAuthenticationError) as caught:
        credential.get_token(SCOPE)
    assert "no such client" in str(caught.value)


def test_msal_gets_a_token_and_keeps_it(secure: Server, secure_tenant: Tenant, client: tuple[str, str]) -> None:
    """MSAL's confidential client fetches a token that opens the API, and a second time takes it from its cache."""
    application = msal.ConfidentialClientApplication(
        client[0],
        authority=f"{secure.base}/{secure_tenant.id}",
        client_credential=client[1],
        instance_discovery=False,
        verify=str(secure.certificate),
    )
    first = application.acquire_token_for_client([SCOPE])
    assert first["token_type"] == "Bearer"
    assert 3000 < first["expires_in"] <= 3600
    assert Api(secure, first["access_token"]).get("/users")["value"] == []
    second = application.acquire_token_for_client([SCOPE])
    assert second["access_token"] == first["access_token"]


def test_plain_http_as_scripts_do_it(secure: Server, secure_tenant: Tenant, client: tuple[str, str]) -> None:
    """A form post to /{tenant}/oauth2/v2.0/token answers a bearer token; mistakes answer in OAuth2's shape."""
    url = f"{secure.base}/{secure_tenant.id}/oauth2/v2.0/token"
    form = {
        "grant_type": "client_credentials",
        "client_id": client[0],
        "client_secret": client[1],
        "scope": SCOPE,
    }
    answer = secure.http.post(url, data=form)
    assert answer.status_code == 200
    assert answer.json()["token_type"] == "Bearer"
    Api(secure, answer.json()["access_token"]).get("/schools")
    wrong = {
        "client_secret": ("nonsense-nonsense", 401, "invalid_client"),
        "grant_type": ("password", 400, "unsupported_grant_type"),
        "client_id": (str(uuid.uuid4()), 401, "invalid_client"),
        "scope": ("https://other.example/.default", 400, "invalid_scope"),
    }
    for name, (value, status, code) in wrong.items():
        answer = secure.http.post(url, data=form | {name: value})
        assert (answer.status_code, answer.json()["error"]) == (status, code), name
    other = f"{secure.base}/{uuid.uuid4()}/oauth2/v2.0/token"
    assert secure.http.post(other, data=form).json()["error"] == "invalid_client"


def test_the_discovery_document_leads_to_the_keys(secure: Server, secure_tenant: Tenant) -> None:
    """Issuer, token endpoint and keys in the discovery document are where tokens say and where they answer."""
    document = secure.http.get(f"{secure.base}/{secure_tenant.id}/v2.0/.well-known/openid-configuration").json()
    assert document["issuer"].startswith(secure.base)
    assert document["token_endpoint"] == f"{secure.base}/{secure_tenant.id}/oauth2/v2.0/token"
    keys = secure.http.get(document["jwks_uri"]).json()["keys"]
    assert keys
    for key in keys:
        assert key["kty"] == "RSA"
        assert "d" not in key, "private parts stay private"


def test_the_token_command_prints_a_token_and_nothing_else(secure: Server, secure_tenant: Tenant) -> None:
    """One line that opens the API, for a person and for a program; wrong usage is exit status 2."""
    base = ("token", "--data-dir", secure.data, "--tenant", secure_tenant.id)
    person = command(*base, "--scope", "EduAdministration.ReadWrite EduRoster.Read", "--user", f"me@{DOMAIN}")
    program = command(*base, "--role", "EduAdministration.ReadWrite.All", "--role", "EduRoster.Read.All")
    for answer in (person, program):
        assert answer.returncode == 0
        assert answer.stderr == ""
        assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+\n", answer.stdout)
        Api(secure, answer.stdout.strip()).get("/synchronizationProfiles")
    Api(secure, program.stdout.strip()).get("/users")
    for wrong in (
        base,
        (*base, "--scope", "EduAdministration.Write"),
        ("token", "--data-dir", secure.data, "--tenant", "here", "--scope", "EduRoster.Read"),
        (*base, "--role", "EduRoster.Read.All", "--expires-in", "0"),
    ):
        answer = command(*wrong)
        assert answer.returncode == 2, wrong
        assert answer.stdout == ""
        assert "Traceback" not in answer.stderr


def test_a_token_lives_as_long_as_it_was_asked_to(secure: Server, secure_tenant: Tenant) -> None:
    """--expires-in is in the token, and a token of the past is refused as such."""
    import base64

    token = secure.token(secure_tenant.id, scope="EduAdministration.Read", expires_in=77)
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert claims["exp"] - claims["iat"] == 77
    assert claims["tid"] == secure_tenant.id
    assert Api(secure, token).get("/synchronizationProfiles")
    old = secure.token(secure_tenant.id, scope="EduAdministration.Read", expires_in=-3600)
    assert "expired" in Api(secure, old).refusal("GET", "/synchronizationProfiles", 401)["message"]


def test_keys_of_another_installation_open_nothing(secure: Server, secure_tenant: Tenant, tmp_path: Path) -> None:
    """A token of another data directory is a stranger's, whatever it claims."""
    foreign = command("token", "--data-dir", tmp_path, "--tenant", secure_tenant.id, "--scope", "EduRoster.Read")
    assert foreign.returncode == 0
    error = Api(secure, foreign.stdout.strip()).refusal("GET", "/schools", 401)
    assert error["code"] == "InvalidAuthenticationToken"


def test_clients_are_listed_and_removed(secure: Server, secure_tenant: Tenant, client: tuple[str, str]) -> None:
    """`client list` shows ids and roles but never secrets; a removed client gets no more tokens."""
    base = ("--data-dir", secure.data, "--tenant", secure_tenant.id)
    listed = command("client", "list", *base)
    assert client[0] in listed.stdout
    assert "EduRoster.Read.All" in listed.stdout
    assert client[1] not in listed.stdout
    removed = command("client", "remove", *base, client[0])
    assert removed.returncode == 0, removed.stderr
    assert client[0] not in command("client", "list", *base).stdout
    form = {"grant_type": "client_credentials", "client_id": client[0], "client_secret": client[1], "scope": SCOPE}
    answer = secure.http.post(f"{secure.base}/{secure_tenant.id}/oauth2/v2.0/token", data=form)
    assert answer.json()["error"] == "invalid_client"
    assert command("client", "remove", *base, client[0]).returncode != 0


def test_no_file_of_the_installation_holds_a_client_secret(
    secure: Server, secure_tenant: Tenant, client: tuple[str, str]
) -> None:
    """The secret was shown once; what is stored is a hash."""
    for path in secure.data.rglob("*"):
        if path.is_file():
            assert client[1].encode() not in path.read_bytes(), path
