"""Our own API: what it says, who may ask, what it refuses, and that it is described as it is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from openapi_spec_validator import validate

from schoolsync.access.roles import MATRIX, RULES, Role
from schoolsync.api import shapes
from schoolsync.api.pages import api_page
from schoolsync.api.route import Route
from schoolsync.api.routes import ROUTES
from schoolsync.directory import browsing
from schoolsync.settings import Settings
from schoolsync.store.directories import Directories

from .house import Profile, Server, Tenant, until
from .own import EVERY_ROLE, ROOT, Own, own
from .rosters import DISTRICT

pytestmark = pytest.mark.xdist_group("own-api")

NOBODY = "00000000-0000-4000-8000-000000000000"
_IDS = ("profile", "approval", "preview", "school", "class", "person")
KEYS = {"run": "1", "step": "0"} | dict.fromkeys(_IDS, NOBODY)


def filled(route: Route, **keys: str) -> str:
    return "/" + re.sub(r"\{(\w+)\}", lambda key: {**KEYS, **keys}[key[1]], route.template)


def named(route: Route) -> str:
    return f"{route.method} /{route.template}"


def body(route: Route) -> dict[str, Any] | None:
    """A body that the operation takes, where it takes one."""
    if route.takes is None or route.takes is dict:
        return None if route.takes is None else {}
    wanted = {field.encode_name for field in msgspec.structs.fields(route.takes) if field.required}
    known = {"plan": "0" * 64, "limits": {}, "pairs": "kind,old,new\nstudent,1,2", "kind": "person", "object": "1"}
    known |= {"role": "student", "mark": True}
    if route.takes is shapes.CleanUp:  # which takes one of several
        wanted = {"mark"}
    assert wanted <= known.keys(), named(route)
    return {name: known[name] for name in wanted}


@pytest.fixture(scope="module")
def district(server: Server) -> Profile:
    """A profile that was synchronized twice: with one record wrong and left out, then clean."""
    profile = Tenant(server).profile()
    wrong = DISTRICT.changed("students", DISTRICT.students[0]["SIS ID"], School_SIS_ID="NOWHERE")
    profile.upload(wrong.files())
    assert profile.start(expect=400)["value"]
    assert profile.sync(DISTRICT.files())["status"] == "success"
    return profile


@pytest.fixture(scope="module")
def viewer(district: Profile) -> Own:
    return own(district.tenant, "viewer")


def test_the_description_is_openapi_and_needs_no_token(server: Server) -> None:
    """openapi.json is valid OpenAPI 3.1, has every operation, and is served to whoever asks."""
    described = Own(server, None).get("/openapi.json")
    validate(described)
    assert described["servers"] == [{"url": f"{server.base}/{ROOT}"}]
    listed = {f"{method.upper()} {path}" for path, methods in described["paths"].items() for method in methods}
    assert listed == {named(route) for route in ROUTES}


def test_the_page_is_the_table() -> None:
    """docs/api.md is what the table makes: renew it with `python -m schoolsync.api.pages`."""
    page = (Path(__file__).parents[2] / "docs" / "api.md").read_text("utf-8")
    assert page == api_page()
    assert all(f"`{named(route)}`" in page for route in ROUTES)


@pytest.mark.parametrize("route", [route for route in ROUTES if not route.public], ids=named)
def test_who_may_ask(server: Server, route: Route) -> None:
    """Each operation with every kind of token: the roles of its act open it, no other token does."""
    tenant = Tenant(server)
    path, body = filled(route), {} if route.takes else None
    assert Own(server, None).refusal(route.method, path, 401, body)["code"] == "InvalidAuthenticationToken"
    expired = server.token(tenant.id, scope="EduAdministration.ReadWrite", user="ada@skole.example", expires_in=-900)
    Own(server, expired).refusal(route.method, path, 401, body)
    if route.act is None:
        return
    rule = RULES[route.act]
    for role in Role:
        short = role.value.partition(".")[2]
        for asking, may in (
            (own(tenant, short), role in rule.roles),
            (own(tenant, short, user=None), role in rule.roles and rule.application),
        ):
            status = asking(route.method, path, body).status_code
            assert (status not in {401, 403}) == may, f"{named(route)} as {role}: {status}"
    # Graph's permissions bring the roles that open no more than Graph's own routes.
    for scope, short in (("EduAdministration.Read", "viewer"), ("EduAdministration.ReadWrite", "operator")):
        brings = {Role.VIEWER, Role(f"schoolsync.{short}")}
        for token, may in (
            (server.token(tenant.id, scope=scope, user="ada@skole.example"), not rule.roles.isdisjoint(brings)),
            (server.token(tenant.id, roles=(f"{scope}.All",)), not rule.roles.isdisjoint(brings) and rule.application),
            (server.token(tenant.id, scope="EduRoster.ReadWrite", user="ada@skole.example"), False),
        ):
            status = Own(server, token)(route.method, path, body).status_code
            assert (status not in {401, 403}) == may, f"{named(route)} with {scope}: {status}"


def test_who_am_i(server: Server) -> None:
    """`me` names the caller, its roles and the acts they open."""
    tenant = Tenant(server)
    found = own(tenant, "approver").get("/me")
    assert found["tenant"] == tenant.id
    assert (found["kind"], found["name"]) == ("delegated", "ada@skole.example")
    assert found["roles"] == ["schoolsync.approver"]
    assert set(found["acts"]) == {rule.act.value for rule in MATRIX if Role.APPROVER in rule.roles}
    assert "approve" not in own(tenant, "approver", user=None).get("/me")["acts"]


def test_another_tenant_finds_nothing(server: Server, district: Profile) -> None:
    """A stranger with every role gets 404 for whatever the path names, below the profile or below one of its own; what
    names nothing has no trace of the other tenant, and nothing changes there."""
    mine = own(district.tenant, *EVERY_ROLE)
    keys = {
        "run": mine.all(f"/profiles/{district.id}/runs")[0]["id"],
        "preview": mine("POST", f"/profiles/{district.id}/previews", expect=201).json()["id"],
    }
    before = [mine.get(f"/profiles/{district.id}/settings"), mine.all(f"/profiles/{district.id}/runs")]
    tried = 0
    other = Tenant(server)
    profiles = {district.id: True, other.profile().id: False}
    strangers = (own(other, *EVERY_ROLE), own(other, *EVERY_ROLE, user=None))
    # First, for what a stranger tries further down is in the stranger's own audit log, keys and all.
    for stranger in strangers:
        for route in ROUTES:
            if "{" not in route.template and route.method == "GET" and not route.public:
                several = route.template.endswith("system/doctor")  # which one tenant of several may not ask
                text = stranger("GET", f"/{route.template}", expect=409 if several else 200).text
                assert district.id not in text
                assert district.tenant.id not in text
    for stranger in strangers:
        for route in (one for one in ROUTES if "{" in one.template):
            for profile, foreign in profiles.items():
                if not foreign and not re.search(r"\{(run|preview)\}", route.template):
                    continue
                path = filled(route, profile=profile, **keys)
                if route.handler == "explain.explain":
                    path += f"?object={DISTRICT.students[0]['SIS ID']}"
                status = stranger(route.method, path, body(route)).status_code
                assert status in {403, 404}, f"{named(route)} below {'theirs' if foreign else 'its own'}: {status}"
                tried += status == 404
    assert tried > len(ROUTES)
    after = [mine.get(f"/profiles/{district.id}/settings"), mine.all(f"/profiles/{district.id}/runs")]
    assert _timeless(after) == _timeless(before)


def _timeless(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def test_runs_are_listed_and_followed(district: Profile, viewer: Own) -> None:
    """Runs come newest first, page by page, and say which stages they went through and how long each took."""
    path = f"/profiles/{district.id}/runs"
    runs = viewer.all(f"{path}?limit=1")
    assert [run["number"] for run in runs] == [2, 1]
    assert [run["state"] for run in runs] == ["done", "discarded"]
    assert viewer.all(f"{path}?state=discarded,failed") == runs[1:]
    done = runs[0]
    assert [stage["name"] for stage in done["stages"]] == ["extracting", "validating", "planning", "applying"]
    assert all(stage["ended"] and stage["seconds"] >= 0 for stage in done["stages"])
    assert done["progress"]["rowsDone"] == done["progress"]["rowsTotal"] > 0
    assert done["progress"]["rate"] > 0
    assert done["progress"]["secondsLeft"] is None
    people = {row["SIS ID"] for row in (*DISTRICT.students, *DISTRICT.teachers)}
    assert done["steps"]["people"]["create"] == len(people)
    assert viewer.get(f"{path}/2") == viewer.get(f"{path}/{done['id']}") == done
    assert viewer.refusal("GET", f"{path}/99", 404)["code"] == "NotFound"


def test_findings_of_a_run(district: Profile, viewer: Own) -> None:
    """Every finding with file and line, filtered and page by page; grouped with their number."""
    path = f"/profiles/{district.id}/runs/1/findings"
    found = viewer.all(f"{path}?limit=1")
    assert found == viewer.all(path)
    wrong = [one for one in found if one["rule"] == "unknown-reference"]
    assert {"Student.csv"} == {one["file"] for one in wrong if one["line"] == 2 and one["column"] == "School SIS ID"}
    assert all("NOWHERE" not in json.dumps(one) or one["rule"] == "unknown-reference" for one in found)
    assert viewer.all(f"{path}?severity=error&rule=unknown-reference&file=student.csv") == [
        one for one in wrong if one["file"] == "Student.csv"
    ]
    groups = viewer.get(f"{path}/groups")["value"]
    assert sum(group["count"] for group in groups) == len(found)
    schools = viewer.get(f"{path}/schools")["value"]
    assert sum(one["errors"] + one["warnings"] for one in schools) == len(found)
    for one in (one for one in schools if one["school"]):
        assert len(viewer.all(f"{path}?school={one['school']}")) == one["errors"] + one["warnings"]
    (line,) = viewer.get(f"/profiles/{district.id}/runs/1/lines?file=student.csv&line=2")["value"]
    cells = {cell["column"]: cell["value"] for cell in line["cells"]}
    assert (cells["School SIS ID"], cells["Password"], cells["Birthdate"]) == ("100", None, None)
    viewer.refusal("GET", f"/profiles/{district.id}/runs/1/lines?file=student.csv&line=x", 400)
    assert viewer.all(f"/profiles/{district.id}/runs/2/findings?severity=error") == []


def test_looking_around_in_the_directory(district: Profile, viewer: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists page by page, from a school down to a person; a search reads names piece by piece and misses nobody."""
    everybody = viewer.all("/directory/people?limit=3")
    assert everybody == viewer.all("/directory/people")
    assert all(one["profile"] == district.id and one["signIn"] for one in everybody)
    school = next(one for one in viewer.all("/directory/schools") if one["sourceId"] == "100")
    inside = viewer.all(f"/directory/people?school={school['id']}")
    whole = viewer.get(f"/directory/schools/{school['id']}")
    assert whole["counts"]["people"] == len(inside) < len(everybody)
    group = viewer.all(f"/directory/classes?school={school['id']}")[0]
    members = viewer.all(f"/directory/people?class={group['id']}")
    assert {one["role"] for one in members} == {"student", "teacher"}
    person = viewer.get(f"/directory/people/{members[0]['id']}")
    assert group["id"] in {one["id"] for one in person["classes"]}
    assert viewer.get(f"/directory/people/{members[0]['signIn'].upper()}") == person
    wanted = [one["id"] for one in everybody if "ø" in one["name"].lower() or one["signIn"].startswith("ø")]
    assert wanted
    assert [one["id"] for one in viewer.all("/directory/people?search=Ø")] == wanted
    assert [one["sourceId"] for one in viewer.all("/directory/people?search=3001")] == ["3001"]
    monkeypatch.setattr(browsing, "WINDOW", 2)
    server = district.tenant.server
    ((number,),) = server.control("SELECT number FROM tenants WHERE id = ?", district.tenant.id)
    found, after = list[str](), None
    with Directories(Settings(data_dir=server.data, database_url=server.database_url)).read(district.tenant.id) as read:
        while (page := browsing.listed(read, number, "person", search="Ø", after=after, limit=5)) is not None:
            found += [one.id for one in page.entries]
            after = page.last
            if after is None:
                break
            assert page.looked == 2
    assert found == wanted
    viewer.refusal("GET", f"/directory/people?class={NOBODY}", 404)


