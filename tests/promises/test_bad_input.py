"""Promise 9: Bad input gets a clear error — file, line, column, rule, what to do — and nothing is lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ..acceptance.house import Tenant, command
from ..acceptance.own import own
from ..acceptance.rosters import DISTRICT

pytestmark = [pytest.mark.nightly, pytest.mark.xdist_group("promises")]

BAD = DISTRICT.changed("students", "3002", School_SIS_ID="NOWHERE")


def test_a_pupil_of_a_school_that_is_not_there(tenant: Tenant, tmp_path: Path) -> None:
    """Checking beforehand and `start` name the place and what to do; nothing changes; the mended file goes in."""
    for name, content in BAD.files().items():
        (tmp_path / name).write_text(content, "utf-8", newline="")
    done = command("validate", tmp_path, "--json")
    assert done.returncode == 1
    found = [one for one in json.loads(done.stdout)["findings"] if one["severity"] == "error"]
    assert ("unknown-reference", "Student.csv", 3, "School SIS ID") in {
        (one["rule"], one["file"], one["line"], one["column"]) for one in found
    }
    assert all(one["message"].endswith((".", "?")) and "rules.md#" in one["help"] for one in found)

    profile = tenant.profile()
    assert profile.sync(DISTRICT.files())["status"] == "success"
    before = tenant.objects()
    profile.upload(BAD.files())
    answer = profile.start(expect=400)
    assert "School SIS ID" in answer["error"]["message"]
    (said,) = [one for one in answer["value"] if one["type"] == "Error"]
    assert said["fileName"] == "student.csv"
    assert "School SIS ID" in said["description"]
    (one,) = own(tenant, "viewer").all(f"/profiles/{profile.id}/runs/2/findings?severity=error")
    assert (one["file"], one["line"], one["column"]) == ("Student.csv", 3, "School SIS ID")
    assert profile.status()["status"] == "success"
    assert tenant.objects() == before
    assert profile.sync(DISTRICT.changed("students", "3002", Grade="8").files())["status"] == "success"
    assert tenant.objects() != before
