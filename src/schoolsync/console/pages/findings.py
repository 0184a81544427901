"""What checking the files of a run found: by root cause, one by one with the lines they stand in, for one school alone.

A school is sent a link. It is signed, good for one school of one run and for a while, and opens nothing else; whoever
has it needs no account.
"""

from __future__ import annotations

import asyncio
import csv
import io
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import msgspec

from schoolsync import ticks
from schoolsync.access.principal import Principal
from schoolsync.access.roles import ACCESS, Role
from schoolsync.console.pages.profiles import place
from schoolsync.console.pages.runs import here
from schoolsync.console.visit import Page, Visit
from schoolsync.errors import Invalid, NotFound

SHOWN = 25
CAUSES = 100
FILTERS = ("rule", "severity", "file", "column", "school")
COLUMNS = ("file", "line", "column", "severity", "rule", "message", "hint")
LINK_DAYS = 14
PURPOSE = "findings of a school"
_PART = 1000
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")


async def show(visit: Visit) -> Page:
    """GET profiles/{profile}/runs/{run}/findings."""
    profile, run, report, schools = await asyncio.gather(
        visit.ask("GET", place(visit)),
        visit.ask("GET", here(visit)),
        visit.ask("GET", f"{here(visit)}/report"),
        visit.ask("GET", f"{here(visit)}/findings/schools"),
    )
    links = await asyncio.to_thread(
        visit.console.links.of_run, visit.principal.tenant, visit.keys["profile"], run.id, now=visit.now
    )
    names = {one.school: one.name or one.school for one in schools.value}
    return visit.page(
        "findings.html",
        profile=profile,
        run=run,
        report=report,
        causes=report.causes[:CAUSES],
        schools=[one for one in schools.value if one.school is not None][:CAUSES],
        days=LINK_DAYS,
        links=[(one, names.get(one.school, one.school), ticks.text(one.expires)) for one in links],
    )


async def listed(visit: Visit) -> Page:
    """GET profiles/{profile}/runs/{run}/findings/list."""
    profile, run, found = await asyncio.gather(
        visit.ask("GET", place(visit)), visit.ask("GET", here(visit)), _page(visit, here(visit), visit.query)
    )
    return visit.page("findings_list.html", profile=profile, run=run, **found)


async def download(visit: Visit) -> Page:
    """GET profiles/{profile}/runs/{run}/findings.csv."""
    wanted = {name: visit.query.get(name) for name in FILTERS}
    await visit.ask("GET", f"{here(visit)}/findings", {**wanted, "limit": 1})  # refused before the answer begins
    headers = (("Content-Disposition", f'attachment; filename="findings-{_safe(visit.keys["run"])}.csv"'),)
    return Page(media="text/csv; charset=utf-8", stream=_rows(visit, wanted), headers=headers)


async def download_report(visit: Visit) -> Page:
    """GET profiles/{profile}/runs/{run}/report.json."""
    report = await visit.ask("GET", f"{here(visit)}/report")
    headers = (("Content-Disposition", f'attachment; filename="report-{_safe(visit.keys["run"])}.json"'),)
    return Page(media="application/json", body=msgspec.json.encode(report).decode(), headers=headers)


async def send(visit: Visit) -> Page:
    """POST profiles/{profile}/runs/{run}/findings: a link for one school, or one that is taken back."""
    if "takeBack" in visit.form:
        return await _take_back(visit, visit.form["takeBack"])
    school = visit.form.get("school", "")
    schools = (await visit.ask("GET", f"{here(visit)}/findings/schools")).value
    found = next((one for one in schools if one.school == school and school), None)
    if found is None:
        raise Invalid("Nothing was found in records of this school.", target="school")
    profile, run = await asyncio.gather(visit.ask("GET", place(visit)), visit.ask("GET", here(visit)))
    number = str(uuid.uuid4())
    held = {
        "k": number,
        "t": visit.principal.tenant,
        "id": visit.principal.tenant_id,
        "p": visit.keys["profile"],
        "r": visit.keys["run"],
        "s": school,
        "n": found.name or school,
    }
    until = visit.now + LINK_DAYS * 24 * 3600 * ticks.PER_SECOND
    signed = visit.console.sessions.signed(held, purpose=PURPOSE, until=until)
    visit.arrival.operation = "console link for a school"
    visit.arrival.object = f"schoolsync/v1/{here(visit)}/findings"
    await asyncio.to_thread(
        visit.console.links.make,
        visit.principal,
        link=number,
        profile=visit.keys["profile"],
        run=run.id,
        school=school,
        now=visit.now,
        until=until,
    )
    link = f"{visit.arrival.origin}/console/school?{urlencode({'link': signed})}"
    return visit.page("findings_link.html", profile=profile, run=run, school=found, link=link, until=ticks.text(until))