def test_the_report_of_a_run(district: Profile, viewer: Own) -> None:
    """The causes of what is wrong, and the numbers of every school."""
    report = viewer.get(f"/profiles/{district.id}/runs/1/report")
    assert all(cause["count"] and cause["message"] for cause in report["causes"])
    assert any(cause["rule"] == "unknown-reference" for cause in report["causes"])
    assert {school["id"] for school in report["statistics"]["schools"]} == {row["SIS ID"] for row in DISTRICT.schools}


def test_how_fresh_a_profile_is(district: Profile, viewer: Own) -> None:
    """The last good run, its age, the last upload, and what the status says."""
    found = viewer.get(f"/profiles/{district.id}/freshness")
    runs = viewer.all(f"/profiles/{district.id}/runs")
    assert found["lastGoodRun"] == found["lastRun"] == runs[0]["id"]
    assert 0 <= found["ageSeconds"] < 3600
    assert found["status"] == "success"
    assert found["lastUpload"] is not None
    assert found["nextDue"] is None
    (short,) = viewer.all("/profiles")
    assert short == viewer.get(f"/profiles/{district.id}")
    assert (short["displayName"], short["state"], short["lastGood"]) == ("Nordkapp", "provisioned", found["lastGood"])


def test_profiles_page_by_page(server: Server) -> None:
    """Profiles come by name, however small the pages."""
    tenant = Tenant(server)
    made = [tenant.profile().id for _ in range(3)]
    assert sorted(made) == [one["id"] for one in own(tenant, "viewer").all("/profiles?limit=2")]


