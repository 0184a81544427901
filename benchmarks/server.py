"""A real `schoolsync serve` with the memory of all its processes watched, for the measurements."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import psutil

BEGUN = {"extracting", "validating", "inProgress"}


class MemoryWatch(threading.Thread):
    """Samples the memory of a process and all its children until stopped.

    `peak_pss` shares out pages that several processes hold; `peak_rss` counts them for each. How pages are shared out
    takes a process's whole time to find out when it is large, so it is asked when there is more than ever, and rarely.
    """

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.process = psutil.Process(pid)
        self.peak_rss = 0
        self.peak_pss = 0
        self.stopping = threading.Event()

    def run(self) -> None:
        asked = 0.0
        while not self.stopping.wait(0.05):
            processes = [self.process, *self.process.children(recursive=True)]
            rss = _sum(processes, lambda process: process.memory_info().rss)
            if rss > 1.02 * self.peak_rss or time.monotonic() > asked + 5:
                asked = time.monotonic()
                self.peak_pss = max(self.peak_pss, _sum(processes, lambda process: process.memory_full_info().pss))
            self.peak_rss = max(self.peak_rss, rss)


def _sum(processes: list[psutil.Process], size: Callable[[psutil.Process], int]) -> int:
    """What those of them have that are still there."""
    total = 0
    for process in processes:
        with suppress(psutil.Error):
            total += size(process)
    return total


class Server:
    """A server in a folder of its own. Use as a context manager."""

    def __init__(self, folder: Path, port: int, settings: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.port = port
        self.environment = {**os.environ, **{f"SCHOOLSYNC_{k.upper()}": v for k, v in (settings or {}).items()}}
        self.tenant = str(uuid.uuid4())

    def __enter__(self) -> Self:
        self.log = (self.folder / "serve.log").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "schoolsync", "serve", "--data-dir", self._data, "--port", str(self.port)],
            stdout=self.log,
            stderr=subprocess.STDOUT,
            env=self.environment,
        )
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=300)
        deadline = time.monotonic() + 30
        while True:
            try:
                if self.http.get("/healthz").status_code == 200:
                    break
            except httpx.TransportError:
                pass
            if time.monotonic() > deadline:
                raise RuntimeError((self.folder / "serve.log").read_text())
            time.sleep(0.02)
        grant = ["--scope", "EduAdministration.ReadWrite", "--user", "admin@bench.example"]
        self.http.headers["Authorization"] = "Bearer " + self._token(*grant)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
        self.log.close()

    @property
    def _data(self) -> str:
        return str(self.folder / "data")

    def _token(self, *grant: str) -> str:
        command = [sys.executable, "-m", "schoolsync", "token", "--data-dir", self._data, "--tenant", self.tenant]
        command += [*grant, "--expires-in", "86400"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def count(self, kind: str) -> int:
        """How many `schools`, `classes` or `users` the API shows."""
        token = self._token("--role", "EduRoster.Read.All")
        answer = self.http.get(f"/v1.0/education/{kind}/$count", headers={"Authorization": f"Bearer {token}"})
        return int(answer.raise_for_status().text)

    def create_profile(self) -> str:
        """A profile that creates accounts; its path."""
        domains = [{"appliesTo": role, "name": "bench.example"} for role in ("student", "teacher")]
        body: dict[str, Any] = {  # a JSON body
            "displayName": "Bench",
            "dataProvider": {"@odata.type": "#microsoft.graph.educationCsvDataProvider"},
            "identitySynchronizationConfiguration": {
                "@odata.type": "#microsoft.graph.educationIdentityCreationConfiguration",
                "userDomains": domains,
            },
        }
        created = self.http.post("/v1.0/education/synchronizationProfiles", json=body).raise_for_status().json()
        path = f"/v1.0/education/synchronizationProfiles/{created['id']}"
        while self.http.get(path).json()["state"] != "provisioned":
            time.sleep(0.02)
        return path

    def upload(self, profile: str, roster: Path) -> None:
        """Put every file of the roster's folder into the profile's container."""
        container = httpx.URL(self.http.get(f"{profile}/uploadUrl").raise_for_status().json()["value"])
        for path in sorted(roster.glob("*.csv")):
            target = container.copy_with(raw_path=f"{container.path}/{path.name}?".encode() + container.query)
            with path.open("rb") as content:
                self.http.put(target, content=content, headers={"x-ms-blob-type": "BlockBlob"}).raise_for_status()

    def sync(self, profile: str) -> float:
        """Start and wait for the end; seconds from sending `start` until the status reads `success`."""
        began = time.perf_counter()
        answer = self.http.post(f"{profile}/start")
        if answer.status_code != 200:
            raise RuntimeError(answer.text)
        while True:
            status = self.status(profile)
            if status["status"] not in BEGUN:
                break
            time.sleep(0.02)
        seconds = time.perf_counter() - began
        if status["status"] != "success":
            raise RuntimeError(f"the sync ended {status}")
        return seconds

    def status(self, profile: str) -> dict[str, Any]:
        """The profile's status, with the stages that Graph has no name for in its older values."""
        answer = self.http.get(f"{profile}/profileStatus", headers={"Prefer": "include-unknown-enum-members"})
        return dict(answer.raise_for_status().json())
