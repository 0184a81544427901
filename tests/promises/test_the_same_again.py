"""Promise 4: The same input twice changes nothing in the directory the second time: not an id, not an object's
timestamp, not a delta position."""

from __future__ import annotations

import pytest

from ..acceptance.house import Tenant
from ..acceptance.rosters import DISTRICT

pytestmark = [pytest.mark.nightly, pytest.mark.xdist_group("promises")]


def test_a_second_sync_of_the_same_files(tenant: Tenant) -> None:
    """Every row of the directory is as it was, and whoever follows it hears nothing."""
    profile = tenant.profile()
    tables = ("schools", "classes", "people", "school_classes", "school_people", "class_people", "positions")

    def rows() -> dict[str, list[tuple[object, ...]]]:
        return {name: sorted(tenant.server.select(tenant.id, f"SELECT * FROM {name}"), key=str) for name in tables}

    assert profile.sync(DISTRICT.files())["status"] == "success"
    before, shown = rows(), tenant.objects()
    sets = [f"/{kind}/delta?$deltatoken=latest" for kind in ("schools", "classes", "users")]
    links = [tenant.reader.get(path)["@odata.deltaLink"] for path in sets]
    assert profile.sync(DISTRICT.files())["status"] == "success"
    assert all(before.values())
    assert rows() == before
    assert tenant.objects() == shown
    assert [tenant.reader.get(link)["value"] for link in links] == [[], [], []]
