"""Finding and paging: `$filter`, `$orderby`, `$select` and pages that neither lose nor repeat anybody."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, delete, insert, select

from schoolsync.directory.shapes import PERSON
from schoolsync.errors import Invalid
from schoolsync.graph import filters
from schoolsync.store import directory_tables

ALL = [1, 2, 3, 4, 5, 6]
PIECES = [
    *("displayName", "student/externalId", "accountEnabled", "primaryRole", "id", "student", "nonsense"),
    *("eq", "ne", "gt", "le", "and", "or", "not", "in", "(", ")", ",", "not (", "-"),
    *("'x'", "'student'", "''", "null", "true", "5", "1e400", "2026-01-01", "2026-01-01T00:00:00Z"),
    *("startswith(displayName,'a')", "contains(", "tolower(displayName)", "any(", "/", "/any(x:x eq 5)", "in ('x')"),
    *("businessPhones/any(p:p eq 'x')", "length(givenName)", "year(student/birthDate)", "now()", "substring(", "0"),
    *("concat('a',", "date(refreshTokensValidFromDateTime)", "relatedContacts/all(c:c/displayName ne 'x')"),
]
ENGINE = create_engine("sqlite://")
directory_tables.directory.create_all(ENGINE)


def people(still_town: Any, ids: Any, filter_text: str, **more: Any) -> list[int]:
    """Which of the six people of the town a filter finds."""
    places = {ids("person", place): place for place in ALL}
    found = still_town.ids(f"/education/users?$filter={quote(filter_text)}", **more)
    return sorted(places[key] for key in found)


NEXT_STEP = re.compile(
    "Write |Ask |Did you mean|Here can be asked|Its members|There are |as in |leave it out|can only be|Look for "
)
"""How what to do next begins."""


class TestFilters:
    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("surname eq 'O''Hara'", [4]),
            ("surname eq 'o''hara'", [4]),
            ("'O''Hara' eq surname", [4]),
            ("displayName eq 'bjørn Lunde'", [2]),
            ("displayName eq 'BJøRN LUNDE'", [2]),
            ("surname ne 'O''Hara'", [1, 2, 3, 5, 6]),
            ("department ne 'Realfag'", [1, 2, 3, 4, 6]),
            ("not (department eq 'Realfag')", [1, 2, 3, 4, 6]),
            ("not(department eq 'Realfag' or department eq '50%_off')", [2, 3, 4, 6]),
            ("department eq null", [2, 3, 4, 6]),
            ("department ne null", [1, 5]),
            ("null eq department", [2, 3, 4, 6]),
            ("student/externalId eq '3'", [3]),
            ("student/externalId eq '3' or teacher/teacherNumber eq 'L6'", [3, 6]),
            ("student/externalId gt '2'", [3, 4]),
            ("student/externalId ge '2' and student/externalId le '3'", [2, 3]),
            ("'2' lt student/externalId", [3, 4]),
            ("student/birthDate lt 2012-06-01", [1, 2]),
            ("student/birthDate eq 2013-05-17", [3]),
            ("accountEnabled eq false", [3]),
            ("accountEnabled ne true", [3]),
            ("accountEnabled", [1, 2, 4, 5, 6]),
            ("not accountEnabled", [3]),
            ("primaryRole eq 'teacher'", [5, 6]),
            ("primaryRole eq 'TEACHER'", [5, 6]),
            ("primaryRole eq microsoft.graph.educationUserRole'teacher'", [5, 6]),
            ("primaryRole eq graph.educationUserRole'teacher'", [5, 6]),  # by the alias that $metadata declares
            ("primaryRole in ('teacher', 'none')", [5, 6]),
            ("primaryRole in ('teacher')", [5, 6]),
            ("primaryRole in('teacher',)", [5, 6]),
            ("student/externalId in ('1','2' , '9')", [1, 2]),
            ("externalSource eq 'sis'", ALL),
            ("startswith(displayName,'an')", [1]),
            ("startsWith(displayName, 'An')", [1]),
            ("startswith(displayName,'BJø')", [2]),
            ("endswith(userPrincipalName,'@SKOLE.example')", ALL),
            ("contains(department,'%_')", [1]),
            ("contains(department,'_')", [1]),
            ("contains(department,'a%g')", []),
            ("contains(department,'\\')", []),
            ("not startswith(displayName,'an')", [2, 3, 4, 5, 6]),
            ("startswith(displayName,'an') eq true", [1]),
            ("contains(displayName,'an') ne true", [2, 3, 4, 5, 6]),
            ("length(givenName) eq 3", [1]),
            ("length(givenName) gt 5 and indexof(givenName,'l') ge 0", [3]),
            ("indexof(displayName,'LUNDE') eq 4", [1]),
            ("substring(givenName,1) eq 'ne'", [1]),
            ("substring(givenName,0,2) eq 'an'", [1]),
            ("trim(surname) eq 'o''hara'", [4]),
            ("concat(givenName,concat(' ',surname)) eq 'Ane Lunde'", [1]),
            ("tolower(givenName) eq tolower('ANE')", [1]),
            ("year(student/birthDate) eq 2012", [2]),
            ("month(student/birthDate) eq 5 and day(student/birthDate) lt 18", [1, 2, 3, 4]),
            ("refreshTokensValidFromDateTime gt 2026-03-02", [2]),
            ("refreshTokensValidFromDateTime gt 2026-03-02T08:00:00.1234566Z", [2]),
            ("refreshTokensValidFromDateTime lt now()", []),
            ("date(refreshTokensValidFromDateTime) eq 2026-03-02", [2]),
            ("date(refreshTokensValidFromDateTime) ne 2026-03-02", [1, 3, 4, 5, 6]),
            ("date(refreshTokensValidFromDateTime) lt 2026-03-03", [2]),
            ("year(refreshTokensValidFromDateTime) ge 2027", []),
            ("givenName ne surname", ALL),
            ("mailNickname eq givenName", ALL),
            ("relatedContacts/any(c:c/displayName eq 'mor')", [1]),
            ("relatedContacts/any(c:c/relationship eq 'parent' and startswith(c/emailAddress,'mor@'))", [1]),
            ("relatedContacts/any()", [1]),
            ("not relatedContacts/any()", [2, 3, 4, 5, 6]),
            ("relatedContacts/all(c:c/relationship eq 'doctor')", [2, 3, 4, 5, 6]),
            ("businessPhones/any(p:startswith(p,'+47'))", [5]),
            ("not(businessPhones/any(p:p eq '+47 77 00 00 00'))", [1, 2, 3, 4, 6]),
            ("assignedLicenses/any(l:l/skuId eq 4a7e1b3a-0000-4000-8000-000000000001)", []),
            ("classes/any(c:c/classCode eq 'K3')", [3, 6]),
            ("classes/any(c:c/term/externalId eq 'T1' and c/displayName eq 'Klasse 1')", [1, 2, 5]),
            ("taughtClasses/any()", [5, 6]),
            ("not classes/any()", [4]),
            ("schools/all(s:s/displayName eq 'Skole 1')", [1, 2, 4, 5]),
            ("schools/any(s:s/externalId eq 'S2') and primaryRole eq 'student'", [3]),
            ("not contains(department,'zzz')", ALL),
            ("tolower(surname) eq 'lunde'", [1, 2, 3, 5, 6]),
            ("toupper(surname) eq 'lunde'", []),
            ("contains(tolower(surname),'hara')", [4]),
            ("userPrincipalName eq 'ANE@skole.EXAMPLE'", [1]),
            ("userPrincipalName in ('ane@skole.example','else@skole.example')", [1, 5]),
            ("refreshTokensValidFromDateTime eq 2026-03-02T08:00:00.1234567Z", [2]),
            ("refreshTokensValidFromDateTime gt 2026-03-02T09:00:00.1234567+01:00", []),
            ("(((surname eq 'Lunde'))) and (primaryRole eq 'teacher')", [5, 6]),
            ("surname eq 'Lunde' and primaryRole eq 'student' or surname eq 'O''Hara'", [1, 2, 3, 4]),
            ("displayName eq 'x in (''y'')'", []),
            ("true", ALL),
        ],
    )
    def test_find_exactly_whom_they_name(self, still_town: Any, ids: Any, text: str, found: list[int]) -> None:
        """Every operator on every kind of property; null is never equal, texts compare without case, % is a percent."""
        assert people(still_town, ids, text) == found
        count = still_town.get(f"/education/users/$count?$filter={quote(text)}")
        assert count.text == str(len(found))

    def test_find_by_id_in_any_letter_case(self, still_town: Any, ids: Any) -> None:
        """Ids are GUIDs: quoted or bare, upper or lower."""
        key = ids("person", 2)
        for text in (f"id eq '{key}'", f"id eq '{key.upper()}'", f"id eq {key}", f"id in ('{key}')"):
            assert people(still_town, ids, text) == [2]

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "   ",
            "displayName",
            "displayName eq",
            "displayName eq 'open",
            "displayName eq 5",
            "displayName eq true",
            "displayName gt null",
            "accountEnabled eq 'true'",
            "accountEnabled gt false",
            "student/birthDate eq '2011-05-17'",
            "student/birthDate eq 2011-13-45",
            "refreshTokensValidFromDateTime gt 2026-03-02T08:00:00",
            "primaryRole eq 'pupil'",
            "primaryRole gt 'student'",
            "nonsense eq 'x'",
            "student eq null and 1 eq 1",
            "student/nonsense eq 'x'",
            "members/displayName eq 'x'",
            "assignedLicenses/$count ne 0",
            "nonsense(displayName) eq 3",
            "startswith(displayName)",
            "startswith(displayName,5)",
            "startswith('Ane',displayName)",
            "displayName has 'x'",
            "passwordProfile/password eq 'x'",
            "createdBy/application/id eq 'x'",
            "displayName eq 'a' drop table people",
            "not " * 200 + "accountEnabled",
            "tolower(" * 60 + "displayName" + ")" * 60 + " eq 'x'",
            " or ".join(["surname eq 'x'"] * 250),
            "displayName eq '" + "x" * 5000 + "'",
            "displayName eq 'a' " + "and (" * 60 + "accountEnabled" + ")" * 60,
            "id in (" + ",".join(["'x'"] * 500) + ")",
        ],
    )
    def test_that_cannot_be_answered_are_400(self, still_town: Any, text: str) -> None:
        """Wrong, unsupported, mistyped, too long or too deep: always 400 with a sentence, never 500 and never all."""
        for path in ("/education/users", "/education/users/$count"):
            answer = still_town.get(f"{path}?$filter={quote(text)}")
            assert answer.status_code == 400, answer.text
            error = answer.json()["error"]
            assert error["code"] in {"BadRequest", "Request_UnsupportedQuery"}
            assert NEXT_STEP.search(error["message"]), error["message"]

    @pytest.mark.parametrize(
        ("query", "said"),
        [
            ("$filter=surnam eq 'x'", "Did you mean 'surname'?"),
            ("$filter=student/externalid2 eq 'x'", "Did you mean 'student/externalId'?"),
            ("$filter=zzz eq 'x'", "Here can be asked for: accountEnabled, "),
            ("$filter=primaryRole eq 'pupil'", "Its members are student, teacher"),
            ("$filter=student/birthDate eq 'x'", "Write the value as 2026-08-31."),
            ("$filter=accountEnabled eq 'true'", "Write the value as true or false."),
            ("$filter=length(accountEnabled) eq 3", "There are concat, contains, "),
            ("$orderby=surnam", "Did you mean 'surname'?"),
            ("$orderby=surname up", "Write asc or desc behind it."),
            ("$orderby=student", "Here can be asked for: "),
            ("$select=surnam", "Did you mean 'surname'?"),
            ('$search="accountEnabled:x"', "Here can be asked for: "),
            ("$search=(", 'write "text" or "property:text"'),
            ("$expand=class", "Did you mean 'classes'?"),
            ("$expand=classes($top=1)", "$expand=classes($select=id)"),
            ("$skiptoken=x", "start again with the first page"),
        ],
    )
    def test_a_refusal_says_what_to_write_instead(self, still_town: Any, query: str, said: str) -> None:
        """The name that was meant, what there is, or how a value is written; the option is the error's target."""
        option, _, value = query.partition("=")
        error = still_town.get(f"/education/users?{option}={quote(value)}").json()["error"]
        assert said in error["message"], error["message"]
        assert error["target"] == option

    def test_a_refusal_names_nothing_that_may_not_be_seen(self, still_town: Any, ids: Any, token: Any) -> None:
        """To list it would be to say that it can be asked."""
        me = token("EduRoster.ReadBasic", kind="delegated", user_id=ids("person", 1))
        answer = still_town.get(
            "/education/classes/" + ids("class", 1) + "/members?$filter=zzz eq 'x'", authorization=me
        )
        message = answer.json()["error"]["message"]
        assert "displayName" in message
        assert "birthDate" not in message

    @settings(database=None, deadline=None, max_examples=400)
    @given(st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=14).map(" ".join))
    def test_never_fail_in_another_way(self, text: str) -> None:
        """Whatever a client writes is a condition that the database takes, or refused as invalid."""
        try:
            condition = filters.where(text, "educationUser", PERSON.columns)
        except Invalid:
            return
        with ENGINE.connect() as connection:
            connection.execute(select(directory_tables.people.c.id).where(condition)).all()

    @pytest.mark.parametrize("inside", ["{}", "relatedContacts/any(c:{})"])
    def test_as_deep_as_they_may_be_are_read_by_the_database(self, still_town: Any, inside: str) -> None:
        """In every mixture of `not`, `and`, `or` and functions: no deeper is refused, and no less breaks."""
        name = "c/displayName" if "any" in inside else "displayName"
        deep = filters.FUNCTIONS_MAX
        said = {200: 0, 400: 0}
        for layers in (
            ("not ({}",),
            ("not ({} or NAME eq 'a'", "not ({} and NAME eq 'b'"),
            ("({} or NAME eq 'a'", "({} and NAME eq 'b'"),
            ("(NAME eq 'a' or ({}", "not (NAME eq 'b' and not ({}"),
        ):
            for levels in range(filters.DEPTH_MAX - 8, filters.DEPTH_MAX + 3):
                text = f"{'tolower(' * deep}NAME{')' * deep} eq 'x'"
                for level in range(levels):
                    layer = layers[level % len(layers)].format(text)
                    text = layer + ")" * (layer.count("(") - layer.count(")"))
                    if text.count(" or ") + text.count(" and ") + text.count("not ") >= levels:
                        break
                answer = still_town.get(f"/education/users?$filter={quote(inside.format(text.replace('NAME', name)))}")
                assert answer.status_code in said, answer.text
                said[answer.status_code] += 1
        assert all(said.values()), said

    def test_may_have_many_terms_in_a_row(self, still_town: Any, ids: Any) -> None:
        """A long flat chain is fine: its length is bounded, not its shape."""
        text = " or ".join(f"student/externalId eq '{number}'" for number in range(2, 100))
        assert people(still_town, ids, text) == [2, 3, 4]

    def test_work_on_navigations_too(self, still_town: Any, ids: Any) -> None:
        """A filter narrows the members of a class, never widens them."""
        members = f"/education/classes/{ids('class', 1)}/members?$filter="
        path = members + quote("primaryRole eq 'teacher' or true")
        assert len(still_town.ids(path)) == 3
        assert still_town.ids(path.replace(quote(" or true"), "")) == [ids("person", 5)]


