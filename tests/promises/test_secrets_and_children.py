"""Promise 8: Secrets go in and never come out, no pupil's data stands in logs, and one person can be erased from
everything that is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..acceptance.house import Tenant, creation, serving
from ..acceptance.rosters import DISTRICT
from ..acceptance.test_erasing import district, places
from ..acceptance.test_keeping_secrets import SECRET, provider

pytestmark = [pytest.mark.nightly, pytest.mark.xdist_group("promises")]

MARK = "4711081522"


def test_what_went_in_is_not_found_again(tmp_path: Path) -> None:
    """A provider's secret is in no answer, log or file; a pupil is in no log, and after erasing in no file."""
    with serving(tmp_path) as server:
        tenant = Tenant(server)
        body = {**creation(), "dataProvider": provider(SECRET)}
        made = tenant.admin("POST", "/synchronizationProfiles", body, expect=202)
        shown = made.text + tenant.admin("GET", f"/synchronizationProfiles/{made.json()['id']}", expect=200).text
        assert SECRET not in shown
        assert places(server, SECRET) == []

        profile = tenant.profile({**creation(), "displayName": "Erasing"})
        assert profile.sync(district(MARK).files())["status"] == "success"
        assert profile.sync(DISTRICT.changed("students", "3001", Grade="8").files())["status"] == "success"
        assert places(server, MARK)
        snapshots = [path for path in places(server, f"Fjord-{MARK}") if "uploads" not in path.parts]
        assert snapshots == [], "a password is nowhere but in the file that was uploaded"
        done = server.command("erase", "--tenant", tenant.id, f"00{MARK}")
        assert done.returncode == 0, done.stderr
        assert places(server, MARK) == []
        log = server.log.read_text("utf-8")
        assert MARK not in log
        assert SECRET not in log
        assert "Müller" not in log
