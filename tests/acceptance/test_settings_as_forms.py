"""Whatever our API has of a profile is set in forms of the console, without scripts, and wrong values say where."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from schoolsync.console.sections import SECTIONS
from schoolsync.graph.types import TYPES, Access
from schoolsync.profiles import own_settings
from schoolsync.profiles.customizations import OPTIONAL

from .house import Json, Profile, Server, Tenant, creation
from .own import Own, own
from .visits import Fields, filled, vouched

pytestmark = pytest.mark.xdist_group("own-api")

SETTINGS: Json = {
    # every setting, as it is not by itself
    "dateFormat": "dmy",
    "format": "clever",
    "fields": ["contacts", "pronouns", "metadata.shoeSize"],
    "codes": {"grades": {"Year 1": "01", "Trin «2»": "02"}, "roles": {"Vikar": "substitute"}},
    "errors": {"policy": "leaveOut", "mostPercent": 2.5},
    "guards": {
        "removalPercent": 7.5,
        "removalLeast": 6,
        "removalCount": 70,
        "classPercent": 40,
        "classLeast": 4,
        "schoolGone": False,
        "updatePercent": 60,
        "windowDays": 9,
        "leaverPercent": 2,
        "leaverLeast": 50,
        "adoptionLeast": 3,
        "additionsFlow": True,
        "approvalHours": 24,
        "secondPerson": True,
        "plainResume": True,
    },
    "windows": [
        {"firstDay": "2026-12-21", "lastDay": "2027-01-03", "kind": "blackout"},
        {"firstDay": "2027-06-20", "lastDay": "2027-06-20", "kind": "additionsOnly"},
    ],
    "scope": {
        "schools": ["100", "200"],
        "grades": ["07"],
        "roles": ["teacher"],
        "firstDay": "2026-08-01",
        "lastDay": "2027-07-31",
        "currentTerms": True,
    },
    "recipes": {
        "student": {
            "username": "{givenName:3}.{surname}",
            "counter": False,
            "longest": 30,
            "mail": "{alias}@a.example",
            "nickname": "p-{alias}",
            "reserved": ["boss", "chef"],
        },
        "teacher": {"username": "{surname}", "counter": True, "longest": 20, "mail": None, "nickname": None}
        | {"reserved": []},
    },
    "binDays": {"school": 40, "section": 30, "student": 0, "teacher": 10},
    "purgeDays": {"school": 400, "section": 300, "student": 200, "teacher": 100},
    "leaving": {"student": "inactive", "teacher": "disabled"},
    "expiry": {"mark": True, "archive": False, "removePupils": False, "afterDays": 0, "termOver": True},
    "protected": ["boss@skole.example"],
    "keptByHand": ["mobile_phone", "title"],
    "timeZone": "Europe/Oslo",
    "schedule": {
        "cron": "30 2 * * 1-5",
        "everyMinutes": None,
        "jitterSeconds": 60,
        "onUpload": True,
        "quietSeconds": 90,
    },
    "quarantine": {
        "failedPercent": 30,
        "failedLeast": 4,
        "partPercent": 10,
        "partRuns": 2,
        "runsInARow": 4,
        "retryMinutes": [],
        "waitHours": [3, 6],
        "giveUpDays": 14,
    },
}
SKU = "6634e0ce-1a9f-428c-a498-f84ec7b8aa2e"
GRAPH = "#microsoft.graph."
CUSTOMIZED: Json = {
    # every customization, as it is not by itself
    kind: {
        **({"optionalPropertiesToSync": [columns[-1]]} if columns else {}),
        **({"allowDisplayNameUpdate": True} if "nrol" not in kind and "Roster" not in kind else {}),
        **({"synchronizationStartDate": "2100-09-01T00:00:00Z"} if kind == "studentEnrollment" else {}),
        "isSyncDeferred": True,
    }
    for kind, columns in OPTIONAL.items()
}
CONFIGURATIONS: tuple[Json, ...] = (
    # every member of every type that a profile has, as it is not by itself
    {
        "displayName": "Nordkapp «kommune»",
        "expirationDate": "2027-06-30",
        "handleSpecialCharacterConstraint": True,
        "licensesToAssign": [{"appliesTo": "teacher", "skuIds": [SKU]}],
        "dataProvider": {"@odata.type": f"{GRAPH}educationCsvDataProvider", "customizations": CUSTOMIZED},
        "identitySynchronizationConfiguration": {
            "@odata.type": f"{GRAPH}educationIdentityCreationConfiguration",
            "userDomains": [
                {"appliesTo": "student", "name": "s.example"},
                {"appliesTo": "teacher", "name": "t.example"},
            ],
        },
    },
    {
        "displayName": "Vardø",
        "dataProvider": {
            "@odata.type": f"{GRAPH}educationOneRosterApiDataProvider",
            "connectionUrl": "https://sis.example/ims/v1p1",
            "customizations": CUSTOMIZED,
            "providerName": "SIS",
            "schoolsIds": ["100", "200"],
            "termIds": ["T1"],
            "connectionSettings": {
                "@odata.type": f"{GRAPH}educationSynchronizationOAuth2ClientCredentialsConnectionSettings",
                "clientId": "us",
                "clientSecret": "hush-hush-1",  # in a test
                "tokenUrl": "https://sis.example/token",
                "scope": "roster",
            },
        },
        "identitySynchronizationConfiguration": {
            "@odata.type": f"{GRAPH}educationIdentityMatchingConfiguration",
            "matchingOptions": [
                {
                    "appliesTo": role,
                    "sourcePropertyName": "State ID",
                    "targetPropertyName": "mailNickname",
                    "targetDomain": f"{role}.example",
                }
                for role in ("student", "teacher")
            ],
        },
    },
    {
        "displayName": "Vadsø",
        "dataProvider": {
            "@odata.type": f"{GRAPH}educationPowerSchoolDataProvider",
            "connectionUrl": "https://power.example/",
            "clientId": "us",
            "clientSecret": "hush-hush-2",  # in a test
            "schoolsIds": ["300"],
            "customizations": CUSTOMIZED,
            "schoolYear": "2026",
            "allowTeachersInMultipleSchools": True,
        },
        "identitySynchronizationConfiguration": {
            "@odata.type": f"{GRAPH}educationIdentityCreationConfiguration",
            "userDomains": [{"appliesTo": "student", "name": "s.example"}],
        },
    },
    {
        "displayName": "Båtsfjord",
        "dataProvider": {
            "@odata.type": f"{GRAPH}educationOneRosterApiDataProvider",
            "connectionUrl": "https://sis.example/ims/v1p1",
            "customizations": CUSTOMIZED,
            "connectionSettings": {
                "@odata.type": f"{GRAPH}educationSynchronizationOAuth1ConnectionSettings",
                "clientId": "us",
                "clientSecret": "hush-hush-3",  # in a test
            },
        },
        "identitySynchronizationConfiguration": {
            "@odata.type": f"{GRAPH}educationIdentityCreationConfiguration",
            "userDomains": [{"appliesTo": "teacher", "name": "t.example"}],
        },
    },
)


@pytest.fixture(scope="module")
def profile(server: Server) -> Profile:
    return Tenant(server).profile()


@pytest.fixture(scope="module")
def http(profile: Profile) -> Any:
    """A browser without scripts, in which an admin is signed in."""
    with httpx.Client(base_url=profile.tenant.server.base, follow_redirects=True) as browser:
        browser.post("/console/sign-in", data={"tenant": profile.tenant.id})
        vouched(browser, profile.tenant, "admin")
        yield browser


def settings_of(admin: Own, profile: Profile) -> Json:
    found: Json = admin.get(f"/profiles/{profile.id}/settings")["settings"]
    return found


def sections(profile: Profile) -> list[str]:
    return [f"/console/profiles/{profile.id}/settings/{section.name}" for section in SECTIONS]


def page_of(http: httpx.Client, path: str) -> Fields:
    page = http.get(path)
    assert page.status_code == 200, page.text
    return filled(page.text)


def saved(http: httpx.Client, path: str, form: Fields) -> None:
    answer = http.post(path, data=form)
    said = answer.text.partition('role="alert"')[2].partition("<")[0]
    assert (answer.status_code, "Saved." in answer.text) == (200, True), f"{path}: {said}"


def test_every_setting_is_set_in_a_form(http: httpx.Client, profile: Profile) -> None:
    """Forms that show whatever can be set, sent to a profile that has none of it, make it the same, and changed back.

    A form that is sent as it is shown changes nothing."""
    admin = own(profile.tenant, "admin")
    plain = settings_of(admin, profile)
    assert json.loads(json.dumps(own_settings.effective("{}"))) == plain
    assert SETTINGS.keys() == plain.keys(), "a setting that this test does not know"
    untouched = {path: page_of(http, path) for path in sections(profile)}
    admin("PATCH", f"/profiles/{profile.id}/settings", SETTINGS, expect=200)
    for name, value in SETTINGS.items():
        before = plain[name] or {}
        same = {one for one in value if value[one] == before.get(one, "")} if isinstance(value, dict) else set()
        assert value != plain[name], f"{name} is as it is by itself"
        assert same <= {"everyMinutes"}, f"{name}: {same} are as they are by themselves"
    shown = {path: page_of(http, path) for path in sections(profile)}
    for path, form in shown.items():
        saved(http, path, form)
    assert settings_of(admin, profile) == SETTINGS
    for forms, wanted in ((untouched, plain), (shown, SETTINGS), (untouched, plain)):
        for path, form in forms.items():
            saved(http, path, {**form, "version": page_of(http, path)["version"]})
        assert settings_of(admin, profile) == wanted


def test_every_member_of_a_profile_is_set_in_a_form(http: httpx.Client, profile: Profile) -> None:
    """The same for what Graph's API has: every kind of source and account, with each member that such a type has."""
    used: dict[str, set[str]] = {}
    for body in CONFIGURATIONS:
        _used(body, "educationSynchronizationProfile", used)
    for name, members in used.items():
        writable = {
            one.name
            for one in TYPES[name].properties.values()
            if one.access in {Access.READ_WRITE, Access.WRITE_ONLY} and one.name != "id"
        }
        assert writable <= members, f"{name}: this test does not know {writable - members}"
    tenant = profile.tenant
    for body in CONFIGURATIONS:
        made = tenant.admin("POST", "/synchronizationProfiles", body, expect=202).json()["id"]
        pages = [f"/console/profiles/{made}/{page}" for page in ("accounts", "source", "columns")]
        before = tenant.admin.get(f"/synchronizationProfiles/{made}")
        shown = {path: page_of(http, path) for path in pages}
        for path, form in shown.items():
            saved(http, path, form)
        assert _without_state(tenant.admin.get(f"/synchronizationProfiles/{made}")) == _without_state(before)
        tenant.admin("PUT", f"/synchronizationProfiles/{made}", creation(displayName="Plain"), expect=202)
        secret = body["dataProvider"].get("clientSecret") or body["dataProvider"].get("connectionSettings", {}).get(
            "clientSecret"
        )
        for path, form in shown.items():
            typed = {"clientSecret": [secret]} if secret and path.endswith("source") else {}
            saved(http, path, {**form, **typed, "version": page_of(http, path)["version"]})
        assert _without_state(tenant.admin.get(f"/synchronizationProfiles/{made}")) == _without_state(before)


def _used(value: Any, kind: str, used: dict[str, set[str]]) -> None:
    """Which members of which types a body has."""
    if isinstance(value, list):
        for one in value:
            _used(one, kind, used)
    elif isinstance(value, dict):
        name = value.get("@odata.type", GRAPH + kind).removeprefix(GRAPH)
        used.setdefault(name, set()).update(value)
        for member, inner in value.items():
            if member in TYPES[name].properties:
                _used(inner, TYPES[name].properties[member].type, used)


def _without_state(shown: Json) -> Json:
    return {name: value for name, value in shown.items() if name not in {"state", "@odata.etag"}}


def test_rows_are_added_and_taken_out_without_scripts(http: httpx.Client, profile: Profile) -> None:
    """A button brings the form back with another row and all that was typed; nothing is saved before somebody saves."""
    admin, page = own(profile.tenant, "admin"), f"/console/profiles/{profile.id}/settings/schedule"
    form = page_of(http, page)
    assert [name for name in form if name.startswith("windows.")] == [
        "windows.0.firstDay",
        "windows.0.lastDay",
        "windows.0.kind",
    ]
    form |= {"windows.0.firstDay": ["2026-12-21"], "windows.0.lastDay": ["2027-01-03"], "schedule.quietSeconds": ["90"]}
    more = http.post(page, data={**form, "row": "add windows"})
    assert (more.status_code, "Not saved yet." in more.text) == (200, True)
    form = filled(more.text)
    assert form["windows.0.firstDay"] == ["2026-12-21"]
    assert form["schedule.quietSeconds"] == ["90"]
    form |= {"windows.1.firstDay": ["2026-12-24"], "windows.1.lastDay": ["2026-12-23"]}
    wrong = http.post(page, data=form)
    assert (wrong.status_code, wrong.text.count('aria-invalid="true"')) == (400, 1)
    assert 'id="windows-1-lastDay" name="windows.1.lastDay" value="2026-12-23"' in wrong.text
    assert "windows[1].lastDay: it is before firstDay" in wrong.text
    assert settings_of(admin, profile)["windows"] == []
    form = filled(http.post(page, data={**filled(wrong.text), "row": "remove windows 0"}).text)
    assert form["windows.0.firstDay"] == ["2026-12-24"]
    saved(http, page, {**form, "windows.0.lastDay": ["2026-12-26"], "windows.0.kind": ["additionsOnly"]})
    holidays = {"firstDay": "2026-12-24", "lastDay": "2026-12-26", "kind": "additionsOnly"}
    assert settings_of(admin, profile)["windows"] == [holidays]
    form = filled(http.post(page, data={**page_of(http, page), "row": "remove windows 0"}).text)
    admin("PATCH", f"/profiles/{profile.id}/settings", {"schedule": {"jitterSeconds": 5}}, expect=200)
    late = http.post(page, data=filled(http.post(page, data={**form, "row": "add windows"}).text))
    assert (late.status_code, "Somebody else has changed this" in late.text) == (400, True)
    assert settings_of(admin, profile)["windows"] == [holidays]
    strange = http.post(page, data={**page_of(http, page), "row": "add everything"})
    assert (strange.status_code, "Not saved yet." in strange.text) == (200, False)


