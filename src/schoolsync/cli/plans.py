"""`schoolsync plan`, `apply`, `approve`, `discard`, `undo`, `clean-up`, `sync`, `rekey`: what changes, a yes or a no.

Everything is asked of the server's own API (`cli.remote`); nothing is decided here. What is printed about single people
goes to whoever typed the command and nowhere else.

Exit status: 0 done, 1 the roster has errors or the run failed, 2 wrong usage or refused, 3 a plan waits for a person.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

from schoolsync.cli import uploading
from schoolsync.cli.progress import Progress
from schoolsync.cli.remote import Json, Refused, Remote, Whereto, wait
from schoolsync.cli.roster_files import NoRosterError, files, refuse
from schoolsync.errors import UsageError

WAITS = 3
NOT_FOUND = 404
SCHOOLS_SHOWN = 40
HASH_LEAST = 12
PAIRS_MAX = 64 * 1024 * 1024


def plan(
    whereto: Whereto,
    path: Path,
    *,
    details: bool,
    kind: str | None,
    school: str | None,
    op: str | None,
    limit: int,
    as_json: bool,
) -> int:
    """Plan a roster against a profile and show it; nothing is touched."""
    remote = Remote(whereto)
    made = _preview(remote, path, as_json=as_json)
    if isinstance(made, int):
        return made
    seen, status = made
    if as_json:
        picked = itertools.islice(_steps(remote, seen, kind=kind, school=school, op=op), limit) if details else None
        print(json.dumps(_shown(remote, seen) | ({} if picked is None else {"listed": list(picked)})))
        return status
    _show(remote, seen)
    if details:
        _list(_steps(remote, seen, kind=kind, school=school, op=op), limit)
    if seen["plan"] is not None:
        _show_apply(remote, seen)
    return status


def show(
    whereto: Whereto,
    run: str,
    *,
    kind: str | None,
    school: str | None,
    op: str | None,
    wanted: str | None,
    limit: int,
    as_json: bool,
) -> int:
    """Show the plan of a run or a preview, step by step."""
    remote = Remote(whereto)
    seen = remote.get(f"/runs/{_word(run)}")
    listed = _steps(remote, seen, kind=kind, school=school, op=op, search=wanted) if seen["plan"] else iter(())
    if as_json:
        print(json.dumps(_shown(remote, seen) | {"listed": list(itertools.islice(listed, limit))}))
        return 0
    _show(remote, seen)
    _list(listed, limit)
    return 0


def sync(whereto: Whereto, path: Path, *, as_json: bool) -> int:
    """Validate, plan and apply a roster in one go; stops where a guard holds the plan."""
    remote = Remote(whereto)
    made = _preview(remote, path, as_json=as_json)
    if isinstance(made, int):
        return made
    seen, _ = made
    if seen["plan"] is None:
        _tell_end(remote, seen, as_json)
        return 1
    begun = remote.post(f"/previews/{seen['id']}/apply", {"plan": seen["plan"]})["run"]
    return follow_run(remote, begun, as_json)


def apply(whereto: Whereto, run: str, *, follow: bool, replan: bool, as_json: bool) -> int:
    """Apply a preview's plan, or the approved parts of a held run's."""
    if replan and not follow:
        raise UsageError("--replan has to see how the run ends: leave --no-wait out.")
    remote = Remote(whereto)
    seen = remote.get(f"/runs/{_word(run)}")
    if seen["plan"] is None:
        raise UsageError(f"{_name(seen)} has no plan to apply: {seen['message'] or 'it is ' + seen['state'] + '.'}")
    body = {"plan": seen["plan"]}
    if seen["preview"]:
        begun = remote.post(f"/previews/{seen['id']}/apply", body)["run"]
        if follow:
            return _applied(remote, seen, begun, replan=replan, as_json=as_json)
    elif replan:
        raise UsageError("--replan goes with a preview; a held run is planned again by itself when something moves.")
    else:
        begun = remote.post(f"/runs/{seen['id']}/apply", body)["id"]
    return follow_run(remote, begun, as_json) if follow else tell_begun(remote, begun, as_json)


def _applied(remote: Remote, preview: Json, begun: str, *, replan: bool, as_json: bool) -> int:
    """Watch a run that applies a preview's plan; when that has moved say what differs, or how to see it."""
    ended = wait(remote, begun, Progress(quiet=as_json))
    if ended["state"] != "discarded" or ended["plan"] in (None, preview["plan"]):
        return _end(remote, ended, as_json)
    if not replan:
        _tell_end(remote, ended, as_json)
        if not as_json:
            print(
                f"Plan again and see what differs: schoolsync apply {preview['id']} --replan --profile {remote.profile}"
            )
        return 1
    again = wait(remote, remote.post(f"/previews/{preview['id']}/again")["id"], Progress(quiet=as_json))
    if again["plan"] is None:
        _tell_end(remote, again, as_json)
        return 1
    differing = remote.get(f"/runs/{again['id']}/plan/differences", earlier=preview["id"])
    if as_json:
        print(json.dumps(_shown(remote, again) | {"differences": differing}))
        return WAITS
    print("Nothing was changed: the plan that was shown does not hold any more. This is the new one.")
    _show(remote, again)
    _show_differences(differing)
    _show_apply(remote, again)
    return WAITS


