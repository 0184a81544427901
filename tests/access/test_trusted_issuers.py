"""Tokens of Entra ID and of OpenID Connect issuers, which run here as a real process over TLS."""

import asyncio
import json
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from schoolsync import ticks
from schoolsync.access import certificates, issuer_keys, trusted
from schoolsync.access.tokens import SKEW, UNIX_EPOCH, InvalidToken, Verifier, identify
from schoolsync.errors import UsageError, WorldError
from schoolsync.settings import Settings
from schoolsync.store.control import open_control

PROCESS = Path(__file__).with_name("foreign_issuer.py")
TENANT = "11111111-2222-3333-4444-555555555555"
OTHER = "99999999-8888-7777-6666-555555555555"
APP = "aaaaaaaa-0000-4000-8000-000000000001"
USER = "bbbbbbbb-0000-4000-8000-000000000002"


@pytest.fixture(scope="module")
def process(tmp_path_factory):
    """The issuers' web server; `process.base` is its address, `process.ca` what to trust."""
    folder = tmp_path_factory.mktemp("issuers")
    cert, key = certificates.ensure(folder / "tls", [])
    running = subprocess.Popen([sys.executable, str(PROCESS), str(folder), cert, key], stdout=subprocess.PIPE)
    try:
        port = int(running.stdout.readline())
        yield Place(folder, f"https://localhost:{port}", str(cert))
    finally:
        running.terminate()
        running.wait(10)
        running.stdout.close()


class Place:
    def __init__(self, folder, base, ca):
        self.folder, self.base, self.ca = folder, base, ca


class Entra:
    """An authority that looks like Microsoft's: discovery for each version, one set of keys."""

    def __init__(self, place):
        self.place = place
        self.name = uuid.uuid4().hex
        self.authority = f"{place.base}/{self.name}"
        self.key = RSAKey.generate_key(2048, auto_kid=True)
        self.published = [self.key.as_dict(private=False)]
        self.publish()

    def issuer(self, version, tenant="{tenantid}"):
        # v1.0 tokens are issued under another host than the one that was asked
        return f"https://sts.example.net/{tenant}/" if version == "1.0" else f"{self.authority}/{tenant}/v2.0"

    def publish(self):
        for tenant in ("organizations", TENANT):
            shown = "{tenantid}" if tenant == "organizations" else tenant
            for version, infix in (("1.0", ""), ("2.0", "v2.0/")):
                self.write(
                    f"{tenant}/{infix}.well-known/openid-configuration",
                    {"issuer": self.issuer(version, shown), "jwks_uri": f"{self.authority}/keys"},
                )
        self.write("keys", {"keys": self.published})

    def write(self, path, content):
        file = self.place.folder / self.name / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content) if isinstance(content, dict) else content)

    def asked(self, part="keys"):
        lines = (self.place.folder / "requests").read_text().splitlines()
        return sum(line.startswith(f"/{self.name}/") and line.split()[0].endswith(part) for line in lines)

    def entry(self, **changes):
        return {
            "kind": "entra",
            "authority": self.authority,
            "tenants": [TENANT],
            "audiences": ["api://schoolsync"],
            "ca": self.place.ca,
            **changes,
        }

    def token(self, version="2.0", *, key=None, tenant=TENANT, header=None, **changes):
        now = int(time.time())
        claims = {
            "aud": "api://schoolsync",
            "iss": self.issuer(version, tenant),
            "iat": now,
            "nbf": now,
            "exp": now + 3600,
            "tid": tenant,
            "ver": version,
            "oid": USER,
            "sub": "pairwise",
            "scp": "EduRoster.Read",
        }
        claims |= {"appid": APP, "upn": "ann@x.example"} if version == "1.0" else {"azp": APP}
        claims = {name: value for name, value in {**claims, **changes}.items() if value is not None}
        key = key or self.key
        algorithm = (header or {}).get("alg", "RS256")
        return jwt.encode({"alg": algorithm, "kid": key.kid, **(header or {})}, claims, key, algorithms=[algorithm])


