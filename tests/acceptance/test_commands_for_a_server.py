"""What an operator does from a terminal far away: profiles, runs, findings, the directory and any other operation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .house import Json, Server, Tenant, until
from .rosters import DISTRICT
from .typing_here import Said, typed_here

pytestmark = pytest.mark.xdist_group("own-api")


def careful(folder: Path) -> Path:
    """Settings under which nobody goes without a yes."""
    file = folder / "careful.json"
    file.write_text('{"guards": {"removalLeast": 0, "removalPercent": 10}}', "utf-8")
    return file


class Far:
    """Commands for a server elsewhere: nothing but its address and what makes a token is known."""

    def __init__(self, tenant: Tenant) -> None:
        self._where = ["--server", tenant.server.base, "--data-dir", str(tenant.server.data), "--tenant", tenant.id]

    def __call__(self, *words: str | Path, expect: int = 0) -> Said:
        done = typed_here(*words, *self._where)
        assert done.status == expect, f"{words} -> {done}"
        return done

    def told(self, *words: str | Path) -> list[Any]:
        """What a script reads."""
        return [json.loads(line) for line in self(*words, "--json").stdout.splitlines()]


def test_an_operator_works_from_afar(server: Server, tmp_path: Path) -> None:
    """Profiles are listed, started, watched, paused and restarted; findings are read; people are looked up."""
    tenant = Tenant(server)
    profile = tenant.profile()
    far = Far(tenant)
    (listed,) = far.told("profile", "list")
    assert (listed["id"], listed["state"], listed["status"]) == (profile.id, "provisioned", None)
    assert far.told("profile", "list", "--search", "nobody is called that") == []
    this = ("--profile", profile.id)
    profile.upload(DISTRICT.changed("students", "3001", Username="").files())
    assert "student.csv" in far("profile", "start", profile.id, expect=1).stdout
    wrong = tmp_path / "wrong"
    wrong.mkdir()
    for name, content in DISTRICT.changed("students", "3001", Username="").files().items():
        (wrong / name).write_text(content, "utf-8", newline="")
    preview = json.loads(far("plan", wrong, *this, "--json", expect=1).stdout)["run"]["id"]
    (found,) = far.told("findings", preview, *this, "--severity", "error", "--quote")
    assert (found["file"], found["line"]) == ("Student.csv", 2)
    assert "Müller" in json.dumps(found["quoted"], ensure_ascii=False)
    assert "Student.csv line 2" in far("findings", preview, *this).stdout
    assert far.told("findings", preview, *this, "--by", "cause")[0]["count"] == 1
    assert "errors: 1" in far("findings", preview, *this, "--by", "school").stdout
    far("report", preview, *this, "--output", tmp_path / "report.json")
    assert json.loads((tmp_path / "report.json").read_text("utf-8"))["causes"]
    profile.upload(DISTRICT.files())
    assert json.loads(far("profile", "start", profile.id, "--wait", "--json").stdout)["run"]["state"] == "done"
    far("api", "patch", f"profiles/{profile.id}/settings", "--body", careful(tmp_path))
    profile.upload(DISTRICT.without("students", SIS_ID="3003").without("enrollments", SIS_ID="3003").files())
    far("profile", "start", profile.id, "--wait", expect=3)
    assert far.told("runs", *this, "--follow")[-1]["state"] == "held"
    assert "held (guard)" in far("runs", *this).stdout
    assert "1 need a person now" in far("system").stdout
    assert far.told("profile", "list", "--attention")[0]["id"] == profile.id
    assert far.told("cancel", *this, "--why", "wrong export")[0]["ended"]
    assert "nothing to cancel" in far("cancel", *this, expect=2).stderr
    stood = far("profile", "show", profile.id).stdout
    assert "success" in stood
    assert "last good run: 20" in stood
    (fresh,) = far.told("freshness")
    assert (fresh["profile"], fresh["ageSeconds"] is not None) == (profile.id, True)
    assert far.told("profile", "pause", profile.id)[0]["status"] == "paused"
    assert far.told("profile", "resume", profile.id)[0]["status"] != "paused"
    assert far.told("profile", "reset", profile.id)[0]["id"] == profile.id
    assert far.told("restart", *this, "--scope", "everything")[0]["number"] > 2
    (pupil,) = far.told("directory", "people", "--search", "3001")
    assert pupil["sourceId"] == "3001"
    (whole,) = far.told("directory", "people", pupil["id"])
    assert whole["classes"]
    assert whole["object"]["name"] in far("directory", "people", pupil["id"]).stdout
    assert len(far.told("directory", "schools")) == len(DISTRICT.schools)


def test_any_operation_is_asked_by_its_path(server: Server, tmp_path: Path) -> None:
    """Our own and Graph's, with and without a body; what is refused is one sentence; the metrics stay text."""
    tenant = Tenant(server)
    profile = tenant.profile()
    far = Far(tenant)
    (me,) = far.told("whoami")
    assert me["tenant"] == tenant.id
    assert "tenant " + tenant.id in far("whoami").stdout
    asked: Json = json.loads(far("api", "get", "/v1.0/education/synchronizationProfiles").stdout)
    assert [one["id"] for one in asked["value"]] == [profile.id]
    assert "# TYPE schoolsync" in far("api", "get", "metrics").stdout
    body = tmp_path / "settings.json"
    body.write_text('{"guards": {"removalPercent": 7}}', "utf-8")
    changed = json.loads(far("api", "patch", f"profiles/{profile.id}/settings", "--body", body).stdout)
    assert changed["settings"]["guards"]["removalPercent"] == 7
    body.write_text("[", "utf-8")
    assert "is not JSON" in far("api", "patch", "notices", "--body", body, expect=2).stderr
    refused = far("api", "get", "nothing-of-ours", expect=2).stderr
    assert refused.count("\n") == 1
    assert "%20" in far("api", "get", "two words", expect=2).stderr
    shell = {
        "SCHOOLSYNC_SERVER": server.base,
        "SCHOOLSYNC_TOKEN": typed_here(
            *("token", "--data-dir", server.data, "--tenant", tenant.id, "--scope", "EduAdministration.ReadWrite")
        ).stdout.strip(),
    }
    assert typed_here("freshness", **shell).stdout.split()[:2] == [tenant.id, profile.id], "and not this machine's"
    assert "profile list" in typed_here("runs", "--profile", "nobody", **shell).stderr
    entries = far.told("audit", "list", "--limit", "50")
    assert any(profile.id in one["object"] for one in entries)
    assert far.told("profile", "delete", profile.id) == [{"id": profile.id, "deleted": True}]
    until("it is gone", lambda: far.told("profile", "list") == [])
