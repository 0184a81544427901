"""Taking one person out of the files that runs keep: snapshots, plans, findings, reports.

Rows of a snapshot go. Rows of a plan stay, so that its batches keep their sizes and everybody else's changes stay
explained; nothing is left in them but keys, the object's id and the rule `erased`. Findings lose what they quote.
Files are read a row group at a time, written aside and renamed, so cutting it off and doing it again is safe.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schoolsync.errors import raise_worlds
from schoolsync.folders import inside, listed
from schoolsync.plan.alike import PRINTS
from schoolsync.plan.steps import FRESH
from schoolsync.runs import snapshots
from schoolsync.runs.places import FINDINGS, RECORDS, REPORT, ROSTER
from schoolsync.runs.stored_plan import Description

ERASED = "erased"
"""The rule that rows of a plan name from then on, and what stands in the place of an erased text."""

ASIDE = ".erasing"
"""The ending of files that are being written; those that an erasing before has left are deleted."""

_KEPT = frozenset({"key", "id", "school", "class", "person", "kind", "member", "teacher"})
_NAMES = ("source_id", "was_source_id", "user_principal_name", "account_name", "mail", "secondary_email")
_PLAN = re.compile(r"plan-\d+")
_TOGETHER = frozenset({"detail", "hint", "cause", "message"})
_QUOTING = frozenset({"detail", "hint", "cause", "scopeId", "scope_id"})


@dataclass(frozen=True, slots=True)
class Traces:
    """What a person is known by. Grows while it is looked for."""

    object_id: str
    keys: set[int] = field(default_factory=set)  # of the directory
    names: set[str] = field(default_factory=set)  # SIS IDs, principal names, mail addresses
    called: set[str] = field(default_factory=set)  # full names, which others may have too
    lines: set[tuple[str, int]] = field(default_factory=set)  # of the files that the run at hand has read

    def __bool__(self) -> bool:
        return bool(self.keys or self.names)

    def scrubbed(self, value: Any) -> Any:  # whatever JSON can hold
        """The same without the person's names in its sentences and quotations."""
        return self._scrubbed(value, quoting=False)

    def _scrubbed(self, value: Any, *, quoting: bool) -> Any:
        if isinstance(value, dict):
            after = {name: self._scrubbed(inner, quoting=name in _QUOTING) for name, inner in value.items()}
            if any(after[name] != value[name] for name in _TOGETHER & after.keys()):
                # One of them names the person: the others may have the same name with a mistake in it.
                after |= {name: ERASED for name in _TOGETHER & after.keys() if isinstance(after[name], str)}
            return after
        if isinstance(value, list):
            return [self._scrubbed(inner, quoting=quoting) for inner in value]
        # A text without a blank is a word of ours, unless it stands where roster values are quoted.
        if isinstance(value, str) and (quoting or " " in value):
            for name in self.names:
                value = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", ERASED, value, flags=re.IGNORECASE)
        return value

    def out_of(self, text: str) -> str:
        """What somebody wrote, without the person's names and full names."""
        for name in self.names | self.called:
            text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", ERASED, text, flags=re.IGNORECASE)
        return text

    def are(self, value: object) -> bool:
        """Whether a value is one of the person's names."""
        return isinstance(value, str) and value.lower() in {name.lower() for name in self.names}


def find(folder: Path, wanted: str) -> set[str]:
    """Object ids of the people in a run's files that have this object id, SIS ID or principal name."""
    found: set[str] = set()
    for path in _people(folder):
        with pq.ParquetFile(path) as file:
            there = [name for name in ("id", *_NAMES) if name in file.schema_arrow.names]
            for group in range(file.num_row_groups):
                table = file.read_row_group(group, columns=there, use_threads=False)
                mask = pc.equal(table.column("id"), wanted.lower())
                for name in there[1:]:
                    same = pc.equal(pc.utf8_lower(table.column(name)), wanted.lower())
                    mask = pc.or_(mask, pc.fill_null(same, False))
                found |= set(table.filter(mask).column("id").to_pylist())
    return found