class House:
    """One installation that trusts what its issuers file says."""

    def __init__(self, folder, entries, **settings):
        self.folder = folder
        self.file = folder / "issuers.toml"
        folder.mkdir(parents=True, exist_ok=True)
        self.trust(entries)
        self.settings = Settings(data_dir=folder, **{"egress_allow": ("127.0.0.0/8", "::1"), **settings})
        self.control = open_control(self.settings)
        self.restart()

    def trust(self, entries):
        self.file.write_text("".join(f"[[issuer]]\n{toml(entry)}\n" for entry in entries))

    def restart(self):
        self.verifier = Verifier(self.control, self.settings, lambda: UNIX_EPOCH + int(time.time()) * ticks.PER_SECOND)

    def verify(self, token, *, at=None):
        now = UNIX_EPOCH + int(at if at is not None else time.time()) * ticks.PER_SECOND
        return asyncio.run(identify(self.verifier.verify, f"Bearer {token}", now))

    def refused(self, token, **options):
        with pytest.raises(InvalidToken) as problem:
            self.verify(token, **options)
        return str(problem.value)


def toml(entry):
    lines, tables = [], []
    for name, value in entry.items():
        if isinstance(value, dict):
            tables.append(
                f"[issuer.{name}]\n" + "\n".join(f"{json.dumps(k)} = {json.dumps(v)}" for k, v in value.items())
            )
        else:
            lines.append(f"{name} = {json.dumps(value)}")
    return "\n".join([*lines, *tables])


@pytest.fixture
def entra(process):
    return Entra(process)


@pytest.fixture
def make(tmp_path):
    made = []

    def build(*entries, **settings):
        made.append(House(tmp_path / uuid.uuid4().hex, entries, **settings))
        return made[-1]

    yield build
    for house in made:
        house.control.close()


# --- Entra ID ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("tenants", [[TENANT], [TENANT, OTHER], ["*"]])
def test_entra_tokens_of_both_versions(entra, make, version, tenants):
    """A district's own Entra tokens open the directory of their tenant, in either claim form."""
    house = make(entra.entry(tenants=tenants))
    person = house.verify(entra.token(version, roles=["schoolsync.approver", "EduRoster.Read.All"]))
    assert (person.kind, person.tenant_id, person.grants) == ("delegated", TENANT, {"EduRoster.Read"})
    assert (person.user_id, person.client, person.roles) == (USER, APP, {"schoolsync.approver"})
    program = house.verify(entra.token(version, scp=None, roles=["EduRoster.Read.All"], idtyp="app"))
    assert (program.kind, program.grants, program.user_id) == ("application", {"EduRoster.Read.All"}, None)


def test_a_persons_roles_are_not_a_programs(entra, make):
    """Where no claim says whose token it is, a program's `sub` is its `oid`; an id token names no program at all."""
    house = make(entra.entry())

    def kind(**changes):
        return house.verify(entra.token(**{"scp": None, "roles": ["EduRoster.Read.All"], **changes})).kind

    assert kind(sub=USER) == kind(idtyp="app") == kind(sub=None, oid=None) == "application"
    assert kind() == kind(idtyp="user", sub=USER) == kind(idtyp="device", sub=USER) == "none"
    assert kind(azp=None, sub=USER) == kind(azp=None, idtyp="app") == "none"


def test_what_an_issuer_signs_for_another_purpose_is_no_token(entra, make):
    """Such as the end of a session."""
    house = make(entra.entry())
    for other in ("logout+jwt", "dpop+jwt", "secevent+jwt", ""):
        assert "80049217" in house.refused(entra.token(header={"typ": other}))
    for ours in ("JWT", "jwt", "at+jwt", "application/at+jwt"):
        assert house.verify(entra.token(header={"typ": ours})).user_id == USER


def test_keys_that_share_an_id(process, make):
    """Whichever of them has signed, and of whatever kind it is."""
    kinds = (ECKey.generate_key("P-256", {"kid": "one"}), RSAKey.generate_key(2048, {"kid": "one"}))
    idp = Oidc(process, kinds[0])
    idp.published = [key.as_dict(private=False) for key in (*kinds, RSAKey.generate_key(2048, {"kid": "one"}))]
    idp.publish()
    house = make(idp.entry(algorithms=["ES256", "RS256"]))
    assert house.verify(idp.token()).tenant_id == TENANT
    assert house.verify(idp.token(key=kinds[1], header={"alg": "RS256"})).tenant_id == TENANT
    stranger = RSAKey.generate_key(2048, {"kid": "one"})
    assert "signature" in house.refused(idp.token(key=stranger, header={"alg": "RS256"}))


