"""Code lists: how grades, roles, types and the like are spelled in the canonical roster, whatever a file writes.

The lists that ship are those of School Data Sync and of OneRoster; an installation or a profile adds to them or maps
words of its own (docs/formats.md). Values only. Functions return SQL expressions over one text column.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

from schoolsync.errors import UsageError

Extra = Mapping[str, Mapping[str, str]]
"""List -> word as it is written -> code it means. What an installation or a profile adds."""


class Entry(msgspec.Struct, frozen=True):
    """One code: how it is spelled, which other words mean it, and the group it belongs to."""

    code: str
    words: tuple[str, ...] = ()
    group: str | None = None


@dataclass(frozen=True, slots=True)
class CodeList:
    """One list. The words that are met most come first, because they are looked for in this order."""

    name: str
    entries: tuple[Entry, ...]
    # Words that are legal though nobody can know them: OneRoster's extensions of a list.
    extensible: bool = False

    @property
    def words(self) -> dict[str, str]:
        """Every word in lower case -> its code."""
        found: dict[str, str] = {}
        for entry in self.entries:
            for word in (entry.code, *entry.words):
                found.setdefault(word.lower(), entry.code)
        return found

    def groups(self) -> dict[str, str]:
        """Code -> group, in the order of the list."""
        return {entry.code: entry.group for entry in self.entries if entry.group is not None}


def _plain(text: str, group: str | None = None) -> tuple[Entry, ...]:
    """Codes as a text: `code` or `code=word=word`."""
    return tuple(Entry(code, tuple(words), group) for code, *words in (part.split("=") for part in text.split()))


GUARDIANS = ("parent", "guardian", "relative")
"""Roles of people who are nobody in the directory themselves."""

# The order in which one person's roles count, the first most of all: those of School Data Sync, then the rest.
_STAFF = (
    *("principal", "chair", "professor", "researcher", "adjunct", "affiliate", "occupationalTherapist"),
    *("physicalTherapist", "speechTherapist", "visionTherapist", "paraprofessional", "specialServices", "advisor"),
    *("proctor", "nurse", "officeStaff", "lecturer", "itAdmin", "systemAdministrator", "districtAdministrator"),
    *("siteAdministrator", "administrator", "teacher", "faculty", "staff", "teacherAssistant", "assistant"),
    *("instructor", "substitute", "coach", "counselor", "aide", "alumni"),
)
_OTHERS = ("other", "parent", "guardian", "relative")
RANKS = (*_STAFF, "student", *_OTHERS)
# In a class they are neither taught nor teach.
_ONLOOKERS = ("proctor", "alumni", "other", "parent", "guardian", "relative")


def _roles(none: tuple[str, ...]) -> tuple[Entry, ...]:
    """Roles with their groups; the two that nearly everybody has come first."""
    words = {"aide": ("aid",)}
    return tuple(
        Entry(
            code,
            words.get(code, ()),
            "student" if code == "student" else "none" if code in none else "teacher",
        )
        for code in dict.fromkeys(("student", "teacher", *RANKS))
    )


_SHIPPED = (
    CodeList(
        "org-types",
        (
            *_plain("school college university campus adultEducation division", "school"),
            *_plain(
                "district department local localAuthority municipality region state province national "
                "ministryOfEducation departmentOfEducation academicTrust researchCenter program",
                "other",
            ),
        ),
        extensible=True,
    ),
    CodeList("roles", _roles(_OTHERS), extensible=True),
    CodeList("enrollment-roles", _roles(_ONLOOKERS), extensible=True),
    CodeList(
        "grades",
        (
            *(Entry(f"{number:02}", (str(number), f"grade {number}")) for number in range(1, 15)),
            *_plain(
                "kg=k=kindergarten pk=prekindergarten=pre-k tk=transitionalkindergarten it=infanttoddler pr=preschool "
                "00=0 ps=postsecondary ug=ungraded other ps1 ps2 ps3 ps4 undergraduate graduate postgraduate alumni "
                "adultEducation"
            ),
        ),
    ),
    CodeList("session-types", _plain("term schoolYear semester gradingPeriod quarter"), extensible=True),
    CodeList("class-types", _plain("scheduled homeroom"), extensible=True),
    CodeList("relationships", _plain("parent guardian relative aide doctor child other=administrator")),
    CodeList("flags", _plain("freeLunch reducedLunch homeless giftedOrTalented 504 ell lep iep")),
    CodeList("genders", _plain("female=f male=m other=x=notselected=unspecified")),
    CodeList("ethnicities", _plain("hispanicOrLatinoEthnicity")),
    CodeList(
        "races",
        _plain(
            "americanIndianOrAlaskaNative asian blackOrAfricanAmerican nativeHawaiianOrOtherPacificIslander white "
            "demographicRaceTwoOrMoreRaces"
        ),
    ),
    CodeList("role-types", _plain("primary secondary")),
    CodeList("statuses", _plain("active tobedeleted")),
)


SHIPPED: Mapping[str, CodeList] = {one.name: one for one in _SHIPPED}


def lists(*extras: Extra) -> dict[str, CodeList]:
    """The shipped lists with what an installation and a profile add, the later counting more.

    A word may mean a code of the list, or become one itself. Raises UsageError for a list that there is not.
    """
    made = dict(SHIPPED)
    for extra in extras:
        for name, words in extra.items():
            if name not in made:
                raise UsageError(f"There is no code list “{name}”. Known lists: {', '.join(SHIPPED)}.")
            made[name] = _with(made[name], words)
    return made


def _with(one: CodeList, words: Mapping[str, str]) -> CodeList:
    folded = {word.lower() for word in words}
    entries = [
        msgspec.structs.replace(entry, words=tuple(word for word in entry.words if word.lower() not in folded))
        for entry in one.entries
    ]
    for word, code in words.items():
        code, _, group = code.partition(":")
        place = next((number for number, entry in enumerate(entries) if entry.code.lower() == code.lower()), None)
        if place is None:
            # A code of one's own, with its group behind a colon: "tutor:teacher".
            entries.append(Entry(code, (word,), group or (None if not one.groups() else "none")))
        else:
            entry = entries[place]
            entries[place] = msgspec.structs.replace(entry, words=(*entry.words, word), group=group or entry.group)
    return CodeList(one.name, tuple(entries), one.extensible)


def is_known(one: CodeList, column: str) -> str:
    """Whether the value is a word of the list, in any letter case."""
    known = f"lower({column}) IN ({_texts(one.words)})"
    known = f"({known} OR starts_with({column}, 'ext:'))" if one.extensible else known
    return f"CASE WHEN {_plain_word(one, column)} THEN true ELSE {known} END"


def normal(one: CodeList, column: str) -> str:
    """The value as the list spells it; what the list does not have stays as it is."""
    words = " ".join(f"WHEN {_text(word)} THEN {_text(code)}" for word, code in one.words.items())
    return f"CASE WHEN {_plain_word(one, column)} THEN {column} ELSE CASE lower({column}) {words} ELSE {column} END END"


def _plain_word(one: CodeList, column: str) -> str:
    """Whether the value is one of the first codes of the list as they are spelled, which most values are."""
    first = [entry.code for entry in one.entries if one.words.get(entry.code.lower()) == entry.code][:3]
    return f"{column} IN ({_texts(first)})" if first else "false"


def group(one: CodeList, column: str, *, otherwise: str = "none") -> str:
    """The group of a value that is spelled as the list spells it, or `otherwise`."""
    kinds: dict[str, list[str]] = {}
    for code, kind in one.groups().items():
        kinds.setdefault(kind, []).append(code)
    cases = " ".join(f"WHEN {column} IN ({_texts(codes)}) THEN {_text(kind)}" for kind, codes in kinds.items())
    return f"CASE {cases} ELSE {_text(otherwise)} END"


def rank(column: str) -> str:
    """How much a role counts among several of one person: the lower the more."""
    order = ", ".join(map(_text, RANKS))
    return f"coalesce(nullif(list_position([{order}], {column}), 0), {len(RANKS) + 1})"


def listed(one: CodeList, column: str) -> str:
    """A list of codes in one cell, each as the list spells it, separated by commas."""
    cell = normal(one, "x")
    return f"array_to_string([{cell} FOR x IN {parts(column)}], ',')"


def parts(column: str) -> str:
    """The values of a list in one cell, without blanks around them and without empty ones."""
    return f"[trim(x) FOR x IN string_split({column}, ',') IF trim(x) <> '']"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _texts(values: Iterable[str]) -> str:
    return ", ".join(map(_text, values))
