"""A million people in the browser: chosen as files, checked, planned, synchronized, and watched while they are."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from schoolsync.testing import rosters

from .browser import Person, browsing, person
from .house import Profile, Server, Tenant, creation

PEOPLE = int(os.environ.get("LIVE_PEOPLE", "1000000"))
SLOWEST = 8.0
"""Seconds that any page may take meanwhile, as long as a person waits.

A search by an id reads the whole table then: the indexes of a first load are made at its end.
"""
STAGES = ("Reading files", "Checking files", "Working out the changes", "Writing changes")
OTHERS = ("", "/directory?kind=people", "/system", "/directory?kind=people&search=1000001")


@dataclass
class Seen:
    """What the live page said, look by look."""

    stages: list[str] = field(default_factory=list)
    done: dict[str, list[int]] = field(default_factory=dict)  # rows done, by stage
    rates: dict[str, list[str]] = field(default_factory=dict)
    left: dict[str, list[str]] = field(default_factory=dict)
    pages: list[tuple[float, str]] = field(default_factory=list)  # seconds that other pages took


@pytest.mark.nightly
@pytest.mark.timeout(1200)
def test_a_million_people_are_watched_live(tmp_path: Path) -> None:
    """Stage, rows, rate and time left move while it reads, checks, plans and writes; other pages answer meanwhile."""
    roster = tmp_path / "roster"
    rosters.write(roster, people=PEOPLE, classes=PEOPLE * 28 // 100, enrollments=PEOPLE * 7, seed=1)
    shots = Path(os.environ.get("SCREENSHOTS", tmp_path / "shots"))
    shots.mkdir(parents=True, exist_ok=True)
    server = Server(tmp_path).start()
    try:
        tenant = Tenant(server)
        profile = tenant.profile(creation(displayName="A whole state"))
        with browsing() as browser, person(browser, tenant, device="desktop", shots=shots) as ada:
            ada.page.set_default_timeout(600_000)
            _story(ada, profile, sorted(roster.glob("*.csv")))
    finally:
        server.end()


def _story(ada: Person, profile: Profile, files: list[Path]) -> None:
    page = ada.page
    ada.sign_in("operator", "admin")
    ada.open(f"/profiles/{profile.id}/upload")
    page.get_by_label("Drop all CSV files").set_input_files(files)
    page.get_by_role("status").get_by_text("The files are being checked").wait_for()
    preview = _watched(ada, "preview")
    page.get_by_role("link", name="See what would change").click()
    page.get_by_role("button", name="Synchronize exactly this").click()
    page.get_by_role("status").get_by_text("A run has begun").wait_for()
    run = _watched(ada, "run")
    page.locator("#live").get_by_text("Done").wait_for()
    assert re.search(rf"People\s*{PEOPLE:,}", page.locator("#live").inner_text())
    ada.look("million-done")
    for seen, stages in ((preview, STAGES[:3]), (run, STAGES)):
        assert list(dict.fromkeys(seen.stages)) == list(stages)
        slowest = max(seen.pages)
        assert slowest[0] < SLOWEST, slowest
    # Reading takes a second or two: it may be over before anybody has looked at its rows.
    for stage in STAGES[2:]:
        assert run.done[stage], f"{stage}: rows are counted"
        assert run.done[stage] == sorted(run.done[stage])
    assert len(set(run.done[STAGES[2]])) >= 2, "the bar moves"
    writing = STAGES[3]
    assert len(set(run.done[writing])) > 10, "the bar moves"
    assert len(set(run.rates[writing])) > 2, "the rate moves"
    assert len(set(run.left[writing])) > 2, "the time left moves"


def _watched(ada: Person, name: str) -> Seen:
    """Look at the page of a run until it is over, and at other pages meanwhile."""
    page, seen = ada.page, Seen()
    live = page.locator("#live")
    number = 0
    while True:
        text, stage, done = live.evaluate(
            "live => [live.innerText, live.querySelector('.at-work span')?.innerText ?? '', "
            "live.querySelector('progress')?.value ?? -1]"
        )
        if stage:
            if stage not in seen.stages[-1:]:
                ada.look(f"million-{name}-{len(set(seen.stages)) + 1}")
            seen.stages.append(stage)
            for found, what in ((seen.rates, r"[\d,.]+ a second"), (seen.left, r"about .+? left")):
                said = re.search(what, text)
                if said:
                    found.setdefault(stage, []).append(said[0])
            if done >= 0:
                seen.done.setdefault(stage, []).append(int(done))
        elif not live.locator(".at-work").count() and re.search(r"Done|Failed|Thrown away|Waits for you", text):
            return seen
        path = f"/console{OTHERS[number % len(OTHERS)]}"
        took = page.evaluate(
            "async path => { const began = performance.now(); const answer = await fetch(path); await answer.text(); "
            "return answer.ok ? (performance.now() - began) / 1000 : 1e9; }",
            path,
        )
        seen.pages.append((float(took), path))
        number += 1
        time.sleep(0.2)
