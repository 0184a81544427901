"""The vendors' sample rosters through the real main job."""

from __future__ import annotations

import csv
import uuid
from pathlib import Path

import pytest

from .house import DOMAIN, Json, Profile, Tenant, matching

# schools, classes, people
EXPECTED = {"sds-v1-25-users": (2, 2, 24), "sds-v1-100-users": (2, 28, 98), "sds-v1-min": (2, 2, 24)}


@pytest.fixture(params=EXPECTED)
def sample(samples: Path, request: pytest.FixtureRequest) -> Path:
    return samples / str(request.param)


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def ready(tenant: Tenant, sample: Path) -> Profile:
    """A profile that fits the sample: one that creates people, or one that matches when there are no names."""
    if "First Name" in read(sample / "Student.csv")[0]:
        return tenant.profile()
    for row in read(sample / "Student.csv") + read(sample / "Teacher.csv"):
        body: Json = {
            "displayName": row["Username"],
            "accountEnabled": True,
            "mailNickname": row["Username"],
            "userPrincipalName": f"{row['Username']}@{DOMAIN}",
            "passwordProfile": {"password": str(uuid.uuid4())},
        }
        tenant.reader("POST", "/users", body, expect=201)
    return tenant.profile(matching())


def test_a_vendors_sample_arrives_whole(tenant: Tenant, sample: Path) -> None:
    """Every school, class, person and membership of the sample is in the directory; a second time changes nothing."""
    profile = ready(tenant, sample)
    files = {path.name: path.read_bytes() for path in sample.iterdir()}
    profile.upload(files)
    started = profile.start()
    assert {item["type"] for item in started["value"]} <= {"Warning"}
    final = profile.wait()
    assert final["status"] == "success", final
    seen = tenant.objects()
    assert tuple(len(seen[kind]) for kind in ("schools", "classes", "users")) == EXPECTED[sample.name]
    people = {
        (person["primaryRole"], (person["student"] or person["teacher"])["externalId"]): key
        for key, person in seen["users"].items()
    }
    classes = {item["externalId"]: key for key, item in seen["classes"].items()}
    members = {
        (classes[row["Section SIS ID"]], people[(role, row["SIS ID"])])
        for role, name in (("student", "StudentEnrollment.csv"), ("teacher", "TeacherRoster.csv"))
        for row in read(sample / name)
    }
    assert {(key, person) for key, found in seen["classes/members"].items() for person in found} == members
    assert profile.sync(files)["status"] == "success"
    assert tenant.objects() == seen
    if sample.name == "sds-v1-25-users":  # its dates are American and not padded
        (pupil,) = tenant.reader.all("/users?$filter=student/externalId eq '13002'")
        assert pupil["student"]["birthDate"] == "1999-11-12"
        term = tenant.reader.get("/classes")["value"][0]["term"]
        assert (term["startDate"], term["endDate"]) == ("2017-07-01", "2018-06-30")
