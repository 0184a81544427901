"""`$batch`, in the dialects of both SDKs; each request counts as if it had come alone."""

from __future__ import annotations

import base64
from typing import Any

import pytest

NEW = {
    "displayName": "Gro Lie",
    "accountEnabled": True,
    "mailNickname": "gro",
    "userPrincipalName": "gro@skole.example",
    "passwordProfile": {"password": "x"},
}


def batch(house: Any, *requests: dict[str, Any], version: str = "v1.0", **more: Any) -> dict[str, dict[str, Any]]:
    """The answers by id."""
    answer = house.send("POST", f"/{version}/$batch", {"requests": list(requests)}, **more)
    assert answer.status_code == 200, answer.text
    responses = answer.json()["responses"]
    assert [one["id"] for one in responses] == [str(one["id"]) for one in requests]
    return {one["id"]: one for one in responses}


class TestABatch:
    def test_answers_each_request_as_if_it_had_come_alone(self, town: Any, ids: Any) -> None:
        """Reads, writes, texts, errors, nothing: status, headers and body of each."""
        person = ids("person", 1)
        answers = batch(
            town,
            {"id": "read", "method": "GET", "url": f"/education/users/{person}"},
            {"id": "list", "method": "get", "url": "education/users?$top=2&$orderby=displayName desc"},
            {"id": "count", "method": "GET", "url": "/education/users/$count?$filter=surname eq 'Lunde'"},
            {"id": "patch", "method": "PATCH", "url": f"/education/users/{person}", "body": {"department": "X"},
             "headers": {"content-type": "application/json", "prefer": "return=minimal"}},
            {"id": "make", "method": "POST", "url": "/education/users", "body": NEW,
             "headers": {"Content-Type": "application/json"}},
            {"id": "gone", "method": "DELETE", "url": "/education/users/99999999-9999-4999-8999-999999999999"},
            {"id": "metadata", "method": "GET", "url": "/$metadata"},
            {"id": "method", "method": "DELETE", "url": "/education/me"},
        )  # fmt: skip
        read = town.get(f"/education/users/{person}").json()
        assert answers["read"]["body"] | {"department": "X", "@odata.etag": ""} == read | {"@odata.etag": ""}
        assert answers["read"]["headers"]["Content-Type"].startswith("application/json;odata.metadata=minimal")
        assert len(answers["list"]["body"]["value"]) == 2
        assert town.get(answers["list"]["body"]["@odata.nextLink"]).status_code == 200
        assert base64.b64decode(answers["count"]["body"]) == b"5"
        assert (answers["patch"]["status"], "body" in answers["patch"]) == (204, False)
        assert answers["make"]["status"] == 201
        assert town.get(answers["make"]["headers"]["Location"]).json()["displayName"] == "Gro Lie"
        error = answers["gone"]["body"]["error"]
        assert (answers["gone"]["status"], error["code"]) == (404, "Request_ResourceNotFound")
        assert error["innerError"]["request-id"]
        assert b"edmx" in base64.b64decode(answers["metadata"]["body"])
        assert (answers["method"]["status"], answers["method"]["headers"]["Allow"].split(", ")[0]) == (405, "GET")

    @pytest.mark.parametrize(
        "spelling",
        [
            *("/education/users/{}", "education/users/{}", "/v1.0/education/users/{}", "/beta/education/users/{}"),
            *("https://sds.example.org/beta/education/users/{}", "HTTPS://SDS.example.org//education/users/{}"),
            *("/education/users('{}')", "/education/users/{}?$select=id%2CdisplayName", "//education/users/{}"),
        ],
    )
    def test_takes_every_spelling_of_an_address(self, still_town: Any, ids: Any, spelling: str) -> None:
        """Relative and absolute, with and without slash and version, encoded and not."""
        person = ids("person", 1)
        for version in ("v1.0", "beta"):
            request = {"id": "1", "method": "GET", "url": spelling.format(person)}
            assert batch(still_town, request, version=version)["1"]["body"]["id"] == person

    def test_runs_what_depends_on_others_after_them(self, town: Any, ids: Any) -> None:
        """dependsOn and depends_on; what needs a failed request is 424, and so is what needs that."""
        person = f"/education/users/{ids('person', 1)}"

        def patch(name: str, body: dict[str, Any], **needs: Any) -> dict[str, Any]:
            json = {"Content-Type": "application/json"}
            return {"id": name, "method": "PATCH", "url": person, "body": body, "headers": json, **needs}

        answers = batch(
            town,
            {"id": "c", "method": "GET", "url": person, "dependsOn": ["B"]},
            patch("b", {"department": "B"}, depends_on=["a"]),
            patch("a", {"department": "A"}, depends_on=[]),
            patch("bad", {"shoes": 1}, dependsOn=["c"]),
            patch("not", {"department": "N"}, dependsOn=["bad"]),
            {"id": "nor", "method": "DELETE", "url": person, "dependsOn": ["not"], "depends_on": None},
        )
        assert {name: one["status"] for name, one in answers.items()} == {
            "a": 200,
            "b": 200,
            "c": 200,
            "bad": 400,
            "not": 424,
            "nor": 424,
        }
        assert answers["c"]["body"]["department"] == "B"
        assert answers["nor"]["body"]["error"]["code"] == "FailedDependency"
        assert town.get(person).json()["department"] == "B"

    def test_authorizes_each_request_with_the_token_of_the_whole(self, town: Any, token: Any, ids: Any) -> None:
        """A permission that opens the batch opens no request that it would not open alone; an item brings no token."""
        reader = token("EduRoster.Read.All")
        writer = town.authorization
        person = f"/education/users/{ids('person', 1)}"
        answers = batch(
            town,
            {"id": "1", "method": "GET", "url": person},
            {"id": "2", "method": "DELETE", "url": person, "headers": {"Authorization": writer}},
            {"id": "3", "method": "GET", "url": "/education/synchronizationProfiles"},
            {"id": "4", "method": "GET", "url": "/education/me"},
            authorization=reader,
        )
        assert [one["status"] for one in answers.values()] == [200, 403, 403, 400]
        assert town.get(person).status_code == 200
        assert town.send("POST", "/$batch", {"requests": []}, authorization=None).status_code == 401

    def test_says_of_a_request_what_is_wrong_with_it(self, town: Any) -> None:
        """A wrong address, method or body is that request's 400 alone."""
        wrong: list[dict[str, Any]] = [
            {"method": "GET", "url": "https://graph.microsoft.com/v1.0/education/users"},
            {"method": "GET", "url": "https://[/education"},
            {"method": "GET", "url": "/education/lunch"},
            {"method": "BREW", "url": "/education/users"},
            {"method": "POST", "url": "/$batch", "body": {"requests": []}},
            {"method": "POST", "url": "/v1.0//$BATCH/", "body": {"requests": []}},
            {"method": "POST", "url": "/education/users", "body": "not base64"},
            {"method": "POST", "url": "/education/users", "body": base64.b64encode(b"{}").decode()},
            {"method": "POST", "url": "/education/users"},
            {"method": "POST", "url": "/education/users", "body": [1]},
            {"method": "GET", "url": "/education/users?$filter=" + "x" * 9000},
            {"method": "GET", "url": "/education/users/\x00"},
        ]
        answers = batch(town, *({"id": number, **one} for number, one in enumerate(wrong)))
        for one in answers.values():
            assert one["status"] == 400, one
            assert one["body"]["error"]["message"]

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"requests": {}},
            {"requests": []},
            {"requests": [1]},
            {"requests": [{"method": "GET", "url": "/education"}]},
            {"requests": [{"id": "", "method": "GET", "url": "/education"}]},
            {"requests": [{"id": "1", "url": "/education"}]},
            {"requests": [{"id": "1", "method": "GET"}]},
            {"requests": [{"id": "a", "method": "GET", "url": "/x"}, {"id": "A", "method": "GET", "url": "/x"}]},
            {"requests": [{"id": str(number), "method": "GET", "url": "/education"} for number in range(21)]},
            {"requests": [{"id": "1", "method": "GET", "url": "/x", "dependsOn": ["2"]}]},
            {"requests": [{"id": "1", "method": "GET", "url": "/x", "dependsOn": ["1"]}]},
            {"requests": [{"id": "1", "method": "GET", "url": "/x", "dependsOn": "1"}]},
            {"requests": [{"id": "1", "method": "GET", "url": "/x", "headers": []}]},
            {"requests": [{"id": "1", "method": "GET", "url": "/x", "headers": {"a b": "c"}}]},
            {"requests": [{"id": "1", "method": "GET", "url": "/x", "headers": {"a": "b\r\nc: d"}}]},
            {
                "requests": [
                    {"id": "1", "method": "GET", "url": "/x", "dependsOn": ["2"]},
                    {"id": "2", "method": "GET", "url": "/x", "dependsOn": ["1"]},
                ]
            },
        ],
    )
    def test_that_cannot_be_read_is_400_as_a_whole(self, still_town: Any, body: Any) -> None:
        """Too many, none, without ids or addresses, twice the same id, dependencies that lead nowhere or round."""
        answer = still_town.send("POST", "/$batch", body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BadRequest")


def test_the_service_document_lists_what_there_is(still_town: Any) -> None:
    """GET below the version: the sets and singletons, each of which answers."""
    for version in ("v1.0", "beta"):
        body = still_town.get(f"/{version}").json()
        assert body["@odata.context"].endswith(f"/{version}/$metadata")
        assert {one["name"] for one in body["value"]} == {"users", "groups", "directory", "education"}
        for one in body["value"]:
            if one["kind"] == "EntitySet":
                assert still_town.get(f"/{version}/{one['url']}").status_code == 200
