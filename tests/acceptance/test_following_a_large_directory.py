"""Programs that follow a directory of a million people while it is written, and then have exactly that directory.

On PostgreSQL a sixth of them, in the same time.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from schoolsync.testing import rosters

from .house import Api, Json, Profile, Server, Tenant, serving
from .test_following_changes import nothing_open

PEOPLE = {
    kind: int(os.environ.get("FOLLOWED_PEOPLE", most))
    for kind, most in (("sqlite", "1000000"), ("postgresql", "150000"))
}
KINDS = ("schools", "classes", "users")
PATIENCE = 900.0
"""Seconds that a synchronization of so many people may take while others read all it writes."""
MEMBERS = """SELECT c.id, p.id, l.member, l.teacher FROM class_people AS l
    JOIN classes AS c ON c.tenant = l.tenant AND c.key = l.class
    JOIN people AS p ON p.tenant = l.tenant AND p.key = l.person WHERE (l.class & 63) = ?"""


def short(*parts: str) -> int:
    """What is kept of something instead of itself: a million objects shall not be a million dictionaries."""
    return int.from_bytes(hashlib.blake2b("\0".join(parts).encode(), digest_size=8).digest(), "big")


def print_of(item: Json) -> int:
    return short(json.dumps(item, sort_keys=True))


class Follower:
    """What a program keeps that follows one set: a print of each object, and of each membership."""

    def __init__(self, api: Api, kind: str) -> None:
        self.api, self.kind = api, kind
        self.link = f"/{kind}/delta?$top=999"
        self.objects: dict[str, int] = {}
        self.parts: dict[str, set[int]] = {}
        self.pages = self.removed = 0

    def page(self) -> bool:
        """Take one page; whether it was the last."""
        page = self.api.get(self.link)
        self.pages += 1
        for item in page["value"]:
            key = item["id"]
            if "@removed" in item:
                self.removed += self.objects.pop(key, None) is not None
                self.parts.pop(key, None)
                continue
            for part in ("members", "teachers"):
                for one in item.pop(f"{part}@delta", []):
                    kept = self.parts.setdefault(key, set())
                    (kept.discard if "@removed" in one else kept.add)(short(one["id"], part))
            self.objects[key] = print_of(item)
        last = "@odata.deltaLink" in page
        self.link = page["@odata.deltaLink" if last else "@odata.nextLink"]
        return last

    def follow(self) -> None:
        while not self.page():
            pass


@pytest.fixture
def large(tmp_path: Path, fresh_database: dict[str, object]) -> Iterator[Server]:
    settings = {"delta_deleted_classes": "true", "page_max": 999, **fresh_database}
    with serving(tmp_path / "large", settings=settings) as running:
        yield running


def same(tenant: Tenant, follower: Follower) -> None:
    """The follower has exactly what the directory has."""
    there: dict[str, int] = {}
    link: str | None = f"/{follower.kind}?$top=999"
    while link:
        page = tenant.reader.get(link)
        there |= {item["id"]: print_of(item) for item in page["value"]}
        link = page.get("@odata.nextLink")
    assert len(follower.objects) == len(there)
    assert follower.objects == there
    if follower.kind != "classes":
        return
    parts: dict[str, set[int]] = {}
    for piece in range(64):
        for group, one, member, teacher in tenant.server.select(tenant.id, MEMBERS, piece):
            told = [name for name, there_too in (("members", member), ("teachers", teacher)) if there_too]
            parts.setdefault(group, set()).update(short(one, name) for name in told)
    assert {key: kept for key, kept in follower.parts.items() if kept} == {
        key: kept for key, kept in parts.items() if kept
    }


def while_read(followers: list[Follower], work: Callable[[], None]) -> None:
    """Have followers read page after page for as long as `work` goes on."""
    stop = threading.Event()
    problems: list[BaseException] = []

    def read(follower: Follower) -> None:
        try:
            while not stop.is_set():
                if follower.page():
                    stop.wait(0.05)
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=read, args=(follower,)) for follower in followers]
    for thread in threads:
        thread.start()
    try:
        work()
    finally:
        stop.set()
        for thread in threads:
            thread.join(120)
    assert not problems, problems


def uploaded(profile: Profile, folder: Path, *, people: int, churn: float) -> None:
    """A roster of so many people, uploaded and not started."""
    rosters.write(folder, people=people, classes=people // 25, enrollments=people * 3, churn=churn)
    for path in sorted(folder.iterdir()):
        profile.upload({path.name: path.read_bytes()})
        path.unlink()


@pytest.mark.nightly
@pytest.mark.timeout(2400)
def test_a_reader_of_a_million_people_ends_with_the_directory(large: Server, tmp_path: Path) -> None:
    """Read during the first load, then during a day's changes and deletions by hand, class deletions told; whoever then
    follows the links has every object and membership as the directory has it, and no other. Then nothing is new."""
    people = PEOPLE["sqlite" if large.database_url is None else "postgresql"]
    tenant = Tenant(large)
    profile = tenant.profile()
    early = [Follower(tenant.reader, kind) for kind in KINDS]
    uploaded(profile, tmp_path / "first", people=people, churn=0.0)

    def run() -> None:
        profile.start()
        assert profile.wait(seconds=PATIENCE)["status"] == "success"

    while_read(early, run)
    late = [Follower(tenant.reader, kind) for kind in KINDS]
    for follower in late:
        for _ in range(20):  # in the middle of the first round when the changes begin
            if follower.page():
                break
    uploaded(profile, tmp_path / "second", people=people, churn=0.02)

    def change() -> None:
        profile.start()
        chosen = random.Random(3)
        groups, persons = ([one["id"] for one in tenant.reader.get(f"/{kind}?$top=500")["value"]] for kind in KINDS[1:])
        for group in chosen.sample(groups, 20):
            tenant.reader("DELETE", f"/classes/{group}", expect=204)
        for one in chosen.sample(persons, 20):
            tenant.reader("DELETE", f"/users/{one}", expect=204)
        assert profile.wait(seconds=PATIENCE)["status"] in {"success", "error"}

    while_read([*early, *late], change)
    nothing_open(large, seconds=PATIENCE)
    for follower in [*early, *late]:
        follower.follow()  # to the end of the round that it is in, which for some is the first
        follower.follow()
        same(tenant, follower)
    assert early[1].removed >= 20
    assert len(early[2].objects) > people * 0.9
    for follower in early:
        before = follower.pages
        follower.follow()
        assert follower.pages == before + 1
