"""Every page of the console: one row each, and the row names the handler in `console.pages`.

What a person may see or do is asked where the page asks our own API; a row only says whether one must be signed in.
docs/console.md lists every row.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from schoolsync.console.visit import Page, Visit

Handler = Callable[["Visit"], Awaitable["Page"]]
ROOT = "/console"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One page, or one act that a page offers."""

    method: str
    template: str  # below /console; {name} is a key
    handler: str  # module.function in console.pages
    summary: str  # one sentence
    open: bool = False  # to people who are not signed in

    def resolve(self) -> Handler:
        """The handler itself."""
        module, _, name = self.handler.partition(".")
        return cast(Handler, getattr(import_module(f"schoolsync.console.pages.{module}"), name))


def _get(template: str, handler: str, summary: str, *, open: bool = False) -> Row:  # noqa: A002
    return Row(method="GET", template=template, handler=handler, summary=summary, open=open)


def _post(template: str, handler: str, summary: str, *, open: bool = False) -> Row:  # noqa: A002
    return Row(method="POST", template=template, handler=handler, summary=summary, open=open)


ROWS: tuple[Row, ...] = (
    _get("", "home.home", "Every profile with its status, how fresh it is and how it went; what needs a person now."),
    _get(
        "new-profile",
        "profiles.new",
        "A form for a new profile: its source, with the fields that each kind needs, and its accounts.",
    ),
    _post("new-profile", "profiles.create", "Makes the profile."),
    _get(
        "profiles/{profile}", "profiles.show", "How a profile stands, its trends and newest runs, and what can be done."
    ),
    _get("profiles/{profile}/connection", "profiles.connection", "Whether the profile can get at its roster."),
    _post("profiles/{profile}/do", "profiles.act", "Pauses, resumes, resets the profile, or tries again now."),
    _post(
        "profiles/{profile}/clean-up",
        "profiles.clean_up",
        "Begins to clean up the classes of a profile that has ended.",
    ),
    _get(
        "profiles/{profile}/delete",
        "deleting.form",
        "What goes with a profile and what stays, and a field for its name.",
    ),
    _post("profiles/{profile}/delete", "deleting.delete", "Deletes the profile when its name was typed."),
    _get(
        "profiles/{profile}/errors",
        "errors.show",
        "Records that could not be synchronized, by reason and one by one.",
    ),
    _get(
        "profiles/{profile}/accounts", "profiles.accounts", "The profile's name and whose accounts it makes or finds."
    ),
    _post("profiles/{profile}/accounts", "profiles.change_accounts", "Changes these."),
    _get("profiles/{profile}/source", "profiles.source", "Where the profile's roster comes from, without its secret."),
    _post("profiles/{profile}/source", "profiles.change_source", "Changes that."),
    _get(
        "profiles/{profile}/settings/{section}", "profiles.settings", "A section of the profile's settings, explained."
    ),
    _post("profiles/{profile}/settings/{section}", "profiles.change_settings", "Changes the settings of the section."),
    _get("profiles/{profile}/identity", "identity.form", "A form to try the identity rules with a person's values."),
    _post(
        "profiles/{profile}/identity",
        "identity.attempt",
        "The names that come out and the account that fits; nothing is saved.",
    ),
    _get("profiles/{profile}/columns", "columns.form", "Optional columns of each kind, and kinds that are left alone."),
    _post("profiles/{profile}/columns", "columns.change", "Changes these."),
    _get("profiles/{profile}/runs", "runs.listed", "The profile's runs, newest first, page by page."),
    _get(
        "profiles/{profile}/runs/{run}",
        "runs.show",
        "One run: its stages, how far it is, how fast, when it will be done.",
    ),
    _get("profiles/{profile}/runs/{run}/live", "runs.live", "The same as server-sent events while the run goes."),
    _post("profiles/{profile}/runs/{run}/do", "runs.act", "Ends a run early, or takes it back."),
    _get(
        "profiles/{profile}/runs/{run}/plan",
        "plans.show",
        "What a run would change or has changed: guards in words, by kind, by school, every single change; search.",
    ),
    _post(
        "profiles/{profile}/runs/{run}/plan", "plans.decide", "Approves the plan or a part of it, or discards either."
    ),
    _get("profiles/{profile}/runs/{run}/plan/steps/{step}", "plans.step", "One change, with before and after."),
    _post("profiles/{profile}/previews/{run}/apply", "plans.apply_preview", "Applies exactly the plan of a preview."),
    _get(
        "profiles/{profile}/upload",
        "uploading.form",
        "Takes files or a zip from the browser; they are checked and planned before anything is changed.",
    ),
    _post("profiles/{profile}/upload", "uploading.begin", "Makes a preview and says where its files go, as JSON."),
    _post("profiles/{profile}/upload/check", "uploading.check", "Checks the files that were sent."),
    _get(
        "profiles/{profile}/runs/{run}/findings",
        "findings.show",
        "What checking found, by root cause and by school.",
    ),
    _post(
        "profiles/{profile}/runs/{run}/findings",
        "findings.send",
        "Makes a link that shows one school's findings, or takes one back.",
    ),
    _get(
        "profiles/{profile}/runs/{run}/findings/list",
        "findings.listed",
        "Findings one by one, each with the line that it stands in; passwords and birth dates are not shown.",
    ),
    _get("profiles/{profile}/runs/{run}/findings.csv", "findings.download", "All findings for a spreadsheet."),
    _get("profiles/{profile}/runs/{run}/report.json", "findings.download_report", "The report for a program."),
    _get("directory", "directory.home", "Schools, classes and people, page by page; search; what lies in the bin."),
    _get("directory/why", "directory.why", "Why somebody or something is here or not, and its history."),
    _get("directory/schools/{school}", "directory.school", "One school, its classes and its people."),
    _get("directory/classes/{class}", "directory.group", "One class and who is in it."),
    _get("directory/people/{person}", "directory.person", "One person with schools and classes."),
    _post("directory/schools/{school}/restore", "directory.restore", "Takes a school out of the bin."),
    _post("directory/classes/{class}/restore", "directory.restore", "Takes a class out of the bin."),
    _post("directory/people/{person}/restore", "directory.restore", "Takes a person out of the bin."),
    _get("activity", "system.activity", "The audit log with filters, the newest entries first."),
    _get("activity.csv", "system.export", "The same for a spreadsheet."),
    _get("activity/changes", "changes.listed", "What was changed, by which run or by whose hand, over all profiles."),
    _get("activity/changes.csv", "changes.export", "The same for a spreadsheet."),
    _get("system", "system.system", "Workers, queues, storage, version, and what doctor finds."),
    _get("notices", "notices.form", "Who is told when a profile changes its state, and whether it arrived."),
    _post("notices", "notices.change", "Changes who is told, or sends a test."),
    _get("profiles/{profile}/runs/{run}/plan.csv", "plans.download", "The changes of a plan for a spreadsheet."),
    _get("school", "findings.of_school", "What the link of a school shows; it is signed and expires.", open=True),
    _get("sign-in", "signin.form", "How to sign in.", open=True),
    _get("sign-in/go", "signin.go", "On to the page where people of the built-in issuer sign in.", open=True),
    _get("sign-in/back", "signin.back", "Back from there: begins the session.", open=True),
    _post("sign-in", "signin.begin", "Begins to sign in with a code that an operator answers.", open=True),
    _get("sign-in/wait", "signin.wait", "The code, and whether it was answered.", open=True),
    _post("sign-out", "signin.end", "Ends the session."),
    _post("language", "signin.language", "Chooses the language of the pages.", open=True),
)
"""Every page, in the order of docs/console.md."""
