"""The issuer over HTTPS, with Microsoft's own libraries and by hand."""

import asyncio
import base64
import json
import ssl
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import msal
import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ClientSecretCredential
from joserfc import jwt
from joserfc.jwk import KeySet

from schoolsync.access import issuer, issuer_http, oauth

from ..examples import program

TENANT = "11111111-2222-3333-4444-555555555555"
OTHER = "99999999-8888-7777-6666-555555555555"
DEFAULT = "https://graph.microsoft.com/.default"


@pytest.fixture(autouse=True)
def _no_other_trust(monkeypatch):
    """requests, which MSAL uses, prefers this variable to what it is told in code."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def http(served):
    trust = ssl.create_default_context(cafile=served.cert)
    with httpx.Client(base_url=served.settings.base_url, verify=trust, timeout=60) as client:
        yield client


@pytest.fixture(scope="session")
def app_client(served):
    return served.client("EduRoster.Read.All", "EduAdministration.Read.All")


def form(client, **changes):
    values = {
        "grant_type": "client_credentials",
        "client_id": client.id,
        "client_secret": client.secret,
        "scope": DEFAULT,
        **changes,
    }
    return {name: value for name, value in values.items() if value is not None}


# --- Microsoft's libraries -----------------------------------------------------------------------------------------


def test_azure_identity(served, app_client):
    """The program of docs/access.md gets a token that this server accepts."""
    token = shown(served, app_client, "from azure.identity")["token"]
    assert 3000 < token.expires_on - time.time() <= 3600
    caller = served.verify(token.token)
    assert (caller.kind, caller.tenant_id, caller.client) == ("application", TENANT, app_client.id)
    assert caller.grants == {"EduRoster.Read.All", "EduAdministration.Read.All"}


def test_azure_identity_with_a_wrong_secret(served, app_client):
    """A wrong secret is an authentication error, not a crash."""
    credential = ClientSecretCredential(
        app_client.tenant,
        app_client.id,
        "wrong",
        authority=served.settings.base_url,
        disable_instance_discovery=True,
        connection_verify=served.cert,
    )
    with pytest.raises(ClientAuthenticationError, match="secret is wrong"):
        credential.get_token(DEFAULT)


@pytest.mark.parametrize("resource", ["https://graph.microsoft.com", "api://schoolsync", issuer.GRAPH_APP])
def test_msal(served, app_client, resource):
    """ConfidentialClientApplication gets a token and finds it again in its cache."""
    application = msal.ConfidentialClientApplication(
        app_client.id,
        client_credential=app_client.secret,
        authority=f"{served.settings.base_url}/{TENANT}",
        instance_discovery=False,
        verify=served.cert,
    )
    answer = application.acquire_token_for_client([f"{resource}/.default"])
    assert answer["token_type"] == "Bearer"
    assert served.verify(answer["access_token"]).kind == "application"
    again = application.acquire_token_for_client([f"{resource}/.default"])
    assert again["access_token"] == answer["access_token"]


def test_msal_as_the_docs_have_it(served, app_client):
    """The program of docs/access.md gets a token that this server accepts."""
    answer = shown(served, app_client, "import msal")["answer"]
    assert served.verify(answer["access_token"]).client == app_client.id


def shown(served, app_client, beginning):
    """What a program of docs/access.md has when it has run."""
    ours = {"https://sds.example.org": served.settings.base_url, "DIR/tls/cert.pem": str(served.cert)}
    names = {"TENANT": TENANT, "CLIENT_ID": app_client.id, "SECRET": app_client.secret}
    exec(program("access.md", beginning, ours), names)
    return names


def test_msal_with_a_wrong_secret(served, app_client):
    """MSAL reads our refusal."""
    application = msal.ConfidentialClientApplication(
        app_client.id,
        client_credential="wrong",
        authority=f"{served.settings.base_url}/{TENANT}",
        instance_discovery=False,
        verify=served.cert,
    )
    answer = application.acquire_token_for_client([DEFAULT])
    assert answer["error"] == "invalid_client"
    assert answer["error_description"]


def test_msal_as_any_openid_provider(served, app_client):
    """MSAL accepts the issuer by its discovery document alone."""
    application = msal.ConfidentialClientApplication(
        app_client.id,
        client_credential=app_client.secret,
        oidc_authority=f"{served.settings.base_url}/{TENANT}/v2.0",
        verify=served.cert,
    )
    assert "access_token" in application.acquire_token_for_client([DEFAULT])


# --- by hand -------------------------------------------------------------------------------------------------------


def test_discovery_leads_to_the_keys(served, http, app_client):
    """From the discovery document anybody finds what is needed to fetch and to verify a token."""
    for version, infix in (("2.0", "/v2.0"), ("1.0", "")):
        document = http.get(f"/{TENANT}{infix}/.well-known/openid-configuration").raise_for_status().json()
        answer = http.post(
            document["token_endpoint"], data=form(app_client, resource="https://graph.microsoft.com")
        ).raise_for_status()
        keys = http.get(document["jwks_uri"]).raise_for_status().json()
        assert "d" not in keys["keys"][0]
        token = jwt.decode(answer.json()["access_token"], KeySet.import_key_set(keys), algorithms=["RS256"])
        assert token.claims["iss"] == document["issuer"]
        assert token.claims["ver"] == version
        assert token.claims["tid"] == TENANT
        assert token.claims["idtyp"] == "app"
        assert "upn" not in token.claims


def test_the_common_documents(http):
    """Clients that do not know the tenant yet find the documents too."""
    document = http.get("/common/v2.0/.well-known/openid-configuration").raise_for_status().json()
    assert document["issuer"].endswith("/{tenantid}/v2.0")
    assert http.get("/common/discovery/v2.0/keys").json() == http.get(f"/{TENANT}/discovery/keys").json()
    assert http.get("/COMMON/Discovery/Keys").status_code == 200


def test_the_answer_of_the_v2_endpoint(served, http, app_client):
    """Numbers are numbers, the token is a bearer's, and nobody may cache it."""
    answer = http.post(f"/{TENANT}/oauth2/v2.0/token", data=form(app_client))
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"token_type", "expires_in", "ext_expires_in", "access_token"}
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 3599)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"].startswith("application/json")


