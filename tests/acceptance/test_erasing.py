"""A family asks that their child is erased: what was known of it is looked for in every file that there is."""

from __future__ import annotations

import json
import os
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import insert

from schoolsync.access import accounts, refreshing
from schoolsync.access.devices import Granted
from schoolsync.access.roles import ACCESS
from schoolsync.cli import audit as audit_command
from schoolsync.cli import erase as erase_command
from schoolsync.errors import UsageError
from schoolsync.runs.erased_files import ERASED
from schoolsync.settings import Settings, load
from schoolsync.store.control import open_control
from schoolsync.store.control_tables import approvals

from .house import Server, Tenant, command
from .own import EVERY_ROLE, Own, own
from .rosters import DISTRICT, Roster


def _mark() -> str:
    """Ten digits that stand nowhere else."""
    return str(10**9 + uuid.uuid4().int % (9 * 10**9))


def district(mark: str, *, first: str = "Aurora") -> Roster:
    """The district with one more pupil, whose every word can be found again."""
    pupil = {
        **DISTRICT.students[0],
        "SIS ID": f"00{mark}",
        "First Name": f"{first}{mark}",
        "Last Name": f"Canary{mark}",
        "Middle Name": f"Middle{mark}",
        "Username": f"user{mark}",
        "Secondary Email": f"mail{mark}@home.example",
        "Student Number": f"N{mark}",
        "State ID": f"S{mark}",
        "Password": f"Fjord-{mark}",
    }
    rows = DISTRICT.with_rows("students", pupil)
    return rows.with_rows("enrollments", {"Section SIS ID": "M1", "SIS ID": f"00{mark}"})


def settings(server: Server) -> Settings:
    """What a command on the server's machine works with."""
    return load({"data_dir": server.data, "database_url": server.database_url})


def erase(tenant: Tenant, person: str | None = None, *, repeat: Path | None = None, waiting: bool = False) -> int:
    """`schoolsync erase` beside the running server, in this process."""
    return erase_command.run(settings(tenant.server), tenant=tenant.id, person=person, repeat=repeat, waiting=waiting)


def places(server: Server, text: str) -> list[Path]:
    """The files of an installation in which a text stands, unpacked where they are packed."""
    found = []
    for path in sorted(server.data.rglob("*")):
        if path.is_file() and any(text.encode() in part for part in contents(path)):
            found.append(path.relative_to(server.data))
    return found


def contents(path: Path) -> Iterator[bytes]:
    yield path.read_bytes()
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        yield str(pq.read_table(path).to_pydict()).encode()


