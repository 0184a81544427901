"""`$expand`, `$search`, and collections seen through a person's token."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import insert

from schoolsync.store import control_tables, directory_tables

ALL = [1, 2, 3, 4, 5, 6]
NAVIGATIONS = [
    ("schools", "school", "administrativeUnit", None),
    ("schools", "school", "classes", "class"),
    ("schools", "school", "users", "person"),
    ("classes", "class", "group", None),
    ("classes", "class", "members", "person"),
    ("classes", "class", "teachers", "person"),
    ("classes", "class", "schools", "school"),
    ("users", "person", "user", None),
    ("users", "person", "classes", "class"),
    ("users", "person", "taughtClasses", "class"),
    ("users", "person", "schools", "school"),
]


class TestExpanding:
    @pytest.mark.parametrize(("many", "kind", "name", "far"), NAVIGATIONS)
    def test_shows_what_the_navigation_leads_to(
        self, still_town: Any, many: str, kind: str, name: str, far: str | None
    ) -> None:
        """In lists and for single objects, with a `$select` of its own, as the navigation itself would show it."""
        select = "id,displayName"
        for item in still_town.walk(f"/education/{many}?$expand={name}($select={select})&$select=id&$top=2"):
            assert set(item) == {"id", name}
            path = f"/education/{many}/{item['id']}"
            led = still_town.get(f"{path}/{name}?$select={select}").json()
            single = still_town.get(f"{path}?$expand={name}($select={select})").json()
            if far is None:
                wanted = {key: led[key] for key in ("id", "displayName")}
                assert item[name] == wanted
                assert single[name] == wanted
            else:
                assert sorted(item[name], key=lambda one: one["id"]) == led["value"]
                assert single[name] == item[name]
            assert "displayName" in single

    def test_takes_several_and_all(self, still_town: Any, ids: Any) -> None:
        """Several links at once, `*` for all; names in any letter case."""
        path = f"/education/classes/{ids('class', 1)}"
        some = still_town.get(f"{path}?$expand=Members,teachers($select=id;)".replace(";", "")).json()
        assert (len(some["members"]), [one["id"] for one in some["teachers"]]) == (3, [ids("person", 5)])
        assert list(some["teachers"][0]) == ["id"]
        every = still_town.get(f"{path}?$expand=*").json()
        assert {"members", "teachers", "schools", "group"} <= set(every)

    @pytest.mark.parametrize(
        "text",
        [
            *("displayName", "nonsense", "members,members", "", ",", "members(", "members)", "members($top=1)"),
            *("members($expand=classes)", "members/classes", "members($select=nonsense)", "members($select=)"),
            "members" + " " * 2000,
        ],
    )
    def test_what_cannot_be_expanded_is_400(self, still_town: Any, ids: Any, text: str) -> None:
        """One level, only links, only `$select` inside; the option is named."""
        for path in ("/education/classes", f"/education/classes/{ids('class', 1)}"):
            answer = still_town.get(f"{path}?$expand={quote(text)}")
            assert answer.status_code == 400, answer.text
            error = answer.json()["error"]
            assert error["target"] in {"$expand", "$select"}
            assert re.search(r"Did you mean|Here can be asked|write it as|as in |name it once|Ask ", error["message"])

    def test_shows_at_most_twenty(self, town: Any, ids: Any, tenant: str) -> None:
        """A long list is cut in an expansion, never in the list itself."""
        number = town.numbers[tenant]
        with town.services.directories.write(tenant) as connection:
            for place in range(30):
                person = {"tenant": number, "key": 500 + place, "id": ids("more", place), "primary_role": "student"}
                person |= {"created": 1, "changed": 1, "position": 1, "display_name": f"M {place}"}
                connection.execute(insert(directory_tables.people).values(**person))
                link = {"tenant": number, "class": 12, "person": 500 + place, "member": True, "teacher": False}
                connection.execute(insert(directory_tables.class_people).values(**link))
        shown = {item["id"]: len(item["members"]) for item in town.walk("/education/classes?$expand=members")}
        assert shown == {ids("class", 1): 3, ids("class", 2): 20, ids("class", 3): 2}
        assert len(town.ids(f"/education/classes/{ids('class', 2)}/members")) == 32

    def test_shows_a_person_no_more_than_the_list_would(self, still_town: Any, token: Any, ids: Any) -> None:
        """Delegated: only shared classes and people, ReadBasic's properties, no people of a school."""
        me = token("EduRoster.ReadBasic", kind="delegated", user_id=ids("person", 1))
        school = f"/education/schools/{ids('school', 1)}"
        shown = still_town.get(f"{school}?$expand=classes", authorization=me).json()
        assert [item["id"] for item in shown["classes"]] == [ids("class", 1)]
        assert "term" not in shown["classes"][0]
        assert still_town.get(f"{school}?$expand=users", authorization=me).status_code == 403
        other = f"/education/users/{ids('person', 2)}"
        classes = still_town.get(f"{other}?$expand=classes", authorization=me).json()["classes"]
        assert [item["id"] for item in classes] == [ids("class", 1)]
        asked = "/education/classes?$filter=" + quote("members/any(m:m/department eq 'Realfag')")
        assert still_town.get(asked, authorization=me).status_code == 403
        full = token("EduRoster.Read", kind="delegated", user_id=ids("person", 1))
        assert still_town.ids(asked, authorization=full) == [ids("class", 1)]

    def test_profiles_show_status_and_errors(self, town: Any, tenant: str, token: Any) -> None:
        """`$expand=errors,profileStatus` of a profile and of the list."""
        number = town.numbers[tenant]
        profile, error = "0f0f0f0f-0000-4000-8000-000000000001", "0f0f0f0f-0000-4000-8000-000000000002"
        with town.services.control.write() as connection:
            row = {"tenant": number, "id": profile, "number": 1, "display_name": "N", "state": "provisioned"}
            kind = "educationIdentityCreationConfiguration"
            row |= {"data_provider": '{"@odata.type":"#microsoft.graph.educationCsvDataProvider"}', "created": 1}
            row |= {"identity": f'{{"@odata.type":"#microsoft.graph.{kind}","userDomains":[]}}', "changed": 1}
            connection.execute(insert(control_tables.profiles).values(**row))
            connection.execute(
                insert(control_tables.profile_status).values(
                    tenant=number, profile=profile, status="paused", status_message="x"
                )
            )
            connection.execute(
                insert(control_tables.errors).values(tenant=number, profile=profile, id=error, error_message="Nordkapp")
            )
        many = "/education/synchronizationProfiles"
        expand = "$expand=errors($select=errorMessage),profileStatus"
        for shown in (town.get(f"{many}?{expand}").json()["value"][0], town.get(f"{many}/{profile}?{expand}").json()):
            assert shown["errors"] == [{"id": error, "errorMessage": "Nordkapp"}]
            assert (shown["profileStatus"]["status"], shown["profileStatus"]["id"]) == ("paused", profile)
        assert town.get(f"{many}?$expand=dataProvider").status_code == 400


