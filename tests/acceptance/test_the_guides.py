"""The tutorial and the guides: their shell blocks, run as they are written, in the order of the pages."""

from __future__ import annotations

import re
import shutil
from importlib import resources
from pathlib import Path

import pytest

from .house import Server, Tenant
from .test_the_readme import run

DOCS = Path(__file__).parents[2] / "docs"
SERVE = "schoolsync serve --data-dir ./data --port 8080 &\n"
ON_THE_TUTORIAL = (
    *("first-district", "many-districts", "matching", "rollover", "monitoring", "postgresql", "backup"),
    "upgrade",
)
"""Guides that go on where the tutorial has ended, in the same shell."""


def blocks(page: str) -> str:
    return "\n".join(re.findall(r"^```sh\n(.*?)^```$", (DOCS / page).read_text("utf-8"), re.DOTALL | re.MULTILINE))


def test_the_tutorial_and_the_guides(server: Server, tenant: Tenant, tmp_path: Path, database: dict[str, str]) -> None:
    """From the first block of the tutorial to the last of the guides nothing fails; only the server runs already."""
    with resources.as_file(resources.files("schoolsync.testing") / "demo_roster") as roster:
        shutil.copytree(roster, tmp_path / "roster")
    tutorial = blocks("tutorial.md")
    assert SERVE in tutorial
    guides = [f"echo '=== {name}'\n{blocks(f'guides/{name}.md')}" for name in ON_THE_TUTORIAL]
    script = "\n".join([tutorial.replace(SERVE, ""), *guides])
    for written, ours in (
        ("/tmp/", f"{tmp_path}/"),
        ("http://127.0.0.1:8080", server.base),
        ("./data", str(server.data)),
        ("11111111-2222-4333-8444-555555555555", tenant.id),
    ):
        assert written in script
        script = script.replace(written, ours)
    environment = {f"SCHOOLSYNC_{name.upper()}": str(value) for name, value in database.items()}
    shown = run(["bash", "-euo", "pipefail", "-c", script], tmp_path, **environment)
    told = re.findall(r'"status":"(\w+)"', shown.partition("=== ")[0])
    assert told == ["ready", "success", "validationError", "success", "success"]


@pytest.mark.parametrize("page", sorted(path.name for path in (DOCS / "guides").glob("*.md")))
def test_every_guide_is_linked_and_run(page: str) -> None:
    """Each guide stands in the list of guides; one with shell blocks is among those that are run."""
    if page == "README.md":
        return
    assert f"({page})" in (DOCS / "guides" / "README.md").read_text("utf-8")
    assert not blocks(f"guides/{page}") or page.removesuffix(".md") in ON_THE_TUTORIAL
