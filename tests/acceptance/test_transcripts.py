"""Clients that are not run here, replayed: what .NET, PowerShell, Java, Go, Az and AzCopy write over the wire."""

from __future__ import annotations

import pytest

from .house import ROSTER_WRITE, Server, Tenant
from .rosters import DISTRICT
from .transcripts import NAMES, Replay, read

ADMINISTER = "EduAdministration.ReadWrite EduRoster.ReadWrite"


@pytest.mark.parametrize("name", NAMES)
def test_a_client_gets_what_it_expects(server: Server, name: str) -> None:
    """Each request in its bytes, one after the other over one connection; each answer as that client reads it."""
    tenant = Tenant(server)
    kept = {
        "person": server.token(tenant.id, scope=ADMINISTER, user="admin@skole.example"),
        "program": server.token(tenant.id, roles=(ROSTER_WRITE,)),
    }
    if not name.startswith("dotnet"):  # which make a profile of their own
        profile = tenant.profile()
        kept |= {"profile": profile.id, "upload": profile.api.get(f"{profile.path}/uploadUrl")["value"]}
    with Replay(server.base, kept, DISTRICT.files()) as replay:
        for exchange in read(name):
            replay.play(exchange)


def test_every_exchange_says_what_it_wants() -> None:
    """A transcript without a word about an answer would hold nothing."""
    exchanges = [(name, exchange) for name in NAMES for exchange in read(name)]
    assert len(exchanges) > 40
    for name, exchange in exchanges:
        assert exchange.wanted[:1], (name, exchange.title)
        assert exchange.wanted[0].isdigit(), (name, exchange.title)