def learn(folder: Path, traces: Traces) -> bool:
    """Add what a run's files know of the person's keys and names; whether they know the person at all."""
    known = False
    for path in _people(folder):
        plan = _description(path.parent)
        with pq.ParquetFile(path) as file:
            there = [name for name in ("id", "key", *_NAMES) if name in file.schema_arrow.names]
            for group in range(file.num_row_groups):
                table = file.read_row_group(group, columns=there, use_threads=False)
                for row in table.filter(pc.equal(table.column("id"), traces.object_id)).to_pylist():
                    known = True
                    key = int(row.pop("key"))
                    if key < FRESH:
                        traces.keys.add(key)
                    elif plan is not None:
                        traces.keys.add(key - FRESH + plan.first_key)
                    row.pop("id")
                    traces.names.update(str(name) for name in row.values() if name)
    return known


def erase(folder: Path, traces: Traces) -> None:
    """Take the person out of one run's files. `traces` must know all that `learn` finds."""
    traces.lines.clear()
    for path in inside(folder):
        if path.name.endswith(ASIDE):
            path.unlink()
    with suppress(FileNotFoundError):
        shutil.rmtree(folder / ROSTER)  # like the upload that it was read from
    for made in (entry for entry in listed(folder) if _PLAN.fullmatch(entry.name) and entry.is_dir()):
        plan = _description(made)
        if plan is None:  # an attempt that never became the run's plan
            shutil.rmtree(made)
            continue
        for path in listed(made, "*.parquet"):
            _erase_steps(path, plan, traces)
        _erase_snapshot(made / "snapshot", traces)
        for path in listed(made, "errors-*.json"):
            _erase_entries(path, traces)
        _edit_json(made.with_suffix(".json"), traces)
    _erase_records(folder / RECORDS, traces)
    _edit_json(folder / REPORT, traces)
    _erase_findings(folder / FINDINGS, traces)


def _people(folder: Path) -> Iterator[Path]:
    """The files of a run that have people of the directory in their rows; those of rosters know no object."""
    found = (path for path in inside(folder) if path.suffix == ".parquet" and path.parent.name not in {ROSTER, RECORDS})
    yield from sorted(path for path in found if "people" in path.stem and _of_objects(path))


def _of_objects(path: Path) -> bool:
    return not any(link in path.stem for link in ("school_people", "class_people"))


def _description(folder: Path) -> Description | None:
    """The description of the plan whose files lie in a folder, or in its snapshot's."""
    for one in (folder, folder.parent):
        if _PLAN.fullmatch(one.name):
            try:
                return msgspec.json.decode(one.with_suffix(".json").read_bytes(), type=Description)
            except (OSError, msgspec.MsgspecError) as problem:
                raise_worlds(problem)  # a plan is nobody's only when it has no description
                return None
    return None


def _erase_steps(path: Path, plan: Description, traces: Traces) -> None:
    if "people" not in path.stem:
        if path.stem == "renumbered":
            _rewrite(path, lambda table: table.filter(pc.invert(pc.equal(table.column("id"), traces.object_id))))
        return
    if _of_objects(path):
        _rewrite(path, lambda table: _masked(table, pc.equal(table.column("id"), traces.object_id), traces))
        return
    keys = traces.keys | {key - plan.first_key + FRESH for key in traces.keys if key >= plan.first_key}
    _rewrite(path, lambda table: _masked(table, _any(table.column("person"), keys, pa.int64()), traces))


def _erase_snapshot(folder: Path, traces: Traces) -> None:
    if not folder.is_dir():
        return
    (folder / f"{PRINTS}.parquet").unlink(missing_ok=True)
    for path in snapshots.files(folder, "people"):
        _rewrite(path, lambda table: table.filter(pc.invert(pc.equal(table.column("id"), traces.object_id))))
    for path in (*snapshots.files(folder, "school_people"), *snapshots.files(folder, "class_people")):
        _rewrite(path, lambda table: table.filter(pc.invert(_any(table.column("person"), traces.keys, pa.int64()))))
    _rewrite(
        folder / "by_hand.parquet",
        lambda table: table.filter(
            pc.invert(
                pc.and_(
                    _any(table.column("key"), traces.keys, pa.int64()), pc.equal(table.column("of_table"), "people")
                )
            )
        ),
    )


