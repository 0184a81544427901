"""Where a tenant has the changes of its own profiles told: a webhook, mail addresses, and what it wants to hear of.

The installation's own channels are settings (`notices.channels`); these are rows, changed by the tenant's admins. The
webhook's secret lies among the secrets of providers, sealed like them (`access.vault`), and never comes out: only one
that is made here is answered once, to whoever asked for it. The mail server is the installation's. Addresses are judged
by the egress policy when they are written down and again at every call.
"""

from __future__ import annotations

import base64
import json
import secrets as random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from schoolsync import ticks
from schoolsync.access import egress, vault
from schoolsync.errors import Conflict, Invalid, UsageError
from schoolsync.notices import webhooks
from schoolsync.notices.conditions import EVENTS
from schoolsync.notices.notice import OWN, OWN_MAIL, OWN_WEBHOOK, TEST, is_address
from schoolsync.store.control_tables import notice_receivers, notices, secrets

if TYPE_CHECKING:
    from schoolsync.settings import Settings
    from schoolsync.store.control import Control

ALL = tuple(EVENTS.values())
"""Everything that can be told."""
SECRET = "notices/webhookSecret"  # noqa: S105  a name
NOBODYS = ""
"""The secret and the tests of receivers belong to the tenant, and to no profile of it."""
URL_MAX, ADDRESS_MAX, ADDRESSES_MAX = 2048, 254, 20
HOURS_MAX = 8784
UNCHANGED: Any = object()
"""Stands for what a change leaves as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """Where a tenant's notices go, without the secret."""

    webhook_url: str | None = None
    has_secret: bool = False
    mail_to: tuple[str, ...] = ()
    events: tuple[str, ...] = ALL
    stale_hours: int | None = None  # None: the installation's
    version: int = 0

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels that are set up."""
        return tuple(channel for channel, used in ((OWN_WEBHOOK, self.webhook_url), (OWN_MAIL, self.mail_to)) if used)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What somebody wants otherwise; None takes away."""

    webhook_url: str | None = UNCHANGED
    webhook_secret: str | None = None
    new_secret: bool = False
    mail_to: tuple[str, ...] | None = UNCHANGED
    events: tuple[str, ...] | None = UNCHANGED
    stale_hours: int | None = UNCHANGED


