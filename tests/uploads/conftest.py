"""A house with upload containers: a real server process, a control database with profiles made by hand."""

import http.client
import json
import socket
import subprocess
import sys
import time
import uuid
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from azure.storage.blob import ContainerClient
from sqlalchemy import insert, select, update

from schoolsync import ticks
from schoolsync.settings import Settings
from schoolsync.store.control import open_control
from schoolsync.store.control_tables import profiles, runs, upload_blocks, upload_files
from schoolsync.uploads.service import Uploads

CSV = {"@odata.type": "#microsoft.graph.educationCsvDataProvider"}
SERVER = Path(__file__).with_name("serve_faces.py")


def now():
    return ticks.of(datetime.now(UTC))


@dataclass
class Profile:
    tenant: int
    tenant_id: str
    id: str


@dataclass
class Answer:
    status: int
    headers: dict
    body: bytes

    @property
    def code(self):
        return self.headers.get("x-ms-error-code")


class House:
    """What tests do with one data directory, with or without a server on it."""

    def __init__(self, settings):
        self.settings = settings
        self.control = open_control(settings)
        self.uploads = Uploads(self.control, settings, now, lambda: str(uuid.uuid4()))
        self.pid = None

    def profile(self, *, state="provisioned", provider=CSV):
        tenant_id, profile_id = str(uuid.uuid4()), str(uuid.uuid4())
        tenant = self.control.tenant_number(tenant_id, now())
        with self.control.write() as connection:
            connection.execute(
                insert(profiles).values(
                    tenant=tenant,
                    id=profile_id,
                    number=1,
                    display_name="North",
                    data_provider=json.dumps(provider),
                    identity="{}",
                    state=state,
                    created=now(),
                    changed=now(),
                )
            )
        return Profile(tenant, tenant_id, profile_id)

    def change(self, profile, **values):
        with self.control.write() as connection:
            connection.execute(update(profiles).where(profiles.c.id == profile.id).values(**values))

    def run(self, profile, state, *, upload=None, ended=None):
        run = str(uuid.uuid4())
        with self.control.write() as connection:
            connection.execute(
                insert(runs).values(
                    tenant=profile.tenant,
                    profile=profile.id,
                    id=run,
                    number=1,
                    state=state,
                    cause="start",
                    upload=upload,
                    asked=now(),
                    ended=ended,
                )
            )
        return run

    def end(self, run):
        with self.control.write() as connection:
            connection.execute(update(runs).where(runs.c.id == run).values(state="done", ended=now()))

    def url(self, profile, *, asked=None):
        return self.uploads.container_url(
            profile.tenant, profile.id, asked or now(), base_url=self.uploads.settings.base_url
        )

    def container(self, profile, **options):
        return ContainerClient.from_container_url(self.url(profile), retry_total=0, **options)

    def inbox(self, profile):
        with self.control.read() as connection:
            return self.uploads.inbox(connection, profile.tenant, profile.id)

    def files(self, profile, upload=None):
        """Name -> bytes of the complete files, read the way a run reads them."""
        upload = upload or self.inbox(profile)
        if upload is None:
            return {}
        with self.control.read() as connection:
            found = self.uploads.files(connection, profile.tenant, profile.id, upload)
        for file in found:
            assert file.path.stat().st_size == file.size
        return {file.name: file.path.read_bytes() for file in found}

    def rows(self, table, profile):
        with self.control.read() as connection:
            return connection.execute(select(table).where(table.c.profile == profile.id)).all()

    def on_disk(self, profile):
        """Every object file of the profile, whether a row names it or not."""
        folder = self.settings.objects / "tenants" / profile.tenant_id / "profiles" / profile.id
        return sorted(path for path in folder.rglob("*") if path.is_file())

    def assert_nothing_left_over(self, profile):
        """What is on disk is exactly what rows name."""
        named = [row.object for table in (upload_files, upload_blocks) for row in self.rows(table, profile)]
        assert self.on_disk(profile) == sorted(self.settings.objects / key for key in named)

    def send(self, method, url, name=None, *, query="", body=None, headers=None, blob_type="BlockBlob"):
        """One request, byte for byte as given."""
        parts = urlsplit(url)
        path = parts.path + (f"/{quote(name)}" if name is not None else "")
        target = f"{path}?{query}&{parts.query}" if query else f"{path}?{parts.query}"
        sent = {"x-ms-version": "2026-10-06", **(headers or {})}
        if method == "PUT" and blob_type and "comp=" not in query and "restype=" not in query:
            sent.setdefault("x-ms-blob-type", blob_type)
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
        try:
            connection.request(method, target, body, sent)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        return Answer(answer.status, {key.lower(): value for key, value in answer.getheaders()}, content)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def served(folder, *, limits=None, **settings):
    """A house whose containers are served by a process of their own."""
    house = House(Settings(data_dir=folder / "data", port=free_port(), **settings))
    given = {name: str(value) if isinstance(value, Path) else value for name, value in asdict(house.settings).items()}
    command = [sys.executable, str(SERVER), json.dumps(given), json.dumps(limits or {})]
    log = folder / "server.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", house.settings.port), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None, log.read_text(errors="replace")
                assert time.monotonic() < deadline, "the server did not start"
                time.sleep(0.02)
        house.pid = process.pid
        yield house
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        house.control.close()


@pytest.fixture(scope="session")
def house(tmp_path_factory):
    """Write-only containers with the usual limits."""
    with served(tmp_path_factory.mktemp("house")) as house:
        yield house


@pytest.fixture(scope="session")
def open_house(tmp_path_factory):
    """Containers that may be read back."""
    with served(tmp_path_factory.mktemp("open"), upload_permissions="rcwl") as house:
        yield house


@pytest.fixture(scope="session")
def narrow_house(tmp_path_factory):
    """Containers with small limits."""
    with served(tmp_path_factory.mktemp("narrow"), upload_max_bytes=1_000_000, upload_max_files=3) as house:
        yield house


@pytest.fixture
def serve(tmp_path):
    """Serve a house of one's own: `with serve(...) as house`."""

    @contextmanager
    def start(**settings):
        with served(tmp_path, **settings) as house:
            yield house

    return start


@pytest.fixture
def quiet_house(tmp_path):
    """A house without a server."""
    house = House(Settings(data_dir=tmp_path / "data"))
    yield house
    house.control.close()
