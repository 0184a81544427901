"""What a profile can be told to do: pause, resume, reset, start, and say where its files go.

The work behind it is that of `runs` and `uploads`. `start` alone waits: its answer carries what the verification of
the uploaded files found.
"""

from __future__ import annotations

from schoolsync.graph import errors
from schoolsync.graph.call import Call, Json, Reply


def pause(call: Call) -> Reply:
    """POST pause."""
    call.services.profiles.pause(call.principal, call.keys["profile"], now=call.now)
    return Reply()


def resume(call: Call) -> Reply:
    """POST resume."""
    call.services.profiles.resume(call.principal, call.keys["profile"], now=call.now)
    return Reply()


def reset(call: Call) -> Reply:
    """POST reset."""
    call.services.profiles.reset(call.principal, call.keys["profile"], now=call.now)
    return Reply()


async def start(call: Call) -> Reply:
    """POST start: 200 when the synchronization goes on, 400 with the same messages when errors forbid it."""
    started = await call.services.runs.start(call.principal, call.keys["profile"], call.now)
    body: Json = {
        # The documented name of the type, which is not the one in the metadata.
        "@odata.context": f"{call.root}/$metadata#education/Collection(microsoft.graph.verificationMessage)",
        "value": [
            {"type": message.type, "fileName": message.file_name, "description": message.description}
            for message in started.messages
        ],
    }
    if started.accepted:
        return Reply(body=body)
    found = [message for message in started.messages if message.type == "Error"]
    sentence = f"The synchronization was not started: the uploaded files hold {len(found)} kind(s) of errors."
    if found:
        sentence += f" First: {found[0].file_name}: {found[0].description}"
    return Reply(status=400, body={**body, "error": errors.member("BadRequest", sentence, call=call)})


def upload_url(call: Call) -> Reply:
    """GET uploadUrl."""
    url = call.services.uploads.container_url(
        call.principal.tenant, call.keys["profile"], call.now, base_url=call.root.removesuffix(f"/{call.version}")
    )
    return Reply(body={"@odata.context": f"{call.root}/$metadata#String", "value": url})
