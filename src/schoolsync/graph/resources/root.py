"""/education itself."""

from __future__ import annotations

from schoolsync.graph import bodies, render
from schoolsync.graph.call import Call, Reply


def patch_root(call: Call) -> Reply:
    """PATCH /education: there is nothing that could be changed, and nothing is."""
    bodies.read("educationRoot", call.body, partial=True)
    return get_root(call)


def get_root(call: Call) -> Reply:
    """GET /education: it has nothing but links."""
    return Reply(body=render.entity("educationRoot", {}, call=call, context="education"))
