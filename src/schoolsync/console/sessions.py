"""Who is signed in. What the browser holds is a random secret, signed; what it opens is kept here, by its hash.

A session lasts as long as the setting `console_hours` says and ends for good when its person signs out. The same key
signs what a browser brings back later: the state of a sign-in that is under way, and links that show one school's
findings.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, insert, select

from schoolsync import ticks
from schoolsync.access import remembered
from schoolsync.access.keys import console_key
from schoolsync.access.principal import Principal
from schoolsync.settings import Settings
from schoolsync.store.control import Control
from schoolsync.store.control_tables import console_sessions

COOKIE = "schoolsync_console"
_SETS = ("grants", "roles")


@dataclass(frozen=True, slots=True)
class Session:
    """One person in one browser."""

    principal: Principal
    csrf: str  # what every form of the session carries


class Sessions:
    """The sessions of all tenants. Safe to share between threads."""

    def __init__(self, control: Control, settings: Settings) -> None:
        self._control = control
        self._hours = settings.console_hours
        self._key = console_key(settings.keys)

    def begin(self, principal: Principal, *, now: int) -> str:
        """A new session; returns what the cookie holds."""
        secret = secrets.token_urlsafe(32)
        mine = console_sessions.c.tenant == principal.tenant
        with self._control.write(principal.tenant) as connection:
            connection.execute(delete(console_sessions).where(mine, console_sessions.c.expires <= now))
            connection.execute(
                insert(console_sessions).values(
                    tenant=principal.tenant,
                    id=_hash(secret),
                    principal=_written(principal),
                    began=now,
                    expires=now + self._hours * 3600 * ticks.PER_SECOND,
                )
            )
            remembered.remember(connection, principal, now=now)
        return self.signed({"t": principal.tenant, "s": secret}, purpose="session")

    def find(self, cookie: str | None, *, now: int) -> Session | None:
        """Whose session the cookie opens, if it opens one."""
        held = self.opened(cookie, purpose="session", now=now)
        if held is None:
            return None
        with self._control.read() as connection:
            row = connection.execute(
                select(console_sessions.c.principal).where(
                    console_sessions.c.tenant == held["t"],
                    console_sessions.c.id == _hash(held["s"]),
                    console_sessions.c.expires > now,
                )
            ).one_or_none()
        return None if row is None else Session(_read(row.principal), self._mac(f"csrf {held['s']}"))

    def end(self, cookie: str | None, *, now: int) -> None:
        """Forget a session."""
        held = self.opened(cookie, purpose="session", now=now)
        if held is not None:
            mine = (console_sessions.c.tenant == held["t"], console_sessions.c.id == _hash(held["s"]))
            with self._control.write(held["t"]) as connection:
                connection.execute(delete(console_sessions).where(*mine))

    # --- what is signed ----------------------------------------------------------------------------------------------

    def signed(self, values: Mapping[str, Any], *, purpose: str, until: int | None = None) -> str:
        """Values as a text that only this installation can have made; good for one purpose, and until a moment."""
        whole = {**values, **({} if until is None else {"until": until})}
        text = base64.urlsafe_b64encode(json.dumps(whole, separators=(",", ":")).encode()).decode().rstrip("=")
        return f"{text}.{self._mac(f'{purpose} {text}')}"

    def opened(self, text: str | None, *, purpose: str, now: int) -> dict[str, Any] | None:
        """The values of a signed text, or None when it was not made here for that, or its time is over."""
        value, _, mac = (text or "").partition(".")
        if not mac.isascii() or not hmac.compare_digest(mac, self._mac(f"{purpose} {value}")):
            return None
        values: dict[str, Any] = json.loads(base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)))
        return None if values.get("until", now) < now else values

    def _mac(self, text: str) -> str:
        digest = hmac.new(self._key.get(), text.encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _written(principal: Principal) -> str:
    values = {name: getattr(principal, name) for name in Principal.__dataclass_fields__}
    return json.dumps({**values, **{name: sorted(values[name]) for name in _SETS}})


def _read(text: str) -> Principal:
    values = json.loads(text)
    return Principal(**{**values, **{name: frozenset(values[name]) for name in _SETS}})
