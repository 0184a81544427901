"""The pages about profiles say everything there is to say."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from schoolsync.graph.types import Access, type_of
from schoolsync.profiles.customizations import OPTIONAL
from schoolsync.profiles.policy import OwnSettings
from schoolsync.profiles.quarantine import Quarantine
from schoolsync.profiles.schedules import Schedule
from schoolsync.profiles.states import State
from schoolsync.profiles.status import Status

DOCS = Path(__file__).parents[2] / "docs"
PROFILES = (DOCS / "profiles.md").read_text("utf-8")
STATUS = (DOCS / "profile-status.md").read_text("utf-8")


def _section(page: str, title: str) -> str:
    found = re.search(rf"^## {re.escape(title)}$(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    assert found is not None, title
    return found[1]


@pytest.mark.parametrize("state", list(State))
def test_every_state_is_explained(state: State) -> None:
    """Each state of a profile has its row."""
    assert f"\n| `{state}` |" in _section(PROFILES, "States")


@pytest.mark.parametrize("status", list(Status))
def test_every_status_is_explained(status: Status) -> None:
    """Each status has its row, and is named where writing it is explained."""
    assert f"\n| `{status}` |" in _section(PROFILES, "Statuses")
    assert f"`{status}`" in _section(STATUS, "Writing `status`")


@pytest.mark.parametrize(
    "type_name",
    [
        "educationSynchronizationProfile",
        "educationCsvDataProvider",
        "educationOneRosterApiDataProvider",
        "educationPowerSchoolDataProvider",
        "educationSynchronizationOAuth1ConnectionSettings",
        "educationSynchronizationOAuth2ClientCredentialsConnectionSettings",
        "educationSynchronizationCustomizations",
        "educationSynchronizationCustomization",
        "educationIdentityCreationConfiguration",
        "educationIdentityDomain",
        "educationIdentityMatchingConfiguration",
        "educationIdentityMatchingOptions",
        "educationSynchronizationLicenseAssignment",
        "educationSynchronizationError",
    ],
)
def test_every_property_is_explained(type_name: str) -> None:
    """Each property of each type that a profile is made of is on the page."""
    for name in type_of(type_name).properties:
        assert f"`{name}`" in PROFILES, name


def test_every_member_of_a_status_is_explained() -> None:
    """Each member that can be written has its row on the page of the call."""
    for name, member in type_of("educationSynchronizationProfileStatus").properties.items():
        assert member.access in {Access.READ_WRITE, Access.READ_ONLY}
        assert f"\n| `{name}` |" in _section(STATUS, "The body"), name


def test_every_optional_column_is_listed() -> None:
    """Each column that a customization may choose is listed with its kind, in the order in which it is shown."""
    for kind, columns in OPTIONAL.items():
        if columns:
            assert f"\n| `{kind}` | {', '.join(columns)} |" in PROFILES


def test_every_setting_of_our_own_is_explained() -> None:
    """Each setting, and each member of those about schedules and quarantine, has its row."""
    names = {field.encode_name: field for field in msgspec.structs.fields(OwnSettings)}
    missing = [name for name in names if f"\n| `{name}` |" not in PROFILES]
    missing += [
        field.encode_name
        for field in msgspec.structs.fields(Schedule)
        if f"\n| `{field.encode_name}` |" not in PROFILES
    ]
    operations = (DOCS / "operations.md").read_text("utf-8")
    missing += [
        field.encode_name
        for field in msgspec.structs.fields(Quarantine)
        if f"| `{field.encode_name}` |" not in operations
    ]
    assert not missing
