"""Signing in with a browser: the page of the built-in issuer, its codes, and who gets them."""

import base64
import hashlib
import io
import re
import ssl
import uuid
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import msal
import pytest

from schoolsync import ticks
from schoolsync.access import accounts, audit, sign_ins
from schoolsync.access.devices import Granted
from schoolsync.cli import user
from schoolsync.errors import UsageError

from .conftest import OTHER, TENANT, now

PROGRAM = "cccccccc-1111-4111-8111-111111111111"
NAME = "ann@district.example"
PASSWORD = "four sounding brass bells"
BACK = "http://127.0.0.1:49152/signed-in"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
ASKED = {
    "client_id": PROGRAM,
    "redirect_uri": BACK,
    "response_type": "code",
    "scope": "openid https://graph.microsoft.com/EduRoster.Read",
    "state": "a state & more",
    "nonce": "once",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}


class Browser:
    """Requests to the served issuer, in a tenant of the test's own with one account."""

    def __init__(self, served, http):
        self.served = served
        self.http = http
        self.tenant = str(uuid.uuid4())
        scopes = ("EduRoster.Read", "EduAdministration.Read")
        self.account = accounts.add(
            served.control,
            tenant_id=self.tenant,
            name=NAME,
            password=PASSWORD,
            scopes=scopes,
            roles=("schoolsync.approver",),
            now=now(),
        )
        self.base = f"{served.settings.base_url}/{self.tenant}/oauth2/v2.0"

    def page(self, **changes):
        asked = {name: value for name, value in {**ASKED, **changes}.items() if value is not None}
        return f"{self.base}/authorize?{urlencode(asked)}"

    def sign_in(self, page, *, name=NAME, password=PASSWORD, headers=None, **form):
        return self.http.post(page, data={"username": name, "password": password, **form}, headers=headers)

    def code(self, **changes):
        answer = self.sign_in(self.page(**changes))
        assert answer.status_code == 303, answer.text
        return dict(parse_qsl(urlsplit(answer.headers["location"]).query))["code"]

    def redeem(self, code, /, **changes):
        form = {
            "grant_type": "authorization_code",
            "client_id": PROGRAM,
            "code": code,
            "redirect_uri": BACK,
            "code_verifier": VERIFIER,
        }
        return self.http.post(f"{self.base}/token", data={**form, **changes})


@pytest.fixture
def browser(served):
    with httpx.Client(verify=ssl.create_default_context(cafile=served.cert), timeout=60) as http:
        yield Browser(served, http)


