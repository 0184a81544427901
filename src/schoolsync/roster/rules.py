"""Every rule a roster can break, in one table.

A rule has a fixed severity and two sentences: what is wrong and what to do. docs/rules.md explains exactly these, each
under its own heading. Checks
live elsewhere (`roster.checks` and the sources); nothing here looks at data, and no sentence repeats a person's data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """What a finding means for going on."""

    ERROR = "error"  # blocks the synchronization
    WARNING = "warning"  # does not
    INFORMATION = "information"  # says what was forgiven or not looked at


class Family(StrEnum):
    """The four kinds of finding whose description is part of the Graph API, and all others."""

    MISSING = "missing"
    FORMAT = "format"
    REFERENCE = "reference"
    DUPLICATE = "duplicate"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule. `says` and `advice` may name `{column}` and `{detail}`; `summary` says it of `{count}` rows."""

    id: str
    severity: Severity
    says: str
    advice: str
    family: Family = Family.OTHER
    summary: str = ""
    # The upload cannot be used at all, whoever says to go on: it must never be read as "empty".
    fatal: bool = False

    @property
    def help(self) -> str:
        """Where the rule is explained: a page of the documentation and the place in it."""
        return f"{_PAGE}#{self.id}"

    def message(self, *, column: str | None, detail: str | None) -> str:
        """The sentences of one finding."""
        facts = {"column": column or "the row", "detail": detail or ""}
        return f"{self.says.format(**facts)} {self.advice.format(**facts)}"

    def description(self, *, count: int, column: str | None, detail: str | None) -> str:
        """What Graph's verification message says about `count` rows that break this rule."""
        known = _DESCRIPTIONS.get(self.family)
        if known is not None:
            return known.format(count=count, column=column or "")
        if not self.summary:
            return self.message(column=column, detail=detail)
        text = self.summary.format(count=count, column=column or "", detail=detail or "")
        return f"{text} Field - {column}" if column and "{column}" not in self.summary else text


_PAGE = "docs/rules.md"

# Clients compare these texts with the documented ones: they are wire format, not prose.
_DESCRIPTIONS = {
    Family.MISSING: "{count} row(s) have missing data for the field - {column}",
    Family.FORMAT: "{count} row(s) have an invalid format for the field - {column}",
    Family.REFERENCE: "{count} row(s) have referenced data not found in source. Field - {column}",
    Family.DUPLICATE: "{count} duplicates found in column {column} which requires values to be Unique.",
}


def _fatal(rule: str, says: str, advice: str) -> Rule:
    return Rule(id=rule, severity=Severity.ERROR, says=says, advice=advice, fatal=True)


def _error(rule: str, says: str, advice: str, *, family: Family = Family.OTHER, summary: str = "") -> Rule:
    return Rule(id=rule, severity=Severity.ERROR, says=says, advice=advice, family=family, summary=summary)


def _warning(rule: str, says: str, advice: str, *, family: Family = Family.OTHER, summary: str = "") -> Rule:
    return Rule(id=rule, severity=Severity.WARNING, says=says, advice=advice, family=family, summary=summary)


def _note(rule: str, says: str, advice: str, *, summary: str = "") -> Rule:
    return Rule(id=rule, severity=Severity.INFORMATION, says=says, advice=advice, summary=summary)


