"""Checking the rows of all tables against each other: references, duplicates, people of several schools.

What is left are the good rows, of which `two_lists` and `user_lists` make the canonical tables. Which table names
which, and what tells rows apart, is what the formats declare.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import duckdb

from schoolsync.plan.policy import Policy
from schoolsync.roster import codes, findings, values
from schoolsync.sources.columns import LARGE, Column, File, Key, Kind, Need, Table, real_line

_NAMED = {"organizations", "classes", "people"}  # whose ids are looked at for twins

_UNKNOWN = """
CREATE OR REPLACE TABLE raw.unknown AS
    SELECT line, value FROM (SELECT line, {value} AS value FROM {rows} WHERE {column} IS NOT NULL) AS one
    ANTI JOIN {target} AS other ON {match}
"""
# Where every record is named many times, it is quicker to look up each name once, and its lines if it is unknown.
_MANY = 20
_STRANGE = """
SELECT count(*) FROM (SELECT DISTINCT {column} AS value FROM {table} WHERE {column} IS NOT NULL) AS one
    ANTI JOIN {target} AS other ON {match}
"""
# What may be meant by a value that is not there: the one id that differs in letter case, leading zeros and signs
# alone, and the line of the other file that could not be read and has the value in it.
_PLAIN = "lower(ltrim(regexp_replace({value}, '[^\\pL\\pN]', '', 'g'), '0'))"
_EXPLAINED = """
WITH missing AS (SELECT DISTINCT value, {plain_value} AS plain FROM raw.unknown), near AS (
    SELECT missing.value, min(other.{key}) AS id
    FROM missing JOIN {target} AS other ON {plain_key} = missing.plain AND missing.plain <> ''
    GROUP BY missing.value HAVING count(DISTINCT other.{key}) = 1
), lost AS (
    SELECT trim(unnest(string_split_regex(t, '[,"]'))) AS cell, line FROM raw.rejected WHERE file = {file}
), unread AS (
    SELECT missing.value, min(lost.line) AS line FROM missing JOIN lost ON lost.cell = missing.value GROUP BY ALL
)
SELECT one.line, one.value, near.id, unread.line AS unread FROM raw.unknown AS one
    LEFT JOIN near ON near.value = one.value LEFT JOIN unread ON unread.value = one.value
"""
# Rows whose key an earlier row has: their line, and that of the first. Sorting short hashes of all keys takes the least
# time and memory; texts are compared only where hashes are alike, which is in one row of a thousand among millions.
_DIGESTS = "CREATE OR REPLACE TABLE raw.digests AS SELECT {digest} AS digest{kept} FROM {rows}"
_SORTED = "CREATE OR REPLACE TABLE raw.sorted AS SELECT digest FROM raw.digests ORDER BY digest"
_ALIKE_KEYS = """
CREATE OR REPLACE TABLE raw.alike AS
    SELECT {place} AS place FROM raw.digests WHERE digest IN (
        SELECT digest FROM (SELECT digest, lag(digest) OVER () AS before FROM raw.sorted) WHERE digest = before
    )
"""
_ALL_APART = "SELECT count(*) = count(DISTINCT {digest}) FROM {rows}"
_AGAIN = """
CREATE OR REPLACE TABLE {made} AS
    SELECT line, first FROM (
        SELECT line, min(line) OVER (PARTITION BY {keys}) AS first FROM (
            SELECT {listed}, line FROM {rows} WHERE {place} IN (SELECT place FROM raw.alike)
        ) WHERE {filled}
    ) WHERE line > first
"""
_UNSURE = """
CREATE TABLE IF NOT EXISTS raw.unsure (name VARCHAR, line BIGINT);
INSERT INTO raw.unsure SELECT {name}, line FROM raw.unknown
    WHERE EXISTS (SELECT 1 FROM raw.rejected WHERE file = {file})
