"""Nothing walks through a whole directory by accident: the databases count what a request makes them read."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import Engine, event, insert, text

from schoolsync.directory import positions
from schoolsync.store import directory_tables
from schoolsync.store.database import is_postgresql

EXT = "extension_fe2174665583431c953114ff7268b7b3_Education_"
GUID = "99999999-9999-4999-8999-999999999999"
CROWD = 6000  # people, and as many classes, beside those of the town
READ_MAX = 100  # rows that PostgreSQL may read for one statement
STEPS_MAX = 6000  # steps of SQLite's machine for one request: several for each row
PATHS = [
    # Objects that a filter names are found by an index …
    *(f"/education/{s}?$filter=id eq '{GUID}'" for s in ("schools", "classes", "users")),
    *("/education/classes?$filter=externalId eq 'C1'", "/education/schools?$filter=externalId eq 's1'"),
    "/education/classes?$filter=mailNickname eq 'Section_C1' and displayName ne null",
    "/education/users?$filter=student/externalId eq '1'",
    "/education/users?$filter=student/externalId eq 'nobody'&$count=true&$orderby=displayName",
    "/education/users?$filter=student/externalId in ('1','2') and accountEnabled",
    "/education/users?$filter=student/externalId eq '1' or teacher/externalId eq '1'",
    "/education/users?$filter=startswith(student/externalId,'1')",
    "/education/users?$filter=userPrincipalName eq 'ane@skole.example'",
    "/education/users?$filter=startswith(userPrincipalName,'Ane')",
    f"/users?$filter={EXT}SyncSource_StudentId eq '1'",
    f"/groups?$filter={EXT}SyncSource_SectionId eq 'C1'",
    f"/groups?$filter={EXT}SectionName ne 'x' and mailNickname eq 'section_c1'",
    "/education/users/$count?$filter=student/externalId eq '1'",
    # … so are those that belong to an object, …
    "/education/users/{person}/classes",
    "/education/users/{person}/classes?$expand=members($select=id)",
    "/education/users/{person}/taughtClasses/$count",
    *("/education/classes/{class}/members", "/education/classes/{class}/teachers/$ref"),
    *("/education/classes/{class}/schools", "/education/schools/{school}/classes/$count"),
    "/education/users/ane@skole.example",
    # … and a page, the next one too, costs what is on it.
    *("/education/schools?$top=2", "/education/classes?$top=2", "/education/users?$top=2", "/users?$top=2"),
    f"/users?$top=2&$filter={EXT}ObjectType eq 'Student'",
    "/education/classes?$top=2&$expand=members,teachers",
    *("/education/classes/delta?$top=2", "/education/users/delta?$top=2", "/education/users/delta?$deltatoken=latest"),
]


class Watch:
    """Counts what the databases do for the requests inside."""

    def __init__(self) -> None:
        self.asked = 0
        self.steps = 0  # SQLite's, in hundreds
        self.read: list[tuple[int, str]] = []  # PostgreSQL's rows by statement
        self._watched: list[Any] = []

    def __enter__(self) -> Watch:
        event.listen(Engine, "before_cursor_execute", self._look)
        return self

    def __exit__(self, *_: object) -> None:
        event.remove(Engine, "before_cursor_execute", self._look)
        for connection in self._watched:
            connection.set_progress_handler(None, 0)

    def _step(self) -> None:
        self.steps += 1

    def _look(self, connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        self.asked += 1
        raw = connection.connection.driver_connection
        if not is_postgresql(connection):
            self._watched.append(raw)
            raw.set_progress_handler(self._step, 100)
        elif statement.startswith("SELECT"):
            with raw.cursor() as own:
                own.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement}", parameters)
                self.read.append((_rows(own.fetchone()[0][0]["Plan"]), statement))


def _rows(node: dict[str, Any]) -> int:
    """Rows that the scans of a plan have read, those that they threw away too."""
    found = 0
    if "Relation Name" in node:
        thrown = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
        found = (node["Actual Rows"] + thrown) * node["Actual Loops"]
    return found + sum(_rows(below) for below in node.get("Plans", ()))


@pytest.fixture
def crowded(town: Any, tenant: str) -> Any:
    """The town with thousands of classes of one pupil more."""
    crowd(town, tenant)
    return town


def crowd(town: Any, tenant: str) -> None:
    number = town.numbers[tenant]
    with town.services.directories.write(tenant) as connection:
        positions.advance(connection, number, keys=2 * CROWD + 1000)
        shared = {"tenant": number, "profile": 1, "created": 1, "changed": 1, "position": 2}
        classes, people, links = [], [], []
        for place in range(CROWD):
            key = 1000 + place
            named = shared | {"key": key, "source_id": f"x{place}", "display_name": f"X {place}"}
            more = {"mail_nickname": f"x{place}", "external_id": f"x{place}"}
            classes.append(named | more | {"id": f"{place:08x}-0000-4000-8000-000000000001"})
            upn = f"x{place}@skole.example"
            more = {"student_external_id": f"x{place}", "user_principal_name": upn, "account_name": upn}
            more |= {"primary_role": "student", "account_enabled": True}
            people.append(named | more | {"id": f"{place:08x}-0000-4000-8000-000000000002"})
            links.append(
                {"tenant": number, "class": key, "person": key, "profile": 1, "member": True, "teacher": False}
            )
        connection.execute(insert(directory_tables.classes), classes)
        connection.execute(insert(directory_tables.people), people)
        connection.execute(insert(directory_tables.class_people), links)
        belong = [{"tenant": number, "school": 2, "class": 1000 + place, "profile": 1} for place in range(CROWD)]
        connection.execute(insert(directory_tables.school_classes), belong)
        if is_postgresql(connection):  # its own housekeeping does that otherwise
            connection.execute(text("ANALYZE"))


def _place(path: str, ids: Any) -> str:
    keys = {"person": ids("person", 1), "class": ids("class", 1), "school": ids("school", 1)}
    address, mark, query = path.format(**keys).partition("?")
    return address + mark + quote(query, safe="$=&")


def _cost(house: Any, path: str) -> tuple[bool, str]:
    """Whether the answer was found without walking through everything, and what it took."""
    with Watch() as watch:
        answer = house.get(path)
    assert answer.status_code == 200, answer.text
    if watch.read:
        worst, statement = max(watch.read)
        return worst <= READ_MAX, f"{path}\n  {worst} rows: {statement}"
    assert watch.asked, path
    return watch.steps * 100 <= STEPS_MAX, f"{path}\n  {watch.steps * 100} steps"


def test_look_ups_and_pages_read_no_more_than_they_answer(crowded: Any, ids: Any) -> None:
    """Ids, SIS ids, nicknames, principal names, navigations and pages never walk through a whole table."""
    costly = []
    for path in PATHS:
        cheap, told = _cost(crowded, _place(path, ids))
        link = None
        if "top=2" in path or "latest" in path:
            page = crowded.get(_place(path, ids)).json()
            link = page.get("@odata.nextLink") or page.get("@odata.deltaLink")
            assert link is not None or "/schools" in path
        if not cheap:
            costly.append(told)
        if link is not None:
            cheap, told = _cost(crowded, link)
            if not cheap:
                costly.append(told)
    assert not costly, "\n".join(costly)


def test_the_count_of_what_is_read_notices_a_walk(crowded: Any) -> None:
    """What has no index is noticed by the very measure above: a test of the test."""
    cheap, told = _cost(crowded, "/education/users?$filter=department%20eq%20'none'")
    assert not cheap, told


def test_a_query_that_takes_too_long_is_stopped(build: Any, furnish: Any, tenant: str) -> None:
    """It is told so, clients do not repeat it, and the same connections serve whoever comes next."""
    house = build(query_seconds=0.001)
    furnish(house, tenant)
    crowd(house, tenant)
    texts = " or ".join(f"contains(displayName,'{place}y')" for place in range(100))
    for path in (f"/education/users?$filter={texts}", f"/education/users/$count?$filter={texts}"):
        answer = house.get(quote(path, safe="/?$=()',"))
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "Request_UnsupportedQuery"), answer.text
        assert "too long" in answer.json()["error"]["message"]
    for _ in range(3):
        assert house.get("/education/users/ane@skole.example").status_code == 200
        assert house.get("/education/schools").status_code == 200
