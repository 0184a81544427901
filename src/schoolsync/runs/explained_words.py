"""An explanation in sentences, the most important first: the answer, why, which run did it, and on which lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from schoolsync.runs.explained import Explanation, Happened, Known, Record
from schoolsync.runs.states import RunState

_STOPPED = {RunState.HELD, RunState.FAILED, RunState.PAUSED}
_ERRORS_SAID = 3


@dataclass(frozen=True, slots=True)
class Newest:
    """The profile's newest run."""

    number: int
    state: str
    message: str | None


def sentences(made: Explanation, wanted: str, inside: str | None, newest: Newest | None) -> tuple[str, ...]:
    """The answer in words."""
    said: list[str] = []
    if made.linked is not None:
        one, place = made.objects[0], made.inside[0]
        said.append(f"{_call(one)} is {'' if made.linked else 'not '}in {_call(place)}.")
    for typed, found in ((wanted, made.objects), (inside, made.inside)):
        if typed is not None:
            said += _about(typed, found)
    said += _in_the_roster(made, wanted, inside)
    said += [f"The last run could not do it: {one.message}" for one in made.errors[:_ERRORS_SAID] if one.message]
    said += _what_happened(made.history)
    said += _in_the_upload(made, inside)
    if not made.history and not made.lines and made.upload_kept and len(made.objects) <= 1 and len(made.inside) <= 1:
        said.append(f"No run that is still kept did anything with {'the two' if inside is not None else 'it'}.")
    if newest is None:
        said.append("The profile has never been synchronized.")
    elif newest.state in _STOPPED and newest.message:
        said.append(f"Run {newest.number} is {newest.state}: {newest.message}")
    return tuple(said)


_LISTS = {"school": "schools", "class": "classes", "person": "people"}


def _about(typed: str, found: Sequence[Known]) -> Iterator[str]:
    if not found:
        yield f"The directory and the newest plans know nothing by “{typed}”."
    elif len(found) > 1:
        listed = ", ".join(f"{one.kind} {_call(one)} = {one.object_id}" for one in found)
        yield f"“{typed}” may mean {len(found)} objects: {listed}. Ask again with an object id."
    else:
        (one,) = found
        if not one.here:
            yield f"{_call(one)} is not in the directory; a plan has it."
        elif one.by_hand:
            yield f"{_call(one)}, a {one.kind}, is in the directory: made by hand, no profile owns it."
        elif one.elsewhere:
            yield f"{_call(one)}, a {one.kind}, is in the directory: another profile owns it and alone changes it."
        elif one.binned is not None:
            yield (
                f"{_call(one)}, a {one.kind}, lies in the bin since {one.binned[:10]}: its roster no longer has it. It "
                f"is out again when a roster has it, or by `schoolsync directory {_LISTS[one.kind]} {one.object_id} "
                "--restore`."
            )
        elif not one.active:
            yield f"{_call(one)}, a {one.kind}, is in the directory but marked inactive: its roster no longer has it."
        else:
            yield f"{_call(one)}, a {one.kind}, is in the directory."
        if one.kept_by_hand:
            fields = ", ".join(one.kept_by_hand)
            yield f"Written by hand and kept, whatever the roster says: {fields}."


def _in_the_roster(made: Explanation, wanted: str, inside: str | None) -> Iterator[str]:
    """What the roster that was checked last has of it, and why the directory has not."""
    if made.roster is None:
        return
    roster = f"The roster of run {made.roster.run}"
    records = made.roster.records
    for typed, found in ((wanted, made.objects), (inside, made.inside)):
        if typed is None:
            continue
        label = f"the {found[0].kind} {_call(found[0])}" if found else f"“{typed}”"
        source_id = (found[0].source_id if found else None) or typed
        own = [one for one in records if one.what != "membership" and one.source_id == source_id]
        yield from _stands(roster, label, own, quiet=inside is not None)
    pairs = {(one.kind, place.kind) for one in made.objects for place in made.inside}
    if inside is not None and pairs <= {("person", "class")}:
        yield from _stands(roster, "the membership", [one for one in records if one.what == "membership"])


def _stands(roster: str, label: str, records: Sequence[Record], *, quiet: bool = False) -> Iterator[str]:
    if not records:
        yield f"{roster} does not have {label}."
    for one in records:
        place = _place(one.file, one.line)
        if one.reason is not None:
            yield f"{roster} {'has' if one.rule is None else 'does not have'} {label}{place}. {one.reason}"
        elif not quiet:
            yield f"{roster} has {label}{place}."


def _what_happened(history: Sequence[Happened]) -> Iterator[str]:
    for one in history[:3]:
        step = one.step
        place = _place(step.file, step.line, step.upload_run)
        put_off = " A window puts it off." if step.part == "deferred" else ""
        member, name = step.member_name or step.member_source_id, step.name or step.source_id
        yield (
            f"Run {one.number} "
            + ("did" if one.state == "done" else "would do" if one.state == "held" else f"is {one.state}, and planned")
            + f": {step.op} {step.kind}{f' of {member} in {name}' if member else ''}. "
            + f"{step.reason}{place}{put_off}{_let_go(one)}"
        )


def _place(file: str | None, line: int | None, earlier: int | None = None) -> str:
    """Where a record stands, as the end of a sentence."""
    if not file or not line:
        return ""
    return f" ({file} line {line}, last known from run {earlier})" if earlier else f" ({file} line {line})"


def _let_go(one: Happened) -> str:
    """Who has let a step go that a guard held."""
    if not one.step.held:
        return ""
    given = ", ".join(f"{yes.person} on {yes.given[:10]}" for yes in one.step.approved_by)
    return f" A guard held it; approved by {given}." if given else " A guard held it, and nobody has approved it."


def _in_the_upload(made: Explanation, inside: str | None) -> Iterator[str]:
    if made.upload_run is None or len(made.objects) > 1 or len(made.inside) > 1:
        return
    upload = f"the newest upload (run {made.upload_run})"
    if not made.upload_kept:
        yield f"The files of {upload} are not kept any more."
        return
    if not made.lines:
        yield f"No line of {upload} names {'both' if inside is not None else 'it'}."
        return
    places = ", ".join(f"{line.file} line {line.line}" for line in made.lines[:5])
    more = f" and {len(made.lines) - 5} more" if len(made.lines) > 5 else ""
    yield f"In {upload}: {places}{more}."
    said = [f"{line.file} line {line.line}: {finding.message}" for line in made.lines for finding in line.findings[:3]]
    yield from said[:10]


def _call(one: Known) -> str:
    return f"{one.name or 'unnamed'} ({one.source_id or one.object_id})"
