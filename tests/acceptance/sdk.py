"""The unmodified Microsoft Graph SDK for Python, pointed at our server."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from azure.core.credentials import AccessToken
from kiota_abstractions.base_request_configuration import RequestConfiguration
from msgraph_beta import GraphServiceClient
from msgraph_core import PageIterator


class Held:
    """A credential that holds one token; SDKs call it as they call azure-identity's."""

    def __init__(self, token: str) -> None:
        self.token = token

    def get_token(self, *scopes: str, **_options: Any) -> AccessToken:
        assert scopes, "the SDK asks for a scope"
        return AccessToken(self.token, 2_000_000_000)


@contextlib.asynccontextmanager
async def graph(base: str, token: str, *, version: str | None = "v1.0") -> AsyncIterator[GraphServiceClient]:
    """A client whose base URL is changed, and nothing else."""
    client = GraphServiceClient(Held(token), ["https://graph.microsoft.com/.default"])
    client.request_adapter.base_url = f"{base}/{version}"
    try:
        yield client
    finally:
        await client.request_adapter._http_client.aclose()


def headers(**named: str) -> RequestConfiguration[Any]:
    """A request configuration with headers (`_` in names stands for a hyphen)."""
    configuration: RequestConfiguration[Any] = RequestConfiguration()
    for name, value in named.items():
        configuration.headers.add(name.replace("_", "-"), value)
    return configuration


def query(builder: Any, **parameters: Any) -> RequestConfiguration[Any]:
    """A request configuration with query parameters, by the names the SDK gives them."""
    names = [name for name in vars(type(builder)) if name.endswith("GetQueryParameters")]
    return RequestConfiguration(query_parameters=vars(type(builder))[names[0]](**parameters))


async def everything(client: GraphServiceClient, first: Any) -> list[Any]:
    """All items of a collection, by the SDK's own page iterator."""
    found: list[Any] = []
    if not first.value and not first.odata_next_link:
        return found
    await PageIterator(first, client.request_adapter).iterate(lambda item: (found.append(item), True)[1])
    return found
