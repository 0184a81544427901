"""Programs that follow the directory with delta queries while a synchronization writes it."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from schoolsync import ticks
from schoolsync.testing import rosters

from .house import Api, Json, Profile, Server, Tenant, serving, until

SETS = {"schools": 300, "classes": 25, "users": 40}  # and how many a page may hold
MEMBERS = """SELECT c.id, p.id, l.member, l.teacher FROM class_people AS l
    JOIN classes AS c ON c.tenant = l.tenant AND c.key = l.class
    JOIN people AS p ON p.tenant = l.tenant AND p.key = l.person"""


class Reader:
    """What a program keeps that follows one set."""

    def __init__(self, api: Api, kind: str) -> None:
        self.api, self.kind = api, kind
        self.link = f"/{kind}/delta?$top={SETS[kind]}"
        self.objects: dict[str, Json] = {}
        self.parts: set[tuple[str, str, str]] = set()  # class, person, members or teachers

    def page(self) -> tuple[int, bool]:
        """Take one page: how much it told, and whether it was the last."""
        page = self.api.get(self.link)
        for item in page["value"]:
            key = item["id"]
            if "@removed" in item:
                self.objects.pop(key, None)
                self.parts = {part for part in self.parts if part[0] != key}
                continue
            for part in ("members", "teachers"):
                for one in item.pop(f"{part}@delta", []):
                    (self.parts.discard if "@removed" in one else self.parts.add)((key, one["id"], part))
            self.objects[key] = item
        last = "@odata.deltaLink" in page
        self.link = page["@odata.deltaLink" if last else "@odata.nextLink"]
        return len(page["value"]), last

    def follow(self) -> int:
        told, last = 0, False
        while not last:
            count, last = self.page()
            told += count
        return told


def nothing_open(server: Server, *, seconds: float = 60.0) -> None:
    """Wait for the run that makes good at once what a run passed over because somebody changed it meanwhile."""
    now = ticks.of(datetime.now(UTC))
    due = "SELECT 1 FROM profiles WHERE due <= ? UNION ALL SELECT 1 FROM runs WHERE ended IS NULL"
    until("no run is open or due", lambda: not server.control(due, now) or None, seconds=seconds)


def same(tenant: Tenant, reader: Reader) -> None:
    """The reader has exactly what the directory has."""
    items = tenant.reader.all(f"/{reader.kind}?$top=999")
    assert reader.objects == {item["id"]: item for item in items}
    if reader.kind == "classes":
        links = tenant.server.select(tenant.id, MEMBERS)
        there = {(group, person, "members") for group, person, member, _ in links if member}
        assert reader.parts == there | {(group, person, "teachers") for group, person, _, teacher in links if teacher}


@pytest.fixture
def busy(tmp_path: Path, fresh_database: dict[str, object]) -> Iterator[Server]:
    """A server that applies plans in many small batches, so that a reader sees a directory half written."""
    settings = {"batch_rows": 400, "delta_deleted_classes": "true"}
    with serving(tmp_path / "busy", settings=fresh_database | settings) as running:
        yield running


def files(folder: Path, *, churn: float = 0.0) -> dict[str, str | bytes]:
    rosters.write(folder, people=1500, classes=400, enrollments=9000, churn=churn)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def reading_while(profile: Profile, work: Any, readers: list[Reader]) -> None:
    """Read pages, one after the other, for as long as `work` goes on."""
    stop = threading.Event()
    problems: list[BaseException] = []

    def read(reader: Reader) -> None:
        try:
            while not stop.is_set():
                reader.page()
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=read, args=(reader,)) for reader in readers]
    for thread in threads:
        thread.start()
    try:
        work()
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
    assert not problems, problems


@pytest.mark.nightly("sqlite")
def test_a_reader_during_a_synchronization_ends_with_the_directory(busy: Server, tmp_path: Path) -> None:
    """First load, a day's changes and changes by hand, read all the while; then nothing is missing and nothing is left
    over. The same roster again tells nothing. A link outlives the processes that gave it."""
    tenant = Tenant(busy)
    profile = tenant.profile()
    readers = [Reader(tenant.reader, kind) for kind in SETS]
    first = files(tmp_path / "first")
    reading_while(profile, lambda: profile.sync(first), readers)
    late = [Reader(tenant.reader, kind) for kind in SETS]
    for reader in [*readers, *late]:
        reader.follow()
        same(tenant, reader)
        assert reader.objects
    assert profile.sync(first)["status"] == "success"
    for reader in readers:
        assert reader.follow() == 0, reader.kind
    second = files(tmp_path / "second", churn=0.05)

    def change() -> None:
        profile.upload(second)
        profile.start()
        chosen = random.Random(3)
        people = sorted(late[2].objects)
        for group in chosen.sample(sorted(late[1].objects), 10):
            tenant.reader("DELETE", f"/classes/{group}", expect=204)
            tenant.reader("DELETE", f"/users/{people.pop(chosen.randrange(len(people)))}")
        profile.wait()

    reading_while(profile, change, readers)
    nothing_open(busy)
    busy.stop()
    busy.start()
    for reader in [*readers, *late]:
        old = reader.link
        reader.link = busy.base + old[old.index("/v1.0/") :] if old.startswith("http") else old
        assert reader.follow() > 0 or reader.kind == "schools" or reader in readers
        same(tenant, reader)
