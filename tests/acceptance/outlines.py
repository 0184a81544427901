"""The outline of every page that the browser's tests look at: which parts it has, in which order, under which headings,
and which columns of the page they take. Kept in `outlines/`, one text a page and device, and compared ever after.

It says nothing about letters and colours, so it is the same on every machine, whatever its fonts. Of a list or a table
the first entry stands for all; numbers, times and ids are not told. `make pictures` writes the outlines anew.
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from playwright.sync_api import Page

FOLDER = Path(__file__).parent / "outlines"

_OUTLINE = """() => {
  const PARTS = "header, nav, main, footer, section, form, fieldset, h1, h2, h3, ul, ol, dl, table, figure, svg, " +
    "pre, details, summary, legend, label, input:not([type=hidden]), select, textarea, button, a.button, progress, " +
    "[role=alert], [role=status]";
  const PLACED = "main, section, fieldset, textarea, header, footer"; // as wide as the page gives, whatever is in them
  const SAID = "h1, h2, h3, legend, label, summary, button, a.button";
  const wide = document.documentElement.clientWidth;
  const seen = (part) => part.checkVisibility({ checkVisibilityCSS: true }) && part.getBoundingClientRect().height > 0;
  const repeated = (part) => {
    const entry = part.closest("li:not(:first-child), tbody tr:not(:first-child)");
    return entry && !entry.closest("nav");
  };
  const said = (part) => part.innerText.replace(/[0-9a-f-]{36}|\\d+/g, "0").replace(/\\s+/g, " ").trim().slice(0, 60);
  const lines = [];
  for (const part of document.body.querySelectorAll(PARTS)) {
    if (!seen(part) || repeated(part)) continue;
    let depth = 0;
    for (let above = part.parentElement; above; above = above.parentElement) depth += above.matches(PARTS);
    let line = "  ".repeat(depth) + part.tagName.toLowerCase();
    if (part.matches("input")) line += ` ${part.type}`;
    if (part.matches(PLACED)) {
      const box = part.getBoundingClientRect();
      line += ` ${Math.round(12 * box.left / wide)}-${Math.round(12 * box.right / wide)}`;
    }
    if (part.matches("[role=alert], [role=status]")) line += ` ${part.getAttribute("role")}`;
    if (part.matches("[aria-invalid=true]")) line += " invalid";
    if (part.matches(SAID)) line += ` ${said(part)}`;
    lines.push(line.trimEnd());
  }
  return lines;
}"""


def compare(page: Page, name: str) -> None:
    """Hold a page to its outline, or write that when pictures are taken. `name` is the page's, with the device."""
    found = page.evaluate(_OUTLINE)
    kept = FOLDER / f"{name}.txt"
    if os.environ.get("TAKE_PICTURES"):
        FOLDER.mkdir(exist_ok=True)
        kept.write_text("\n".join(found) + "\n", "utf-8")
        return
    assert kept.is_file(), f"tests/acceptance/outlines has no {kept.name}: `make pictures` writes it"
    wanted = kept.read_text("utf-8").splitlines()
    changed = "\n".join(difflib.unified_diff(wanted, found, "as it was", "as it is", lineterm="", n=2))
    assert not changed, f"{name} is laid out otherwise; when that is meant, `make pictures` writes it anew:\n{changed}"
