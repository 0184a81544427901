"""Signing in with a code: MSAL and raw requests wait, an operator on the machine answers."""

import ssl
import uuid

import httpx
import msal
import pytest

from schoolsync import ticks
from schoolsync.access import audit, devices
from schoolsync.access.devices import Answer, Granted
from schoolsync.cli import device
from schoolsync.errors import UsageError
from schoolsync.store.directories import Directories

from ..examples import program
from .conftest import OTHER, TENANT, House, now

PROGRAM = "cccccccc-1111-4111-8111-111111111111"
USER = "ann@district.example"


@pytest.fixture
def here(served):
    """Requests to the served issuer, in a tenant of the test's own that is known there."""
    tenant = str(uuid.uuid4())
    served.control.tenant_number(tenant, now())
    trust = ssl.create_default_context(cafile=served.cert)
    with httpx.Client(base_url=f"{served.settings.base_url}/{tenant}/oauth2/v2.0", verify=trust, timeout=60) as http:

        def ask(path, status=200, **form):
            answer = http.post(path, data={"client_id": PROGRAM, **form})
            assert answer.status_code == status, answer.text
            assert answer.headers["cache-control"] == "no-store"
            return answer.json()

        yield tenant, ask


def poll(ask, begun, status=400, **changes):
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": begun["device_code"]}
    return ask("/token", status, **{**form, **changes})


def test_msal_signs_a_person_in(served, monkeypatch, capsys):
    """MSAL shows the code; after the operator's yes its token opens what was granted, in that person's name."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    served.control.tenant_number(TENANT, now())
    ours = {"https://sds.example.org": served.settings.base_url, "DIR/tls/cert.pem": str(served.cert)}
    shown = program("access.md", "app = msal.Public", {**ours, "cccccccc-1111-4111-8111-111111111111": PROGRAM})
    begin, end, get = shown.partition("answer = ")
    names = {"msal": msal, "TENANT": TENANT}
    exec(begin, names)
    assert names["flow"]["message"] in capsys.readouterr().out
    flow = names["flow"]
    assert flow["user_code"] in flow["message"]
    assert device.list_(served.settings, tenant=TENANT) == 0
    assert f"{flow['user_code']}  {PROGRAM}  EduRoster.Read  " in capsys.readouterr().out
    code = flow["user_code"].lower()
    roles = ["schoolsync.approver"]
    assert device.approve(served.settings, tenant=TENANT, code=code, user=USER, scope=None, roles=roles) == 0
    exec(end + get, names)
    caller = served.verify(names["answer"]["access_token"])
    assert (caller.kind, caller.tenant_id, caller.client) == ("delegated", TENANT, PROGRAM)
    assert (caller.user_name, caller.grants, caller.roles) == (USER, {"EduRoster.Read"}, {"schoolsync.approver"})


def test_a_code_waits_is_used_once_and_can_be_refused(served, here):
    """Pending, granted once, refused: each in OAuth's words."""
    tenant, ask = here
    begun = ask("/devicecode", scope="openid offline_access profile")
    assert poll(ask, begun)["error"] == "authorization_pending"
    options = {"tenant": tenant, "code": begun["user_code"], "user": USER, "roles": ()}
    with pytest.raises(UsageError, match="--scope"):
        device.approve(served.settings, scope=None, **options)
    with pytest.raises(UsageError, match="no permission"):
        device.approve(served.settings, scope="EduRoster.Raed", **options)
    assert device.approve(served.settings, scope="EduRoster.ReadBasic", **options) == 0
    with pytest.raises(UsageError, match="No program waits"):
        device.approve(served.settings, scope="EduRoster.Read", **options)
    assert poll(ask, begun, client_id=str(uuid.uuid4()))["error"] == "expired_token"  # somebody else's
    found = poll(ask, begun, 200)
    assert served.verify(found["access_token"]).grants == {"EduRoster.ReadBasic"}
    assert poll(ask, begun)["error"] == "expired_token"

    refused = ask("/devicecode", scope="EduRoster.Read")
    assert device.deny(served.settings, tenant=tenant, code=refused["user_code"]) == 0
    assert poll(ask, refused)["error"] == "access_denied"
    assert poll(ask, refused)["error"] == "expired_token"
    directories = Directories(served.settings)
    entries = audit.Audit(served.control, directories, served.settings).all(served.control.known_tenant(tenant), tenant)
    assert [(row.operation, row.object) for row in entries] == [("device approve", PROGRAM), ("device deny", PROGRAM)]
    directories.close()


