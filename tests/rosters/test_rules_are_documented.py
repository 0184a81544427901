"""docs/rules.md has a row for every rule, and no row for anything else; docs/formats.md names every column."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from schoolsync.roster.rules import RULES, Rule
from schoolsync.roster.tables import TABLES
from schoolsync.sources import sds_v1

DOCS = Path(__file__).parents[2] / "docs"
ROW = re.compile(r"^\| `([a-z0-9-]+)` \| (error|error, fatal|warning) \|", re.MULTILINE)


def test_every_rule_has_its_row() -> None:
    """Rule id and severity are as the program has them."""
    rows = ROW.findall((DOCS / "rules.md").read_text(encoding="utf-8"))
    said = {rule.id: rule.severity.value + (", fatal" if rule.fatal else "") for rule in RULES.values()}
    assert dict(rows) == said
    assert len(rows) == len(said), "no rule stands there twice"


@pytest.mark.parametrize("file", sds_v1.FILES, ids=lambda file: file.name)
def test_every_column_is_in_the_page_of_formats(file: sds_v1.File) -> None:
    """Files and headers, in their exact spelling."""
    page = (DOCS / "formats.md").read_text(encoding="utf-8")
    section = page.split(f"### {file.name}\n")[1].split("\n### ")[0]
    assert [row for column in file.columns if f"| {column.header} |" not in section for row in [column.header]] == []


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.id)
def test_a_message_says_what_is_wrong_and_what_to_do(rule: Rule) -> None:
    """Two sentences, with their places filled."""
    message = rule.message(column="SIS ID", detail=None if rule.id == "missing-column" else "detail")
    assert re.fullmatch(r"[^{}]+\. [^{}]+\.", message), message


@pytest.mark.parametrize("table", TABLES)
def test_every_canonical_column_is_explained(table: str) -> None:
    """docs/roster.md has a section for every table, and names each of its columns and no other."""
    page = (DOCS / "roster.md").read_text(encoding="utf-8")
    section = page.split(f"\n## {table}\n")[1].split("\n## ")[0]
    named = [
        name for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    ]
    assert sorted(named) == sorted(TABLES[table])
