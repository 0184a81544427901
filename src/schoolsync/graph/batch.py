"""`$batch` read and answered: several requests in one, each of them as if it had come alone.

What a client may write in an item, in either SDK's dialect, is decided here; running an item is the business of the
layer in front, which authorizes and audits it with the token of the whole. An item that needs another one waits for
it, and is not run when that one failed.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

import msgspec

from schoolsync.graph.call import Json
from schoolsync.graph.errors import BadRequest

ITEMS_MAX = 20
TOGETHER = 4  # items that are run at the same time
URL_MAX = 8192
_METHODS = frozenset({"GET", "POST", "PATCH", "PUT", "DELETE", "HEAD"})
_VERSION = re.compile(r"/(?:v1\.0|beta)(?=/|\?|$)", re.IGNORECASE)
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_SHOWN = {
    name.lower(): name
    for name in (
        *("Content-Type", "Location", "ETag", "OData-Version", "Preference-Applied", "Retry-After", "Allow"),
        *("Cache-Control", "WWW-Authenticate", "request-id", "client-request-id"),
    )
}
# What belongs to the connection or to the whole request: an item cannot say it.
_OUTER = frozenset(
    {
        *("authorization", "host", "connection", "content-length", "transfer-encoding", "accept-encoding"),
        *("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto", "origin"),
    }
)

Answer = tuple[int, Mapping[str, str], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One request of a batch, ready to be run; `wrong` says why it cannot be."""

    id: str
    method: str
    path: str  # below the version, beginning with a slash, percent-encoded
    query: str
    headers: Mapping[str, str]
    content: bytes = b""
    needs: tuple[str, ...] = ()
    wrong: str | None = field(default=None)


Run = Callable[[Item], Awaitable[Answer]]
"""Runs one item as a request of its own."""
Refuse = Callable[[Item, int, str, str], Json]
"""The body of an item's refusal: status, code, message."""


def read(body: Json, *, host: str) -> list[Item]:
    """The items of a batch; `host` is what absolute addresses may name. Raises BadRequest for the whole of it."""
    requests = body.get("requests")
    if not isinstance(requests, list) or not requests:
        raise BadRequest("The batch needs 'requests', an array of requests.", target="requests")
    if len(requests) > ITEMS_MAX:
        raise BadRequest(f"The batch has more than {ITEMS_MAX} requests.", target="requests")
    items = [_item(request, host) for request in requests]
    known: dict[str, Item] = {}
    for item in items:
        if item.id.lower() in known:
            raise BadRequest(f"The id '{item.id[:40]}' is used twice in the batch.", target="requests")
        known[item.id.lower()] = item
    _check_order(items, known)
    return items


async def answer(items: Sequence[Item], run: Run, refuse: Refuse) -> Json:
    """Run the items, each after those it needs; the answers in the order of the requests."""
    done: dict[str, asyncio.Future[bool]] = {
        item.id.lower(): asyncio.get_running_loop().create_future() for item in items
    }
    turns = asyncio.Semaphore(TOGETHER)

    async def one(item: Item) -> Json:
        good = False
        try:
            needed = [await done[name.lower()] for name in item.needs]
            if not all(needed):
                return _refused(item, 424, "FailedDependency", "A request that this one depends on failed.", refuse)
            if item.wrong is not None:
                return _refused(item, 400, "BadRequest", item.wrong, refuse)
            async with turns:
                status, headers, content = await run(item)
            good = status < 400
            return _answered(item, status, headers, content)
        finally:
            done[item.id.lower()].set_result(good)

    return {"responses": await asyncio.gather(*(one(item) for item in items))}


def _item(request: object, host: str) -> Item:
    if not isinstance(request, dict):
        raise BadRequest("Each request of a batch is a JSON object.", target="requests")
    name = request.get("id")
    if isinstance(name, int) and not isinstance(name, bool):
        name = str(name)
    method, url = request.get("method"), request.get("url")
    if not isinstance(name, str) or not name or len(name) > 100:
        raise BadRequest("Each request of a batch needs an 'id' of its own.", target="id")
    if not isinstance(method, str) or not isinstance(url, str):
        raise BadRequest(f"The request '{name[:40]}' needs 'method' and 'url'.", target="requests")
    headers = _headers(name, request.get("headers"))
    content, wrong = _content(request.get("body"), headers)
    path, query, wrong_url = _address(url, host)
    if method.upper() not in _METHODS:
        wrong = f"The method '{method[:20]}' is not allowed in a batch."
    elif re.fullmatch(r"/+\$batch/*", path, re.IGNORECASE):
        wrong = "A batch cannot hold a batch."
    return Item(
        id=name,
        method=method.upper(),
        path=path,
        query=query,
        headers=headers,
        content=content,
        needs=_needs(name, request),
        wrong=wrong or wrong_url,
    )


