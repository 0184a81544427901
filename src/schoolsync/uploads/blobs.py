"""Upload containers over HTTP: the part of Azure Blob's wire protocol that upload clients use.

`/uploads/<profile id>/<file>?<signature>` takes Put Blob, Put Block and Put Block List; with the setting that allows
reading back also list, properties, download and delete. Bodies stream to disk. Everything is answered in Azure's
manner, errors as XML with `x-ms-error-code`: never in Graph's, which these clients cannot read. What the requests mean
is decided in `containers`.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import BinaryIO, ParamSpec, TypeVar

import msgspec
import structlog

from schoolsync.errors import SchoolsyncError, is_worlds
from schoolsync.uploads import block_lists, listings, structured
from schoolsync.uploads.answers import Answer, Send, checksums, identity, refused, send_answer, xml
from schoolsync.uploads.checksums import Digests
from schoolsync.uploads.containers import Blob, Containers, Place
from schoolsync.uploads.incoming import Incoming, too_large
from schoolsync.uploads.refusals import BlobRefused
from schoolsync.uploads.requests import (
    MOUNT,
    Gone,
    Receive,
    Request,
    Scope,
    byte_range,
    checked_name,
    conditions_of,
    md5_header,
    properties_of,
    request_of,
)
from schoolsync.uploads.service import Uploads
from schoolsync.uploads.signatures import Access, NotSigned

Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]
P = ParamSpec("P")
T = TypeVar("T")

BUFFER = 1024 * 1024  # bytes of a body that are held before they go to disk
THREADS = 8  # uploads that touch disk or database at the same moment
MD5_RANGE_MAX = 4 * 1024 * 1024

_UNSUPPORTED = ("x-ms-copy-source", "x-ms-encryption-key", "x-ms-encryption-scope")

log = structlog.get_logger()


def app(uploads: Uploads) -> Asgi:
    """The upload containers as an ASGI application."""
    return _Face(uploads)


class _Face:
    def __init__(self, uploads: Uploads) -> None:
        self._uploads = uploads
        self._containers = Containers(uploads)
        self._largest = uploads.settings.upload_max_bytes
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="uploads")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = request_of(scope, receive, self._uploads.clock())
        request_id = self._uploads.new_id()
        try:
            answer = await self._answered(request, request_id)
        except Gone:
            # Most often nobody is there to read this; a body that was cut by a proxy still gets its answer.
            log.info("upload aborted by the client", profile=request.container, received=request.read)
            answer = refused(BlobRefused("InvalidInput"), request, request_id)
        await send_answer(send, answer, request, request_id, encrypted=self._uploads.objects.sealed)

    async def _answered(self, request: Request, request_id: str) -> Answer:
        """The answer, whatever happens; raises Gone when the request never became whole."""
        try:
            return await self._answer(request)
        except BlobRefused as refusal:
            problem = refusal
        except Gone:
            raise
        except (SchoolsyncError, OSError) as failure:
            # A full or failing disk, a busy database. Files are named by us: the text tells nothing of a client's.
            log.error("upload failed", profile=request.container, problem=str(failure), request=request_id)
            busy = isinstance(failure, SchoolsyncError) or is_worlds(failure)
            problem = BlobRefused("ServerBusy" if busy else "InternalError")
        except Exception:
            log.exception("upload failed", profile=request.container, request=request_id)
            problem = BlobRefused("InternalError")
        await request.drain()
        return refused(problem, request, request_id)

    async def _run(self, work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Do `work` in a thread; once begun it is done, even if the request is cancelled meanwhile."""
        loop = asyncio.get_running_loop()
        return await asyncio.shield(loop.run_in_executor(self._threads, partial(work, *arguments, **named)))

    # --- who may do what -------------------------------------------------------------------------------------------

    async def _answer(self, request: Request) -> Answer:
        try:
            access = self._uploads.opened_by(request.container, request.query_string, request.now)
        except NotSigned as problem:
            raise BlobRefused("AuthenticationFailed", AuthenticationErrorDetail=str(problem)) from problem
        for name in _UNSUPPORTED:
            if name in request.headers:
                raise BlobRefused("UnsupportedHeader", HeaderName=name)
        if not request.name:
            return await self._container(request, access)
        handler, permission = self._blob_operation(request)
        _need(access, permission)
        return await handler(request, access)

    def _blob_operation(self, request: Request) -> tuple[Callable[[Request, Access], Awaitable[Answer]], str]:
        operations = {
            ("PUT", ""): (self._put_blob, "w"),
            ("PUT", "block"): (self._put_block, "w"),
            ("PUT", "blocklist"): (self._put_block_list, "w"),
            ("GET", ""): (self._get, "r"),
            ("HEAD", ""): (self._head, "r"),
            ("GET", "metadata"): (self._head, "r"),
            ("HEAD", "metadata"): (self._head, "r"),
            ("GET", "blocklist"): (self._get_block_list, "r"),
            # Whoever may list and write may also take back; the letter d does not exist in our settings.
            ("DELETE", ""): (self._delete, "l"),
        }
        found = operations.get((request.method, request.operation))
        if found is not None:
            return found
        if request.method == "PUT" and request.operation in {"appendblock", "page"}:
            raise BlobRefused("InvalidBlobType")
        methods = {method for method, operation in operations if operation == request.operation}
        if not methods or request.method in {"PUT", "GET", "HEAD", "DELETE"}:
            raise BlobRefused("InvalidQueryParameterValue", QueryParameterName="comp")
        raise BlobRefused("UnsupportedHttpVerb")

    async def _container(self, request: Request, access: Access) -> Answer:
        if request.query.get("restype", "").lower() != "container":
            if request.method == "PUT":
                raise BlobRefused("InvalidUri")
            _need(access, "r")
            await self._run(self._containers.require, access)
            raise BlobRefused("BlobNotFound")
        operation = (request.method, request.operation)
        if operation in {("GET", "list"), ("HEAD", "list")}:
            _need(access, "l")
            return await self._list(request, access)
        if operation in {("GET", ""), ("HEAD", ""), ("GET", "metadata"), ("HEAD", "metadata")}:
            _need(access, "r")
            return await self._describe(access)
        if operation == ("PUT", ""):
            _need(access, "c")
            await self._run(self._containers.require, access)
            raise BlobRefused("ContainerAlreadyExists")
        if request.method in {"PUT", "GET", "HEAD", "DELETE"}:
            raise BlobRefused("AuthorizationPermissionMismatch")
        raise BlobRefused("UnsupportedHttpVerb")

    # --- writing ---------------------------------------------------------------------------------------------------

    async def _put_blob(self, request: Request, access: Access) -> Answer:
        kind = request.headers.get("x-ms-blob-type")
        if kind is None:
            raise BlobRefused("MissingRequiredHeader", HeaderName="x-ms-blob-type")
        if kind.lower() != "blockblob":
            raise BlobRefused("InvalidHeaderValue", HeaderName="x-ms-blob-type", HeaderValue=kind[:64])
        name, conditions, properties = checked_name(request.name), conditions_of(request), properties_of(request)
        place = await self._run(self._containers.place, access, request.now)
        await self._run(self._containers.check_conditions, place, name, conditions)
        md5 = [header for header in (md5_header(request, "content-md5"), properties.content_md5) if header]
        incoming = await self._received(request, place, md5=md5)
        properties = msgspec.structs.replace(properties, content_md5=incoming.digests.md5)
        blob = await self._run(
            self._containers.put_file, place, name, incoming, properties, conditions, self._uploads.clock()
        )
        log.info("file uploaded", profile=access.profile, upload=place.upload, size=blob.size)
        return Answer(201, {**identity(blob), **checksums(request, incoming)})

    async def _put_block(self, request: Request, access: Access) -> Answer:
        name, block = checked_name(request.name), block_lists.checked_id(request.query.get("blockid"))
        place = await self._run(self._containers.place, access, request.now)
        md5 = md5_header(request, "content-md5")
        incoming = await self._received(request, place, md5=[md5] if md5 else [])
        await self._run(self._containers.put_block, place, name, block, incoming, self._uploads.clock())
        return Answer(201, checksums(request, incoming))

    async def _put_block_list(self, request: Request, access: Access) -> Answer:
        name, conditions, properties = checked_name(request.name), conditions_of(request), properties_of(request)
        place = await self._run(self._containers.place, access, request.now)
        await self._run(self._containers.check_conditions, place, name, conditions)
        xml = await self._small_body(request, block_lists.XML_MAX)
        digests = Digests(crc64="x-ms-content-crc64" in request.headers)
        digests.update(xml)
        md5 = md5_header(request, "content-md5")
        _compare(digests, [md5] if md5 else [], request.headers.get("x-ms-content-crc64"))
        entries = await self._run(block_lists.parse, xml)
        blob = await self._run(
            self._containers.put_list, place, name, entries, properties, conditions, self._uploads.clock()
        )
        log.info("file uploaded", profile=access.profile, upload=place.upload, size=blob.size, blocks=len(entries))
        told = {"Content-MD5": digests.md5, "x-ms-content-crc64": digests.crc64}
        return Answer(201, {**identity(blob), **{header: value for header, value in told.items() if value}})

    async def _delete(self, request: Request, access: Access) -> Answer:
        await self._run(self._containers.remove, access, checked_name(request.name), conditions_of(request))
        return Answer(202, {"x-ms-delete-type-permanent": "true"})

    async def _received(self, request: Request, place: Place, *, md5: list[str]) -> Incoming:
        """The body on disk, compared with the checksums that came along; on any failure, nothing."""
        wrapped = request.headers.get(structured.HEADER)
        if wrapped is not None and wrapped.lower() != structured.VALUE.lower():
            raise BlobRefused("UnsupportedHeader", HeaderName=structured.HEADER)
        unwrapper = structured.Unwrapper() if wrapped is not None else None
        if unwrapper is None and (request.declared or 0) > self._largest:
            raise too_large(self._largest)
        crc64 = request.headers.get("x-ms-content-crc64")
        incoming = await self._run(lambda: self._containers.incoming(place, crc64=crc64 is not None))

        def take(data: bytes) -> None:
            incoming.write(unwrapper.feed(data) if unwrapper is not None else data)

        try:
            buffer = bytearray()
            async for part in request.body():
                buffer += part
                if len(buffer) >= BUFFER:
                    await self._run(take, bytes(buffer))
                    buffer.clear()
            await self._run(take, bytes(buffer))
            if unwrapper is not None:
                unwrapper.finish()
            _compare(incoming.digests, md5, crc64)
        except BaseException:
            incoming.abandon()
            raise
        return incoming

    async def _small_body(self, request: Request, most: int) -> bytes:
        if (request.declared or 0) > most:
            raise too_large(most)
        body = bytearray()
        async for part in request.body():
            body += part
            if len(body) > most:
                raise too_large(most)
        return bytes(body)

    # --- reading back ----------------------------------------------------------------------------------------------

    async def _head(self, request: Request, access: Access) -> Answer:
        blob = await self._run(self._containers.blob, access, request.name)
        headers = listings.headers(blob)
        if conditions_of(request).not_modified(blob):
            return Answer(304, headers)
        if request.operation:  # comp=metadata
            return Answer(200, headers)
        if blob.properties.content_md5:
            headers["Content-MD5"] = blob.properties.content_md5
        return Answer(200, headers, length=blob.size)

    async def _get(self, request: Request, access: Access) -> Answer:
        blob, source = await self._run(self._opened, access, request.name)
        try:
            headers = listings.headers(blob)
            if conditions_of(request).not_modified(blob):
                source.close()
                return Answer(304, headers)
            begin, end, ranged = byte_range(request, blob.size)
            md5 = blob.properties.content_md5
            if ranged:
                headers["Content-Range"] = f"bytes {begin}-{end - 1}/{blob.size}"
                if md5:
                    headers["x-ms-blob-content-md5"] = md5
                md5 = await self._range_md5(request, source, begin, end)
            if md5:
                headers["Content-MD5"] = md5
        except BaseException:
            source.close()
            raise
        return Answer(206 if ranged else 200, headers, stream=self._stream(source, begin, end), length=end - begin)

    def _opened(self, access: Access, name: str) -> tuple[Blob, BinaryIO]:
        """A file and its bytes, held open: whoever replaces it meanwhile does not cut the answer short."""
        for _ in range(3):
            blob = self._containers.blob(access, name)
            try:
                return blob, self._containers.open(blob)
            except FileNotFoundError:
                continue
        raise BlobRefused("BlobNotFound")

    async def _range_md5(self, request: Request, source: BinaryIO, begin: int, end: int) -> str | None:
        if request.headers.get("x-ms-range-get-content-md5", "").lower() != "true":
            return None
        if end - begin > MD5_RANGE_MAX:
            raise BlobRefused("InvalidHeaderValue", HeaderName="x-ms-range-get-content-md5")

        def digest() -> str:
            source.seek(begin)
            content = hashlib.md5(source.read(end - begin), usedforsecurity=False)
            return base64.b64encode(content.digest()).decode()

        return await self._run(digest)

    async def _stream(self, source: BinaryIO, begin: int, end: int) -> AsyncIterator[bytes]:
        with source:
            source.seek(begin)
            while begin < end:
                part = await self._run(source.read, min(BUFFER, end - begin))
                if not part:
                    return
                begin += len(part)
                yield part

    async def _get_block_list(self, request: Request, access: Access) -> Answer:
        kind = request.query.get("blocklisttype", "committed").lower()
        if kind not in {"committed", "uncommitted", "all"}:
            raise BlobRefused("InvalidQueryParameterValue", QueryParameterName="blocklisttype")
        committed, uncommitted = await self._run(self._containers.blocks, access, request.name)
        return xml(
            200,
            block_lists.render(
                committed=committed if kind != "uncommitted" else None,
                uncommitted=uncommitted if kind != "committed" else None,
            ),
        )

    async def _list(self, request: Request, access: Access) -> Answer:
        query = request.query
        most = query.get("maxresults", "")
        if most and not (most.isdecimal() and int(most)):
            raise BlobRefused("InvalidQueryParameterValue", QueryParameterName="maxresults")
        asked = listings.Listing(
            prefix=query.get("prefix", ""),
            marker=query.get("marker", ""),
            delimiter=query.get("delimiter", ""),
            most=min(int(most or listings.MOST_RESULTS), listings.MOST_RESULTS),
            asked_most=bool(most),
            with_metadata="metadata" in query.get("include", "").lower().split(","),
        )
        blobs = await self._run(self._containers.blobs, access)
        endpoint = f"{self._uploads.settings.base_url}/{MOUNT}/"
        return xml(200, listings.render(blobs, asked, endpoint=endpoint, container=access.profile))

    async def _describe(self, access: Access) -> Answer:
        blobs = await self._run(self._containers.blobs, access)
        changed = max((blob.modified for blob in blobs), default=0)
        headers = {
            "ETag": f'"0x{hashlib.sha256(repr([blob.etag for blob in blobs]).encode()).hexdigest()[:15].upper()}"',
            "Last-Modified": listings.moment(changed or self._uploads.clock()),
            "x-ms-lease-status": "unlocked",
            "x-ms-lease-state": "available",
            "x-ms-has-immutability-policy": "false",
            "x-ms-has-legal-hold": "false",
        }
        return Answer(200, headers)


def _need(access: Access, permission: str) -> None:
    if permission not in access.permissions:
        raise BlobRefused("AuthorizationPermissionMismatch")


def _compare(digests: Digests, md5: list[str], crc64: str | None) -> None:
    if any(sent != digests.md5 for sent in md5):
        raise BlobRefused("Md5Mismatch", UserSpecifiedMd5=md5[0], ServerCalculatedMd5=digests.md5)
    if crc64 is not None and crc64.strip() != digests.crc64:
        raise BlobRefused("Crc64Mismatch")
