"""The package `msgraph` (Graph v1.0) under the name of the beta's, so that the same tests run through it."""

import msgraph

__path__ = msgraph.__path__

from .graph_service_client import GraphServiceClient

__all__ = ["GraphServiceClient"]
