"""The canonical roster: one set of DuckDB tables, whatever format it was read from.

A source fills the tables, the rules read them, the plan compares them. All values are text as given, trimmed, with
empty cells as NULL; dates are `YYYY-MM-DD`. `file` is the file as it was uploaded, `line` the physical line (the
header is line 1). Passwords never get here: no target needs them.
"""

from __future__ import annotations

from collections.abc import Mapping

SCHEMA = "roster"

_TEXT = "VARCHAR"
_WHERE = {"file": "VARCHAR", "line": "BIGINT"}


def _texts(names: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), _TEXT)


TABLES: Mapping[str, Mapping[str, str]] = {
    # key: source_id
    "organizations": {
        **_texts("source_id name number nces_id state_id grade_low grade_high"),
        **_texts("principal_id principal_name principal_email street city state country postal_code phone zone"),
        **_WHERE,
    },
    # key: source_id; school_id -> organizations
    "classes": {
        **_texts("source_id school_id name number term_id term_name term_start term_end"),
        **_texts("course_id course_name course_number course_description course_subject periods status"),
        **_WHERE,
    },
    # key: role, source_id; role is student or teacher; school_id is the first one, person_organizations has all
    "people": {
        **_texts("role source_id school_id username given_name middle_name surname"),
        **_texts("state_id secondary_email number grade status birth_date graduation_year title qualification"),
        **_WHERE,
    },
    # key: role, source_id, school_id
    "person_organizations": {**_texts("role source_id school_id"), **_WHERE},
    # key: class_id, role, source_id
    "enrollments": {**_texts("class_id role source_id"), **_WHERE},
    # key: student_id, email
    "contacts": {**_texts("student_id email name phone relationship"), **_WHERE},
    # records that findings leave out when a person says to go on all the same: they are not removals.
    # kind: organizations, classes, people, person_organizations, enrollments, contacts; role only where the kind has
    # one; source_id of the record, or of its class for an enrollment and of its student for a contact; other is the
    # second half of such a key (person, school, mail address)
    "left_out": {**_texts("kind role source_id other rule"), **_WHERE},
}


def ddl() -> list[str]:
    """The statements that make the empty tables in the schema `roster`."""
    statements = [f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"]
    for name, columns in TABLES.items():
        described = ", ".join(f"{column} {kind}" for column, kind in columns.items())
        statements.append(f"CREATE OR REPLACE TABLE {SCHEMA}.{name} ({described})")
    return statements
