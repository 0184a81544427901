"""A small server for tests: only the upload containers and the token issuer, under Granian, in a process of its own.

python serve_faces.py <settings as JSON> [largest file the process may write, in bytes]
"""

import asyncio
import json
import resource
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path

from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.server.embed import Server

from schoolsync import ticks
from schoolsync.access import issuer_http
from schoolsync.console import catalogue
from schoolsync.settings import Settings
from schoolsync.store import database
from schoolsync.store.control import open_control
from schoolsync.store.directories import Directories
from schoolsync.uploads import blobs
from schoolsync.uploads.service import Uploads

PATHS = ("data_dir", "tls_cert", "tls_key")


def main(arguments):
    given = json.loads(arguments[0])
    settings = Settings(**{name: Path(value) if name in PATHS and value else value for name, value in given.items()})
    limits = json.loads(arguments[1])
    if "file" in limits:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limits["file"], limits["file"]))
    database.BUSY_MS = limits.get("busy", database.BUSY_MS)

    def clock():
        return ticks.of(datetime.now(UTC))

    control = open_control(settings)
    uploads = blobs.app(Uploads(control, settings, clock, lambda: str(uuid.uuid4())))
    issuer = issuer_http.app(control, settings, clock, Directories(settings), catalogue.page_beside)

    async def app(scope, receive, send):
        first = scope["path"].lstrip("/").partition("/")[0].lower()
        await (uploads if first == "uploads" else issuer)(scope, receive, send)

    server = Server(
        app,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.auto,
        websockets=False,
        log_enabled=False,
        ssl_cert=settings.tls_cert,
        ssl_key=settings.tls_key,
        ssl_protocol_min=SSLProtocols.tls12,
    )
    asyncio.run(server.serve())


if __name__ == "__main__":
    main(sys.argv[1:])
