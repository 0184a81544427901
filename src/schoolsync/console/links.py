"""Links that show one school, without an account, what was found in its records: made, listed, taken back.

What a link shows is in the signed text that it carries (`sessions`); here stands which links there are, so that each
can be taken back. One whose row is gone opens nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, delete, insert, select

from schoolsync.access.principal import Principal
from schoolsync.errors import Invalid
from schoolsync.store.control import Control
from schoolsync.store.control_tables import console_links


class Links:
    """The links of all tenants. Safe to share between threads."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def make(
        self, principal: Principal, *, link: str, profile: str, run: str, school: str, now: int, until: int
    ) -> None:
        """Note a new link, and forget those whose time is over."""
        mine = console_links.c.tenant == principal.tenant
        with self._control.write(principal.tenant) as connection:
            connection.execute(delete(console_links).where(mine, console_links.c.expires <= now))
            connection.execute(
                insert(console_links).values(
                    tenant=principal.tenant,
                    id=link,
                    profile=profile,
                    run=run,
                    school=school,
                    made=now,
                    made_by=principal.audit_name,
                    expires=until,
                )
            )

    def of_run(self, tenant: int, profile: str, run: str, *, now: int) -> Sequence[Row[Any]]:
        """The links to a run's findings that are good still, the newest first."""
        known = console_links.c
        query = select(console_links).where(known.tenant == tenant, known.profile == profile, known.run == run)
        with self._control.read() as connection:
            return connection.execute(query.where(known.expires > now).order_by(known.made.desc(), known.id)).all()

    def take_back(self, tenant: int, profile: str, run: str, link: str) -> None:
        """Have a link open nothing any more. Raises Invalid when there is none."""
        known = console_links.c
        mine = (known.tenant == tenant, known.profile == profile, known.run == run, known.id == link)
        with self._control.write(tenant) as connection:
            if not connection.execute(delete(console_links).where(*mine)).rowcount:
                raise Invalid("There is no such link any more.", target="takeBack")

    def good(self, tenant: int, link: str, *, now: int) -> bool:
        """Whether nobody has taken the link back."""
        known = console_links.c
        query = select(known.id).where(known.tenant == tenant, known.id == link, known.expires > now)
        with self._control.read() as connection:
            return connection.execute(query).first() is not None
