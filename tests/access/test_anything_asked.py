"""Whatever is sent to the built-in issuer: it refuses in OAuth's words, never fails, and repeats no secret."""

import asyncio
import base64
import json
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schoolsync.access import accounts, issuer, issuer_http, oauth

from ..conftest import NIGHTLY
from .conftest import TENANT, now

PROGRAM = "cccccccc-1111-4111-8111-111111111111"
NAME = "ann@district.example"
PASSWORD = "four-sounding-brass-bells"
EXAMPLES = 3000 if NIGHTLY else 150
LONGEST = 12
"""Characters of a value that were not a secret's."""

ODD = st.one_of(
    st.text(max_size=LONGEST),
    st.sampled_from(
        ["", " ", "\0", "\r\nSet-Cookie: a=b", "é", "\N{SNOWMAN}", "%", "'", '"><script>', "null", "x" * 5000]
    ),
)
GRANTS = (
    *("client_credentials", "authorization_code", "refresh_token", "device_code", "password"),
    "urn:ietf:params:oauth:grant-type:device_code",
)
ADDRESSES = ("http://127.0.0.1:5/back", "http://localhost/", "http://127.0.0.1/é", "http://127.0.0.1/\N{SNOWMAN}")
KNOWN = {
    "grant_type": GRANTS,
    "client_id": (PROGRAM, "{client}", PROGRAM.upper()),
    "client_secret": ("{secret}",),
    "scope": (f"{issuer.GRAPH}/.default", "openid offline_access EduRoster.Read", "EduRoster.Read", "nonsense"),
    "resource": (issuer.GRAPH, f"{issuer.GRAPH}/"),
    "code": ("{code}",),
    "device_code": ("{device}",),
    "refresh_token": ("{refresh}",),
    "token": ("{refresh}",),
    "redirect_uri": ADDRESSES,
    "code_verifier": ("v" * 43,),
    "code_challenge": ("E" * 43,),
    "code_challenge_method": ("S256", "plain"),
    "response_type": ("code", "token"),
    "response_mode": ("query", "fragment"),
    "state": ("a state",),
    "nonce": ("once",),
    "prompt": ("none", "login"),
    "username": (NAME,),
    "password": (PASSWORD,),
    "user_code": ("{typed}", "BCDF-GHJK"),
}
ANY = st.dictionaries(st.sampled_from(sorted(KNOWN)), st.none(), max_size=12).flatmap(
    lambda names: st.fixed_dictionaries({name: st.sampled_from(KNOWN[name]) | ODD for name in names})
)
# What would be granted, of which a little is changed.
ASKED = (
    "client_id",
    "redirect_uri",
    "response_type",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
)
GOOD = (
    ("oauth2/v2.0/token", (), ("grant_type", "client_id", "client_secret", "scope")),
    ("oauth2/token", (), ("grant_type", "client_id", "client_secret", "resource")),
    ("oauth2/v2.0/devicecode", (), ("client_id", "scope")),
    ("oauth2/v2.0/authorize", ASKED, ("username", "password")),
    ("oauth2/v2.0/authorize", (), ("username", "password", "user_code")),
)


def _nearly(path: str, asked: tuple[str, ...], told: tuple[str, ...]) -> st.SearchStrategy:
    def some(names: tuple[str, ...]) -> st.SearchStrategy:
        whole = {name: KNOWN[name][path != "oauth2/v2.0/authorize" and name in {"client_id"}] for name in names}
        if path == "oauth2/v2.0/authorize" and "scope" in whole:
            whole["scope"] = "openid EduRoster.Read"
        if path == "oauth2/v2.0/devicecode":
            whole = {"client_id": PROGRAM, "scope": "EduRoster.Read"}
        odd = st.dictionaries(st.sampled_from(names), ODD, max_size=1) if names else st.just({})
        other = st.dictionaries(st.sampled_from(sorted(KNOWN)), st.none(), max_size=1).flatmap(
            lambda found: st.fixed_dictionaries({name: st.sampled_from(KNOWN[name]) for name in found})
        )
        return st.tuples(odd, other, st.integers(0, 3)).map(
            lambda made: {**whole, **(made[0] if made[2] == 1 else {}), **(made[1] if made[2] == 2 else {})}
        )

    return st.tuples(st.just("POST"), st.just(TENANT), st.just(path), some(asked), some(told), st.just({}), st.none())


