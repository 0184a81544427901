"""A whole Graph face over real stores in a temporary folder, with tokens that say what they are."""

from __future__ import annotations

import asyncio
import itertools
import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
from sqlalchemy import insert

from schoolsync import ticks
from schoolsync.access.principal import Principal
from schoolsync.directory import positions
from schoolsync.errors import Unauthenticated, Unready
from schoolsync.graph.app import create_app
from schoolsync.graph.call import Services
from schoolsync.profiles.service import Profiles
from schoolsync.runs.service import Runs
from schoolsync.settings import Settings
from schoolsync.store import directory_tables
from schoolsync.store.control import Control, open_control
from schoolsync.store.directories import Directories
from schoolsync.uploads.service import Uploads

NOW = ticks.parse("2026-03-02T08:00:00.1234567Z")
TENANT = "aaaaaaaa-0000-4000-8000-000000000001"
OTHER_TENANT = "bbbbbbbb-0000-4000-8000-000000000002"
HOST = "https://sds.example.org"
READER = ("EduRoster.Read.All", "EduAdministration.Read.All")
WRITER = ("EduRoster.ReadWrite.All", "EduAdministration.ReadWrite.All")


def object_id(kind: str, number: int) -> str:
    """The id of the nth object of a kind, the same in every test."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{kind}/{number}"))


def token(
    *grants: str,
    kind: Literal["delegated", "application", "none"] = "application",
    tenant: str = TENANT,
    user_id: str | None = None,
    user_name: str | None = None,
) -> str:
    """An `Authorization` header that the verifier of these tests takes at its word."""
    claims = {"kind": kind, "grants": grants, "tenant": tenant, "user_id": user_id, "user_name": user_name}
    return "Bearer " + json.dumps(claims)


@dataclass
class House:
    """The application, its stores, and a way to ask it."""

    app: Any  # an ASGI application
    services: Services
    numbers: dict[str, int]
    passed_on: list[str] = field(default_factory=list)
    authorization: str = field(default_factory=lambda: token(*WRITER))
    ready: bool = True

    def send(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        authorization: str | None = "",
        client: tuple[str, int] = ("127.0.0.1", 4711),
        base: str = HOST,
    ) -> httpx.Response:
        """One request; `authorization` None sends none. A path without a version gets /v1.0 in front."""
        if not path.lower().startswith(("/v1.0", "/beta", "http", "/healthz", "/uploads", "//", "/v2.0", "/common")):
            path = "/v1.0" + path
        sent = dict(headers or {})
        if authorization is not None:
            sent.setdefault("Authorization", authorization or self.authorization)

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, client=client)
            async with httpx.AsyncClient(transport=transport, base_url=base) as asking:
                url = path if path.startswith("http") else base + path
                if content is not None:
                    return await asking.request(method, url, content=content, headers=sent)
                if body is not None:
                    return await asking.request(method, url, json=body, headers=sent)
                return await asking.request(method, url, headers=sent)

        return asyncio.run(ask())

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.send("GET", path, **more)

    def ids(self, path: str, **more: Any) -> list[str]:
        answer = self.get(path, **more)
        assert answer.status_code == 200, answer.text
        return [item["id"] for item in answer.json()["value"]]

    def walk(self, path: str, **more: Any) -> list[dict[str, Any]]:
        """All objects over all pages, following the links as they are."""
        found: list[dict[str, Any]] = []
        while path:
            answer = self.get(path, **more)
            assert answer.status_code == 200, answer.text
            page = answer.json()
            found += page["value"]
            path = page.get("@odata.nextLink", "")
        return found

    def position(self, tenant: str = TENANT) -> int | None:
        """The directory's position."""
        with self.services.directories.read(tenant) as connection:
            return connection.execute(directory_tables.positions.select()).one().position  # type: ignore[no-any-return]


class _Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


@pytest.fixture
def settings(tmp_path: Path, database_url: str | None) -> Settings:
    return Settings(data_dir=tmp_path / "data", database_url=database_url)