def test_profiles_at_a_glance(district: Profile, viewer: Own) -> None:
    """The counts add up; a search narrows whatever the case, and trends tell the runs that have ended."""
    overview = viewer.get("/overview")
    assert (overview["profiles"], overview["attention"], overview["statuses"]) == (1, 0, {"success": 1})
    assert not viewer.get("/profiles?attention=true")["value"]
    assert not viewer.get("/profiles?search=elsewhere")["value"]
    (found,) = viewer.get("/profiles?search=nORD&status=success&trend=true")["value"]
    assert [(point["state"], point["people"], point["errors"]) for point in found["trend"]][-1] == ("done", 8, 0)
    assert viewer.get(f"/profiles/{district.id}?trend=true")["trend"] == found["trend"]
    assert viewer.get(f"/profiles/{district.id}")["trend"] is None


def test_settings_are_merged_and_checked(server: Server) -> None:
    """A change merges, null goes back to the default, what cannot be is refused by name, versions guard a change."""
    profile = Tenant(server).profile()
    admin, path = own(profile.tenant, "admin"), f"/profiles/{profile.id}/settings"
    first = admin("GET", path, expect=200)
    assert first.json()["settings"]["dateFormat"] == "mdy"
    changed = admin("PATCH", path, {"dateFormat": "dmy"}, expect=200)
    assert changed.json()["settings"] == {**first.json()["settings"], "dateFormat": "dmy"}
    assert admin.get(path) == changed.json()
    stale = {"If-Match": first.headers["etag"]}
    assert admin.refusal("PATCH", path, 412, {"dateFormat": "iso"}, headers=stale)["code"] == "PreconditionFailed"
    for wrong, target in (({"dateFormat": "never"}, "dateFormat"), ({"dateformat": "iso"}, "dateformat")):
        assert admin.refusal("PATCH", path, 400, wrong)["target"] == target
    for zone in ("Europe", "Mars/Olympus", "/etc/localtime", "x" * 3000):
        assert "there is no time zone" in admin.refusal("PATCH", path, 400, {"timeZone": zone})["message"]
    assert admin("PATCH", path, {"dateFormat": None}, expect=200).json() == first.json()
    assert profile.api.get(profile.path)["state"] == "provisioned"