def approve(
    whereto: Whereto,
    run: str,
    *,
    plan: str,
    kind: str | None,
    school: str | None,
    objects: tuple[str, ...],
    why: str | None,
    follow: bool,
    as_json: bool,
) -> int:
    """Say yes to a held plan or a part of it; `plan` is the hash of what was seen, or its beginning."""
    remote = Remote(whereto)
    seen = remote.get(f"/runs/{_word(run)}")
    body = {"plan": _same(seen, plan), "kind": kind, "school": school, "objects": list(objects), "why": why}
    done = remote.post(f"/runs/{seen['id']}/approvals", body)
    if not done["released"]:
        if as_json:
            print(json.dumps(done))
        elif done["personsMissing"]:
            print(f"Approved; {done['personsMissing']} more person(s) must approve the same.")
        else:
            print(f"Approved. Let the approved parts go on with: schoolsync apply {seen['id']}")
        return WAITS
    return follow_run(remote, seen["id"], as_json) if follow else tell_begun(remote, seen["id"], as_json)


def override(
    whereto: Whereto, run: str, *, plan: str, limits: list[str], why: str | None, follow: bool, as_json: bool
) -> int:
    """Plan a held run again under other limits, each `name=value`, for this plan only."""
    named: dict[str, Any] = {}  # what JSON can hold
    for one in limits:
        name, given, value = one.partition("=")
        try:
            named[name.strip()] = json.loads(value)
        except json.JSONDecodeError:
            given = ""
        if not given or not name.strip():
            raise UsageError(f"--limit {one}: say a setting of the guards and a number, such as removalPercent=20.")
    remote = Remote(whereto)
    seen = remote.get(f"/runs/{_word(run)}")
    body = {"plan": _same(seen, plan), "limits": named, "why": why}
    begun = remote.post(f"/runs/{seen['id']}/override", body)["id"]
    return follow_run(remote, begun, as_json) if follow else tell_begun(remote, begun, as_json)


def discard(
    whereto: Whereto,
    run: str,
    *,
    plan: str | None,
    kind: str | None,
    school: str | None,
    objects: tuple[str, ...],
    why: str | None,
    as_json: bool,
) -> int:
    """Throw a held or paused run away, or a part of a held plan."""
    part = bool(kind or school or objects)
    if part and plan is None:
        raise UsageError("Say with --plan which plan you have seen: a part is discarded of one plan only.")
    remote = Remote(whereto)
    seen = remote.get(f"/runs/{_word(run)}")
    body = {"plan": None if plan is None else _same(seen, plan), "kind": kind, "school": school, "why": why}
    answer = remote.post(f"/runs/{seen['id']}/discard", body | {"objects": list(objects)})
    if part and not as_json:
        print(f"Left out. Approve the rest: schoolsync approve {seen['number']} --plan {seen['plan'][:HASH_LEAST]}")
        return 0
    _tell_end(remote, answer, as_json)
    return 0


