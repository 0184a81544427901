# ruff: noqa: S608  # what is put into these statements are names of ours and numbers; values are bound or ingested
"""A tenant's part of the PostgreSQL through the bulk driver: rows come and go by COPY, in binary.

Write transactions of a tenant's directory queue behind one lock (`store.locks`), those of different tenants do not
meet. A transaction may not last: whoever is stopped inside one loses it, so that a survivor can go on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from urllib.parse import urlencode, urlsplit, urlunsplit

import adbc_driver_postgresql.dbapi as driver
import pyarrow as pa

from schoolsync.errors import Refusal, WorldError
from schoolsync.store import locks
from schoolsync.store.release import SCHEMA_VERSION
from schoolsync.targets.bulk import Row, Value, selected

_STATEMENT_MS = 20_000
"""A batch takes a fraction of it. Whoever is stopped in the middle of a COPY holds the tenant's lock no longer."""
_COUNTED = """
    SELECT coalesce(bool_or($1 = ANY (names) OR cardinality(names) >= most), false) FROM (
        SELECT most_common_vals::text::integer[] AS names, current_setting('default_statistics_target')::integer AS most
        FROM pg_stats WHERE schemaname = current_schema() AND tablename = $2 AND attname = 'tenant'
    ) AS known
"""
"""Whether PostgreSQL has an idea of how many rows a tenant has: it counts so many by name, and knows what is left."""
_BATCH_BYTES = 4 * 1024 * 1024


class PostgresTables:
    """One tenant's rows in the tables that all tenants share."""

    temporary = "pg_temp."
    holding = " FOR SHARE"

    def __init__(self, url: str, tenant_id: str) -> None:
        self._lock = locks.directory(tenant_id)
        self._learned: set[str] = set()
        with _world():
            self._connection = driver.connect(_url(url), autocommit=True)  # transactions are ours to begin
        try:
            ((version, oldest),) = self.execute("SELECT version, oldest FROM schema_version")
            if not oldest <= SCHEMA_VERSION <= version:
                raise Refusal(
                    f"The database serves the schemas {oldest} to {version}, not this release's {SCHEMA_VERSION}: "
                    "type “schoolsync db upgrade” of the newest release, and run that one."
                )
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Give the connection back."""
        self._connection.close()

    def execute(self, statement: str, values: Sequence[Value] | None = None) -> list[Row]:
        """Run one statement and return what it answers."""
        with _world(), self._connection.cursor() as cursor:
            cursor.execute(statement, values)
            if cursor.description is None:
                return []
            return list(cursor.fetchall())

    def change(self, statement: str) -> int:
        """Run one INSERT, UPDATE or DELETE; how many rows it wrote."""
        ((count,),) = self.execute(f"WITH written AS ({statement} RETURNING 1) SELECT count(*) FROM written")
        return int(count)

    def ingest(self, table: str, rows: pa.Table) -> None:
        """Append rows to a table."""
        with _world(), self._connection.cursor() as cursor:
            cursor.adbc_ingest(table, _fitting(rows), mode="append")

    def learn(self, table: str, tenant: int) -> None:
        """Have the table counted unless that was done since the tenant came; asked once for each table.

        Of a tenant that came later PostgreSQL expects hardly a row, and so any index that begins with the tenant looks
        as good as the one that leads to a row.
        """
        if table in self._learned:
            return
        self._learned.add(table)
        ((known,),) = self.execute(_COUNTED, (tenant, table))
        if not known:
            self.execute("SET lock_timeout = '1s'")  # whatever cleans the table up meanwhile may take hours
            with suppress(WorldError):
                self.execute(f"ANALYZE {table}")
            self.execute("RESET lock_timeout")

    def load(self, table: str) -> None:
        """Nothing: other tenants look things up by the same indexes."""

    def complete(self) -> None:
        """Nothing to undo."""

    def stage(self, name: str, rows: pa.Table) -> None:
        """Put rows into a new temporary table, and tell the planner how many there are."""
        self.execute(f"DROP TABLE IF EXISTS pg_temp.{name}")
        with _world(), self._connection.cursor() as cursor:
            cursor.adbc_ingest(name, _fitting(rows), mode="create", temporary=True)
        self.execute(f"ANALYZE pg_temp.{name}")

    def looked_up(self, table: str, name: str, tenant: int, on: Mapping[str, str]) -> str:
        """A join that cannot be turned round: what the planner takes for little it compares with all there is.

        It does not know how much a tenant has that is new.
        """
        same = " AND ".join(f'one."{column}" = {value}' for column, value in on.items())
        rows = f"SELECT one.ctid, one.* FROM {table} AS one WHERE one.tenant = {tenant} AND {same} OFFSET 0"
        return f"CROSS JOIN LATERAL ({rows}) AS {name}"

    def met(self, staged: str, table: str, tenant: int, on: Sequence[str], *, joined: bool = False) -> str:
        """The places of the rows, looked up before. Nothing else is said of them, or any index would do."""
        found = self.looked_up(table, "f", tenant, {name: f's."{name}"' for name in on})
        places = f"ARRAY(SELECT f.ctid FROM pg_temp.{staged} AS s {found})"
        same = [f'{table}."{name}" = b."{name}"' for name in on if joined]
        return " AND ".join([f"{table}.ctid = ANY ({places})", *same])

    @contextmanager
    def read(self, columns: Mapping[str, type], source: str) -> Iterator[pa.RecordBatchReader]:
        """Rows of a query."""
        with _world(), self._connection.cursor() as cursor:
            cursor.adbc_statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": str(_BATCH_BYTES)})
            cursor.execute(f"SELECT {', '.join(selected(name) for name in columns)} {source}")
            yield cursor.fetch_record_batch()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Everything read inside is of one moment."""
        self.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        try:
            yield
        finally:
            self.execute("ROLLBACK")

    @contextmanager
    def writing(self) -> Iterator[None]:
        """A write transaction, under the tenant's lock."""
        self.execute("BEGIN")
        try:
            self.execute(f"SET LOCAL statement_timeout = {_STATEMENT_MS}")
            self.execute(self._lock)
            yield
            self.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        try:
            self.execute("ROLLBACK")
        except WorldError:
            return  # the connection is gone, and the transaction with it


