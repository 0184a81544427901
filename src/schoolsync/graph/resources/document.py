"""What the service is made of: the service document, `$metadata`, and `$batch`, which is made of the rest."""

from __future__ import annotations

from urllib.parse import urlsplit

from schoolsync.graph import batch as batches
from schoolsync.graph import errors
from schoolsync.graph.batch import Item
from schoolsync.graph.call import Call, Json, Reply
from schoolsync.graph.metadata import csdl


def metadata(call: Call) -> Reply:
    """GET /$metadata."""
    return Reply(body=csdl(call.version), headers={"Content-Type": "application/xml"})


def service_document(call: Call) -> Reply:
    """GET / below the version."""
    sets = [
        {"name": name, "kind": kind, "url": name}
        for name, kind in (
            *(("users", "EntitySet"), ("groups", "EntitySet")),
            *(("directory", "Singleton"), ("education", "Singleton")),
        )
    ]
    return Reply(body={"@odata.context": f"{call.root}/$metadata", "value": sets})


async def batch(call: Call) -> Reply:
    """POST /$batch: always 200 when the batch itself can be read, whatever became of its requests."""
    assert call.body is not None
    assert call.run is not None

    def refuse(_: Item, __: int, code: str, message: str) -> Json:
        return {"error": errors.member(code, message, call=call)}

    items = batches.read(call.body, host=urlsplit(call.root).netloc)
    return Reply(body=await batches.answer(items, call.run, refuse))
