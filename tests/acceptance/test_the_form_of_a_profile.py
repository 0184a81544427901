"""The form of a new profile in the console, for sources that are servers: what it makes, and what it never shows."""

from __future__ import annotations

import json
import uuid

import httpx
import pytest

from .house import Json, Server, Tenant
from .visits import vouched

pytestmark = pytest.mark.xdist_group("own-api")

SERVERS: tuple[tuple[dict[str, str], Json], ...] = (
    (
        {"source": "oneRoster", "signing": "OAuth1", "schoolsIds": "100, 200", "tokenUrl": "https://not.example"},
        {
            "@odata.type": "#microsoft.graph.educationOneRosterApiDataProvider",
            "schoolsIds": ["100", "200"],
            "connectionSettings": {
                "@odata.type": "#microsoft.graph.educationSynchronizationOAuth1ConnectionSettings",
                "clientId": "us",
            },
        },
    ),
    (
        {
            "source": "oneRoster",
            "signing": "OAuth2ClientCredentials",
            "tokenUrl": "https://sis.example/t",
            "scope": "r",
        },
        {
            "@odata.type": "#microsoft.graph.educationOneRosterApiDataProvider",
            "connectionSettings": {
                "@odata.type": ("#microsoft.graph.educationSynchronizationOAuth2ClientCredentialsConnectionSettings"),
                "clientId": "us",
                "tokenUrl": "https://sis.example/t",
                "scope": "r",
            },
        },
    ),
    (
        {"source": "powerSchool", "schoolYear": "2026", "severalSchools": "on"},
        {
            "@odata.type": "#microsoft.graph.educationPowerSchoolDataProvider",
            "clientId": "us",
            "schoolYear": "2026",
            "allowTeachersInMultipleSchools": True,
        },
    ),
)


@pytest.mark.parametrize(("source", "kept"), SERVERS)
def test_a_profile_of_a_server_is_made_by_the_form(server: Server, source: dict[str, str], kept: Json) -> None:
    """Each kind with the fields that it needs; its secret goes in and is on no page; test connection says what is."""
    tenant, secret = Tenant(server).known(), str(uuid.uuid4())
    with httpx.Client(base_url=server.base, follow_redirects=True) as http:
        http.post("/console/sign-in", data={"tenant": tenant.id})
        csrf = vouched(http, tenant, "admin").text.partition('name="csrf" value="')[2].partition('"')[0]
        form = {"csrf": csrf, **source, "clientId": "us", "clientSecret": secret, "domain.student": "a.example"}
        form |= {"domain.teacher": "a.example", "displayName": "From a server"}
        refused = http.post("/console/new-profile", data={**form, "connectionUrl": "nowhere"})
        assert refused.status_code == 400
        assert f'value="{source["source"]}" checked' in refused.text
        assert secret not in refused.text
        made = http.post("/console/new-profile", data={**form, "connectionUrl": "https://sis.example/ims/v1p1"})
        assert made.status_code == 200, made.text
        assert secret not in made.text
        (profile,) = tenant.admin.all("/synchronizationProfiles")
        found = profile["dataProvider"]
        assert found["connectionUrl"] == "https://sis.example/ims/v1p1"
        assert {name: found[name] for name in kept if name != "connectionSettings"} == {
            name: value for name, value in kept.items() if name != "connectionSettings"
        }
        if "connectionSettings" in kept:
            settings = found["connectionSettings"]
            assert {name: settings.get(name) for name in kept["connectionSettings"]} == kept["connectionSettings"]
        assert secret not in json.dumps(profile)
        assert "cannot read" in http.get(f"/console/profiles/{profile['id']}/connection").text


def test_the_source_of_a_profile_is_changed_by_a_form(server: Server) -> None:
    """Another kind, address or client; the secret that is stored stays where it is and is never sent elsewhere."""
    tenant, secret = Tenant(server), str(uuid.uuid4())
    profile = tenant.profile().id
    page = f"/console/profiles/{profile}/source"

    def kept() -> Json:
        provider: Json = tenant.admin.get(f"/synchronizationProfiles/{profile}")["dataProvider"]
        return provider

    with httpx.Client(base_url=server.base, follow_redirects=True) as http:
        http.post("/console/sign-in", data={"tenant": tenant.id})
        csrf = vouched(http, tenant, "admin").text.partition('name="csrf" value="')[2].partition('"')[0]
        assert 'value="csv" checked' in http.get(page).text
        power = {"csrf": csrf, "source": "powerSchool", "connectionUrl": "https://sis.example/", "clientId": "us"}
        power |= {"clientSecret": secret, "schoolYear": "2026", "schoolsIds": "100, 200"}
        saved = http.post(page, data=power)
        assert saved.status_code == 200, saved.text
        assert secret not in saved.text
        assert kept()["schoolsIds"] == ["100", "200"]

        # Without the secret: what it is not about may change, where it goes may not.
        del power["clientSecret"]
        assert http.post(page, data=power | {"schoolYear": "2027", "schoolsIds": ""}).status_code == 200
        assert (kept()["schoolYear"], kept()["schoolsIds"]) == ("2027", [])
        refused = http.post(page, data=power | {"connectionUrl": "https://elsewhere.example/"})
        assert refused.status_code == 400
        assert "clientSecret must be sent again" in refused.text
        assert 'value="https://elsewhere.example/"' in refused.text
        assert kept()["connectionUrl"] == "https://sis.example/"

        roster = power | {"source": "oneRoster", "signing": "OAuth2ClientCredentials", "scope": "r"}
        roster |= {"tokenUrl": "https://sis.example/t", "clientSecret": secret}
        assert http.post(page, data=roster).status_code == 200
        assert kept()["connectionSettings"]["scope"] == "r"
        assert http.post(page, data=roster | {"scope": ""}).status_code == 200
        assert kept()["connectionSettings"].get("scope") is None
        assert http.post(page, data=roster | {"tokenUrl": ""}).status_code == 400  # not kept behind the person's back
        assert secret not in http.get(page).text
        assert http.post(page, data={"csrf": csrf, "source": "csv"}).status_code == 200
        assert kept()["@odata.type"] == "#microsoft.graph.educationCsvDataProvider"
