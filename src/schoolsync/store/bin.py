# ruff: noqa: S608  # what is put into these statements are names of ours and numbers
"""The bin of a directory: objects that have left, are seen by nobody, and can come back for a time.

Text alone, for SQLite and PostgreSQL: the engine that fills and empties the bin loads no database library.
"""

from __future__ import annotations


def told_back(table: str, tenant: int, keys: str, position: int, now: int) -> list[str]:
    """Statements that let delta queries tell the memberships of objects anew which come out of the bin.

    `keys` is a query for the keys of these rows of `table`. Whoever was told that a class is gone knows nothing of its
    members any more, and whoever was not told so still has those that it lost meanwhile: both are told again.
    """
    if table == "schools":
        return []
    side = "class" if table == "classes" else "person"
    mine = f'tenant = {tenant} AND "{side}" IN ({keys})'
    made = [
        f"UPDATE class_people SET position = {position} WHERE {mine}",
        f"UPDATE classes SET position = {position} WHERE tenant = {tenant} "
        f'AND key IN (SELECT "class" FROM class_people WHERE {mine})',
    ]
    if table == "classes":
        flags = ", ".join(f"max(CASE WHEN {part} THEN 1 ELSE 0 END) = 1" for part in ("member", "teacher"))
        made.append(
            'INSERT INTO removed_members (tenant, "class", position, id, member, teacher, removed) '
            f'SELECT tenant, "class", {position}, id, {flags}, {now} FROM removed_members WHERE {mine} '
            'GROUP BY tenant, "class", id ON CONFLICT DO NOTHING'
        )
    return made
