"""`schoolsync notices …`: where the tenant's changes of state are told, a test of it, and what has been told."""

from __future__ import annotations

import os
import time

from schoolsync.cli.answers import tell
from schoolsync.cli.remote import Json, Remote, Whereto
from schoolsync.errors import UsageError

SECRET = "SCHOOLSYNC_NOTICE_SECRET"  # noqa: S105  the name of a variable
PATIENCE = 60.0
"""Seconds that a test is watched."""


def show(whereto: Whereto) -> int:
    """Say where notices go."""
    _tell(Remote(whereto).of_the_tenant("GET", "/notices"))
    return 0


def change(whereto: Whereto, wanted: Json) -> int:
    """Change where notices go."""
    secret = os.environ.get(SECRET, "").strip()
    if secret:
        wanted = {**wanted, "webhookSecret": secret}
    if not wanted:
        raise UsageError("Say what is to be otherwise: --webhook-url, --mail-to, --event, --stale-hours or another.")
    _tell(Remote(whereto).of_the_tenant("PATCH", "/notices", wanted))
    return 0


def test(whereto: Whereto) -> int:
    """Send a test to every receiver and say what becomes of it; 0 all arrived, 1 something did not."""
    remote = Remote(whereto)
    newest = remote.of_the_tenant("POST", "/notices/test")["value"]
    mine = {one["id"] for one in newest if one["profile"] is None and one["state"] == "waiting"}
    deadline = time.monotonic() + PATIENCE
    while True:
        found = [one for one in remote.of_the_tenant("GET", "/notices/sent")["value"] if one["id"] in mine]
        if all(one["state"] != "waiting" for one in found) or time.monotonic() > deadline:
            break
        time.sleep(0.3)
    for one in found:
        _tell_sent(one)
    return 0 if found and all(one["state"] == "sent" for one in found) else 1


def sent(whereto: Whereto, limit: int) -> int:
    """List the newest notices."""
    for one in Remote(whereto).of_the_tenant("GET", f"/notices/sent?limit={limit}")["value"]:
        _tell_sent(one)
    return 0


def _tell(found: Json) -> None:
    secret = found["webhookSecret"]
    hours = found["staleHours"]
    after = found["installationStaleHours"] if hours is None else hours
    lines = [
        f"Webhook:  {found['webhookUrl'] or 'none'}",
        f"Mail to:  {', '.join(found['mailTo']) or 'nobody'}",
        f"Told of:  {', '.join(found['events'])}",
        f"Stale:    {f'after {after} hours without a good run' if after else 'never'}",
    ]
    if secret is not None:
        lines += [
            f"Secret:   {secret}",
            "It is shown this once: give it to the receiver, which checks the calls with it.",
        ]
    tell(*lines, **found)


def _tell_sent(one: Json) -> None:
    about = one["about"] + (f" {one['profile']}" if one["profile"] else "")
    tries = f"{one['tries']} {'try' if one['tries'] == 1 else 'tries'}"
    problem = f": {one['problem']}" if one["problem"] else ""
    tell(f"{one['made'][:19]}Z  {one['channel']:8} {one['state']:9} {about} ({tries}){problem}", **one)