def test_clouds_that_sign_in_the_same_name(process, make):
    """Microsoft's clouds name v1.0 tokens alike: whose key it is tells; one that is away holds nobody else up."""
    clouds = [Entra(process) for _ in range(3)]
    entries = [cloud.entry(name=f"cloud-{number}", tenants=["*"]) for number, cloud in enumerate(clouds)]
    house = make(*entries)
    for number, cloud in enumerate(clouds):
        assert house.verify(cloud.token("1.0")).issuer == f"cloud-{number}"
        assert "signature" in house.refused(cloud.token("1.0", key=RSAKey.generate_key(2048, auto_kid=True)))
    clouds[0].write("keys.how", "status 500")
    house = make(*entries)
    for number, cloud in enumerate(clouds[1:], 1):
        assert house.verify(cloud.token("1.0", nonce="again")).issuer == f"cloud-{number}"
    with pytest.raises(WorldError):
        house.verify(clouds[0].token("1.0"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"aud": "https://graph.microsoft.com"}, "Invalid audience"),
        ({"aud": "00000003-0000-0000-c000-000000000000"}, "Invalid audience"),
        ({"aud": None}, "Invalid audience"),
        ({"tenant": OTHER}, "Invalid signature"),  # not a tenant that may come in: nobody to ask
        ({"tid": OTHER}, "Invalid signature"),
        ({"iss": "https://sts.example.net/{tenantid}/"}, "Invalid signature"),
        ({"iss": "https://evil.example/11111111-2222-3333-4444-555555555555/v2.0"}, "Invalid signature"),
        ({"tid": None}, "Invalid signature"),
        ({"ver": None}, "Invalid signature"),
        ({"scp": ["x"]}, "80049217"),
        ({"exp": None}, "80049217"),
    ],
)
def test_entra_claims_that_do_not_fit(entra, make, changes, message):
    """A token for Graph, for another tenant, of another issuer or for nobody is refused, though Entra signed it."""
    house = make(entra.entry())
    assert message in house.refused(entra.token(**changes))


def test_one_tenant_may_not_speak_for_another(entra, make):
    """With every tenant allowed, issuer and tenant must still belong together, and a tied key keeps to its tenant."""
    house = make(entra.entry(tenants=["*"]))
    assert house.verify(entra.token(tenant=OTHER)).tenant_id == OTHER
    assert "signature" in house.refused(entra.token(tid=OTHER))
    tied = RSAKey.generate_key(2048, auto_kid=True)
    entra.published.append({**tied.as_dict(private=False), "issuer": entra.issuer("2.0", TENANT)})
    entra.publish()
    fresh = make(entra.entry(tenants=["*"]))
    assert fresh.verify(entra.token(key=tied)).tenant_id == TENANT
    assert "Invalid issuer" in fresh.refused(entra.token(key=tied, tenant=OTHER))


def test_only_listed_apps(entra, make):
    """With an app allow-list, tokens of other apps are refused."""
    assert make(entra.entry(apps=[APP])).verify(entra.token()).client == APP
    assert "application is not allowed" in make(entra.entry(apps=[OTHER])).refused(entra.token())


def test_clock_skew(entra, make):
    """Five minutes of difference between the clocks are fine, more is not."""
    house = make(entra.entry())
    now = int(time.time())
    token = entra.token(nbf=now, iat=now, exp=now + 600)
    assert "not yet valid" in house.refused(token, at=now - SKEW - 5)
    assert house.verify(token, at=now - SKEW + 5).user_id == USER
    assert "expired" in house.refused(token, at=now + 600 + SKEW + 5)


@pytest.mark.parametrize("algorithm", ["RS512", "PS256"])
def test_algorithms_that_are_not_listed(entra, make, algorithm):
    """Only RS256 for Entra, even with the right key."""
    assert "signature" in make(entra.entry()).refused(entra.token(header={"alg": algorithm}))


def test_audiences_of_the_settings(entra, make):
    """An audience of the settings is good for every trusted issuer; Graph's own never becomes one."""
    house = make(entra.entry(), audiences=("api://district", "https://graph.microsoft.com"))
    assert house.verify(entra.token(aud="api://district")).user_id == USER
    assert "audience" in house.refused(entra.token(aud="https://graph.microsoft.com"))


# --- any OpenID Connect issuer ------------------------------------------------------------------------------------