_ALL = (
    # The set of files
    _fatal("missing-file", "The file {detail} was not found.", "Upload the same complete set of files every time."),
    _fatal(
        "double-file",
        "The file was found more than once.",
        "Keep one of them. One that is uploaded already is taken back by an empty file of its name.",
    ),
    _error(
        "unknown-file",
        "The file does not belong to this format.",
        "Leave it out; save a workbook as CSV UTF-8, sheet by sheet. If it is uploaded already, upload an empty file "
        "of its name.",
    ),
    _fatal("unreadable-archive", "The archive cannot be read: {detail}.", "Make the zip again and upload it anew."),
    _fatal(
        "archive-too-large",
        "The archive is too large: {detail}.",
        "Split the roster over several profiles, or have the setting raised.",
    ),
    _fatal(
        "hostile-archive",
        "The archive is refused: {detail}.",
        "Make the zip again of nothing but the CSV files.",
    ),
    _fatal(
        "nested-archive",
        "The archive holds another archive: {detail}.",
        "Put the CSV files themselves into one zip.",
    ),
    _note(
        "system-files",
        "The archive holds files of the system it was made on; they are skipped.",
        "Nothing is to be done.",
    ),
    _note("archive-folder", "The files stand in a folder of the archive.", "Nothing is to be done."),
    _fatal(
        "unknown-archive-member",
        "The archive holds something other than a roster file: {detail}.",
        "Put nothing but the CSV files into the zip.",
    ),
    _note(
        "file-not-read",
        "The file belongs to a part of the format that is not synchronized; it is not read.",
        "Nothing is to be done.",
    ),
    _warning(
        "optional-file-empty",
        "The file has no rows that can be used; it is taken for one that is not there.",
        "Leave it out, or export it again.",
    ),
    _warning(
        "missing-referenced-file",
        "{column} names records of {detail}, which is not there; the values are left out.",
        "Upload that file as well.",
    ),
    _fatal(
        "delta-without-base",
        "The package holds changes alone, and there is no roster that they could be applied to: {detail}.",
        "Send a whole (bulk) package once; to check changes here, name the roster before them with --onto.",
    ),
    _note("delta-file", "The file holds changes alone: {detail}.", "Nothing is to be done."),
    _warning(
        "manifest-differs",
        "The manifest says that {detail}; the files themselves count.",
        "Have the manifest written anew with every export.",
    ),
    _warning(
        "kept-orphan",
        "Rows of earlier uploads hang on a record that was deleted ({detail} in all); they do not count while it is "
        "gone.",
        "Have the export delete them too, or send a whole (bulk) package.",
    ),
    _warning("file-spelling", "The file name is spelled unusually; {detail} is meant.", "Spell it that way."),
    # A file as a whole
    _fatal("unreadable-file", "The file cannot be read: {detail}.", "Export it again as CSV and upload it anew."),
    _fatal("wrong-encoding", "The file is not UTF-8 text but {detail}.", "Save it as CSV UTF-8."),
    _fatal("line-too-long", "A line is longer than {detail}.", "Look for a missing line end or quote."),
    _fatal("empty-file", "The file is empty: not even a header.", "Export it again; empty never means nobody."),
    _fatal("no-rows", "The file has no rows that can be used.", "Export it again; empty never means nobody."),
    _fatal(
        "too-many-rows",
        "The file has more rows than the limit, which is {detail}.",
        "Split the roster over several profiles, or have the setting roster_max_rows raised.",
    ),
    _warning("wrong-separator", "The values are separated by {detail}, and read so.", "Export the file with commas."),
    _fatal("workbook", "The file is {detail}, not CSV.", "Save the sheet as CSV UTF-8 and upload that."),
    _fatal(
        "web-page", "The file is {detail} of a web site, not CSV.", "Look at it: it is often an error or a login page."
    ),
    _fatal(
        "truncated-file",
        "The file ends in the middle of its last row.",
        "Export and upload it again: what is missing cannot be known.",
    ),
    _fatal(
        "file-too-large",
        "The file is larger than {detail}.",
        "Split the roster over several profiles, or have the setting roster_max_bytes raised.",
    ),
    _fatal(
        "too-many-columns",
        "The file has more columns than the limit, which is {detail}.",
        "Look for a missing line end, or have the setting roster_max_columns raised.",
    ),
    _warning(
        "other-encoding",
        "The file is not UTF-8, and is read as {detail}.",
        "Look at names with accents: if they are right all is well. Save it as CSV UTF-8 the next time.",
    ),
    _note("byte-order-mark", "The file begins with a byte-order mark, which is skipped.", "Nothing is to be done."),
    _note("separator-line", "A line that names the separator stands above the header.", "Nothing is to be done."),
    _fatal("missing-column", "The column {column} is missing.{detail}", "Add it, with exactly this header."),
    _fatal("double-column", "The column {column} is there more than once.", "Keep one of them."),
    _warning("header-spelling", "The header is spelled {detail}; {column} is meant.", "Spell it that way."),
    _warning(
        "header-alias",
        "The header {detail} is an old or wrong name; {column} is meant.",
        "Spell it that way.",
    ),
    _warning(
        "expected-column",
        "The column {column} is missing, which the format wants to be there.",
        "Add it: what depends on it is left out.",
    ),
    _warning("unknown-column", "The column {detail} is not part of the format and is not read.", "Remove it."),
    _warning("type-line", "A #TYPE line stands above the header.", "Export with -NoTypeInformation."),
    _warning("mixed-line-ends", "The lines of the file end in different ways.", "Write all line ends as CRLF."),
    # A row as a whole
    _error(
        "ragged-row",
        "The row has {detail}.",
        "Give it one value for each header; put quotes around values with commas.",
        summary="{count} row(s) have more or fewer values than the header has columns.",
    ),
    _error(
        "unterminated-quote",
        "A value begins with a quote that is never closed.",
        "Close it, or double the quotes inside the value.",
        summary="{count} row(s) have a quote that is never closed.",
    ),
    _error(
        "broken-quotes",
        "A quoted value goes on after its closing quote.",
        "Double the quotes inside the value.",
        summary="{count} row(s) have quotes inside a quoted value.",
    ),
    _error(
        "invalid-utf8",
        "The row holds bytes that are not UTF-8.",
        "Save the file as CSV UTF-8.",
        summary="{count} row(s) hold bytes that are not UTF-8.",
    ),
    _error(
        "control-character",
        "The row holds a control character.",
        "Remove it.",
        summary="{count} row(s) hold a control character.",
    ),
    _warning(
        "blank-row", "The row has no values.", "Remove it.", summary="{count} row(s) have no values and are not read."
    ),
    _warning(
        "line-break",
        "The value of {column} holds a line break, read as a blank.",
        "Keep every value on one line.",
        summary="{count} row(s) hold a line break.",
    ),
    _warning(
        "damaged-text",
        "The value of {column} holds a replacement character: it was damaged before it got here.",
        "Export it again as UTF-8.",
        summary="{count} row(s) hold characters that were damaged before the upload.",
    ),
    _error(
        "cell-too-long",
        "{column} is longer than {detail} characters.",
        "Shorten it, or look for a missing quote; the setting roster_max_cell can be raised.",
        summary="{count} row(s) have a value that is longer than any may be.",
    ),
    _warning(
        "outer-blanks",
        "The value of {column} begins or ends with blanks, which are left out.",
        "Remove them.",
        summary="{count} row(s) have blanks around the value.",
    ),
    _error(
        "status-missing",
        "{column} is empty, and other rows of the file have one or the file holds changes alone.",
        "Fill it in every row of a delta, and in none of a whole (bulk) file.",
        summary="{count} row(s) have no status where the file needs one.",
    ),
    _note(
        "status-in-bulk",
        "{column} is filled in a file that is whole, where it says nothing.",
        "Leave it empty in whole (bulk) files.",
    ),
    _warning(
        "deleted-in-bulk",
        "The row is marked as deleted in a file that is whole; it counts as gone.",
        "Leave such rows out of whole (bulk) files.",
        summary="{count} row(s) are marked as deleted in a file that is whole.",
    ),
    _note(
        "stale-row",
        "{column} is earlier than that of what is known of the record; the row changes nothing.",
        "Nothing is to be done when an old package was sent again.",
    ),
    # Values
    _error("required-value", "{column} is empty.", "Give it a value.", family=Family.MISSING),
    _warning(
        "expected-value",
        "{column} is empty, which the format does not allow; the record is kept.",
        "Give it a value.",
        summary="{count} row(s) have no value there; the records are kept.",
    ),
    _error(
        "unknown-code",
        "{column} has {detail}, which is not in its code list.",
        "Use a word of the list, or add yours to the profile's code lists.",
        family=Family.FORMAT,
    ),
    _warning(
        "optional-code",
        "{column} has {detail}, which is not in its code list; it is left out.",
        "Use a word of the list, or add yours to the profile's code lists.",
        summary="{count} row(s) have a word that is not in its code list; it is left out.",
    ),
    _warning(
        "optional-codes",
        "{column} has a word that is not in its code list; it is kept as it is.",
        "Use words of the list, or add yours to the profile's code lists.",
        summary="{count} row(s) have a word that is not in its code list; it is kept.",
    ),
    _warning(
        "optional-date",
        "{column} is not a date: it looks like {detail}. It is left out.",
        "Write dates as YYYY-MM-DD.",
        summary="{count} row(s) have no date there; the value is left out.",
    ),
    _warning(
        "invalid-boolean",
        "{column} is neither true nor false and is left out.",
        "Write true or false.",
        summary="{count} row(s) are neither true nor false there; the value is left out.",
    ),
    _error(
        "invalid-school-year",
        "{column} is not a school year.",
        "Write the year in which it ends, such as 2027.",
        family=Family.FORMAT,
    ),
    _error("blank-in-id", "{column} has a blank inside.", "Ids have no blanks.", family=Family.FORMAT),
    _error("too-long", "{column} has {detail}.", "Shorten it.", family=Family.FORMAT),
    _warning(
        "optional-too-long",
        "{column} has {detail} and is left out.",
        "Shorten it.",
        summary="{count} row(s) have a value that is too long and is left out.",
    ),
    _error(
        "invalid-date",
        "{column} is not a date of this file's format: it looks like {detail}.",
        "Write dates as YYYY-MM-DD.",
        family=Family.FORMAT,
    ),
    _error("end-before-start", "{column} is before the start date.", "Correct one of them.", family=Family.FORMAT),
    _error(
        "invalid-username",
        "{column} cannot be a sign-in name: {detail}.",
        "Use letters and digits, with or without one @domain.",
        family=Family.FORMAT,
    ),
    _error(
        "weak-password",
        "{column} does not satisfy the password rules.",
        "Use 8 to 256 characters of three kinds: lower case, upper case, digits, others.",
        family=Family.FORMAT,
    ),
    _error("invalid-mail", "{column} is not a mail address.", "Correct it.", family=Family.FORMAT),
    _warning(
        "optional-mail",
        "{column} is not a mail address and is left out.",
        "Correct it.",
        summary="{count} row(s) have no mail address there; the value is left out.",
    ),
    _warning(
        "invalid-year",
        "{column} is not a year of four digits and is left out.",
        "Write it as 2027.",
        summary="{count} row(s) have no year of four digits there; the value is left out.",
    ),
    _warning(
        "unknown-grade",
        "{column} is not a known grade code; it is kept as it is.",
        "Use codes such as PK, KG, 1 to 12.",
        summary="{count} row(s) have a grade code that is not known.",
    ),
    _warning(
        "unknown-relationship",
        "{column} is not a known role; it counts as Other.",
        "Use Parent, Relative, Aide, Doctor, Guardian, Child or Other.",
        summary="{count} row(s) have a role that is not known.",
    ),
    _warning(
        "special-characters",
        "{column} has characters that directories refuse.",
        "Use letters and digits, or let the profile replace such characters.",
        summary="{count} row(s) have characters that directories refuse.",
    ),
    _warning(
        "empty-column",
        "The profile asks for {column}, but no row has a value.",
        "Fill the column, or take it out of the profile.",
    ),
    # Rows together
    _error(
        "duplicate-id",
        "{column} is the same as in line {detail}, whose row is kept.",
        "Give every record an id of its own.",
        family=Family.DUPLICATE,
    ),
    _warning(
        "several-schools",
        "{column} is the same as in line {detail}, with another school: one person of both schools.",
        "Nothing is to be done when that is right.",
        family=Family.DUPLICATE,
    ),
    _warning(
        "repeated-person",
        "{column} and school are the same as in line {detail}, whose row is kept.",
        "Remove one of the rows.",
        family=Family.DUPLICATE,
    ),
    _warning(
        "differing-values",
        "The row says something else about the person than line {detail}, whose values are kept.",
        "Make the rows of one person agree.",
        summary="{count} row(s) say something else than the first row of the same person.",
    ),
    _warning(
        "duplicate-username",
        "{column} is already used by another person ({detail}).",
        "Give everybody a value of their own: the later person is not synchronized.",
        family=Family.DUPLICATE,
    ),
    _warning(
        "repeated-enrollment",
        "The same person is in the same class in line {detail}.",
        "Remove one of the rows.",
        family=Family.DUPLICATE,
    ),
    _warning(
        "repeated-relationship",
        "The same guardian of the same pupil stands in line {detail}.",
        "Remove one of the rows.",
        family=Family.DUPLICATE,
    ),
    _warning(
        "repeated-guardian",
        "{column} is the same as in line {detail}, whose row is kept.",
        "Remove one of the rows.",
        family=Family.DUPLICATE,
    ),
    _warning(
        "look-alike-id",
        "{column} differs from the id in line {detail} by nothing but letter case or leading zeros.",
        "Check that these are two records.",
        summary="{count} row(s) have an id that looks like another one.",
    ),
    _warning(
        "optional-reference",
        "{column} names {detail}, which is not in its file; the value is left out.",
        "Add the record, or correct the id.",
        summary="{count} row(s) name something that is not in its file; the value is left out.",
    ),
    _error(
        "circular-parent",
        "{column} leads back to the row itself.",
        "Correct the parents: they have to form a tree.",
        summary="{count} row(s) are their own parents, over others or at once.",
    ),
    _warning(
        "enrolled-without-role",
        "{column} names somebody who has no role in any organization; they are not put into the class.",
        "Give the person a role.",
        summary="{count} row(s) name somebody without a role.",
    ),
    _warning(
        "guardian-without-mail",
        "The guardian has no mail address and is left out.",
        "Give the guardian one.",
        summary="{count} row(s) name a guardian without a mail address.",
    ),
    _warning(
        "repeated-role",
        "The same role of the same person stands in line {detail}.",
        "Remove one of the rows.",
        summary="{count} row(s) repeat a role.",
    ),
    _warning(
        "repeated-row",
        "The row says the same as line {detail}.",
        "Remove one of the rows.",
        summary="{count} row(s) repeat another one.",
    ),
    _error(
        "unknown-reference",
        "{column} names {detail}, which is not in its file.",
        "Add the record, or correct the id.",
        family=Family.REFERENCE,
    ),
)

RULES: Mapping[str, Rule] = {rule.id: rule for rule in _ALL}