def undo(whereto: Whereto, run: str, *, why: str | None, follow: bool, as_json: bool) -> int:
    """Take a run back by a run of its own, which has a plan and guards like any other."""
    remote = Remote(whereto)
    seen = remote.get(f"/runs/{_word(run)}")
    begun = remote.post(f"/runs/{seen['id']}/undo", {"why": why})["run"]
    return follow_run(remote, begun, as_json) if follow else tell_begun(remote, begun, as_json)


def sync_one(whereto: Whereto, kind: str, what: str, *, why: str | None, follow: bool, as_json: bool) -> int:
    """Synchronize one person, class or school from the last upload."""
    remote = Remote(whereto)
    begun = remote.post("/sync-one", {"kind": kind, "object": what, "why": why})["run"]
    return follow_run(remote, begun, as_json) if follow else tell_begun(remote, begun, as_json)


def clean_up(
    whereto: Whereto,
    *,
    mark: bool,
    archive: bool,
    remove_pupils: bool,
    why: str | None,
    follow: bool,
    as_json: bool,
) -> int:
    """Clean up the classes of a profile that has expired, by a run whose plan waits for a yes."""
    if not (mark or archive or remove_pupils):
        raise UsageError("Choose what is done to the classes: --mark, --archive, --remove-pupils, or several of them.")
    remote = Remote(whereto)
    body = {"mark": mark, "archive": archive, "removePupils": remove_pupils, "why": why}
    begun = remote.post("/clean-up", body)["run"]
    return follow_run(remote, begun, as_json) if follow else tell_begun(remote, begun, as_json)


def rekey(whereto: Whereto, pairs: Path | None, *, proposed: str | None, why: str | None, as_json: bool) -> int:
    """Say which SIS IDs have changed, from a map file; or print the map that a run proposes."""
    if (pairs is None) == (proposed is None):
        raise UsageError("Name a map file (CSV: kind,old,new), or with --proposed RUN the run whose map is printed.")
    remote = Remote(whereto)
    if proposed is not None:
        text = remote.get(f"/runs/{_word(proposed)}/renumbered")["pairs"]
        print(json.dumps({"pairs": text}) if as_json else text, end="\n" if as_json else "")
        return 0
    assert pairs is not None
    try:
        if pairs.stat().st_size > PAIRS_MAX:
            raise UsageError(f"{pairs} is larger than a map may be: 64 MiB.")
        text = pairs.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{pairs} is not UTF-8 text: save it as “CSV UTF-8”.") from None
    except OSError as problem:
        raise UsageError(f"{pairs} cannot be read: {problem.strerror}. Look at the path.") from problem
    taken = remote.post("/rekeys", {"pairs": text, "why": why})
    if as_json:
        print(json.dumps(taken))
    else:
        print(f"{taken['pairs']:,} pairs taken. Nothing is changed before the next run; `schoolsync plan` shows it.")
    return 0


# --- a preview -----------------------------------------------------------------------------------------------------


def _preview(remote: Remote, path: Path, *, as_json: bool) -> tuple[Json, int] | int:
    """The finished preview of a roster and the exit status it means; a number alone: there is no roster."""
    try:
        roster = files(path)
    except NoRosterError as problem:
        return refuse(str(problem))
    made = remote.post("/previews")
    progress = Progress(quiet=as_json)
    uploading.send(remote, made["uploadUrl"], roster, progress)
    remote.post(f"/previews/{made['id']}/start")
    seen = wait(remote, made["id"], progress)
    if seen["plan"] is None:
        return seen, 1
    return seen, WAITS if remote.get(f"/runs/{seen['id']}/plan")["verdictCount"] else 0


# --- showing -------------------------------------------------------------------------------------------------------


def _steps(remote: Remote, seen: Json, **narrowed: str | None) -> Any:
    return remote.every(f"/runs/{seen['id']}/plan/steps", limit=200, **narrowed)


