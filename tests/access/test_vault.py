"""Secrets at rest: of no use without the key, which is not in the database; and keys that are rotated under way."""

import base64
import dataclasses
import secrets as random
import time
from contextlib import contextmanager

import pytest
from sqlalchemy import insert, select, update

from schoolsync.access import issuer, vault
from schoolsync.access.tokens import InvalidToken
from schoolsync.access.vault import Vault
from schoolsync.cli import keys as command
from schoolsync.errors import UsageError, WorldError
from schoolsync.settings import Settings, load
from schoolsync.store.control_tables import secrets

SECRET = "canary-Geheimnis-7351"


def keep(house, name="dataProvider/connectionSettings/clientSecret", profile="p", secret=SECRET):
    kept = vault.sealed(Vault(house.settings), 1, profile, {name: secret})
    with house.control.write() as connection:
        connection.execute(insert(secrets).values(tenant=1, profile=profile, name=name, value=kept[name]))
    return name


def opened(house, name="dataProvider/connectionSettings/clientSecret", profile="p", settings=None):
    with house.control.read() as connection:
        kept = connection.execute(select(secrets.c.value).where(secrets.c.profile == profile)).scalar_one()
    return Vault(settings or house.settings).open(kept, place=vault.place(1, profile, name))


def test_the_database_alone_is_of_no_use(house):
    """No file of the installation holds the secret in clear, and without the key file nothing opens it."""
    keep(house)
    assert opened(house) == SECRET
    for path in house.settings.data_dir.rglob("*"):
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes(), path
            assert base64.b64encode(SECRET.encode()) not in path.read_bytes(), path
    (house.settings.keys / "secrets.key").unlink()
    with pytest.raises(WorldError, match="key that is not there"):
        opened(house)


