"""A roster in any format, uploaded through the API, becomes the same directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from schoolsync.sources import FORMATS
from schoolsync.testing import rosters

from .house import Server, Tenant
from .own import own

SIZE = {"people": 60, "classes": 6, "enrollments": 150}
VENDORS = {
    # schools, classes, people; some are other organizations, guardians, or not enabled
    "sds-v2": ("sds-v2", 4, 4, 29),
    "sds-v2.1": ("sds-v2.1", 2, 2, 6),
    "oneroster-1.1-bulk-minimal": ("oneroster-1.1", 1, 2, 5),
    "oneroster-1.1-bulk-generated": ("oneroster-1.1", 2, 15, 31),
    "oneroster-1.2-bulk-generated": ("oneroster-1.2", 2, 15, 31),
}


def directory(tenant: Tenant) -> dict[str, Any]:
    """Who and what there is, by the names that people call it."""
    seen = tenant.objects()
    people = {key: (one["displayName"], one["primaryRole"]) for key, one in seen["users"].items()}
    schools = {key: one["displayName"] for key, one in seen["schools"].items()}
    return {
        "people": sorted(people.values()),
        "schools": {
            name: (
                sorted(people[one] for one in seen["schools/users"][key]),
                sorted(seen["classes"][one]["displayName"] for one in seen["schools/classes"][key]),
            )
            for key, name in schools.items()
        },
        "classes": {
            one["displayName"]: (
                sorted(people[person] for person in seen["classes/members"][key]),
                sorted(people[person] for person in seen["classes/teachers"][key]),
            )
            for key, one in seen["classes"].items()
        },
    }


def files(folder: Path) -> dict[str, str | bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_the_same_district_arrives_from_every_format(server: Server, tmp_path: Path) -> None:
    """Schools, classes, pupils, teachers and who is where: the format makes no difference, and is told by itself."""
    arrived = {}
    for name in FORMATS:
        rosters.write(tmp_path / name, **SIZE, format=name, several_schools=True)
        tenant = Tenant(server)
        profile = tenant.profile()
        assert profile.sync(files(tmp_path / name))["status"] == "success", name
        arrived[name] = directory(tenant)
        mine = own(tenant, "admin")
        run = mine.all(f"/profiles/{profile.id}/runs")[0]["id"]
        report = mine.get(f"/profiles/{profile.id}/runs/{run}/report")
        assert (report["format"], bool(report["why"])) == (name, True)
    first = arrived.pop("sds-v1")
    assert len(first["classes"]) == SIZE["classes"]
    for name, found in arrived.items():
        assert found == first, name


@pytest.mark.parametrize("sample", VENDORS)
def test_a_vendors_sample_with_a_list_of_users_arrives(tenant: Tenant, samples: Path, sample: str) -> None:
    """Organizations that are no schools and guardians make no objects; a second time changes nothing."""
    profile = tenant.profile()
    assert profile.sync(files(samples / sample))["status"] in {"success", "error"}, profile.errors()
    seen = tenant.objects()
    _, schools, classes, people = VENDORS[sample]
    assert [len(seen[kind]) for kind in ("schools", "classes", "users")] == [schools, classes, people]
    profile.sync(files(samples / sample))
    assert tenant.objects() == seen


def _in(seen: dict[str, Any], person: str) -> bool:
    """Whether somebody is in any school or class."""
    return any(person in members for kind in ("schools/users", "classes/members") for members in seen[kind].values())


def test_a_package_of_changes_changes_what_it_names(tenant: Tenant, samples: Path) -> None:
    """A OneRoster delta after the whole roster: who left is gone, who came is there, everything else is untouched. It
    needs a whole roster before it; without one, it is refused and nobody is gone for that."""
    whole, delta = (files(samples / f"oneroster-1.2-{kind}-generated") for kind in ("bulk", "delta"))
    profile = tenant.profile()
    profile.upload(delta)
    said = [
        (one["fileName"], one["description"]) for one in profile.start(expect=400)["value"] if one["type"] == "Error"
    ]
    assert [file for file, _ in said] == ["manifest.csv"]
    assert said[0][1].startswith("The package holds changes alone, and there is no roster")
    profile.sync(whole)
    before = tenant.objects()
    profile.sync(delta)
    after = tenant.objects()

    def names(kind: str, seen: dict[str, Any]) -> dict[str, str]:
        called = {"users": "surname", "classes": "externalName", "schools": "displayName"}[kind]
        return {key: one[called] for key, one in seen[kind].items()}

    came = set(names("users", after).items()) - set(names("users", before).items())
    gone = set(names("users", before).items()) - set(names("users", after).items())
    assert sorted(name for _, name in came) == ["D'Angelo", "van der Berg-Hart"]
    assert [name for _, name in gone] == ["van der Berg"], "who leaves is an object still, and in no school and class"
    left = {one for seen in (before, after) for one in seen["users"] if not _in(seen, one)} - {
        one for one in before["users"] if not _in(before, one)
    }
    assert [before["users"][one]["surname"] for one in left] == ["O'Neill"]
    assert {name for _, name in set(names("classes", after).items()) - set(names("classes", before).items())} == {
        "Mathematics KG (moved)"
    }
    assert names("schools", after) == names("schools", before)
    untouched = before["users"].keys() & after["users"].keys() - {key for key, _ in came} - left
    assert {key: before["users"][key] for key in untouched} == {key: after["users"][key] for key in untouched}
    profile.sync(delta)
    assert tenant.objects() == after, "a second time changes nothing"
