"""Promise 1: A run that is killed resumes by itself; at most one batch is repeated; nothing is applied twice."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from schoolsync.testing import rosters

from ..acceptance.house import Server, Tenant, serving, until

pytestmark = [pytest.mark.nightly, pytest.mark.xdist_group("promises")]


def test_kill_9_of_everything_twice(tmp_path: Path) -> None:
    """Each batch is in the ledger once, and every row of the files is in the directory once."""
    folder = tmp_path / "roster"
    rosters.write(folder, people=2000, classes=200, enrollments=10_000, seed=7)
    with serving(tmp_path / "server", settings={"batch_rows": 250}) as server:
        tenant = Tenant(server)
        profile = tenant.profile()
        profile.upload({path.name: path.read_bytes() for path in folder.iterdir()})
        profile.start()
        for batches in (3, 12):
            until("batches are written", lambda: len(ledger(server, tenant)) >= batches)  # noqa: B023
            server.kill()
            assert server.control("SELECT ended FROM runs") == [(None,)], "caught too late: it has ended"
            written = ledger(server, tenant)
            server.start()
            assert ledger(server, tenant)[: len(written)] == written, "what was written stays"
        assert profile.wait()["status"] == "success"
        rows = ledger(server, tenant)
        assert [batch for batch, _, _ in rows] == list(range(len(rows)))
        assert len({position for _, _, position in rows}) == len(rows)
        ((done, total),) = server.control("SELECT rows_done, rows_total FROM runs")
        assert done == total == sum(count for _, count, _ in rows)
        people = {row["SIS ID"] for name in ("Student.csv", "Teacher.csv") for row in lines(folder / name)}
        ((there, once),) = server.select(tenant.id, "SELECT count(*), count(DISTINCT source_id) FROM people")
        assert there == once == len(people)
        wanted = {
            (row["Section SIS ID"], row["SIS ID"])
            for name in ("StudentEnrollment.csv", "TeacherRoster.csv")
            for row in lines(folder / name)
        }
        assert server.select(tenant.id, "SELECT count(*) FROM class_people") == [(len(wanted),)]


def ledger(server: Server, tenant: Tenant) -> list[tuple[int, int, int]]:
    return server.select(tenant.id, "SELECT batch, rows, position FROM batches ORDER BY position")


def lines(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as source:
        return list(csv.DictReader(source))
