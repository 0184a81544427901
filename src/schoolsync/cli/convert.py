"""`schoolsync convert`: write a roster in another format, and say what that format cannot hold.

Exit status: 0 the whole roster is written, 1 it is written without records that have errors, or not at all because
none of it can be used, 2 wrong usage.
"""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import msgspec

from schoolsync import convert, sources
from schoolsync.cli import opening
from schoolsync.cli.opening import engine, files
from schoolsync.cli.roster_files import NoRosterError, refuse
from schoolsync.convert import Target, Unheld
from schoolsync.errors import UsageError, WorldError
from schoolsync.reports.contents import counted
from schoolsync.roster import losses


def run(
    path: Path,
    out: Path,
    *,
    to: str,
    format: str | None,  # noqa: A002  the option's name
    day: date,
    passwords: bool,
    json: bool,
    onto: Path | None = None,
) -> int:
    """Convert the roster at `path` to the format `to`, written to `out`, a new folder or a zip.

    `onto` is the whole roster that changes alone belong to.
    """
    if to not in convert.TARGETS:
        return refuse(f"A roster cannot be written as {to}. Known targets: {', '.join(convert.TARGETS)}.")
    target = convert.TARGETS[to](passwords=passwords)
    try:
        if out.exists() and (out.is_file() or any(out.iterdir())):
            return refuse(f"{out} is there already: a roster is written to a place of its own.")
        if out.suffix.lower() == ".zip" and out.resolve().parent == path.resolve():
            return refuse(f"{out} would be a file of the roster itself: write it to another folder.")
        with TemporaryDirectory(prefix="schoolsync-") as folder, engine(folder) as db:
            kept = None if onto is None else opening.earlier(db, onto, format, Path(folder))
            options = replace(opening.options(path, format, Path(folder)), earlier=kept)
            extracted = sources.extract(db, files(path), options)
            if passwords:
                convert.keep_passwords(db, extracted)
            checked = sources.validate(db, extracted, options)
            if checked.fatal:
                sentences = dict.fromkeys(one.message for one in checked.findings(db) if one.severity == "error")
                print(f"schoolsync: {path} cannot be converted. {next(iter(sentences))}", file=sys.stderr)
                return 1
            if checked.errors:
                checked.leave_out(db)
            lost = {one.name: one.left_out for one in losses.counts(db) if one.left_out} if checked.errors else {}
            convert.prepare(db, day=day.isoformat())
            rows = _write(db, target, out)
            unheld = convert.unheld(db, target)
        if json:
            said = {"from": checked.format, "to": target.id, "files": rows, "left_out": lost, "not_held": unheld}
            print(msgspec.json.encode(said).decode())
        else:
            _print(target, out, checked.format, rows, lost, unheld, passwords=passwords)
    except BrokenPipeError:
        return 1
    except (NoRosterError, UsageError) as problem:
        return refuse(str(problem))
    except WorldError as problem:
        return refuse(str(problem))
    except (OSError, duckdb.IOException, duckdb.OutOfMemoryException) as problem:
        told = problem.strerror if isinstance(problem, OSError) else None
        return refuse(f"{path} could not be converted to {out}: {told or type(problem).__name__}.")
    return 1 if checked.errors else 0


def _write(db: duckdb.DuckDBPyConnection, target: Target, out: Path) -> dict[str, int]:
    """Write the files beside their place, on the same disk, and put them there when they are whole."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out if out.is_dir() else out.parent, prefix=".schoolsync-") as beside:
        made = Path(beside, "roster")
        rows = convert.write(db, target, made)
        if out.suffix.lower() == ".zip":
            packed = Path(beside, "roster.zip")
            with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
                for file in sorted(made.iterdir()):
                    archive.write(file, file.name)
            packed.replace(out)
        elif out.is_dir():
            _move(made, out)
        else:
            made.rename(out)
    return rows


def _move(made: Path, out: Path) -> None:
    """Move the files into an empty folder that was there before: all of them or none."""
    moved: list[Path] = []
    try:
        for file in sorted(made.iterdir()):
            moved.append(out / file.name)
            file.rename(moved[-1])
    except BaseException:
        for file in moved:
            file.unlink(missing_ok=True)
        raise


def _print(
    target: Target,
    out: Path,
    origin: str,
    rows: dict[str, int],
    lost: dict[str, int],
    unheld: Sequence[Unheld],
    *,
    passwords: bool,
) -> None:
    for name, count in rows.items():
        print(f"{out / name if out.suffix.lower() != '.zip' else name}: {counted(count, 'rows')}")
    for name, count in lost.items():
        print(f"left out because of errors: {counted(count, name)}; schoolsync validate lists them")
    if unheld:
        print(f"{target.title} cannot hold:")
        for one in unheld:
            print(f"  {one.count:>12,}  {one.what}")
    else:
        print(f"{target.title} holds all of it.")
    if not passwords:
        print("Passwords are not written; --passwords carries them over.")
    total = f"{counted(sum(rows.values()), 'rows')} in {counted(len(rows), 'files')}"
    print(f"{out}: {total} ({origin} -> {target.id})")
