"""Files of a roster on their way to a server, and `schoolsync upload`: send, start and watch in one go.

Unlike `schoolsync sync` there is no preview: what is sent waits in the profile's upload, as Graph's clients leave it,
and is synchronized by `--start`, by the profile's schedule, or when somebody starts it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

from schoolsync.cli.progress import Progress
from schoolsync.cli.remote import Json, Refused, Remote, Whereto
from schoolsync.cli.roster_files import NoRosterError, files, refuse
from schoolsync.cli.words import size
from schoolsync.errors import UsageError


def send(remote: Remote, url: str, roster: Sequence[tuple[str, Path]], progress: Progress) -> dict[str, int]:
    """Send the files of a roster into a container; their sizes by name."""
    sizes = {name: _size(place) for name, place in roster}
    total, done, began = sum(sizes.values()), 0, time.monotonic()

    def sent(count: int) -> None:
        nonlocal done
        done += count
        progress.sending(name, done=done, total=total, seconds=time.monotonic() - began)

    for name, place in roster:
        remote.put(url, name, place, sent=sent)
    progress.over()
    return sizes


def upload(whereto: Whereto, path: Path, *, start: bool, follow: bool, as_json: bool) -> int:
    """Put a roster into a profile's upload; start it and watch it when that is asked for."""
    if follow and not start:
        raise UsageError("--wait goes with --start: what is not started has no end.")
    remote = Remote(whereto)
    try:
        roster = files(path)
    except NoRosterError as problem:
        return refuse(str(problem))
    url = str(remote.graph("GET", "/uploadUrl")["value"])
    sizes = send(remote, url, roster, Progress(quiet=as_json))
    if not start:
        if as_json:
            print(json.dumps({"uploaded": sizes, "started": None}))
        else:
            print(
                f"Uploaded {len(sizes)} file(s), {size(sum(sizes.values()))}. Nothing is started: type it again with "
                "--start, or leave it to the profile's schedule."
            )
        return 0
    return _begin(remote, sizes, follow=follow, as_json=as_json)


def start(whereto: Whereto, *, follow: bool, as_json: bool) -> int:
    """Start a profile with the files that were uploaded; watch the run when that is asked for."""
    return _begin(Remote(whereto), None, follow=follow, as_json=as_json)


def _begin(remote: Remote, sizes: dict[str, int] | None, *, follow: bool, as_json: bool) -> int:
    started = _start(remote)
    if not started["accepted"]:
        _tell_refusal(started, sizes, as_json)
        return 1
    from schoolsync.cli import plans

    run = started["run"]
    return plans.follow_run(remote, run, as_json) if follow else plans.tell_begun(remote, run, as_json)


def _start(remote: Remote) -> Json:
    try:
        return remote.post("/runs")
    except Refused as problem:
        if isinstance(problem.body, dict) and "verification" in problem.body:
            return problem.body
        raise


def _tell_refusal(started: Json, sizes: dict[str, int] | None, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"uploaded": sizes, "started": started}))
        return
    print("Not started: the files do not allow it. Correct them and upload again.")
    for one in started["verification"]:
        print(f"{one['type']}: {one['fileName']}: {one['description']}")


def _size(place: Path) -> int:
    try:
        return place.stat().st_size
    except OSError as problem:
        raise UsageError(
            f"{place} cannot be read: {problem.strerror or 'the disk does not answer'}. Look at the path."
        ) from problem
