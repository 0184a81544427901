"""Servers, tenants and clients for the tests that use the product as its users do."""

from __future__ import annotations

import asyncio
import inspect
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .house import Server, Tenant, serving

JS = Path(__file__).parent / "js"


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run `async def` tests, each in an event loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments: dict[str, Any] = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    asyncio.run(pyfuncitem.obj(**arguments))
    return True


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that serves plain HTTP on loopback; tests share it and each has a tenant of its own."""
    with serving(tmp_path_factory.mktemp("plain")) as running:
        yield running


@pytest.fixture(scope="session")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with `--tls`, for the clients that insist on it."""
    with serving(tmp_path_factory.mktemp("secure"), tls=True) as running:
        yield running


@pytest.fixture
def tenant(server: Server) -> Tenant:
    """A tenant nobody has used before."""
    return Tenant(server)


@pytest.fixture
def secure_tenant(secure: Server) -> Tenant:
    """A fresh tenant of the server with `--tls`."""
    return Tenant(secure)


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
