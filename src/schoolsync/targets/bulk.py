"""What a bulk driver does for the directory: the few things that SQLite and PostgreSQL do in different ways.

Statements are written once, in `targets.local`, in the SQL that both understand: values are bound as `$1, $2 …` in
their order, truth is `true`, a temporary table is called by `Bulk.temporary`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import pyarrow as pa

Value = int | str
Row = tuple[Any, ...]  # as the driver gives it


class Bulk(Protocol):
    """A connection to one tenant's directory. Used by one thread. Raises WorldError when the database fails."""

    temporary: str
    """What leads the name of a temporary table."""

    def execute(self, statement: str, values: Sequence[Value] | None = None) -> list[Row]:
        """Run one statement and return what it answers."""

    def change(self, statement: str) -> int:
        """Run one INSERT, UPDATE or DELETE; how many rows it wrote."""

    def ingest(self, table: str, rows: pa.Table) -> None:
        """Append rows to a table, as fast as can be. None of them is there already."""

    def learn(self, table: str, tenant: int) -> None:
        """See that queries are planned knowing that the tenant has rows in a table; called when it has got some."""

    def load(self, table: str) -> None:
        """Make ready for a great many new rows in an empty table, in the transaction of the first of them.

        Looking up what is in it may take long until `complete`.
        """

    def complete(self) -> None:
        """Undo what `load` has done, however long ago and whoever did it. In no transaction."""

    def stage(self, name: str, rows: pa.Table) -> None:
        """Put rows into a new temporary table, in place of one of that name."""

    def looked_up(self, table: str, name: str, tenant: int, on: Mapping[str, str]) -> str:
        """What follows the few rows of a query to join them with the tenant's rows that meet them, found by an index.

        The joined rows are called `name`; `on` has their columns and the expressions that these equal.
        """

    def met(self, staged: str, table: str, tenant: int, on: Sequence[str], *, joined: bool = False) -> str:
        """The condition that a row of `table` is the tenant's and meets one of a temporary table in the columns `on`.

        With `joined` the statement joins the temporary table as `b`.
        """

    def read(self, columns: Mapping[str, type], source: str) -> AbstractContextManager[pa.RecordBatchReader]:
        """Rows of `SELECT columns source`.

        A row whose first column is -1 may be among them and says nothing; whoever reads drops it.
        """

    def reading(self) -> AbstractContextManager[None]:
        """Everything read inside is of one moment."""

    def writing(self) -> AbstractContextManager[None]:
        """A write transaction: committed at the end, rolled back on any exception; one at a time in a directory."""

    def close(self) -> None:
        """Give the connection back."""


class RunsTable(Protocol):
    """Where the directory learns whether a run is still open. Used by one thread; raises WorldError."""

    holding: str
    """What follows a query whose row nobody shall change before the transaction ends, where a database can do that."""

    def execute(self, statement: str, values: Sequence[Value] | None = None) -> list[Row]:
        """Run one query and return what it answers."""

    def close(self) -> None:
        """Give the connection back; twice is once."""


def selected(name: str) -> str:
    """A column of `Bulk.read` as SQL: the owner is the row's profile, a name with a point is another table's."""
    if name == "owner":
        return "o.profile AS owner"
    if "." in name:
        return f"{name} AS {name.partition('.')[2]}"
    return f'o."{name}"'