class TestOrder:
    @pytest.mark.parametrize(
        ("orderby", "places"),
        [
            ("student/externalId desc", [4, 3, 2, 1, None, None]),
            ("student/externalId", [None, None, 1, 2, 3, 4]),
            ("primaryRole desc, student/externalId", [None, None, 1, 2, 3, 4]),
            ("accountEnabled,student/externalId desc", [3, 4, 2, 1, None, None]),
            ("accountEnabled desc,student/externalId desc", [4, 2, 1, None, None, 3]),
            ("student/birthDate asc", [None, None, 1, 2, 3, 4]),
            ("refreshTokensValidFromDateTime desc,student/externalId desc", [2, 4, 3, 1, None, None]),
        ],
    )
    @pytest.mark.parametrize("size", [1, 2, 5, 100])
    def test_holds_over_every_page_size(
        self, still_town: Any, orderby: str, places: list[int | None], size: int
    ) -> None:
        """Sorted by any property, null smallest, pages of any size add up to the same list."""
        found = still_town.walk(f"/education/users?$orderby={quote(orderby)}&$top={size}&$select=student")
        shown = [person["student"] and int(person["student"]["externalId"]) for person in found]
        assert shown == places

    def test_without_one_is_stable(self, still_town: Any) -> None:
        """Without $orderby the same list comes back each time, whatever the page size."""
        whole = [person["id"] for person in still_town.walk("/education/users")]
        assert whole == [person["id"] for person in still_town.walk("/education/users?$top=1")]
        assert len(set(whole)) == 6