class Receivers:
    """The receivers of all tenants. Safe to share between threads."""

    def __init__(
        self, control: Control, settings: Settings, *, clock: Callable[[], int], new_id: Callable[[], str]
    ) -> None:
        self._control = control
        self._settings = settings
        self._clock = clock
        self._new_id = new_id
        self._vault = vault.Vault(settings)
        self._egress = egress.Policy.of(settings.egress_allow)

    @property
    def mail_possible(self) -> bool:
        """Whether this installation can send mail at all."""
        return self._settings.mail_server is not None and self._settings.mail_from is not None

    @property
    def stale_hours(self) -> int:
        """Those of the installation."""
        return self._settings.stale_hours

    def find(self, tenant: int) -> Receiver:
        """Where the tenant's notices go."""
        with self._control.read() as connection:
            return self._found(connection, tenant)

    def secret(self, tenant: int) -> str | None:
        """The secret that calls of the tenant's webhook are signed with; for whoever sends them, and no face."""
        with self._control.read() as connection:
            kept = connection.execute(select(secrets.c.value).where(*_secret(tenant))).scalar_one_or_none()
        return None if kept is None else self._vault.open(kept, place=vault.place(tenant, NOBODYS, SECRET))

    def change(self, tenant: int, wanted: Change, *, condition: Callable[[int], None]) -> tuple[Receiver, str | None]:
        """Merge `wanted`; the receiver, and the secret if one was made here. Raises Invalid."""
        with self._control.write(tenant) as connection:
            before = self._found(connection, tenant)
            condition(before.version)
            after = self._judged(before, wanted)
            fresh: str | None = None
            secret = wanted.webhook_secret
            if after.webhook_url is None:
                connection.execute(delete(secrets).where(*_secret(tenant)))
            elif secret is None and (wanted.new_secret or not before.has_secret):
                secret = fresh = webhooks.PREFIX + base64.b64encode(random.token_bytes(32)).decode()
            if secret is not None:
                sealed = self._vault.seal(secret, place=vault.place(tenant, NOBODYS, SECRET))
                connection.execute(delete(secrets).where(*_secret(tenant)))
                connection.execute(insert(secrets).values(tenant=tenant, profile=NOBODYS, name=SECRET, value=sealed))
            if after != before or secret is not None:
                self._write(connection, tenant, after)
            self._drop(connection, tenant, [channel for channel in before.channels if channel not in after.channels])
            return self._found(connection, tenant), fresh

    def test(self, tenant: int, tenant_id: str) -> int:
        """Send a notice that says it is a test to every receiver; how many. Raises Conflict."""
        now = self._clock()
        body = {
            "type": TEST,
            "timestamp": ticks.text(now),
            "data": {
                "tenant": tenant_id,
                "profile": None,
                "displayName": "schoolsync",
                "condition": TEST,
                "before": None,
                "run": None,
                "runNumber": None,
                "lastGood": None,
                "advice": "Somebody tries whether notices arrive: nothing has happened.",
                "url": f"{self._settings.base_url.rstrip('/')}/console/notices",
            },
        }
        with self._control.write(tenant) as connection:
            channels = self._found(connection, tenant).channels
            if not channels:
                raise Conflict("Nothing is told anybody yet: give webhookUrl or mailTo first.")
            waiting = select(notices.c.id).where(
                notices.c.tenant == tenant, notices.c.profile == NOBODYS, notices.c.over.is_(None)
            )
            if connection.execute(waiting).first() is not None:
                raise Conflict("A test is on its way already: wait until it has arrived or was given up.")
            for channel in channels:
                connection.execute(
                    insert(notices).values(
                        tenant=tenant,
                        id=self._new_id(),
                        profile=NOBODYS,
                        channel=channel,
                        body=json.dumps(body, ensure_ascii=False),
                        made=now,
                        due=now,
                    )
                )
        return len(channels)

    def told(self, tenant: int, *, most: int) -> list[Row[Any]]:
        """The newest notices to the tenant's receivers."""
        with self._control.read() as connection:
            return list(
                connection.execute(
                    select(notices)
                    .where(notices.c.tenant == tenant, notices.c.channel.in_(OWN))
                    .order_by(notices.c.made.desc(), notices.c.id)
                    .limit(most)
                )
            )

    # --- inside ----------------------------------------------------------------------------------------------------

    def _found(self, connection: Connection, tenant: int) -> Receiver:
        row = connection.execute(select(notice_receivers).where(notice_receivers.c.tenant == tenant)).one_or_none()
        if row is None:
            return Receiver()
        kept = connection.execute(select(secrets.c.name).where(*_secret(tenant))).first()
        return Receiver(
            webhook_url=row.webhook_url,
            has_secret=kept is not None,
            mail_to=tuple(json.loads(row.mail_to)),
            events=tuple(json.loads(row.events)),
            stale_hours=row.stale_hours,
            version=row.version,
        )

    def _judged(self, before: Receiver, wanted: Change) -> Receiver:
        after = before
        if wanted.webhook_url is not UNCHANGED:
            after = replace(after, webhook_url=self._url(wanted.webhook_url))
        if (wanted.webhook_secret is not None or wanted.new_secret) and after.webhook_url is None:
            raise Invalid("A secret needs a webhook that is signed with it: give webhookUrl too.", target="webhookUrl")
        if wanted.webhook_secret is not None:
            if wanted.new_secret:
                raise Invalid("Give webhookSecret, or ask for newSecret, but not both.", target="newSecret")
            try:
                webhooks.key_of(wanted.webhook_secret, called="webhookSecret")
            except UsageError as problem:
                raise Invalid(str(problem), target="webhookSecret") from problem
        if wanted.mail_to is not UNCHANGED:
            after = replace(after, mail_to=self._addresses(wanted.mail_to or ()))
        if wanted.events is not UNCHANGED:
            after = replace(after, events=_events(wanted.events))
        if wanted.stale_hours is not UNCHANGED:
            if wanted.stale_hours is not None and not 0 <= wanted.stale_hours <= HOURS_MAX:
                raise Invalid(f"staleHours must be between 0 (never) and {HOURS_MAX}.", target="staleHours")
            after = replace(after, stale_hours=wanted.stale_hours)
        return after

    def _url(self, url: str | None) -> str | None:
        if url is None:
            return None
        try:
            if len(url) > URL_MAX or not (url.isascii() and url.isprintable()) or " " in url:
                raise UsageError(f"webhookUrl must be an address of at most {URL_MAX} ASCII characters.")
            egress.check_url(url)
            self._egress.check_stored(url)
        except UsageError as problem:
            raise Invalid(str(problem), target="webhookUrl") from problem
        return url

    def _addresses(self, given: tuple[str, ...]) -> tuple[str, ...]:
        found = tuple(dict.fromkeys(address.strip() for address in given))
        if found and not self.mail_possible:
            raise Invalid(
                "This installation sends no mail: whoever runs it sets mail_server and mail_from.", target="mailTo"
            )
        if len(found) > ADDRESSES_MAX:
            raise Invalid(f"mailTo may hold at most {ADDRESSES_MAX} addresses.", target="mailTo")
        for address in found:
            if len(address) > ADDRESS_MAX or not is_address(address):
                raise Invalid(f"“{address[:80]}” is no mail address such as sis@example.org.", target="mailTo")
        return found

    def _write(self, connection: Connection, tenant: int, after: Receiver) -> None:
        values = {
            "webhook_url": after.webhook_url,
            "mail_to": json.dumps(after.mail_to),
            "events": json.dumps(after.events),
            "stale_hours": after.stale_hours,
            "version": after.version + 1,
        }
        if after.version:
            connection.execute(update(notice_receivers).where(notice_receivers.c.tenant == tenant).values(**values))
        else:
            connection.execute(insert(notice_receivers).values(tenant=tenant, **values))

    def _drop(self, connection: Connection, tenant: int, channels: list[str]) -> None:
        """What waits for a receiver that is not there any more is over."""
        if channels:
            connection.execute(
                update(notices)
                .where(notices.c.tenant == tenant, notices.c.channel.in_(channels), notices.c.over.is_(None))
                .values(over=self._clock(), sent=False, problem="Its receiver was taken away.")
            )


def _events(given: tuple[str, ...] | None) -> tuple[str, ...]:
    if given is None:
        return ALL
    wrong = [one for one in given if one not in ALL]
    if wrong or not given:
        said = f"“{wrong[0][:40]}” is none of them" if wrong else "one of them at least"
        raise Invalid(
            f"events must be among {', '.join(ALL)}: {said}. To be told nothing, take webhookUrl and mailTo away.",
            target="events",
        )
    return tuple(one for one in ALL if one in given)


def _secret(tenant: int) -> tuple[Any, ...]:
    return secrets.c.tenant == tenant, secrets.c.profile == NOBODYS, secrets.c.name == SECRET
