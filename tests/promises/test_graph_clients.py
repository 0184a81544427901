"""Promise 10: Every Graph answer, errors from middleware included, is one that real Graph SDKs can read."""

from __future__ import annotations

import uuid

import pytest
from msgraph_beta.generated.models.o_data_errors.o_data_error import ODataError

from ..acceptance.house import READ, WRITE, Tenant
from ..acceptance.rosters import DISTRICT
from ..acceptance.sdk import everything, graph

pytestmark = [pytest.mark.nightly, pytest.mark.xdist_group("promises")]


async def test_an_unmodified_sdk(tenant: Tenant) -> None:
    """It reads what was synchronized, page by page, and every refusal with code, message and request id."""
    profile = tenant.profile()
    assert profile.sync(DISTRICT.files())["status"] == "success"
    server = tenant.server
    roles = ("EduRoster.Read.All",)
    async with graph(server.base, server.token(tenant.id, roles=roles)) as client:
        for kind, count in (("schools", 2), ("classes", 4), ("users", 8)):
            first = await getattr(client.education, kind).get()
            assert len(await everything(client, first)) == count
    nobody, known = str(uuid.uuid4()), profile.id
    writer, viewer = (server.token(tenant.id, scope=scope, user="ada@skole.example") for scope in (WRITE, READ))
    for token, named, action, status in (
        ("not-a-token", known, "get", 401),
        (server.token(tenant.id, scope=WRITE, expires_in=-3600), known, "get", 401),
        (viewer, known, "delete", 403),
        (writer, nobody, "get", 404),
        (writer, "not a guid", "get", 404),
        (writer, nobody, "delete", 404),
    ):
        async with graph(server.base, token) as client:
            one = client.education.synchronization_profiles.by_education_synchronization_profile_id(named)
            with pytest.raises(ODataError) as caught:
                await getattr(one, action)()
        answer = caught.value
        assert answer.response_status_code == status
        assert answer.error.code
        assert answer.error.message
        assert answer.error.inner_error.request_id == answer.response_headers["request-id"]
