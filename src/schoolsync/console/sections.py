"""The settings of a profile in forms, in words for people who run schools: one `Field` for every setting of our own.

A test holds this table to `profiles.policy.OwnSettings`: a setting without a field of its own fails it.
"""

from __future__ import annotations

import msgspec

from schoolsync.console.catalogue import N_
from schoolsync.console.fields import Field, Group, Section
from schoolsync.plan import kinds
from schoolsync.plan.policy import Expiry

_WINDOWS = (("blackout", N_("nothing is changed")), ("additionsOnly", N_("nothing is taken away")))
SENSITIVE = (
    ("contacts", N_("guardians, their addresses and who is whose")),
    ("birthDate", N_("birth dates")),
    ("gender", N_("genders")),
    ("demographics", N_("birth places, races, ethnicities")),
    ("flags", N_("user flags")),
    ("phone", N_("people's own phone numbers")),
    ("identifiers", N_("further identifiers of a person")),
    ("preferredNames", N_("preferred names")),
    ("pronouns", N_("pronouns")),
    ("accounts", N_("accounts elsewhere, without passwords")),
    ("extras", N_("all extension columns")),
)
LISTS = (
    ("grades", N_("Grades")),
    ("roles", N_("Roles of people")),
    ("enrollment-roles", N_("Roles in classes")),
    ("org-types", N_("Kinds of schools")),
    ("session-types", N_("Kinds of terms")),
    ("class-types", N_("Kinds of classes")),
    ("relationships", N_("Kinds of guardians")),
    ("role-types", N_("Main and further roles")),
    ("statuses", N_("States of records")),
    ("flags", N_("User flags")),
    ("genders", N_("Genders")),
    ("ethnicities", N_("Ethnicities")),
    ("races", N_("Races")),
)
_WRITTEN = tuple(sorted({name for table in ("schools", "classes", "people") for name in kinds.compared(table)}))
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
        parts=(
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
                kind="several",
                switch=N_("This profile says itself which; otherwise it goes by what the installation says"),
                choices=SENSITIVE,
                more=N_("Extension columns, one a line, such as metadata.shoeSize"),
                help=N_("Whatever is not chosen here is not even read."),
            ),
            Field(
                path="codes",
                label=N_("Words of your own"),
                kind="rows",
                words=True,
                cells=(
                    Field(path="list", label=N_("What it is about"), kind="choice", choices=LISTS),
                    Field(path="word", label=N_("Word in your files"), example="Year 1"),
                    Field(path="code", label=N_("What it means"), example="01"),
                ),
                help=N_("Words that your files use for grades, roles and the like, and the code that each means."),
            ),
        ),
    ),
    Section(
        name="guards",
        title=N_("Guards"),
        about=N_("When a synchronization would change more than this, it waits until a person has looked at it."),
        parts=(
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
        parts=(
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
                kind="rows",
                cells=(
                    Field(path="firstDay", label=N_("First day"), kind="date"),
                    Field(path="lastDay", label=N_("Last day"), kind="date"),
                    Field(path="kind", label=N_("What does not happen"), kind="choice", choices=_WINDOWS),
                ),
                help=N_("Days on which this profile is careful, such as holidays. The last day still counts."),
            ),
        ),
    ),
    Section(
        name="scope",
        title=N_("Which part"),
        about=N_("Which part of the roster is synchronized. What is left empty narrows nothing."),
        parts=(
            Field(path="scope.schools", label=N_("Schools"), kind="lines", help=N_("The ids of schools, one a line.")),
            Field(path="scope.grades", label=N_("Grades"), kind="lines", help=N_("Grades of students, one a line.")),
            Field(
                path="scope.roles",
                label=N_("Roles"),
                kind="several",
                choices=(("student", N_("Students")), ("teacher", N_("Teachers"))),
                help=N_("When none is chosen, both."),
            ),
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
        name="names",
        title=N_("Names"),
        about=N_("How new accounts are called, and what a synchronization leaves alone."),
        parts=(
            *(
                Group(
                    path=f"recipes.{role}",
                    title=title,
                    about=N_("When all is empty, they are called as the files say."),
                    usual={"counter": True, "longest": 20},
                    fields=(
                        Field(
                            path=f"recipes.{role}.username",
                            label=N_("User name"),
                            example="{givenName:3}.{surname}",
                            help=N_(
                                "The part before the @: fields in braces, cut to a length if you like, with a-z 0-9 . "
                                "_ - around them. Fields: givenName, middleName, surname, username, sisId, number, "
                                "graduationYear."
                            ),
                        ),
                        Field(
                            path=f"recipes.{role}.counter",
                            label=N_("Whoever comes second gets a number"),
                            kind="check",
                            help=N_("From 2 on. Otherwise it is an error when two people would have the same name."),
                        ),
                        Field(
                            path=f"recipes.{role}.longest",
                            label=N_("Longest name"),
                            kind="number",
                            unit=N_("characters"),
                            help=N_("4 to 64, the number included."),
                        ),
                        Field(
                            path=f"recipes.{role}.mail",
                            label=N_("Mail address"),
                            example="{alias}@mail.example",
                            help=N_("{alias} is the part before the @ that came out. Empty: what the files say."),
                        ),
                        Field(
                            path=f"recipes.{role}.nickname",
                            label=N_("Mail nickname"),
                            example="p-{alias}",
                            help=N_("Empty: the part before the @."),
                        ),
                        Field(
                            path=f"recipes.{role}.reserved",
                            label=N_("Names that nobody is given"),
                            kind="lines",
                            help=N_("One a line, besides admin, postmaster and the like."),
                        ),
                    ),
                )
                for role, title in (("student", N_("Names of students")), ("teacher", N_("Names of teachers")))
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
                known=_WRITTEN,
            ),
        ),
    ),
    Section(
        name="people",
        title=N_("Who leaves"),
        about=N_("What becomes of people and classes that are not in the files any more."),
        parts=(
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
            Group(
                path="expiry",
                title=N_("Classes that leave"),
                about=N_(
                    "Classes that are not in the files any more. Otherwise they are inactive under their own names."
                ),
                switch=N_("They expire"),
                usual=msgspec.to_builtins(Expiry()),
                fields=(
                    Field(
                        path="expiry.mark",
                        label=N_("They are marked"),
                        kind="check",
                        help=N_(
                            "Their names begin with Exp, month and year, so that a new class can have the old name."
                        ),
                    ),
                    Field(
                        path="expiry.archive",
                        label=N_("They are archived"),
                        kind="check",
                        help=N_("They are inactive, and nobody is in them any more."),
                    ),
                    Field(
                        path="expiry.removePupils",
                        label=N_("Pupils leave them"),
                        kind="check",
                        help=N_("Teachers stay, unless the class is archived, which everybody leaves."),
                    ),
                    Field(
                        path="expiry.afterDays",
                        label=N_("Marked after days"),
                        kind="number",
                        help=N_("So long after leaving an archived class is marked; 0: at once."),
                    ),
                    Field(
                        path="expiry.termOver",
                        label=N_("They leave when their term is over"),
                        kind="check",
                        help=N_("Although the files still have them."),
                    ),
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
        ),
    ),
    Section(
        name="failures",
        title=N_("Failures"),
        about=N_("When a profile fails, it is tried again after longer and longer waits."),
        parts=(
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
                help=N_(
                    "Waits before quarantine, one a line; the last counts for the rest. Empty: it is not tried again."
                ),
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
