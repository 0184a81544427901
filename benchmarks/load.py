"""The client of `benchmarks.api`, in a process of its own: many connections, each with one request under way.

Orders come as JSON lines on standard input, what was measured goes back the same way. With a `rate`, requests are due
at fixed times whatever the server does, and a latency counts from when the request was due; without one, each
connection asks again as soon as it has its answer. Before that, `idle` more connections may be opened, which ask once
before and once after and are silent meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from collections import Counter, deque
from dataclasses import asdict, dataclass, field

NUMBER = b"@@@@@@"
"""What becomes another number of six digits in every request."""
_NUMBERS = range(100_000, 1_000_000)
_AT_A_TIME = 250  # connections that are being opened


@dataclass
class Order:
    """What to ask for. `requests` are whole HTTP/1.1 requests; connection number n sends the nth, over and over."""

    port: int
    requests: list[str]
    connections: int
    seconds: float
    rate: float | None = None  # requests a second; None = as many as the server answers
    most: int | None = None  # requests at most
    idle: int = 0  # connections more that are open meanwhile


@dataclass
class Measured:
    """What came back."""

    answers: int = 0
    seconds: float = 0.0
    p50: float = 0.0  # milliseconds
    p99: float = 0.0
    statuses: dict[str, int] = field(default_factory=dict)
    idle: int = 0  # of the silent connections, those that were answered before and after

    @property
    def per_second(self) -> float:
        return self.answers / self.seconds

    @property
    def failed(self) -> int:
        return self.answers - self.statuses.get("200", 0)


class _Connection(asyncio.Protocol):
    """One connection. Answers must say their length."""

    def __init__(self, load: _Load, request: bytes) -> None:
        self._load = load
        self._request = request
        self._numbered = NUMBER in request
        self._buffer = bytearray()
        self._due = 0.0
        self._wanted = 0  # bytes of the answer, once its head is there
        self._status = ""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def ask(self, due: float) -> None:
        assert self.transport is not None
        self._due = due
        request = self._request
        if self._numbered:
            request = request.replace(NUMBER, b"%d" % self._load.number())
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._wanted:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self._buffer[:end]).lower()
            at = head.find(b"content-length:")
            length = 0 if at < 0 else int(head[at + 15 :].split(b"\r\n", 1)[0])
            self._wanted = end + 4 + length
            self._status = head[9:12].decode()
        if len(self._buffer) >= self._wanted:
            self._buffer.clear()
            self._wanted = 0
            self._load.answered(self, self._status, self._due)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._load.lost(self)


class _Load:
    def __init__(self, order: Order) -> None:
        self._order = order
        self._statuses: Counter[str] = Counter()
        self._latencies: list[float] = []
        self._idle: deque[_Connection] = deque()
        self._due: deque[float] = deque()
        self._asked = 0
        self._number = 0
        self._under_way = 0
        self._end = 0.0
        self._last = 0.0
        self._over = asyncio.Event()

    async def run(self) -> Measured:
        loop, order = asyncio.get_running_loop(), self._order
        silent = [_Silent(order.port, order.requests[0].encode()) for _ in range(order.idle)]
        before = await _all_ask(silent)
        everyone: list[_Connection] = []
        for number in range(order.connections):
            request = order.requests[number % len(order.requests)].encode()
            made = await loop.create_connection(lambda r=request: _Connection(self, r), "127.0.0.1", order.port)
            everyone.append(made[1])
        began = self._last = time.perf_counter()
        self._end = began + order.seconds
        if order.rate is None:
            for connection in everyone:
                self._ask(connection, time.perf_counter())
        else:
            self._idle.extend(everyone)
            await self._paced(began, order.rate)
        await asyncio.wait_for(self._over.wait(), order.seconds + 60)
        for connection in everyone:
            assert connection.transport is not None
            connection.transport.close()
        after = await _all_ask(silent)
        for one in silent:
            one.close()
        self._latencies.sort()
        return Measured(
            answers=len(self._latencies),
            seconds=self._last - began,
            p50=self._at(0.5),
            p99=self._at(0.99),
            statuses=dict(self._statuses),
            idle=min(before, after),
        )

    def number(self) -> int:
        self._number += 1
        return _NUMBERS[self._number % len(_NUMBERS)]

    async def _paced(self, began: float, rate: float) -> None:
        given = 0
        while (now := time.perf_counter()) < self._end:
            while began + given / rate <= now:
                self._due.append(began + given / rate)
                given += 1
            self._serve_due()
            await asyncio.sleep(0.001)
        if not self._under_way and not self._due:
            self._over.set()

    def _serve_due(self) -> None:
        while self._due and self._idle:
            self._ask(self._idle.popleft(), self._due.popleft())

    def _ask(self, connection: _Connection, due: float) -> None:
        self._under_way += 1
        self._asked += 1
        connection.ask(due)

    def answered(self, connection: _Connection, status: str, due: float) -> None:
        now = self._last = time.perf_counter()
        self._statuses[status] += 1
        self._latencies.append(now - due)
        self._under_way -= 1
        most = self._order.most
        if self._order.rate is not None:
            self._idle.append(connection)
            self._serve_due()
        elif now < self._end and (most is None or self._asked < most):
            self._ask(connection, now)
        if not self._under_way and not self._due and (now >= self._end or self._asked == most):
            self._over.set()

    def lost(self, connection: _Connection) -> None:
        if not self._over.is_set():
            raise RuntimeError("the server closed a connection")

    def _at(self, share: float) -> float:
        return self._latencies[int(share * (len(self._latencies) - 1))] * 1000 if self._latencies else 0.0


class _Silent:
    """A connection that asks now and then."""

    def __init__(self, port: int, request: bytes) -> None:
        self._port = port
        self._request = request
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self) -> bool:
        """Whether the request was answered with success."""
        try:
            if self._reader is None or self._writer is None:
                self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
            self._writer.write(self._request)
            head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
            await self._reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError):
            return False
        return head[9:12] == b"200"

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


async def _all_ask(connections: list[_Silent]) -> int:
    """How many are answered with success."""
    room = asyncio.Semaphore(_AT_A_TIME)

    async def ask(connection: _Silent) -> bool:
        async with room:
            return await connection.ask()

    return sum(await asyncio.gather(*map(ask, connections)))


def main() -> None:
    """Do one order after another until standard input ends."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    for line in sys.stdin:
        measured = asyncio.run(_Load(Order(**json.loads(line))).run())
        print(json.dumps(asdict(measured)), flush=True)


if __name__ == "__main__":
    main()