def test_msal_signs_a_person_in(browser, monkeypatch):
    """MSAL's authorization code flow ends with a token that says who signed in and opens what that person may."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    served = browser.served
    authority = f"{served.settings.base_url}/{browser.tenant}"
    app = msal.PublicClientApplication(PROGRAM, authority=authority, instance_discovery=False, verify=served.cert)
    flow = app.initiate_auth_code_flow(["https://graph.microsoft.com/EduRoster.Read"], redirect_uri=BACK)
    page = browser.http.get(flow["auth_uri"])
    assert page.status_code == 200
    assert "<script" not in page.text
    assert f"form-action 'self' http://{urlsplit(BACK).netloc};" in page.headers["content-security-policy"]
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["cache-control"] == "no-store"
    answer = browser.sign_in(flow["auth_uri"], headers={"Sec-Fetch-Site": "same-origin"})
    assert answer.headers["location"].startswith(BACK + "?")
    found = app.acquire_token_by_auth_code_flow(flow, dict(parse_qsl(urlsplit(answer.headers["location"]).query)))
    assert found.get("error_description") is None
    caller = served.verify(found["access_token"])
    assert (caller.kind, caller.tenant_id, caller.client) == ("delegated", browser.tenant, PROGRAM)
    assert (caller.user_id, caller.user_name, caller.grants) == (browser.account.id, NAME, {"EduRoster.Read"})
    assert caller.roles == {"schoolsync.approver"}
    assert found["id_token_claims"]["preferred_username"] == NAME
    with pytest.raises(Exception, match="audience"):
        served.verify(found["id_token"])  # says who somebody is, and opens nothing
    log = audit.Audit(served.control, served.directories, served.settings)
    entries = log.entries(served.control.known_tenant(browser.tenant), browser.tenant)
    assert [(entry.operation, entry.actor) for entry in entries] == [("sign in", f"delegated:{browser.account.id}")]
    assert NAME not in str(entries)


def test_a_code_works_once_for_its_program(browser):
    """A code is worth nothing a second time, to another program, at another address, or without its verifier."""
    code = browser.code()
    answer = browser.redeem(code)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert browser.redeem(code).json()["error"] == "invalid_grant"
    for changes in (
        {"client_id": str(uuid.uuid4())},
        {"redirect_uri": BACK + "/else"},
        {"code_verifier": "w" * 43},
        {"code_verifier": ""},
        {"code": "nonsense"},
    ):
        code = browser.code()
        refused = browser.redeem(code, **changes)
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant"), changes
        if "code" not in changes:
            assert browser.redeem(code).json()["error"] == "invalid_grant"  # a wrong try used it up
    other = f"{browser.served.settings.base_url}/{OTHER}/oauth2/v2.0/token"
    browser.served.control.tenant_number(OTHER, now())
    code = browser.code()
    form = {"grant_type": "authorization_code", "client_id": PROGRAM, "code": code, "redirect_uri": BACK}
    assert browser.http.post(other, data={**form, "code_verifier": VERIFIER}).json()["error"] == "invalid_grant"


def test_a_code_ends_after_a_minute(house):
    """What a browser keeps in its history is worth nothing."""
    number = house.control.tenant_number(TENANT, now())
    question = sign_ins.Question(client=PROGRAM, redirect_uri=BACK, challenge=CHALLENGE, scopes=())
    granted = Granted("id", NAME, ("EduRoster.Read",), ())
    for seconds, there in ((59, True), (60, False)):
        code = sign_ins.begin(house.control, tenant=number, question=question, granted=granted, now=0)
        options = {"tenant": number, "client": PROGRAM, "redirect_uri": BACK, "verifier": VERIFIER}
        found = sign_ins.redeem(house.control, code=code, now=seconds * ticks.PER_SECOND, **options)
        assert (found is not None) == there


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example/",
        "http://127.0.0.1.evil.example/",
        "http://127.0.0.1@evil.example/",
        "http://127.0.0.1\\@evil.example/",
        "javascript:alert(1)",
        "http://127.0.0.1:1/#there",
        "http://[::1",
        "",
    ],
)
def test_nobody_is_sent_elsewhere(browser, address):
    """A code never leaves for an address that another may read; such a request gets a page and no redirect."""
    for answer in (
        browser.http.get(browser.page(redirect_uri=address)),
        browser.sign_in(browser.page(redirect_uri=address)),
    ):
        assert answer.status_code == 400
        assert "location" not in answer.headers
        assert "<form" not in answer.text


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"response_mode": "form_post"}, "invalid_request"),
        ({"prompt": "none"}, "login_required"),
        ({"scope": "EduRoster.Raed"}, "invalid_scope"),
    ],
)
def test_what_cannot_be_is_told_to_the_program(browser, changes, error):
    """A program that asks for what there is not hears it at its own address, with its state."""
    answer = browser.http.get(browser.page(**changes))
    told = dict(parse_qsl(urlsplit(answer.headers["location"]).query))
    assert (told["error"], told["state"]) == (error, ASKED["state"])
    assert told["iss"] == f"{browser.served.settings.base_url}/{browser.tenant}/v2.0"


def test_wrong_passwords_and_foreign_forms(browser):
    """A wrong name and a wrong password look alike; a form that another site has a browser send is refused."""
    wrong = browser.sign_in(browser.page(), password="another password")
    nobody = browser.sign_in(browser.page(), name="<b>bob</b>")
    assert wrong.status_code == nobody.status_code == 401
    assert "<b>" not in nobody.text
    assert "do not belong together" in wrong.text
    assert PASSWORD not in wrong.text
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
        assert browser.sign_in(browser.page(), headers=headers).status_code == 403
    assert browser.sign_in(browser.page(scope="EduAdministration.ReadWrite")).headers["location"].count("access_denied")


def test_the_page_speaks_the_language_of_the_browser(browser):
    """German where that is asked for first, English for everybody else; what a person typed stays as it is."""
    german = {"Accept-Language": "de-AT,de;q=0.9,en;q=0.8"}
    page = browser.http.get(browser.page(), headers=german)
    assert ('lang="de"' in page.text, page.headers["content-language"]) == (True, "de")
    assert "<h1>Bei schoolsync anmelden</h1>" in page.text
    assert page.headers["vary"] == "Accept-Language"
    form = {"username": "<i>", "password": "none"}
    wrong = browser.http.post(browser.page(), data=form, headers=german)
    assert "gehören hier nicht zusammen" in wrong.text
    assert "&lt;i&gt;" in wrong.text
    odd = browser.http.get(browser.page(), headers={"Accept-Language": "xx;q=1, <script>"})
    assert ('lang="en"' in odd.text, "<script>" in odd.text) == (True, False)


def test_a_program_that_shows_a_code(browser):
    """Somebody with an account answers a device code without an operator, with no more than the account has."""
    form = {"client_id": PROGRAM, "scope": "EduRoster.Read EduRoster.ReadWrite"}
    begun = browser.http.post(f"{browser.base}/devicecode", data=form).json()
    assert begun["verification_uri"] == f"{browser.base}/authorize"
    assert 'name="user_code"' in browser.http.get(begun["verification_uri"]).text
    wrong = browser.sign_in(begun["verification_uri"], user_code="XXXX-XXXX")
    assert (wrong.status_code, "No program waits" in wrong.text) == (400, True)
    done = browser.sign_in(begun["verification_uri"], user_code=begun["user_code"].lower())
    assert (done.status_code, "You are signed in" in done.text) == (200, True)
    grant = "urn:ietf:params:oauth:grant-type:device_code"
    form = {"client_id": PROGRAM, "grant_type": grant, "device_code": begun["device_code"]}
    token = browser.http.post(f"{browser.base}/token", data=form).json()["access_token"]
    assert browser.served.verify(token).grants == {"EduRoster.Read"}


def test_accounts_from_the_command_line(house, capsys, monkeypatch):
    """Accounts are made, listed, changed and removed; passwords are never arguments, and kept as hashes alone."""

    def typed(text):
        monkeypatch.setattr("sys.stdin", io.StringIO(text + "\n"))

    def signs_in(password):
        number = house.control.known_tenant(TENANT)
        options = {"tenant": number, "tenant_id": TENANT, "name": NAME.upper(), "password": password}
        return accounts.authenticate(house.control, **options)

    options = {"tenant": TENANT, "name": NAME}
    for poor in ("short", f"{NAME}{NAME}", "aaaaaaaaaaaaaaaa"):
        typed(poor)
        with pytest.raises(UsageError, match="password"):
            user.add(house.settings, scope="EduRoster.Read", roles=(), **options)
    typed(PASSWORD)
    assert user.add(house.settings, scope=None, roles=("schoolsync.viewer",), **options) == 0
    made = signs_in(PASSWORD)
    assert (made.scopes, made.roles) == (("schoolsync.access",), ("schoolsync.viewer",))
    typed(PASSWORD)
    with pytest.raises(UsageError, match="already"):
        user.add(house.settings, scope="EduRoster.Read", roles=(), **options)
    with pytest.raises(UsageError, match="no role that people have"):
        user.change(house.settings, scope=None, roles=("EduRoster.Read.All",), password=False, **options)
    with pytest.raises(UsageError, match="what shall change"):
        user.change(house.settings, scope=None, roles=(), password=False, **options)
    typed("a wholly different one")
    assert user.change(house.settings, scope="EduRoster.Read", roles=(), password=True, **options) == 0
    assert signs_in(PASSWORD) is None
    assert signs_in("a wholly different one").scopes == ("EduRoster.Read",)
    capsys.readouterr()
    assert user.list_(house.settings, tenant=None) == 0
    assert re.fullmatch(rf"{TENANT}  \S{{36}}  {NAME}  EduRoster.Read schoolsync.viewer\n", capsys.readouterr().out)
    stored = (house.settings.data_dir / "control.db").read_bytes()
    assert b"wholly different" not in stored
    assert user.remove(house.settings, **options) == 0
    assert signs_in("a wholly different one") is None
    with pytest.raises(UsageError, match="no such account"):
        user.remove(house.settings, **options)
