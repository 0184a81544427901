"""Refresh tokens, accounts and codes of the built-in issuer, on both databases."""

import io
import uuid

import pytest

from schoolsync import ticks
from schoolsync.access import accounts, devices, refreshing, sign_ins
from schoolsync.access.devices import Granted
from schoolsync.cli import signing_in, user
from schoolsync.errors import UsageError, WorldError
from schoolsync.settings import Settings
from schoolsync.store.control import open_control

from .conftest import now

PROGRAM = "cccccccc-1111-4111-8111-111111111111"
PASSWORD = "four sounding brass bells"
DAY = 24 * 3600 * ticks.PER_SECOND


class Ann:
    """Somebody with an account, in a tenant of her own."""

    def __init__(self, control, settings):
        self.control = control
        self.tenant_id = str(uuid.uuid4())
        scopes, roles = ("EduRoster.Read", "schoolsync.access"), ("schoolsync.viewer",)
        options = {"tenant": self.tenant_id, "name": "Ann@district.example", "scope": " ".join(scopes)}
        assert user.add(settings, roles=roles, **options) == 0
        (self.account,) = accounts.known(control, tenant_id=self.tenant_id)
        self.tenant = control.known_tenant(self.tenant_id)
        self.granted = Granted(self.account.id, self.account.name, scopes, roles)

    def begins(self, at):
        return refreshing.begin(self.control, tenant=self.tenant, client=PROGRAM, granted=self.granted, now=at)

    def redeems(self, token, at, *, client=PROGRAM, tenant=None):
        return refreshing.redeem(self.control, tenant=tenant or self.tenant, client=client, token=token, now=at)


@pytest.fixture
def ann(tmp_path, database_url, monkeypatch):
    settings = Settings(data_dir=tmp_path, database_url=database_url)
    control = open_control(settings)
    monkeypatch.setattr("sys.stdin", io.StringIO(PASSWORD + "\n"))
    yield Ann(control, settings)
    control.close()


def test_each_works_once_and_a_second_use_ends_all(ann):
    """An answer that was lost may be asked for again at once; later it is somebody's copy."""
    at = now()
    first = ann.begins(at)
    assert ann.redeems(first, at, client=str(uuid.uuid4())) is None
    assert ann.redeems(first, at, tenant=ann.tenant + 1) is None
    granted, second = ann.redeems(first, at)
    assert granted == ann.granted
    _, again = ann.redeems(first, at + 5 * ticks.PER_SECOND)
    _, third = ann.redeems(second, at + DAY)
    other = ann.begins(at)
    assert ann.redeems(first, at + DAY) is None
    assert ann.redeems(third, at + DAY) is None
    assert ann.redeems(again, at + DAY) is None
    assert ann.redeems(other, at + DAY), "another sign-in goes on"


def test_they_end(ann):
    """After two weeks without use, and after a quarter of a year whatever happens."""
    at = now()
    token = ann.begins(at)
    assert ann.redeems(token, at + 15 * DAY) is None
    for _ in range(8):
        at += 10 * DAY
        token = ann.redeems(token, at)[1]
    assert ann.redeems(token, at + 12 * DAY) is None


def test_the_account_is_looked_at_anew(ann):
    """What was taken away is gone, a new password ends every sign-in, and so does removing the account."""
    at = now()
    token = ann.begins(at)
    accounts.change(ann.control, ann.account, scopes=("schoolsync.access",), roles=("schoolsync.auditor",))
    granted, token = ann.redeems(token, at)
    assert (granted.scopes, granted.roles) == (("schoolsync.access",), ("schoolsync.auditor",))
    accounts.change(ann.control, ann.account, password="a wholly different one")
    assert ann.redeems(token, at) is None
    token = ann.begins(at)
    accounts.remove(ann.control, ann.account)
    assert ann.redeems(token, at) is None
    assert accounts.known(ann.control, tenant_id=ann.tenant_id) == []


def test_signing_out(ann):
    """A program's own token ends what followed the same sign-in; somebody else's program ends nothing."""
    at = now()
    first = ann.begins(at)
    second = ann.redeems(first, at)[1]
    refreshing.revoke(ann.control, tenant=ann.tenant, client=str(uuid.uuid4()), token=second)
    third = ann.redeems(second, at)[1]
    refreshing.revoke(ann.control, tenant=ann.tenant, client=PROGRAM, token=second)
    assert ann.redeems(third, at) is None


def test_codes_on_both_databases(ann):
    """A code that a browser brings back, and one that a person types, work once."""
    at = now()
    verifier, challenge = "v" * 43, "7w_YNF9DSfIdPf_pRjSq646_kPr-2-o9NAl16JGghdM"
    question = sign_ins.Question(
        client=PROGRAM, redirect_uri="http://127.0.0.1:1/", challenge=challenge, scopes=(), offline=True
    )
    code = sign_ins.begin(ann.control, tenant=ann.tenant, question=question, granted=ann.granted, now=at)
    form = {"client": PROGRAM, "redirect_uri": "http://127.0.0.1:1/", "verifier": verifier, "now": at}
    found = sign_ins.redeem(ann.control, tenant=ann.tenant, code=code, **form)
    assert refreshing.OFFLINE in found.granted.scopes
    assert sign_ins.redeem(ann.control, tenant=ann.tenant, code=code, **form) is None
    wanted = {"tenant": ann.tenant, "client": PROGRAM}
    secret, typed = devices.begin(ann.control, **wanted, scopes=("EduRoster.Read", refreshing.OFFLINE), now=at)
    (waiting,) = devices.waiting(ann.control, tenant=ann.tenant, now=at)
    assert (waiting.scopes, waiting.offline) == (("EduRoster.Read",), True)
    assert devices.answer(ann.control, tenant=ann.tenant, code=typed, granted=ann.granted, now=at)
    assert devices.collect(ann.control, **wanted, secret=secret, now=at) == ann.granted
    assert devices.collect(ann.control, **wanted, secret=secret, now=at) == devices.Answer.EXPIRED


def test_an_issuer_is_believed_only_under_its_own_name(served):
    """Its certificate is checked, its name is compared, and nothing is sent where others listen."""
    name = f"{served.settings.base_url}/11111111-2222-3333-4444-555555555555/v2.0"
    found = signing_in.discover(name, served.cert)
    assert found.token_endpoint.startswith(served.settings.base_url)
    assert found.revocation_endpoint
    with pytest.raises(WorldError, match="certificate"):
        signing_in.discover(name, None)
    with pytest.raises(UsageError, match="calls itself"):
        signing_in.discover(f"{served.settings.base_url}/common/v2.0", served.cert)
    with pytest.raises(UsageError, match="gives out no tokens"):
        signing_in.discover(served.settings.base_url, served.cert)
    with pytest.raises(UsageError, match="https"):
        signing_in.discover("http://idp.example", None)
