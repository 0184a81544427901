"""People of a district sign in where they always do: at an OpenID Connect issuer that is no part of schoolsync."""

from __future__ import annotations

import json
import re
import ssl
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from schoolsync.access import certificates

from .house import Server, creation
from .test_signing_in import Person

TENANT = str(uuid.uuid4())
AUDIENCE = "https://sync.district.example"
SECRET = "a secret of 7 words: %+&="
SCOPE = "schoolsync.access EduAdministration.ReadWrite"
BROWSER = """
import re, ssl, sys, urllib.parse, urllib.request
opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=%r)))
page = opener.open(sys.argv[1], timeout=30).read().decode()
assert 'name="secret"' in page, page
form = {"name": "ann", "secret": "pw of ann"}
said = opener.open(sys.argv[1], urllib.parse.urlencode(form).encode(), timeout=30).read().decode()
assert "You are signed in" in said, said
"""


@dataclass(frozen=True)
class House:
    """A server that believes the issuer alone, and the issuer."""

    server: Server
    issuer: str
    ca: Path

    def browser(self) -> httpx.Client:
        return httpx.Client(follow_redirects=True, verify=ssl.create_default_context(cafile=self.ca), timeout=60)

    def goes(self, http: httpx.Client, then: str = "/console") -> httpx.Response:
        """The issuer's page, to which the console sends whoever is to sign in."""
        asked = http.get(f"{self.server.base}/console/sign-in/go", params={"issuer": "the district", "next": then})
        assert str(asked.url).startswith(self.issuer), asked.text
        return asked

    def signs_in(self, http: httpx.Client, name: str, **form: str) -> httpx.Response:
        return http.post(self.goes(http).url, data={"name": name, "secret": f"pw of {name}", **form})


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("issuer")
    ca, key = certificates.ensure(folder / "tls", ["localhost"])
    process = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("issuer.py"), ca, key],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        server = Server(folder, settings=_settings(folder))
        people = {
            name: {"sub": name * 3, "password": f"pw of {name}", "roles": roles, "tenant": TENANT}
            for name, roles in {
                "ada": ["sds-admins"],
                "ann": ["sds-operators"],
                "bea": ["sds-auditors"],
                "eve": [],
            }.items()
        }
        people["eve"]["scopes"] = ["openid"]
        people["kim"] = {**people["ada"], "audience": "https://payroll.district.example"}
        people["mia"] = {**people["ada"], "tenant": str(uuid.uuid4())}
        clients = {
            "console": {"redirects": ["http://127.0.0.1/console/sign-in/back"], "secret": SECRET},
            "tools": {"redirects": ["http://localhost/"]},
        }
        process.stdin.write(json.dumps({"people": people, "clients": clients}))
        process.stdin.close()
        issuer = process.stdout.readline().strip()
        (folder / "issuers.toml").write_text(_entry(issuer, ca, folder / "console.secret"), "utf-8")
        (folder / "console.secret").write_text(SECRET + "\n", "utf-8")
        try:
            yield House(server.start(), issuer, ca)
        finally:
            server.end()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _settings(folder: Path) -> dict[str, object]:
    return {"issuers": folder / "issuers.toml", "egress_allow": "127.0.0.1,::1", "built_in_issuer": "false"}


def _entry(issuer: str, ca: Path, secret: Path) -> str:
    return f"""
[[issuer]]
kind = "oidc"
name = "the district"
url = "{issuer}"
ca = "{ca}"
audiences = ["{AUDIENCE}"]
algorithms = ["ES256"]
tenants = ["{TENANT}"]
tenant_claim = "directory"
roles_claim = "realm_access.roles"
console_client = "console"
console_secret_file = "{secret}"
console_scopes = ["openid", "schoolsync.access", "EduAdministration.ReadWrite"]

[issuer.role_map]
sds-admins = "schoolsync.admin"
sds-operators = "schoolsync.operator"
sds-auditors = "schoolsync.auditor"
"""


def test_people_come_in_with_the_roles_they_have_there(house: House) -> None:
    """By authorization code, PKCE and the console's secret; who has no role here is told so by every page."""
    with house.browser() as http:
        page = http.get(f"{house.server.base}/console")
        assert "Sign in with the district" in page.text
        assert "Use a code" not in page.text
        asked = house.goes(http, "/console/system")
        sent = parse_qs(urlsplit(str(asked.url)).query)
        assert (sent["code_challenge_method"], sent["response_type"]) == (["S256"], ["code"])
        page = http.post(asked.url, data={"name": "ada", "secret": "pw of ada"})
        assert str(page.url) == f"{house.server.base}/console/system", page.text
        assert "What doctor finds" in page.text
        assert http.get(f"{house.server.base}/console/activity").status_code == 403
    with house.browser() as http:
        house.signs_in(http, "ann")
        page = http.get(f"{house.server.base}/console/system")
        assert (page.status_code, "What doctor finds" in page.text) == (200, False)
    with house.browser() as http:
        house.signs_in(http, "eve")
        assert http.get(f"{house.server.base}/console").status_code == 403
        assert http.get(f"{house.server.base}/console/directory").status_code == 403


