"""What scripts read: every command has `--json`, and prints nothing else on standard output."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import typer.main

from schoolsync.cli.app import app

from .typing_here import typed_here

TENANT = "11111111-2222-4333-8444-555555555555"
WITHOUT: dict[str, str] = {}
"""Commands that have not, and why."""


def commands() -> dict[str, set[str]]:
    """The options of every command."""
    found: dict[str, set[str]] = {}

    def look(command: Any, name: str) -> None:
        children = getattr(command, "commands", None)
        if children:
            for child, inner in children.items():
                look(inner, f"{name} {child}".strip())
        else:
            found[name] = {option for parameter in command.params for option in parameter.opts}

    look(typer.main.get_command(app), "")
    return found


def test_every_command_has_json() -> None:
    """Those that have not say why."""
    assert len(commands()) > 40
    assert {name for name, options in commands().items() if "--json" not in options} == set(WITHOUT)


def test_commands_that_need_no_server_answer_in_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line is one object; the same command without the option is for people."""
    data = ["--data-dir", str(tmp_path / "data")]

    def told(*words: str) -> list[dict[str, Any]]:
        done = typed_here(*words, *data, "--json")
        assert done.status == 0, f"{words}: {done.stderr}"
        return [json.loads(line) for line in done.stdout.splitlines()]

    (made,) = told("client", "add", "--tenant", TENANT, "--role", "EduRoster.Read.All", "--name", "nightly")
    assert made.keys() == {"tenant", "clientId", "clientSecret"}
    assert [one["clientId"] for one in told("client", "list")] == [made["clientId"]]
    (renewed,) = told("client", "change", made["clientId"], "--tenant", TENANT, "--secret")
    assert renewed["clientSecret"] != made["clientSecret"]
    assert told("client", "remove", made["clientId"], "--tenant", TENANT)[0]["removed"]
    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse battery\n"))
    assert told("user", "add", "ann@skole.example", "--tenant", TENANT, "--role", "schoolsync.viewer")
    assert [one["name"] for one in told("user", "list")] == ["ann@skole.example"]
    assert told("user", "change", "ann@skole.example", "--tenant", TENANT, "--role", "schoolsync.operator")
    assert told("user", "remove", "ann@skole.example", "--tenant", TENANT)
    assert told("token", "--tenant", TENANT, "--role", "EduRoster.Read.All")[0]["token"].count(".") == 2
    assert {one["name"] for one in told("settings")} >= {"data_dir", "port"}
    assert told("keys", "rotate", "secrets") == [{"secrets": 0}]
    (chain,) = told("audit", "verify")
    assert (chain["tenant"], chain["wrong"]) == (TENANT, None)
    exported = told("audit", "export")
    assert len(exported) == chain["entries"]
    (file,) = told("audit", "export", "--format", "csv", "--output", str(tmp_path / "audit.csv"))
    assert (file["entries"], file["format"]) == (chain["entries"], "csv")
    assert "entries are written to" in typed_here("audit", "export", *data, "--output", tmp_path / "audit.jsonl").stdout
    assert typed_here("audit", "export", *data, "--format", "csv", "--json").status == 2
    assert told("device", "list", "--tenant", TENANT) == []
    assert {one["check"] for one in told("doctor")} >= {"settings", "database", "issuers"}
    assert told("freshness") == []
    assert told("backup", str(tmp_path / "backup"))[0]["files"] >= 0
    data = ["--data-dir", str(tmp_path / "other")]
    assert told("restore", str(tmp_path / "backup"))[0]["dataDir"] == str(tmp_path / "other")
    assert "entries, whole" in typed_here("audit", "verify", *data).stdout