def test_bodies_with_nul_and_without_end_are_refused(server: Server) -> None:
    """A NUL anywhere is told by the body's member, and nesting of any depth is a refusal, never a failure."""
    profile = Tenant(server).profile()
    admin, path = own(profile.tenant, "admin"), f"/profiles/{profile.id}/settings"
    for wrong, target in (
        ({"dateFormat": "d\0my"}, "dateFormat"),
        ({"guards": {"removal\0Percent": 3}}, "guards"),
        ({"protected": ["ada@skole.example", {"deep": ["\0"]}]}, "protected"),
    ):
        refused = admin.refusal("PATCH", path, 400, wrong)
        assert (refused["target"], "NUL" in refused["message"]) == (target, True)
    assert "NUL" in admin.refusal("PATCH", path, 400, {"date\0Format": "dmy"})["message"]
    headers = {"Content-Type": "application/json"}
    for deep in (100, *range(840, 1000, 10), 100_000):
        body = b'{"guards":' + b'{"a":' * deep + b"1" + b"}" * deep + b"}"
        assert admin("PATCH", path, content=body, headers=headers, expect=400)


def test_starting_a_profile(server: Server) -> None:
    """POST runs starts what was uploaded; files with errors are told and nothing is begun."""
    profile = Tenant(server).profile()
    operator, path = own(profile.tenant, "operator", user=None), f"/profiles/{profile.id}/runs"
    profile.upload(DISTRICT.without("students", SIS_ID=DISTRICT.students[0]["SIS ID"]).files())
    refused = operator("POST", path, expect=400).json()
    assert not refused["accepted"]
    assert refused["verification"]
    profile.upload(DISTRICT.files())
    started = operator("POST", path, expect=202).json()
    until("the run is done", lambda: operator.get(f"{path}/{started['run']}")["state"] == "done")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/profiles/x/runs/1/2/3", 404),
        ("DELETE", "/profiles", 405),
        ("GET", "/profiles?limit=0", 400),
        ("GET", "/profiles?limit=ten", 400),
        ("GET", "/profiles?limit=1&limit=2", 400),
        ("GET", "/profiles?$top=1", 400),
        ("GET", f"/profiles?after={'x' * 300}", 400),
        ("GET", f"/profiles/{NOBODY}/runs?state=asleep", 400),
        ("GET", f"/profiles/{NOBODY}/runs", 404),
        ("PATCH", f"/profiles/{NOBODY}/settings", 400),
    ],
)
def test_what_is_refused(server: Server, method: str, path: str, status: int) -> None:
    """Requests that cannot be right get a Graph error body that says why; HEAD and OPTIONS work everywhere."""
    asking = own(Tenant(server), *EVERY_ROLE)
    asking.refusal(method, path, status)
    assert asking("HEAD", "/profiles").content == b""
    assert asking("OPTIONS", "/profiles").status_code == 204


def test_the_reader_is_replaced_when_it_dies(district: Profile, viewer: Own) -> None:
    """A reader that is killed is started again by the next question, and nobody notices."""
    path = f"/profiles/{district.id}/runs/1/findings"
    before = viewer.all(path)
    (reader,) = district.tenant.server.those("reader")
    reader.kill()
    assert viewer.all(path) == before
    (again,) = district.tenant.server.those("reader")
    assert again.pid != reader.pid


def test_the_api_process_stays_small(district: Profile, viewer: Own) -> None:
    """The process that answers loads no query engine; the reader does, with bounded memory."""
    viewer.get(f"/profiles/{district.id}/runs/1/findings/groups")
    (api,) = district.tenant.server.those("api")
    loaded = {Path(mapped.path).name for mapped in api.memory_maps() if "duckdb" in mapped.path}
    assert not loaded
    (reader,) = district.tenant.server.those("reader")
    assert reader.memory_info().rss < 400 * 1024 * 1024
