"""What is wrong with the files of a run: every finding, or counted by rule, file and column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from schoolsync.api import shapes
from schoolsync.api.call import Answer, Call
from schoolsync.api.resources.runs import find
from schoolsync.errors import NotFound
from schoolsync.runs.places import REPORT, run_folder
from schoolsync.store.objects import objects_of


def list_findings(call: Call) -> Answer:
    """GET findings."""
    filters = {name: call.query[name] for name in ("rule", "severity", "file", "column") if name in call.query}
    found = call.services.readers.ask(
        "findings", dict[str, Any], folder=folder(call), limit=call.limit, after=_after(call), **filters
    )
    return Answer(
        body=shapes.Page(
            value=msgspec.convert(found["findings"], tuple[shapes.Finding, ...]),
            next_link=None if found["last"] is None else call.next_link(found["last"]),
        )
    )


def list_groups(call: Call) -> Answer:
    """GET findings/groups."""
    found = call.services.readers.ask("finding_groups", tuple[shapes.FindingGroup, ...], folder=folder(call))
    return Answer(body=shapes.FindingGroups(value=found))


def get_report(call: Call) -> Answer:
    """GET report."""
    try:
        content = objects_of(call.services.settings).fetch(Path(folder(call)) / REPORT).read_bytes()
    except FileNotFoundError:
        raise NotFound("This run has no report: its files were not checked, or it is not kept any more.") from None
    return Answer(body=msgspec.json.decode(content, type=shapes.Report))


def folder(call: Call) -> str:
    """Where the run that the path names keeps its files. Raises NotFound."""
    run = find(call)
    return str(run_folder(call.services.settings, call.principal.tenant_id, run.home, run.id))


def _after(call: Call) -> int:
    after = call.position()
    return -1 if after is None else after
