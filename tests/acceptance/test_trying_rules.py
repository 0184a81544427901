"""A person's values are typed in, and what a run would make of them is told: exactly what the run then makes."""

from __future__ import annotations

import uuid

from .house import DOMAIN, Json, Profile, Server, Tenant, matching
from .own import own
from .plan_typing import Typed
from .rosters import DISTRICT, Row
from .test_matching import by_hand

RECIPE = {"username": "{givenName:1}{surname}", "mail": "{alias}@mail.example", "nickname": "p-{alias}"}
NAMES = ("userPrincipalName", "mail", "mailNickname")


def person(row: Row) -> Json:
    """A row of the roster as it is typed in."""
    return {
        "role": "student",
        "sisId": row["SIS ID"],
        "username": row["Username"],
        "givenName": row["First Name"],
        "surname": row["Last Name"],
    }


def tried(profile: Profile, **values: object) -> Json:
    answer: Json = own(profile.tenant, "viewer")("POST", f"/profiles/{profile.id}/identify", values, expect=200).json()
    return answer


def test_what_is_told_is_what_a_run_makes(server: Server) -> None:
    """Names, mail and ids told beforehand are those of the accounts afterwards; asking changes nothing."""
    profile = Tenant(server).profile()
    path = f"/profiles/{profile.id}"
    admin = own(profile.tenant, "admin")
    admin("PATCH", f"{path}/settings", {"recipes": {"student": RECIPE}}, expect=200)
    told = {row["SIS ID"]: tried(profile, **person(row)) for row in DISTRICT.students[:2]}
    assert {one["outcome"] for one in told.values()} == {"creates"}
    assert profile.tenant.objects()["users"] == {}
    assert profile.sync(DISTRICT.files())["status"] == "success"
    users = {one["student"]["externalId"]: one for one in profile.tenant.reader.all("/users") if one["student"]}
    second = {sis_id for sis_id, one in told.items() if users[sis_id]["mailNickname"] != one["mailNickname"]}
    assert all(users[sis_id]["mailNickname"].startswith(told[sis_id]["mailNickname"]) for sis_id in second)
    assert len(second) < len(told), "only who comes second of one name is called otherwise"
    for sis_id in told.keys() - second:
        assert {name: told[sis_id][name] for name in NAMES} == {name: users[sis_id][name] for name in NAMES}
        assert told[sis_id]["objectId"] == users[sis_id]["id"]
    before, saved = profile.tenant.objects(), admin.get(f"{path}/settings")
    row = DISTRICT.students[0]
    kept = tried(profile, **person(row))
    assert (kept["outcome"], kept["account"]["id"]) == ("keeps", users[row["SIS ID"]]["id"])
    namesake = tried(profile, **{**person(row), "sisId": "3999"})
    stem = users[row["SIS ID"]]["mailNickname"]
    assert (namesake["outcome"], namesake["mailNickname"]) == ("creates", f"{stem}2")
    told_there = Typed(profile)("identify", "student", "givenName=Zoë", "surname=Ødegård").stdout
    assert f"user name: zodegard@{DOMAIN}" in told_there
    unsaved = {"settings": {"recipes": {"student": {"username": "{surname}{sisId}", "nickname": None}}}}
    other = tried(profile, **{**person(row), "sisId": "3999"}, **unsaved)
    assert (other["outcome"], other["mailNickname"], other["mail"]) == (
        "creates",
        "muller3999",
        "muller3999@mail.example",
    )
    refused = tried(profile, **{**person(row), "sisId": "3999"}, settings={"recipes": {"student": {"counter": False}}})
    assert refused["outcome"] == "refused"
    assert "somebody has the sign-in name" in " ".join(refused["answer"])
    assert (profile.tenant.objects(), admin.get(f"{path}/settings")) == (before, saved)
    by_hand(profile.tenant, "somebody", mailNickname="Muller3998")
    beside = tried(profile, **{**person(row), "sisId": "3998"}, **unsaved)
    assert beside["mailNickname"] == "muller39982", "the nickname that the first name would make is somebody's"
    wrong = own(profile.tenant, "viewer")
    assert (
        "at least one" in wrong.refusal("POST", f"{path}/identify", 400, {"role": "student", "sisId": " "})["message"]
    )
    for body in (
        {"role": "head"},
        {"role": "student", "settings": {"recipes": {"student": {"username": "{firstname}"}}}},
        {"role": "student", "settings": {"guards": {}}},
        {"role": "student", "configuration": {"displayName": "x"}},
        {"role": "student", "configuration": {"identitySynchronizationConfiguration": {"userDomains": []}}},
    ):
        wrong.refusal("POST", f"{path}/identify", 400, {"sisId": "1", **body})
    wrong.refusal("POST", f"/profiles/{uuid.uuid4()}/identify", 404, person(row))
    own(profile.tenant, "auditor").refusal("POST", f"{path}/identify", 403, person(row))
    noted = own(profile.tenant, "auditor").get("/audit?operation=identify")["value"]
    assert noted
    assert all(row[name] not in str(noted) for name in ("First Name", "Last Name", "Username"))


def test_which_account_matches(server: Server) -> None:
    """A profile that matches names the account it finds, none, or that there are two and none is guessed."""
    tenant = Tenant(server)
    profile = tenant.profile(matching("mailNickname", "Username", None))
    made = by_hand(tenant, "zmuller")
    found = tried(profile, role="student", username=" ZMuller ")
    assert (found["outcome"], found["account"]["id"]) == ("takesOver", made["id"])
    assert found["lookedFor"] == [{"property": "mailNickname", "value": "ZMuller", "accounts": 1}]
    nobody = tried(profile, role="student", username="nobody")
    assert (nobody["outcome"], nobody["account"]) == ("refused", None)
    assert "no user of the directory matches" in " ".join(nobody["answer"])
    by_hand(tenant, "zmuller2", mailNickname="zmuller")
    two = tried(profile, role="student", username="zmuller")
    assert (two["outcome"], two["lookedFor"][0]["accounts"]) == ("refused", 2)
    assert "none is guessed" in " ".join(two["answer"])
    options = matching("userPrincipalName", "Username", DOMAIN)["identitySynchronizationConfiguration"]
    by_name = {"configuration": {"identitySynchronizationConfiguration": options}}
    one = tried(profile, role="student", username="zmuller", **by_name)
    assert (one["outcome"], one["account"]["id"]) == ("takesOver", made["id"]), "by a rule that nobody has saved"
    assert one["lookedFor"] == [{"property": "userPrincipalName", "value": f"zmuller@{DOMAIN}", "accounts": 1}]
    other = Tenant(server)
    assert (
        tried(other.profile(matching("mailNickname", "Username", None)), role="student", username="zmuller")["outcome"]
        == "refused"
    ), "accounts of another tenant are not seen"
