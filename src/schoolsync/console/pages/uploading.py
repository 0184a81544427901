"""Files from a browser: they go into a preview, are checked and planned, and change nothing before a person says so.

The browser sends each file straight to the preview's signed container (`uploads.blobs`), so the console holds none.
"""

from __future__ import annotations

import json

from schoolsync.console.pages.profiles import place
from schoolsync.console.visit import Page, Visit
from schoolsync.errors import Refused


async def form(visit: Visit) -> Page:
    """GET profiles/{profile}/upload."""
    visit.need("plan")
    return visit.page("upload.html", profile=await visit.ask("GET", place(visit)))


async def begin(visit: Visit) -> Page:
    """POST profiles/{profile}/upload: for the script of the page, which shows what is refused."""
    try:
        opened = await visit.ask("POST", f"{place(visit)}/previews")
    except Refused as problem:
        failure = visit.arrival.failure(problem)
        told = {"message": visit.said(str(failure.body["error"]["message"]))}
        return Page(body=json.dumps(told), status=failure.status, media="application/json")
    return Page(body=json.dumps({"preview": opened.id, "url": opened.upload_url}), media="application/json")


async def check(visit: Visit) -> Page:
    """POST profiles/{profile}/upload/check."""
    run = await visit.ask("POST", f"{place(visit)}/previews/{visit.form.get('preview', '')[:40]}/start")
    return visit.go(f"/{place(visit)}/runs/{run.id}", said="checking")
