"""The directory of a state can be spread over several databases by tenant."""

from __future__ import annotations

import re
from pathlib import Path

from sqlalchemy import UniqueConstraint

from schoolsync.store.directory_tables import directory, directory_schema


def test_the_tenant_leads_whatever_a_directory_is_looked_up_by() -> None:
    """Every key, unique constraint and index begins with it, and no row refers to another's table."""
    for table in directory.sorted_tables:
        if table is directory_schema:
            continue
        keys = [table.primary_key.columns.keys()]
        keys += [list(one.columns.keys()) for one in table.constraints if isinstance(one, UniqueConstraint)]
        leading = [key[0] for key in keys]
        leading += [str(getattr(index.expressions[0], "name", None)) for index in table.indexes]
        assert set(leading) == {"tenant"}, table.name
        assert not table.foreign_keys, table.name


def test_the_page_names_every_table_that_can_be_spread() -> None:
    """The list in docs/scale.md is all of a directory but the row that says which release it is of."""
    text = (Path(__file__).parents[2] / "docs" / "scale.md").read_text("utf-8")
    listed = re.search(r"^    schools,[^.]+?\n\n", text, re.MULTILINE)
    assert listed is not None
    assert set(re.split(r"[\s,]+", listed[0].strip())) == {table.name for table in directory.sorted_tables} - {
        directory_schema.name
    }
    assert "No test and no measurement of ours has run on Citus" in text
