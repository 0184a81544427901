"""Promise 3: A file that is missing or unreadable never means "empty"."""

from __future__ import annotations

import pytest

from ..acceptance.house import Server, Tenant
from ..acceptance.rosters import DISTRICT

pytestmark = [pytest.mark.nightly, pytest.mark.xdist_group("promises")]

DAMAGES = {
    "absent": None,
    "empty": b"",
    "only a header": b"header",
    "unreadable": bytes(range(128, 256)) * 40,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_takes_nothing_away(server: Server, damage: str) -> None:
    """Whichever of the six files it is, every school, class, person and membership stays."""
    for name, content in DISTRICT.files().items():
        profile = Tenant(server).profile()
        assert profile.sync(DISTRICT.files())["status"] == "success"
        before = profile.tenant.objects()
        files: dict[str, str | bytes] = {**DISTRICT.files()}
        del files[name]
        spoiled = DAMAGES[damage]
        if spoiled == b"header":
            spoiled = content.splitlines(keepends=True)[0].encode()
        profile.upload(files if spoiled is None else {**files, name: spoiled})
        profile.api("POST", f"{profile.path}/start")
        profile.wait()
        after = profile.tenant.objects()
        gone = {kind: objects.keys() - after[kind].keys() for kind, objects in before.items()}
        assert not any(gone.values()), name
        for kind in ("schools/classes", "schools/users", "classes/members", "classes/teachers"):
            assert all(set(ids) <= set(after[kind][key]) for key, ids in before[kind].items()), name
