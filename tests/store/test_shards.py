"""The directory of a state can be spread over several databases by tenant."""

from __future__ import annotations

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
