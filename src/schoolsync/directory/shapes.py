"""Which column holds which property of a school, a class, a person.

One mapping per kind, by property path as the education API names it (`student/externalId`), read in both directions:
rows become nested values (in `graph.rows`), written values become columns. It knows nothing of callers or requests.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from sqlalchemy import ColumnElement, Table

from schoolsync.store import directory_tables

Values = dict[str, Any]  # properties by name: texts, numbers, nested mappings and lists

_NAMED = {"id": "id", "displayName": "display_name"}
_IDENTITY = {
    **_NAMED,
    "externalSource": "external_source",
    "externalSourceDetail": "external_source_detail",
}


def _address(owner: str, prefix: str) -> dict[str, str]:
    parts = {"street": "street", "city": "city", "state": "state", "countryOrRegion": "country"}
    parts["postalCode"] = "postal_code"
    return {f"{owner}/{name}": f"{prefix}_{column}" for name, column in parts.items()}


@dataclass(frozen=True)
class Shape:
    """One kind of object."""

    type_name: str
    table: Table
    paths: Mapping[str, str]  # property path -> column name; one value each
    lists: Mapping[str, str] = field(default_factory=dict)  # property -> column with a JSON list
    phone: str | None = None  # column of the single business phone
    empty_lists: tuple[str, ...] = ()  # collections that are never filled here
    constants: Values = field(default_factory=dict)  # properties that are the same for every object
    always: Mapping[str, tuple[str, str]] = field(default_factory=dict)  # complex -> (column, value that makes it so)
    followed: Mapping[str, tuple[str, str]] = field(default_factory=dict)  # property -> (column, text behind its value)

    @property
    def columns(self) -> dict[str, ColumnElement[Any]]:
        """Columns by property path: what can be filtered and sorted by."""
        columns: dict[str, ColumnElement[Any]] = {path: self.table.c[column] for path, column in self.paths.items()}
        columns |= {name: self.table.c[column].concat(text) for name, (column, text) in self.followed.items()}
        return columns

    @cached_property
    def places(self) -> dict[str, int]:
        """Where the columns stand in a row of the table."""
        return {column.name: place for place, column in enumerate(self.table.c)}

    def written(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Columns for the properties among `values` that have one; what is not among them is not in the result."""
        result: dict[str, Any] = {}
        for path, column in self.paths.items():
            owner, slash, name = path.partition("/")
            if owner not in values or owner == "id":
                continue
            value = values[owner]
            if not slash:
                result[column] = value
            elif value is None:
                result[column] = None
            elif name in value:
                result[column] = value[name]
        for name, column in self.lists.items():
            if name in values:
                result[column] = json.dumps(values[name] or [], ensure_ascii=False, separators=(",", ":"))
        if self.phone and "businessPhones" in values:
            result[self.phone] = next(iter(values["businessPhones"]), None)
        return result


def _same(*names: str) -> dict[str, str]:
    """Properties whose column has the same name in snake case."""
    return {name: "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name) for name in names}


def _below(owner: str, columns: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {f"{owner}/{name}": column for name, column in columns}


SCHOOL = Shape(
    "educationSchool",
    directory_tables.schools,
    {
        **_IDENTITY,
        **_same("description", "externalId", "externalPrincipalId", "principalName", "principalEmail"),
        **_same("lowestGrade", "highestGrade", "schoolNumber", "phone", "fax"),
        **_address("address", "address"),
    },
)

CLASS = Shape(
    "educationClass",
    directory_tables.classes,
    {
        **_IDENTITY,
        **_same("mailNickname", "description", "classCode", "grade", "externalId", "externalName"),
        **_below(
            "term",
            [
                ("externalId", "term_external_id"),
                ("displayName", "term_name"),
                ("startDate", "term_start"),
                ("endDate", "term_end"),
            ],
        ),
        **_below(
            "course",
            [
                ("externalId", "course_external_id"),
                ("displayName", "course_name"),
                ("courseNumber", "course_number"),
                ("description", "course_description"),
                ("subject", "course_subject"),
            ],
        ),
    },
)

PERSON = Shape(
    "educationUser",
    directory_tables.people,
    {
        **_IDENTITY,
        **_same("primaryRole", "userPrincipalName", "mailNickname", "mail", "givenName", "middleName", "surname"),
        **_same("accountEnabled", "department", "officeLocation", "mobilePhone", "preferredLanguage"),
        **_same("passwordPolicies", "userType", "usageLocation", "showInAddressList"),
        "refreshTokensValidFromDateTime": "tokens_valid_from",
        "onPremisesInfo/immutableId": "immutable_id",
        **_below(
            "student",
            [
                ("externalId", "student_external_id"),
                ("studentNumber", "student_number"),
                ("grade", "student_grade"),
                ("graduationYear", "graduation_year"),
                ("birthDate", "birth_date"),
                ("gender", "gender"),
            ],
        ),
        **_below("teacher", [("externalId", "teacher_external_id"), ("teacherNumber", "teacher_number")]),
        **_address("mailingAddress", "mailing"),
        **_address("residenceAddress", "residence"),
    },
    lists={"assignedLicenses": "licenses", "relatedContacts": "related_contacts"},
    phone="business_phone",
    empty_lists=("assignedPlans", "provisionedPlans"),
    always={"student": ("primary_role", "student"), "teacher": ("primary_role", "teacher")},
)

GROUP_MAIL = "@groups.invalid"
"""Scripts know the groups of sections by a mail that begins with `Section_`. Nothing can ever be sent there."""

# The plain directory objects behind schools, classes and people: the same rows under the names of the directory.
UNIT = Shape(
    "administrativeUnit", directory_tables.schools, {**_NAMED, **_same("description")}, constants={"visibility": None}
)

GROUP = Shape(
    "group",
    directory_tables.classes,
    {**_NAMED, **_same("description", "mailNickname"), "createdDateTime": "created"},
    constants={
        "visibility": "HiddenMembership",
        "mailEnabled": True,
        "securityEnabled": True,
        "groupTypes": ["Unified"],
    },
    followed={"mail": ("mail_nickname", GROUP_MAIL)},
)

USER = Shape(
    "user",
    directory_tables.people,
    {
        **_NAMED,
        **_same("givenName", "surname", "mail", "mobilePhone", "officeLocation", "preferredLanguage"),
        **_same("userPrincipalName", "mailNickname", "department", "usageLocation", "userType", "accountEnabled"),
        "jobTitle": "title",
        "createdDateTime": "created",
    },
    lists={"assignedLicenses": "licenses"},
    phone="business_phone",
)