WRONG: tuple[tuple[str, dict[str, str], str, str], ...] = (
    # section, what is typed, the field at fault, what is said of it
    ("names", {"recipes.student.username": "{shoe}"}, "recipes-student-username", "there is no field"),
    ("names", {"recipes.teacher.mail": "{alias}@a.example"}, "recipes-teacher-username", "needs username"),
    (
        "names",
        {"recipes.teacher.username": "{surname}", "recipes.teacher.longest": "99"},
        "recipes-teacher-longest",
        "4",
    ),
    ("people", {"expiry": "on", "expiry.archive": "on"}, "expiry-removePupils", "nobody is in an archived class"),
    ("people", {"purgeDays.school": "0"}, "purgeDays-school", "from 1 to 3650"),
    ("schedule", {"windows.0.firstDay": "2026-12-21"}, "windows-0-lastDay", "needs lastDay"),
    ("schedule", {"schedule.cron": "* * * * *"}, "schedule-cron", "less than 5 minutes apart"),
    ("scope", {"scope.firstDay": "2026-12-21", "scope.lastDay": "2026-12-20"}, "scope-lastDay", "before firstDay"),
    ("files", {"fields.own": "on", "fields.more": "shoes"}, "fields-more", "no sensitive field"),
    ("failures", {"quarantine.waitHours": ""}, "quarantine-waitHours", "1 to 10 entries"),
)


