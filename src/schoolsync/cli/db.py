"""`schoolsync db`: the tables of a PostgreSQL."""

from __future__ import annotations

from schoolsync.errors import UsageError
from schoolsync.settings import Settings
from schoolsync.store import schema
from schoolsync.store.database import postgresql_engine


def upgrade(settings: Settings) -> int:
    """Bring the tables up to this release; 0 when they are."""
    if settings.database_url is None:
        raise UsageError("No database_url is set: the SQLite files of an installation without one need no upgrade.")
    schema.upgrade(postgresql_engine(settings.database_url, settings.database_connections))
    print("The database is up to date.")
    return 0