def _shown(remote: Remote, seen: Json) -> Json:
    """A run or preview with its plan, for --json."""
    if seen["plan"] is None:
        return {"run": seen, "plan": None, "schools": []}
    try:
        plan = remote.get(f"/runs/{seen['id']}/plan")
        schools = remote.get(f"/runs/{seen['id']}/plan/schools")["schools"]
    except Refused as problem:
        if problem.status != NOT_FOUND:
            raise
        return {"run": seen, "plan": None, "schools": []}  # an unchanged upload has none of its own
    return {"run": seen, "plan": plan, "schools": schools}


def _show(remote: Remote, seen: Json) -> None:
    """A summary by school and kind, then what the guards say."""
    if seen["message"]:
        print(seen["message"])
    for one in seen["verification"]:
        print(f"{one['type']}: {one['fileName']}: {one['description']}")
    if seen["plan"] is None:
        return
    listed = remote.get(f"/runs/{seen['id']}/plan/schools")
    if not listed["schools"]:
        print("Nothing would change." if seen["preview"] else "Nothing changes.")
    _show_schools(listed)
    _show_words(remote.get(f"/runs/{seen['id']}/plan"))


def _show_schools(listed: Json) -> None:
    """The plan in numbers, by school and kind."""
    rows: dict[tuple[str, str, str], dict[str, int]] = {}
    for one in listed["schools"]:
        place = "(no single school)" if one["school"] is None else f"{one['name'] or ''} ({one['school']})".strip()
        counts = rows.setdefault((place, one["kind"], one["part"]), {})
        counts[one["op"]] = counts.get(one["op"], 0) + one["count"]
    last, shown = None, 0
    for (place, kind, part), counts in rows.items():
        if place != last:
            shown += 1
            if shown > SCHOOLS_SHOWN:
                break
            print(place)
            last = place
        what = ", ".join(f"{count:,} {op}" for op, count in counts.items())
        print(f"  {kind:<20}{what}{'  (put off by a window)' if part == 'deferred' else ''}")
    places = len({place for place, _, _ in rows})
    if places > SCHOOLS_SHOWN or not listed["complete"]:
        print(f"… and {places - SCHOOLS_SHOWN:,} more schools: --json lists them.")


def _show_apply(remote: Remote, seen: Json) -> None:
    """How exactly the plan of a preview is applied."""
    print(f"\nThis is plan {seen['plan'][:HASH_LEAST]} of preview {seen['id']}.")
    print(f"Apply exactly this with: schoolsync apply {seen['id']} --profile {remote.profile}")


def _show_differences(differing: Json) -> None:
    """What a plan has that the one before has not, and the other way round."""
    words = {"new": "new", "gone": "no longer planned", "other": "with other values"}
    print("\nAgainst the plan that was shown:")
    if not differing["counts"]:
        print("  no step differs: what it was made from has moved, and it comes to the same.")
    for one in differing["counts"]:
        print(f"  {one['count']:,} {one['op']} {one['kind']} {words[one['how']]}")
    for one in differing["steps"]:
        print(f"  {words[one['how']]}: {step_line(one['step'])}")
    more = sum(one["count"] for one in differing["counts"]) - len(differing["steps"])
    if more > 0:
        print(f"  … and {more:,} more.")


def _show_words(plan: Json) -> None:
    """What guards say of a plan, what it cannot do, and who has approved what of it."""
    for verdict in plan["verdicts"]:
        print(f"HELD: {verdict['sentence']}")
    if plan["verdictCount"] > len(plan["verdicts"]):
        print(f"… and {plan['verdictCount'] - len(plan['verdicts']):,} more limits that it is over.")
    for note in plan["notes"]:
        print(f"NOTE: {note}")
    for one in plan["approvals"]:
        parts = [f"kind {one['kind']}"] if one["kind"] else []
        parts += [f"school {one['school']}"] if one["school"] else []
        parts += [f"{len(one['objects']):,} objects"] if one["objects"] else []
        earlier = "" if one["plan"] == plan["plan"] else " of an earlier plan"
        why = f": {one['why']}" if one["why"] else ""
        what = f"{', '.join(parts) or 'everything'}{earlier} by {one['person']} on {one['given']}"
        if one["via"] == "discard":
            print(f"LEFT OUT: {what}{why}")
        elif one["via"] == "limits":
            print(f"OTHER LIMITS: for {what}{why}")
        else:
            print(f"APPROVED: {what}, good until {one['expires']}{why}")


