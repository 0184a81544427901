"""`schoolsync changes`: what was changed in the directory, by which run or by whose hand."""

from __future__ import annotations

import json
from itertools import islice
from typing import Any

from schoolsync.cli.remote import Remote, Whereto

PAGE_MAX = 500


def run(whereto: Whereto, *, limit: int, as_json: bool, **wanted: str | None) -> int:
    """Print changes, the newest first; 0 when done."""
    remote = Remote(whereto)
    found = remote.of_tenant("/changes", profile=remote.profile or None, limit=min(limit, PAGE_MAX), **wanted)
    for one in islice(found, limit):
        print(json.dumps(one) if as_json else _line(one))
    return 0


def _line(one: dict[str, Any]) -> str:  # a change as JSON: values of any type
    who = _called(one["name"], one["sourceId"], one["objectId"])
    if one["memberId"]:
        who = f"{_called(one['memberName'], one['memberSourceId'], one['memberId'])} in {who}"
    if one["by"] == "run":
        by = f"run {one['run']} of profile {one['profile']}"
        fields = ", ".join(change["field"] for change in one["changes"]) if one["op"] not in ("create", "link") else ""
    else:
        by = "by hand" + (f" of {one['actor']}" if one["actor"] else "")
        fields = one["members"]
    return f"{one['at'][:19]}Z  {one['op']} {one['kind']} {who}: {by}" + (f" ({fields})" if fields else "")


def _called(name: str | None, source_id: str | None, object_id: str | None) -> str:
    return f"{name or '-'} ({source_id or object_id or '-'})"
