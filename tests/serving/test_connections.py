"""Clients that send slowly or not at all do not keep others from being served."""

from __future__ import annotations

import asyncio
import resource
from typing import Any

from schoolsync.serving import connections

SENDING = {"type": "http", "headers": [(b"transfer-encoding", b"chunked")]}


async def _body(parts: list[bytes], *, pause: float = 0.0, end: bool = True, slowest: float = 10) -> tuple[bytes, bool]:
    """What the application gets of a body that comes in `parts`, and whether it looks as if the client had gone."""
    waiting = list(parts)

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(pause)
        if not waiting:
            await asyncio.Event().wait()  # the client says nothing more
        part = waiting.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(waiting) or not end}

    got = bytearray()
    gone = False

    async def app(_scope: Any, take: Any, _send: Any) -> None:
        nonlocal gone
        while True:
            message = await take()
            if message["type"] == "http.disconnect":
                gone = True
                gone = (await take())["type"] == "http.disconnect"  # it stays gone
                return
            got.extend(message["body"])
            if not message["more_body"]:
                return

    await connections.paced(app, patience=0.5, slowest=slowest)(SENDING, receive, lambda _: None)  # type: ignore[arg-type, return-value]
    return bytes(got), gone


def test_a_body_that_stops_coming_is_given_up() -> None:
    """A client that announces more than it sends looks like one that hung up."""
    assert asyncio.run(_body([b"{"], end=False)) == (b"{", True)


def test_a_body_that_comes_steadily_may_take_its_time() -> None:
    """Every byte buys time: an upload over a slow line goes on for longer than the patience."""
    parts = [b"0123456789"] * 8
    assert asyncio.run(_body(parts, pause=0.1)) == (b"".join(parts), False)


def test_a_body_that_drips_is_given_up() -> None:
    """A byte now and then does not hold a connection for ever."""
    got, gone = asyncio.run(_body([b"."] * 1000, pause=0.05, slowest=1000))
    assert gone
    assert len(got) < 1000


def test_waiting_for_the_end_of_the_connection_is_not_hurried() -> None:
    """Once the body is whole, the application may wait for a hang-up as long as it likes."""

    async def run() -> bool:
        messages = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> dict[str, Any]:
            if messages:
                return messages.pop()
            await asyncio.sleep(0.3)
            return {"type": "http.disconnect", "late": True}

        seen: list[Any] = []

        async def app(_scope: Any, take: Any, _send: Any) -> None:
            seen.append(await take())
            seen.append(await take())

        await connections.paced(app, patience=0.1, slowest=10)(SENDING, receive, lambda _: None)  # type: ignore[arg-type, return-value]
        return "late" in seen[1]

    assert asyncio.run(run())


def test_there_is_room_for_many_connections() -> None:
    """The limit on open files is raised as far as it may be, and never spent on connections alone."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
        room = connections.room()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert soft == min(hard, connections.MOST + 256) if hard != resource.RLIM_INFINITY else soft > connections.MOST
        assert 0 < room < soft
        assert room <= connections.MOST
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def _early(parts: list[bytes], *, end: bool, version: str = "1.1") -> tuple[list[dict[str, Any]], int]:
    """The messages of an answer that does not wait for the body, and how many parts of the body were left."""
    waiting = list(parts)
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        part = waiting.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(waiting) or not end}

    async def send(message: Any) -> None:
        sent.append(message)

    async def app(_scope: Any, _take: Any, tell: Any) -> None:
        await tell({"type": "http.response.start", "status": 401, "headers": [(b"x", b"y")]})
        await tell({"type": "http.response.body", "body": b"no"})

    scope = {"type": "http", "http_version": version, "headers": [(b"content-length", b"100")]}
    await connections.paced(app)(scope, receive, send)  # type: ignore[arg-type]
    return sent, len(waiting)


def test_an_answer_that_does_not_need_the_body_keeps_the_connection() -> None:
    """What the client still sends is read and thrown away, so that its next request finds the connection open."""
    sent, left = asyncio.run(_early([b"x" * 40, b"x" * 60], end=True))
    assert left == 0
    assert [name for name, _ in sent[0]["headers"]] == [b"x"]


def test_a_body_that_nobody_wants_to_the_end_closes_the_connection() -> None:
    """After 16 MiB the client is told that the connection ends, with the answer; a stream of HTTP/2 ends by itself."""
    part = b"x" * (256 * 1024)
    for version, closes in (("1.1", True), ("2", False)):
        sent, left = asyncio.run(_early([part] * 80, end=False, version=version))
        assert left == 80 - connections.UNREAD // len(part)
        assert ((b"connection", b"close") in sent[0]["headers"]) == closes
        assert sent[1]["body"] == b"no"
