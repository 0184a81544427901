"""`schoolsync directory`, `whoami`, `system` and `api`: what a server knows, and any operation of it by its path."""

from __future__ import annotations

import json
import sys
from itertools import islice
from pathlib import Path
from urllib.parse import quote

from schoolsync.cli.answers import tell
from schoolsync.cli.remote import ROOT, Json, Remote, Whereto
from schoolsync.errors import UsageError

PAGE_MAX = 500


def directory(
    whereto: Whereto, kind: str, which: str | None, *, limit: int, restore: bool = False, **wanted: str | None
) -> int:
    """List schools, classes or people of the directory, or show (and restore) the one that is named."""
    remote = Remote(whereto)
    if restore and which is None:
        raise UsageError("--restore needs the ID of what is to be taken out of the bin: --bin lists what lies there.")
    if which is None:
        for one in islice(remote.of_tenant(f"/directory/{kind}", limit=min(limit, PAGE_MAX), **wanted), limit):
            tell(_entry(one), **one)
        return 0
    path = f"/directory/{kind}/{quote(which, safe='', errors='replace')}"
    found = remote.of_the_tenant("POST", f"{path}/restore") if restore else remote.of_the_tenant("GET", path)
    lines = [_entry(found["object"])]
    lines += [f"    {name}: {value}" for name, value in found["object"]["details"].items()]
    lines += [f"    {count:,} {name}" for name, count in found["counts"].items()]
    lines += [f"    in {_entry(one)}" for one in (*found["schools"], *found["classes"])]
    tell(*lines, **found)
    return 0


def whoami(whereto: Whereto) -> int:
    """Say as whom the server knows who asks, and what that caller may do."""
    me = Remote(whereto).me()
    tell(
        f"{me['name'] or me['id'] or 'nobody'} in tenant {me['tenant']} ({me['kind']})",
        f"roles: {', '.join(me['roles']) or 'none'}",
        f"may: {', '.join(me['acts']) or 'nothing'}",
        **me,
    )
    return 0


def system(whereto: Whereto) -> int:
    """Say how the installation is and how its profiles are, in numbers."""
    remote = Remote(whereto)
    found, counted = remote.of_the_tenant("GET", "/system"), remote.of_the_tenant("GET", "/overview")
    statuses = ", ".join(f"{count:,} {name}" for name, count in counted["statuses"].items() if count)
    tell(
        f"schoolsync {found['version']}, {found['database']}, files in: {found['storage']}, "
        f"{found['workers']:,} workers",
        f"runs: {found['atWork']:,} at work, {found['queued']:,} wait for a worker, "
        f"{found['held']:,} wait for a person, {found['paused']:,} paused",
        f"profiles: {counted['profiles']:,}, {counted['attention']:,} need a person now"
        + (f" ({statuses})" if statuses else ""),
        **found,
        overview=counted,
    )
    return 0


def audit(whereto: Whereto, *, limit: int, **wanted: str | None) -> int:
    """List the newest entries of the tenant's audit log."""
    for one in islice(Remote(whereto).of_tenant("/audit", limit=min(limit, PAGE_MAX), **wanted), limit):
        members = f" ({one['members']})" if one["members"] else ""
        tell(
            f"{one['number']}  {one['at'][:19]}Z  {one['actor']}  {one['operation']}  {one['object']}"
            f"  {one['outcome']}{members}",
            **one,
        )
    return 0


def api(whereto: Whereto, method: str, path: str, body: Path | None) -> int:
    """Ask any operation and print what it answers, as it came."""
    if not (path.isascii() and path.isprintable()) or " " in path:
        raise UsageError("PATH must be written as in an address: %20 for a space, and so on.")
    where = path if path.startswith("/") else f"{ROOT}/{path}"
    answer = Remote(whereto).text(method.upper(), where, None if body is None else _body(body))
    if answer:
        print(answer.rstrip("\n"))
    return 0


def _body(path: Path) -> Json:
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text("utf-8")
    except OSError as problem:
        raise UsageError(f"{path} cannot be read: {problem.strerror}. Look at the path.") from problem
    except UnicodeDecodeError as problem:
        raise UsageError(f"{path} is not UTF-8 text: save it as that.") from problem
    try:
        found = json.loads(text)
    except ValueError as problem:
        raise UsageError(f"{path} is not JSON: {problem}.") from problem
    if not isinstance(found, dict):
        raise UsageError(f"{path} must hold one JSON object.")
    return found


def _entry(one: Json) -> str:
    beside = [one["role"], one["signIn"], None if one["active"] else "not in its source any more"]
    if one["binned"] is not None:
        beside.append(f"in the bin since {one['binned'][:10]}")
    said = ", ".join(each for each in beside if each)
    return f"{one['id']}  {one['kind']}  {one['sourceId'] or '-'}  {one['name'] or '-'}" + (
        f"  ({said})" if said else ""
    )