class TestPages:
    def test_end_without_a_link(self, still_town: Any) -> None:
        """The last page has no nextLink, exactly full or not."""
        assert "@odata.nextLink" not in still_town.get("/education/users?$top=6").json()
        assert "@odata.nextLink" in still_town.get("/education/users?$top=5").json()

    def test_repeat_every_option_in_the_link(self, still_town: Any) -> None:
        """A link carries all that was asked, so that it can be followed as it is."""
        asked = "$select=displayName,id&$filter=accountEnabled eq true&$orderby=displayName desc&$top=2&$count=true"
        link = still_town.get(f"/education/users?{asked}").json()["@odata.nextLink"]
        options = parse_qs(urlsplit(link).query)
        assert options["$select"] == ["displayName,id"]
        assert options["$filter"] == ["accountEnabled eq true"]
        assert options["$orderby"] == ["displayName desc"]
        assert options["$top"] == ["2"]
        assert options["$count"] == ["true"]
        found = still_town.walk(f"/education/users?{asked}")
        assert [person["displayName"].split()[0] for person in found] == ["bjørn", "Fredrik", "Else", "Didrik", "Ane"]

    def test_can_be_followed_by_the_token_alone(self, still_town: Any) -> None:
        """A client that takes only $skiptoken from the link, and pastes it unescaped, gets the very same pages."""
        asked = "$select=displayName&$filter=accountEnabled eq true&$orderby=displayName desc&$top=2"
        page, names = still_town.get(f"/education/users?{asked}").json(), list[str]()
        while True:
            names += [person["displayName"].split()[0] for person in page["value"]]
            assert all(set(person) == {"id", "displayName"} for person in page["value"])
            if "@odata.nextLink" not in page:
                break
            token = parse_qs(urlsplit(page["@odata.nextLink"]).query)["$skiptoken"][0]
            assert re.fullmatch(r"[A-Za-z0-9._~-]+", token)
            page = still_town.get("/education/users?$skiptoken=" + token).json()
        assert names == ["bjørn", "Fredrik", "Else", "Didrik", "Ane"]

    def test_survive_people_coming_and_going(self, town: Any, ids: Any, tenant: str) -> None:
        """The object a page ended with may vanish and others may come: nobody else is lost or seen twice."""
        first = town.get("/education/users?$top=3").json()
        seen = [person["id"] for person in first["value"]]
        with town.services.directories.write(tenant) as connection:
            connection.execute(delete(directory_tables.people).where(directory_tables.people.c.id == seen[-1]))
            row = {"tenant": town.numbers[tenant], "created": 1, "changed": 1, "position": 2, "primary_role": "none"}
            for key, person in (
                (901, "00000000-0000-4000-8000-000000000000"),
                (902, "ffffffff-0000-4000-8000-000000000000"),
            ):
                connection.execute(
                    insert(directory_tables.people).values(**row, key=key, id=person, account_name=f"{key}@x")
                )
        rest = [person["id"] for person in town.walk(first["@odata.nextLink"])]
        before = {ids("person", place) for place in ALL}
        assert set(seen) | set(rest) == before | {"ffffffff-0000-4000-8000-000000000000"}
        assert not set(seen) & set(rest)

    def test_are_as_large_as_asked_up_to_the_limit(self, build: Any, furnish: Any, tenant: str) -> None:
        """$top is the page size, cut to the maximum; without it the default holds; maxpagesize is a hint."""
        house = build(page_size=2, page_max=4)
        furnish(house, tenant)
        assert len(house.ids("/education/users")) == 2
        assert len(house.ids("/education/users?$top=3")) == 3
        assert len(house.ids("/education/users?$top=1000000")) == 4
        assert house.ids("/education/users?$top=0") == []
        hinted = house.get("/education/users", headers={"Prefer": "odata.maxpagesize=3"})
        assert len(hinted.json()["value"]) == 3
        assert hinted.headers["preference-applied"] == "odata.maxpagesize=3"
        assert len(house.ids("/education/users?$top=1", headers={"Prefer": "odata.maxpagesize=3"})) == 1
        assert len(house.ids("/education/users", headers={"Prefer": 'maxpagesize="900", x'})) == 4
        assert len(house.walk("/education/users?$top=1")) == 6

    @pytest.mark.parametrize("kind", ["schools", "classes", "users"])
    def test_are_the_same_without_any_wish(self, build: Any, furnish: Any, tenant: str, kind: str) -> None:
        """An application that asks for a whole set as it comes, whose statement stands ready, gets the pages that one
        with a wish gets, to the last of them."""
        house = build(page_size=2)
        furnish(house, tenant)
        plain, wished = (house.get(f"/education/{kind}{wish}").json() for wish in ("", "?$count=false"))
        assert plain["value"] == wished["value"] != []
        assert ("@odata.nextLink" in plain) == ("@odata.nextLink" in wished)
        assert house.walk(f"/education/{kind}") == house.walk(f"/education/{kind}?$top=1")

    def test_may_begin_further_on(self, still_town: Any) -> None:
        """$skip leaves out objects of the first page only; the pages after it go on from there."""
        whole = still_town.ids("/education/users")
        assert still_town.ids("/education/users?$skip=2&$top=2") == whole[2:4]
        assert [person["id"] for person in still_town.walk("/education/users?$skip=1&$top=2")] == whole[1:]
        assert still_town.ids("/education/users?$skip=99") == []

    def test_tell_the_total_once(self, still_town: Any, ids: Any) -> None:
        """$count=true adds the number of all matches to the first page, whatever its size."""
        first = still_town.get("/education/users?$count=true&$top=2&$filter=accountEnabled eq true").json()
        assert first["@odata.count"] == 5
        assert "@odata.count" not in still_town.get(first["@odata.nextLink"]).json()
        assert "@odata.count" not in still_town.get("/education/users?$count=false").json()

    def test_of_one_list_show_nothing_more_on_another(self, still_town: Any, ids: Any) -> None:
        """A token taken to another list is only a place: it opens nothing there."""
        link = still_town.get("/education/users?$top=1").json()["@odata.nextLink"]
        token = parse_qs(urlsplit(link).query)["$skiptoken"][0]
        members = still_town.ids(f"/education/classes/{ids('class', 2)}/members?$skiptoken={token}")
        assert set(members) <= {ids("person", 2), ids("person", 6)}

    @pytest.mark.parametrize(
        "token",
        [
            "kwGA",  # cut off
            "kwKAkA",  # a version of the future
            "kwGAkA",  # no place
            "kwGAkcA",  # null where the id stands
            "kwGAkdlA",  # a text that ends too early
            "kwGBpGV2aWyhMZGgkA",  # an option that a token never holds
            "kwGBp29yZGVyYnmrZGlzcGxheU5hbWWSz___________oXg",  # a number that no database can take
            "gYGBgYGBgYGB",
            "A" * 5000,
            "a+b/c==",
            "é",
        ],
    )
    def test_with_forged_tokens_are_400(self, still_town: Any, token: str) -> None:
        """Whatever is no token of this server is refused."""
        answer = still_town.get(f"/education/users?$skiptoken={quote(token)}")
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"]["code"] == "BadRequest"


class TestSelect:
    def test_leaves_what_is_named_and_the_id(self, still_town: Any, ids: Any) -> None:
        """Only what is named comes back, nested names included, spelled in any letter case; the id always."""
        path = f"/education/users/{ids('person', 1)}"

        def shown(select: str) -> dict[str, Any]:
            body: dict[str, Any] = still_town.get(f"{path}?$select={select}").json()
            return {key: value for key, value in body.items() if not key.startswith("@")}

        key = {"id": ids("person", 1)}
        assert shown("givenName") == {**key, "givenName": "Ane"}
        assert shown("GIVENNAME, id") == {**key, "givenName": "Ane"}
        assert shown("student/grade,student/birthDate") == {**key, "student": {"grade": "5", "birthDate": "2011-05-17"}}
        assert shown("student/grade,student")["student"].keys() > {"grade", "gender"}
        assert shown("classes") == key
        assert shown("*").keys() > {"givenName", "student"}
        assert shown("") == shown("*")

    def test_never_brings_a_password(self, still_town: Any, ids: Any) -> None:
        """passwordProfile is declared, and never comes back, named or not."""
        answer = still_town.get(f"/education/users/{ids('person', 1)}?$select=passwordProfile,givenName")
        assert "password" not in answer.text
