"""`make docs`: one strict build, whose pages open from disk and whose reference has all that is in the code."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from docs.site import __main__ as site
from docs.site import reference

from schoolsync.api.routes import ROUTES as OWN
from schoolsync.console.routes import ROWS
from schoolsync.graph.routes import ROUTES as GRAPH
from schoolsync.profiles.states import State
from schoolsync.profiles.status import Status
from schoolsync.roster.rules import RULES
from schoolsync.runs.metrics import METRICS
from schoolsync.runs.states import Cause, HeldFor, RunState
from schoolsync.settings import Settings

SOURCE = Path(reference.schoolsync.__file__).parent


class Page(HTMLParser):
    """What a page loads, where it leads, and the places in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.ids |= {given["id"] or ""} if "id" in given else set()
        if tag in {"script", "img", "iframe"} and given.get("src"):
            self.loads.append(given["src"] or "")
        if tag == "link" and given.get("href") and given.get("rel") != "canonical":
            self.loads.append(given["href"] or "")
        if tag == "a" and given.get("href"):
            self.links.append(given["href"] or "")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, str]:
    """Every page of the site, built strictly."""
    target = tmp_path_factory.mktemp("site")
    assert site.main(target) == 0
    return {path: path.read_text("utf-8") for path in target.rglob("*.html")}


def test_it_opens_from_disk_and_every_link_holds(built: dict[Path, str]) -> None:
    """Nothing is loaded from elsewhere; links within the site name files and places that are there."""
    pages = {path.resolve(): Page(text) for path, text in built.items()}
    problems = []
    for path, page in pages.items():
        for wanted in (*page.loads, *page.links):
            parts = urlsplit(wanted)
            if parts.scheme or parts.netloc:
                if wanted in page.loads:
                    problems.append(f"{path.name} loads {wanted}")
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.is_file():
                problems.append(f"{path.name} -> {wanted}")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].ids:
                problems.append(f"{path.name} -> {wanted}: no such place")
    for style in next(iter(built)).parent.parent.rglob("*.css"):
        problems += [f"{style.name} loads {one}" for one in re.findall(r"url\(['\"]?(https?:[^)]+)", style.read_text())]
    assert not problems
    assert len(built) > 40


def test_the_reference_has_all_that_is_in_the_code(built: dict[Path, str]) -> None:
    """Each command with its options, setting, rule, state, route, metric and event is on its page."""

    def shown(name: str) -> str:
        text = next(text for path, text in built.items() if path.parts[-2:] == ("reference", f"{name}.html"))
        return html.unescape(re.sub(r"<[^>]+>", "", text.partition('role="main"')[2]))

    commands = list(reference.commands())
    assert len(commands) > 40
    wanted = {
        "commands": [name for name, _ in commands]
        + [option for _, command in commands for one in command.params for option in one.opts],
        "settings": list(Settings.__dataclass_fields__),
        "rules": list(RULES),
        "states": [member for kind in (State, Status, RunState, HeldFor, Cause) for member in kind],
        "routes": [route.template for route in (*GRAPH, *OWN, *ROWS)],
        "metrics": [one.name for one in METRICS],
        "events": [
            event
            for path in SOURCE.rglob("*.py")
            for event in re.findall(
                r"\blog\.(?:info|warning|error|exception)\(\s*\"([^\"{]+)\"", path.read_text("utf-8")
            )
        ],
    }
    for name, values in wanted.items():
        text = shown(name)
        assert values
        assert not [value for value in values if str(value) not in text], name
        assert not re.search(r"\bTrue\b|\bNone\b|<class", text), name


def test_an_anchor_that_is_not_there_fails_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Strictness is real: one place that is not there is enough."""
    whole = reference.pages()
    wrong = whole | {"metrics": whole["metrics"] + "\n[x](../docs/operations.md#nowhere-at-all)\n"}
    monkeypatch.setattr(reference, "pages", lambda: wrong)
    assert site.main(tmp_path / "site") == 1
