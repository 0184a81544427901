"""The pictures of the console in docs/console.md: taken by the browser's tests, and compared by them ever after.

What no two runs have in common (times, durations, ids) is written over with something that stays before a picture is
taken. Both pictures are laid under one grid, and hardly a cell of it may be lighter or darker than before. A machine
whose fonts are others draws other letters: there the pages' sizes alone are compared.
"""

from __future__ import annotations

import base64
import os
from pathlib import Path

from playwright.sync_api import Page

from schoolsync.console.page_list import PICTURES

FOLDER = Path(__file__).parents[2] / "docs" / "pictures"
FONTS = FOLDER / "fonts.txt"
"""How wide the letters were when the pictures were taken."""
WIDE = 0.02
"""Part of its height by which a page may be longer or shorter; with other fonts ten times as much."""
CELLS = 0.005
"""Part of the cells that may differ."""

_STILL = """() => {
  const kept = window.stillTexts = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const node = texts.currentNode, before = node.data;
    const time = node.parentElement.closest("time");
    node.data = time ? (/UTC/.test(before) ? "26 Nov 2026, 06:00:00 UTC" : "2 hours ago") : before
      .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, "8a7b6c5d-4e3f-4a2b-9c1d-0e9f8a7b6c5d")
      .replace(/\\b\\d+([.,]\\d+)? (s|seconds?)\\b/g, "1 s");
    if (node.data !== before) kept.push([node, before]);
  }
}"""
_LETTERS = """() => {
  const place = new OffscreenCanvas(1, 1).getContext("2d");
  const fonts = ["body", "h1", "code"].map(name => {
    const made = document.body.appendChild(document.createElement(name)), style = getComputedStyle(made);
    const font = `${style.fontWeight} 100px ${style.fontFamily}`;
    made.remove();
    return font;
  });
  return fonts.map(font => {
    place.font = font;
    return place.measureText("Hamburgefonstiv Åøß 0123").width.toFixed(2);
  });
}"""
_MOVING = "() => window.stillTexts.forEach(([node, before]) => { node.data = before })"
_DIFFERENCE = """async pictures => {
  const CELL = 16;
  const [one, other] = await Promise.all(pictures.map(async data => {
    const image = new Image();
    image.src = "data:image/png;base64," + data;
    await image.decode();
    return image;
  }));
  const wide = Math.abs(one.height - other.height) / Math.max(one.height, other.height);
  if (one.width !== other.width) return {wide: 1, cells: 1};
  const columns = Math.ceil(one.width / CELL), rows = Math.ceil(Math.min(one.height, other.height) / CELL);
  const [mine, theirs] = [one, other].map(image => {
    const canvas = new OffscreenCanvas(columns * CELL, rows * CELL), place = canvas.getContext("2d");
    place.drawImage(image, 0, 0);
    const pixels = place.getImageData(0, 0, columns * CELL, rows * CELL).data, cells = new Float64Array(columns * rows);
    for (let y = 0; y < rows * CELL; y++) for (let x = 0; x < columns * CELL; x++) {
      const at = 4 * (y * columns * CELL + x);
      const light = .3 * pixels[at] + .6 * pixels[at + 1] + .1 * pixels[at + 2];
      cells[Math.floor(y / CELL) * columns + Math.floor(x / CELL)] += light / CELL / CELL;
    }
    return cells;
  });
  return {wide, cells: mine.filter((light, at) => Math.abs(light - theirs[at]) > 8).length / mine.length};
}"""


def take(page: Page, path: Path) -> None:
    """A picture of the whole page; one that the docs show has nothing in it that passes."""
    name = path.stem
    if name not in PICTURES:
        page.screenshot(path=path, full_page=True)
        return
    page.evaluate(_STILL)
    taken = page.screenshot(path=path, full_page=True, animations="disabled")
    page.evaluate(_MOVING)
    letters = " ".join(page.evaluate(_LETTERS))
    kept = FOLDER / path.name
    if os.environ.get("TAKE_PICTURES"):
        FOLDER.mkdir(exist_ok=True)
        kept.write_bytes(taken)
        FONTS.write_text(letters + "\n")
        return
    assert kept.is_file(), f"docs/pictures has no {path.name}: `make pictures` takes it"
    wide, cells = difference(page, kept.read_bytes(), taken)
    same = FONTS.read_text().strip() == letters
    assert (wide <= WIDE and cells <= CELLS) if same else wide <= 10 * WIDE, (
        f"{name} does not look as in docs/pictures: {cells:.1%} of its cells differ, its height by {wide:.1%}. "
        f"Compare it with {path}; `make pictures` takes the pictures anew."
    )


def difference(page: Page, one: bytes, other: bytes) -> tuple[float, float]:
    """How far the heights of two pictures are apart, and how many of their cells; as parts of one."""
    blank = page.context.new_page()
    try:
        found = blank.evaluate(_DIFFERENCE, [base64.b64encode(data).decode() for data in (one, other)])
    finally:
        blank.close()
    return float(found["wide"]), float(found["cells"])
