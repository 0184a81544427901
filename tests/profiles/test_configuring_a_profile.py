"""What a person may set on a profile, what is refused, and what is read back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from schoolsync import ticks
from schoolsync.errors import Invalid
from schoolsync.plan.policy import KINDS, Customization, Matching
from schoolsync.profiles import configuration, customizations
from schoolsync.profiles.policy import policy_of

NOW = ticks.parse("2026-03-02T08:00:00Z")
LATER = ticks.parse("2026-09-01T06:30:00.1234567Z")
G = "#microsoft.graph."
CSV: dict[str, Any] = {"@odata.type": configuration.CSV}
CREATION: dict[str, Any] = {
    "@odata.type": configuration.CREATION,
    "userDomains": [
        {"appliesTo": "student", "name": "elev.example"},
        {"appliesTo": "teacher", "name": "skole.example"},
    ],
}
MATCHING: dict[str, Any] = {
    "@odata.type": configuration.MATCHING,
    "matchingOptions": [
        {
            "appliesTo": "student",
            "sourcePropertyName": "Username",
            "targetPropertyName": "userPrincipalName",
            "targetDomain": "elev.example",
        },
        {"appliesTo": "teacher", "sourcePropertyName": "Secondary Email", "targetPropertyName": "mail"},
    ],
}
ONEROSTER: dict[str, Any] = {
    "@odata.type": configuration.ONEROSTER,
    "connectionUrl": "https://sis.example/ims/oneroster/v1p1",
    "connectionSettings": {
        "@odata.type": configuration.OAUTH2,
        "clientId": "id-1",
        "clientSecret": "hush-hush",
        "tokenUrl": "https://sis.example/token",
    },
    "schoolsIds": ["a", "b"],
}
POWERSCHOOL: dict[str, Any] = {
    "@odata.type": configuration.POWERSCHOOL,
    "connectionUrl": "https://ps.example",
    "clientId": "id-2",
    "clientSecret": "hush-hush",
    "schoolYear": "2026",
    "allowTeachersInMultipleSchools": False,
}
SECRET_OF = {
    configuration.ONEROSTER: "dataProvider/connectionSettings/clientSecret",
    configuration.POWERSCHOOL: "dataProvider/clientSecret",
}


def _body(**members: Any) -> dict[str, Any]:
    return {
        "displayName": "Nordkapp",
        "dataProvider": CSV,
        "identitySynchronizationConfiguration": CREATION,
        **members,
    }


class Row:
    """A row of `profiles`, as the database gives it."""

    def __init__(self, made: configuration.Configuration) -> None:
        self.__dict__ |= made.columns() | {"id": "p", "state": "provisioned", "policy": "{}", "key_space": "default"}


def _created(**members: Any) -> configuration.Configuration:
    return configuration.created(_body(**members), now=NOW)


def _merged(before: configuration.Configuration, now: int = NOW, **members: Any) -> configuration.Configuration:
    return configuration.merged(before, members, created=NOW, now=now)


@pytest.mark.parametrize(
    ("members", "target"),
    [
        ({"displayName": None}, "displayName"),
        ({"displayName": " \t"}, "displayName"),
        ({"displayName": "x" * 257}, "displayName"),
        ({"dataProvider": None}, "dataProvider"),
        ({"dataProvider": {}}, "dataProvider"),
        ({"identitySynchronizationConfiguration": None}, "identitySynchronizationConfiguration"),
        ({"dataProvider": {**ONEROSTER, "connectionUrl": None}}, "dataProvider/connectionUrl"),
        ({"dataProvider": {**ONEROSTER, "connectionUrl": "sis.example"}}, "dataProvider/connectionUrl"),
        ({"dataProvider": {**ONEROSTER, "connectionUrl": "ftp://sis.example"}}, "dataProvider/connectionUrl"),
        ({"dataProvider": {**ONEROSTER, "connectionUrl": "https://me:pw@sis.example"}}, "dataProvider/connectionUrl"),
        ({"dataProvider": {**ONEROSTER, "connectionUrl": "https://[::1"}}, "dataProvider/connectionUrl"),
        ({"dataProvider": {**ONEROSTER, "connectionSettings": None}}, "dataProvider/connectionSettings"),
        (
            {"dataProvider": {**ONEROSTER, "connectionSettings": {"@odata.type": configuration.OAUTH1}}},
            "dataProvider/connectionSettings/clientId",
        ),
        (
            {
                "dataProvider": {
                    **ONEROSTER,
                    "connectionSettings": {"@odata.type": configuration.OAUTH2, "clientId": "x"},
                }
            },
            "dataProvider/connectionSettings/tokenUrl",
        ),
        ({"dataProvider": {**ONEROSTER, "schoolsIds": ["a", " "]}}, "dataProvider/schoolsIds"),
        ({"dataProvider": {**POWERSCHOOL, "clientId": ""}}, "dataProvider/clientId"),
        ({"dataProvider": {**POWERSCHOOL, "clientSecret": " "}}, "dataProvider/clientSecret"),
        (
            {"dataProvider": {**CSV, "customizations": {"student": {"optionalPropertiesToSync": ["Shoe Size"]}}}},
            "dataProvider/customizations/student/optionalPropertiesToSync",
        ),
        (
            {"dataProvider": {**CSV, "customizations": {"teacherRoster": {"optionalPropertiesToSync": ["Status"]}}}},
            "dataProvider/customizations/teacherRoster/optionalPropertiesToSync",
        ),
        (
            {"dataProvider": {**CSV, "customizations": {"studentEnrollment": {"synchronizationStartDate": NOW}}}},
            "dataProvider/customizations/studentEnrollment/synchronizationStartDate",
        ),
        (
            {"identitySynchronizationConfiguration": {**CREATION, "userDomains": []}},
            "identitySynchronizationConfiguration/userDomains",
        ),
        (
            {
                "identitySynchronizationConfiguration": {
                    **CREATION,
                    "userDomains": [{"appliesTo": "student", "name": "@elev.example"}],
                }
            },
            "identitySynchronizationConfiguration/userDomains/name",
        ),
        (
            {
                "identitySynchronizationConfiguration": {
                    **CREATION,
                    "userDomains": [{"appliesTo": "none", "name": "elev.example"}],
                }
            },
            "identitySynchronizationConfiguration/userDomains/appliesTo",
        ),
        (
            {"identitySynchronizationConfiguration": {**CREATION, "userDomains": CREATION["userDomains"][:1] * 2}},
            "identitySynchronizationConfiguration/userDomains",
        ),
        (
            {
                "identitySynchronizationConfiguration": {
                    **MATCHING,
                    "matchingOptions": [{**MATCHING["matchingOptions"][0], "sourcePropertyName": ""}],
                }
            },
            "identitySynchronizationConfiguration/matchingOptions/sourcePropertyName",
        ),
        (
            {
                "identitySynchronizationConfiguration": MATCHING,
                "licensesToAssign": [{"appliesTo": "student", "skuIds": []}],
            },
            "licensesToAssign",
        ),
        ({"licensesToAssign": [{"appliesTo": "student", "skuIds": ["E5"]}]}, "licensesToAssign/skuIds"),
        ({"licensesToAssign": [{"appliesTo": "faculty", "skuIds": []}]}, "licensesToAssign/appliesTo"),
        ({"expirationDate": "2027-09-03"}, "expirationDate"),
    ],
)
def test_what_cannot_be_is_refused_by_name(members: dict[str, Any], target: str) -> None:
    """A wrong value is refused, and the refusal names the member."""
    with pytest.raises(Invalid) as caught:
        _created(**members)
    assert caught.value.target == target


@pytest.mark.parametrize("provider", [CSV, ONEROSTER, POWERSCHOOL])
@pytest.mark.parametrize("identity", [CREATION, MATCHING])
def test_what_was_set_is_read_back(provider: dict[str, Any], identity: dict[str, Any]) -> None:
    """Every kind of provider and identity rule is read back as it was written, secrets aside."""
    made = _created(dataProvider=provider, identitySynchronizationConfiguration=identity, expirationDate="2027-09-02")
    shown = configuration.shown(Row(made))
    secretless = json.loads(json.dumps(provider))
    secretless.pop("clientSecret", None)
    secretless.get("connectionSettings", {}).pop("clientSecret", None)
    assert secretless.items() <= shown["dataProvider"].items()
    assert shown["identitySynchronizationConfiguration"] == identity
    assert (shown["displayName"], shown["expirationDate"]) == ("Nordkapp", "2027-09-02")


def test_the_last_day_is_eighteen_months_away_at_most() -> None:
    """The limit counts months of the calendar, from the creation, and a shorter month ends it earlier."""
    created = ticks.parse("2026-08-31T23:00:00Z")
    assert configuration.created(_body(expirationDate="2028-02-29"), now=created).expiration_date == "2028-02-29"
    with pytest.raises(Invalid, match="2028-02-29"):
        configuration.created(_body(expirationDate="2028-03-01"), now=created)
    before = configuration.created(_body(), now=created)
    much_later = created + 400 * 86_400 * ticks.PER_SECOND
    with pytest.raises(Invalid):
        configuration.merged(before, {"expirationDate": "2028-03-01"}, created=created, now=much_later)


def test_all_six_customizations_are_shown() -> None:
    """Whatever was customized, all six kinds are shown with every property, defaults filled in."""
    made = _created(dataProvider={**CSV, "customizations": {"student": {"optionalPropertiesToSync": ["State ID"]}}})
    shown = configuration.shown(Row(made))["dataProvider"]["customizations"]
    assert tuple(shown) == KINDS
    assert shown["student"]["optionalPropertiesToSync"] == ["State ID"]
    assert len(shown["teacher"]["optionalPropertiesToSync"]) == 7
    assert shown["teacherRoster"] == {
        "optionalPropertiesToSync": [],
        "synchronizationStartDate": 0,
        "isSyncDeferred": False,
        "allowDisplayNameUpdate": False,
    }
    assert ticks.text(shown["school"]["synchronizationStartDate"]) == "0001-01-01T00:00:00Z"


def test_column_names_are_taken_in_any_spelling() -> None:
    """Published samples write column names in several ways; all are understood and kept in one."""
    names = ["GradeLow", "grade high", "School NCES ID", "SIS ID"]
    made = _created(dataProvider={**CSV, "customizations": {"school": {"optionalPropertiesToSync": names}}})
    assert made.data_provider["customizations"]["school"]["optionalPropertiesToSync"] == [
        "Grade Low",
        "Grade High",
        "School NCES_ID",
    ]


_CUSTOMIZATIONS = some.dictionaries(
    some.sampled_from(KINDS),
    some.none()
    | some.fixed_dictionaries(
        {},
        optional={
            "isSyncDeferred": some.sampled_from([None, True, False]),
            "allowDisplayNameUpdate": some.sampled_from([None, True, False]),
            "synchronizationStartDate": some.sampled_from([None, 0, LATER]),
        },
    ),
)


@given(_CUSTOMIZATIONS, some.sampled_from([CSV, ONEROSTER, POWERSCHOOL]), some.sampled_from([CREATION, MATCHING]))
def test_writing_back_what_was_read_changes_nothing(
    custom: dict[str, Any], provider: dict[str, Any], identity: dict[str, Any]
) -> None:
    """Read, then PATCH or PUT the same: nothing changes, even when a start date has passed meanwhile."""
    made = _created(
        dataProvider={**provider, "customizations": custom},
        identitySynchronizationConfiguration=identity,
        handleSpecialCharacterConstraint=True,
        expirationDate="2026-12-31",
    )
    read = configuration.shown(Row(made))
    for way in (configuration.merged, configuration.replaced):
        assert way(made, read, created=NOW, now=LATER + 1) == made


@given(_CUSTOMIZATIONS, _CUSTOMIZATIONS)
def test_customizations_merge_property_by_property(first: dict[str, Any], second: dict[str, Any]) -> None:
    """PATCH changes what it names: other kinds and other properties of a kind stay, null is the default again."""
    before = _created(dataProvider={**CSV, "customizations": first})
    after = _merged(before, dataProvider={**CSV, "customizations": second})
    was = customizations.shown(before.data_provider.get("customizations", {}))
    now = customizations.shown(after.data_provider.get("customizations", {}))
    default = customizations.shown({})
    for kind in KINDS:
        for name in default[kind]:
            if kind not in second:
                expected = was[kind][name]
            elif second[kind] is None or second[kind].get(name, "") is None:
                expected = default[kind][name]
            else:
                expected = second[kind].get(name, was[kind][name])
            assert now[kind][name] == expected


def test_a_patch_keeps_what_it_does_not_name() -> None:
    """PATCH of one member leaves the others; null clears what may be empty."""
    before = _created(expirationDate="2026-12-31", handleSpecialCharacterConstraint=True)
    after = _merged(before, displayName="Hammerfest")
    assert (after.display_name, after.expiration_date, after.special_characters) == ("Hammerfest", "2026-12-31", True)
    assert (after.data_provider, after.identity) == (before.data_provider, before.identity)
    assert _merged(before, expirationDate=None).expiration_date is None
    with pytest.raises(Invalid):
        _merged(before, displayName=None)
    with pytest.raises(Invalid):
        _merged(before, dataProvider=None)
    with pytest.raises(Invalid):
        _merged(before, identitySynchronizationConfiguration=None)


def test_a_put_puts_the_rest_back_to_its_default() -> None:
    """PUT is the whole profile: what it does not name is unset."""
    before = _created(
        expirationDate="2026-12-31", dataProvider={**CSV, "customizations": {"school": {"isSyncDeferred": True}}}
    )
    after = configuration.replaced(before, _body(), created=NOW, now=NOW)
    assert after.expiration_date is None
    assert after.data_provider == CSV


def test_a_provider_of_another_type_starts_afresh() -> None:
    """PATCH with another type of provider keeps nothing of the old one."""
    before = _created(dataProvider=ONEROSTER)
    after = _merged(before, dataProvider=CSV)
    assert after.data_provider == CSV
    assert after.secrets == {}
    with pytest.raises(Invalid) as caught:
        _merged(before, dataProvider={"@odata.type": configuration.POWERSCHOOL})
    assert caught.value.target == "dataProvider/connectionUrl"


def test_licenses_do_not_survive_a_change_to_matching() -> None:
    """Who turns a profile to matching is told to take the licenses away."""
    sku = "94763226-9B3C-4E75-A931-5C89701ABE66"
    before = _created(licensesToAssign=[{"appliesTo": "teacher", "skuIds": [sku]}])
    assert before.licenses == [{"appliesTo": "teacher", "skuIds": [sku.lower()]}]
    with pytest.raises(Invalid) as caught:
        _merged(before, identitySynchronizationConfiguration=MATCHING)
    assert caught.value.target == "licensesToAssign"
    after = _merged(before, identitySynchronizationConfiguration=MATCHING, licensesToAssign=[])
    assert after.licenses == []


@pytest.mark.parametrize("provider", [ONEROSTER, POWERSCHOOL])
def test_a_secret_goes_in_and_never_comes_out(provider: dict[str, Any]) -> None:
    """Neither the stored columns nor what is shown nor a log line holds the secret."""
    made = _created(dataProvider=provider)
    assert made.secrets == {SECRET_OF[provider["@odata.type"]]: "hush-hush"}
    assert "hush" not in json.dumps([made.columns(), configuration.shown(Row(made))])
    assert "hush" not in repr(made)


def _other(provider: dict[str, Any], **settings: Any) -> dict[str, Any]:
    """`provider` as a client that does not know the secret writes it back, with other `settings`."""
    result = json.loads(json.dumps(provider))
    place = result.get("connectionSettings", result)
    place.pop("clientSecret")
    for name, value in settings.items():
        (place if name in ("clientId", "tokenUrl", "scope", "clientSecret") else result)[name] = value
    return dict(result)


@pytest.mark.parametrize("way", [configuration.merged, configuration.replaced])
@pytest.mark.parametrize("provider", [ONEROSTER, POWERSCHOOL])
@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({}, True),
        ({"schoolsIds": ["z"]}, True),
        ({"connectionUrl": "{base}/another/path"}, True),
        ({"connectionUrl": "https://thief.example/ims"}, False),
        ({"connectionUrl": "{base}:8443"}, False),
        ({"connectionUrl": "{plain}"}, False),
        ({"clientId": "id-3"}, False),
    ],
)
def test_a_secret_stays_where_it_was_given_for(
    way: Any, provider: dict[str, Any], settings: dict[str, Any], kept: bool
) -> None:
    """A write without the secret keeps it, unless it would be sent elsewhere or for someone else."""
    host = provider["connectionUrl"].split("/")[2]
    filled = {
        name: value.format(base=f"https://{host}", plain=f"http://{host}") if isinstance(value, str) else value
        for name, value in settings.items()
    }
    before = _created(dataProvider=provider)
    path = SECRET_OF[provider["@odata.type"]]
    if kept:
        after = way(before, _body(dataProvider=_other(provider, **filled)), created=NOW, now=NOW)
        assert after.secrets == before.secrets
        return
    with pytest.raises(Invalid) as caught:
        way(before, _body(dataProvider=_other(provider, **filled)), created=NOW, now=NOW)
    assert caught.value.target == path
    again = way(before, _body(dataProvider=_other(provider, **filled, clientSecret="new")), created=NOW, now=NOW)
    assert again.secrets == {path: "new"}


def test_a_secret_is_not_sent_to_another_token_url() -> None:
    """Another token URL, or another way to sign in, needs the secret again."""
    before = _created(dataProvider=ONEROSTER)
    with pytest.raises(Invalid):
        _merged(before, dataProvider=_other(ONEROSTER, tokenUrl="https://thief.example/token"))
    with pytest.raises(Invalid):
        _merged(
            before,
            dataProvider={
                "@odata.type": configuration.ONEROSTER,
                "connectionSettings": {"@odata.type": configuration.OAUTH1, "clientId": "id-1"},
            },
        )


def test_a_secret_can_be_taken_away() -> None:
    """Null removes the stored secret."""
    before = _created(dataProvider=POWERSCHOOL)
    after = _merged(before, dataProvider={"@odata.type": configuration.POWERSCHOOL, "clientSecret": None})
    assert after.secrets == {}
    assert after.data_provider == before.data_provider


def test_checking_leaves_the_body_as_it_was() -> None:
    """The caller's body is read, not changed."""
    body = _body(dataProvider=ONEROSTER)
    copy = json.loads(json.dumps(body))
    before = configuration.created(body, now=NOW)
    configuration.merged(before, body, created=NOW, now=NOW)
    assert body == copy


