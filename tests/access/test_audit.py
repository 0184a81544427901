"""The audit log: nothing is changed without an entry, and no entry is changed without a trace."""

import asyncio
import csv
import hashlib
import io
import json
import re
import sqlite3
import uuid
from dataclasses import fields, replace
from pathlib import Path

import httpx
import pytest
from sqlalchemy import insert, select

from schoolsync.access.audit import FIELDS, Audit
from schoolsync.access.principal import Principal
from schoolsync.api import app as own_app
from schoolsync.api import call as own_call
from schoolsync.api import route as own_route
from schoolsync.api import routes as own_routes
from schoolsync.api.app import OwnApi
from schoolsync.cli import audit as command
from schoolsync.cli import client as client_command
from schoolsync.errors import Conflict
from schoolsync.graph import app as graph_app
from schoolsync.graph.app import create_app
from schoolsync.graph.call import Reply, Services
from schoolsync.graph.routes import ROUTES, Route
from schoolsync.settings import Settings
from schoolsync.store import acts
from schoolsync.store.control import open_control
from schoolsync.store.control_tables import profile_status
from schoolsync.store.directories import Directories
from schoolsync.store.directory_tables import audit_outbox, schools

from .conftest import OTHER, TENANT, now

DOCS = Path(__file__).parents[2] / "docs" / "audit.md"
KEEP = [route for route in ROUTES if route.method != "GET" and route.template != "$batch"]
IDS = {"user": "Zoë@x.example"}


class Server:
    """The real application over a real store, with handlers that do as the test says."""

    def __init__(self, folder, monkeypatch):
        self.settings = Settings(data_dir=folder)
        self.control = open_control(self.settings)
        self.directories = Directories(self.settings)
        self.number = self.control.tenant_number(TENANT, now())
        self.log = Audit(self.control, self.directories, self.settings)
        self.does = lambda call: Reply(status=204)
        monkeypatch.setattr(Route, "resolve", lambda _route: lambda call: self.does(call))
        self.parts = {
            "settings": self.settings,
            "control": self.control,
            "profiles": None,
            "runs": None,
            "uploads": None,
            "clock": now,
            "new_id": lambda: str(uuid.uuid4()),
        }
        self.serve(None)

    def serve(self, own):
        graph_app._operations.cache_clear()  # faces of one process share the handlers of the first
        services = Services(**self.parts, directories=self.directories)
        self.app = create_app(services, verify=self.verify, blobs=None, issuer=None, ready=lambda: None, own=own)

    def verify(self, _authorization, _now):
        return self.principal(self.grants)

    grants = frozenset({"EduAdministration.ReadWrite", "EduRoster.ReadWrite"})

    def principal(self, grants):
        return Principal(
            tenant=self.number,
            tenant_id=TENANT,
            kind=self.kind,
            grants=frozenset(grants if self.kind == "delegated" else {f"{name}.All" for name in grants}),
            user_id="bbbbbbbb-0000-4000-8000-000000000002" if self.kind == "delegated" else None,
            user_name="ann@x.example",
            client="cccccccc-0000-4000-8000-000000000003",
            token="t-1",
            roles=frozenset({"schoolsync.admin"}),
        )

    kind = "delegated"

    def ask(self, route, body=None, prefix="v1.0"):
        self.kind = "delegated" if route.delegated else "application"
        path = re.sub(
            r"\{(\w+)\}", lambda key: IDS.get(key[1], str(uuid.uuid5(uuid.NAMESPACE_OID, key[1]))), route.template
        )

        async def send():
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
                return await client.request(route.method, f"/{prefix}/{path}", json=body or {"displayName": "Zoë"})

        return asyncio.run(send())

    def writes_control(self, call):
        with self.control.write() as connection:
            connection.execute(insert(profile_status).values(tenant=self.number, profile=str(uuid.uuid4())))
        return Reply(status=204)

    def writes_directory(self, call):
        with self.directories.write(TENANT) as connection:
            values = {"tenant": self.number, "key": 1, "id": "s", "created": 1, "changed": 1, "position": 1}
            connection.execute(insert(schools).values(**values))
        return Reply(status=204)

    def rows(self):
        return self.log.entries(self.number, TENANT)

    def left(self):
        with self.directories.read(TENANT) as connection:
            return connection.execute(select(audit_outbox)).all()


@pytest.fixture
def server(tmp_path, monkeypatch):
    server = Server(tmp_path, monkeypatch)
    yield server
    graph_app._operations.cache_clear()
    server.directories.close()
    server.control.close()


def test_every_operation_that_changes_something_is_kept(server):
    """Each such route of the Graph face leaves exactly one entry, whatever its handler does or forgets."""
    assert len(KEEP) > 30
    for number, route in enumerate(KEEP, 1):
        server.does = server.writes_control
        assert server.ask(route).status_code == 204, route
        rows = server.rows()
        assert len(rows) == number, route
        assert rows[-1].operation == f"{route.method} {route.template}"
        assert rows[-1].outcome == "done"
    for route in [route for route in ROUTES if route.handler.endswith(".upload_url")]:
        assert server.ask(route).status_code == 204
        assert server.rows()[-1].operation == f"GET {route.template}"
    before = len(server.rows())
    for route in [route for route in ROUTES if route.method == "GET" and not route.audited][:5]:
        server.does = server.writes_control  # whatever reading may tidy up
        server.ask(route)
    assert len(server.rows()) == before


