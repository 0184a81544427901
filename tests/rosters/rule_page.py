"""The examples of docs/rules.md: what of a spoiled roster breaks a rule, and what the report says of it.

`python tests/rosters/rule_page.py` writes them into the page anew, from the rosters that the generator spoils and from
what checking finds in them; the tests hold the page to the same. What a rule means and what to do stays as it is.
"""

from __future__ import annotations

import csv
import io
import re
import shutil
import sys
import tempfile
import textwrap
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

from schoolsync import sources
from schoolsync.plan.policy import Customization, Policy
from schoolsync.roster import findings
from schoolsync.roster.findings import Finding
from schoolsync.roster.rules import RULES, Rule
from schoolsync.sources import FORMATS, CheckOptions, Limits, SourceFile
from schoolsync.testing import rosters
from schoolsync.testing.rosters import DIRT
from schoolsync.testing.rosters.dirt import Upload

PAGE = Path(__file__).parents[2] / "docs" / "rules.md"
_SECTION = re.compile(r"^### `(?P<rule>[a-z0-9-]+)`\n(?P<text>.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
_EXAMPLE = re.compile(r"^Example \(.*", re.MULTILINE | re.DOTALL)
_SETTINGS = {
    "max_rows": "`roster_max_rows` is {}",
    "archive_files": "`archive_max_files` is {}",
    "file_bytes": "`roster_max_bytes` is {}",
    "columns": "`roster_max_columns` is {}",
    "cell": "`roster_max_cell` is {}",
    "property": "the profile asks for `{}`",
}
_WIDEST = 100
_ALL = 100_000
_ROWS = 2


@dataclass(frozen=True, slots=True)
class Found:
    """What checking a spoiled roster found."""

    all: tuple[Finding, ...]
    details: tuple[str | None, ...]

    def of(self, rule: str) -> tuple[Finding, str | None]:
        """The first finding of a rule."""
        return next(pair for pair in zip(self.all, self.details, strict=True) if pair[0].rule == rule)


def clean_rosters(folder: Path) -> None:
    """A roster without a single finding for every format that rules are shown in."""
    for name in {dirt.format for dirt in DIRT.values()}:
        rosters.write(
            folder / name,
            people=120,
            classes=12,
            enrollments=300,
            format=name,
            several_schools=False,
            guardians=name != "sds-v1",
        )


def spoiled(clean: Path, scratch: Path, rule: str, *, times: int = 1) -> tuple[Path, Found]:
    """A copy of the clean roster that breaks the rule, and what checking it finds."""
    dirt = DIRT[rule]
    folder = Path(shutil.copytree(clean / dirt.format, scratch / f"roster{times}"))
    rosters.spoil(folder, rule, format=dirt.format, times=times)
    before = None
    if dirt.onto is not None:
        before = Path(shutil.copytree(clean / dirt.format, scratch / "before"))
        dirt.onto(Upload(before))
    return folder, checked(folder, scratch / f"scratch{times}", kind=dirt.format, options=dirt.options, onto=before)


def checked(folder: Path, scratch: Path, *, kind: str, options: object = None, onto: Path | None = None) -> Found:
    """What is found in the roster of a folder."""
    scratch.mkdir()
    asked = dict(options) if isinstance(options, dict) else {}
    policy = None
    if "property" in asked:
        wanted = Customization(optional_properties=(str(asked.pop("property")),))
        policy = Policy(
            profile_name="Contoso",
            domains={"student": "pupils.example", "teacher": "staff.example"},
            customizations={"school": wanted},
        )
    rows = int(asked.pop("max_rows", 10_000))
    given = CheckOptions(format=kind, policy=policy, max_rows=rows, limits=Limits(**asked), scratch=scratch)
    if onto is not None:
        given = replace(given, earlier=_records_of(onto, scratch / "records"))
    with duckdb.connect(config={"threads": 1}) as db:
        sources.validate(db, sources.extract(db, _files(folder), given), given)
        listed = tuple(findings.listed(db))
        order = 'ORDER BY lower(file), line NULLS FIRST, rule, "column"'
        details = db.execute(f"SELECT detail FROM roster.findings {order}").fetchall()
        return Found(listed, tuple(row[0] for row in details))


def _records_of(folder: Path, into: Path) -> Path:
    """What is kept of a roster, for packages of changes to it."""
    given = CheckOptions(keep=into)
    with duckdb.connect(config={"threads": 1}) as db:
        assert not sources.validate(db, sources.extract(db, _files(folder), given), given).fatal
    return into


def _files(folder: Path) -> list[SourceFile]:
    return [SourceFile(path.name, path) for path in sorted(folder.iterdir())]


# --- the page ------------------------------------------------------------------------------------------------------


def sections(page: str) -> dict[str, str]:
    """The text of every rule in the page."""
    return {one["rule"]: one["text"] for one in _SECTION.finditer(page)}


def severity(rule: Rule) -> str:
    """As the page says it."""
    return rule.severity.value + (", fatal" if rule.fatal else "")


def example(clean: Path, folder: Path, rule: str, found: Found) -> str:
    """What stands in the page below a rule: lines that break it, and what the report says."""
    dirt = DIRT[rule]
    one, detail = found.of(rule)
    lines = "\n".join(_shown(clean / dirt.format, folder, one, detail))
    settings = "".join(f", where {_SETTINGS[name].format(value)}" for name, value in dirt.options.items())
    place = f"`{one.file}`"
    place += f", line {one.line}" if one.line is not None else ""
    place += f", column `{one.column}`" if one.column is not None else ""
    hint = f" {one.hint}" if one.hint else ""
    title = FORMATS[dirt.format].title
    head = _wrapped(f"Example ({title}{settings}):")
    return f"{head}\n\n```text\n{lines}\n```\n\n{_wrapped(f'Reported: {place}: {one.message}{hint}')}\n"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 118, break_long_words=False, break_on_hyphens=False)


