"""`/healthz` tells the truth: whatever serving takes is taken away from a real server, and given back."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest

from schoolsync.store.release import SCHEMA_VERSION

from ..databases import Cluster
from ..storages import Door
from .house import Server, serving, until

pytestmark = pytest.mark.xdist_group("workers")


def missing(server: Server) -> str:
    """What is missing, as it is told; empty when nothing is. The body is a Graph error."""
    answer = server.http.get(f"{server.base}/healthz")
    if answer.status_code == 200:
        assert answer.json() == {"status": "ready"}
        return ""
    assert answer.status_code == 503
    error = answer.json()["error"]
    assert error["code"] == "serviceNotAvailable"
    assert error["innerError"]["request-id"] == answer.headers["request-id"]
    return str(error["message"])


def test_readiness_tells_the_truth(tmp_path: Path, postgresql: Cluster) -> None:
    """Database, schema, storage and worker each are missed by name while they are away, and no longer."""
    with postgresql.database() as url:
        door = Door(postgresql.port)
        through = url.replace(f":{postgresql.port}/", f":{door.port}/")
        with serving(tmp_path, settings={"database_url": through}) as server:

            def missed(part: str) -> None:
                until(f"{part} is missed", lambda: part in missing(server))

            def well() -> None:
                until("all is well", lambda: not missing(server))

            well()
            objects = server.data / "objects"
            objects.rename(server.data / "away")
            missed("storage")
            (server.data / "away").rename(objects)
            well()
            (worker,) = server.those("worker")
            worker.kill()
            missed("sync engine")
            well()
            door.shut()
            missed("control database")
            door.open()
            well()

            assert server.process is not None
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("UPDATE schema_version SET version = 9, oldest = 9")
                # The API says so for a moment; then the worker has missed its beat, and all of it ends.
                until("the release is refused", lambda: server.process and server.process.poll() is not None)
                assert server.process.returncode == 1
                assert "install the newer schoolsync release" in server.tail().splitlines()[-1]
                connection.execute(
                    "UPDATE schema_version SET version = %(known)s, oldest = %(known)s", {"known": SCHEMA_VERSION}
                )
            server.start()

            top = psutil.Process(server.process.pid)
            top.send_signal(signal.SIGTERM)

            def ready() -> bool:
                try:
                    return httpx.get(f"{server.base}/healthz", timeout=5).status_code == 200
                except httpx.TransportError:
                    return False

            until("the end is told", lambda: not ready())
            while psutil.pid_exists(top.pid) and top.status() != psutil.STATUS_ZOMBIE:
                assert not ready()
                time.sleep(0.05)
            assert server.process is not None
            assert server.process.wait(20) == 0
        door.close()