@contextmanager
def builder(settings: Settings, clock: _Clock) -> Iterator[Any]:
    """Yields what makes a house; settings may be changed."""
    made: list[tuple[Control, Directories]] = []

    def make(**changes: Any) -> House:
        chosen = replace(settings, **changes)
        for folder in (chosen.keys, chosen.directories, chosen.objects):
            folder.mkdir(parents=True, exist_ok=True)
        control = open_control(chosen)
        directories = Directories(chosen)
        made.append((control, directories))
        counter = itertools.count(1)

        def new_id() -> str:
            return str(uuid.UUID(int=next(counter), version=4))

        uploads = Uploads(control=control, settings=chosen, clock=clock, new_id=new_id)
        runs = Runs(control=control, settings=chosen, uploads=uploads, clock=clock, new_id=new_id)
        services = Services(
            settings=chosen,
            control=control,
            directories=directories,
            profiles=Profiles(control=control, runs=runs, settings=chosen, clock=clock, new_id=new_id),
            runs=runs,
            uploads=uploads,
            clock=clock,
            new_id=new_id,
        )
        numbers = {tenant: control.tenant_number(tenant, NOW) for tenant in (TENANT, OTHER_TENANT)}

        def verify(authorization: str | None, now: int) -> Principal:
            if not authorization or not authorization.startswith("Bearer {"):
                raise Unauthenticated("Access token is empty.")
            claims = json.loads(authorization.removeprefix("Bearer "))
            return Principal(
                tenant=numbers[claims["tenant"]],
                tenant_id=claims["tenant"],
                kind=claims["kind"],
                grants=frozenset(claims["grants"]),
                user_id=claims["user_id"],
                user_name=claims["user_name"],
                client="00000000-aaaa-4000-8000-00000000000c",
            )

        house: House

        def neighbour(name: str) -> Any:
            async def app(scope: Any, receive: Any, send: Any) -> None:
                house.passed_on.append(f"{name} {scope['method']} {scope['path']}")
                await send({"type": "http.response.start", "status": 207, "headers": []})
                await send({"type": "http.response.body", "body": name.encode()})

            return app

        def ready() -> None:
            if not house.ready:
                raise Unready("The sync engine is starting.")

        app = create_app(
            services,
            verify=verify,
            blobs=neighbour("blobs"),
            issuer=neighbour("issuer"),
            ready=ready,
        )
        house = House(app, services, numbers)
        return house

    yield make
    for control, directories in made:
        directories.close()
        control.close()


@pytest.fixture
def build(settings: Settings, clock: _Clock) -> Iterator[Any]:
    """Makes a house; settings may be changed."""
    with builder(settings, clock) as make:
        yield make