PATHS = st.sampled_from(
    [
        *("oauth2/v2.0/token", "oauth2/token", "oauth2/v2.0/revoke", "oauth2/v2.0/devicecode", "oauth2/v2.0/authorize"),
        *("oauth2/authorize", "v2.0/.well-known/openid-configuration", ".well-known/openid-configuration"),
        *("discovery/v2.0/keys", "discovery/keys", "oauth2/v2.0/logout", "oauth2/v2.0/token/x"),
    ]
)
TENANTS = st.sampled_from(
    [TENANT, TENANT.upper(), "common", "organizations", "00000000-0000-4000-8000-000000000000", "é"]
)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "authorization": st.sampled_from(["Basic {basic}", "Basic é", "Basic", "Bearer x", "basic !!!!"]),
        "origin": st.sampled_from(["null", "https://evil.example", "http://127.0.0.1:8080"]),
        "sec-fetch-site": st.sampled_from(["cross-site", "same-origin", "none", "\xff"]),
        "content-length": st.sampled_from(["99999", "-1", "x", "\xb2"]),
        "client-request-id": ODD.map(lambda text: text.encode("latin-1", "replace").decode("latin-1")),
        "cookie": st.just("a=b"),
    },
)


@pytest.fixture
def ask(house, monkeypatch):
    """Asks the issuer, and gives status, headers and text of its answer."""
    monkeypatch.setattr(oauth, "FIRST_WAIT", 0.0)  # wrong secrets are many here
    client = house.client("EduRoster.Read.All")
    accounts.add(
        house.control, tenant_id=TENANT, name=NAME, password=PASSWORD, scopes=("EduRoster.Read",), roles=(), now=now()
    )
    app = issuer_http.app(control=house.control, settings=house.settings, clock=now, directories=house.directories)

    def asked(method, path, query, headers, content):
        waiting = [{"type": "http.request", "body": content, "more_body": False}]
        said = []

        async def receive():
            return waiting.pop() if waiting else {"type": "http.disconnect"}

        async def send(message):
            said.append(message)

        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
            "client": ("127.0.0.1", 5),
        }
        asyncio.run(app(scope, receive, send))
        started, body = said
        return started["status"], dict(started["headers"]), body["body"].decode()

    def form(path, **fields):
        headers = {"content-type": "application/x-www-form-urlencoded"}
        return asked("POST", f"/{TENANT}/{path}", "", headers, urlencode(fields).encode())

    begun = json.loads(form("oauth2/v2.0/devicecode", client_id=PROGRAM, scope="EduRoster.Read")[2])
    words = {
        "client": client.id,
        "secret": client.secret,
        "device": begun["device_code"],
        "typed": begun["user_code"],
        "basic": base64.b64encode(f"{client.id}:{client.secret}".encode()).decode(),
        "code": "c" * 43,
        "refresh": "r" * 43,
    }
    asked.words = words
    return asked


def filled(text, words):
    """A text with what is only known when the issuer is there."""
    for name, word in words.items():
        text = text.replace(f"{{{name}}}", word)
    return text


ANYTHING = st.tuples(
    st.sampled_from(["POST", "POST", "POST", "GET", "GET", "HEAD", "PUT", "OPTIONS"]),
    TENANTS,
    PATHS,
    ANY,
    ANY,
    HEADERS,
    st.none() | st.none() | st.binary(max_size=40),
)
KINDS = ["application/x-www-form-urlencoded"] * 6 + ["application/json", "", "multipart/form-data"]


def test_is_answered_without_a_failure_or_a_secret(ask):
    """Anything in any field, at any endpoint: below 500, in OAuth's shape or a page, and no secret comes back."""
    words, seen = ask.words, set()

    @settings(database=None, deadline=None, max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow])
    @given(asked=st.one_of(ANYTHING, *(_nearly(*one) for one in GOOD)), kind=st.sampled_from(KINDS))
    def each(asked, kind):
        method, tenant, path, query, fields, headers, raw = asked
        query = {name: filled(value, words) for name, value in query.items()}
        fields = {name: filled(value, words) for name, value in fields.items()}
        headers = {name: filled(value, words) for name, value in headers.items()} | {"content-type": kind}
        content = urlencode(fields).encode() if raw is None else raw
        status, sent, text = ask(method, f"/{tenant}/{path}", urlencode(query), headers, content)
        seen.add((path, status))
        assert status < 500, text
        for name, value in sent.items():
            assert not set(value) & set(b"\r\n\0"), (name, value)
        if status >= 400 and text and b"json" in sent[b"content-type"]:
            assert set(json.loads(text)) >= {"error", "error_description"}
        said = text + " ".join(value.decode("latin-1") for value in sent.values())
        for secret in (words["secret"], PASSWORD, words["basic"], "c" * 43, "r" * 43):
            assert secret not in said
        for name in ("client_secret", "password", "code", "device_code", "refresh_token", "token", "code_verifier"):
            value = fields.get(name, "")
            if len(value) > LONGEST:
                assert value not in said, name

    each()
    granted = {(path, 303 if "authorize" in path else 200) for path, _, _ in GOOD}
    assert granted <= seen, granted - seen  # some were right enough to be granted
