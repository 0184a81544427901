"""`schoolsync token`: one token, quickly, with or without a server."""

import subprocess
import sys
from datetime import UTC, datetime

import pytest

from schoolsync import ticks
from schoolsync.access.tokens import Verifier
from schoolsync.cli.token import run
from schoolsync.errors import UsageError
from schoolsync.settings import Settings
from schoolsync.store.control import open_control

TENANT = "11111111-2222-3333-4444-555555555555"
COMMAND = """
import sys
from schoolsync.cli.token import run
from schoolsync.settings import load
code = run(load({"data_dir": sys.argv[1]}), tenant=sys.argv[2], scope=sys.argv[3], roles=(), user="ann@north.example",
           expires_in=3600)
heavy = {"sqlalchemy", "litestar", "rich", "duckdb", "granian", "dbos", "sqlite3"} & set(sys.modules)
assert not heavy, heavy
sys.exit(code)
"""


def now():
    return ticks.of(datetime.now(UTC))


def ask(settings, **options):
    return run(settings, **{"tenant": TENANT, "scope": None, "roles": (), "user": None, "expires_in": 60, **options})


def printed(capsys):
    captured = capsys.readouterr()
    assert captured.out.count("\n") == 1
    return captured.out.strip(), captured.err


def test_a_token_before_there_is_a_server(tmp_path):
    """The very first command on an empty data directory prints one good token, and loads nothing heavy."""
    data = tmp_path / "data"
    command = [sys.executable, "-c", COMMAND, str(data), TENANT.upper(), "EduRoster.Read  EduAdministration.Read"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stderr == ""
    token = done.stdout.removesuffix("\n")
    assert token.count(".") == 2
    assert "\n" not in token
    assert sorted(path.name for path in data.iterdir()) == ["keys"]
    control = open_control(Settings(data_dir=data))
    found = Verifier(control, Settings(data_dir=data), now).verify(f"Bearer {token}")
    assert (found.tenant_id, found.user_name) == (TENANT, "ann@north.example")
    assert found.grants == {"EduRoster.Read", "EduAdministration.Read"}
    control.close()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"tenant": "north", "scope": "EduRoster.Read"}, "--tenant must be a GUID"),
        ({"tenant": "", "scope": "EduRoster.Read"}, "--tenant must be a GUID"),
        ({"tenant": "north", "scope": "EduRoster.Read", "user": "ann@north.example"}, "--tenant must be a GUID"),
        ({}, "--scope for a person"),
        ({"scope": "  "}, "--scope for a person"),
        ({"scope": "EduRoster.Reed"}, "no permission “EduRoster.Reed”"),
        ({"scope": "eduroster.read"}, "no permission “eduroster.read”"),
        ({"roles": ("EduRoster.All",)}, "no permission “EduRoster.All”"),
        ({"scope": "EduRoster.Read", "expires_in": 0}, "--expires-in"),
        ({"scope": "EduRoster.Read", "expires_in": 10**9}, "--expires-in"),
    ],
)
def test_wrong_use_is_explained(tmp_path, capsys, options, says):
    """What cannot be granted is refused with a sentence, and no token is printed."""
    with pytest.raises(UsageError, match=says):
        ask(Settings(data_dir=tmp_path), **options)
    assert capsys.readouterr().out == ""


def test_an_applications_token(house, capsys):
    """Roles make an application's token."""
    ask(house.settings, roles=("EduRoster.Read.All", "EduAdministration.ReadWrite.All EduRoster.Read.All"))
    caller = house.verify(printed(capsys)[0])
    assert (caller.kind, caller.grants) == (
        "application",
        {"EduRoster.Read.All", "EduAdministration.ReadWrite.All"},
    )


def test_a_persons_object_id(house, capsys):
    """`--user` takes an object id too; a name always gets the same id."""
    ask(house.settings, scope="EduRoster.Read", user="AAAAAAAA-2222-3333-4444-555555555555")
    assert house.verify(printed(capsys)[0]).user_id == "aaaaaaaa-2222-3333-4444-555555555555"
    found = set()
    for name in ("ann@north.example", "Ann@North.example"):
        ask(house.settings, scope="EduRoster.Read", user=name)
        found.add(house.verify(printed(capsys)[0]).user_id)
    assert len(found) == 1


def test_a_permission_of_the_other_kind(house, capsys):
    """A role given as a scope makes a token that opens nothing, and the command says so beside it."""
    ask(house.settings, scope="EduRoster.Read.All")
    token, warning = printed(capsys)
    assert house.verify(token).grants == {"EduRoster.Read.All"}
    assert "application role" in warning
    ask(house.settings, roles=("EduRoster.Read",))
    assert "delegated scope" in printed(capsys)[1]
