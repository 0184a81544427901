"""Which files make a set that can be synchronized, by their names alone. Values and one pure function.

What the formats say of their files is said in `sources`, which loads the roster engine; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

_V1 = frozenset(
    {"school.csv", "section.csv", "student.csv", "studentenrollment.csv", "teacher.csv", "teacherroster.csv"}
)
_ONEROSTER = frozenset({"manifest.csv", "classes.csv", "enrollments.csv", "orgs.csv", "users.csv"})

NEEDED: Mapping[str, frozenset[str]] = {
    "sds-v1": _V1,
    "sds-v1-uk": _V1,
    "clever": frozenset({"enrollments.csv", "schools.csv", "sections.csv", "students.csv", "teachers.csv"}),
    "sds-v2": frozenset({"classes.csv", "enrollments.csv", "orgs.csv", "users.csv"}),
    "sds-v2.1": frozenset({"orgs.csv", "roles.csv", "users.csv"}),
    "oneroster-1.1": _ONEROSTER,
    "oneroster-1.2": _ONEROSTER | {"roles.csv"},
}
"""Names in lower case without folders that have to be there, by format; OneRoster's manifest stands for the rest."""


def complete(names: Iterable[str], *, format: str) -> bool:  # noqa: A002  # what the profile's setting is called
    """Whether files of these names are a whole set of the format, or of any when it is `auto`. A zip is one."""
    there = {name.rpartition("/")[2].lower() for name in names}
    if any(name.endswith(".zip") for name in there):
        return True
    wanted = NEEDED.values() if format == "auto" else (NEEDED[format],)
    return any(files <= there for files in wanted)
