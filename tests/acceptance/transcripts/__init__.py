"""Requests as other clients write them, byte by byte, replayed over one connection; and what the answers must be.

A file is named after its client. It begins with a note and goes on with exchanges:

    ### what happens
    # until | expect | gzip | chunks: N | encoding: NAME | file: NAME     how it is sent, a line each
    POST /beta/… HTTP/1.1                                                the head; {{name}} stands for something kept
    Header: value

    a body
    < 201                                                                the status
    < keep profile = body.id                                             something to keep
    < body.state = "provisioned"                                         a value, as JSON
    < header Location starts http                                        a header: = or starts
    < empty                                                              no body
"""

from __future__ import annotations

import gzip
import json
import re
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

FOLDER = Path(__file__).parent
NAMES = sorted(path.stem for path in FOLDER.glob("*.http"))
SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and what is said of its answer."""

    title: str
    manner: Mapping[str, str]
    head: str
    body: str
    wanted: tuple[str, ...]


def read(name: str) -> list[Exchange]:
    """The exchanges of a transcript."""
    _, *blocks = re.split(r"^### ", (FOLDER / f"{name}.http").read_text("utf-8"), flags=re.MULTILINE)
    return [_exchange(block) for block in blocks]


def _exchange(block: str) -> Exchange:
    title, *lines = block.splitlines()
    manner: dict[str, str] = {}
    while lines[0].startswith("# "):
        key, _, value = lines.pop(0)[2:].partition(": ")
        manner[key] = value
    wanted = tuple(line[2:] for line in lines if line.startswith("< "))
    head, _, body = "\n".join(line for line in lines if not line.startswith("< ")).partition("\n\n")
    return Exchange(title, manner, head, body.strip("\n"), wanted)


class Replay:
    """One connection to a server, and what was kept of its answers."""

    def __init__(self, base: str, kept: Mapping[str, str], files: Mapping[str, str | bytes]) -> None:
        address = urlsplit(base)
        self.kept = {"host": address.netloc, **kept}
        self.files = files
        self._socket = socket.create_connection((address.hostname, address.port), timeout=SECONDS)

    def __enter__(self) -> Replay:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def play(self, exchange: Exchange) -> None:
        """Send it and hold the answer to what is wanted; again and again where it says `until`."""
        deadline = time.monotonic() + SECONDS
        while True:
            wrong = list(self._once(exchange))
            if not wrong:
                return
            if "until" not in exchange.manner or time.monotonic() > deadline:
                raise AssertionError(f"{exchange.title}: {wrong}")
            time.sleep(0.05)

    def _once(self, exchange: Exchange) -> Iterator[str]:
        status, headers, content = self._asked(exchange)
        body = json.loads(content) if headers.get("content-type", "").startswith("application/json") else None
        for line in exchange.wanted:
            problem = self._held(line, status, headers, content, body)
            if problem:
                yield f"{problem} ({status}: {content[:600]!r})"

    def _asked(self, exchange: Exchange) -> tuple[int, dict[str, str], bytes]:
        manner = exchange.manner
        content = self._filled(exchange.body).encode(manner.get("encoding", "utf-8"))
        if "file" in manner:
            file = self.files[manner["file"]]
            content = file.encode() if isinstance(file, str) else file
        if "gzip" in manner:
            content = gzip.compress(content)
        self.kept["length"] = str(len(content))
        head = self._filled(exchange.head).replace("\n", "\r\n").encode("latin-1") + b"\r\n\r\n"
        if "chunks" in manner:
            size = int(manner["chunks"])
            parts = [content[place : place + size] for place in range(0, len(content), size)]
            content = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in [*parts, b""])
        if "expect" in manner:
            self._socket.sendall(head)
            said = self._socket.recv(1024)
            assert said.startswith(b"HTTP/1.1 100"), said
            self._socket.sendall(content)
        else:
            self._socket.sendall(head + content)
        answer = HTTPResponse(self._socket, method=exchange.head.partition(" ")[0])
        answer.begin()
        received = answer.read()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        if headers.get("content-encoding") == "gzip":
            received = gzip.decompress(received)
        return answer.status, headers, received

    def _filled(self, text: str) -> str:
        return re.sub(r"\{\{([^}]*)\}\}", lambda found: self._value(found[1]), text)

    def _value(self, name: str) -> str:
        """Something kept. An upload URL can be followed by a file's name and by more of a query."""
        name, ampersand, more = name.partition("&")
        first, slash, file = name.partition("/")
        if not (slash or ampersand):
            return self.kept[first]
        url = urlsplit(self.kept[first])
        return f"{url.path}{slash}{file}?{url.query}{ampersand}{more}"

    def _held(self, line: str, status: int, headers: Mapping[str, str], content: bytes, body: Any) -> str | None:
        """What is wrong with the answer by one line of a transcript; a wrong line of it is an error."""
        if line.isdigit():
            return None if status == int(line) else f"not {line}"
        if line == "empty":
            return None if not content and "content-type" not in headers else "there is a body"
        if kept := re.fullmatch(r"keep (\w+) = (.*)", line):
            found = _found(kept[2], headers, body)
            if not isinstance(found, str):
                return f"no {kept[2]}"
            self.kept[kept[1]] = found
            return None
        said = re.fullmatch(r"(header \S+|body\.\S+) (=|starts|contains) (.*)", line)
        assert said is not None, line
        place, relation, given = said.groups()
        found = _found(place, headers, body)
        if place.startswith("header") or relation == "contains":
            assert found is None or isinstance(found, str)
            wanted = self._filled(given)
            good = (
                found is not None
                and {
                    "=": found == wanted,
                    "starts": found.startswith(wanted),
                    "contains": wanted in found,
                }[relation]
            )
        else:
            good = found == json.loads(given)
        return None if good else f"{line}: {found!r}"


def _found(place: str, headers: Mapping[str, str], body: Any) -> Any:
    """A header, or a member of the body by its path."""
    if place.startswith("header "):
        return headers.get(place.removeprefix("header ").lower())
    found = body
    for part in re.findall(r"@odata\.\w+|[^.]+", place.removeprefix("body.")):
        if isinstance(found, list):
            found = found[int(part)] if int(part) < len(found) else None
        else:
            found = found.get(part) if isinstance(found, dict) else None
    return found