def test_one_person_is_erased_from_everything(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Directory, uploads, snapshots, plans, findings and reports know nothing any more; everybody else stays, and the
    next synchronization has nothing to do. It can be done again after a backup was put back."""
    mark = _mark()
    tenant = Tenant(server)
    profile = tenant.profile()
    assert profile.sync(district(mark).files())["status"] == "success"
    assert profile.sync(district(mark, first="Dawn").files())["status"] == "success"
    bad = district(mark, first="Eve").with_rows("enrollments", {"Section SIS ID": "M1", "SIS ID": f"{mark}"})
    profile.upload(bad.files())
    profile.start(expect=400)
    (user,) = tenant.reader.get(f"/users?$filter=surname eq 'Canary{mark}'")["value"]
    following = tenant.reader.get("/users/delta?$deltatoken=latest")["@odata.deltaLink"]
    assert places(server, mark)

    with pytest.raises(UsageError, match="not been started"):  # what was refused waits to be mended
        erase(tenant, f"00{mark}")
    own = Own(
        server, server.token(tenant.id, scope=ACCESS, roles=tuple(f"schoolsync.{r}" for r in EVERY_ROLE), user="a")
    )
    runs = own.all(f"/profiles/{profile.id}/runs")
    quoting = f"/profiles/{profile.id}/runs/{runs[0]['id']}/findings"
    assert f"00{mark}" in json.dumps(own.all(quoting))  # “did you mean”
    before = {run["id"]: own.get(f"/profiles/{profile.id}/runs/{run['id']}/plan/steps?limit=200") for run in runs[1:]}

    signs_in_and_is_written_about(server, tenant, profile.id, user["userPrincipalName"], user["displayName"])
    assert erase(tenant, f"00{mark}", waiting=True) == 0
    said = capsys.readouterr().out
    assert user["id"] in said
    assert mark not in said

    left = [server.control(f"SELECT * FROM {table}") for table in ("accounts", "refresh_tokens", "approvals", "rekeys")]
    assert mark not in json.dumps(left, default=str)
    assert "the pupil of [erased]" in json.dumps(left).replace(ERASED, "[erased]")
    tenant.reader.refusal("GET", f"/users/{user['id']}", 404)
    (gone,) = tenant.reader.get(following)["value"]
    assert gone["id"] == user["id"]
    assert "@removed" in gone
    if server.database_url is None:
        assert places(server, mark) == []
    for run, steps in before.items():
        after = own.get(f"/profiles/{profile.id}/runs/{run}/plan/steps?limit=200")
        assert len(after["value"]) == len(steps["value"])
        changed = [new for old, new in zip(steps["value"], after["value"], strict=True) if old != new]
        assert changed
        assert all(step["rule"] == "erased" or step["memberId"] is None for step in changed)
        assert mark not in json.dumps(after)
        own.get(f"/profiles/{profile.id}/runs/{run}/plan/schools")
    assert mark not in json.dumps(own.all(quoting))
    export = tmp_path / "audit.jsonl"
    audit_command.export(settings(server), tenant=tenant.id, format="json", after=0, output=export)
    assert any(json.loads(line)["object"] == user["id"] for line in export.read_text("utf-8").splitlines())
    assert audit_command.verify(settings(server), tenant=tenant.id) == 0
    assert erase(tenant, repeat=export) == 0
    with pytest.raises(UsageError, match="Nobody"):
        erase(tenant, f"00{mark}")

    assert profile.sync(DISTRICT.files())["status"] == "success"
    (last, *_) = own.all(f"/profiles/{profile.id}/runs")
    assert own.get(f"/profiles/{profile.id}/runs/{last['id']}/plan/steps")["value"] == []
    undone = own("POST", f"/profiles/{profile.id}/runs/{runs[2]['id']}/undo", {"why": "x"}).status_code
    assert undone < 500


def signs_in_and_is_written_about(server: Server, tenant: Tenant, profile: str, name: str, called: str) -> None:
    """The person has an account and is signed in; somebody has named them in a reason."""
    control = open_control(settings(server))
    try:
        options = {"tenant_id": tenant.id, "name": name, "password": "four sounding brass bells"}
        made = accounts.add(control, **options, scopes=("EduRoster.Read",), roles=(), now=1)
        assert made is not None
        number = control.known_tenant(tenant.id)
        assert number is not None
        granted = Granted(made.id, made.name, made.scopes, made.roles)
        refreshing.begin(control, tenant=number, client=made.id, granted=granted, now=1)
        with control.write(number) as connection:
            row = {"tenant": number, "profile": profile, "why": f"the pupil of {name}, {called}, moved"}
            approval = {"id": str(uuid.uuid4()), "run": "r", "plan": "p", "person": "x", "via": "approve", "given": 1}
            connection.execute(insert(approvals).values(**row, **approval, expires=1))
    finally:
        control.close()


def test_nobody_is_erased_by_mistake(server: Server, tmp_path: Path) -> None:
    """Somebody unknown, somebody of another tenant, one SIS ID of two people, and files that wait to be started."""
    mark = _mark()
    tenant, other = Tenant(server), Tenant(server)
    profile = tenant.profile()
    roster = district(mark).changed("students", f"00{mark}", SIS_ID="5002")  # a teacher has it as well
    roster = roster.without("enrollments", SIS_ID=f"00{mark}")
    assert profile.sync(roster.files())["status"] == "success"
    other.profile()
    people = tenant.reader.all("/users")
    (user,) = [one for one in people if one["surname"] == f"Canary{mark}"]

    for wanted, word in (("nobody", "Nobody"), ("5002", "Several"), ("", "Nobody"), (None, "whom")):
        with pytest.raises(UsageError, match=word):
            erase(tenant, wanted)
    for wanted in (user["userPrincipalName"], user["id"]):
        with pytest.raises(UsageError, match="Nobody"):
            erase(other, wanted)
    with pytest.raises(UsageError, match="never been here"):
        erase(Tenant(server), user["id"])
    for text in (None, "not json", '{"operation": "erase"}', "[]"):
        export = tmp_path / "export"
        if text is not None:
            export.write_text(text)
        with pytest.raises(UsageError, match="export"):
            erase(tenant, repeat=export)

    profile.upload(DISTRICT.files())
    with pytest.raises(UsageError, match="not been started"):
        erase(tenant, user["id"])
    assert tenant.reader.all("/users") == people
    profile.start()
    profile.wait()
    assert erase(tenant, user["userPrincipalName"]) == 0
    assert len(tenant.reader.all("/users")) == len(people) - 1
    for act, body in (("restart", {"scope": "failedItems"}), ("sync-one", {"kind": "person", "object": "3001"})):
        told = own(tenant, "operator").refusal("POST", f"/profiles/{profile.id}/{act}", 409, body)["message"]
        assert told.startswith("The files of the last synchronization are not kept any more: upload the whole set")
    found = own(tenant, "operator").get(f"/profiles/{profile.id}/connection")
    assert "The files of the last upload are not kept any more" in str(found)


def test_a_person_made_by_hand_is_erased_too(server: Server) -> None:
    """There is no profile behind it, and nothing but the directory knows it."""
    mark = _mark()
    tenant = Tenant(server)
    body = {
        "displayName": f"Hand{mark}",
        "accountEnabled": True,
        "mailNickname": f"h{mark}",
        "userPrincipalName": f"h{mark}@x.example",
        "primaryRole": "student",
        "passwordProfile": {"password": "Fjord-2026-x"},
    }
    made = tenant.reader("POST", "/users", body, expect=201).json()
    tenant.reader("PATCH", f"/users/{made['id']}", {"displayName": f"Other{mark}"})
    environment = {**os.environ, **({"SCHOOLSYNC_DATABASE_URL": server.database_url} if server.database_url else {})}
    told = ("erase", f"H{mark}@X.example", "--data-dir", server.data, "--tenant", tenant.id)
    done = command(*told, env=environment)
    assert done.returncode == 0, done.stderr
    assert tenant.reader.all("/users") == []
    if server.database_url is None:
        assert places(server, mark) == []
        with closing(sqlite3.connect(server.data / "directory" / f"{tenant.id}.db")) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
