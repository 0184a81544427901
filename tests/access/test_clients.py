"""`schoolsync client`: registering, listing and removing clients of the issuer."""

import re
import time

import pytest

from schoolsync.access import clients
from schoolsync.cli.client import add, change, list_, remove
from schoolsync.errors import UsageError

TENANT = "11111111-2222-3333-4444-555555555555"
OTHER = "99999999-8888-7777-6666-555555555555"


def registered(capsys):
    printed = capsys.readouterr().out
    found = re.fullmatch(r"tenant: +(\S+)\nclient id: +(\S+)\nclient secret: (\S+)\n", printed)
    assert found
    return found.groups()


def authenticate(house, tenant, client_id, secret):
    return clients.authenticate(house.control, tenant_id=tenant, client_id=client_id, secret=secret)


def test_register_use_and_remove(house, capsys):
    """A new client's secret is shown once and works until the client is removed."""
    roles = ("EduRoster.Read.All", "EduAdministration.Read.All EduRoster.Read.All")
    assert add(house.settings, tenant=TENANT.upper(), roles=roles, name="nightly") == 0
    tenant, client_id, secret = registered(capsys)
    assert tenant == TENANT
    found = authenticate(house, TENANT, client_id, secret)
    assert found.roles == ("EduAdministration.Read.All", "EduRoster.Read.All")
    assert authenticate(house, TENANT, client_id, secret + "x") is None
    assert authenticate(house, TENANT, client_id, "") is None
    assert authenticate(house, OTHER, client_id, secret) is None
    assert list_(house.settings, tenant=TENANT) == 0
    line = capsys.readouterr().out
    assert line == f"{TENANT}  {client_id}  EduAdministration.Read.All EduRoster.Read.All  nightly\n"
    assert list_(house.settings, tenant=OTHER) == 0
    assert capsys.readouterr().out == ""
    with pytest.raises(UsageError):
        remove(house.settings, tenant=OTHER, client_id=client_id)
    assert remove(house.settings, tenant=TENANT, client_id=client_id) == 0
    assert authenticate(house, TENANT, client_id, secret) is None
    with pytest.raises(UsageError):
        remove(house.settings, tenant=TENANT, client_id=client_id)


def test_roles_and_secret_are_changed(house, capsys):
    """A client keeps its id: other roles count from its next token on, and an old secret ends at once."""
    add(house.settings, tenant=TENANT, roles=("EduRoster.Read.All",), name="nightly")
    _, client_id, old = registered(capsys)
    options = {"tenant": TENANT, "client_id": client_id}
    assert change(house.settings, roles=("EduRoster.ReadBasic.All",), secret=False, **options) == 0
    assert authenticate(house, TENANT, client_id, old).roles == ("EduRoster.ReadBasic.All",)
    capsys.readouterr()
    assert change(house.settings, roles=(), secret=True, **options) == 0
    new = capsys.readouterr().out.removeprefix("client secret: ").strip()
    assert authenticate(house, TENANT, client_id, old) is None
    assert authenticate(house, TENANT, client_id, new).roles == ("EduRoster.ReadBasic.All",)
    for wrong in (
        {**options, "roles": (), "secret": False},
        {**options, "roles": ("EduRoster.Read",), "secret": True},
        {**options, "tenant": OTHER, "roles": (), "secret": True},
    ):
        with pytest.raises(UsageError):
            change(house.settings, **wrong)
    assert authenticate(house, TENANT, client_id, new) is not None


def test_the_secret_is_not_kept(house, capsys):
    """Neither the database nor the list contains the secret; two hashes of one secret differ."""
    add(house.settings, tenant=TENANT, roles=("EduRoster.Read.All",), name=None)
    _, _, secret = registered(capsys)
    list_(house.settings, tenant=None)
    assert secret not in capsys.readouterr().out
    house.control.close()
    for path in house.settings.data_dir.iterdir():
        if path.is_file():
            assert secret.encode() not in path.read_bytes()
    assert clients.hashed(secret) != clients.hashed(secret)
    assert clients.matches(secret, clients.hashed(secret))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"tenant": "north", "roles": ("EduRoster.Read.All",)}, "--tenant must be a GUID"),
        ({"tenant": TENANT, "roles": ()}, "--role"),
        ({"tenant": TENANT, "roles": ("EduRoster.Read",)}, "no application role “EduRoster.Read”"),
        ({"tenant": TENANT, "roles": ("Everything",)}, "no application role “Everything”"),
    ],
)
def test_wrong_use_is_explained(house, capsys, options, says):
    """A client that could do nothing, or something that does not exist, is not registered."""
    with pytest.raises(UsageError, match=says):
        add(house.settings, name=None, **options)
    assert clients.registered(house.control) == []
    assert capsys.readouterr().out == ""


def test_a_secret_of_any_length_is_checked(house):
    """Endless secrets are refused without being hashed."""
    client = house.client("EduRoster.Read.All")
    began = time.process_time()
    for _ in range(200):
        assert authenticate(house, client.tenant, client.id, "x" * 100_000) is None
    assert time.process_time() - began < 5
