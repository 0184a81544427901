"""What values of a roster look like: SQL expressions that test and normalise one column, whatever the format.

Every function takes the name of a text column and returns an expression over it. Nothing here touches a database, and
nothing guesses: a date that fits no stated form is no date.
"""

from __future__ import annotations

from itertools import permutations
from typing import Literal

DateFormat = Literal["iso", "mdy", "dmy"]

# Blanks as people paste them: the ASCII ones, the no-break space, the zero-width space, the byte-order mark.
_BLANKS = "\\s\u00a0\u2007\u202f\u200b\ufeff"
_GRADES = {
    *("it", "pr", "pk", "tk", "kg", "ps", "ug", "other", "ps1", "ps2", "ps3", "ps4"),
    *("undergraduate", "graduate", "postgraduate", "alumni", "adulteducation"),
    # as they are written out in sister formats
    *("k", "kindergarten", "prekindergarten", "transitionalkindergarten", "infanttoddler", "preschool", "ungraded"),
    *(str(number) for number in range(15)),
    *(f"{number:02}" for number in range(15)),
}
_MAIL = '[^\\s@,;:<>()"\\[\\]\\\\]+@[^\\s@,;:<>()"\\[\\]\\\\.]+(?:\\.[^\\s@,;:<>()"\\[\\]\\\\.]+)+'
_RELATIONSHIPS = ("parent", "relative", "aide", "doctor", "guardian", "child", "other")

# Which strptime forms each stated format reads, the likeliest first. ISO dates are always read.
_SLASHED: dict[DateFormat, tuple[str, ...]] = {
    "iso": (),
    "mdy": ("%m/%d/%Y", "%m-%d-%Y"),
    "dmy": ("%d/%m/%Y", "%d.%m.%Y", "%d-%m-%Y"),
}


def has_outer_blanks(column: str, separator: str | None = None) -> str:
    """Whether the value begins or ends with a blank, or any of several values with a separator between them."""
    if separator is None:
        return f"regexp_matches({column}, '^[{_BLANKS}]|[{_BLANKS}]$')"
    return f"regexp_matches({column}, '(?:^|{separator})[{_BLANKS}]|[{_BLANKS}](?:{separator}|$)')"


def without_outer_blanks(column: str) -> str:
    """The value without them; NULL when nothing is left."""
    return f"nullif(regexp_replace({column}, '^[{_BLANKS}]+|[{_BLANKS}]+$', '', 'g'), '')"


def has_blank(column: str) -> str:
    """Whether there is any blank in the value."""
    return f"regexp_matches({column}, '[{_BLANKS}]')"


def date(column: str, form: DateFormat) -> str:
    """The date as YYYY-MM-DD, or NULL when the value has none of the forms that `form` allows."""
    slashed = [f"try_strptime({column}, '{one}')" for one in _SLASHED[form]]
    iso = [
        f"try_strptime({column}, '%Y-%m-%d')",
        f"CASE WHEN regexp_full_match({column}, '\\d{{8}}') THEN try_strptime({column}, '%Y%m%d') END",
    ]
    day = f"coalesce({', '.join(slashed + iso)})::DATE"
    # A year of two digits is read as one of the first century.
    return f"CASE WHEN {day} BETWEEN DATE '1900-01-01' AND DATE '2199-12-31' THEN {day}::VARCHAR END"


def is_mail(column: str) -> str:
    """Whether it has the shape of one mail address."""
    return f"(length({column}) <= 254 AND regexp_full_match({column}, '{_MAIL}'))"


def is_boolean(column: str) -> str:
    """Whether it is true or false, in any letter case."""
    return f"({column} IN ('true', 'false') OR lower({column}) IN ('true', 'false'))"


def is_school_year(column: str) -> str:
    """Whether it is a year, or two that follow each other, such as 2026-2027."""
    return f"regexp_full_match({column}, '[12]\\d{{3}}(?:[-/](?:\\d{{2}})?\\d{{2}})?')"


def school_year(column: str) -> str:
    """The year in which the school year ends, of one that is written so or as two years."""
    second = f"left({column}, 4)::INTEGER + 1"
    return f"CASE WHEN length({column}) > 4 THEN ({second})::VARCHAR ELSE {column} END"