class Oidc(Entra):
    def __init__(self, place, key=None):
        self.place = place
        self.name = uuid.uuid4().hex
        self.authority = f"{place.base}/{self.name}"
        self.key = key or ECKey.generate_key("P-256", auto_kid=True)
        self.published = [self.key.as_dict(private=False)]
        self.publish()

    def publish(self):
        self.write(".well-known/openid-configuration", {"issuer": self.authority, "jwks_uri": f"{self.authority}/keys"})
        self.write("keys", {"keys": self.published})

    def entry(self, **changes):
        return {
            "kind": "oidc",
            "url": self.authority,
            "tenant": TENANT,
            "audiences": ["schoolsync"],
            "algorithms": ["ES256"],
            "ca": self.place.ca,
            **changes,
        }

    def token(self, *, key=None, header=None, **changes):
        now = int(time.time())
        claims = {
            "iss": self.authority,
            "aud": ["account", "schoolsync"],
            "exp": now + 600,
            "iat": now,
            "sub": "f-17",
            "azp": "console",
            "scope": "openid EduRoster.Read",
            "preferred_username": "ann@x.example",
        }
        claims = {name: value for name, value in {**claims, **changes}.items() if value is not None}
        key = key or self.key
        header = {"alg": "ES256", "kid": key.kid, **(header or {})}
        return jwt.encode(header, claims, key, algorithms=[header["alg"]])


def test_a_districts_own_issuer(process, make):
    """Keycloak and its kind: one issuer, one tenant, roles deep in the token, groups that mean roles."""
    idp = Oidc(process)
    house = make(idp.entry(roles_claim="realm_access.roles", role_map={"sds admins": "schoolsync.admin"}))
    person = house.verify(idp.token(realm_access={"roles": ["sds admins", "schoolsync.viewer", "offline_access"]}))
    assert (person.kind, person.tenant_id, person.user_id) == ("delegated", TENANT, "f-17")
    assert (person.user_name, person.client) == ("ann@x.example", "console")
    assert person.grants == {"openid", "EduRoster.Read"}
    assert person.roles == {"schoolsync.admin", "schoolsync.viewer"}


def test_a_program_is_who_the_file_says(process, make):
    """Only a client that is listed as a program may use application roles; a person's token never becomes one."""
    idp = Oidc(process)
    token = idp.token(azp="nightly", scope="profile", roles=["EduRoster.Read.All"])
    program = make(idp.entry(applications=["nightly"])).verify(token)
    assert (program.kind, program.grants, program.user_id) == ("application", {"EduRoster.Read.All"}, None)
    person = make(idp.entry()).verify(token)
    assert (person.kind, person.grants) == ("delegated", {"profile"})
    assert make(idp.entry()).verify(idp.token(scope=None, roles=["EduRoster.Read.All"])).kind == "none"


def test_tenants_in_a_claim(process, make):
    """An issuer for many districts names the tenant in a claim, and only listed ones come in."""
    idp = Oidc(process)
    entry = idp.entry(tenant_claim="district", tenants=[TENANT])
    del entry["tenant"]
    house = make(entry)
    assert house.verify(idp.token(district=TENANT.upper())).tenant_id == TENANT
    assert "Invalid tenant" in house.refused(idp.token(district=OTHER))
    assert "Invalid tenant" in house.refused(idp.token())


def test_several_issuers_at_once(process, make):
    """Each issuer's keys are good for its own name alone; the built-in one goes on beside them, or is off."""
    one, two, entra = Oidc(process), Oidc(process), Entra(process)
    house = make(one.entry(), two.entry(tenant=OTHER), entra.entry())
    assert house.verify(one.token()).tenant_id == TENANT
    assert house.verify(two.token()).tenant_id == OTHER
    assert house.verify(entra.token()).issuer == "entra-global"
    assert "signature" in house.refused(one.token(key=two.key))
    assert "signature" in house.refused(two.token(iss=one.authority))
    from schoolsync.access import issuer

    def own():
        grant = issuer.Grant(tenant_id=TENANT, client=issuer.CLI_CLIENT, scopes=("EduRoster.Read",))
        key = issuer.signing_key(house.settings.keys).get()
        return issuer.mint(key, grant, base_url="http://x", now=int(time.time()), lifetime=60, token_id="t")

    assert house.verify(own()).issuer is None
    closed = make(one.entry(), built_in_issuer=False)
    assert closed.verify(one.token()).tenant_id == TENANT
    assert "signature" in closed.refused(own())


