"""What objects are called: ids derived from where they come from, sign-in names, aliases. SQL expressions only.

An id depends on tenant, key space, kind, source id and generation and on nothing else, so planning twice names the
same object, and two profiles of one key space cannot make two objects of one record.
"""

from __future__ import annotations

# What directories take in the alias of a class and in the part of a sign-in name before the @; the rules of the
# roster warn about the same characters (roster.values.has_refused_characters).
_ALIAS = "[^A-Za-z0-9_\\-]"
_SIGN_IN = "[^A-Za-z0-9''.\\-_!#^~]"
ALIAS_MAX = 64
SEPARATOR = "chr(31)"  # cannot stand in a value of a roster


def text(value: str) -> str:
    """`value` as an SQL literal."""
    return "'" + value.replace("'", "''") + "'"


def guid(digest: str) -> str:
    """The first 128 bits of a hexadecimal digest as a GUID of version 8, RFC variant."""
    variant = f"substr('89ab89ab89ab89ab', instr('0123456789abcdef', substr({digest}, 17, 1)), 1)"
    return (
        f"(substr({digest}, 1, 8) || '-' || substr({digest}, 9, 4) || '-8' || substr({digest}, 14, 3) || '-' "
        f"|| {variant} || substr({digest}, 18, 3) || '-' || substr({digest}, 21, 12))"
    )


def object_id(*, tenant_id: str, key_space: str, kind: str, source_id: str, generation: str = "0") -> str:
    """The id of an object; `source_id` and `generation` are SQL expressions, the others plain values."""
    parts = (text(tenant_id), text(key_space), text(kind), source_id, generation)
    return guid(f"sha256(concat_ws({SEPARATOR}, {', '.join(parts)}))")


def alias(source_id: str, *, replace: bool) -> str:
    """The mail nickname of a class, or NULL when a directory would refuse it."""
    return _accepted(f"'Section_' || {source_id}", _ALIAS, replace=replace, longest=ALIAS_MAX)


def sign_in_name(username: str, *, domain: str | None, replace: bool) -> str:
    """The user principal name of a new account, or NULL when a directory would refuse it.

    `domain` is added to a username without one; None when the profile names none for the role.
    """
    local = _accepted(f"split_part({username}, '@', 1)", _SIGN_IN, replace=replace, longest=64)
    added = "NULL" if domain is None else f"'@' || {text(domain)}"
    rest = f"CASE WHEN contains({username}, '@') THEN '@' || split_part({username}, '@', 2) ELSE {added} END"
    return f"({local} || {rest})"


def _accepted(value: str, refused: str, *, replace: bool, longest: int) -> str:
    if replace:
        value = f"regexp_replace({value}, '{refused}', '_', 'g')"
        return f"CASE WHEN length({value}) <= {longest} THEN {value} END"
    return f"CASE WHEN length({value}) <= {longest} AND NOT regexp_matches({value}, '{refused}') THEN {value} END"
