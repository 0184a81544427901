"""/education itself."""

from __future__ import annotations

from schoolsync.graph import render
from schoolsync.graph.call import Call, Reply


def get_root(call: Call) -> Reply:
    """GET /education: it has nothing but links."""
    return Reply(body=render.entity("educationRoot", {}, call=call, context="education"))