def test_a_start_date_has_to_lie_ahead() -> None:
    """A start date must be in the future when it is set; one that is kept may have passed."""
    before = _created(
        dataProvider={**CSV, "customizations": {"studentEnrollment": {"synchronizationStartDate": LATER}}}
    )
    custom = {"studentEnrollment": {"synchronizationStartDate": LATER + 1}}
    with pytest.raises(Invalid):
        _merged(before, LATER + 2, dataProvider={**CSV, "customizations": custom})
    assert _merged(before, LATER, dataProvider={**CSV, "customizations": custom}) != before


def test_the_plan_reads_the_profile() -> None:
    """The policy of a run says what the profile says, in the plan's words."""
    sku = "94763226-9b3c-4e75-a931-5c89701abe66"
    custom = {
        "student": {"optionalPropertiesToSync": ["Grade", "Residence City", "Email"], "isSyncDeferred": True},
        "section": {"allowDisplayNameUpdate": True},
        "studentEnrollment": {"synchronizationStartDate": LATER},
    }
    made = _created(
        dataProvider={**CSV, "customizations": custom},
        licensesToAssign=[{"appliesTo": "teacher", "skuIds": [sku]}, {"appliesTo": None, "skuIds": [sku]}],
        handleSpecialCharacterConstraint=True,
    )
    policy = policy_of(Row(made))
    assert (policy.profile_name, policy.creates, policy.replace_special_characters) == ("Nordkapp", True, True)
    assert policy.domains == {"student": "elev.example", "teacher": "skole.example"}
    assert policy.licenses == {"student": (sku,), "teacher": (sku,)}
    assert policy.customizations == {
        "student": Customization(optional_properties=("Grade", "Resident City", "Secondary Email"), deferred=True),
        "section": Customization(allow_display_name_update=True),
        "studentEnrollment": Customization(start=LATER),
    }
    matching = policy_of(Row(_created(identitySynchronizationConfiguration=MATCHING)))
    assert not matching.creates
    assert matching.matching == (
        Matching(role="student", source="Username", target="userPrincipalName", domain="elev.example"),
        Matching(role="teacher", source="Secondary Email", target="mail"),
    )