def test_a_shared_secret_is_never_a_signature(process, make):
    """A token signed with the public key as secret, or not at all, is refused."""
    idp = Oidc(process)
    house = make(idp.entry())
    head, body, _ = idp.token().split(".")
    import base64
    import hashlib
    import hmac

    def part(value):
        return base64.urlsafe_b64encode(value).rstrip(b"=").decode()

    for algorithm in ("HS256", "none"):
        header = part(json.dumps({"alg": algorithm, "kid": idp.key.kid}).encode())
        secret = json.dumps(idp.published[0]).encode()
        signed = part(hmac.new(secret, f"{header}.{body}".encode(), hashlib.sha256).digest())
        assert "signature" in house.refused(f"{header}.{body}.{signed}")
        assert "signature" in house.refused(f"{header}.{body}.")
    assert head


# --- keys ----------------------------------------------------------------------------------------------------------


def test_keys_are_fetched_once(entra, make):
    """A thousand tokens cost one question to the issuer, at its own name although the address was pinned."""
    house = make(entra.entry())
    for number in range(20):
        house.verify(entra.token(uti=str(number)))
    assert entra.asked() == 1
    hosts = {line.split()[1] for line in (entra.place.folder / "requests").read_text().splitlines()}
    assert hosts == {entra.place.base.removeprefix("https://")}


def test_keys_are_rotated(entra, make, monkeypatch):
    """A new key is learnt with the first token that names it; a withdrawn one is refused from then on."""
    monkeypatch.setattr(issuer_keys, "AGAIN", 0.0)
    house = make(entra.entry())
    old = entra.key
    assert house.verify(entra.token()).user_id == USER
    entra.key = RSAKey.generate_key(2048, auto_kid=True)
    entra.published = [entra.key.as_dict(private=False)]
    entra.publish()
    assert house.verify(entra.token()).user_id == USER
    monkeypatch.setattr(issuer_keys, "AGAIN", 30.0)
    assert "signature" in house.refused(entra.token(key=old, uti="after"))


def test_unknown_keys_do_not_make_us_ask_again_and_again(entra, make):
    """Forged key ids cost the issuer one question in half a minute, not one each."""
    house = make(entra.entry())
    house.verify(entra.token())
    forger = RSAKey.generate_key(2048)
    for number in range(10):
        forged = entra.token(key=forger, header={"kid": f"k{number}"})
        assert "signature" in house.refused(forged)
    assert entra.asked() <= 2


def test_the_issuer_may_be_away(entra, make):
    """Once fetched, keys outlive the issuer's absence and our restart; an issuer never reached is 503, not 401."""
    house = make(entra.entry())
    house.verify(entra.token())
    entra.write("keys.how", "status 503")
    house.restart()
    assert house.verify(entra.token(uti="restarted")).user_id == USER
    stranger = make(entra.entry())
    with pytest.raises(WorldError):
        stranger.verify(entra.token())


def test_old_keys_are_not_believed_for_ever(entra, make, monkeypatch):
    """After a day without an answer the issuer's keys count no more."""
    house = make(entra.entry())
    house.verify(entra.token())
    entra.write("keys.how", "status 503")
    monkeypatch.setattr(issuer_keys, "STALE", -1.0)
    monkeypatch.setattr(issuer_keys, "AGAIN", 0.0)
    house.restart()
    with pytest.raises(WorldError):
        house.verify(entra.token(uti="late"))


@pytest.mark.parametrize(
    "broken",
    [
        "drip",
        "huge",
        "redirect http://169.254.169.254/latest",
        "status 500",
        "not json",
        "[]",
        '{"keys": 1}',
        '{"keys": []}',
    ],
)
def test_a_broken_issuer_does_no_harm(entra, make, monkeypatch, broken):
    """Endless, huge, redirected and senseless answers end in a 503 within seconds."""
    monkeypatch.setattr("schoolsync.access.egress.TIMEOUT", 1.0)
    monkeypatch.setitem(issuer_keys.egress.fetch.__kwdefaults__, "timeout", 1.0)
    if broken.partition(" ")[0] in {"drip", "huge", "redirect", "status"}:
        entra.write("keys.how", broken)
    else:
        entra.write("keys", broken)
    house = make(entra.entry())
    began = time.monotonic()
    with pytest.raises(WorldError):
        house.verify(entra.token())
    assert time.monotonic() - began < 20