def test_every_operation_of_our_own_api_is_kept(server, monkeypatch):
    """Our own API's routes are kept in the same way, whatever is added to them."""
    monkeypatch.setattr(own_route.Route, "resolve", lambda _route: lambda call: server.does(call))
    monkeypatch.setattr(own_app, "_body", lambda content, route: content)
    others = {entry.name for entry in fields(own_call.Services)} - server.parts.keys()
    server.serve(OwnApi(own_call.Services(**server.parts, **dict.fromkeys(others))))
    kept = [route for route in own_routes.ROUTES if route.method != "GET"]
    assert kept
    for number, route in enumerate(kept, 1):
        server.does = lambda call: (server.writes_control(call), own_call.Answer(status=204))[1]
        answer = server.ask(replace(find(*PATCH), method=route.method, template=route.template), prefix="schoolsync/v1")
        assert answer.status_code == 204, (route, answer.text)
        rows = server.rows()
        assert len(rows) == number, route
        assert rows[-1].operation == f"{route.method} schoolsync/v1/{route.template}"


def find(method, template):
    return next(route for route in ROUTES if (route.method, route.template) == (method, template))


PATCH = ("PATCH", "education/synchronizationProfiles/{profile}")


def test_an_entry_says_who_what_and_with_which_token(server):
    """Ids of person, application, token, request and object; names of members, and no value or name of anybody."""
    answer = server.ask(find(*PATCH), {"displayName": "Zoë Müller", "@odata.type": "x", "no member!": 1})
    (row,) = server.rows()
    assert row.actor == "delegated:bbbbbbbb-0000-4000-8000-000000000002"
    assert (row.client, row.token) == ("cccccccc-0000-4000-8000-000000000003", "t-1")
    assert row.request == answer.headers["request-id"]
    assert row.object == f"education/synchronizationProfiles/{uuid.uuid5(uuid.NAMESPACE_OID, 'profile')}"
    assert row.members == "@odata.type displayName"
    server.ask(find("DELETE", "education/users/{user}"))
    row = server.rows()[-1]
    assert row.actor == "application:cccccccc-0000-4000-8000-000000000003"
    assert re.fullmatch(r"education/users/~[0-9a-f]{16}", row.object)
    everything = "".join(map(str, server.rows()))
    assert "ann@" not in everything
    assert "Zo" not in everything


def test_act_and_entry_commit_together(server):
    """When the act's transaction is rolled back there is no entry; the next try has one of its own."""

    def fails(call):
        with server.control.write() as connection:
            connection.execute(insert(profile_status).values(tenant=server.number, profile="p"))
            raise Conflict("not now")

    server.does = fails
    assert server.ask(find(*PATCH)).status_code == 409
    assert server.rows() == []

    def tries_again(call):
        try:
            fails(call)
        except Conflict:
            return server.writes_control(call)

    server.does = tries_again
    assert server.ask(find(*PATCH)).status_code == 204
    assert len(server.rows()) == 1


def test_an_act_that_is_refused_after_all_is_marked(server):
    """What was written before the refusal stays told, and a second entry tells how it ended."""

    def late(call):
        server.writes_control(call)
        raise Conflict("too late")

    server.does = late
    assert server.ask(find(*PATCH)).status_code == 409
    assert [row.outcome for row in server.rows()] == ["done", "refused 409"]


def test_whoever_tries_doors_is_found_in_the_log(server):
    """Refused requests are kept, of reading ones too, with ids alone, and only so many: nobody fills the log."""
    read = next(route for route in ROUTES if (route.method, route.template) == ("GET", "education/users/{user}"))
    server.grants = set()
    for _ in range(30):
        assert server.ask(read).status_code == 403
    rows = server.rows()
    assert len(rows) == 10
    assert {row.outcome for row in rows} == {"refused 403"}
    assert {row.operation for row in rows} == {"GET education/users/{user}"}
    assert "Zoë" not in str(rows)
    assert server.log.verify(server.number, TENANT).wrong is None


def test_an_act_in_the_directory(server):
    """The entry is left in the directory's own transaction and taken over exactly once, also after a crash between."""
    server.does = server.writes_directory
    assert server.ask(find("DELETE", "education/users/{user}")).status_code == 204
    assert server.left() == []
    assert len(server.rows()) == 1

    class Crash(Exception):
        pass

    def crashes():
        with acts.acting(server.log.expect(lambda: server_act(server))):
            with server.directories.write(TENANT):
                pass
            raise Crash

    with pytest.raises(Crash):
        crashes()
    assert len(server.left()) == 1
    kept = server.left()[0]
    assert [row.operation for row in server.rows()][1:] == ["DELETE crashed"]
    with server.directories.write(TENANT) as connection:  # as if the process had died before forgetting it
        connection.execute(insert(audit_outbox).values(**kept._mapping))
    assert len(server.rows()) == 2
    assert server.left() == []


