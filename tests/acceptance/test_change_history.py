"""Which objects were changed, by which run or by whose hand: over all profiles, filtered, page by page."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import date, timedelta

from .house import Json, Server, Tenant, creation
from .own import own
from .rosters import DISTRICT
from .test_matching import by_hand
from .typing_here import typed_here


def test_changes_of_runs_and_of_people(server: Server) -> None:
    """The newest first, each with its run or as made by hand; pages, however small, hold every change once."""
    tenant = Tenant(server)
    first = tenant.profile()
    assert first.sync(DISTRICT.files())["status"] == "success"
    (zoe,) = tenant.reader.get("/users?$filter=student/externalId eq '3001'")["value"]
    tenant.reader("PATCH", f"/users/{zoe['id']}", {"middleName": "Anna"}, expect=200)
    made = by_hand(tenant, "guest")
    tenant.reader("DELETE", f"/users/{made['id']}", expect=204)
    second = tenant.profile(creation(displayName="Another"))
    viewer, path = own(tenant, "viewer"), f"/profiles/{first.id}/runs"

    def changes(**wanted: object) -> list[Json]:
        asked = "&".join(f"{name}={value}" for name, value in wanted.items())
        return viewer.all(f"/changes?{asked}")

    assert first.sync(DISTRICT.changed("students", "3002", Grade="9").files())["status"] == "success"
    found = changes()
    assert [one["at"] for one in found] == sorted((one["at"] for one in found), reverse=True)
    steps = [one for one in found if one["by"] == "run"]
    planned = viewer.all(f"{path}/2/plan/steps") + viewer.all(f"{path}/1/plan/steps")
    assert [(one["op"], one["objectId"], one["memberId"]) for one in steps] == [
        (one["op"], one["objectId"], one["memberId"]) for one in planned
    ]
    assert {(one["profile"], one["run"]) for one in steps} == {(first.id, 1), (first.id, 2)}
    hand = [one for one in found if one["by"] == "hand"]
    assert [(one["op"], one["kind"], one["objectId"]) for one in hand] == [
        ("remove", "person", made["id"]),
        ("create", "person", None),
        ("update", "person", zoe["id"]),
    ]
    assert (hand[2]["name"], hand[2]["members"], hand[2]["actor"]) == (zoe["displayName"], "middleName", None)
    assert found.index(hand[0]) > 0, "the second run is newer"
    assert found[-1]["run"] == 1

    for limit in (2, 7):
        paged = viewer.all(f"/changes?limit={limit}")
        assert Counter(map(str, paged)) == Counter(map(str, found))
        assert paged == found

    assert changes(by="hand") == hand
    assert changes(profile=first.id) == steps
    assert changes(profile=second.id) == []
    assert [one["op"] for one in changes(kind="student", op="update")] == ["update", "update"]
    assert {one["by"] for one in changes(kind="student", op="update")} == {"run", "hand"}
    about = changes(object=zoe["id"])
    assert about == [one for one in found if zoe["id"] in (one["objectId"], one["memberId"])]
    assert {one["by"] for one in about} == {"run", "hand"}
    today = date.fromisoformat(found[0]["at"][:10])
    assert changes(since=today - timedelta(days=1), until=today) == found
    assert changes(until=today - timedelta(days=2)) == changes(since=today + timedelta(days=1)) == []

    where = ["--tenant", tenant.id, "--server", server.base, "--data-dir", server.data, "--user", "ada@skole.example"]
    told = typed_here("changes", "--by", "hand", "--limit", "2", "--json", *where)
    assert [json.loads(line) for line in told.stdout.splitlines()] == hand[:2], told.stderr
    told = typed_here("changes", "--profile", "Nordkapp", "--kind", "student", "--op", "update", *where)
    assert re.search(r"update student .+ \(3002\): run 2 of profile \S+ \(.*student_grade.*\)\n", told.stdout)

    auditing = own(tenant, "viewer", "auditor").get("/changes?by=hand&limit=1")["value"]
    assert auditing[0]["actor"]
    own(tenant, "auditor").refusal("GET", "/changes", 403)
    for wrong in (
        "after=1",
        "after=x.y.z.1",
        "after=9999999999999999999.-.-2.-",
        "since=soon",
        "by=robots",
        "until=9999-12-31",
    ):
        viewer.refusal("GET", f"/changes?{wrong}", 400)
    assert own(Tenant(server), "viewer").get("/changes")["value"] == []
