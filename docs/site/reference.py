"""The reference of the site, made from the code at every build: it cannot be stale, and has all that there is.

Commands from their own help, settings, rules, routes and metrics from their tables, states from their enumerations,
events from the calls that write them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

import typer.main

import schoolsync
from schoolsync.api.route import ROOT as OWN
from schoolsync.api.routes import ROUTES as OWN_ROUTES
from schoolsync.cli.app import app
from schoolsync.console.routes import ROOT as CONSOLE
from schoolsync.console.routes import ROWS as CONSOLE_ROUTES
from schoolsync.graph.routes import ROUTES as GRAPH_ROUTES
from schoolsync.profiles.states import State
from schoolsync.profiles.status import Status
from schoolsync.roster.rules import RULES
from schoolsync.runs.metrics import METRICS
from schoolsync.runs.states import Cause, HeldFor, RunState
from schoolsync.settings import PREFIX, Settings

LEVELS = {"debug", "info", "warning", "error", "exception"}


def pages() -> dict[str, str]:
    """Every page by its name."""
    return {
        "commands": _commands(),
        "settings": _settings(),
        "rules": _rules(),
        "states": _states(),
        "routes": _routes(),
        "metrics": _metrics(),
        "events": _events(),
    }


def table(head: Sequence[str], rows: Iterator[Sequence[object]] | Sequence[Sequence[object]]) -> str:
    """A table; bars inside of cells are kept from ending them."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def commands() -> Iterator[tuple[str, Any]]:
    """Every command, as it is typed."""

    def look(command: Any, name: str) -> Iterator[tuple[str, Any]]:
        children = getattr(command, "commands", None)
        if not children:
            yield name, command
            return
        for child, inner in sorted(children.items()):
            yield from look(inner, f"{name} {child}")

    yield from look(typer.main.get_command(app), "schoolsync")


def _commands() -> str:
    parts = ["# Commands\n\nExplained in [commands](../docs/commands.md); this is what `--help` knows of each.\n"]
    for name, command in commands():
        parts.append(f"\n## {name}\n\n{(command.help or '').strip()}\n\n")
        rows = [
            (", ".join(f"`{option}`" for option in (*one.opts, *one.secondary_opts)), getattr(one, "help", None) or "")
            for one in command.params
        ]
        if rows:
            parts.append(table(("argument or option", "meaning"), rows))
    return "".join(parts)


def _settings() -> str:
    rows = []
    for one in fields(Settings):
        default = (
            one.default
            if one.default is not MISSING
            else one.default_factory()
            if callable(one.default_factory)
            else ""
        )
        shown = "-" if default in (None, ()) else f"`{str(default).lower() if isinstance(default, bool) else default}`"
        rows.append((f"`{one.name}`", f"`{PREFIX}{one.name.upper()}`", shown, one.metadata["help"]))
    head = "# Settings\n\nHow they are given, and what goes together: [settings](../docs/settings.md).\n\n"
    return head + table(("setting", "environment", "default", "meaning"), rows)


def _rules() -> str:
    rows = [
        (f"`{rule.id}`", f"{rule.severity}{', stops every roster' if rule.fatal else ''}", f"{rule.says} {rule.advice}")
        for rule in RULES.values()
    ]
    head = "# Rules\n\nWhat a roster can break; more in [rules](../docs/rules.md).\n\n"
    return head + table(("rule", "severity", "what is wrong, and what to do"), rows)


def _states() -> str:
    parts = [
        "# States\n\nOf profiles: [profiles](../docs/profiles.md); of runs: [a run](../docs/operations.md#a-run).\n"
    ]
    kinds: dict[str, type[StrEnum]] = {
        "State of a profile": State,
        "Status of a profile": Status,
        "State of a run": RunState,
        "Why a run is held": HeldFor,
        "Why a run was begun": Cause,
    }
    for title, kind in kinds.items():
        parts.append(f"\n## {title}\n\n" + "".join(f"* `{member.value}`\n" for member in kind))
    return "".join(parts)


def _routes() -> str:
    graph = [(f"`{route.method}`", f"`/{route.template.lstrip('/')}`") for route in GRAPH_ROUTES]
    own = [(f"`{route.method}`", f"`/{OWN}/{route.template}`", route.summary) for route in OWN_ROUTES]
    console = [
        (f"`{row.method}`", f"`{CONSOLE}/{row.template}`".replace("/`", "`"), row.summary) for row in CONSOLE_ROUTES
    ]
    return (
        "# Routes\n\nExplained: [Graph's](../docs/routes.md), [ours](../docs/api.md), [console](../docs/console.md).\n"
        "\n## Graph\n\nBelow `/v1.0` and `/beta`.\n\n"
        + table(("method", "path"), graph)
        + "\n## Our own\n\n"
        + table(("method", "path", "what it does"), own)
        + "\n## Console\n\n"
        + table(("method", "path", "what it does"), console)
    )


def _metrics() -> str:
    more = "of the tenant of the token; more in [operations](../docs/operations.md)"
    head = f"# Metrics\n\n`GET /{OWN}/metrics`, {more}.\n\n"
    return head + table(("metric", "kind", "meaning"), [(f"`{one.name}`", one.kind, one.help) for one in METRICS])


def events() -> list[tuple[str, str, str]]:
    """Level, text and module of every event that is logged."""
    found = set()
    home = Path(schoolsync.__file__).parent
    for path in home.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or not node.args:
                continue
            named, said = node.func.value, node.args[0]
            ours = isinstance(named, ast.Name) and named.id in {"log", "_log"}
            if ours and node.func.attr in LEVELS and isinstance(said, ast.Constant) and isinstance(said.value, str):
                level = "error" if node.func.attr == "exception" else node.func.attr
                found.add((level, said.value, ".".join(path.relative_to(home).with_suffix("").parts)))
    return sorted(found, key=lambda one: (one[1], one))


def _events() -> str:
    head = (
        "# Events\n\nWhat the log says, one JSON object a line, with ids alone. `event` has the text, `level` how bad"
        " it is.\n\n"
    )
    return head + table(
        ("event", "level", "where"), [(f"`{text}`", level, f"`{where}`") for level, text, where in events()]
    )