def test_others_read_the_names_of_people_who_have_signed_in(house: House) -> None:
    """Who did what is shown by name, though no account is here and the log has ids alone; until somebody is forgotten,
    who is signed out by that."""
    with house.browser() as ada, house.browser() as bea:
        house.signs_in(ada, "ada")
        home = ada.get(f"{house.server.base}/console").text
        csrf = home.partition('name="csrf" value="')[2].partition('"')[0]
        form = {"csrf": csrf, "displayName": "Nordkapp", "domain.student": "a.example"}
        assert ada.post(f"{house.server.base}/console/new-profile", data=form).status_code == 200
        house.signs_in(bea, "bea")
        log = f"{house.server.base}/console/activity?operation=POST"
        assert re.search(r"\bada · schoolsync/v1/profiles", bea.get(log).text)
        assert "ada · " not in bea.get(f"{house.server.base}/console/activity.csv").text
        assert "delegated:adaadaada" in bea.get(f"{house.server.base}/console/activity.csv").text
        forgotten = house.server.command("user", "remove", "ADA", "--tenant", TENANT)
        assert forgotten.returncode == 0, forgotten.stderr
        assert "delegated:adaadaada · schoolsync/v1/profiles" in bea.get(log).text
        assert "bea · " in bea.get(f"{house.server.base}/console/activity").text
        assert "/console/sign-in" in str(ada.get(f"{house.server.base}/console").url)
        assert house.server.command("user", "remove", "ADA", "--tenant", TENANT).returncode == 2


def test_what_the_issuer_says_no_to(house: House) -> None:
    """Nobody is in: after a wrong password, a refusal, another's code, a code twice; nor with a token for another
    service or another tenant."""
    with house.browser() as http:
        assert house.signs_in(http, "ada", secret="guessed").status_code == 401
        assert "You are not signed in" in house.signs_in(http, "ada", cancel="yes").text
        assert http.get(f"{house.server.base}/console/sign-in/go?issuer=another").status_code == 403
        assert http.get(f"{house.server.base}/console/sign-in/back?code=x&state=guessed").status_code == 400
    for name in ("kim", "mia"):
        with house.browser() as http:
            assert house.signs_in(http, name).status_code in {401, 403}, name
            assert "sign-in" in str(http.get(f"{house.server.base}/console").url), name
    with house.browser() as ada, house.browser() as eve:
        ada.follow_redirects = False
        asked = ada.get(f"{house.server.base}/console/sign-in/go?issuer=the+district")
        back = ada.post(asked.headers["location"], data={"name": "ada", "secret": "pw of ada"}).headers["location"]
        state = parse_qs(urlsplit(str(house.goes(eve).url)).query)["state"][0]
        assert eve.get(back).status_code == 400, "the code is for the browser that asked"
        elsewhere = re.sub(r"iss=[^&]*", "iss=https%3A%2F%2Fother.example", back)
        assert ada.get(elsewhere).status_code == 403
        assert ada.get(back).status_code == 303
        assert ada.get(back).status_code == 400, "a sign-in ends once"
        hers = re.sub(r"state=[^&]*", f"state={state}", back)
        assert "gave no token" in eve.get(hers).text, "a code is good once, and for whoever has its proof"


def test_the_command_line_signs_in_there(house: House, tmp_path: Path) -> None:
    """With a code typed on another device, and with a browser; tokens are renewed, and are worth nothing after
    `logout`."""
    ann = Person(tmp_path / "ann")
    (ann.folder / "browser.py").write_text(BROWSER % str(house.ca))
    where = ("--server", house.server.base, "--issuer", house.issuer, "--ca", house.ca, "--client", "tools")
    words = ["login", *map(str, where), "--scope", SCOPE, "--context", "device", "--device"]
    with subprocess.Popen(
        [sys.executable, "-m", "schoolsync", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ann.environment,
    ) as process:
        assert process.stderr is not None
        page, code = re.findall(r"Open (\S+) and type the code (\w+)\.", process.stderr.readline())[0]
        with house.browser() as http:
            assert http.post(page, data={"name": "ada", "secret": "wrong", "code": code}).status_code == 401
            assert http.post(page, data={"name": "ada", "secret": "pw of ada", "code": code}).status_code == 200
        said, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "ada" in said
    first = ann.kept()["device"]
    assert first["tenant"] == TENANT
    bearer = {"Authorization": f"Bearer {first['token']}"}
    path = f"{house.server.base}/v1.0/education/synchronizationProfiles"
    made = house.server.http.post(path, json=creation(), headers=bearer)
    assert made.status_code == 202, made.text
    profile = made.json()["id"]
    assert "Nordkapp" in ann.types("profile", "export", profile)

    ann.changes(expires=int(time.time()))
    assert "Nordkapp" in ann.types("profile", "export", profile)
    second = ann.kept()["device"]
    assert (second["token"] != first["token"], second["refresh_token"] != first["refresh_token"]) == (True, True)
    said = ann.types("login", *where, "--scope", SCOPE, "--context", "browser")
    assert "as ann" in said
    assert "Nordkapp" in ann.types("profile", "export", profile)
    kept = ann.contexts.read_text()
    assert "could not be told" not in ann.types("logout", "browser")
    ann.contexts.write_text(kept)  # a copy that somebody made
    ann.changes(expires=0)
    assert "schoolsync login" in ann.types("profile", "export", profile, status=2)
