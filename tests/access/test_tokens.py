"""Which tokens are believed, and what they say about the caller."""

import base64
import hashlib
import hmac
import json
import time

import pytest
from joserfc import jws, jwt
from joserfc.jwk import RSAKey

from schoolsync import ticks
from schoolsync.access import issuer
from schoolsync.access.tokens import LONGEST, SKEW, UNIX_EPOCH, InvalidToken, Verifier
from schoolsync.settings import Settings

TENANT = "11111111-2222-3333-4444-555555555555"
OTHER = "99999999-8888-7777-6666-555555555555"
GRAPH = "00000003-0000-0000-c000-000000000000"


def claims_of(token):
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def segment(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@pytest.fixture
def signed(house):
    """Sign changed claims with the real key: `signed(aud=..., nbf=None)` drops what is None."""
    base = claims_of(house.mint(scopes=("EduRoster.Read",), user_name="ann@north.example"))

    def sign(header=None, **changes):
        claims = {name: value for name, value in {**base, **changes}.items() if value is not None}
        return jwt.encode({"alg": "RS256", "kid": house.key.kid, **(header or {})}, claims, house.key)

    return sign


def refused(house, token, **options):
    with pytest.raises(InvalidToken) as problem:
        house.verify(token, **options)
    return str(problem.value)


# --- who is it -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_a_persons_token(house, version):
    """A delegated token names its person, tenant, application and scopes, in either version."""
    user = issuer.user_id_of(TENANT, "Ann@north.example")
    token = house.mint(
        scopes=("EduAdministration.Read", "EduRoster.Read"),
        user_id=user,
        user_name="Ann@north.example",
        version=version,
    )
    caller = house.verify(token)
    assert (caller.kind, caller.tenant_id, caller.grants) == (
        "delegated",
        TENANT,
        frozenset({"EduAdministration.Read", "EduRoster.Read"}),
    )
    assert (caller.user_id, caller.user_name, caller.client) == (user, "Ann@north.example", issuer.CLI_CLIENT)
    assert caller.tenant == house.control.known_tenant(TENANT)
    claims = claims_of(token)
    assert claims["ver"] == version
    assert claims["idtyp"] == "user"
    assert ("appid" in claims, "azp" in claims) == (version == "1.0", version == "2.0")


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_an_applications_token(house, version):
    """An application's token carries roles and no person."""
    caller = house.verify(house.mint(roles=("EduRoster.Read.All",), version=version))
    assert (caller.kind, caller.grants) == ("application", frozenset({"EduRoster.Read.All"}))
    assert (caller.user_id, caller.user_name, caller.client) == (None, None, issuer.CLI_CLIENT)


def test_a_token_with_both_is_a_persons(house):
    """Beside scopes, roles count for nothing."""
    caller = house.verify(house.mint(scopes=("EduRoster.Read",), roles=("EduRoster.ReadWrite.All",)))
    assert (caller.kind, caller.grants) == ("delegated", frozenset({"EduRoster.Read"}))


def test_a_token_with_neither_may_do_nothing(house, signed):
    """Without scopes and roles a token is good, and opens nothing; blank ones count as none."""
    for token in (house.mint(), signed(scp=" "), signed(scp=None, roles=[], idtyp="app")):
        caller = house.verify(token)
        assert (caller.kind, caller.grants) == ("none", frozenset())


def test_a_persons_roles_are_not_an_applications(house, signed):
    """A token of a person that carries only roles opens nothing."""
    assert house.verify(signed(scp=None, roles=["EduRoster.Read.All"], idtyp="user")).kind == "none"
    assert house.verify(signed(scp=None, roles=["EduRoster.Read.All"], idtyp="app")).kind == "application"
    assert house.verify(signed(scp=None, roles=["EduRoster.Read.All"], idtyp=None)).kind == "application"


def test_tenants_are_kept_apart(house):
    """Each tenant has a number of its own, the same every time; letter case does not make another tenant."""
    first, second = house.verify(house.mint(scopes=("a",))), house.verify(house.mint(scopes=("a",), tenant_id=OTHER))
    assert first.tenant != second.tenant
    assert house.verify(house.mint(scopes=("b",))).tenant == first.tenant


@pytest.mark.parametrize("header", ["Bearer {}", "bearer {}", "BEARER   {} ", "  Bearer {}"])
def test_the_scheme_in_any_letter_case(house, header):
    """Scripts write the scheme as they like."""
    assert house.verifier.verify(header.format(house.mint(scopes=("a",)))).kind == "delegated"


def test_a_token_works_wherever_the_server_listens(house, tmp_path):
    """A token made on the command line is good although its issuer named another port."""
    token = house.mint(scopes=("a",), base_url="http://127.0.0.1:1")
    assert house.verify(token).tenant_id == TENANT


# --- who is not believed -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", [None, "", " ", "Bearer", "Bearer ", "bearer   "])
def test_no_token(house, header):
    """Without a token the message says so, and the challenge tells where tokens come from."""
    with pytest.raises(InvalidToken) as refused:
        house.verifier.verify(header)
    assert str(refused.value) == "Access token is empty."
    assert refused.value.challenge == (
        'Bearer realm="", authorization_uri="http://127.0.0.1:8080/common/oauth2/authorize", '
        'client_id="00000003-0000-0000-c000-000000000000"'
    )


@pytest.mark.parametrize(
    "header",
    ["Basic YTpi", "Bearer x", "Bearer a.b.c", "Bearer é", "Bearer a b", "x", "Bearer ..", "Bearer " + "." * 2000],
)
def test_no_readable_token(house, header):
    """What is not a compact token is refused as malformed."""
    with pytest.raises(InvalidToken, match="CompactToken parsing failed with error code: 80049217"):
        house.verifier.verify(header)


def test_a_token_that_is_too_long(house, signed):
    """A token of unreasonable length is not even looked at."""
    token = signed(padding="x" * LONGEST)
    assert "80049217" in refused(house, token)
    assert house.verify(signed(padding="x" * 4000)).kind == "delegated"


def test_an_unsigned_token(house):
    """`alg: none` is never believed, in any spelling."""
    claims = segment(claims_of(house.mint(scopes=("a",))))
    for algorithm in ("none", "None", "NONE", ""):
        for header in ({"alg": algorithm}, {"alg": algorithm, "kid": house.key.kid}):
            refused(house, f"{segment(header)}.{claims}.")


@pytest.mark.parametrize("secret", ["pem", "der", "n", "empty"])
def test_a_token_signed_with_the_public_key(house, secret):
    """HS256 with what everybody knows is never believed."""
    key = house.key
    material = {
        "pem": key.as_pem(private=False),
        "der": key.as_der(private=False),
        "n": key.as_dict(private=False)["n"].encode(),
        "empty": b"",
    }[secret]
    signing = f"{segment({'alg': 'HS256', 'kid': key.kid})}.{segment(claims_of(house.mint(scopes=('a',))))}"
    digest = hmac.new(material, signing.encode(), hashlib.sha256).digest()
    signature = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    assert "signature" in refused(house, f"{signing}.{signature}")


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256"])
def test_other_algorithms_of_the_right_key(house, algorithm):
    """Only RS256 is accepted, even from the real key."""
    claims = claims_of(house.mint(scopes=("a",)))
    key = RSAKey.import_key(house.key.as_pem(private=True))
    token = jwt.encode({"alg": algorithm, "kid": house.key.kid}, claims, key, algorithms=[algorithm])
    assert "signature" in refused(house, token)


def test_a_token_of_another_key(house):
    """Another installation's token is refused, whichever key id it claims, and a key in the header does not help."""
    other = RSAKey.generate_key(2048, auto_kid=True)
    claims = claims_of(house.mint(scopes=("a",)))
    for header in ({"kid": other.kid}, {"kid": house.key.kid}, {}, {"kid": house.key.kid, "jwk": other.as_dict()}):
        assert "signature" in refused(house, jwt.encode({"alg": "RS256", **header}, claims, other))


def test_a_token_without_key_id(house):
    """A token must say which key signed it."""
    claims = claims_of(house.mint(scopes=("a",)))
    assert "signature" in refused(house, jwt.encode({"alg": "RS256"}, claims, house.key))


def test_a_changed_token(house):
    """One claim changed, and the signature no longer fits."""
    head, _, signature = house.mint(scopes=("EduRoster.Read",)).split(".")
    forged = segment({**claims_of(house.mint(scopes=("EduRoster.Read",))), "scp": "EduRoster.ReadWrite"})
    assert "signature" in refused(house, f"{head}.{forged}.{signature}")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"aud": "https://graph.windows.net"}, "Invalid audience"),
        ({"aud": "https://graph.microsoft.com.evil.example"}, "Invalid audience"),
        ({"aud": None}, "Invalid audience"),
        ({"aud": []}, "Invalid audience"),
        ({"aud": 7}, "Invalid audience"),
        ({"tid": None}, "Invalid tenant"),
        ({"tid": "north"}, "Invalid tenant"),
        ({"tid": 7}, "Invalid tenant"),
        ({"tid": OTHER}, "Invalid issuer"),
        ({"iss": None}, "Invalid issuer"),
        ({"iss": f"http://127.0.0.1:8080/{OTHER}/"}, "Invalid issuer"),
        ({"iss": f"http://127.0.0.1:8080/{TENANT}/v2.0"}, "Invalid issuer"),
        ({"iss": f"http://127.0.0.1:8080/{TENANT}"}, "Invalid issuer"),
        ({"iss": f"http://x/?{TENANT}/"}, "Invalid issuer"),
        ({"iss": f"ftp://x/{TENANT}/"}, "Invalid issuer"),
        ({"ver": None}, "Invalid issuer"),
        ({"ver": "3.0"}, "Invalid issuer"),
        ({"ver": []}, "Invalid issuer"),
        ({"exp": None}, "80049217"),
        ({"exp": "soon"}, "yet valid"),
        ({"exp": True}, "yet valid"),
        ({"nbf": "never"}, "yet valid"),
        ({"scp": ["EduRoster.Read"]}, "80049217"),
        ({"roles": "EduRoster.Read.All", "scp": None}, "80049217"),
        ({"roles": [1], "scp": None}, "80049217"),
    ],
)
def test_claims_that_do_not_fit(house, signed, changes, message):
    """Audience, tenant, issuer, lifetime and grants must be what they should, even when the signature is good."""
    assert message in refused(house, signed(**changes))


