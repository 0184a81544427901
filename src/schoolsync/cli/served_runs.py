"""`schoolsync runs`, `cancel`, `restart` and `freshness` where a server is asked: they say what they say beside it."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from schoolsync.cli.answers import tell
from schoolsync.cli.progress import Progress
from schoolsync.cli.remote import Json, Remote, Whereto, wait
from schoolsync.cli.words import duration
from schoolsync.errors import UsageError

PAGE_MAX = 500


def show(whereto: Whereto, *, limit: int, follow: bool, as_json: bool) -> int:
    """List the newest runs, newest first; with `follow` the newest one, once it has ended or waits."""
    remote = Remote(whereto)
    if not follow:
        for shown, one in enumerate(remote.every("/runs", limit=min(limit, PAGE_MAX))):
            if shown == limit:
                break
            _tell(one)
        return 0
    newest = remote.get("/runs", limit=1)["value"]
    if not newest:
        return 0
    progress, said = Progress(quiet=as_json), ""

    def look(seen: Json) -> None:
        nonlocal said
        progress(seen)
        text = json.dumps(_plain(seen))
        if as_json and text != said:
            print(text, flush=True)
            said = text

    ended = wait(remote, newest[0]["id"], look)
    if not as_json:
        _tell(ended)
    return 0


def cancel(whereto: Whereto, *, run: str | None, why: str | None) -> int:
    """End the open run, or the one that is named."""
    remote = Remote(whereto)
    if run is None:
        newest = remote.get("/runs", limit=1)["value"]
        if not newest or newest[0]["ended"]:
            raise UsageError("No run of the profile is open: there is nothing to cancel.")
        run = str(newest[0]["id"])
    if not (run.isascii() and run.replace("-", "").isalnum()):
        raise UsageError("--run must be the number or the id of a run; `schoolsync runs` lists them.")
    remote.post(f"/runs/{run}/cancel", {"why": why})
    _tell(remote.get(f"/runs/{run}"))
    return 0


def restart(whereto: Whereto, *, scope: str, school: str | None, kind: str | None) -> int:
    """Try again now, a school or a kind alone where one is named."""
    remote = Remote(whereto)
    remote.post("/restart", {"scope": scope, "school": school, "kind": kind})
    _tell(remote.get("/runs", limit=1)["value"][0])
    return 0


def freshness(whereto: Whereto) -> int:
    """Say of every profile how old its data is."""
    remote = Remote(whereto)
    tenant, now = remote.me()["tenant"], datetime.now(UTC)
    for one in remote.of_tenant("/profiles", limit=PAGE_MAX):
        last, due = one["lastGood"], one["nextDue"]
        age = None if last is None else max(0.0, (now - datetime.fromisoformat(last)).total_seconds())
        old = "never" if age is None else f"{duration(age)} ago"
        tell(
            f"{tenant}  {one['id']}  last good {old}{'' if due is None else f', next due {due}'}  {one['displayName']}",
            tenant=tenant,
            profile=one["id"],
            displayName=one["displayName"],
            lastGood=last,
            ageSeconds=age,
            nextDue=due,
        )
    return 0


def _tell(run: Json) -> None:
    done = run["progress"]
    parts = [f"run {run['number']}", run["state"] + (f" ({run['heldFor']})" if run["heldFor"] else ""), run["id"]]
    if done["rowsTotal"]:
        parts.append(f"{done['rowsDone']:,} of {done['rowsTotal']:,} rows")
    if done["rate"] is not None and not run["ended"]:
        parts.append(f"{done['rate']:,.0f} rows/s")
    if done["secondsLeft"] is not None:
        parts.append(f"{duration(done['secondsLeft'])} left")
    elif done["stageSecondsLeft"] is not None:
        parts.append(f"{duration(done['stageSecondsLeft'])} left in this stage")
    if run["errorCount"]:
        parts.append(f"{run['errorCount']:,} errors")
    if run["approvedBy"]:
        parts.append(f"approved by {', '.join(run['approvedBy'])}")
    if run["message"]:
        parts.append(run["message"])
    tell("  ".join(parts), **_plain(run))


def _plain(run: Json) -> Json:
    """The run by the names that it has without a server, too."""
    same = ("number", "state", "stage", "heldFor", "cause", "asked", "ended", "approvedBy", "errorCount", "message")
    return {"run": run["id"], **{name: run[name] for name in same}, **run["progress"]}
