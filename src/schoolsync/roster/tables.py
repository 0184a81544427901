"""The canonical roster: one set of DuckDB tables, whatever format it was read from. docs/roster.md explains them.

A source fills the tables, the rules read them, the plan compares them. Values are text as given, trimmed, with empty
cells as NULL, unless a code list says how they are spelled; dates are `YYYY-MM-DD`. `file` is the file as it was
uploaded, `line` the physical line (the header is line 1). Passwords never get here: no target needs them. Tables of
links are the long ones: they hold ids, dates and flags, nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping

SCHEMA = "roster"

_TEXT = "VARCHAR"
_WHERE = {"file": "VARCHAR", "line": "BIGINT"}
# The first day on which it holds and the first on which it does not any more; NULL: always, for good.
_DAYS = {"begin_date": "DATE", "end_date": "DATE"}


def _texts(names: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), _TEXT)


TABLES: Mapping[str, Mapping[str, str]] = {
    # key: source_id; parent_id -> organizations
    "organizations": {
        **_texts("source_id name type parent_id"),
        "is_school": "BOOLEAN",  # becomes a school of the directory
        **_texts("number nces_id state_id grade_low grade_high"),
        **_texts("principal_id principal_name principal_email street city state country postal_code phone zone"),
        **_WHERE,
    },
    # key: source_id; parent_id -> terms; school_year is the year in which it ends
    "terms": {**_texts("source_id name type school_year start_date end_date parent_id"), **_WHERE},
    # key: source_id; organization_id -> organizations, term_id -> terms
    "courses": {
        **_texts("source_id organization_id name number description subjects subject_codes grades term_id"),
        **_WHERE,
    },
    # key: source_id; school_id -> organizations; what they show of their term and course stands in them
    "classes": {
        **_texts("source_id school_id name number term_id term_name term_start term_end"),
        **_texts("course_id course_name course_number course_description course_subject periods status"),
        **_texts("type location grades subjects subject_codes"),
        **_WHERE,
    },
    # key: class_id, term_id; only for classes of several terms
    "class_terms": {**_texts("class_id term_id"), **_WHERE},
    # key: role, source_id; role is student, teacher or none; school_id is the first school, person_organizations has
    # all; role_name is what they are called most of all
    "people": {
        **_texts("role source_id role_name school_id username given_name middle_name surname"),
        "enabled": "BOOLEAN",
        **_texts("email phone match_id gender"),
        **_texts("state_id secondary_email number grade status birth_date graduation_year title qualification"),
        **_WHERE,
    },
    # key: role, source_id, school_id; school_id -> organizations, a school or not
    "person_organizations": {
        **_texts("role source_id school_id role_name grade"),
        "is_primary": "BOOLEAN",
        **_DAYS,
        **_WHERE,
    },
    # every role as it was written, for formats that write them down; key: all columns but grade and is_primary
    "person_roles": {
        **_texts("source_id organization_id role_name term_id grade"),
        "is_primary": "BOOLEAN",
        **_DAYS,
        **_WHERE,
    },
    # key: class_id, person_role, source_id, begin_date; (person_role, source_id) -> people; role is what the person is
    # in the class: student, teacher or none
    "enrollments": {
        **_texts("class_id role source_id person_role role_name"),
        "is_primary": "BOOLEAN",
        **_DAYS,
        **_WHERE,
    },
    # key: student_id, email; guardian_id is the guardian's own id where guardians have one
    "contacts": {**_texts("student_id email name phone relationship guardian_id given_name surname"), **_WHERE},
    # key: role, source_id -> people
    "demographics": {
        **_texts("role source_id birth_city birth_state birth_country races ethnicities residence_status"),
        **_WHERE,
    },
    # key: role, source_id, flag
    "flags": {**_texts("role source_id flag"), **_WHERE},
    # further accounts of a person; key: source_id, account_id
    "person_accounts": {
        **_texts("source_id account_id type vendor_id application_id description credential_type username"),
        **_WHERE,
    },
    # extension columns, and columns of a format that have no place of their own; kind is the canonical table
    "extras": {**_texts("kind role source_id name value"), **_WHERE},
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