"""
_DROP = "UPDATE {table} SET {column} = NULL WHERE {line} IN (SELECT line FROM raw.unknown)"
_DROP_ALL = "UPDATE {table} SET {column} = NULL"
_FILLED = "SELECT count({column}) FROM {table}"
# Rows that are above themselves in the tree of their parents.
_CIRCULAR = """
WITH RECURSIVE up AS (
    SELECT source_id, parent_id, line, 1 AS steps FROM {rows} WHERE parent_id IS NOT NULL
    UNION ALL
    SELECT up.source_id, one.parent_id, up.line, steps + 1 FROM up JOIN {rows} AS one ON one.source_id = up.parent_id
    WHERE one.parent_id IS NOT NULL AND up.parent_id <> up.source_id AND steps < 32
)
SELECT DISTINCT line FROM up WHERE parent_id = source_id
"""
_LINE = "SELECT line FROM {name}"
_LINES = "SELECT line, first FROM {name}"
_OTHER_LINES = "SELECT line, first FROM {name} WHERE line NOT IN (SELECT line FROM {same})"
# Ids that differ in letter case and leading zeros alone; counting tells quickly that there are none.
_TWINS = "SELECT count({one}) - count(DISTINCT hash(lower(ltrim(source_id, '0')))) FROM {rows}"
_ALIKE = """
WITH keyed AS (SELECT source_id, lower(ltrim(source_id, '0')) AS plain, line FROM {rows} WHERE source_id IS NOT NULL),
    alike AS (
        SELECT plain, min(line) AS first, arg_min(source_id, line) AS id
        FROM keyed GROUP BY plain HAVING min(source_id) <> max(source_id)
    )
SELECT line, first AS value FROM keyed JOIN alike USING (plain) WHERE source_id <> id
"""
_NAME = "SELECT {number} AS number, line, {name} AS name FROM {rows} WHERE {column} IS NOT NULL"
_SHARED = "SELECT count(*) - count(DISTINCT name) FROM ({named})"
_SHARERS = """
WITH named AS ({named}), shared AS (
    SELECT name, min(number) AS number, arg_min(line, (number, line)) AS line
    FROM named GROUP BY name HAVING count(*) > 1
)
SELECT named.line, 'line ' || {shared_line} || ' of {file}' AS value FROM named JOIN shared USING (name)
WHERE named.number = {mine} AND shared.number = {theirs} AND NOT ({mine} = {theirs} AND named.line = shared.line)
"""
_DIFFERING = """
SELECT again.line, again.first AS value FROM {name} AS again
    JOIN {rows} AS one ON one.line = again.line JOIN {rows} AS other ON other.line = again.first
WHERE {differs}
"""
_BAD = """
CREATE OR REPLACE TABLE raw.bad AS
    SELECT file, line, min(rule) AS rule FROM roster.findings WHERE severity = 'error' AND line IS NOT NULL
    GROUP BY file, line