def is_year(column: str) -> str:
    """Whether it is four digits."""
    return f"regexp_full_match({column}, '[12]\\d{{3}}')"


def is_grade(column: str) -> str:
    """Whether it is a grade code, with or without a leading zero, in any letter case."""
    return f"lower({column}) IN ({', '.join(map(repr, sorted(_GRADES)))})"


def is_relationship(column: str) -> str:
    """Whether it is a role that a guardian may have in a file."""
    return f"lower({column}) IN ({', '.join(map(repr, (*_RELATIONSHIPS, 'administrator')))})"


def relationship(column: str) -> str:
    """The role as contacts have it; what they do not have is `other`."""
    known = ", ".join(map(repr, _RELATIONSHIPS))
    return f"CASE WHEN lower({column}) IN ({known}) THEN lower({column}) ELSE 'other' END"


def phone(column: str) -> str:
    """The number without parentheses, dashes, blanks and dots."""
    return f"nullif(regexp_replace({column}, '[()\\-\\s.]', '', 'g'), '')"


def is_plain_name(column: str) -> str:
    """Whether it is a short name of nothing but ASCII letters, digits, dots, dashes and underscores."""
    return f"regexp_full_match({column}, '[A-Za-z0-9._\\-]{{1,64}}')"


def username_problem(column: str, *, domain: str) -> str:
    """What is wrong with a sign-in name, as a text, or NULL; `domain` is added to one without a domain."""
    local = f"split_part({column}, '@', 1)"
    whole = f"(length({column}) + CASE WHEN contains({column}, '@') THEN 0 ELSE {len(domain) + bool(domain)} END)"
    # Nearly all names pass the first test, which is the cheapest.
    plain = f"{is_plain_name(column)} AND strlen({column}) <= {112 - len(domain)}"
    return (
        f"CASE WHEN {plain} THEN NULL WHEN {has_blank(column)} THEN 'it has a blank inside' "
        f"WHEN NOT regexp_full_match({column}, '[^@]+(?:@[^@]+)?') THEN 'its @ is not in the right place' "
        f"WHEN length({local}) > 64 THEN 'more than 64 characters stand before the domain' "
        f"WHEN {whole} > 113 THEN 'it is longer than 113 characters with its domain' END"
    )


def is_password(column: str) -> str:
    """Whether a directory's usual rules take it: 8 to 256 characters of at least three kinds."""
    kinds = ("[a-z]", "[A-Z]", "[0-9]", "[^A-Za-z0-9]")
    orders = "|".join(".*".join(order) for order in permutations(kinds, 3))  # one pattern is read faster than four
    return f"(length({column}) BETWEEN 8 AND 256 AND regexp_matches({column}, '(?s){orders}'))"


def has_refused_characters(column: str, *, username: bool) -> str:
    """Whether directories refuse a character of it, in a sign-in name or in the alias of a class."""
    allowed = "A-Za-z0-9''.\\-_!#^~@" if username else "A-Za-z0-9_\\-"
    return f"regexp_matches({column}, '[^{allowed}]')"


def shape(column: str) -> str:
    """What the value looks like without saying it: digits as 9, letters as a."""
    return f"left(regexp_replace(regexp_replace({column}, '\\pL', 'a', 'g'), '\\pN', '9', 'g'), 24)"


def is_telling(column: str) -> str:
    """Whether it looks like an id, and not like a name or an address."""
    return f"(regexp_full_match({column}, '[A-Za-z0-9_.\\-]{{1,64}}') AND regexp_matches({column}, '[0-9]'))"


def named(column: str) -> str:
    """An id as it stands when it looks like one, else its shape: a name in the wrong column is not repeated."""
    return f"CASE WHEN {is_telling(column)} THEN {column} ELSE 'a value like ' || {shape(column)} END"


def plain_text(column: str) -> str:
    """The text as a spreadsheet may read it: what it would take for a formula begins with an apostrophe."""
    quote = "chr(39)"
    return (
        f"CASE WHEN regexp_matches({column}, '^[=+\\-@\\t\\r\\n＝＋－＠]') THEN {quote} || {column} ELSE {column} END"
    )
