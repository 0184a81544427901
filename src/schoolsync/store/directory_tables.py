"""The tables of the directories: schools, classes, people, the links between them, what is remembered of changes."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, MetaData, Table, UniqueConstraint, text

from schoolsync.store.columns import Text, act, schema, table
from schoolsync.store.json_text import folded

directory = MetaData()

directory_schema = schema(directory)

positions = Table(
    "positions",
    directory,
    Column("tenant", Integer, primary_key=True, autoincrement=False),
    Column("position", BigInteger, nullable=False),  # rises by one with every transaction that changes something
    Column("last_key", BigInteger, nullable=False),  # highest surrogate key given out
    # Removals up to this position are forgotten: who has not asked since then must read everything anew.
    Column("forgotten", BigInteger, nullable=False, server_default="0"),
)

fences = table(
    directory,
    "fences",  # the highest fence that ever wrote for a profile; a lower one may not write again
    Column("tenant", Integer),
    Column("profile", Integer),
    Column("run", Text, nullable=False),
    Column("fence", Integer, nullable=False),
    key=("tenant", "profile"),
)

batches = table(
    directory,
    "batches",  # the ledger of what was applied; a batch and its row commit together
    Column("tenant", Integer),
    Column("run", Text),
    Column("batch", Integer),
    Column("profile", Integer, nullable=False),
    Column("plan", Text, nullable=False),  # the plan's hash
    Column("rows", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("applied", BigInteger, nullable=False),
    key=("tenant", "run", "batch"),
)


removed_objects = table(
    directory,
    "removed_objects",  # what delta queries say of objects that are gone
    Column("tenant", Integer),
    Column("kind", Text),  # schools | classes | people
    Column("position", BigInteger),
    Column("id", Text),
    Column("removed", BigInteger, nullable=False),
    Column("restorable", Boolean),  # it lies in the bin, and may come back; null: it is gone for good
    key=("tenant", "kind", "position", "id"),
)

spent_ids = table(
    directory,
    "spent_ids",  # ids of objects that are gone for good or expired: no object has them again
    Column("tenant", Integer),
    Column("id", Text),
    key=("tenant", "id"),
)

removed_members = table(
    directory,
    "removed_members",  # people who are no longer part of a class, or no longer all that they were in it
    Column("tenant", Integer),
    Column("class", BigInteger),  # the class's key
    Column("position", BigInteger),
    Column("id", Text),  # the person's id: the person may be gone as well
    Column("member", Boolean, nullable=False),  # what was lost
    Column("teacher", Boolean, nullable=False),
    Column("removed", BigInteger, nullable=False),
    key=("tenant", "class", "position", "id"),
)
for _removed in (removed_objects, removed_members):
    Index(f"{_removed.name}_removed", _removed.c.tenant, _removed.c.removed)
Index("removed_members_id", removed_members.c.tenant, removed_members.c.id, removed_members.c.position)

audit_outbox = table(
    directory,
    "audit_outbox",  # entries of acts in this directory, until the control database has taken them over
    Column("tenant", Integer),
    *act(),
    key=("tenant", "id"),
)


def _object(name: str, *columns: Column[Any]) -> Table:
    """A table of objects the world sees: identity, ownership, life, then `columns`."""
    made = table(
        directory,
        name,
        Column("tenant", Integer),
        Column("key", BigInteger),
        Column("id", Text, nullable=False),
        Column("profile", Integer),  # profiles.number of the owner; null = made by hand
        Column("source_id", Text),  # the SIS ID within the owner's key space
        Column("generation", Integer, nullable=False, server_default="0"),
        Column("active", Boolean, nullable=False, server_default=text("true")),  # still in its source
        Column("created", BigInteger, nullable=False),
        Column("changed", BigInteger, nullable=False),
        # positions.position of the last change; that of a class rises with its members too
        Column("position", BigInteger, nullable=False),
        Column("display_name", Text),
        Column("external_source", Text),
        Column("external_source_detail", Text),
        Column("created_by", Text),  # JSON identitySet
        # JSON: extension attributes written by hand that have no column of their own, by what follows the prefix; a
        # null hides the one that would be shown.
        Column("extensions", Text),
        Column("left_at", BigInteger),  # when a synchronization set it inactive
        # When a synchronization put it into the bin. It lies there only while it is not active: a release that knows no
        # bin may have brought it back.
        Column("binned_at", BigInteger),
        *columns,
        UniqueConstraint("tenant", "id"),
        key=("tenant", "key"),
    )
    Index(f"{name}_position", made.c.tenant, made.c.position, made.c.key)
    lies = made.c.binned_at.is_not(None)
    Index(f"{name}_binned", made.c.tenant, made.c.key, sqlite_where=lies)
    return made


def _texts(*names: str) -> list[Column[Any]]:
    return [Column(name, Text) for name in names]


schools = _object(
    "schools",
    *_texts("description", "external_id", "external_principal_id", "principal_name", "principal_email"),
    *_texts("lowest_grade", "highest_grade", "school_number", "phone", "fax"),
    *_texts("address_street", "address_city", "address_state", "address_country", "address_postal_code"),
    *_texts("state_id", "nces_id", "zone"),  # extension attributes only
)

classes = _object(
    "classes",
    *_texts("mail_nickname", "description", "class_code", "grade", "external_id", "external_name"),
    *_texts("term_external_id", "term_name", "term_start", "term_end"),  # dates as YYYY-MM-DD
    *_texts("course_external_id", "course_name", "course_number", "course_description", "course_subject"),
    *_texts("school_source_id", "period", "status"),  # extension attributes only
    Column("expired", BigInteger),  # when a synchronization marked it as expired
)

people = _object(
    "people",
    Column("primary_role", Text, nullable=False),  # educationUserRole
    *_texts("user_principal_name", "account_name"),  # account_name: the principal name in lower case, unique
    *_texts("mail_nickname", "mail", "given_name", "middle_name", "surname"),
    Column("account_enabled", Boolean),
    Column("left_disabled", Boolean),  # a synchronization disabled the account when the person left
    *_texts("department", "office_location", "mobile_phone", "business_phone", "preferred_language"),
    *_texts("password_policies", "user_type", "usage_location"),
    Column("licenses", Text, nullable=False, server_default="[]"),  # JSON list of assignedLicense
    Column("related_contacts", Text, nullable=False, server_default="[]"),  # JSON list of relatedContact
    Column("tokens_valid_from", BigInteger),
    Column("show_in_address_list", Boolean),
    *_texts("immutable_id", "student_external_id", "student_number", "student_grade", "graduation_year"),
    *_texts("birth_date", "gender", "teacher_external_id", "teacher_number"),
    *_texts("mailing_street", "mailing_city", "mailing_state", "mailing_country", "mailing_postal_code"),
    *_texts("residence_street", "residence_city", "residence_state", "residence_country", "residence_postal_code"),
    *_texts("school_source_id", "state_id", "secondary_email", "status", "title", "qualification"),  # extensions
)
Index("people_account", people.c.tenant, people.c.account_name, unique=True)


# What clients look objects up by, as filters ask for it: without regard to case. docs/graph.md lists these and says
# why there are no others.
for _table_of, _columns in (
    (schools, ("external_id",)),
    (classes, ("external_id", "mail_nickname")),
    (people, ("student_external_id", "teacher_external_id")),
):
    for _column in _columns:
        Index(f"{_table_of.name}_{_column}", _table_of.c.tenant, folded(_table_of.c[_column]))


def _link(name: str, left: str, right: str, *columns: Column[Any]) -> Table:
    """A table of links between two objects' keys, readable from either side."""
    made = table(
        directory,
        name,
        Column("tenant", Integer),
        Column(left, BigInteger),
        Column(right, BigInteger),
        Column("profile", Integer),  # profiles.number of the owner; null = made by hand
        *columns,
        key=("tenant", left, right),
    )
    Index(f"{name}_{right}", made.c.tenant, made.c[right], made.c[left])
    return made


school_classes = _link("school_classes", "school", "class")
school_people = _link("school_people", "school", "person")
class_people = _link(
    "class_people",
    "class",
    "person",
    Column("position", BigInteger, nullable=False, server_default="0"),  # of the last change
    Column("member", Boolean, nullable=False),  # students, and teachers too
    Column("teacher", Boolean, nullable=False),
)