def test_weak_and_foreign_keys_are_ignored(entra, make):
    """Keys for encryption, secret keys, small keys and nonsense in the set open nothing."""
    small = RSAKey.generate_key(1024, auto_kid=True)
    encrypting = RSAKey.generate_key(2048, auto_kid=True)
    entra.published += [
        small.as_dict(private=False),
        {**encrypting.as_dict(private=False), "use": "enc"},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "secret"},
        {"kty": "RSA", "kid": "half"},
        "nonsense",
    ]
    entra.publish()
    house = make(entra.entry())
    assert house.verify(entra.token()).user_id == USER
    for key in (small, encrypting):
        assert "signature" in house.refused(entra.token(key=key))


def test_an_inside_issuer_must_be_allowed(entra, make):
    """Without the setting egress_allow nothing inside the network is asked, whatever the file says."""
    house = make(entra.entry(), egress_allow=())
    with pytest.raises(WorldError):
        house.verify(entra.token())
    assert entra.asked("configuration") == 0


def test_an_issuer_without_the_right_certificate(process, make):
    """TLS is checked: without its authority's certificate the issuer is not believed."""
    idp = Oidc(process)
    entry = idp.entry()
    del entry["ca"]
    with pytest.raises(WorldError):
        make(entry).verify(idp.token())


# --- the file ------------------------------------------------------------------------------------------------------


def test_the_file_may_change_while_serving(process, make):
    """A new issuer is trusted at once; a file broken by a slip changes nothing."""
    one, two = Oidc(process), Oidc(process)
    house = make(one.entry())
    assert "signature" in house.refused(two.token())
    house.trust([one.entry(), two.entry()])
    assert house.verify(two.token()).tenant_id == TENANT
    house.file.write_text("[[issuer]\n")
    assert house.verify(two.token(jti="again")).tenant_id == TENANT


GOOD = 'kind = "entra"\ntenants = ["11111111-2222-3333-4444-555555555555"]\naudiences = ["api://schoolsync"]\n'
OWN = 'kind = "oidc"\nurl = "https://idp.example.org"\naudiences = ["a"]\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", r"\[\[issuer\]\] tables"),
        ("x = 1\n", "nothing else"),
        ('[[issuer]]\nkind = "saml"\n', "entra"),
        (f'[[issuer]]\n{GOOD}cloud = "moon"\n', "cloud must be one of global, usgov, china"),
        (f"[[issuer]]\n{GOOD}tenant_claim = 'x'\n", "no key “tenant_claim”"),
        ('[[issuer]]\nkind = "entra"\naudiences = ["a"]\n', "tenants must list"),
        (f"[[issuer]]\n{GOOD.replace('api://schoolsync', 'https://graph.microsoft.com')}", "Graph alone"),
        (f'[[issuer]]\n{OWN}tenant = "north"\n', "must be a GUID"),
        (f'[[issuer]]\n{OWN}tenants = ["*"]\nalgorithms = ["HS256"]\n', "“HS256” is not allowed"),
        (f'[[issuer]]\n{OWN.replace("https", "http")}tenants = ["*"]\n', "must begin with https"),
        (f'[[issuer]]\n{OWN}tenants = ["*"]\n[issuer.role_map]\nx = "king"\n', "no role “king”"),
        ('[[issuer]]\nkind = "entra"\ntenants = ["11111111-2222-3333-4444-555555555555"]\n', "audiences must name"),
    ],
)
def test_slips_in_the_file_are_explained(tmp_path, text, says):
    """Every mistake names the file, the entry and what would be right."""
    path = tmp_path / "issuers.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=says):
        trusted.read(path)


@pytest.mark.parametrize(
    ("cloud", "host"),
    [
        ("global", "login.microsoftonline.com"),
        ("usgov", "login.microsoftonline.us"),
        ("china", "login.partner.microsoftonline.cn"),
    ],
)
def test_sovereign_clouds(tmp_path, cloud, host):
    """Each cloud is asked at its own authority; a multi-tenant entry asks for all organizations."""
    path = tmp_path / "issuers.toml"
    path.write_text(f'[[issuer]]\n{GOOD}cloud = "{cloud}"\n[[issuer]]\n{GOOD.replace(TENANT, "*")}cloud = "{cloud}"\n')
    own, every = trusted.read(path)
    assert own.discovery("1.0") == f"https://{host}/{TENANT}/.well-known/openid-configuration"
    assert every.discovery("2.0") == f"https://{host}/organizations/v2.0/.well-known/openid-configuration"
