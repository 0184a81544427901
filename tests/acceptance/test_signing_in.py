"""`schoolsync login` and contexts: a person signs in once, and the commands go to that server as that person."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from .house import Server, Tenant, command

NAME, PASSWORD = "ann@skole.example", "four sounding brass bells"
BROWSER = """
import re, sys, urllib.parse, urllib.request
opener = urllib.request.build_opener()
page = sys.argv[1]
assert 'name="password"' in opener.open(page, timeout=30).read().decode()
form = {"username": "%s", "password": "%s"}
said = opener.open(page, urllib.parse.urlencode(form).encode(), timeout=30).read().decode()  # and on to the program
assert "You are signed in" in said, said
"""


class Person:
    """Somebody at a machine of their own, without a data directory."""

    def __init__(self, folder: Path, **environment: str) -> None:
        folder.mkdir()
        self.contexts = folder / "config" / "schoolsync" / "contexts.json"
        script = folder / "browser.py"
        script.write_text(BROWSER % (NAME, PASSWORD))
        mine = {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder / "config"), **environment}
        self.environment = {**os.environ, **mine, "BROWSER": f"{sys.executable} {script} %s"}
        self.folder = folder

    def types(self, *words: str | Path, status: int = 0, **more: str) -> str:
        done = command(*words, env={**self.environment, **more}, cwd=self.folder)
        assert done.returncode == status, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout if status == 0 else done.stderr

    def changes(self, **values: object) -> None:
        kept = json.loads(self.contexts.read_text())
        for one in kept["contexts"].values():
            one.update(values)
        self.contexts.write_text(json.dumps(kept))

    def kept(self) -> Mapping[str, Mapping[str, object]]:
        found: Mapping[str, Mapping[str, object]] = json.loads(self.contexts.read_text())["contexts"]
        return found


def on_the_server(server: Server, *words: str, typed: str | None = None, status: int = 0) -> str:
    """A command of whoever runs it."""
    environment = dict(os.environ)
    if server.database_url is not None:
        environment["SCHOOLSYNC_DATABASE_URL"] = server.database_url
    done = command(*words, "--data-dir", server.data, env=environment, input=typed)
    assert done.returncode == status, done.stderr
    return done.stdout


@pytest.fixture
def account(server: Server) -> Tenant:
    """A tenant in which Ann has an account."""
    tenant = Tenant(server)
    options = ("--tenant", tenant.id, "--role", "schoolsync.approver", "--role", "schoolsync.operator")
    scope = ("--scope", "schoolsync.access EduAdministration.ReadWrite")
    on_the_server(server, "user", "add", NAME, *options, *scope, typed=PASSWORD + "\n")
    return tenant


def test_a_person_signs_in_with_a_browser(server: Server, account: Tenant, tmp_path: Path) -> None:
    """Tokens lie in a file of theirs alone, are renewed when they end, and are worth nothing after `logout`."""
    profile = account.profile()
    ann = Person(tmp_path / "ann")
    said = ann.types("login", "--server", server.base, "--tenant", account.id, "--context", "work")
    assert NAME in said
    assert ann.contexts.stat().st_mode & 0o077 == 0
    assert "Nordkapp" in ann.types("profile", "export", profile.id)
    (listed,) = map(json.loads, ann.types("context", "list", "--json").splitlines())
    assert (listed["used"], listed["signedIn"], listed["person"]) == (True, True, NAME)
    assert "--tenant" in ann.types("profile", "export", "x", "--tenant", str(profile.id), status=2)

    first = ann.kept()["work"]
    ann.changes(expires=int(time.time()))
    ann.types("profile", "export", profile.id)
    second = ann.kept()["work"]
    assert second["token"] != first["token"]
    assert second["refresh_token"] != first["refresh_token"]
    ann.changes(expires=0, refresh_token="somebody else's")
    assert "schoolsync login" in ann.types("profile", "export", profile.id, status=2)
    ann.types("login")  # where, and to which tenant, is known
    assert ann.kept()["work"]["person"] == NAME

    kept = ann.contexts.read_text()
    ann.contexts.chmod(0o644)
    assert "chmod" in ann.types("context", "list", status=2)
    ann.contexts.chmod(0o600)
    assert "signed out" in ann.types("logout")
    ann.contexts.write_text(kept)  # a copy that somebody made
    ann.changes(expires=0)
    assert "schoolsync login" in ann.types("profile", "export", profile.id, status=2)
    ann.types("context", "remove", "work")
    assert ann.kept() == {}
    for secret in (first["token"], first["refresh_token"], second["refresh_token"], PASSWORD):
        assert str(secret) not in server.log.read_text("utf-8", "replace")


def test_a_person_signs_in_with_a_code(server: Server, account: Tenant, tmp_path: Path) -> None:
    """Whoever runs the server vouches for them; several servers and tenants stand side by side."""
    profile = account.profile()
    bob = Person(tmp_path / "bob")
    words = ["login", "--device", "--server", server.base, "--tenant", account.id]
    with subprocess.Popen(
        [sys.executable, "-m", "schoolsync", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=bob.environment,
    ) as process:
        assert process.stderr is not None
        code = process.stderr.readline().split("type the code ")[1][:9]
        roles = ("--role", "schoolsync.operator")
        on_the_server(server, "device", "approve", code, "--tenant", account.id, "--user", "bob@skole.example", *roles)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "bob@skole.example" in said
    assert "no refresh token" in said, "nobody can take it from somebody who has no account"
    assert "Nordkapp" in bob.types("profile", "export", profile.id)
    bob.types("login", "--server", server.base, "--tenant", account.id, "--context", "ann")
    assert {one: kept["person"] for one, kept in bob.kept().items()}["ann"] == NAME
    (name,) = (one for one in bob.kept() if one != "ann")
    bob.types("context", "use", name)
    assert "Nordkapp" in bob.types("profile", "export", profile.id, SCHOOLSYNC_CONTEXT="ann")
    listed = {one["context"]: one for one in map(json.loads, bob.types("context", "list", "--json").splitlines())}
    assert listed[name]["used"]
    assert not listed["ann"]["used"]
    nobody = bob.types("login", "--server", "http://127.0.0.1:9", "--tenant", account.id, status=1)
    assert "No answer" in nobody
