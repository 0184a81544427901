"""What is wrong with the files of a run: every finding, or counted by rule, file and column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from schoolsync.api import shapes
from schoolsync.api.call import Answer, Call
from schoolsync.api.resources.runs import find
from schoolsync.errors import Invalid, NotFound
from schoolsync.runs.places import REPORT, run_folder
from schoolsync.runs.quoting import LINES_MAX, QuotedLine
from schoolsync.store.objects import objects_of


def list_findings(call: Call) -> Answer:
    """GET findings."""
    filters = {
        name: call.query[name] for name in ("rule", "severity", "file", "column", "school") if name in call.query
    }
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


def list_schools(call: Call) -> Answer:
    """GET findings/schools."""
    found = call.services.readers.ask("finding_schools", tuple[dict[str, Any], ...], folder=folder(call))
    names = {one["id"]: one["name"] for one in _report(call).statistics["schools"]} if found else {}
    return Answer(
        body=shapes.FindingSchools(
            value=tuple(shapes.SchoolFindings(name=names.get(one["school"]), **one) for one in found)
        )
    )


def list_lines(call: Call) -> Answer:
    """GET lines."""
    run, uploads = find(call), call.services.uploads
    file, wanted = call.query.get("file"), call.query.get("line", ())
    if not file:
        raise Invalid("The parameter 'file' is needed: whose lines are to be shown.", target="file")
    if not all(one.isascii() and one.isdecimal() and len(one) < 12 for one in wanted) or len(wanted) > LINES_MAX:
        raise Invalid(f"line must be at most {LINES_MAX} numbers, such as 2,17.", target="line")
    if run.upload is None:
        raise NotFound("This run has read no upload.")
    with call.services.control.read() as connection:
        files = uploads.files(connection, call.tenant, run.home, run.upload)
    try:
        named = [(one.name, str(uploads.objects.fetch(one.path))) for one in files]
    except FileNotFoundError:
        raise NotFound("The files of this run are not kept any more.") from None
    found = call.services.readers.ask(
        "quoted_lines", tuple[QuotedLine, ...], files=named, file=file, lines=[int(one) for one in wanted]
    )
    return Answer(body=shapes.QuotedLines(value=found))


def get_report(call: Call) -> Answer:
    """GET report."""
    return Answer(body=_report(call))


def _report(call: Call) -> shapes.Report:
    try:
        content = objects_of(call.services.settings).fetch(Path(folder(call)) / REPORT).read_bytes()
    except FileNotFoundError:
        raise NotFound("This run has no report: its files were not checked, or it is not kept any more.") from None
    return msgspec.json.decode(content, type=shapes.Report)


def folder(call: Call) -> str:
    """Where the run that the path names keeps its files. Raises NotFound."""
    run = find(call)
    return str(run_folder(call.services.settings, call.principal.tenant_id, run.home, run.id))


def _after(call: Call) -> int:
    after = call.position()
    return -1 if after is None else after
