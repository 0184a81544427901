"""`schoolsync doctor` and what `serve` refuses to start with."""

import asyncio
import re
import sqlite3
import uuid
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from schoolsync.access import certificates, issuer, vault
from schoolsync.cli import doctor as command
from schoolsync.errors import Unauthenticated, UsageError
from schoolsync.graph.app import create_app
from schoolsync.graph.call import Services
from schoolsync.serving import doctor, safety, supervisor
from schoolsync.settings import Settings, load
from schoolsync.store.control import open_control
from schoolsync.store.directories import Directories
from schoolsync.verdicts import Level

from .conftest import now

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs" / "doctor.md").read_text()
PROXY = {"public_url": "https://sds.example.org", "trusted_proxies": ("10.0.0.5",)}


@pytest.mark.parametrize(
    ("given", "refused"),
    [
        ({}, None),
        ({"host": "::1"}, None),
        ({"host": "localhost"}, None),
        ({"host": "0.0.0.0"}, "plain-http"),
        ({"host": "192.168.1.5"}, "plain-http"),
        ({"host": "sds.example.org"}, "plain-http"),
        ({"host": "0.0.0.0", "tls": True}, None),
        ({"host": "0.0.0.0", "tls_cert": Path("c"), "tls_key": Path("k")}, None),
        ({"host": "0.0.0.0", "plain_http": True}, None),
        ({"host": "0.0.0.0", **PROXY}, None),
        ({"host": "0.0.0.0", "public_url": "https://sds.example.org"}, "plain-http"),
        ({"public_url": "http://sds.example.org"}, "public-url"),
        ({"public_url": "http://127.0.0.1:9"}, None),
        ({"faults": True}, None),
        ({"host": "0.0.0.0", "tls": True, "faults": True}, "faults"),
        ({"faults": True, "database_url": "postgresql://x/y"}, "faults-shared"),
        ({"memory": True, "database_url": "postgresql://x/y"}, "memory-shared"),
        ({"trusted_proxies": ("0.0.0.0/0",)}, "proxies"),
        ({"trusted_proxies": ("::/0",)}, "proxies"),
        ({"trusted_proxies": ("0.0.0.0/1", "10.0.0.5", "128.0.0.0/1")}, "proxies"),
        ({"egress_allow": ("0.0.0.0/0",)}, "egress"),
        ({"egress_allow": ("::/1", "8000::/1", "sis.local")}, "egress"),
        ({"egress_allow": ("*",)}, "egress"),
        ({"egress_allow": ("https://sis.local/x",)}, "egress"),
        ({"egress_allow": ("10.0.0.0/8", "sis.local", "[::1]", "fd00::/8", "0.0.0.0/1")}, None),
    ],
)
def test_unsafe_combinations_are_refused(given, refused):
    """Settings that are unsafe together stop `serve`, by a name that docs/doctor.md explains; safe ones do not."""
    settings = Settings(**given)
    assert [name for name, _ in safety.refusals(settings)] == ([refused] if refused else [])
    if refused is None:
        safety.check(settings)
        return
    assert f"`{refused}`" in DOCS
    with pytest.raises(UsageError):
        safety.check(settings)


def test_serve_does_not_start(tmp_path):
    """The refusal comes before anything is made or listened on."""
    with pytest.raises(UsageError, match="without TLS"):
        supervisor.serve(Settings(data_dir=tmp_path / "data", host="0.0.0.0"))
    assert not (tmp_path / "data").exists()


def levels(settings, check):
    return {verdict.level for verdict in doctor.examine(settings) if verdict.check == check}


@pytest.fixture
def settings(tmp_path):
    """A sound installation."""
    found = Settings(data_dir=tmp_path / "data")
    supervisor.make_folders(found)
    open_control(found).close()
    issuer.signing_key(found.keys).get()
    return found


def test_a_sound_installation(settings, capsys):
    """Everything is looked at, all is well, the exit status says so."""
    assert command.run(settings) == 0
    out = capsys.readouterr().out
    for check in doctor.CHECKS:
        assert f"ok       {check}:" in out, out
        assert f"`{check}`" in DOCS


def test_nothing_there_yet(tmp_path):
    """Before the first `serve` there are hints and no errors, and looking makes nothing."""
    fresh = Settings(data_dir=tmp_path / "data")
    assert doctor.worst(doctor.examine(fresh)) is Level.WARNING
    assert not fresh.data_dir.exists()


def test_files_open_to_others(settings, capsys):
    """A key or database that others may read is an error, and the line says how to close it."""
    for path in (settings.keys / "issuer.pem", settings.control_db):
        path.chmod(0o644)
        assert levels(settings, "permissions") == {Level.ERROR}
        assert command.run(settings) == 1
        assert f"chmod go= {path}" in capsys.readouterr().out
        path.chmod(0o600)
    assert levels(settings, "permissions") == {Level.OK}


