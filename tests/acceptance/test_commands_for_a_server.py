"""What an operator does from a terminal far away: profiles, runs, findings, the directory and any other operation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from schoolsync.access import audit

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
    assert "leads elsewhere (303)" in far("api", "get", "/console", expect=2).stderr
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
    assert "set operator_tenant to its id" in far("doctor", expect=2).stderr
    assert far.told("profile", "delete", profile.id) == [{"id": profile.id, "deleted": True}]
    until("it is gone", lambda: far.told("profile", "list") == [])


def test_the_audit_log_is_checked_and_written_out_from_afar(server: Server, tmp_path: Path) -> None:
    """Page by page; the chain is looked at on this side; what is written is what the server's own machine writes."""
    tenant = Tenant(server)
    profile = tenant.profile()
    far = Far(tenant)
    for _ in range(3):
        profile.api("POST", f"{profile.path}/pause", expect=200)
        profile.api("POST", f"{profile.path}/resume", expect=200)
    here = [json.loads(line) for line in server.command("audit", "export", "--tenant", tenant.id).stdout.splitlines()]
    assert len(here) >= 7
    assert far.told("audit", "export") == here
    assert far.told("audit", "export", "--after", "3") == here[3:]
    for number in ("-5", "9" * 23):
        assert "--after" in far("audit", "export", "--after", number, expect=2).stderr
    far("audit", "export", "--format", "csv", "--output", tmp_path / "audit.csv")
    assert len((tmp_path / "audit.csv").read_text("utf-8").splitlines()) == len(here) + 1
    (whole,) = far.told("audit", "verify")
    assert whole == {"tenant": tenant.id, "entries": len(here), "wrong": None, "hash": here[-1]["hash"]}
    where = ("--server", server.base, "--data-dir", server.data, "--tenant", tenant.id)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("schoolsync.cli.audit.PAGE", 2)
        assert typed_here("audit", "verify", *where).stdout.startswith(f"{tenant.id}  {len(here)} entries, whole")
    operator = server.token(tenant.id, scope="schoolsync.access", roles=("schoolsync.operator",), user="o@x.example")
    for name in ("audit verify", "doctor"):
        refused = typed_here(*name.split(), SCHOOLSYNC_SERVER=server.base, SCHOOLSYNC_TOKEN=operator)
        assert refused.status == 2
        assert refused.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"actor": "delegated:x"}, "Entry 2: its content was changed."),
        ({"sealed": False}, "Entry 2: it was not written by this installation."),
        ({"number": 3}, "Entry 3: entries 2 to 2 are missing."),
        ({"previous": "0" * 64}, "Entry 2: it does not follow the entry before it."),
    ],
)
def test_a_log_that_a_server_has_meddled_with_is_seen_from_afar(change: Json, says: str) -> None:
    """The chain is checked where the command is typed: whoever sends entries cannot say that they are whole."""
    entries = list[Json]()
    for number in (1, 2):
        entry: Json = {"number": number, **dict.fromkeys(audit.FIELDS[1:], "x")}
        entry["previous"] = entries[-1]["hash"] if entries else audit.BEGINNING
        entry["hash"] = audit.chained(entry["previous"], entry)
        entries.append({**entry, "sealed": True})
    whole = audit.Chain((2, entries[-1]["hash"]))
    assert all(whole.goes_on(one, sealed=one["sealed"]) for one in entries)
    assert whole.verdict() == audit.Verdict(2, entries[-1]["hash"], None)
    chain = audit.Chain((2, entries[-1]["hash"]))
    assert chain.goes_on(entries[0], sealed=True)
    changed = entries[1] | change
    assert not chain.goes_on(changed, sealed=changed["sealed"])
    assert chain.verdict().wrong == says
    short = audit.Chain((2, entries[-1]["hash"]))
    assert short.goes_on(entries[0], sealed=True)
    assert short.verdict().wrong == "Entries behind number 1 are missing."
