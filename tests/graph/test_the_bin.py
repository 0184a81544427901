"""What lies in the bin is seen by nobody who asks Graph, whichever way."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select, text, update

from schoolsync.directory import changes
from schoolsync.store import directory_tables
from schoolsync.store.database import is_postgresql

WRITER = ("EduRoster.ReadWrite.All", "Directory.ReadWrite.All")
TABLES = {
    "schools": directory_tables.schools,
    "classes": directory_tables.classes,
    "users": directory_tables.people,
}
EVERYWHERE = (
    *("/education/schools", "/education/classes", "/education/users", "/users", "/groups"),
    "/directory/administrativeUnits",
    "/education/schools?$expand=classes,users",
    "/education/classes?$expand=members,teachers,schools",
    "/education/users?$expand=classes,taughtClasses,schools",
)
PLAIN = {"schools": "directory/administrativeUnits", "classes": "groups", "users": "users"}


def put(house: Any, tenant: str, kind: str, one: str, *, out: bool = False) -> None:
    """Put an object into the bin as a run does, or take it out."""
    table = TABLES[kind]
    with house.services.directories.write(tenant) as connection:
        row = connection.execute(select(table).where(table.c.id == one)).one()
        if out:
            assert changes.restore(connection, tenant=row.tenant, table=table, row=row, now=5)
            return
        position = connection.execute(select(directory_tables.positions.c.position)).scalar_one() + 1
        connection.execute(update(directory_tables.positions).values(position=position))
        connection.execute(
            update(table).where(table.c.id == one).values(binned_at=1, left_at=1, active=False, position=position)
        )


def ids(value: Any) -> set[str]:
    """Every id in an answer, however deep."""
    if isinstance(value, dict):
        own = {value["id"]} if isinstance(value.get("id"), str) else set()
        return own.union(*(ids(one) for one in value.values()))
    return set().union(*(ids(one) for one in value)) if isinstance(value, list) else set()


@pytest.mark.parametrize("kind", TABLES)
def test_nobody_sees_what_lies_in_the_bin(town: Any, token: Any, tenant: str, kind: str) -> None:
    """Not by its id, in no list, count, expansion, filter or list of members; afterwards everything is as before."""
    writer = token(*WRITER)
    whole = {path: town.get(path).json() for path in EVERYWHERE}
    counts = {path: int(town.get(f"/education/{path}/$count").text) for path in TABLES}
    for one in sorted({item["id"] for item in town.walk(f"/education/{kind}?$top=999")}):
        put(town, tenant, kind, one)
        for path in EVERYWHERE:
            assert one not in ids(town.get(path).json()), path
        for path in (f"/education/{kind}/{one}", f"/{PLAIN[kind]}/{one}"):
            assert town.get(path).status_code == 404, path
        assert town.get(f"/education/{kind}?$filter=id eq '{one}'").json()["value"] == []
        assert int(town.get(f"/education/{kind}/$count").text) == counts[kind] - 1
        assert town.get(f"/education/{kind}?$count=true").json()["@odata.count"] == counts[kind] - 1
        assert int(town.get(f"/education/{kind}/$count?$filter=id ne null").text) == counts[kind] - 1
        for group in town.ids("/education/classes?$top=999"):
            for part in ("members", "teachers", "schools"):
                assert one not in town.ids(f"/education/classes/{group}/{part}?$top=999")
        assert town.send("PATCH", f"/education/{kind}/{one}", {}, authorization=writer).status_code == 404
        assert town.send("DELETE", f"/education/{kind}/{one}", authorization=writer).status_code == 404
        put(town, tenant, kind, one, out=True)
    for path in EVERYWHERE:
        assert ids(town.get(path).json()) == ids(whole[path])


@pytest.mark.parametrize("table", ["schools", "classes", "people"])
def test_a_bin_is_looked_into_by_an_index_of_its_own(town: Any, tenant: str, table: str) -> None:
    """However large the directory is: whoever counts, restores or lists what lies there reads that alone."""
    with town.services.directories.read(tenant) as connection:
        if is_postgresql(connection):  # which index it takes it says by what it has counted; that there is one counts
            found = f"SELECT indexdef FROM pg_indexes WHERE indexname = '{table}_binned'"
            assert "WHERE (binned_at IS NOT NULL)" in connection.execute(text(found)).scalar_one()
            return
        for which in ("binned_at IS NOT NULL LIMIT 1", "binned_at IS NOT NULL AND NOT active"):
            asked = f"EXPLAIN QUERY PLAN SELECT key FROM {table} WHERE tenant = 1 AND {which}"
            assert f"{table}_binned" in str(connection.execute(text(asked)).all())
