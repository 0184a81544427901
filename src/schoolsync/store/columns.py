"""What the tables of an installation are built of, for SQLite and PostgreSQL alike.

Two families. `store.control_tables` has tenants, profiles, their status, runs, errors and uploads;
`store.directory_tables` schools, classes, people and the links between them (on SQLite one file per tenant, so a bulk
load and a PATCH never share a write lock). The integer tenant number leads every key. Times are 100 ns ticks
(`schoolsync.ticks`). Integer `key`s are local to a database and never leave it; `id` is the object id the world sees.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, PrimaryKeyConstraint, Table, UniqueConstraint
from sqlalchemy import Text as _Text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateIndex
from sqlalchemy.sql.compiler import DDLCompiler

# Nothing here is PostgreSQL's own: a server on SQLite would load what it never needs.
# Texts are compared byte by byte on both databases, whatever the PostgreSQL's own language is.
Text = _Text().with_variant(_Text(collation="C"), "postgresql")


@compiles(CreateIndex, "postgresql")
def _create_index(element: CreateIndex, compiler: DDLCompiler, **options: Any) -> str:
    """An index of some of the rows, which `sqlite_where` says, has the same ones on PostgreSQL."""
    index = element.element
    where = index.dialect_options["sqlite"]["where"]
    if where is not None:
        index.dialect_options["postgresql"]["where"] = where
    made: str = compiler.visit_create_index(element, **options)  # type: ignore[no-untyped-call]  # SQLAlchemy's own
    return made


def table(metadata: MetaData, name: str, *parts: Column[Any] | Index | UniqueConstraint, key: tuple[str, ...]) -> Table:
    """A table whose primary key is `key` and, on SQLite, its storage order too."""
    return Table(name, metadata, *parts, PrimaryKeyConstraint(*key), sqlite_with_rowid=False)


def schema(metadata: MetaData) -> Table:
    """Which schemas a database serves: `store.migrations` says what that means."""
    return Table(
        "schema_version",
        metadata,
        Column("version", Integer, primary_key=True, autoincrement=False),
        Column("oldest", Integer, nullable=False),
    )


def act() -> list[Column[Any]]:
    """What is said about one act; the columns of `access.audit.FIELDS` but for the number."""
    return [
        Column("id", Text, nullable=False),
        Column("at", BigInteger, nullable=False),
        Column("actor", Text, nullable=False),
        Column("client", Text),
        Column("issuer", Text),
        Column("token", Text),
        Column("request", Text),
        Column("operation", Text, nullable=False),
        Column("object", Text, nullable=False),
        Column("members", Text, nullable=False, server_default=""),
        Column("outcome", Text, nullable=False),
    ]