@cache
def _types() -> dict[str, pa.DataType]:
    """The type of every column of the directory; a name has the same in all of its tables."""
    from sqlalchemy import BigInteger, Boolean, Integer  # an engine that works on SQLite does without

    from schoolsync.store.directory_tables import directory

    found: dict[str, pa.DataType] = {}
    for table in directory.sorted_tables:
        for column in table.columns:
            kind = column.type
            if isinstance(kind, Boolean):
                found[column.name] = pa.bool_()
            elif isinstance(kind, BigInteger):
                found[column.name] = pa.int64()
            elif isinstance(kind, Integer):
                found[column.name] = pa.int32()
            else:
                found[column.name] = pa.string()
    return found


def _fitting(rows: pa.Table) -> pa.Table:
    """The rows with exactly the types of the directory's columns, which binary COPY insists on."""
    types = _types()
    fields = [pa.field(entry.name, types.get(entry.name, entry.type)) for entry in rows.schema]
    return rows.cast(pa.schema(fields))


def _url(url: str) -> str:
    """The URL as libpq wants it, with what every session is opened with."""
    parts = urlsplit(url)
    chosen: dict[str, object] = {"application_name": "schoolsync engine", "connect_timeout": 10, **locks.ALIVE}
    chosen = {name: value for name, value in chosen.items() if f"{name}=" not in parts.query}
    if "options=" not in parts.query:
        chosen["options"] = locks.SESSION
    query = "&".join(part for part in (parts.query, urlencode(chosen).replace("+", "%20")) if part)
    return urlunsplit(parts._replace(scheme="postgresql", query=query))


@contextmanager
def _world() -> Iterator[None]:
    """A database that fails us is the world's doing. The driver's own words stay out: they may hold people's data."""
    try:
        yield
    except driver.Error as problem:
        kind = type(problem).__name__
        raise WorldError(f"The directory cannot be read or written now ({kind}). Is the database there?") from problem
