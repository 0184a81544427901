"""Plans: what a run would change, what holds it, and a person's yes or no to it.

Who may do what is asked by `runs.plans` as well, so that no face can forget to.
"""

from __future__ import annotations

from dataclasses import replace

from schoolsync.api import shapes
from schoolsync.api.call import Answer, Call, moment
from schoolsync.api.resources.runs import find, named, shape
from schoolsync.errors import Invalid, NotFound
from schoolsync.plan.policy import CleanUp
from schoolsync.runs.approvals import Approval
from schoolsync.runs.plan_question import Question
from schoolsync.runs.selections import Selection


def get_plan(call: Call) -> Answer:
    """GET plan."""
    found = call.services.plans.summary(call.principal, *place(call))
    return Answer(
        body=shapes.Plan(
            run=found.run,
            plan=found.plan,
            state=found.state,
            held_for=found.held_for,
            message=found.message,
            steps={kind: dict(ops) for kind, ops in found.steps.items()},
            verdicts=found.verdicts,
            verdict_count=found.verdict_count,
            deferred=found.deferred,
            notes=found.notes,
            approvals=tuple(map(_approval, found.approvals)),
            persons_needed=found.persons_needed,
            rows=found.rows,
            rows_applied=found.applied.rows,
            batches_applied=found.applied.batches,
            undoable=found.undoable,
        )
    )


def get_schools(call: Call) -> Answer:
    """GET plan/schools."""
    return Answer(body=call.services.plans.schools(call.principal, *place(call)))


def list_steps(call: Call) -> Answer:
    """GET plan/steps."""
    filters = {
        name: call.query[name]
        for name in ("kind", "op", "school", "rule", "object", "search", "part", "applied")
        if name in call.query
    }
    after = call.position()
    question = Question(
        **filters, top=call.limit, after=-1 if after is None else after, counted=call.query.get("count", False)
    )
    page = call.services.plans.steps(call.principal, *place(call), question)
    return Answer(
        body=shapes.Steps(
            plan=page.plan,
            count=page.count,
            value=page.steps,
            next_link=call.next_link(page.steps[-1].number) if page.more else None,
        )
    )


def get_step(call: Call) -> Answer:
    """GET plan/steps/{step}."""
    number = call.keys["step"]
    if not (number.isascii() and number.isdecimal() and len(number) < 12):
        raise NotFound(f"The plan has no step {number[:40]}: steps are numbered from 0.")
    return Answer(body=call.services.plans.step(call.principal, *place(call), int(number)))


def get_differences(call: Call) -> Answer:
    """GET plan/differences."""
    mine, earlier = place(call), call.query.get("earlier")
    if not earlier:
        raise Invalid("earlier must name the run or preview that is compared with.", target="earlier")
    other = named(call, earlier)
    return Answer(body=call.services.plans.differences(call.principal, mine, (other.home, other.id)))


def list_approvals(call: Call) -> Answer:
    """GET approvals."""
    found = call.services.plans.summary(call.principal, *place(call))
    return Answer(body=shapes.Approvals(value=tuple(map(_approval, found.approvals))))


def approve(call: Call) -> Answer:
    """POST approvals."""
    given: shapes.Approve = call.body
    done = call.services.plans.approve(
        call.principal,
        call.profile,
        find(call).id,
        plan=given.plan,
        what=Selection(kind=given.kind, school=given.school, objects=given.objects),
        why=given.why,
        now=call.now,
    )
    return Answer(
        status=201,
        body=shapes.Approved(
            approval=_approval(done.approval), released=done.released, persons_missing=done.persons_missing
        ),
    )


def apply(call: Call) -> Answer:
    """POST apply."""
    call.services.plans.apply(call.principal, call.profile, find(call).id, plan=call.body.plan, now=call.now)
    return Answer(status=202, body=shape(find(call), call.now))


def discard(call: Call) -> Answer:
    """POST discard."""
    given: shapes.Discard = call.body
    what = Selection(kind=given.kind, school=given.school, objects=given.objects)
    plans, run = call.services.plans, find(call).id
    if what.whole:
        plans.discard(call.principal, call.profile, run, plan=given.plan, why=given.why, now=call.now)
    elif given.plan is None:
        raise Invalid("Name the plan that you have seen: a part is discarded of one plan only.", target="plan")
    else:
        plans.leave_out(call.principal, call.profile, run, plan=given.plan, what=what, why=given.why, now=call.now)
    return Answer(body=shape(find(call), call.now))


def cancel(call: Call) -> Answer:
    """POST cancel."""
    given: shapes.Cancel = call.body
    call.services.plans.cancel(call.principal, *place(call), why=given.why, now=call.now)
    return replace(get_plan(call), status=202)


def override(call: Call) -> Answer:
    """POST override."""
    given: shapes.Override = call.body
    call.services.plans.override(
        call.principal,
        call.profile,
        find(call).id,
        plan=given.plan,
        limits=given.limits,
        why=given.why,
        now=call.now,
    )
    return Answer(status=202, body=shape(find(call), call.now))


def undo(call: Call) -> Answer:
    """POST undo."""
    given: shapes.Undo = call.body
    begun = call.services.plans.undo(call.principal, call.profile, find(call).id, why=given.why, now=call.now)
    return Answer(status=202, body=shapes.Begun(run=begun))


def clean_up(call: Call) -> Answer:
    """POST clean-up."""
    given: shapes.CleanUp = call.body
    what = CleanUp(mark=given.mark, archive=given.archive, remove_pupils=given.remove_pupils)
    begun = call.services.plans.clean_up(call.principal, call.profile, what=what, why=given.why, now=call.now)
    return Answer(status=202, body=shapes.Begun(run=begun))


def place(call: Call) -> tuple[str, str]:
    """Under whose id the run that the path names is kept, and its own. Raises NotFound."""
    run = find(call)
    return run.home, run.id


def _approval(one: Approval) -> shapes.Approval:
    return shapes.Approval(
        id=one.id,
        run=one.run,
        plan=one.plan,
        kind=one.what.kind,
        school=one.what.school,
        objects=one.what.objects,
        person=one.person,
        via=one.via,
        why=one.why,
        given=moment(one.given) or "",
        expires=moment(one.expires) if one.runs_out else None,
    )
