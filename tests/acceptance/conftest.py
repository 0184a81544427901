"""Servers, tenants and clients for the tests that use the product as its users do."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from ..conftest import NIGHTLY
from ..databases import Cluster
from .browser import browsing
from .house import Profile, Server, Tenant, creation, serving
from .own import own
from .rosters import DISTRICT

ON_BOTH = {"test_the_main_job", "test_syncing_again", "test_following_changes", "test_sensitive_fields"}
"""Modules whose tests run on both databases; the others do with `make test DATABASE=postgresql`."""
ON_BOTH_AT_NIGHT = {
    "test_plan_commands",
    "test_own_plans",
    "test_by_itself",
    "test_previews",
    "test_change_history",
    "test_following_a_large_directory",
}
"""Those that do with `make nightly`."""
JS = Path(__file__).parent / "js"
Driven = Callable[..., Any]
CAREFUL = {"guards": {"removalLeast": 0, "removalPercent": 10}}
SMALLER = (
    DISTRICT.without("students", SIS_ID="3003")
    .without("enrollments", SIS_ID="3003")
    .changed("students", "3001", Grade="8", Last_Name="Møller")
)
WITH_GUARDIANS: dict[str, object] = {"sensitive_fields": "contacts,birthDate"}
"""What an installation sets that wants guardians in the directory: without it they are not even read."""


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run `async def` tests, each in an event loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments: dict[str, Any] = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    asyncio.run(pyfuncitem.obj(**arguments))
    return True


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Which databases a test runs on: the one that DATABASE names, SQLite when it names none; some run on both."""
    if "database" not in metafunc.fixturenames:
        return
    named = os.environ.get("DATABASE")
    on_both = metafunc.module.__name__.rpartition(".")[2] in (ON_BOTH | ON_BOTH_AT_NIGHT if NIGHTLY else ON_BOTH)
    databases = [named] if named else ["sqlite", "postgresql"] if on_both else ["sqlite"]
    metafunc.parametrize("database", databases, indirect=True, scope="session")


@pytest.fixture(scope="session")
def database(request: pytest.FixtureRequest) -> Iterator[dict[str, object]]:
    """The settings that choose the database of `server`. Every other server has a database of its own: processes over
    one database share one data directory, too.
    """
    with _database(request, request.param) as settings:
        yield settings


@pytest.fixture
def fresh_database(request: pytest.FixtureRequest, database: dict[str, object]) -> Iterator[dict[str, object]]:
    """The settings of a server of a test's own: the same kind of database, with nothing in it."""
    with another_database(request, database) as settings:
        yield settings


def another_database(
    request: pytest.FixtureRequest, database: dict[str, object]
) -> AbstractContextManager[dict[str, object]]:
    """The settings of one more server: the same kind of database as `database` is, with nothing in it."""
    return _database(request, "postgresql" if database else "sqlite")


@contextmanager
def _database(request: pytest.FixtureRequest, kind: str) -> Iterator[dict[str, object]]:
    if kind == "sqlite":
        yield {}
        return
    cluster: Cluster = request.getfixturevalue("postgresql")
    with cluster.database() as url:
        yield {"database_url": url}


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, database: dict[str, object]) -> Iterator[Server]:
    """A server that serves plain HTTP on loopback; tests share it and each has a tenant of its own."""
    with serving(tmp_path_factory.mktemp("plain"), settings={**WITH_GUARDIANS, **database}) as running:
        yield running


@pytest.fixture(scope="session")
def secure(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, database: dict[str, object]
) -> Iterator[Server]:
    """A server with `--tls`, for the clients that insist on it."""
    with (
        another_database(request, database) as own,
        serving(tmp_path_factory.mktemp("secure"), tls=True, settings={**WITH_GUARDIANS, **own}) as running,
    ):
        yield running


@pytest.fixture
def tenant(server: Server) -> Tenant:
    """A tenant nobody has used before."""
    return Tenant(server)


@pytest.fixture
def secure_tenant(secure: Server) -> Tenant:
    """A fresh tenant of the server with `--tls`."""
    return Tenant(secure)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as found:
        yield found


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pictures of the pages are kept."""
    named = os.environ.get("SCREENSHOTS")
    folder = Path(named) if named else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def held(server: Server) -> Profile:
    """A profile that was synchronized once and whose second plan a guard holds."""
    profile = Tenant(server).profile(creation(displayName="Nordkapp kommune"))
    own(profile.tenant, "admin")("PATCH", f"/profiles/{profile.id}/settings", CAREFUL, expect=200)
    assert profile.sync(DISTRICT.files())["status"] == "success"
    assert profile.sync(SMALLER.files())["status"] == "validationError"
    return profile


@pytest.fixture(scope="session")
def node() -> str:
    """Node.js, with the JavaScript Graph client installed beside the tests."""
    found = shutil.which("node")
    if found and (JS / "node_modules" / "@microsoft" / "microsoft-graph-client").is_dir():
        return found
    reason = f"the JavaScript Graph client is not installed: install Node.js, then run `npm ci` in {JS.name}/"
    import os

    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def driven(node: str) -> Driven:
    """Run a scenario of js/drive.mjs at a server, over TLS, and give what it printed."""

    def run(server: Server, scenario: str, token: str | None, **given: Any) -> Any:
        answer = subprocess.run(
            [node, JS / "drive.mjs", scenario],
            input=json.dumps({"base": server.base, "token": token, **given}),
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
            env={**os.environ, "NODE_EXTRA_CA_CERTS": str(server.certificate)},
        )
        assert answer.returncode == 0, answer.stderr
        return json.loads(answer.stdout)

    return run
