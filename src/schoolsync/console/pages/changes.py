"""The change history on the Activity page: which objects were changed, by which run or by whose hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from schoolsync.console.pages.findings import line
from schoolsync.console.visit import Page, Visit
from schoolsync.errors import Invalid

SHOWN = 50
PROFILES = 50
FILTERS = ("by", "profile", "kind", "op", "object", "since", "until")
KINDS = ("school", "section", "student", "teacher", "guardians", "studentEnrollment", "teacherRoster")
OPS = ("create", "update", "remove", "restore", "adopt", "link", "unlink", "rekey", "expire", "bin", "unbin", "purge")
COLUMNS = (
    *("at", "by", "profile", "run", "actor", "op", "kind", "object_id", "source_id", "name"),
    *("member_id", "member_source_id", "member_name"),
)
_PART = 500


async def listed(visit: Visit) -> Page:
    """GET activity/changes."""
    wanted, problem, found = _wanted(visit), None, None
    choice = await visit.ask("GET", "profiles", {"limit": PROFILES, "search": visit.query.get("among")})
    profiles = choice.value
    try:
        found = await visit.ask("GET", "changes", {**wanted, "after": visit.query.get("after"), "limit": SHOWN})
    except Invalid as refused:
        problem = refused
    return visit.page(
        "changes.html",
        status=200 if problem is None else 400,
        problem=problem,
        changes=found.value if found else (),
        next=found.next_link.rpartition("after=")[2] if found and found.next_link else None,
        wanted=wanted,
        profiles=profiles,
        many=choice.next_link is not None,
        names={one.id: one.display_name for one in profiles},
        kinds=KINDS,
        ops=OPS,
    )


async def export(visit: Visit) -> Page:
    """GET activity/changes.csv."""
    wanted = _wanted(visit)
    await visit.ask("GET", "changes", {**wanted, "limit": 1})  # refused before the answer begins
    headers = (("Content-Disposition", 'attachment; filename="changes.csv"'),)
    return Page(media="text/csv; charset=utf-8", stream=_rows(visit, wanted), headers=headers)


def _wanted(visit: Visit) -> dict[str, str]:
    return {name: visit.query.get(name, "").strip() for name in FILTERS}


async def _rows(visit: Visit, wanted: dict[str, str]) -> AsyncIterator[str]:
    after: str | None = None
    yield "\ufeff" + line([*COLUMNS, "properties", "rule", "file", "line"])
    while True:
        found = await visit.ask("GET", "changes", {**wanted, "after": after, "limit": _PART})
        yield "".join(line([*(getattr(one, name) for name in COLUMNS), *_more(one)]) for one in found.value)
        if not found.next_link:
            return
        after = found.next_link.rpartition("after=")[2]


def _more(one: Any) -> tuple[Any, ...]:  # a change; values of any kind
    properties = " ".join(change.field for change in one.changes) or one.members
    return properties, one.rule, one.file, one.line
