"""Alert rules and dashboard of deploy/ name metrics and labels that a server really answers with."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx
import promql_parser
import pytest
import yaml

from schoolsync.runs.metrics import METRICS

from .house import Json, Server, Tenant, command
from .own import own
from .rosters import DISTRICT

pytestmark = pytest.mark.xdist_group("own-api")

DEPLOY = Path(__file__).parents[2] / "deploy"
OF_PROMETHEUS = {"job", "instance", "tenant"}
RULE = {"alert", "expr", "for", "labels", "annotations"}


@pytest.fixture(scope="module")
def answered(server: Server) -> dict[str, set[str]]:
    """The labels of each metric as Prometheus reads them: with a client's token, after a good run and a held one."""
    tenant = Tenant(server)
    profile = tenant.profile()
    assert profile.sync(DISTRICT.files())["status"] == "success"
    scheduled = {"guards": {"removalLeast": 0}, "schedule": {"cron": "0 3 1 1 *"}}
    own(tenant, "admin")("PATCH", f"/profiles/{profile.id}/settings", scheduled, expect=200)
    fewer = DISTRICT.without("students", SIS_ID="3003").without("enrollments", SIS_ID="3003")
    profile.sync(fewer.files())
    made = command(
        "client", "add", "--data-dir", server.data, "--tenant", tenant.id, "--role", "schoolsync.viewer", "--json"
    )
    client = json.loads(made.stdout)
    (scrape,) = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text("utf-8"))["scrape_configs"]
    asked = scrape["oauth2"]
    example = scrape["static_configs"][0]["labels"]["tenant"]
    form = {
        "grant_type": "client_credentials",
        "client_id": client["clientId"],
        "client_secret": client["clientSecret"],
        "scope": " ".join(asked["scopes"]),
    }
    address = asked["token_url"].replace("https://sds.example.org", server.base).replace(example, tenant.id)
    token = server.http.post(address, data=form).json()["access_token"]
    answer: httpx.Response = server.http.get(
        server.base + scrape["metrics_path"], headers={"Authorization": f"Bearer {token}"}
    )
    assert answer.status_code == 200, answer.text
    found: dict[str, set[str]] = {name: set() for name in re.findall(r"^# TYPE (\w+) ", answer.text, re.MULTILINE)}
    for name, labels in re.findall(r"^(\w+)\{(.*)\} ", answer.text, re.MULTILINE):
        found[name] |= set(re.findall(r'(\w+)="', labels))
    return found


def selectors(expression: str) -> list[tuple[str, set[str]]]:
    """Metric and labels of every selector of an expression; it is parsed as Prometheus parses it."""
    promql_parser.parse(expression)
    return [
        (name, set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", inside)))
        for name, inside in re.findall(r"\b(schoolsync_\w+|up)(?:\{([^}]*)\})?", expression)
    ]


def expressions(dashboard: Json) -> list[str]:
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


def test_alerts_and_dashboard_name_what_there_is(answered: dict[str, set[str]]) -> None:
    """Every metric that is named is answered, with the labels that are asked for; and all of them are shown."""
    assert list(answered) == [metric.name for metric in METRICS]
    assert all(answered.values()), "a metric without a value was not looked at"
    rules: list[dict[str, Any]] = [
        rule
        for group in yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text("utf-8"))["groups"]
        for rule in group["rules"]
    ]
    for rule in rules:
        assert rule.keys() <= RULE
        assert re.fullmatch(r"\d+[smhd]", rule.get("for", "1m"))
        assert rule["annotations"].keys() == {"summary", "action"}
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        for name in re.findall(r"\$labels\.(\w+)", str(rule["annotations"])):
            of = [labels for metric, _ in selectors(rule["expr"]) for labels in [answered.get(metric, set())]]
            assert any(name in labels for labels in of), f"{rule['alert']}: {name}"
    dashboard = json.loads((DEPLOY / "grafana" / "schoolsync.json").read_text("utf-8"))
    shown = [one.replace('"$profile"', '".*"') for one in expressions(dashboard)]
    for expression in [rule["expr"] for rule in rules] + shown:
        for metric, labels in selectors(expression):
            if metric != "up":
                assert metric in answered, expression
                assert labels <= answered[metric] | OF_PROMETHEUS, expression
    named = {metric for expression in shown for metric, _ in selectors(expression)}
    assert named >= set(answered) - {"schoolsync_profile_last_good_timestamp_seconds"}


def test_the_panels_of_the_dashboard_have_places_of_their_own() -> None:
    """Each has a title and says what it shows; no two cover each other."""
    panels = json.loads((DEPLOY / "grafana" / "schoolsync.json").read_text("utf-8"))["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        assert panel["title"]
        assert panel["description"]
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells
