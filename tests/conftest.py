"""What every test may ask for, and what no test may leave behind."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from _pytest.nodeid import coerce_node_id

from schoolsync.access import issuer

from .databases import BINARIES, Cluster, binaries, shared

CONTRACT = "SCHOOLSYNC_CONTRACT"
SAMPLES = "SCHOOLSYNC_SAMPLES"
DATABASES = [os.environ["DATABASE"]] if os.environ.get("DATABASE") else ["sqlite", "postgresql"]
"""`make test DATABASE=…` chooses one."""

# A key is checked while it is read, which takes longer than all the rest of a token; tests make some thousand of them.
issuer._read_key = functools.cache(issuer._read_key)

NIGHTLY = os.environ.get("NIGHTLY") == "1"
"""`make nightly`: the long tests too, and more examples."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Long tests wait for the night, and tests of one `xdist_group` run in one worker.

    pytest-xdist 3.8 writes the group behind a test's name for its scheduler, in an attribute that pytest 9.2 no longer
    reads; so it is written where it is read. Without it both workers start the servers of every group.
    """
    if not NIGHTLY:
        left = [_left_to_the_night(item) for item in items]
        config.hook.pytest_deselected(items=[item for item, late in zip(items, left, strict=True) if late])
        items[:] = [item for item, late in zip(items, left, strict=True) if not late]
    if not getattr(config.option, "loadgroup", False):
        return
    for item in items:
        group = item.get_closest_marker("xdist_group")
        if group is not None and "@" not in item.nodeid.rpartition("::")[2].rpartition("]")[2]:
            item._id = coerce_node_id(f"{item.nodeid}@{group.args[0]}")  # type: ignore[attr-defined]


def _left_to_the_night(item: pytest.Item) -> bool:
    """Whether a test is one of the long ones: itself, or with the parameters it has here."""
    mark = item.get_closest_marker("nightly")
    if mark is None:
        return False
    drawn = getattr(item, "callspec", None)
    return not mark.args or (drawn is not None and any(value in mark.args for value in drawn.params.values()))


@pytest.fixture(autouse=True, scope="session")
def _settings_of_this_shell() -> Iterator[None]:
    """Settings, proxies and trust that happen to be in the developer's environment decide nothing here."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            ours = name.startswith("SCHOOLSYNC_") and name not in {SAMPLES, CONTRACT, BINARIES}
            if ours or name.lower().endswith("_proxy") or name in {"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"}:
                patch.delenv(name)
        for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(autouse=True, scope="session")
def _no_process_left_behind(_settings_of_this_shell: None) -> Iterator[None]:
    """Whatever the tests started has ended when they have."""
    yield
    mine = psutil.Process()
    left = [child for child in mine.children(recursive=True) if _ours(child)]
    assert not left, f"left behind: {[child.cmdline() for child in left]}"


def _ours(process: psutil.Process) -> bool:
    try:
        running = process.status() != psutil.STATUS_ZOMBIE
        return running and any(part == "schoolsync" or part.startswith("schoolsync.") for part in process.cmdline())
    except psutil.Error:
        return False


@pytest.fixture(scope="session")
def samples() -> Path:
    """The vendors' sample rosters; a newcomer may do without, the check of a change may not."""
    named = os.environ.get(SAMPLES)
    if named and Path(named).is_dir():
        return Path(named)
    reason = f"the vendors' sample rosters are not here; set {SAMPLES} to their folder"
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def surface() -> dict[str, Any]:
    """Every operation and type of Graph's education API; a newcomer may do without, the check of a change may not."""
    named = os.environ.get(CONTRACT)
    if named and (Path(named) / "surface.json").is_file():
        found: dict[str, Any] = json.loads((Path(named) / "surface.json").read_text("utf-8"))
        return found
    reason = f"the list of Graph's operations (surface.json) is not here; set {CONTRACT} to its folder"
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(reason)
    pytest.skip(reason)


# --- databases -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A PostgreSQL of the tests' own; a newcomer may do without, the check of a change may not."""
    programs = binaries()
    if programs is None:
        reason = (
            f"there is no PostgreSQL here: install version 15 or newer, or set {BINARIES} to its folder of programs"
        )
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    base = tmp_path_factory.getbasetemp()
    with shared(base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base, programs) as cluster:
        yield cluster


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """Both databases in turn: the setting `database_url`, None for SQLite."""
    if request.param == "sqlite":
        yield None
        return
    cluster: Cluster = request.getfixturevalue("postgresql")
    with cluster.database() as url:
        yield url