def server_act(server):
    from schoolsync.access.audit import Act

    return Act(
        tenant=server.number, tenant_id=TENANT, at=now(), actor="machine:0", operation="DELETE crashed", object="x"
    )


# --- whole or not --------------------------------------------------------------------------------------------------


@pytest.fixture
def kept(server):
    """A log with ten entries of one tenant and three of another."""
    for _ in range(10):
        server.ask(find(*PATCH))
    server.number = server.control.tenant_number(OTHER, now())
    for _ in range(3):
        server.log.record(server_act(server))
    server.number = server.control.tenant_number(TENANT, now())
    return server


def verify(server, capsys):
    status = command.verify(server.settings, tenant=None)
    return status, capsys.readouterr().out


def test_a_whole_log(kept, capsys):
    """Every tenant's chain verifies by itself."""
    status, out = verify(kept, capsys)
    assert status == 0
    assert f"{TENANT}  10 entries, whole" in out
    assert f"{OTHER}  3 entries, whole" in out


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("UPDATE audit SET actor = 'delegated:x' WHERE tenant = 1 AND number = 4", "Entry 4: its content was changed"),
        ("UPDATE audit SET at = at + 1 WHERE tenant = 1 AND number = 10", "Entry 10: its content was changed"),
        ("DELETE FROM audit WHERE tenant = 1 AND number = 5", "entries 5 to 5 are missing"),
        ("DELETE FROM audit WHERE tenant = 1 AND number > 7", "Entries behind number 7 are missing"),
        ("DELETE FROM audit WHERE tenant = 1", "Entries behind number 0 are missing"),
        ("UPDATE audit SET seal = hash WHERE tenant = 1 AND number = 2", "not written by this installation"),
    ],
)
def test_a_log_that_was_meddled_with(kept, capsys, statement, says):
    """A changed, removed, cut off or unsealed entry is found and named; the other tenant's log is whole."""
    with sqlite3.connect(kept.settings.control_db) as connection:
        connection.execute(statement)
    connection.close()
    status, out = verify(kept, capsys)
    assert status == 1
    assert says in out
    assert f"{OTHER}  3 entries, whole" in out


def test_a_chain_made_anew_without_the_key(kept, capsys):
    """Whoever can write to the database alone cannot make a chain that verifies."""
    with sqlite3.connect(kept.settings.control_db) as connection:
        connection.row_factory = sqlite3.Row
        previous = "0" * 64
        for row in connection.execute("SELECT * FROM audit WHERE tenant = 1 ORDER BY number").fetchall():
            said = [previous] + [("delegated:x" if name == "actor" else row[name]) for name in FIELDS]
            digest = hashlib.sha256(json.dumps(said, separators=(",", ":")).encode()).hexdigest()
            connection.execute(
                "UPDATE audit SET actor = 'delegated:x', previous = ?, hash = ? WHERE tenant = 1 AND number = ?",
                (previous, digest, row["number"]),
            )
            previous = digest
        connection.execute("UPDATE audit_heads SET hash = ? WHERE tenant = 1", (previous,))
    connection.close()
    status, out = verify(kept, capsys)
    assert status == 1
    assert "Entry 1: it was not written by this installation" in out


def test_an_export_can_be_checked_anywhere(kept, tmp_path, monkeypatch):
    """The few lines of docs/audit.md prove an export whole; CSV holds the same; `--after` goes on where one ended."""
    path = tmp_path / "audit.jsonl"
    command.export(kept.settings, tenant=TENANT, format="json", after=0, output=path)
    code = re.search(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)[1]
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    path.write_text(path.read_text().replace("delegated", "application", 1))
    with pytest.raises(AssertionError):
        exec(code, {})
    table = tmp_path / "audit.csv"
    command.export(kept.settings, tenant=TENANT, format="csv", after=4, output=table)
    rows = list(csv.DictReader(io.StringIO(table.read_text())))
    assert [row["number"] for row in rows] == ["5", "6", "7", "8", "9", "10"]
    assert {row["tenant"] for row in rows} == {TENANT}


def test_commands_are_acts_too(server, capsys):
    """Registering and removing a client is written down with the account that did it, never the secret."""
    client_command.add(server.settings, tenant=TENANT, roles=["EduRoster.Read.All"], name="x")
    shown = dict(line.split(":", 1) for line in capsys.readouterr().out.splitlines())
    client_id, secret = shown["client id"].strip(), shown["client secret"].strip()
    client_command.remove(server.settings, tenant=TENANT, client_id=client_id)
    rows = server.rows()
    assert [(row.operation, row.object) for row in rows] == [("client add", client_id), ("client remove", client_id)]
    assert all(row.actor.startswith("machine:") for row in rows)
    assert secret not in "".join(map(str, rows))


def test_the_log_is_documented():
    """docs/audit.md explains every member of an entry."""
    text = DOCS.read_text()
    for name in (*FIELDS, "previous", "hash", "seal", "time"):
        assert f"`{name}`" in text, name
