"""`profile export`, `diff`, `import` and `upload`, typed against a real server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tomli_w

from .house import Json, Server, Tenant, creation, until
from .own import own
from .rosters import DISTRICT
from .typing_here import Said, typed_here

pytestmark = pytest.mark.xdist_group("own-api")

GUARDED = {
    "guards": {"removalPercent": 3.5, "secondPerson": True},
    "schedule": {"cron": "30 2 * * *", "onUpload": True},
    "timeZone": "Europe/Oslo",
    "windows": [{"firstDay": "2026-12-21", "lastDay": "2027-01-03", "kind": "blackout"}],
    "recipes": {"student": {"username": "{givenName:3}.{surname}", "reserved": ["boss"]}},
    "purgeDays": {"student": 90},
    "fields": [],
    "quarantine": {"retryMinutes": []},
}
CUSTOMIZED = {
    "student": {"optionalPropertiesToSync": ["Grade"], "allowDisplayNameUpdate": True},
    "teacher": {"isSyncDeferred": True},
}
ONEROSTER = {
    "@odata.type": "#microsoft.graph.educationOneRosterApiDataProvider",
    "connectionUrl": "https://sis.example.org/ims/oneroster/v1p1",
    "providerName": "Contoso SIS",
    "schoolsIds": ["100", "200"],
    "connectionSettings": {
        "@odata.type": "#microsoft.graph.educationSynchronizationOAuth1ConnectionSettings",
        "clientId": "reader",
    },
}


class Typed:
    """Commands of one person in one tenant."""

    def __init__(self, tenant: Tenant) -> None:
        self.tenant = tenant
        self._where = ["--server", tenant.server.base, "--data-dir", tenant.server.data, "--tenant", tenant.id]

    def __call__(self, *words: str | Path, expect: int = 0, **environment: str) -> Said:
        done = typed_here(*words, *self._where, **environment)
        assert done.status == expect, f"{words} -> {done.status}\n{done.stdout}\n{done.stderr}"
        return done

    def json(self, *words: str | Path, expect: int = 0, **environment: str) -> Json:
        answer: Json = json.loads(self(*words, "--json", expect=expect, **environment).stdout)
        return answer

    def settled(self, profile: str) -> str:
        """The version of a profile that does not move by itself any more."""

        def look() -> str | None:
            shown = self.tenant.admin.get(f"/synchronizationProfiles/{profile}")
            return str(shown["@odata.etag"]) if shown["state"] == "provisioned" else None

        return until("the profile is provisioned", look)


def test_a_profile_moves_in_a_file_and_importing_twice_changes_nothing(server: Server, tmp_path: Path) -> None:
    """Everything of a profile but its secret arrives elsewhere, and the second import leaves even its version."""
    old = Tenant(server)
    made = old.profile(
        creation(
            handleSpecialCharacterConstraint=True,
            dataProvider={"@odata.type": "#microsoft.graph.educationCsvDataProvider", "customizations": CUSTOMIZED},
        )
    )
    own(old, "admin")("PATCH", f"/profiles/{made.id}/settings", GUARDED, expect=200)
    file = tmp_path / "district.toml"
    Typed(old)("profile", "export", made.id, "--output", file)
    assert Typed(old)("profile", "diff", file).stdout == "Nothing differs.\n"

    new = Typed(Tenant(server))
    told = new.json("profile", "diff", file, expect=1)
    assert told["profile"] is None
    first = new.json("profile", "import", file)
    assert first["created"]
    copied = new.tenant.admin.get(f"/synchronizationProfiles/{first['profile']}")
    original = old.admin.get(made.path)
    for name in (
        "displayName",
        "dataProvider",
        "identitySynchronizationConfiguration",
        "licensesToAssign",
        "handleSpecialCharacterConstraint",
        "expirationDate",
    ):
        assert copied[name] == original[name], name
    settings = own(old, "viewer").get(f"/profiles/{made.id}/settings")["settings"]
    assert own(new.tenant, "viewer").get(f"/profiles/{first['profile']}/settings")["settings"] == settings

    before = new.settled(first["profile"])
    again = new.json("profile", "import", file)
    assert (again["created"], again["changed"], again["differences"]) == (False, False, [])
    assert new.settled(first["profile"]) == before
    assert new("profile", "diff", file).stdout == "Nothing differs.\n"


def test_what_a_file_leaves_out_goes_back_to_its_default(server: Server, tmp_path: Path) -> None:
    """A reviewed file is the whole truth; what differs is told, line by line, before and after."""
    typed = Typed(Tenant(server))
    made = typed.tenant.profile(
        creation(
            handleSpecialCharacterConstraint=True,
            licensesToAssign=[{"appliesTo": "student", "skuIds": ["6634E0CE-1A9F-428C-A498-F84EC7B8AA2E"]}],
            dataProvider={"@odata.type": "#microsoft.graph.educationCsvDataProvider", "customizations": CUSTOMIZED},
        )
    )
    own(typed.tenant, "admin")("PATCH", f"/profiles/{made.id}/settings", GUARDED, expect=200)
    file = tmp_path / "bare.toml"
    wanted = creation(settings={"guards": {"removalLeast": 9}})
    file.write_text(tomli_w.dumps(wanted), "utf-8")
    told = typed("profile", "diff", file, expect=1).stdout
    assert "settings.guards.removalPercent: 3.5 -> 10.0" in told
    assert "handleSpecialCharacterConstraint: true -> nothing" in told
    assert "removalLeast: 5 -> 9" in typed("profile", "import", file).stdout
    after = own(typed.tenant, "viewer").get(f"/profiles/{made.id}/settings")["settings"]
    assert (after["guards"]["removalLeast"], after["guards"]["secondPerson"]) == (9, False)
    assert (after["recipes"], after["windows"], after["schedule"]["cron"], after["fields"]) == ({}, [], None, None)
    shown = typed.tenant.admin.get(made.path)
    assert (shown["licensesToAssign"], shown["handleSpecialCharacterConstraint"]) == ([], None)
    assert not shown["dataProvider"]["customizations"]["teacher"]["isSyncDeferred"]
    assert not typed.json("profile", "import", file)["changed"]


def test_a_secret_comes_from_a_variable_and_never_from_or_into_a_file(server: Server, tmp_path: Path) -> None:
    """The file with a secret is refused; the one that is stored stays when the file is imported again."""
    typed = Typed(Tenant(server))
    file = tmp_path / "api.toml"
    file.write_text(tomli_w.dumps(creation(displayName="By API", dataProvider=ONEROSTER)), "utf-8")
    made = typed.json("profile", "import", file, SCHOOLSYNC_CLIENT_SECRET="s3cret-of-the-sis")["profile"]
    before = typed.settled(made)
    text = typed("profile", "export", "By API").stdout
    assert "s3cret-of-the-sis" not in text
    assert "clientSecret" not in text
    for secret in ("s3cret-of-the-sis", ""):
        assert not typed.json("profile", "import", file, SCHOOLSYNC_CLIENT_SECRET=secret)["changed"]
        assert typed.settled(made) == before
    elsewhere = ONEROSTER | {"connectionUrl": "https://other.example.org/oneroster"}
    file.write_text(tomli_w.dumps(creation(displayName="By API", dataProvider=elsewhere)), "utf-8")
    assert "must be sent again" in typed("profile", "import", file, expect=2).stderr
    leaking = ONEROSTER | {"connectionSettings": ONEROSTER["connectionSettings"] | {"clientSecret": "x"}}
    file.write_text(tomli_w.dumps(creation(displayName="By API", dataProvider=leaking)), "utf-8")
    assert "is a secret" in typed("profile", "import", file, expect=2).stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("displayName = ", "is not TOML"),
        ('displayName = "A"', "dataProvider is required"),
        ("nonsense = 1", "A profile has no nonsense"),
        ("{whole}\n[settings.guards]\nremovalPercent = 200", "settings cannot be that|setting cannot be that"),
        ("{whole}\n[settings]\ncolour = 1", "no setting colour"),
        ("{whole}\n[settings.guards]\nremovalPercent = nan", "is no number"),
    ],
)
def test_a_file_that_cannot_be_is_refused_in_words(text: str, said: str, tmp_path: Path) -> None:
    """Nothing is asked of a server for it."""
    file = tmp_path / "wrong.toml"
    file.write_text(text.replace("{whole}", tomli_w.dumps(creation())), "utf-8")
    done = typed_here("profile", "diff", file, "--server", "http://127.0.0.1:9", "--tenant", "x")
    assert done.status == 2
    assert any(part in done.stderr for part in said.split("|")), done.stderr


def test_upload_start_and_wait_in_one_go(server: Server, tmp_path: Path) -> None:
    """Files in, run watched, exit status by its end; without --start the files wait."""
    typed = Typed(Tenant(server))
    made = typed.tenant.profile()
    roster = tmp_path / "roster"
    roster.mkdir()
    for name, content in DISTRICT.files().items():
        (roster / name).write_text(content, "utf-8", newline="")
    assert "Nothing is started" in typed("upload", "Nordkapp", roster).stdout
    assert made.status()["status"] not in {"success", "inProgress"}
    done = typed("upload", "Nordkapp", roster, "--start", "--wait")
    assert "done" in done.stdout
    assert "sending" in done.stderr
    assert made.status()["status"] == "success"
    assert typed.json("upload", made.id, roster, "--start", "--wait")["run"]["state"] == "done"
    assert "goes with --start" in typed("upload", made.id, roster, "--wait", expect=2).stderr
    (roster / "Student.csv").unlink()
    refused = typed.json("upload", made.id, roster, "--start", "--wait", expect=1)
    assert refused["started"]["verification"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands(shell: str) -> None:
    """There is a script for each shell, and what that script asks for is answered."""
    script = Path(sys.executable).with_name("schoolsync")
    asked = {
        "bash": {"COMP_WORDS": "schoolsync prof", "COMP_CWORD": "1"},
        "zsh": {"_TYPER_COMPLETE_ARGS": "schoolsync prof"},
        "fish": {"_TYPER_COMPLETE_ARGS": "schoolsync prof", "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    }[shell]

    def answer(**environment: str) -> str:
        whole = {**os.environ, **environment}
        return subprocess.run([script], capture_output=True, text=True, timeout=60, check=False, env=whole).stdout

    assert f"_SCHOOLSYNC_COMPLETE=complete_{shell}" in answer(_SCHOOLSYNC_COMPLETE=f"source_{shell}")
    assert "profile" in answer(_SCHOOLSYNC_COMPLETE=f"complete_{shell}", **asked)
