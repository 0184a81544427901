"""Profiles in short, for whoever looks after several: name, state, status and when each was last good."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, func, or_, select

from schoolsync.errors import NotFound
from schoolsync.store.tables import profile_status, profiles, runs


def page(connection: Connection, tenant: int, *, after: str | None, limit: int) -> list[Row[Any]]:
    """The tenant's profiles by name, those behind the profile `after`."""
    query = _short(tenant)
    if after is not None:
        place = select(profiles.c.display_name).where(profiles.c.tenant == tenant, profiles.c.id == after)
        name = connection.execute(place).scalar_one_or_none()
        if name is None:
            return []
        query = query.where(
            or_(
                profiles.c.display_name > name,
                and_(profiles.c.display_name == name, profiles.c.id > after),
            )
        )
    return list(connection.execute(query.order_by(profiles.c.display_name, profiles.c.id).limit(limit)))


def one(connection: Connection, tenant: int, profile: str) -> Row[Any]:
    """One profile in short. Raises NotFound."""
    row = connection.execute(_short(tenant).where(profiles.c.id == profile)).one_or_none()
    if row is None:
        raise NotFound(f"There is no synchronization profile {profile[:40]}.")
    return row


def named(connection: Connection, tenant: int, name: str) -> list[Row[Any]]:
    """The profiles of a display name, in short."""
    return list(connection.execute(_short(tenant).where(profiles.c.display_name == name).limit(100)))


def provider(row: Row[Any]) -> str:
    """The type of the profile's data provider, such as `educationCsvDataProvider`."""
    return str(json.loads(row.data_provider).get("@odata.type", "")).rpartition(".")[2]


def _short(tenant: int) -> Select[Any]:
    good = (
        select(func.max(runs.c.ended))
        .where(runs.c.tenant == profiles.c.tenant, runs.c.profile == profiles.c.id, runs.c.state == "done")
        .scalar_subquery()
    )
    of = and_(profile_status.c.tenant == profiles.c.tenant, profile_status.c.profile == profiles.c.id)
    return (
        select(
            profiles.c.id,
            profiles.c.display_name,
            profiles.c.state,
            profiles.c.data_provider,
            profiles.c.key_space,
            profile_status.c.status,
            profile_status.c.status_message,
            good.label("last_good"),
        )
        .join(profile_status, of)
        .where(profiles.c.tenant == tenant)
    )
