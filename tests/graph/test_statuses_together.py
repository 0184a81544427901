"""Statuses that many read and write at the same moment: one commit for all, and each sees it as if it were alone."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import httpx
from sqlalchemy import select, update

from schoolsync.access.audit import Audit
from schoolsync.access.principal import Principal
from schoolsync.store.control_tables import audit, profiles

HOST = "https://sds.example.org"
NOBODY = "00000000-0000-4000-8000-00000000dead"


def test_reports_at_once(house: Any, token: Any, tenant: str) -> None:
    """Forty reports, stale ones and ones for a profile that does not exist at the same moment: those that can be are
    all kept and audited once each, the others are refused and change nothing; a pause among them pauses."""
    paths = [_path(_profile(house)) for _ in range(3)]
    counted = [(path, {"errorCount": number}, {}) for number in range(1, 11) for path in paths]
    said = [(paths[0], {"statusMessage": f"message {number}"}, {}) for number in range(10)]
    stale = [(paths[1], {"errorCount": 99}, {"If-Match": 'W/"77"'})] * 3
    unknown = [(_path(NOBODY), {"errorCount": 1}, {})] * 3
    paused = [(paths[2], {"status": "paused"}, {})]
    asked = [*counted, *stale, *said, *unknown, *paused]
    answers = _at_once(house, token, [("PATCH", *one) for one in asked])
    wanted = [412 if headers else 404 if NOBODY in path else 200 for path, _, headers in asked]
    assert [answer.status_code for answer in answers] == wanted
    for (_, body, _), answer in zip(asked, answers, strict=True):
        if answer.status_code == 200:
            assert body.items() <= answer.json().items()
    after = _at_once(house, token, [("GET", path, None, {}) for path in [*paths, *paths, _path(NOBODY)]])
    assert [answer.status_code for answer in after] == [200] * 6 + [404]
    for path, shown in zip(paths, after, strict=False):
        changed = [answer for answer in answers if path in str(answer.url) and answer.status_code == 200]
        assert len({_version(answer) for answer in changed}) == len(changed)  # each change is a version of its own
        last = max(changed, key=_version)
        assert (_version(shown), shown.json()["errorCount"]) == (_version(last), last.json()["errorCount"])
    assert after[2].json()["status"] == "paused"
    number = house.numbers[tenant]
    with house.services.control.read() as connection:
        kept = connection.execute(select(audit.c.operation, audit.c.outcome).where(audit.c.tenant == number)).all()
    assert Counter(row.outcome for row in kept) == {"done": wanted.count(200)}
    log = Audit(house.services.control, house.services.directories, house.services.settings)
    assert log.verify(number, tenant).wrong is None


def test_looks_at_once(house: Any, token: Any, tenant: str, other_tenant: str) -> None:
    """Whoever looks at the same moment as others sees the own tenant's profiles alone, and each the one asked for."""
    mine = [_profile(house, tenant) for _ in range(3)]
    theirs = [_profile(house, other_tenant) for _ in range(3)]
    asked = [(owner, profile) for profile in [*mine, *theirs] for owner in (tenant, other_tenant)] * 2
    tokens = {owner: token("EduAdministration.Read.All", tenant=owner) for owner in (tenant, other_tenant)}
    looks = [("GET", _path(profile), None, {"Authorization": tokens[owner]}) for owner, profile in asked]
    for (owner, profile), answer in zip(asked, _at_once(house, token, looks), strict=True):
        if profile in (mine if owner == tenant else theirs):
            assert (answer.status_code, answer.json()["id"]) == (200, profile)
        else:
            assert answer.status_code == 404


def test_a_value_that_the_database_refuses(house: Any, token: Any) -> None:
    """A number that no column holds is refused to whoever sent it and to nobody else."""
    path = _path(_profile(house))
    bodies = [{"errorCount": 1}, {"errorCount": 10**30}, {"errorCount": 3}]
    answers = _at_once(house, token, [("PATCH", path, body, {}) for body in bodies])
    assert [answer.status_code for answer in answers] == [200, 400, 200]


def _version(answer: httpx.Response) -> int:
    return int(answer.headers["ETag"].removeprefix('W/"').removesuffix('"'))


def _profile(house: Any, tenant: str | None = None) -> str:
    tenant = tenant or next(iter(house.numbers))
    admin = Principal(tenant=house.numbers[tenant], tenant_id=tenant, kind="delegated", grants=frozenset())
    body = {
        "displayName": "Nordkapp",
        "dataProvider": {"@odata.type": "#microsoft.graph.educationCsvDataProvider"},
        "identitySynchronizationConfiguration": {
            "@odata.type": "#microsoft.graph.educationIdentityCreationConfiguration",
            "userDomains": [{"appliesTo": "student", "name": "skole.example"}],
        },
    }
    row = house.services.profiles.create(admin, body, now=house.services.clock())
    with house.services.control.write() as connection:
        connection.execute(update(profiles).where(profiles.c.id == row.id).values(state="provisioned"))
    return str(row.id)


def _path(profile: str) -> str:
    return f"/v1.0/education/synchronizationProfiles/{profile}/profileStatus"


def _at_once(house: Any, token: Any, asked: list[tuple[str, str, Any, dict[str, str]]]) -> list[httpx.Response]:
    authorization = token("EduAdministration.ReadWrite.All")

    async def all_at_once() -> list[httpx.Response]:
        transport = httpx.ASGITransport(house.app)
        async with httpx.AsyncClient(transport=transport, base_url=HOST) as client:
            return await asyncio.gather(
                *(
                    client.request(method, path, json=body, headers={"Authorization": authorization, **headers})
                    for method, path, body, headers in asked
                )
            )

    return asyncio.run(all_at_once())