def _erase_records(folder: Path, traces: Traces) -> None:
    """Rows about the person go from what is kept of the roster, and so do the places in which others name them."""

    def change(path: Path, table: pa.Table) -> pa.Table:
        about = {"user_id", "contact_id", *_NAMES, "username", "email"} & {*table.column_names}
        if "username" not in table.column_names and "given_name" not in table.column_names:
            about -= {"source_id"}  # the id of an organization, a class, an enrollment
        if path.stem == "gone":
            about = {"id"}
        mask = pa.array([False] * table.num_rows)
        known = {name.lower() for name in traces.names}
        for name in about:
            mask = pc.or_(mask, _any(pc.utf8_lower(table.column(name).cast(pa.string())), known, pa.string()))
        table = table.filter(pc.invert(mask))
        if "agent_ids" in table.column_names:
            place, column = table.column_names.index("agent_ids"), table.column("agent_ids")
            for name in traces.names:
                listed = rf"(?i)(^|[,\s]){re.escape(name)}([,\s]|$)"
                column = pc.replace_substring_regex(column, listed, r"\1")
            table = table.set_column(place, table.schema.field("agent_ids"), column)
        return table

    for path in listed(folder, "*.parquet"):
        _rewrite(path, partial(change, path))


def _erase_findings(path: Path, traces: Traces) -> None:
    files, lines = {file for file, _ in traces.lines}, {line for _, line in traces.lines}

    def change(table: pa.Table) -> pa.Table:
        near = pc.and_(_any(table.column("file"), files, pa.string()), _any(table.column("line"), lines, pa.int64()))
        for name in ("detail", "hint", "cause"):
            column = table.column(name)
            for known in traces.names:
                pattern = rf"(?i)(^|\W){re.escape(known)}(\W|$)"
                near = pc.or_(near, pc.fill_null(pc.match_substring_regex(column, pattern), False))
        for name in ("detail", "hint", "cause"):
            place = table.column_names.index(name)
            table = table.set_column(place, name, pc.if_else(near, pa.scalar(None, pa.string()), table.column(name)))
        return table

    _rewrite(path, change)


def _erase_entries(path: Path, traces: Traces) -> None:
    """Entries of the profile's errors that are about the person go."""
    rows = msgspec.json.decode(path.read_bytes())
    kept = [
        row
        for row in rows
        if not (traces.are(row.get("reportable_identifier")) or traces.are(row.get("joining_value")))
    ]
    if len(kept) < len(rows):
        replace(path, msgspec.json.encode(kept))


def _edit_json(path: Path, traces: Traces) -> None:
    if not path.is_file():
        return
    before = path.read_bytes()
    after = msgspec.json.encode(traces.scrubbed(msgspec.json.decode(before)))
    if after != before:
        replace(path, after)


def _masked(table: pa.Table, mask: Any, traces: Traces) -> pa.Table:  # pyarrow has no types
    """The rows that `mask` picks keep their keys alone; where the roster had them is noted."""
    if not pc.any(mask).as_py():
        return table
    if {"file", "line"} <= set(table.column_names):
        places = table.filter(mask).select(["file", "line"]).to_pylist()
        traces.lines.update((row["file"], row["line"]) for row in places if row["file"] and row["line"])
    for place, name in enumerate(table.column_names):
        if name not in _KEPT:
            kind = table.schema.field(name)
            empty = pa.scalar(ERASED if name == "rule" else None, kind.type)
            table = table.set_column(place, kind, pc.if_else(mask, empty, table.column(name)))
    return table


def _any(column: Any, values: Iterable[object], kind: pa.DataType) -> Any:  # pyarrow has no types
    return pc.is_in(column, value_set=pa.array(list(values), kind))


def _rewrite(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """Put every row group through `change`; a file in which nothing changes is left alone."""
    if not path.is_file():
        return
    aside = path.with_suffix(ASIDE)
    changed = False
    with pq.ParquetFile(path) as file:
        schema = pa.schema([one.with_nullable(True) for one in file.schema_arrow])
        with pq.ParquetWriter(aside, schema, compression="lz4") as writer:
            for group in range(file.num_row_groups):
                before = file.read_row_group(group, use_threads=False).cast(schema)
                after = change(before)
                changed = changed or not after.equals(before)
                if after.num_rows or file.num_row_groups == 1:
                    writer.write_table(after, row_group_size=max(after.num_rows, 1))
    if changed:
        _settle(aside, path)
    else:
        aside.unlink()


def replace(path: Path, content: bytes) -> None:
    """Put `content` in the place of a file, whole or not at all."""
    aside = path.with_suffix(ASIDE)
    aside.write_bytes(content)
    _settle(aside, path)


def _settle(aside: Path, path: Path) -> None:
    """Put a file in the place of another, durably and with its permissions."""
    aside.chmod(path.stat().st_mode)
    with aside.open("rb") as file:
        os.fsync(file.fileno())
    aside.replace(path)
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
