"""What the settings forms of a profile ask, in words for people who run schools.

One `Field` for every setting that a profile has: those of our own by their path in `profiles.policy.OwnSettings`, and
those of Graph's profile. A form shows one section; what is sent back becomes a change of just these members. What may
be in a field is decided where it is stored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from schoolsync.console.catalogue import N_
from schoolsync.errors import Invalid

Kind = Literal["text", "number", "check", "choice", "lines", "numbers", "table", "date"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One setting in a form."""

    path: str  # members, joined by dots
    label: str
    help: str
    kind: Kind = "text"
    choices: tuple[tuple[str, str], ...] = ()  # value, what it is called; "" is the default
    unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One form."""

    name: str  # in the address
    title: str
    about: str
    fields: tuple[Field, ...]


_FORMATS = (
    ("auto", N_("tell it from the files")),
    ("sds-v1", "SDS V1"),
    ("sds-v1-uk", "SDS V1 (UK)"),
    ("clever", "Clever"),
    ("sds-v2", "SDS V2"),
    ("sds-v2.1", "SDS V2.1"),
    ("oneroster-1.1", "OneRoster 1.1"),
    ("oneroster-1.2", "OneRoster 1.2"),
)
_DATES = (("mdy", N_("month first: 1/31/2026")), ("dmy", N_("day first: 31/1/2026")), ("iso", "2026-01-31"))
_LEAVING = (
    ("", N_("their accounts stay as they are")),
    ("inactive", N_("they are inactive")),
    ("disabled", N_("they are inactive, and nobody signs in as them")),
)
_ERRORS = (
    ("refuse", N_("nothing is changed until the files are right")),
    ("leaveOut", N_("wrong records are left out")),
)

SECTIONS: tuple[Section, ...] = (
    Section(
        name="files",
        title=N_("Files"),
        about=N_(
            "How the files of your student information system are read, and what happens when something is wrong."
        ),
        fields=(
            Field(
                path="format",
                label=N_("Format"),
                kind="choice",
                choices=_FORMATS,
                help=N_("What kind of files these are. It is told from the files unless you say it here."),
            ),
            Field(
                path="dateFormat",
                label=N_("Dates with slashes"),
                kind="choice",
                choices=_DATES,
                help=N_("How dates such as 1/2/2026 are read."),
            ),
            Field(
                path="timeZone",
                label=N_("Time zone"),
                help=N_("Where days begin: for schedules, school terms and closed days. For example Europe/Oslo."),
            ),
            Field(
                path="errors.policy",
                label=N_("When records are wrong"),
                kind="choice",
                choices=_ERRORS,
                help=N_("A missing or unreadable file always stops everything."),
            ),
            Field(
                path="errors.mostPercent",
                label=N_("Wrong records at most"),
                kind="number",
                unit="%",
                help=N_("If more records of a kind are wrong, nothing is changed."),
            ),
            Field(
                path="fields",
                label=N_("Sensitive fields that are kept"),
                kind="lines",
                help=N_("One a line, for example contacts. Whatever is not named here is not even read."),
            ),
            Field(
                path="codes",
                label=N_("Words of your own"),
                kind="table",
                help=N_("Words that your files use for grades, roles and the like, as a JSON object of lists."),
            ),
        ),
    ),
    Section(
        name="guards",
        title=N_("Guards"),
        about=N_("When a synchronization would change more than this, it waits until a person has looked at it."),
        fields=(
            Field(
                path="guards.removalPercent",
                label=N_("Removals"),
                kind="number",
                unit="%",
                help=N_("The largest part of the people, classes or memberships that may go in one run."),
            ),
            Field(
                path="guards.removalLeast",
                label=N_("Removals that are always fine"),
                kind="number",
                help=N_("So many removals of a kind never wait for a person."),
            ),
            Field(
                path="guards.removalCount",
                label=N_("Removals at most"),
                kind="number",
                help=N_("More than this number always waits, whatever part it is. Empty: no such limit."),
            ),
            Field(
                path="guards.windowDays",
                label=N_("Days that are counted together"),
                kind="number",
                help=N_("Removals of so many days are added up, so that many small ones are noticed too."),
            ),
            Field(
                path="guards.classPercent",
                label=N_("Pupils that one class may lose"),
                kind="number",
                unit="%",
                help=N_("A class that loses this part of its pupils waits for a person."),
            ),
            Field(
                path="guards.classLeast",
                label=N_("Small classes"),
                kind="number",
                help=N_("Classes with fewer pupils are not looked at."),
            ),
            Field(
                path="guards.schoolGone",
                label=N_("A school that disappears waits for a person"),
                kind="check",
                help=N_("A school that is missing from the files is more often a mistake than a closure."),
            ),
            Field(
                path="guards.updatePercent",
                label=N_("Changes"),
                kind="number",
                unit="%",
                help=N_("The largest part of a kind that may change in one run."),
            ),
            Field(
                path="guards.leaverPercent",
                label=N_("People who leave"),
                kind="number",
                unit="%",
                help=N_("More than this part, and more than the number below, always wait for a person."),
            ),
            Field(
                path="guards.leaverLeast",
                label=N_("People who may leave"),
                kind="number",
                help=N_("So many people may leave in one run without this guard."),
            ),
            Field(
                path="guards.adoptionLeast",
                label=N_("Accounts made by hand"),
                kind="number",
                help=N_("So many may be taken over by their sign-in names without a person's yes."),
            ),
            Field(
                path="guards.additionsFlow",
                label=N_("What is only added does not wait"),
                kind="check",
                help=N_("While a plan waits for a person, new people and classes are written all the same."),
            ),
            Field(
                path="guards.approvalHours",
                label=N_("An approval is good for"),
                kind="number",
                unit="h",
                help=N_("An approval that is not used expires after so many hours."),
            ),
            Field(
                path="guards.secondPerson",
                label=N_("Two people have to approve"),
                kind="check",
                help=N_("A plan that waits goes on when two different people have approved it."),
            ),
            Field(
                path="guards.plainResume",
                label=N_("A program may approve by resuming"),
                kind="check",
                help=N_("For old scripts. Leave it off: then only people approve."),
            ),
        ),
    ),
    Section(
        name="schedule",
        title=N_("Schedule"),
        about=N_("When this profile synchronizes by itself, and when it must not."),
        fields=(
            Field(
                path="schedule.onUpload",
                label=N_("When all files are there"),
                kind="check",
                help=N_("Starts by itself once the set of files is complete and nobody has written for a while."),
            ),
            Field(
                path="schedule.quietSeconds",
                label=N_("Quiet time"),
                kind="number",
                unit="s",
                help=N_("So long nobody must have written to the files."),
            ),
            Field(
                path="schedule.everyMinutes",
                label=N_("Every so many minutes"),
                kind="number",
                unit="min",
                help=N_("At least 5. Empty: not. This or the times below, not both."),
            ),
            Field(
                path="schedule.cron",
                label=N_("At fixed times"),
                help=N_("Minute, hour, day, month, weekday. For example 30 2 * * 1-5: at 2:30 from Monday to Friday."),
            ),
            Field(
                path="schedule.jitterSeconds",
                label=N_("Later by up to"),
                kind="number",
                unit="s",
                help=N_("Spreads many profiles over some time, so that they do not all begin at once."),
            ),
            Field(
                path="windows",
                label=N_("Closed days"),
                kind="table",
                help=N_(
                    "Days on which nothing is changed (blackout) or nothing removed (additionsOnly), as a JSON list: "
                    '[{"firstDay": "2026-12-21", "lastDay": "2027-01-03", "kind": "blackout"}]'
                ),
            ),
        ),
    ),
    Section(
        name="scope",
        title=N_("Which part"),
        about=N_("Which part of the roster is synchronized. What is left empty narrows nothing."),
        fields=(
            Field(path="scope.schools", label=N_("Schools"), kind="lines", help=N_("The ids of schools, one a line.")),
            Field(path="scope.grades", label=N_("Grades"), kind="lines", help=N_("Grades of students, one a line.")),
            Field(path="scope.roles", label=N_("Roles"), kind="lines", help=N_("student or teacher, one a line.")),
            Field(
                path="scope.firstDay",
                label=N_("Terms that end on or after"),
                kind="date",
                help=N_("Classes whose term is over before this day are left out."),
            ),
            Field(
                path="scope.lastDay",
                label=N_("Terms that begin on or before"),
                kind="date",
                help=N_("Classes whose term begins after this day are left out."),
            ),
            Field(
                path="scope.currentTerms",
                label=N_("Only while the term lasts"),
                kind="check",
                help=N_("Classes are synchronized only between the first and the last day of their term."),
            ),
        ),
    ),
    Section(
        name="people",
        title=N_("People"),
        about=N_("How new accounts are called, and what becomes of the accounts of people who leave."),
        fields=(
            Field(
                path="recipes",
                label=N_("Recipes for names"),
                kind="table",
                help=N_(
                    'How sign-in names are made, by role, as a JSON object: {"student": {"username": '
                    '"{givenName:3}.{surname}"}}. Empty: as the files say.'
                ),
            ),
            *(
                Field(
                    path=f"leaving.{role}",
                    label=label,
                    kind="choice",
                    choices=_LEAVING,
                    help=N_("What becomes of them when they are not in the files any more. Nothing of it is deletion."),
                )
                for role, label in (("student", N_("Students who leave")), ("teacher", N_("Teachers who leave")))
            ),
            Field(
                path="expiry",
                label=N_("Classes that leave"),
                kind="table",
                help=N_(
                    'Whether and when they are marked as expired and emptied, as a JSON object: {"mark": true, '
                    '"archive": true, "afterDays": 0, "termOver": false}. Empty: they are inactive under their own '
                    "names."
                ),
            ),
            *(
                Field(
                    path=f"binDays.{kind}",
                    label=label,
                    kind="number",
                    help=N_(
                        "So long after leaving they are put into the bin: nobody sees them, and they can come back. "
                        "0: at once. Empty: never."
                    ),
                )
                for kind, label in (
                    ("student", N_("Students go into the bin after days")),
                    ("teacher", N_("Teachers go into the bin after days")),
                    ("section", N_("Classes go into the bin after days")),
                    ("school", N_("Schools go into the bin after days")),
                )
            ),
            *(
                Field(
                    path=f"purgeDays.{kind}",
                    label=label,
                    kind="number",
                    help=N_(
                        "So long after leaving, or in the bin, they are deleted for good. Empty: never, from the bin "
                        "after 30 days."
                    ),
                )
                for kind, label in (
                    ("student", N_("Students are deleted after days")),
                    ("teacher", N_("Teachers are deleted after days")),
                    ("section", N_("Classes are deleted after days")),
                    ("school", N_("Schools are deleted after days")),
                )
            ),
            Field(
                path="protected",
                label=N_("Accounts that are never taken over"),
                kind="lines",
                help=N_("Sign-in names or object ids, one a line."),
            ),
            Field(
                path="keptByHand",
                label=N_("What stays when it was written by hand"),
                kind="lines",
                help=N_("Properties such as mobile_phone, one a line."),
            ),
        ),
    ),
    Section(
        name="failures",
        title=N_("Failures"),
        about=N_("When a profile fails, it is tried again after longer and longer waits."),
        fields=(
            Field(
                path="quarantine.failedPercent",
                label=N_("Records that fail"),
                kind="number",
                unit="%",
                help=N_("If a larger part of a kind fails, and at least the number below, the profile is quarantined."),
            ),
            Field(
                path="quarantine.failedLeast",
                label=N_("Records that may fail"),
                kind="number",
                help=N_("Fewer than this never lead to quarantine."),
            ),
            Field(
                path="quarantine.partPercent",
                label=N_("Records of a school or kind that fail"),
                kind="number",
                unit="%",
                help=N_("If a larger part of a kind fails in one school, or in all, that school or kind is set aside."),
            ),
            Field(
                path="quarantine.partRuns",
                label=N_("Runs in a row in which they fail"),
                kind="number",
                help=N_("After so many a school or kind is set aside whatever the share; 0: not."),
            ),
            Field(
                path="quarantine.runsInARow",
                label=N_("Failed runs in a row"),
                kind="number",
                help=N_("So many runs that could not be finished lead to quarantine."),
            ),
            Field(
                path="quarantine.retryMinutes",
                label=N_("Tried again after minutes"),
                kind="numbers",
                help=N_("Waits before quarantine, one a line; the last counts for the rest."),
            ),
            Field(
                path="quarantine.waitHours",
                label=N_("In quarantine after hours"),
                kind="numbers",
                help=N_("Waits in quarantine, one a line; the last counts for the rest."),
            ),
            Field(
                path="quarantine.giveUpDays",
                label=N_("Given up after days"),
                kind="number",
                help=N_("After so many days it is no longer tried."),
            ),
        ),
    ),
)


def section(name: str) -> Section | None:
    """The form of that name."""
    return next((one for one in SECTIONS if one.name == name), None)


def value(field: Field, settings: Mapping[str, Any]) -> Any:
    """What the profile has in a field, as the form shows it."""
    found: Any = settings
    for part in field.path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    if field.kind in {"lines", "numbers"}:
        return "\n".join(str(one) for one in found or ())
    if field.kind == "table":
        return "" if not found else json.dumps(found, ensure_ascii=False, indent=1)
    if field.kind == "number" and isinstance(found, float) and found.is_integer():
        return int(found)
    return "" if found is None else found


def changes(wanted: Section, form: Mapping[str, str]) -> dict[str, Any]:
    """What a form that was sent back asks for, as our own API takes it. Raises Invalid, which names the field."""
    made: dict[str, Any] = {}
    for one in wanted.fields:
        place = made
        *outer, last = one.path.split(".")
        for part in outer:
            place = place.setdefault(part, {})
        place[last] = _read(one, form.get(one.path, "").strip())
    return made


def _read(field: Field, text: str) -> Any:
    if field.kind == "check":
        return text == "on"
    if field.kind in {"lines", "numbers"}:
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        if not lines:
            return None
        return lines if field.kind == "lines" else [_number(field, line) for line in lines]
    if not text:
        return None
    if field.kind == "number":
        return _number(field, text)
    if field.kind == "table":
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as problem:
            raise Invalid(f"This is no JSON: {problem}.", target=field.path) from problem
    return text


def _number(field: Field, text: str) -> int | float:
    try:
        number = float(text.replace(",", "."))
    except ValueError:
        raise Invalid(f"“{text[:40]}” is no number.", target=field.path) from None
    return int(number) if number.is_integer() else number
