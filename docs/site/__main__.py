"""`make docs`: README, docs/ and figures as a site that opens from disk, with a reference made from the code.

Everything is copied into one folder in the layout of the repository, so that links between pages hold as they are, and
built strictly: a link or an anchor that leads nowhere fails the build. Nothing is fetched, then or by a reader later.
"""

from __future__ import annotations

import logging
import re
import shutil
import sys
import tempfile
import unicodedata
from pathlib import Path
from typing import Any

from docs.site import reference
from mkdocs.commands.build import build
from mkdocs.config import load_config
from mkdocs.exceptions import Abort

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE")
FOLDERS = ("docs", "benchmarks")
KINDS = {".md", ".png", ".svg"}


def stage(folder: Path) -> None:
    """Copy all that is a page or a picture, and write the reference."""
    for name in PAGES:
        shutil.copy(ROOT / name, folder / name)
    for name in FOLDERS:
        for path in sorted((ROOT / name).rglob("*")):
            if path.suffix in KINDS and path.is_file():
                target = folder / path.relative_to(ROOT)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)
    (folder / "reference").mkdir()
    for name, text in reference.pages().items():
        (folder / "reference" / f"{name}.md").write_text(text, "utf-8")
    for path in folder.rglob("*.md"):
        path.write_text(_as_markdown(with_figures(path.read_text("utf-8"), folder)), "utf-8")


def _as_markdown(text: str) -> str:
    """Lists that follow a paragraph at once are lists to some readers alone: a blank line makes them one to all."""
    lines, fenced = [], False
    for line in text.splitlines():
        if line.startswith("```"):
            fenced = not fenced
        before = lines[-1] if lines else ""
        begins = re.match(r"(\* |- |1\. )", line) is not None
        if begins and not fenced and before.strip() and not re.match(r"(\s*\* |\s*- |\s*\d+\. |  )", before):
            lines.append("")
        lines.append(line)
    return "\n".join(lines) + "\n"


def whole(nav: list[Any], folder: Path) -> list[Any]:
    """The order of the pages, with those that it does not name behind the others: none is forgotten."""
    named: set[str] = set()

    def look(entries: list[Any]) -> None:
        for entry in entries:
            for value in entry.values():
                if isinstance(value, str):
                    named.add(value)
                else:
                    look(value)

    look(nav)
    more = sorted({path.relative_to(folder).as_posix() for path in folder.rglob("*.md")} - named)
    return [*nav, {"More": [{_title(folder / name): name} for name in more]}] if more else nav


def _title(page: Path) -> str:
    found = re.search(r"^# (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return found[1] if found else page.stem


def with_figures(text: str, folder: Path) -> str:
    """A page whose marks `<!-- figures: FILE -->` have become the tables of these files."""

    def tables(found: re.Match[str]) -> str:
        lines = (folder / found[1]).read_text("utf-8").splitlines()
        return "\n".join(line for line in lines if not line.startswith("# "))

    return re.sub(r"<!-- figures: (\S+) -->", tables, text)


def slug(text: str, separator: str) -> str:
    """The anchor of a heading, as the places where the repository is read make it."""
    kept = [
        letter for letter in unicodedata.normalize("NFC", text).strip().lower() if letter.isalnum() or letter in " -_"
    ]
    return "".join(kept).replace(" ", separator)


def main(target: Path) -> int:
    """Build the site into a folder; 0 when every link holds."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s", stream=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        stage(Path(folder))
        config = load_config(
            config_file=str(Path(__file__).with_name("mkdocs.yml")),
            docs_dir=folder,
            site_dir=str(target),
            strict=True,
        )
        config["nav"] = whole(config["nav"], Path(folder))
        config["mdx_configs"]["toc"] = {"slugify": slug, "permalink": "#"}
        try:
            build(config)
        except Abort as problem:
            print(problem.message, file=sys.stderr)
            return 1
    (target / "404.html").unlink(missing_ok=True)  # for servers alone, with addresses that only they have
    print(f"Open {target / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build" / "docs").absolute()))
