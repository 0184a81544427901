"""Whose writes wait for whose on PostgreSQL. No database library is loaded here: the bulk driver uses it as well.

On SQLite a write transaction holds the file. Here it holds a number that stands for the tenant, so that code which
looks and then writes is as safe as there, and tenants never wait for each other. Such a lock goes when its
transaction is over and visible, so whatever is numbered inside (a directory's positions, a profile's runs) becomes
visible in the order of the numbers.
"""

from __future__ import annotations

from uuid import UUID

_CONTROL = 0x5C01
_LOCK_MS = 10_000

SESSION = (
    f"-c lock_timeout={_LOCK_MS} -c idle_in_transaction_session_timeout=10000 "
    "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=2"
)
"""What every session is opened with: a process that stops, or is cut off, in a transaction holds nobody up for long."""

ALIVE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 2, "tcp_user_timeout": 20_000}
"""Of every connection at our end: nobody waits for a server that is gone without a word for longer than 20 seconds."""


def control(tenant: int | None) -> str:
    """The lock of a write to the control tables: of one tenant's rows, or of everybody's."""
    if tenant is None:
        return f"SELECT pg_advisory_xact_lock({_CONTROL}, 0)"
    return f"SELECT pg_advisory_xact_lock_shared({_CONTROL}, 0), pg_advisory_xact_lock({_CONTROL}, {int(tenant)})"


def directory(tenant_id: str) -> str:
    """The lock of a write to one tenant's directory. `tenant_id` is a GUID."""
    number = UUID(tenant_id).int >> 65  # 63 bits of it: tenants that share them would merely wait for each other
    return f"SELECT pg_advisory_xact_lock({number})"
