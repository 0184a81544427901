"""What Microsoft's public scripts for School Data Sync ask of the directory, request by request, in beta.

The scripts themselves are not here; their requests are.
"""

from __future__ import annotations

from typing import Any

import pytest

from .house import Api, Json, Profile, Server, Tenant
from .rosters import DISTRICT, Roster, Row

EXT = "extension_fe2174665583431c953114ff7268b7b3_Education_"
SCHOOL = {
    "SIS ID": "SyncSource_SchoolId",
    "School Number": "SchoolNumber",
    "School NCES_ID": "SchoolNationalCenterForEducationStatisticsId",
    "State ID": "StateId",
    "Grade Low": "LowestGrade",
    "Grade High": "HighestGrade",
    "Principal SIS ID": "SchoolPrincipalSyncSourceId",
    "Principal Name": "SchoolPrincipalName",
    "Principal Secondary Email": "SchoolPrincipalEmail",
    "Zone": "SchoolZone",
    **{name: name for name in ("Address", "City", "State", "Country", "Zip", "Phone")},
}
SECTION = {
    "SIS ID": "SyncSource_SectionId",
    "School SIS ID": "SyncSource_SchoolId",
    "Section Number": "SectionNumber",
    "Term SIS ID": "TermId",
    "Term Name": "TermName",
    "Term StartDate": "TermStartDate",
    "Term EndDate": "TermEndDate",
    "Course SIS ID": "SyncSource_CourseId",
    "Course Name": "CourseName",
    "Course Number": "CourseNumber",
    "Course Description": "CourseDescription",
    "Course Subject": "CourseSubject",
    "Periods": "Period",
    "Status": "Status",
}
PERSON = {"School SIS ID": "SyncSource_SchoolId", "State ID": "StateId", "Secondary Email": "Email"}
STUDENT = PERSON | {
    "SIS ID": "SyncSource_StudentId",
    "Student Number": "StudentNumber",
    "Middle Name": "MiddleName",
    "Status": "StudentStatus",
    "Grade": "Grade",
    "Graduation Year": "GraduationYear",
}
TEACHER = PERSON | {
    "SIS ID": "SyncSource_TeacherId",
    "Teacher Number": "TeacherNumber",
    "Status": "TeacherStatus",
    "Title": "Title",
    "Qualification": "TeacherQualification",
}
ONE_SCHOOL_EACH: Roster = DISTRICT.without("teachers", SIS_ID="5001", School_SIS_ID="200")
"""People have one attribute for their school."""


@pytest.fixture(scope="module")
def synced(server: Server) -> Profile:
    """A synchronized district; whoever changes it puts it back."""
    profile = Tenant(server).profile()
    assert profile.sync(ONE_SCHOOL_EACH.files())["status"] == "success"
    return profile


class Scripts:
    """Requests as the scripts send them: nothing selected, every page."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._root = f"{api.server.base}/beta"

    def all(self, path: str) -> list[Json]:
        return self._api.all(f"{self._root}{path}")

    def of_type(self, many: str, kind: str) -> list[Json]:
        return self.all(f"{many}?$filter={EXT}ObjectType eq '{kind}'")

    def send(self, method: str, path: str, body: Any = None, *, expect: int) -> None:
        self._api(method, f"{self._root}{path}", body, expect=expect)


def written(item: Json, columns: dict[str, str]) -> Json:
    """An object as a row of the exported file."""
    return {column: item.get(EXT + name, "") for column, name in columns.items()}


def alike(rows: list[Json], wanted: tuple[Row, ...]) -> bool:
    """Whether the exported rows say what the roster's rows say in the same columns."""
    names = sorted(rows[0])
    return sorted([row[name] for name in names] for row in rows) == sorted(
        [row[name] for name in names] for row in wanted
    )


def test_the_export_is_the_roster(synced: Profile) -> None:
    """Six files out of the directory say what the six files of the roster said."""
    scripts = Scripts(synced.tenant.reader)
    units = scripts.of_type("/directory/administrativeUnits", "School")
    assert alike([written(unit, SCHOOL) | {"Name": unit["displayName"]} for unit in units], ONE_SCHOOL_EACH.schools)
    groups = scripts.of_type("/groups", "Section")
    sections = [written(group, SECTION) | {"Section Name": group["displayName"]} for group in groups]
    assert alike(sections, ONE_SCHOOL_EACH.sections)
    for kind, columns, rows in (
        ("Student", STUDENT, ONE_SCHOOL_EACH.students),
        ("Teacher", TEACHER, ONE_SCHOOL_EACH.teachers),
    ):
        people = [
            written(user, columns) | {"First Name": user["givenName"], "Last Name": user["surname"]}
            for user in scripts.of_type("/users", kind)
        ]
        assert alike(people, rows), kind
    for kind, navigation, rows in (
        ("Student", "members", ONE_SCHOOL_EACH.enrollments),
        ("Teacher", "owners", ONE_SCHOOL_EACH.assignments),
    ):
        links = [
            {
                "SIS ID": person[f"{EXT}SyncSource_{kind}Id"],
                "Section SIS ID": group[f"{EXT}SyncSource_SectionId"],
            }
            for group in groups
            for person in scripts.all(f"/groups/{group['id']}/{navigation}")
            if person[f"{EXT}ObjectType"] == kind
        ]
        assert alike(links, rows), kind


def test_memberships_are_cleared_away(synced: Profile) -> None:
    """Users of a group and of a unit, found by their type, are taken out by `$ref` and put back; units at their old
    place.
    """
    scripts = Scripts(synced.tenant.reader)
    (group,) = scripts.all(f"/groups?$filter={EXT}SyncSource_SectionId eq 'M1'")
    (unit,) = scripts.all(f"/administrativeUnits?$filter={EXT}SyncSource_SchoolId eq '100'")
    assert group["mail"].startswith("Section_")
    for path in (f"/groups/{group['id']}/members", f"/administrativeUnits/{unit['id']}/members"):
        found = scripts.all(f"{path}?$select=id,email,displayName,@data.type,{EXT}SyncSource")
        assert found
        for member in found:
            assert (member["@odata.type"], member[f"{EXT}SyncSource"]) == ("#microsoft.graph.user", "SIS")
            scripts.send("DELETE", f"{path}/{member['id']}/$ref", expect=204)
        assert scripts.all(path) == []
        for member in found:
            link = {"@odata.id": f"https://graph.microsoft.com/beta/directoryObjects/{member['id']}"}
            scripts.send("POST", f"{path}/$ref", link, expect=204)


def test_a_class_is_marked_as_expired(synced: Profile) -> None:
    """Name, nickname, ids and status in one PATCH, as the script that retires classes sends it."""
    scripts = Scripts(synced.tenant.reader)
    (group,) = scripts.all(f"/groups?$filter={EXT}SyncSource_SectionId eq 'F1'")
    sent = {
        "displayName": f"Exp1126_{group['displayName']}",
        f"{EXT}SyncSource_SectionId": "Exp1126_F1",
        f"{EXT}AnchorId": "Exp1126_Section_F1",
        "mailNickname": "Exp1126_Section_F1",
        f"{EXT}Status": "Expired",
    }
    scripts.send("PATCH", f"/groups/{group['id']}", sent, expect=200)
    (again,) = scripts.all("/groups?$filter=startswith(mail,'Exp')")
    assert {name: again[name] for name in sent} == sent
    scripts.send("PATCH", f"/groups/{group['id']}", {name: group[name] for name in sent}, expect=200)