def test_what_cannot_be_is_refused(served, here):
    """Unknown tenants, programs without a GUID, misspelt scopes, guessed codes, other tenants' operators."""
    tenant, ask = here
    assert ask("/devicecode", 400, client_id="me")["error"] == "invalid_request"
    assert ask("/devicecode", 400, scope="EduRoster.Raed")["error"] == "invalid_scope"
    for device_code in ("", "x" * 43, "\0"):
        assert poll(ask, {"device_code": device_code})["error"] == "expired_token"
    assert ask(f"{served.settings.base_url}/{uuid.uuid4()}/oauth2/v2.0/devicecode", 400)["error"] == "invalid_request"
    assert ask(f"{served.settings.base_url}/common/oauth2/v2.0/devicecode", 400)["error"] == "invalid_request"
    begun = ask("/devicecode", scope="EduRoster.Read")
    served.control.tenant_number(OTHER, now())
    for elsewhere in (OTHER, str(uuid.uuid4())):
        with pytest.raises(UsageError):
            device.deny(served.settings, tenant=elsewhere, code=begun["user_code"])
    with pytest.raises(UsageError, match="No program"):
        device.deny(served.settings, tenant=tenant, code="AAAA-AAAA")
    assert poll(ask, begun)["error"] == "authorization_pending"


def test_codes_end_and_are_few(house: House):
    """A code lives for a quarter of an hour; a crowd that asks for codes fills nothing; no secret is kept."""
    tenant = house.control.tenant_number(TENANT, 0)
    start = now()
    secret, code = devices.begin(house.control, tenant=tenant, client=PROGRAM, scopes=["EduRoster.Read"], now=start)
    for _ in range(devices.WAITING_MAX - 1):
        assert devices.begin(house.control, tenant=tenant, client=PROGRAM, scopes=[], now=start)
    assert devices.begin(house.control, tenant=tenant, client=PROGRAM, scopes=[], now=start) is None
    other = house.control.tenant_number(OTHER, 0)
    assert devices.begin(house.control, tenant=other, client=PROGRAM, scopes=[], now=start)

    def asked(seconds):
        moment = start + seconds * ticks.PER_SECOND
        return devices.collect(house.control, tenant=tenant, client=PROGRAM, secret=secret, now=moment)

    said = [asked(seconds) for seconds in (1, 6, 7, 12)]
    assert said == [Answer.PENDING, Answer.PENDING, Answer.SLOW_DOWN, Answer.PENDING]

    late = start + devices.LIFETIME * ticks.PER_SECOND
    assert len(devices.waiting(house.control, tenant=tenant, now=late - 1)) == devices.WAITING_MAX
    granted = Granted("u", None, ("EduRoster.Read",), ())
    assert devices.waiting(house.control, tenant=tenant, now=late) == []
    assert not devices.answer(house.control, tenant=tenant, code=code, granted=granted, now=late)
    assert not devices.answer(house.control, tenant=other, code=code, granted=granted, now=start)
    assert devices.collect(house.control, tenant=other, client=PROGRAM, secret=secret, now=start) is Answer.EXPIRED
    assert devices.collect(house.control, tenant=tenant, client=PROGRAM, secret=secret, now=late) is Answer.EXPIRED
    assert devices.begin(house.control, tenant=tenant, client=PROGRAM, scopes=[], now=late)
    for path in house.settings.data_dir.glob("control.db*"):
        assert secret.encode() not in path.read_bytes()
