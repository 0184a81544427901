"""An S3 of the tests' own: a server that speaks its protocol, behind a door that can be shut."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import obstore

from schoolsync.store.shared_objects import connected

BUCKET = "schools"


class Door:
    """Carries connections to a port, until it is shut: then there is nobody, as when a machine or a network is gone."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._shut = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def shut(self) -> None:
        """Cut every connection; new ones are hung up on."""
        with self._lock:
            self._shut = True
            for one in self._open:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def open(self) -> None:
        """As before."""
        with self._lock:
            self._shut = False

    def close(self) -> None:
        self.shut()
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                here, _ = self._listener.accept()
                with self._lock:
                    if self._shut:
                        here.close()
                        continue
                    there = socket.create_connection(("127.0.0.1", self._to))
                    self._open |= {here, there}
                for one, other in ((here, there), (there, here)):
                    threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
        for end in (one, other):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            with self._lock:
                self._open.discard(end)


class Storage:
    """A place in the bucket, as the settings name it."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.url = f"s3://{BUCKET}/{uuid.uuid4()}"
        self.options = (
            f"endpoint=http://127.0.0.1:{door.port}",
            "allow_http=true",
            "region=us-east-1",
            "access_key_id=tests",
            "secret_access_key=tests",
            "retry_seconds=1",
        )

    def elsewhere(self) -> Storage:
        """Another place in the same bucket."""
        return Storage(self.door)

    def put(self, files: Mapping[str, bytes]) -> None:
        """Have files there."""
        store = connected(self.url, self.options)
        for key, content in files.items():
            obstore.put(store, key, content)

    def names(self) -> list[str]:
        """The keys of the files that are there."""
        listed = obstore.list(connected(self.url, self.options))
        return [str(meta["path"]) for chunk in listed for meta in chunk]

    @property
    def settings(self) -> dict[str, object]:
        return {"storage_url": self.url, "storage_options": " ".join(self.options)}


@contextmanager
def s3(folder: Path) -> Iterator[Storage]:
    """A fresh place in an S3 that goes afterwards."""
    log = folder / "s3.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"],
            stdout=sink,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    try:
        port = _port(log, process)
        with contextlib.closing(Door(port)) as door:
            wanted = urllib.request.Request(f"http://127.0.0.1:{port}/{BUCKET}", method="PUT")
            urllib.request.urlopen(wanted, timeout=30).close()
            yield Storage(door)
    finally:
        process.kill()
        process.wait()


def _port(log: Path, process: subprocess.Popen[bytes]) -> int:
    """Where the server says that it is."""
    deadline = time.monotonic() + 60
    while True:
        text = log.read_text("utf-8", "replace")
        if found := re.search(r"http://127\.0\.0\.1:(\d+)", text):
            return int(found[1])
        assert process.poll() is None, text[-2000:]
        assert time.monotonic() < deadline, text[-2000:]
        time.sleep(0.05)
