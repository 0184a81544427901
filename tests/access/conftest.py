"""A house with tokens: verifiers in this process, and the issuer served over TLS by a process of its own."""

import json
import socket
import subprocess
import sys
import time
import uuid
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from schoolsync import ticks
from schoolsync.access import certificates, clients, issuer, keys
from schoolsync.access.tokens import UNIX_EPOCH, Verifier
from schoolsync.settings import Settings
from schoolsync.store.control import open_control
from schoolsync.store.directories import Directories

SERVER = Path(__file__).parents[1] / "uploads" / "serve_faces.py"
TENANT = "11111111-2222-3333-4444-555555555555"
OTHER = "99999999-8888-7777-6666-555555555555"


def now():
    return ticks.of(datetime.now(UTC))


class House:
    """One data directory, its issuer and its verifier."""

    def __init__(self, settings):
        self.settings = settings
        self.control = open_control(settings)
        self.directories = Directories(settings)
        self.verifier = Verifier(self.control, settings, now)

    @property
    def key(self):
        return issuer.signing_key(self.settings.keys).get()

    def mint(self, *, lifetime=3600, at=None, version="1.0", base_url=None, **grant):
        return issuer.mint(
            self.key,
            issuer.Grant(**{"tenant_id": TENANT, "client": issuer.CLI_CLIENT, **grant}),
            base_url=base_url or self.settings.base_url,
            now=at if at is not None else (now() - UNIX_EPOCH) // ticks.PER_SECOND,
            lifetime=lifetime,
            token_id=str(uuid.uuid4()),
            version=version,
        )

    def verify(self, token, **options):
        return self.verifier.verify(f"Bearer {token}", **options)

    def client(self, *roles, tenant=TENANT):
        client_id = str(uuid.uuid4())
        secret = clients.register(
            self.control, tenant_id=tenant, client_id=client_id, name="test", roles=roles, now=now()
        )
        return Registered(tenant, client_id, secret)


@dataclass
class Registered:
    tenant: str
    id: str
    secret: str


@pytest.fixture(scope="session")
def ready_key():
    """A key that tests may have, because making one takes longer than most of them."""
    return issuer._new_key()


@pytest.fixture
def house(tmp_path, ready_key):
    keys.replace_file(tmp_path / "data" / "keys" / keys.ISSUER, ready_key)
    house = House(Settings(data_dir=tmp_path / "data", audiences=("api://schoolsync",)))
    yield house
    house.control.close()


@pytest.fixture(scope="session")
def served(tmp_path_factory):
    """A house whose issuer is served over HTTPS; `served.cert` is what clients trust."""
    folder = tmp_path_factory.mktemp("issuer")
    cert, key = certificates.ensure(folder / "data" / "tls", ["localhost"])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    house = House(
        Settings(data_dir=folder / "data", host="localhost", port=port, tls=True, audiences=("api://schoolsync",))
    )
    given = {**asdict(house.settings), "host": "127.0.0.1", "tls_cert": cert, "tls_key": key}
    given["public_url"] = house.settings.base_url
    given = {name: str(value) if isinstance(value, Path) else value for name, value in given.items()}
    log = folder / "server.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, str(SERVER), json.dumps(given), "{}"], stdout=sink, stderr=subprocess.STDOUT
        )
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None, log.read_text(errors="replace")
                assert time.monotonic() < deadline, "the server did not start"
                time.sleep(0.02)
        house.cert = str(cert)
        yield house
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        house.control.close()