def _list(steps: Any, limit: int) -> None:
    print()
    shown = 0
    for step in itertools.islice(steps, limit):
        shown += 1
        print(step_line(step))
    if next(steps, None) is not None:
        print(f"… only {shown:,} steps are listed: --limit, --kind, --school and --op choose others.")


def step_line(step: Json) -> str:
    """One step: what, why, and where the roster says so."""
    who = f"{step['name'] or '-'} ({step['sourceId'] or '-'})"
    if step["memberId"] or step["memberSourceId"]:
        who = f"{step['memberName'] or '-'} ({step['memberSourceId'] or '-'}) in {who}"
    changes = "".join(
        f"\n      {one['field']}: {_value(one['before'])} -> {_value(one['after'])}" for one in step["changes"]
    )
    earlier = f" of run {step['uploadRun']}" if step["uploadRun"] else ""
    place = f" [{step['file']} line {step['line']}{earlier}]" if step["file"] and step["line"] else ""
    return f"{step['op']} {step['kind']} {who}: {step['reason']}{place}{_let_go(step)}{changes}"


def _let_go(step: Json) -> str:
    """Who has let a step go that a guard held."""
    if not step["held"]:
        return ""
    given = ", ".join(f"{one['person']} on {one['given'][:10]}" for one in step["approvedBy"])
    return f" (approved by {given})" if given else " (held by a guard)"


def _value(text: str | None) -> str:
    return "nothing" if text is None else f"“{text}”"


def follow_run(remote: Remote, run: str, as_json: bool) -> int:
    """Watch a run to its end, or to where it waits for a person; the exit status for that."""
    return _end(remote, wait(remote, run, Progress(quiet=as_json)), as_json)


def _end(remote: Remote, seen: Json, as_json: bool) -> int:
    """Say how a run has ended, or where it waits; the exit status for that."""
    _tell_end(remote, seen, as_json)
    if seen["state"] in {"held", "paused"}:
        return WAITS
    return 0 if seen["state"] == "done" else 1


def tell_begun(remote: Remote, run: str, as_json: bool) -> int:
    seen = remote.get(f"/runs/{run}")
    _tell_end(remote, seen, as_json)
    return 0


def _tell_end(remote: Remote, seen: Json, as_json: bool) -> None:
    if as_json:
        print(json.dumps(_shown(remote, seen)))
        return
    print(f"{_name(seen)}: {seen['state']}{'' if seen['message'] is None else '. ' + seen['message']}")
    for one in seen["verification"]:
        print(f"{one['type']}: {one['fileName']}: {one['description']}")
    if seen["state"] == "held" and seen["plan"] and seen["heldFor"] == "guard":
        _show_words(remote.get(f"/runs/{seen['id']}/plan"))
        print(
            f"Look at it: schoolsync show {seen['number']}. Then approve it: schoolsync approve {seen['number']} "
            f"--plan {seen['plan'][:HASH_LEAST]}, or throw it away: schoolsync discard {seen['number']}."
        )


# --- words ---------------------------------------------------------------------------------------------------------


def _same(seen: Json, plan: str) -> str:
    """The whole hash of a run's plan, when it begins with what was typed."""
    typed = plan.strip().lower()
    if len(typed) < HASH_LEAST:
        raise UsageError(f"--plan needs at least the first {HASH_LEAST} characters of the plan's hash.")
    if not seen["plan"] or not seen["plan"].startswith(typed):
        raise UsageError(f"{_name(seen)} has another plan by now: look at it again with `schoolsync show`.")
    return str(seen["plan"])


def _name(seen: Json) -> str:
    return f"Preview {seen['id']}" if seen["preview"] else f"Run {seen['number']}"


def _word(run: str) -> str:
    """A run's id or number as a part of a path."""
    word = run.strip().lower()
    if not word or not all(letter in "0123456789abcdef-" for letter in word):
        raise UsageError("RUN is the number or id of a run, or the id of a preview; `schoolsync runs` lists them.")
    return word