def test_certificates(settings, tmp_path):
    """A pair that does not fit, or names another host, is told."""
    one = certificates.ensure(tmp_path / "one", ["sds.example.org"])
    two = certificates.ensure(tmp_path / "two", ["sds.example.org"])

    def with_pair(cert, key, url="https://sds.example.org"):
        return Settings(data_dir=settings.data_dir, tls_cert=cert, tls_key=key, public_url=url)

    assert levels(with_pair(*one), "certificate") == {Level.OK}
    assert levels(with_pair(one[0], two[1]), "certificate") == {Level.ERROR}
    assert levels(with_pair(tmp_path / "none", one[1]), "certificate") == {Level.ERROR}
    (told,) = (one for one in doctor.examine(with_pair(tmp_path / "none", one[1])) if one.check == "certificate")
    assert told.sentence.endswith("cannot be read: No such file or directory.")
    assert levels(with_pair(*one, url="https://other.example.org"), "certificate") == {Level.WARNING}


def test_issuers_that_do_not_answer(settings):
    """A slip in the issuers file and an issuer out of reach are errors; an open door is a warning."""
    path = settings.data_dir / "issuers.toml"
    path.write_text("[[issuer]]\n")
    assert levels(settings, "issuers") == {Level.ERROR}
    path.write_text('[[issuer]]\nkind = "oidc"\nurl = "https://127.0.0.1:1"\ntenants = ["*"]\naudiences = ["x"]\n')
    assert levels(settings, "issuers") == {Level.WARNING, Level.ERROR}
    path.unlink()
    assert levels(Settings(data_dir=settings.data_dir, built_in_issuer=False), "issuers") == {Level.ERROR}


def test_a_damaged_database_and_a_missing_key(settings):
    """What cannot be opened is told in words, never with a traceback."""
    settings.control_db.write_bytes(b"not a database" * 100)
    assert levels(settings, "database") == {Level.ERROR}
    missing = Settings(data_dir=settings.data_dir, secrets_key_file=settings.data_dir / "none")
    assert levels(missing, "secrets") == {Level.ERROR}


def test_a_key_that_is_lost_is_missed(settings):
    """A stored secret without its key is told, also once another key has been made in its place."""
    place = vault.place(1, "p", "clientSecret")
    kept = vault.Vault(settings).seal("canary", place=place)
    with closing(sqlite3.connect(settings.control_db)) as database, database:
        database.execute(
            "INSERT INTO secrets (tenant, profile, name, value) VALUES (1, 'p', 'clientSecret', ?)", (kept,)
        )
    assert levels(settings, "secrets") == {Level.OK}
    key = settings.keys / vault.FILE
    key.rename(settings.keys / "away")
    assert levels(settings, "secrets") == {Level.ERROR}
    vault.Vault(settings).ring()
    assert key.exists()
    assert levels(settings, "secrets") == {Level.ERROR}
    (settings.keys / "away").rename(key)
    assert levels(settings, "secrets") == {Level.OK}


def test_a_database_of_another_release(settings):
    """A table or column that is not there is named, before somebody's request finds it missing."""
    open_control(settings).close()
    assert levels(settings, "database") == {Level.OK}
    with closing(sqlite3.connect(settings.control_db)) as connection:
        connection.execute("ALTER TABLE profiles DROP COLUMN key_space")
    (verdict,) = [one for one in doctor.examine(settings) if one.check == "database"]
    assert verdict.level is Level.ERROR
    assert "profiles.key_space" in verdict.sentence


def test_settings_of_tls():
    """Only TLS 1.2 and 1.3 can be asked for."""
    assert load(environment={"SCHOOLSYNC_TLS_MIN": "1.3"}).tls_min == "1.3"
    with pytest.raises(UsageError, match=re.escape("tls_min")):
        load(environment={"SCHOOLSYNC_TLS_MIN": "1.0"})


def test_security_headers(tmp_path):
    """Every answer of the APIs, errors too, forbids guessing types, framing, caching and referrers."""
    settings = Settings(data_dir=tmp_path)
    control, directories = open_control(settings), Directories(settings)
    services = Services(
        settings=settings,
        control=control,
        directories=directories,
        profiles=None,
        runs=None,
        uploads=None,
        clock=now,
        new_id=lambda: str(uuid.uuid4()),
    )

    def refuse(_token, _now):
        raise Unauthenticated("no")

    app = create_app(services, verify=refuse, blobs=None, issuer=None, ready=lambda: None)

    async def ask(path):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
            return await client.get(path)

    for path in ("/healthz", "/v1.0/education/users", "/nowhere", "/v1.0/$metadata"):
        headers = asyncio.run(ask(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-cache"
        assert headers["strict-transport-security"] == "max-age=31536000"
    directories.close()
    control.close()


def test_every_threat_names_tests_that_exist():
    """docs/threats.md covers the whole Top 10, and each test it names is there."""
    text = (ROOT / "docs" / "threats.md").read_text()
    assert {f"API{number}" for number in range(1, 11)} <= set(re.findall(r"API\d+", text))
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)
    assert len(named) > 40
    for path, test in named:
        assert f"def {test}(" in (ROOT / path).read_text(), f"{path}::{test}"
    for row in text.splitlines():
        if re.match(r"\| (API|V)\d", row):
            assert "::test_" in row, row
