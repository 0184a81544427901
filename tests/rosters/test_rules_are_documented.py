"""docs/rules.md has a heading for every rule, and none for anything else; docs/formats.md names every column."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from schoolsync.roster.codes import SHIPPED
from schoolsync.roster.rules import RULES, Rule
from schoolsync.roster.tables import TABLES
from schoolsync.sources import FORMATS, sds_v1, sds_v1_uk
from schoolsync.sources.columns import File
from schoolsync.sources.formats import Format

DOCS = Path(__file__).parents[2] / "docs"
SECTION = re.compile(
    r"^### `([a-z0-9-]+)`\n\n\*\*(error|error, fatal|warning|information)\.\*\* (?:(?!^#).)+?"
    r"\n\n\*\*What to do:\*\* (?:(?!^#).)+?\n\nExample \((?:(?!^#{2}).)+?\n\nReported: `",
    re.MULTILINE | re.DOTALL,
)


def test_every_rule_has_its_heading() -> None:
    """Rule id and severity are as the program has them; it says what the rule means, what to do, and has an example."""
    page = (DOCS / "rules.md").read_text(encoding="utf-8")
    found = SECTION.findall(page)
    said = {rule.id: rule.severity.value + (", fatal" if rule.fatal else "") for rule in RULES.values()}
    assert dict(found) == said
    assert len(found) == len(said), "no rule stands there twice"
    assert page.count("\n### `") == len(said)


PAGES = [(form, file) for form in FORMATS.values() for file in form.files if form.id != "sds-v1-uk"]


@pytest.mark.parametrize(("form", "file"), PAGES, ids=lambda one: getattr(one, "id", None) or one.name)
def test_every_column_is_in_the_page_of_formats(form: Format, file: File) -> None:
    """Files and headers, in their exact spelling, with what the allow-list calls them."""
    page = (DOCS / "formats.md").read_text(encoding="utf-8")
    title = form.title.removesuffix(" (classic)")
    section = page.split(f"\n## {title}\n")[1].split("\n## ")[0].split(f"### {file.name}\n")[1].split("\n### ")[0]
    assert [row for column in file.columns if f"| {column.header} |" not in section for row in [column.header]] == []


def test_every_format_list_and_field_is_in_the_page_of_formats() -> None:
    """Names of formats, of code lists with their codes, and what the allow-list may name."""
    page = (DOCS / "formats.md").read_text(encoding="utf-8")
    names = {*FORMATS, *SHIPPED, *(entry.code for one in SHIPPED.values() for entry in one.entries)}
    for form in FORMATS.values():
        names |= {file.sensitive or "extras" for file in form.files}
        names |= {column.sensitive or "extras" for file in form.files for column in file.columns}
    assert sorted(name for name in names if f"`{name}`" not in page) == []
    changed = [column.header for file in sds_v1_uk.FILES for column in file.columns]
    same = {column.header for file in sds_v1.FILES for column in file.columns}
    assert [header for header in changed if header not in same and f"| {header} |" not in page] == []


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
