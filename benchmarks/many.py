"""Many small tenants that synchronize all at once, beside one large one in the same run, with one worker and with two.

make bench                                              # 200 tenants of 2 000 people; writes MANY.md
python -m benchmarks.many --tenants 20 --rounds 1       # a quick look, prints only
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.__main__ import free_port, machine
from benchmarks.million import durable_cluster
from benchmarks.server import BEGUN, Server
from schoolsync.access import issuer
from schoolsync.testing import rosters

RESULTS = Path(__file__).parent / "MANY.md"
TENANTS, PEOPLE, LARGE = 200, 2_000, 100_000


class Tenants(Server):
    """A server with many tenants, each with one profile."""

    def profiles(self, tenants: Iterable[str]) -> list[tuple[str, str]]:
        """A profile for each of some tenants: the profile's path and what authorizes its tenant."""
        made = []
        for tenant in tenants:
            self.act_for(self.bearer(tenant))
            made.append((self.create_profile(), self.http.headers["Authorization"]))
        return made

    def act_for(self, bearer: str) -> None:
        """Whom the next requests are from."""
        self.http.headers["Authorization"] = bearer

    def finish(self, profiles: list[tuple[str, str]]) -> float:
        """Start all of them and wait for the last; the seconds that takes."""
        began = time.perf_counter()
        for profile, bearer in profiles:
            self.act_for(bearer)
            self.http.post(f"{profile}/start").raise_for_status()
        for profile, bearer in profiles:
            self.act_for(bearer)
            while (status := self.status(profile)["status"]) != "success":
                if status not in BEGUN:
                    raise RuntimeError(f"a sync ended {status}")
                time.sleep(0.1)
        return time.perf_counter() - began

    def bearer(self, tenant: str, *, roles: tuple[str, ...] = ()) -> str:
        """What authorizes an application with these roles; without any, the tenant's administrator."""
        grant = issuer.Grant(tenant_id=tenant, client=issuer.CLI_CLIENT, roles=roles)
        if not roles:
            grant = issuer.Grant(
                tenant_id=tenant,
                client=issuer.CLI_CLIENT,
                scopes=("EduAdministration.ReadWrite",),
                user_id=str(uuid.uuid4()),
                user_name="admin@bench.example",
            )
        key = issuer.signing_key(Path(self._data, "keys")).get()
        base = f"http://127.0.0.1:{self.port}"
        made = issuer.mint(key, grant, base_url=base, now=int(time.time()), lifetime=86_400, token_id=uuid.uuid4().hex)
        return f"Bearer {made}"


def main() -> int:
    """Measure every installation that can be had here."""
    parser = argparse.ArgumentParser(prog="benchmarks.many", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tenants", type=int, default=TENANTS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--large", type=int, default=LARGE, help="people of the large one")
    parser.add_argument("--database", choices=["sqlite", "postgresql", "both"], default="both")
    options = parser.parse_args()
    kinds = {"sqlite": [1], "postgresql": [1, 2]}
    asked = [(kind, n) for kind, counts in kinds.items() for n in counts if options.database in (kind, "both")]
    found: dict[tuple[str, int], list[tuple[float, float]]] = {one: [] for one in asked}
    with tempfile.TemporaryDirectory(prefix="schoolsync-bench-") as name:
        small, large = Path(name, "small"), Path(name, "large")
        for folder, people in ((small, PEOPLE), (large, options.large)):
            rosters.write(folder, people=people, classes=people * 3 // 10, enrollments=people * 9, seed=1)
        for number in range(options.rounds):
            for (kind, workers), rates in found.items():
                folder = Path(name, f"{kind}{workers}{number}")
                folder.mkdir()
                with _installation(kind, workers, folder) as server:
                    rates.append(_round(server, options, small, large))
                print(f"round {number + 1} on {kind}, {workers}: {rates[-1][0]:,.0f} people/s", flush=True)
    text = _report(options, found)
    print(text)
    if (options.tenants, options.large, options.database) == (TENANTS, LARGE, "both") and options.rounds >= 3:
        RESULTS.write_text(text, encoding="utf-8")
    return 0


@contextmanager
def _installation(kind: str, workers: int, folder: Path) -> Iterator[Tenants]:
    with ExitStack() as stack:
        settings = {}
        if kind == "postgresql":
            settings["database_url"] = stack.enter_context(stack.enter_context(durable_cluster()).database())
        server = stack.enter_context(Tenants(folder, free_port(), settings))
        for _ in range(workers - 1):
            stack.enter_context(_worker(server))
        yield server


@contextmanager
def _worker(server: Server) -> Iterator[None]:
    command = [sys.executable, "-m", "schoolsync", "worker", "--data-dir", str(server.folder / "data")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT, env=server.environment)
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


def _round(server: Tenants, options: argparse.Namespace, small: Path, large: Path) -> tuple[float, float]:
    """People a second: of the many, and of the large one alone before them."""
    rates = []
    for count, people, roster in ((1, options.large, large), (options.tenants, PEOPLE, small)):
        profiles = server.profiles(str(uuid.uuid4()) for _ in range(count))
        for profile, bearer in profiles:
            server.act_for(bearer)
            server.upload(profile, roster)
        rates.append(count * people / server.finish(profiles))
    return rates[1], rates[0]


def _report(options: argparse.Namespace, found: dict[tuple[str, int], list[tuple[float, float]]]) -> str:
    lines = [
        "# Many tenants at once",
        "",
        f"Written by `make bench` on {datetime.now(UTC):%Y-%m-%d}, {options.rounds} rounds: {options.tenants} tenants "
        f"of {PEOPLE:,} people each, first synchronizations that are all started at once, beside one of "
        f"{options.large:,} people on the same server before them. People a second, until the last reads `success`.",
        machine(),
        "",
        "| installation | people/s | range | one large tenant, people/s | many ÷ one | to reach |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for (kind, workers), rates in found.items():
        many, one = (statistics.median(series) for series in zip(*rates, strict=True))
        lowest, highest = min(rate for rate, _ in rates), max(rate for rate, _ in rates)
        lines.append(
            f"| {kind}, {workers} worker{'s' * (workers > 1)} | {many:,.0f} | {lowest:,.0f}–{highest:,.0f} | "
            f"{one:,.0f} | {many / one:.2f} | 0.5 |"
        )
    if ("postgresql", 2) in found:
        two, one = (statistics.median(rate for rate, _ in found["postgresql", n]) for n in (2, 1))
        cores = len(os.sched_getaffinity(0))
        lines += ["", f"Two workers have {two / one:.2f} times the rate of one, on {cores} cores. To reach: 1.6."]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    sys.exit(main())