def _shown(clean: Path, folder: Path, one: Finding, detail: str | None) -> Iterator[str]:
    """The files that differ from the clean roster."""
    before = {path.name: path.read_bytes() for path in clean.iterdir()}
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    partly = [name for name in after if before.get(name) != after[name]]
    touched = [name for name in partly if name == one.file] or sorted(partly)
    if one.line is None and len(after) < len(before) and not touched:
        yield from (f"{name}: not there" for name in sorted(set(before) - set(after)))
        return
    for name in touched or [one.file]:
        if name.endswith(".zip"):
            yield from _members(folder / name)
        elif after[name] in before.values():
            yield " and ".join(sorted(other for other in after if other.lower() == name.lower()))
        else:
            yield from _lines(name, before.get(name, b""), after[name], one, detail)


def _members(path: Path) -> Iterator[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile:
        yield f"{path.name}: {_plain(path.read_bytes())}"
        return
    yield f"{path.name} with {', '.join(names)}"


def _lines(name: str, before: bytes, after: bytes, one: Finding, detail: str | None) -> Iterator[str]:
    if not after:
        yield f"{name}: 0 bytes"
        return
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    wanted = {1}
    if one.line is not None:
        wanted.add(one.line)
        # a value with a line break goes on in the next line
        wanted |= {one.line + 1} if one.rule == "line-break" else set()
        if detail is not None and detail.isdecimal() and RULES[one.rule].says.count("line {detail}"):
            wanted.add(int(detail))
    else:
        changed = [place for place, line in enumerate(new, 1) if place > len(old) or old[place - 1] != line]
        wanted |= set(changed[: _ROWS + 1]) or {2}
        wanted |= {len(new)} if one.rule == "truncated-file" else set()
    columns = _columns(new[0], old[0] if old else new[0], one)
    yield name
    for place in sorted(wanted):
        if place <= len(new):
            line = new[place - 1]
            ending = {b"\r\n": "␍␊", b"\n": "␊"}.get(line[len(line.rstrip(b"\r\n")) :], "")
            told = ending if one.rule == "mixed-line-ends" else ""
            yield f"{place:>6}: {_narrow(line, columns)}{told}"


def _columns(header: bytes, before: bytes, one: Finding) -> list[int]:
    """Those that an example of a wide file needs: the first two, the one that it is about, and headers that are new."""
    text = _plain(header, widest=_ALL)
    names, old = (next(csv.reader([_plain(line, widest=_ALL)]), []) for line in (header, before))
    wanted = {0, 1} | {place for place, name in enumerate(names) if name not in old or name == one.column}
    # a header that is gone: its empty place is in `wanted`; a file that is another one altogether is shown as it is
    if len(text) <= _WIDEST or len(wanted) in {2, len(names)} or len(names) != len(old):
        return []
    return [place if place in wanted else -1 for place in range(len(names))]


def _narrow(line: bytes, columns: list[int]) -> str:
    cells = next(csv.reader([_plain(line, widest=_ALL)]), [])
    if not columns or len(cells) != len(columns):
        return _plain(line)
    sink = io.StringIO()
    kept: list[str] = []
    for place, cell in zip(columns, cells, strict=True):
        if place >= 0:
            kept.append(cell if len(cell) <= _WIDEST // 2 else cell[: _WIDEST // 2] + " …")
        elif kept[-1:] != ["…"]:
            kept.append("…")
    csv.writer(sink, lineterminator="").writerow(kept)
    return sink.getvalue()


def _plain(content: bytes, *, widest: int = _WIDEST) -> str:
    """Bytes as a page can show them."""
    text = content[: 4 * widest].decode(errors="backslashreplace").rstrip("\r\n")
    text = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
    return text if len(text) <= widest else text[:widest] + " …"


def main() -> int:
    """Write the examples anew."""
    page = PAGE.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as place:
        clean = Path(place, "clean")
        clean_rosters(clean)
        made = {}
        for rule in DIRT:
            scratch = Path(place, rule)
            scratch.mkdir()
            folder, found = spoiled(clean, scratch, rule)
            made[rule] = example(clean, folder, rule, found)

    def anew(one: re.Match[str]) -> str:
        text = _EXAMPLE.sub("", one["text"]).strip()
        return f"### `{one['rule']}`\n\n{text}\n\n{made[one['rule']]}\n"

    PAGE.write_text(_SECTION.sub(anew, page).rstrip() + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