@pytest.mark.parametrize(("section", "typed", "field", "says"), WRONG, ids=[field for *_, field, _ in WRONG])
def test_what_is_wrong_is_said_at_its_field(
    http: httpx.Client, profile: Profile, section: str, typed: dict[str, str], field: str, says: str
) -> None:
    """One field is marked, the sentence names what it can be, and what was typed is still there."""
    page = f"/console/profiles/{profile.id}/settings/{section}"
    token = page_of(http, page)["csrf"]
    usual = {"quarantine.waitHours": "6"} if section == "failures" else {}
    answer = http.post(page, data={"csrf": token, **usual, **typed})
    assert (answer.status_code, says in answer.text) == (400, True), answer.text
    marked = [part for part in answer.text.split("<") if 'aria-invalid="true"' in part]
    assert [f'id="{field}"' in part for part in marked] == [True], marked
    shown = filled(answer.text)
    assert {name: shown[name][0] for name in typed} == typed


def test_very_many_words_are_kept_or_refused_in_words(http: httpx.Client, profile: Profile) -> None:
    """A thousand fit into a form; more than it can hold are refused with what to do instead."""
    page = f"/console/profiles/{profile.id}/settings/files"
    form = {name: value for name, value in page_of(http, page).items() if not name.startswith("codes.")}

    def rows(count: int) -> Fields:
        cells = {"list": "grades", "word": "trinn {}", "code": "01"}
        return {f"codes.{row}.{cell}": [text.format(row)] for row in range(count) for cell, text in cells.items()}

    saved(http, page, {**form, **rows(1000)})
    assert len(settings_of(own(profile.tenant, "viewer"), profile)["codes"]["grades"]) == 1000
    refused = http.post(page, data={**form, **rows(1700)})
    assert (refused.status_code, "schoolsync profile import" in refused.text) == (400, True)
    saved(http, page, {**form, "version": page_of(http, page)["version"]})
    assert settings_of(own(profile.tenant, "viewer"), profile)["codes"] == {}


def test_words_that_mean_nothing_are_refused(http: httpx.Client, profile: Profile) -> None:
    """A word without a code, a code without a word, and a word with two of them; the list that it is about is named."""
    page = f"/console/profiles/{profile.id}/settings/files"
    form = page_of(http, page)
    for word, code, says in (
        ("Year 1", "", "has no code"),
        ("", "01", "has no word"),
        ("Year 1", "01", "stands there twice"),
    ):
        rows = {"codes.0.list": "grades", "codes.0.word": word, "codes.0.code": code}
        rows |= {"codes.7.list": "grades", "codes.7.word": "Year 1", "codes.7.code": "02"} if word and code else {}
        answer = http.post(page, data={**form, **rows})
        assert (answer.status_code, says in answer.text) == (400, True), answer.text
        assert 'id="codes" class="choices wrong"' in answer.text
