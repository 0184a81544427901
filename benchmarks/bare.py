"""The floor of `benchmarks.api`: bare handlers on the framework and the server that schoolsync uses.

Each checks the token as schoolsync does. One answers a fixed object; one commits a single row through the bare driver,
durably; one fetches a page of people through the bare driver and encodes the rows as they come.

python -m benchmarks.bare DATA_DIR PORT TENANT_ID [DATABASE_URL]
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import psycopg
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server
from litestar import Litestar, Request, Response, get, patch
from psycopg.rows import dict_row

from schoolsync.access.tokens import Verifier, identify
from schoolsync.graph.answers import JSON
from schoolsync.graph.app import THREADS
from schoolsync.runs.processes import clock
from schoolsync.settings import Settings
from schoolsync.store.control import open_control
from schoolsync.store.database import BUSY_MS

STATUS = {
    "@odata.context": "http://127.0.0.1/v1.0/$metadata#education/synchronizationProfiles('0')/profileStatus/$entity",
    "id": "00000000-0000-4000-8000-000000000000",
    "status": "success",
    "lastSynchronizationDateTime": "2026-01-01T00:00:00Z",
    "lastActivityDateTime": "2026-01-01T00:00:00Z",
    "errorCount": 0,
    "statusMessage": "Nothing has been synchronized yet: upload the files and start the profile.",
}
ROWS = 64  # of the table that is written
PAGE = "SELECT * FROM people WHERE tenant = 1 ORDER BY id LIMIT 100"
MAKE = "CREATE TABLE IF NOT EXISTS bare (id INTEGER PRIMARY KEY, number INTEGER, message TEXT)"


class _Sqlite:
    """One connection a thread, set up as schoolsync's."""

    inline = True

    def __init__(self, folder: Path, directory: Path) -> None:
        self._paths = {"bare": folder / "bare.db", "page": directory}
        self._own = threading.local()
        self._connection("bare").execute(MAKE)
        self._connection("bare").executemany(
            "INSERT OR IGNORE INTO bare VALUES (?, 0, '')", ((n,) for n in range(ROWS))
        )

    def _connection(self, name: str) -> sqlite3.Connection:
        known: sqlite3.Connection | None = getattr(self._own, name, None)
        if known is None:
            known = sqlite3.connect(self._paths[name], isolation_level=None, check_same_thread=False)
            for pragma in (f"busy_timeout={BUSY_MS}", "journal_mode=WAL", "synchronous=FULL"):
                known.execute(f"PRAGMA {pragma}")
            if name == "page":
                known.row_factory = sqlite3.Row
            setattr(self._own, name, known)
        return known

    def commit(self, row: int, number: int, message: str) -> None:
        connection = self._connection("bare")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE bare SET number = ?, message = ? WHERE id = ?", (number, message, row))
        connection.execute("COMMIT")

    def page(self) -> bytes:
        rows = self._connection("page").execute(PAGE).fetchall()
        return msgspec.json.encode({"value": [dict(row) for row in rows]})


class _Postgresql:
    """One connection a thread."""

    inline = False

    def __init__(self, url: str) -> None:
        self._url = url
        self._own = threading.local()
        with psycopg.connect(url) as connection:
            connection.execute(MAKE)
            connection.cursor().executemany(
                "INSERT INTO bare VALUES (%s, 0, '') ON CONFLICT DO NOTHING", [(number,) for number in range(ROWS)]
            )

    def _connection(self) -> psycopg.Connection[Any]:
        known: psycopg.Connection[Any] | None = getattr(self._own, "connection", None)
        if known is None:
            known = self._own.connection = psycopg.connect(self._url, row_factory=dict_row)  # type: ignore[assignment]
        assert known is not None
        return known

    def commit(self, row: int, number: int, message: str) -> None:
        connection = self._connection()
        connection.execute("UPDATE bare SET number = %s, message = %s WHERE id = %s", (number, message, row))
        connection.commit()

    def page(self) -> bytes:
        connection = self._connection()
        rows = connection.execute(PAGE).fetchall()
        connection.rollback()
        return msgspec.json.encode({"value": rows})


def app(settings: Settings, tenant_id: str) -> Litestar:
    """The bare handlers."""
    verifier = Verifier(control=open_control(settings), settings=settings, clock=clock)
    threads = ThreadPoolExecutor(THREADS)
    url = settings.database_url
    database = _Sqlite(settings.data_dir, settings.directory_db(tenant_id)) if url is None else _Postgresql(url)

    async def known(request: Request[Any, Any, Any]) -> None:
        await identify(verifier.verify, request.headers.get("authorization"), clock())

    @get("/status")
    async def status(request: Request[Any, Any, Any]) -> Response[bytes]:
        await known(request)
        return Response(msgspec.json.encode(STATUS), headers={"Content-Type": JSON})

    @patch("/status/{row:int}")
    async def commit(request: Request[Any, Any, Any], row: int) -> Response[bytes]:
        await known(request)
        given = msgspec.json.decode(await request.body())
        written = (row, given["errorCount"], given["statusMessage"])
        await asyncio.get_running_loop().run_in_executor(threads, database.commit, *written)
        return Response(msgspec.json.encode({**STATUS, **given}), headers={"Content-Type": JSON})

    @get("/users")
    async def users(request: Request[Any, Any, Any]) -> Response[bytes]:
        await known(request)
        content = await asyncio.get_running_loop().run_in_executor(threads, database.page)
        return Response(content, headers={"Content-Type": JSON})

    return Litestar([status, commit, users], openapi_config=None, logging_config=None)


async def _serve(application: Litestar, port: int) -> None:
    server = Server(
        application,
        address="127.0.0.1",
        port=port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.auto,
        websockets=False,
        log_enabled=False,
    )
    await server.serve()


def main() -> None:
    """Serve until killed."""
    data, port, tenant_id, *url = sys.argv[1:]
    settings = Settings(data_dir=Path(data), database_url=url[0] if url else None)
    asyncio.run(_serve(app(settings, tenant_id), int(port)))


if __name__ == "__main__":
    main()