def test_the_answer_of_the_v1_endpoint(served, http, app_client):
    """The older endpoint takes a resource and answers with texts, as old scripts expect."""
    data = form(app_client, scope=None, resource="https://graph.microsoft.com/")
    answer = http.post(f"/{TENANT}/oauth2/token", data=data).raise_for_status().json()
    assert answer["expires_in"] == "3599"
    assert int(answer["expires_on"]) > time.time()
    assert answer["resource"] == "https://graph.microsoft.com/"
    assert served.verify(answer["access_token"]).kind == "application"


def test_basic_authentication(served, http, app_client):
    """Id and secret may come in the Authorization header, in either letter case of the scheme."""
    data = form(app_client, client_id=None, client_secret=None)
    answer = http.post(f"/{TENANT}/oauth2/v2.0/token", data=data, auth=(app_client.id, app_client.secret))
    assert served.verify(answer.json()["access_token"]).client == app_client.id
    wrong = http.post(f"/{TENANT}/oauth2/v2.0/token", data=data, auth=(app_client.id, "wrong"))
    assert (wrong.status_code, wrong.headers["www-authenticate"]) == (401, 'Basic realm="schoolsync"')


@pytest.mark.parametrize(
    "scope", ["{base}/.default", "https://graph.microsoft.com//.default", f"{issuer.GRAPH_APP}/.default"]
)
def test_scopes_that_mean_this_api(served, http, app_client, scope):
    """Whether a client names Graph or, as SDKs with a base URL do, this server: it gets a token for it."""
    data = form(app_client, scope=scope.format(base=served.settings.base_url))
    answer = http.post(f"/{TENANT}/oauth2/v2.0/token", data=data).raise_for_status()
    assert served.verify(answer.json()["access_token"]).kind == "application"