class TestSearching:
    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ('"displayName:ane"', [1]),
            ('"ANE"', [1]),
            ("ane", [1]),
            ('"lunde"', ALL),
            ('"lunde" "else"', [5]),
            ('"lunde" AND "else"', [5]),
            ('"ane" OR "else"', [1, 5]),
            ('"lunde" AND NOT "ane"', [2, 3, 4, 5, 6]),
            ('("ane" OR "else") AND "teacher/teacherNumber:L5"', [5]),
            ('"teacher/teacherNumber:l"', [5, 6]),
            ('"department:%_"', [1]),
            ('"mail:@skole"', ALL),
            ('"o\'hara"', [4]),
            ('"no:property"', []),
        ],
    )
    def test_finds_texts_in_names_and_identifiers(self, still_town: Any, ids: Any, text: str, found: list[int]) -> None:
        """In one property or in all a person would look in; joined by AND, OR, NOT; counted and paged too."""
        places = {ids("person", place): place for place in ALL}
        query = f"/education/users?$search={quote(text)}"
        assert sorted(places[item["id"]] for item in still_town.walk(f"{query}&$top=2")) == found
        counted = still_town.get(
            f"/education/users/$count?$search={quote(text)}", headers={"ConsistencyLevel": "eventual"}
        )
        assert counted.text == str(len(found))

    @pytest.mark.parametrize(
        "text", ["", '""', "(", '"a" OR', "AND", '"a', '"accountEnabled:true"', '"a" ' * 21, "x" * 2000, "(" * 40 + "a"]
    )
    def test_what_cannot_be_searched_is_400(self, still_town: Any, text: str) -> None:
        """Half expressions, too many texts, properties that hold no text."""
        answer = still_town.get(f"/education/users?$search={quote(text)}")
        assert (answer.status_code, answer.json()["error"]["target"]) == (400, "$search")

    def test_keeps_to_what_may_be_seen(self, still_town: Any, token: Any, ids: Any) -> None:
        """A person's token searches what it sees; ReadBasic does not search what it hides."""
        me = token("EduRoster.ReadBasic", kind="delegated", user_id=ids("person", 1))
        classes = "/education/classes?$search="
        assert still_town.ids(classes + "klasse", authorization=me) == [ids("class", 1)]
        assert still_town.get(classes + quote('"course/subject:norsk"'), authorization=me).status_code == 403
        members = f"/education/classes/{ids('class', 1)}/members?$search="
        assert still_town.ids(members + "2", authorization=me) == []  # student/externalId is hidden