"""
_BAD_LINES = "SELECT line FROM raw.bad WHERE file = {file}"
_EXCEPT = "(SELECT * FROM {rows} WHERE line NOT IN ({lines}))"
_MADE = "SELECT count(*) FROM duckdb_tables() WHERE schema_name = 'raw' AND 'raw.' || table_name = $name"


def merged(
    db: duckdb.DuckDBPyConnection,
    tables: Mapping[str, Table],
    policy: Policy | None,
    *,
    told_apart_by: Callable[[File], str],
    complete: bool = True,
    references: bool = True,
    over: Callable[[], None] = lambda: None,
) -> Merger:
    """Check the rows of all tables against each other; the answer knows the good ones.

    `told_apart_by` names the column that no two people of a file may share. Without `complete` files that are named
    and not there are not missed; without `references` nothing is looked up in other files. `over` hears three times
    that all rows have been gone over.
    """
    merger = Merger(db, dict(tables))
    if references:
        merger.references(complete=complete)
    over()
    merger.trees()
    merger.ids_alike()
    merger.people_once()
    over()
    merger.rows_once()
    over()
    merger.usernames(policy, told_apart_by)
    merger.settle()
    return merger


@dataclass(frozen=True, slots=True)
class Merger:
    """Works on the raw tables of one roster."""

    db: duckdb.DuckDBPyConnection
    tables: dict[str, Table]
    bad: set[str] = field(default_factory=set)  # files with rows that errors are about
    good: dict[str, str] = field(default_factory=dict)  # table -> its good rows, as a FROM item
    once: dict[str, str] = field(default_factory=dict)  # the same without rows that repeat an earlier one

    def references(self, *, complete: bool) -> None:
        """Every id that names a record of another file has to be there."""
        for table in self.tables.values():
            for name, column in table.columns.items():
                if column.refers is None:
                    continue
                other = self.tables.get(column.refers)
                if other is None:
                    if complete and column.need is not Need.ALWAYS:
                        self._nowhere(table, column)
                    continue
                key = "email" if column.kind is Kind.MAIL else _key(other)
                match = f"lower(one.value) = lower(other.{key})" if key == "email" else f"one.value = other.{key}"
                value = f"unnest({codes.parts(name)})" if column.kind is Kind.IDS else name
                query = _UNKNOWN.format(column=name, value=value, rows=table.lined, target=other.raw, match=match)
                if table.rows > _MANY * other.rows and column.kind is not Kind.IDS:
                    found = _STRANGE.format(column=name, table=table.raw, target=other.raw, match=match)
                    if not self._number(found):
                        continue
                if self._number(query):
                    self._unknown(table, name, other, key)

    def _nowhere(self, table: Table, column: Column) -> None:
        """What an optional column names cannot be there when its whole file is not."""
        if not self._number(_FILLED.format(column=column.name, table=table.raw)):
            return
        findings.add_file(
            self.db,
            "missing-referenced-file",
            file=table.uploaded,
            column=column.header,
            detail=f"the file of {_plural(column.refers or '')}",
        )
        self.db.execute(_DROP_ALL.format(table=table.stored, column=column.name))

    def trees(self) -> None:
        """Nothing is part of itself."""
        for table in self.tables.values():
            if "parent_id" in table.columns:
                self._add("circular-parent", table, "parent_id", _CIRCULAR.format(rows=table.lined), detail="NULL")

    def _unknown(self, table: Table, column: str, other: Table, key: str) -> None:
        """Report the values in `raw.unknown`, with what may be meant by them; what is not needed is left out."""
        where = literal(other.uploaded)
        needed = table.columns[column].need is Need.ALWAYS
        findings.add_rows(
            self.db,
            "unknown-reference" if needed else "optional-reference",
            file=table.uploaded,
            column=table.columns[column].header,
            rows=_EXPLAINED.format(
                key=key,
                target=other.raw,
                file=where,
                plain_value=_PLAIN.format(value="value"),
                plain_key=_PLAIN.format(value=f"other.{key}"),
            ),
            detail="'an address'" if key == "email" else values.named("found.value"),
            hint="CASE WHEN found.unread IS NOT NULL "
            f"THEN 'It may stand in line ' || found.unread || ' of ' || {where} || ', which cannot be read.' "
            f"WHEN {values.is_telling('found.id')} THEN 'Did you mean ' || found.id || '?' END",
            cause=f"'{other.file.table} ' || hash(found.value)",
            cause_file=f"CASE WHEN found.unread IS NOT NULL THEN {where} END",
            cause_line="found.unread",
        )
        if not needed and table.columns[column].kind is not Kind.IDS:
            # What may stand in a row that cannot be read is not known to be nowhere.
            self.db.execute(_UNSURE.format(name=literal(f"{table.file.table}.{column}"), file=where))
            line = table.line
            self.db.execute(_DROP.format(table=table.stored, column=column, line=line))

    def ids_alike(self) -> None:
        """Ids of anything that look alike deserve a second look."""
        for table in self.tables.values():
            named = "source_id" in table.columns and table.file.records in _NAMED
            if named and all(
                self._number(_TWINS.format(one=one, rows=table.raw)) for one in ("source_id", "DISTINCT source_id")
            ):
                self._add(
                    "look-alike-id",
                    table,
                    "source_id",
                    _ALIKE.format(rows=table.lined),
                    detail=real_line("found.value"),
                )

    def people_once(self) -> None:
        """A person of several schools has several rows, which should not contradict each other."""
        for name in ("student", "teacher"):
            table = self.tables.get(name)
            if table is None or (again := self._again(table, ("source_id",))) is None:
                continue
            others = _LINES.format(name=again)
            if same := self._again(table, ("source_id", "school_id"), name="same"):
                self._add(
                    "repeated-person", table, "source_id", _LINES.format(name=same), detail=real_line("found.first")
                )
                others = _OTHER_LINES.format(name=again, same=same)
            self._add("several-schools", table, "source_id", others, detail=real_line("found.first"))
            compared = [column for column in table.columns if column not in {"source_id", "school_id", "password"}]
            differs = " OR ".join(f"one.{column} IS DISTINCT FROM other.{column}" for column in compared)
            rows = _DIFFERING.format(name=again, rows=table.lined, differs=differs or "false")
            self._add("differing-values", table, None, rows, detail="found.value")

    def rows_once(self) -> None:
        """What tells the rows of a file apart is there once."""
        for table in self.tables.values():
            for number, key in enumerate(table.file.keys):
                names = _parts(table, key)
                if names and (again := self._again(table, names, name=f"again{number or ''}")):
                    bare = [name.removeprefix("lower(").removesuffix(")") for name in key.columns]
                    shown = next((name for name in reversed(bare) if name in table.columns), None)
                    self._add(key.rule, table, shown, _LINES.format(name=again), detail=real_line("found.first"))

    def usernames(self, policy: Policy | None, matches: Callable[[File], str]) -> None:
        """No two people may end up with one account."""
        people = [table for name in ("student", "teacher", "users") if (table := self.tables.get(name))]
        people = [table for table in people if matches(table.file) in table.columns]
        named = " UNION ALL ".join(
            _NAME.format(
                number=number,
                name=_account(table.file, matches(table.file), policy),
                rows=self.without(table.lined, f"{table.stored}_again"),
                column=matches(table.file),
            )
            for number, table in enumerate(people)
        )
        if not people or not self._number(_SHARED.format(named=named)):
            return
        for mine, table in enumerate(people):
            for theirs, other in enumerate(people):
                rows = _SHARERS.format(
                    named=named, mine=mine, theirs=theirs, file=other.file.name, shared_line=real_line("shared.line")
                )
                self._add("duplicate-username", table, matches(table.file), rows, detail="found.value")

    def settle(self) -> None:
        """Tell the good rows."""
        self.db.execute(_BAD)
        self.bad.update(row[0] for row in self.db.execute("SELECT DISTINCT file FROM raw.bad").fetchall())
        for name in self.tables:
            self.tables[name] = table = self._lighter(self.tables[name])
            self.good[name] = self._good(table)
            self.once[name] = self.good[name]
            for number in range(max(len(table.file.keys), 1)):
                self.once[name] = self.without(self.once[name], f"raw.{name}_again{number or ''}")

    def _lighter(self, table: Table) -> Table:
        """The ids that links themselves have served their purpose once they are known to differ: nothing names a link.

        They are most of what the longest table takes in memory; a table with findings keeps them.
        """
        ids = {"class_id", "user_id", "source_id"} <= table.columns.keys() and table.file.records == "enrollments"
        if not ids or table.extras or table.earlier or table.rows < LARGE or table.uploaded in self.bad:
            return table
        if "source_id" in table.void:
            return table
        self.db.execute(f"ALTER TABLE {table.stored} DROP COLUMN source_id")
        return replace(table, void=(*table.void, "source_id"))

    def _good(self, table: Table) -> str:
        """The rows of a table that no error is about; what repeats a key is found once more among them alone."""
        if table.uploaded not in self.bad:
            return table.lined
        rows = _EXCEPT.format(rows=table.lined, lines=_BAD_LINES.format(file=literal(table.uploaded)))
        for number, key in enumerate(table.file.keys):
            if names := _parts(table, key):
                self._again(table, names, name=f"again{number or ''}", rows=rows)
        if table.file.role and table.file.records == "people":
            self._again(table, ("source_id",), rows=rows)
            self._again(table, ("source_id", "school_id"), name="same", rows=rows)
        return rows

    def _again(self, table: Table, parts: Sequence[str], *, name: str = "again", rows: str | None = None) -> str | None:
        """Make the table of rows whose key came before; its name, or None when there is no such row."""
        made = f"{table.stored}_{name}"
        # Ids tell nearly all rows apart: hashing the rest of a key would find few candidates less.
        ids = [part for part in parts if part in table.columns and table.columns[part].kind is Kind.ID] or parts
        # Of a table as it was read the place of a row tells its line, and finds it without a look at the others.
        whole = rows is None and table.line == "rowid + 2"
        query = {
            "made": made,
            "digest": f"(hash({', '.join(ids)}) >> 32)::UINTEGER",
            "rows": table.placed if whole else rows or table.lined,
            "place": "rowid" if whole else "line",
            "kept": "" if whole else ", line",
            "listed": ", ".join(f"{part} AS k{number}" for number, part in enumerate(parts)),
            "keys": ", ".join(f"k{number}" for number in range(len(parts))),
            "filled": " AND ".join(f"k{number} IS NOT NULL" for number in range(len(parts))),
        }
        # A short table is told in one go; sorting a long one takes less memory than a table of its keys.
        if table.rows < LARGE and self._number(_ALL_APART.format(**query)):
            self.db.execute(f"DROP TABLE IF EXISTS {made}")  # it may be there from before, of more rows
            return None
        self.db.execute(_DIGESTS.format(**query))
        self.db.execute(_SORTED)
        found = self._number(_ALIKE_KEYS.format(**query)) and self._number(_AGAIN.format(**query))
        for name in ("digests", "sorted", "alike", *(() if found else (made.removeprefix("raw."),))):
            self.db.execute(f"DROP TABLE IF EXISTS raw.{name}")
        return made if found else None

    def without(self, rows: str, lines: str) -> str:
        """The rows without those whose line is in the table `lines`, if there is such a table."""
        found = self.db.execute(_MADE, {"name": lines}).fetchone()
        return rows if found == (0,) else _EXCEPT.format(rows=rows, lines=_LINE.format(name=lines))

    def _add(self, rule: str, table: Table, column: str | None, rows: str, *, detail: str) -> None:
        header = table.columns[column].header if column else None
        findings.add_rows(self.db, rule, file=table.uploaded, column=header, rows=rows, detail=detail)

    def _number(self, query: str) -> int:
        row = self.db.execute(query).fetchone()
        assert row is not None
        return int(row[0])


def _key(table: Table) -> str:
    """The column that names the rows of a table elsewhere."""
    return "user_id" if "source_id" not in table.columns else "source_id"


def _parts(table: Table, key: Key) -> list[str]:
    """The key as SQL expressions; columns that the file does not have tell nothing apart."""
    there = [name for name in key.columns if "(" in name or name in table.columns]
    needed = {name for name, column in table.columns.items() if column.need is Need.ALWAYS}
    return [name if "(" in name or name in needed else f"coalesce({name}, '')" for name in there]


def _plural(table: str) -> str:
    return {"orgs": "organizations", "sessions": "academic sessions"}.get(table, table)


def _account(file: File, column: str, policy: Policy | None) -> str:
    """What tells accounts apart: SQL over the column that they are made of or matched by."""
    bare = f"lower({column})"
    for one in policy.matching if policy else ():
        if one.role == file.role:
            domain = f" || {literal('@' + one.domain.lower())}" if one.domain else ""
            return f"{literal(one.target + ' ')} || {bare}{domain}"
    known = policy.domains.items() if policy else ()
    domain = next((f"@{name.lower()}" for role, name in known if role == file.role), f" {file.role}")
    # Without a profile the domains are not known: pupils and teachers may well have different ones.
    return f"CASE WHEN contains({column}, '@') THEN {bare} ELSE {bare} || {literal(domain)} END"


def literal(text: str) -> str:
    """A text as SQL has it."""
    return "'" + text.replace("'", "''") + "'"