def test_a_row_that_was_moved_or_changed_does_not_open(house):
    """A secret opens only where it was put: not in another tenant, profile or member, and not with a bit changed."""
    keep(house)
    with pytest.raises(WorldError, match="cannot be opened"):
        opened(house, name="dataProvider/other")
    kept = Vault(house.settings)
    sealed = kept.seal(SECRET, place="1/p/x")
    assert kept.open(sealed, place="1/p/x") == SECRET
    assert kept.seal(SECRET, place="1/p/x") != sealed
    for wrong in ("2/p/x", "1/q/x"):
        with pytest.raises(WorldError):
            kept.open(sealed, place=wrong)
    for at in (10, len(sealed) // 2, len(sealed) - 8):
        changed = sealed[:at] + ("A" if sealed[at] != "A" else "B") + sealed[at + 1 :]
        with pytest.raises(WorldError):
            kept.open(changed, place="1/p/x")
    for nonsense in ("", "v1", "clear text", "v2:a:b:c", "v1:a:b"):
        with pytest.raises(WorldError):
            kept.open(nonsense, place="1/p/x")


def test_rotation_beside_a_server(house, capsys):
    """A running process opens old and new secrets all along; after the second turn the first key is gone."""
    running = Vault(house.settings)
    for number in range(5):
        keep(house, profile=f"p{number}")
    first = running.ring().newest()[0]
    command.run(house.settings, which="secrets", overlap=0)
    assert "5 secrets are under the new key" in capsys.readouterr().out
    second = running.ring().newest()[0]
    assert second != first
    late = Vault(house.settings).seal("late", place="x")
    assert running.open(late, place="x") == "late"
    assert all(opened(house, profile=f"p{number}") == SECRET for number in range(5))
    assert vault.rotate(house.control, running) == 0
    command.run(house.settings, which="secrets", overlap=0)
    assert first not in dict(running.ring().keys)
    assert second in dict(running.ring().keys)
    assert all(opened(house, profile=f"p{number}") == SECRET for number in range(5))


def test_a_secret_written_meanwhile_is_not_lost(house):
    """A provider that gets another secret while a rotation is at work keeps the other one."""
    keep(house)
    ring = Vault(house.settings)
    ring.add_key()

    class Meddling(Vault):
        """Between the rotation's look and its write somebody writes."""

        def renewed(self, kept, *, place):
            if not written:
                written.append(self.seal("newer", place=place))
                connection.execute(update(secrets).values(value=written[0]))
            return super().renewed(kept, place=place)

    written = []

    class Control:
        def __getattr__(self, name):
            return getattr(house.control, name)

        @contextmanager
        def write(self, *arguments):
            nonlocal connection
            with house.control.write(*arguments) as connection:
                yield connection

    connection = None
    assert vault.rotate(Control(), Meddling(house.settings)) == 0
    assert opened(house) == "newer"


def test_the_key_may_come_from_the_environment(house, tmp_path):
    """`SCHOOLSYNC_SECRETS_KEY` holds the key, or new and old while it changes; it is masked when shown."""
    old, new = (base64.b64encode(random.token_bytes(32)).decode() for _ in range(2))
    data = {"SCHOOLSYNC_DATA_DIR": str(tmp_path / "elsewhere")}
    before = load(environment={**data, "SCHOOLSYNC_SECRETS_KEY": old})
    sealed = Vault(before).seal(SECRET, place="x")
    during = load(environment={**data, "SCHOOLSYNC_SECRETS_KEY": f"{new},{old}"})
    assert Vault(during).open(sealed, place="x") == SECRET
    moved = Vault(during).renewed(sealed, place="x")
    after = load(environment={**data, "SCHOOLSYNC_SECRETS_KEY": new})
    assert Vault(after).open(moved, place="x") == SECRET
    assert not (tmp_path / "elsewhere" / "keys").exists()
    from schoolsync.settings import effective

    shown = {value.name: value.shown for value in effective(environment={"SCHOOLSYNC_SECRETS_KEY": old})}
    assert shown["secrets_key"] == "********"
    for wrong in ("x", base64.b64encode(b"short").decode()):
        with pytest.raises(UsageError, match="secrets_key"):
            Vault(Settings(secrets_key=wrong))
    with pytest.raises(UsageError, match="restart every process"):
        Vault(after).add_key()


def test_a_lost_key_is_not_made_anew(house, tmp_path):
    """A file that the settings name is made for the first secret; when it has gone since, nothing takes its place."""
    file = tmp_path / "elsewhere" / "own.key"
    settings = dataclasses.replace(house.settings, secrets_key_file=file)
    vault.must_be_there(house.control, settings)
    running = Vault(settings)
    place = vault.place(1, "p", "dataProvider/secret")
    kept = running.seal(SECRET, place=place)
    with house.control.write() as connection:
        row = {"tenant": 1, "profile": "p", "name": "dataProvider/secret", "value": kept}
        connection.execute(vault.secrets.insert(), row)
    key = file.read_bytes()
    file.unlink()
    for late in (running, Vault(settings)):
        with pytest.raises(WorldError, match="back"):
            late.open(kept, place=place)
    with pytest.raises(WorldError, match="back"):
        running.seal(SECRET, place=place)
    with pytest.raises(UsageError, match=r"1 stored secret was encrypted with it: put it back"):
        vault.must_be_there(house.control, settings)
    with pytest.raises(UsageError, match="put it back"):
        command.run(settings, which="secrets", overlap=0)
    assert not file.exists()
    file.write_bytes(key)
    vault.must_be_there(house.control, settings)
    assert running.open(kept, place=place) == SECRET


# --- the issuer's key ----------------------------------------------------------------------------------------------


def test_the_issuers_key_is_rotated_with_an_overlap(house, capsys):
    """Tokens of the old key are accepted until the overlap is over, new ones come from the new key at once."""
    old = house.mint(scopes=("EduRoster.Read",))
    kid = house.key.kid
    command.run(house.settings, which="issuer", overlap=3600)
    assert house.key.kid != kid
    assert house.verify(old).grants == {"EduRoster.Read"}
    assert house.verify(house.mint(scopes=("EduRoster.Read",))).kind == "delegated"
    published = issuer.public_keys(house.key, *issuer.all_retired(house.settings.keys, int(time.time())))
    assert {key["kid"] for key in published["keys"]} == {kid, house.key.kid}
    assert not any("d" in key for key in published["keys"])
    assert issuer.retired(house.settings.keys, kid, int(time.time()) + 3601) is None
    command.run(house.settings, which="issuer", overlap=0)


def test_without_overlap_old_tokens_end(house):
    """With an overlap of nothing the old key's tokens are refused; nobody makes a key id into a path."""
    old = house.mint(scopes=("a",))
    command.run(house.settings, which="issuer", overlap=0)
    with pytest.raises(InvalidToken, match="signature"):
        house.verify(old)
    for wrong in ("../issuer", "", "a/b", "x" * 100, "é"):
        assert issuer.retired(house.settings.keys, wrong, 0) is None
    with pytest.raises(UsageError):
        command.run(house.settings, which="uploads", overlap=0)
    with pytest.raises(UsageError):
        command.run(house.settings, which="issuer", overlap=-1)