@pytest.fixture(scope="module")
def still_town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A town that nobody changes: for tests that only look."""
    with builder(Settings(data_dir=tmp_path_factory.mktemp("still") / "data"), _Clock()) as make:
        house: House = make()
        furnish(house, TENANT)
        yield house


@pytest.fixture
def house(build: Any) -> House:
    """An empty house."""
    made: House = build()
    return made


@pytest.fixture
def new_town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], House]]:
    """Founds a town for one test, when it is asked."""
    with ExitStack() as stack:

        def found() -> House:
            chosen = Settings(data_dir=tmp_path_factory.mktemp("new") / "data")
            house: House = stack.enter_context(builder(chosen, _Clock()))()
            furnish(house, TENANT)
            return house

        yield found


@pytest.fixture
def town(house: House) -> House:
    """Two schools, three classes, six people; nothing at all in the other tenant.

    Class 1 (school 1): pupils 1 and 2, teacher 5. Class 2 (school 1): pupil 2, teacher 6. Class 3 (school 2): pupil 3,
    teacher 6. Person 4 is in no class.
    """
    furnish(house, TENANT)
    return house


def furnish(house: House, tenant: str, prefix: str = "") -> None:
    """Fill a tenant with the objects of `town`; `prefix` sets their ids and names apart."""
    number = house.numbers[tenant]

    def base(kind: str, place: int, key: int) -> dict[str, Any]:
        return {
            "tenant": number,
            "key": key,
            "id": object_id(prefix + kind, place),
            "profile": 1,
            "source_id": f"{kind}{place}",
            "created": NOW,
            "changed": NOW,
            "position": 1,
            "external_source": "sis",
            "external_source_detail": "Nordkapp",
        }

    schools = [
        {
            **base("school", place, place),
            "display_name": f"Skole {place}",
            "external_id": f"S{place}",
            "school_number": str(100 + place),
            "principal_name": "Åse Ødegård",
            "principal_email": f"rektor{place}@skole.example",
            "address_city": "Tromsø" if place == 1 else None,
            "zone": "Nord",
        }
        for place in (1, 2)
    ]
    classes = [
        {
            **base("class", place, 10 + place),
            "display_name": f"Klasse {place}",
            "mail_nickname": f"Section_C{place}",
            "external_id": f"C{place}",
            "external_name": f"Klasse {place}",
            "class_code": f"K{place}",
            "term_external_id": "T1",
            "term_name": "Vår 2026",
            "term_start": "2026-01-05",
            "term_end": "2026-06-19",
            "course_subject": "Norsk",
            "school_source_id": "school1" if place < 3 else "school2",
            "period": "3",
        }
        for place in (1, 2, 3)
    ]
    names = ["Ane", "bjørn", "Cecilie", "Didrik", "Else", "Fredrik"]
    people = [
        {
            **base("person", place, 20 + place),
            "display_name": f"{name} Lunde",
            "given_name": name,
            "surname": "Lunde" if place != 4 else "O'Hara",
            "primary_role": "student" if place < 5 else "teacher",
            "user_principal_name": f"{prefix}{name}@Skole.example",
            "account_name": f"{prefix}{name}@Skole.example".lower(),
            "mail_nickname": name,
            "mail": f"{prefix}{name}@Skole.example",
            "account_enabled": place != 3,
            "student_external_id": str(place) if place < 5 else None,
            "student_grade": str(4 + place % 2) if place < 5 else None,
            "birth_date": f"201{place}-05-17" if place < 5 else None,
            "teacher_number": f"L{place}" if place > 4 else None,
            "teacher_external_id": str(place) if place > 4 else None,
            "business_phone": "+47 77 00 00 00" if place == 5 else None,
            "department": "50%_off" if place == 1 else "Realfag" if place == 5 else None,
            "tokens_valid_from": NOW if place == 2 else None,
            "school_source_id": "school1",
            "related_contacts": json.dumps(
                [{"displayName": "Mor", "emailAddress": "mor@hjem.example", "relationship": "parent"}]
            )
            if place == 1
            else "[]",
        }
        for place, name in enumerate(names, 1)
    ]
    in_class = [(11, 21, False), (11, 22, False), (11, 25, True), (12, 22, False), (12, 26, True)]
    in_class += [(13, 23, False), (13, 26, True)]
    with house.services.directories.write(tenant) as connection:
        positions.advance(connection, number, keys=100)
        connection.execute(insert(directory_tables.schools), schools)
        connection.execute(insert(directory_tables.classes), classes)
        for person in people:
            connection.execute(insert(directory_tables.people).values(**person))
        connection.execute(
            insert(directory_tables.school_classes),
            [
                {"tenant": number, "school": school, "class": group, "profile": 1}
                for school, group in ((1, 11), (1, 12), (2, 13))
            ],
        )
        connection.execute(
            insert(directory_tables.school_people),
            [
                {"tenant": number, "school": school, "person": person, "profile": 1}
                for school, person in ((1, 21), (1, 22), (1, 24), (1, 25), (1, 26), (2, 23), (2, 26))
            ],
        )
        connection.execute(
            insert(directory_tables.class_people),
            [
                {"tenant": number, "class": group, "person": person, "profile": 1, "member": True, "teacher": teacher}
                for group, person, teacher in in_class
            ],
        )


# What tests use besides a house, as fixtures: with --import-mode=importlib they cannot import this module.


@pytest.fixture(name="token", scope="session")
def token_fixture() -> Any:
    return token


@pytest.fixture(scope="session")
def ids() -> Any:
    return object_id


@pytest.fixture(scope="session")
def tenant() -> str:
    return TENANT


@pytest.fixture(scope="session")
def other_tenant() -> str:
    return OTHER_TENANT


@pytest.fixture(name="furnish", scope="session")
def furnish_fixture() -> Any:
    return furnish
