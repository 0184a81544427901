"""From the command to the first answer out of the seeded roster, in memory, beside a bare server of the same framework.

The processor time of all its processes until then is told too: it is the same on a machine that does something else.

python -m benchmarks.start                 # five rounds, prints only

Modules are compiled before, as those of an installed package are.
"""

from __future__ import annotations

import argparse
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil

from benchmarks.__main__ import MIB, free_port, machine
from schoolsync.access import issuer
from schoolsync.settings import Settings
from schoolsync.testing import demo

BARE = """
import asyncio, sys
import sqlalchemy
from granian.constants import Interfaces
from granian.server.embed import Server
from litestar import Litestar, get

@get("/v1.0/education/schools")
async def schools() -> dict[str, list[str]]:
    return {"value": ["a school"]}

asyncio.run(Server(Litestar([schools]), port=int(sys.argv[1]), interface=Interfaces.ASGI, log_enabled=False).serve())
"""
TENANT = Settings().seed_tenant
LONGEST = 30.0
"""Seconds after which a server that does not answer is given up."""
LOOK = 0.02


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.start", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    compiled = tempfile.TemporaryDirectory(prefix="schoolsync-bench-")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = compiled.name
    bare, ours, held, unseeded, worked = [], [], [], [], []
    for number in range(-1, rounds):  # the first is not counted: it compiles, and warms the disk
        floor = _bare()
        seconds, memory, processor = _ours()
        alone = _unseeded()
        if number >= 0:
            bare.append(floor)
            ours.append(seconds)
            held.append(memory)
            worked.append(processor)
            unseeded.append(alone)
    floor, median = statistics.median(bare), statistics.median(ours)
    print(machine())
    print(f"bare Litestar and SQLAlchemy behind Granian: {floor:.2f} s until it answers")
    print(
        f"serve --memory --seed-roster: {median:.2f} s until the roster is read ({median / floor:.2f} x), to reach 1 s"
    )
    print(f"processor time of all its processes until then: {statistics.median(worked):.2f} s")
    print(f"serve --memory: {statistics.median(unseeded):.2f} s until it is ready")
    print(f"memory of all its processes then: {statistics.median(held) / MIB:.0f} MiB, to reach 120 MiB")
    return 0


def _bare() -> float:
    port = free_port()
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", BARE, str(port)], start_new_session=True)
    try:
        return _answered(port, began, lambda: {"Accept": "application/json"})
    finally:
        process.kill()
        process.wait()


def _ours() -> tuple[float, int, float]:
    """Seconds until the roster is read, bytes of memory a second later, and processor time until it was read."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "serve.log")
        command = ["serve", "--memory", "--port", str(port), "--seed-roster", str(demo.BUNDLED)]
        began = time.perf_counter()
        with log.open("wb") as said:
            process = subprocess.Popen([sys.executable, "-m", "schoolsync", *command], stderr=said)
        try:
            seconds = _answered(port, began, lambda: _bearer(log.read_text(encoding="utf-8")))
            top = psutil.Process(process.pid)
            processor = sum(sum(each.cpu_times()[:4]) for each in [top, *top.children(recursive=True)])
            time.sleep(1)  # the engine is ending
            memory = sum(each.memory_full_info().pss for each in [top, *top.children(recursive=True)])
        finally:
            process.terminate()
            process.wait()
    return seconds, memory, processor


def _unseeded() -> float:
    port = free_port()
    began = time.perf_counter()
    command = [sys.executable, "-m", "schoolsync", "serve", "--memory", "--port", str(port)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=LONGEST) as http:
            while time.perf_counter() - began < LONGEST:
                if _open(port) and http.get("/healthz").status_code == 200:
                    return time.perf_counter() - began
                time.sleep(LOOK)
    finally:
        process.terminate()
        process.wait()
    raise RuntimeError(f"the server was not ready after {LONGEST:g} seconds")


def _bearer(said: str) -> dict[str, str]:
    """A token for what is in the folder that the server names."""
    found = re.search(r"\(data in ([^)]+)\)", said)
    folder = Path(found[1], "keys") if found else None
    if folder is None or not folder.is_dir():
        return {}
    grant = issuer.Grant(tenant_id=TENANT, client=issuer.CLI_CLIENT, roles=("EduRoster.Read.All",))
    made = issuer.mint(
        issuer.signing_key(folder).get(),
        grant,
        base_url="http://127.0.0.1",
        now=int(time.time()),
        lifetime=3600,
        token_id=os.urandom(8).hex(),
    )
    return {"Authorization": f"Bearer {made}"}


def _answered(port: int, began: float, headers: Callable[[], dict[str, str]]) -> float:
    """Seconds until a school is in the answer."""
    given: dict[str, str] = {}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=LONGEST) as http:
        while time.perf_counter() - began < LONGEST:
            if not given or not _open(port):
                given = given or headers()
                time.sleep(LOOK)
                continue
            answer = http.get("/v1.0/education/schools", headers=given)
            if answer.status_code == 200 and answer.json()["value"]:
                return time.perf_counter() - began
            time.sleep(LOOK)
    raise RuntimeError(f"no school was answered after {LONGEST:g} seconds")


def _open(port: int) -> bool:
    """Whether somebody listens there: knocking costs next to nothing, and what is measured has few cores."""
    with socket.socket() as knocking:
        return knocking.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    sys.exit(main())