def test_infinite_lifetime(house):
    """Numbers that are no dates make no endless token."""
    payload = json.dumps({**claims_of(house.mint(scopes=("a",))), "exp": 1}).replace('"exp": 1', '"exp": 1e999')
    header = {"alg": "RS256", "kid": house.key.kid}
    refused(house, jws.serialize_compact(header, payload, house.key, algorithms=["RS256"]))


@pytest.mark.parametrize(
    "audience", ["https://graph.microsoft.com", "https://graph.microsoft.com/", GRAPH, "api://schoolsync"]
)
def test_accepted_audiences(house, audience):
    """Graph's audiences and those of the settings are accepted from the built-in issuer."""
    assert house.verify(house.mint(scopes=("a",), audience=audience)).kind == "delegated"


def test_audiences_are_a_setting(house):
    """An audience that is not in the settings is not accepted."""
    plain = Verifier(house.control, Settings(data_dir=house.settings.data_dir), house.verifier._clock)
    token = house.mint(scopes=("a",), audience="api://schoolsync")
    with pytest.raises(InvalidToken, match="Invalid audience"):
        plain.verify(f"Bearer {token}")


# --- lifetime ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("warm", [False, True])
def test_lifetime_with_skew(house, warm):
    """A token is good from five minutes before it begins to five minutes after it ends, remembered or not."""
    begins = 1_800_000_000
    token = house.mint(scopes=("a",), at=begins, lifetime=600)

    def at(second):
        return UNIX_EPOCH + second * ticks.PER_SECOND

    assert "not yet valid" in refused(house, token, now=at(begins - SKEW - 1))
    assert house.verify(token, now=at(begins - SKEW)).kind == "delegated"
    if warm:
        assert house.verify(token, now=at(begins + 600 + SKEW - 1)).kind == "delegated"
    assert house.verify(token, now=at(begins + 600 + SKEW - 1)).kind == "delegated"
    assert "expired" in refused(house, token, now=at(begins + 600 + SKEW))


def test_a_token_that_is_born_expired(house):
    """A negative lifetime makes a token for trying out how a client renews."""
    assert "expired" in refused(house, house.mint(scopes=("a",), lifetime=-SKEW - 1))


def test_a_token_seen_before_costs_little(house):
    """Every request brings a token: after the first sight it is only looked up."""
    token = house.mint(scopes=("a",))
    house.verify(token)
    began = time.process_time()
    for _ in range(2000):
        house.verify(token)
    assert (time.process_time() - began) / 2000 < 0.0002


def test_a_replaced_key_revokes_every_token(house):
    """When the key file is replaced, tokens of the old key are refused once they are no longer remembered."""
    old = house.mint(scopes=("a",))
    (house.settings.keys / "issuer.pem").unlink()
    assert "signature" in refused(house, old)
    assert house.verify(house.mint(scopes=("a",))).kind == "delegated"


def test_many_different_tokens(house, monkeypatch):
    """The memory of verified tokens is bounded."""
    monkeypatch.setattr("schoolsync.access.tokens.REMEMBERED", 10)
    for number in range(25):
        house.verify(house.mint(scopes=(f"s{number}",)))
    assert len(house.verifier._verified) <= 10
