"""How the database is connected to."""

from __future__ import annotations

import socket
from contextlib import closing

import psutil

from schoolsync.store.database import postgresql_engine
from schoolsync.targets.postgresql import PostgresTables

from ..databases import Cluster

TENANT = "11111111-1111-4111-8111-111111111111"


def test_nobody_waits_long_for_a_server_that_is_gone_without_a_word(postgresql: Cluster) -> None:
    """Connections of API, worker and engine ask whether the other end is there, also while they wait for an answer."""
    with postgresql.database() as url:
        others = set(_sockets(postgresql.port))
        engine = postgresql_engine(url, 1)
        with closing(PostgresTables(url, TENANT)), engine.connect():
            ours = set(_sockets(postgresql.port)) - others
            assert len(ours) == 2
            for descriptor in ours:
                with socket.fromfd(descriptor, socket.AF_INET, socket.SOCK_STREAM) as one:
                    assert one.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                    assert one.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 10
                    assert one.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 20_000
        engine.dispose()


def _sockets(port: int) -> list[int]:
    return [one.fd for one in psutil.Process().net_connections("tcp") if one.raddr and one.raddr.port == port]