async def _take_back(visit: Visit, link: str) -> Page:
    run = await visit.ask("GET", here(visit))
    visit.arrival.operation = "console link for a school taken back"
    visit.arrival.object = f"schoolsync/v1/{here(visit)}/findings"
    await asyncio.to_thread(visit.console.links.take_back, visit.principal.tenant, visit.keys["profile"], run.id, link)
    return visit.go(f"/{here(visit)}/findings", said="taken-back")


async def of_school(visit: Visit) -> Page:
    """GET school: what a link shows, to somebody without an account."""
    held = visit.console.sessions.opened(visit.query.get("link"), purpose=PURPOSE, now=visit.now)
    links = visit.console.links
    if held is None or not await asyncio.to_thread(links.good, held["t"], held.get("k", ""), now=visit.now):
        raise NotFound("This link is not good any more: ask whoever sent it for a new one.")
    visit.arrival.principal = _reader(held)
    await visit.arrival.throttle.admit(visit.arrival.principal)
    wanted = {"school": held["s"], "after": visit.query.get("after")}
    found = await _page(visit, f"profiles/{held['p']}/runs/{held['r']}", wanted)
    return visit.page("findings_school.html", school=held["n"], until=ticks.text(held["until"]), **found)


def _reader(held: Mapping[str, Any]) -> Principal:
    """Who asks for somebody that has a link: nobody by name, who may look, and is shown the one school alone."""
    return Principal(
        tenant=held["t"],
        tenant_id=held["id"],
        kind="delegated",
        grants=frozenset({ACCESS}),
        user_id=None,
        user_name=None,
        client="console",
        roles=frozenset({Role.VIEWER.value}),
    )


async def _page(visit: Visit, run: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """A page of findings, each with the line that it stands in where the file is kept still."""
    filters = {name: wanted.get(name) or "" for name in FILTERS}
    found = await visit.ask("GET", f"{run}/findings", {**filters, "after": wanted.get("after"), "limit": SHOWN})
    places: dict[str, list[int]] = {}
    for one in found.value:
        if one.line is not None and one.line not in places.setdefault(one.file, []):
            places[one.file].append(one.line)
    quoted = await asyncio.gather(*(_quoted(visit, run, file, lines) for file, lines in places.items()))
    lines = {(one.file, one.line): one for some in quoted for one in some}
    following = found.next_link.rpartition("after=")[2] if found.next_link else None
    return {"found": found.value, "lines": lines, "wanted": filters, "next": following}


async def _quoted(visit: Visit, run: str, file: str, lines: Sequence[int]) -> Sequence[Any]:
    try:
        wanted = ",".join(map(str, lines[:20]))
        return (await visit.ask("GET", f"{run}/lines", {"file": file, "line": wanted})).value  # type: ignore[no-any-return]
    except NotFound:
        return ()


async def _rows(visit: Visit, wanted: Mapping[str, Any]) -> AsyncIterator[str]:
    """All findings as CSV."""
    after: str | None = None
    yield "\ufeff" + line(COLUMNS)
    while True:
        found = await visit.ask("GET", f"{here(visit)}/findings", {**wanted, "after": after, "limit": _PART})
        if found.value:
            yield "".join(line([getattr(one, name) for name in COLUMNS]) for one in found.value)
        if not found.next_link:
            return
        after = found.next_link.rpartition("after=")[2]


def line(values: Sequence[Any]) -> str:
    """A line of CSV; what a spreadsheet would take for a formula begins with an apostrophe."""
    sink = io.StringIO()
    texts = ["" if value is None else str(value) for value in values]
    csv.writer(sink).writerow([f"'{text}" if text.startswith(_FORMULAS) else text for text in texts])
    return sink.getvalue()


def _safe(text: str) -> str:
    return "".join(letter for letter in text if letter.isascii() and (letter.isalnum() or letter == "-"))[:40]
