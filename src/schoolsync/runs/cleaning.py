"""How the engine reads what it needs to clean up the classes of a profile that has expired.

Nothing of a roster is read but the lines that knew classes and memberships last. There is no snapshot behind such a
plan: the next run of the profile reads the directory itself.
"""

from __future__ import annotations

import duckdb

from schoolsync.plan import clean_up, expiry
from schoolsync.plan.desired import Terms
from schoolsync.plan.kinds import LinkTable, ObjectTable
from schoolsync.plan.policy import CleanUp
from schoolsync.runs import arrivals
from schoolsync.targets.local import LocalDirectory

_NAMED: dict[ObjectTable, tuple[str, ...]] = {
    "schools": (),
    "people": ("primary_role", "school_source_id", "given_name", "surname"),
}
_LINKS: tuple[LinkTable, ...] = ("school_classes", "class_people")


def read(db: duckdb.DuckDBPyConnection, terms: Terms, directory: LocalDirectory, what: CleanUp) -> int:
    """Fill `held` and what is planned for it; returns the directory's position."""
    clean_up.prepare(db, terms)
    ours = terms.is_ours("profile")
    with directory.reading() as position:
        with directory.owned("classes", arrivals.columns("classes"), ours) as rows:
            arrivals.take(db, rows, "classes")
        # Of schools and people only their names are needed: for those who look at it, and the lines that linked them.
        for table, names_of in _NAMED.items():
            if table == "schools" or what.archive or what.remove_pupils:
                columns = {"key": int, **dict.fromkeys(("id", "source_id", "display_name", *names_of), str)}
                with directory.owned(table, columns, ours) as rows:
                    arrivals.take(db, rows, table)
        if what.archive or what.remove_pupils:
            for link in _LINKS:
                with directory.owned(link, arrivals.columns(link), ours) as rows:
                    arrivals.take(db, rows, link)
        clean_up.find(db, terms, what)
        names = expiry.nicknames(db)
        if names is not None:
            columns = {"key": int, "mail_nickname": str}  # of any class there is
            with directory.having("classes", columns, by="mail_nickname", values=names.to_arrow_table()) as rows:
                arrivals.keep(db, rows, "taken", columns)
    clean_up.settle_names(db, terms, None if names is None else "taken")
    return position