def _headers(name: str, given: object) -> dict[str, str]:
    """Header fields by lower-case name, without those that belong to the whole."""
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise BadRequest(f"The 'headers' of the request '{name[:40]}' are no object.", target="headers")
    found: dict[str, str] = {}
    for key, value in given.items():
        if not isinstance(value, str) or not _HEADER.fullmatch(key) or not value.isprintable() or not value.isascii():
            raise BadRequest(f"A header of the request '{name[:40]}' cannot be read.", target="headers")
        if key.lower() not in _OUTER:
            found[key.lower()] = value
    return found


def _content(body: object, headers: dict[str, str]) -> tuple[bytes, str | None]:
    """The body's bytes, and what is wrong with it."""
    if body is None:
        return b"", None
    if isinstance(body, str):
        try:
            content = base64.b64decode(body, validate=True)
        except (binascii.Error, ValueError):
            return b"", "The body of the request is neither a JSON object nor base64 text."
        if "content-type" not in headers:
            return b"", "A request with a body needs a Content-Type header."
        return content, None
    headers.setdefault("content-type", "application/json")
    return msgspec.json.encode(body), None


def _address(url: str, host: str) -> tuple[str, str, str | None]:
    """Path below the version, query, and what is wrong: absolute addresses of our own, with and without a version."""
    if len(url) > URL_MAX:
        return "/", "", "The url is too long."
    if not url.lower().startswith(("http://", "https://")):
        path, _, query = url.partition("?")  # a relative address may hold anything, colons included
    else:
        try:
            parts = urlsplit(url)
        except ValueError:
            return "/", "", "The url cannot be read."
        if parts.netloc.lower() != host.lower():
            return "/", "", "The url names another host than this server."
        path, query = parts.path, parts.query
    path = f"/{path.lstrip('/')}"
    path = _VERSION.sub("", path, count=1) if _VERSION.match(path) else path
    return quote(path or "/", safe="/%:@!$&'()*+,;=~"), quote(query.partition("#")[0], safe="/?%:@!$&'()*+,;=~"), None


def _needs(name: str, request: Json) -> tuple[str, ...]:
    """`dependsOn`, which msgraph-core for Python spells `depends_on`."""
    given = request.get("dependsOn") or request.get("depends_on") or []
    if not isinstance(given, list) or not all(isinstance(one, str | int) for one in given):
        raise BadRequest(f"'dependsOn' of the request '{name[:40]}' is no list of ids.", target="dependsOn")
    return tuple(str(one) for one in given)


def _check_order(items: Sequence[Item], known: Mapping[str, Item]) -> None:
    """Every item that is needed is there, and none needs itself, be it by way of others."""
    for item in items:
        for name in item.needs:
            if name.lower() not in known:
                raise BadRequest(
                    f"The request '{item.id[:40]}' depends on '{name[:40]}', which the batch does not have.",
                    target="dependsOn",
                )
    waiting = {item.id.lower(): {name.lower() for name in item.needs} for item in items}
    while waiting:
        free = {name for name, needs in waiting.items() if not needs & waiting.keys()}
        if not free:
            raise BadRequest("The requests of the batch depend on each other in a circle.", target="dependsOn")
        waiting = {name: needs for name, needs in waiting.items() if name not in free}


def _answered(item: Item, status: int, headers: Mapping[str, str], content: bytes) -> Json:
    shown = {name: headers[key] for key, name in _SHOWN.items() if key in headers}
    result: Json = {"id": item.id, "status": status, "headers": shown}
    if content:
        json = "json" in headers.get("content-type", "")
        result["body"] = msgspec.Raw(content) if json else base64.b64encode(content).decode()
    return result


def _refused(item: Item, status: int, code: str, message: str, refuse: Refuse) -> Json:
    body = refuse(item, status, code, message)
    return {"id": item.id, "status": status, "headers": {"Content-Type": "application/json"}, "body": body}
