"""Plans: what a run would change or has changed, why it waits, and a person's yes or no to it or to a part of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from schoolsync.api.routes import STEP_KINDS, STEP_OPS
from schoolsync.console.pages.findings import line
from schoolsync.console.pages.profiles import place
from schoolsync.console.pages.runs import here
from schoolsync.console.visit import Page, Visit
from schoolsync.errors import Invalid, NotFound

STEPS = 50
SCHOOLS = 50
COLUMNS = (
    *("number", "op", "kind", "name", "source_id", "object_id", "member_name", "member_source_id", "member_id"),
    *("school", "rule", "file", "line", "held", "part"),
    *("field", "before", "after"),
)
_PART = 500
FILTERS = ("kind", "op", "school", "search", "object", "part")


@dataclass(slots=True)
class School:
    """What a plan does at one school."""

    id: str | None  # SIS ID; None: what belongs to no single school
    name: str | None
    counts: dict[str, dict[str, int]] = field(default_factory=dict)  # kind -> operation -> how many

    @property
    def total(self) -> int:
        return sum(sum(ops.values()) for ops in self.counts.values())


async def show(visit: Visit) -> Page:
    """GET profiles/{profile}/runs/{run}/plan."""
    if "hx-request" in visit.arrival.headers:
        return visit.page("plan_steps.html", **await _steps(visit, await visit.ask("GET", f"{here(visit)}/plan")))
    profile, run, plan = await asyncio.gather(
        visit.ask("GET", place(visit)), visit.ask("GET", here(visit)), visit.ask("GET", f"{here(visit)}/plan")
    )
    if plan.plan is None:
        raise NotFound("This run has no plan: it has not come so far, or nothing was to be planned.")
    found = await visit.ask("GET", f"{here(visit)}/plan/schools")
    schools = _by_school(found.schools)
    first = _number(visit.query.get("school_page")) * SCHOOLS
    steps = await _steps(visit, plan) if visit.may("read.people") else {"steps": (), "next": None, "wanted": {}}
    return visit.page(
        "plan.html",
        profile=profile,
        run=run,
        schools=schools[first : first + SCHOOLS],
        schools_more=first // SCHOOLS + 1 if len(schools) > first + SCHOOLS else None,
        schools_complete=found.complete,
        by_kind=_by_kind(found.schools),
        open=run.ended is None,
        decidable=run.state == "held" and run.held_for == "guard",
        kinds=STEP_KINDS,
        ops=STEP_OPS,
        **{**steps, "plan": plan},
    )


async def step(visit: Visit) -> Page:
    """GET profiles/{profile}/runs/{run}/plan/steps/{step}."""
    profile, run, plan, found = await asyncio.gather(
        visit.ask("GET", place(visit)),
        visit.ask("GET", here(visit)),
        visit.ask("GET", f"{here(visit)}/plan"),
        visit.ask("GET", f"{here(visit)}/plan/steps/{visit.keys['step']}"),
    )
    decidable = run.state == "held" and run.held_for == "guard"
    return visit.page("plan_step.html", profile=profile, run=run, plan=plan, step=found, decidable=decidable)


async def download(visit: Visit) -> Page:
    """GET profiles/{profile}/runs/{run}/plan.csv."""
    wanted = {name: visit.query.get(name, "") for name in FILTERS}
    await visit.ask("GET", f"{here(visit)}/plan/steps", {**wanted, "limit": 1})  # refused before the answer begins
    headers = (("Content-Disposition", 'attachment; filename="changes.csv"'),)
    return Page(media="text/csv; charset=utf-8", stream=_rows(visit, wanted), headers=headers)


async def decide(visit: Visit) -> Page:
    """POST profiles/{profile}/runs/{run}/plan."""
    form, plan = visit.form, visit.form.get("plan", "")
    what, why = form.get("what", ""), form.get("why", "").strip() or None
    objects = [form["object"]] if form.get("object") else []
    part = {"kind": form.get("kind") or None, "school": form.get("school") or None, "objects": objects}
    if what == "approve":
        done = await visit.ask("POST", f"{here(visit)}/approvals", body={"plan": plan, "why": why, **part})
        if done.released:
            return visit.go(f"/{here(visit)}", said="approved")
        return visit.go(f"/{here(visit)}/plan", said="second-person" if done.persons_missing else "approved-part")
    if what == "apply":
        await visit.ask("POST", f"{here(visit)}/apply", body={"plan": plan})
        return visit.go(f"/{here(visit)}", said="approved")
    if what == "discard":
        await visit.ask("POST", f"{here(visit)}/discard", body={"plan": plan, "why": why, **part})
        if any(part.values()):
            return visit.go(f"/{here(visit)}/plan", said="discarded-part")
        return visit.go(f"/{here(visit)}", said="discarded")
    raise Invalid("There is no such act.", target="what")


async def apply_preview(visit: Visit) -> Page:
    """POST profiles/{profile}/previews/{run}/apply."""
    path = f"{place(visit)}/previews/{visit.keys['run']}/apply"
    begun = await visit.ask("POST", path, body={"plan": visit.form.get("plan", "")})
    return visit.go(f"/{place(visit)}/runs/{begun.run}", said="begun")


async def _steps(visit: Visit, plan: Any) -> Mapping[str, Any]:  # plan: a shape of our own API
    """A page of the steps that the filters pick."""
    wanted = {name: visit.query.get(name, "") for name in FILTERS}
    found = await visit.ask(
        "GET", f"{here(visit)}/plan/steps", {**wanted, "after": visit.query.get("after"), "limit": STEPS}
    )
    following = found.value[-1].number if found.next_link else None
    return {"steps": found.value, "next": following, "wanted": wanted, "plan": plan}


async def _rows(visit: Visit, wanted: dict[str, str]) -> AsyncIterator[str]:
    """The steps that the filters pick, one line for each property that changes."""
    after: int | None = None
    yield "\ufeff" + line(COLUMNS)
    while True:
        found = await visit.ask("GET", f"{here(visit)}/plan/steps", {**wanted, "after": after, "limit": _PART})
        for one in found.value:
            said = [getattr(one, name) for name in COLUMNS[:-3]]
            changed = [(each.field, each.before, each.after) for each in one.changes] or [(None, None, None)]
            yield "".join(line([*said, *each]) for each in changed)
        if not found.next_link:
            return
        after = found.value[-1].number


def _by_school(counted: Iterable[Any]) -> list[School]:
    """Those with most steps first; what belongs to no single school last."""
    found: dict[str | None, School] = {}
    for one in counted:
        school = found.setdefault(one.school, School(one.school, one.name))
        ops = school.counts.setdefault(one.kind, {})
        ops[one.op] = ops.get(one.op, 0) + one.count
    return sorted(found.values(), key=lambda one: (one.id is None, -one.total, one.id or ""))


def _by_kind(counted: Iterable[Any]) -> Mapping[str, Mapping[str, int]]:
    """kind -> operation -> how many, at all schools that are listed."""
    found: dict[str, dict[str, int]] = {}
    for one in counted:
        ops = found.setdefault(one.kind, {})
        ops[one.op] = ops.get(one.op, 0) + one.count
    return found


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 6 else 0
