"""`schoolsync errors`, `findings` and `report`: what is wrong with a roster, as a server tells it."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

from schoolsync.cli.answers import tell
from schoolsync.cli.remote import Json, Remote, Whereto
from schoolsync.errors import UsageError

PAGE_MAX = 500
BY = ("cause", "school")


def run(whereto: Whereto, which: str, *, by: str | None, quote: bool, limit: int, **wanted: str | None) -> int:
    """List the findings of a run one by one, or counted by cause or by school; with `quote` the lines they are in."""
    remote = Remote(whereto)
    if by is not None and (quote or any(wanted.values())):
        raise UsageError("What is counted with --by is counted whole: leave the other options out.")
    if by == "school":
        for one in remote.get(f"/runs/{_word(which)}/findings/schools")["value"]:
            name = one["name"] or one["school"] or "of no school that is known"
            tell(f"errors: {one['errors']:,}, warnings: {one['warnings']:,}  {name}", **one)
        return 0
    if by == "cause":
        for one in remote.get(f"/runs/{_word(which)}/findings/groups")["value"]:
            tell(f"{one['count']:,} × {_line(one)}", **one)
        return 0
    for one in islice(remote.every(f"/runs/{_word(which)}/findings", limit=min(limit, PAGE_MAX), **wanted), limit):
        lines = [_line(one)]
        if quote and one["line"] is not None:
            quoted = remote.get(f"/runs/{_word(which)}/lines", file=one["file"], line=one["line"])["value"]
            lines += [f"    {json.dumps(each, ensure_ascii=False)}" for each in quoted]
            one["quoted"] = quoted
        tell(*lines, **one)
    return 0


def errors(whereto: Whereto, *, by: str | None, limit: int, **wanted: str | None) -> int:
    """List the records that could not be synchronized one by one, or counted by kind and reason."""
    remote = Remote(whereto)
    if by is not None:
        if any(wanted.values()):
            raise UsageError("What is counted with --by is counted whole: leave the other options out.")
        for one in remote.get("/errors/causes")["value"]:
            tell(f"{one['count']:,} × {one['entryType']}: {one['errorMessage']} ({one['errorCode']})", **one)
        return 0
    for one in islice(remote.every("/errors", limit=min(limit, PAGE_MAX), **wanted), limit):
        whose = " in ".join(filter(None, (one["reportableIdentifier"], one["joiningValue"])))
        tell(f"{one['entryType']} {whose}: {one['errorMessage']} ({one['errorCode']})", **one)
    return 0


def report(whereto: Whereto, which: str, output: Path | None) -> int:
    """Print the report of a run as JSON, or write it to a file."""
    found = json.dumps(Remote(whereto).get(f"/runs/{_word(which)}/report"), indent=2, ensure_ascii=False)
    if output is None:
        print(found)
        return 0
    try:
        output.write_text(found + "\n", "utf-8")
    except OSError as problem:
        raise UsageError(f"{output} cannot be written: {problem.strerror}.") from problem
    tell(f"The report is in {output}.", output=str(output))
    return 0


def _line(one: Json) -> str:
    place = one["file"] + (f" line {one['line']}" if one["line"] is not None else "")
    place += f", {one['column']}" if one["column"] else ""
    hint = f" {one['hint']}" if one["hint"] else ""
    return f"{one['severity']}  {place}: {one['message']}{hint} ({one['rule']})"


def _word(run: str) -> str:
    if not (run.isascii() and run.replace("-", "").isalnum()):
        raise UsageError("RUN must be the number or the id of a run; `schoolsync runs` lists them.")
    return run