@pytest.mark.parametrize(
    ("path", "changes", "status", "error"),
    [
        ("oauth2/v2.0/token", {"grant_type": None}, 400, "invalid_request"),
        ("oauth2/v2.0/token", {"grant_type": "password"}, 400, "unsupported_grant_type"),
        ("oauth2/v2.0/token", {"scope": None}, 400, "invalid_request"),
        ("oauth2/v2.0/token", {"scope": "EduRoster.Read.All"}, 400, "invalid_scope"),
        ("oauth2/v2.0/token", {"scope": f"{DEFAULT} openid"}, 400, "invalid_scope"),
        ("oauth2/v2.0/token", {"scope": "https://elsewhere.example/.default"}, 400, "invalid_scope"),
        ("oauth2/token", {"scope": None}, 400, "invalid_request"),
        ("oauth2/token", {"resource": "https://elsewhere.example"}, 400, "invalid_resource"),
        ("oauth2/v2.0/token", {"client_id": None}, 401, "invalid_client"),
        ("oauth2/v2.0/token", {"client_secret": None}, 401, "invalid_client"),
        ("oauth2/v2.0/token", {"client_secret": None, "client_assertion": "x"}, 401, "invalid_client"),
        ("oauth2/v2.0/token", {"padding": "x" * 20_000}, 413, "invalid_request"),
        ("oauth2/v2.0/token", {"grant_type": "authorization_code", "code": "x"}, 400, "invalid_grant"),
        ("nonsense", {}, 404, "invalid_request"),
    ],
)
def test_refusals_have_oauths_shape(http, app_client, path, changes, status, error):
    """Every refusal is an OAuth 2.0 error that clients can read."""
    answer = http.post(f"/{TENANT}/{path}", data=form(app_client, **changes))
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    body = answer.json()
    assert body["error_description"]
    assert body["trace_id"] == answer.headers["x-ms-request-id"]
    assert app_client.secret not in answer.text


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (json.dumps({"grant_type": "client_credentials"}).encode(), "application/json"),
        (b"grant_type=client_credentials&grant_type=client_credentials", "application/x-www-form-urlencoded"),
        (b"\xff\xfe", "application/x-www-form-urlencoded"),
        (b"&".join(b"a%d=1" % number for number in range(100)), "application/x-www-form-urlencoded"),
        (b"", ""),
    ],
)
def test_bodies_that_are_no_forms(http, content, kind):
    """JSON, doubled parameters and noise are refused."""
    answer = http.post(f"/{TENANT}/oauth2/v2.0/token", content=content, headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("header", ["Basic", "Basic !!!", f"Basic {base64.b64encode(b'nocolon').decode()}"])
def test_basic_headers_that_cannot_be_read(http, app_client, header):
    """A damaged Authorization header is a bad request."""
    data = form(app_client, client_secret=None)
    answer = http.post(f"/{TENANT}/oauth2/v2.0/token", data=data, headers={"Authorization": header})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_a_secret_sent_twice(http, app_client):
    """A client signs in in one way only."""
    answer = http.post(f"/{TENANT}/oauth2/v2.0/token", data=form(app_client), auth=(app_client.id, app_client.secret))
    assert answer.json()["error"] == "invalid_request"


def test_methods(http):
    """Wrong methods are told which are right."""
    answer = http.get(f"/{TENANT}/oauth2/v2.0/token")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert http.post(f"/{TENANT}/discovery/keys").headers["allow"] == "GET, HEAD"
    assert http.head(f"/{TENANT}/discovery/keys").status_code == 200
    assert http.get("/").status_code == 404


def test_a_client_belongs_to_one_tenant(served, http, app_client):
    """In another tenant the same id and secret are nobody's; the answer is that for a wrong secret."""
    answers = [
        http.post(f"/{OTHER}/oauth2/v2.0/token", data=form(app_client)),
        http.post("/common/oauth2/v2.0/token", data=form(app_client)),
        http.post(f"/{TENANT}/oauth2/v2.0/token", data=form(app_client, client_secret="wrong")),
        http.post(f"/{TENANT}/oauth2/v2.0/token", data=form(app_client, client_id="nobody")),
    ]
    assert {answer.status_code for answer in answers} == {401}
    described = {answer.json()["error_description"].partition(" Trace")[0] for answer in answers}
    assert len(described) == 1


def test_guessing_a_secret_is_slow(served, http):
    """Each wrong secret in a row waits longer, guesses in parallel wait in a queue, others are not held up."""
    client, neighbour = served.client("EduRoster.Read.All"), served.client("EduRoster.Read.All")
    path = f"/{TENANT}/oauth2/v2.0/token"
    began = time.monotonic()
    with ThreadPoolExecutor(3) as pool:
        guesses = [pool.submit(http.post, path, data=form(client, client_secret=f"guess {n}")) for n in range(3)]
        time.sleep(0.2)
        assert http.post(path, data=form(neighbour)).status_code == 200
        assert not all(guess.done() for guess in guesses)
        assert {guess.result().status_code for guess in guesses} == {401}
    assert time.monotonic() - began > 0.25 + 0.5 + 1.0
    assert http.post(path, data=form(client)).status_code == 200


def test_too_many_guesses_at_once(house, monkeypatch):
    """A crowd of guesses for one client from one address is turned away, and the right secret still works."""
    monkeypatch.setattr(oauth, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(oauth, "LONGEST_WAIT", 0.02)
    client = house.client("EduRoster.Read.All")
    app = issuer_http.app(house.control, house.settings, house.verifier._clock, house.directories)

    async def crowd():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://issuer") as http:
            path = f"/{TENANT}/oauth2/v2.0/token"
            guesses = [http.post(path, data=form(client, client_secret=str(number))) for number in range(12)]
            return await asyncio.gather(*guesses), await http.post(path, data=form(client))

    answers, right = asyncio.run(crowd())
    turned_away = [answer for answer in answers if answer.status_code == 429]
    assert len(turned_away) == 12 - oauth.QUEUE
    assert turned_away[0].headers["retry-after"] == "10"
    assert right.status_code == 200


def test_the_memory_of_guesses_is_bounded(house, monkeypatch):
    """Guessing at ever new clients does not fill the memory."""
    monkeypatch.setattr(oauth, "FIRST_WAIT", 0.0)
    monkeypatch.setattr(oauth, "FAILURES_KEPT", 16)
    app = issuer_http.app(house.control, house.settings, house.verifier._clock, house.directories)

    async def crowd():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://issuer") as http:
            for number in range(60):
                data = {"grant_type": "client_credentials", "scope": DEFAULT, "client_secret": "x"}
                await http.post(f"/{TENANT}/oauth2/v2.0/token", data={**data, "client_id": f"client {number}"})

    asyncio.run(crowd())
    assert len(app._guard._attempts) <= 17
