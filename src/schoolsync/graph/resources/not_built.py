"""Operations of Graph that this server does not serve yet: each says so, with 501.

A client must never take silence, an empty list or a 404 for an answer.
"""

from __future__ import annotations

from typing import NoReturn

from schoolsync.errors import NotBuilt
from schoolsync.graph.call import Call


def batch(_: Call) -> NoReturn:
    """POST /$batch."""
    raise NotBuilt("JSON batching is not supported yet: send the requests one by one.")


def metadata(_: Call) -> NoReturn:
    """GET /$metadata."""
    raise NotBuilt("The metadata document is not supported yet.")


def service_document(_: Call) -> NoReturn:
    """GET / below the version."""
    raise NotBuilt("The service document is not supported yet.")
