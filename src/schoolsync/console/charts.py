"""Small charts, drawn on the server as SVG: no script, no colours of their own, a sentence for who cannot see them."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

WIDTH, HEIGHT, EDGE = 120, 28, 3


def line(values: Sequence[float | None], *, label: str, width: int = WIDTH, height: int = HEIGHT) -> Markup:
    """How a number went; where it is not known the line is broken."""
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return Markup("")
    low, high = min(known), max(known)
    reach = (high - low) or 1
    step = (width - 2 * EDGE) / max(1, len(values) - 1)
    parts, pen = [], "M"
    last = (0.0, 0.0)
    for place, value in enumerate(values):
        if value is None:
            pen = "M"
            continue
        flat = 0.5 if high == low else (value - low) / reach
        last = (EDGE + place * step, height - EDGE - flat * (height - 2 * EDGE))
        parts.append(f"{pen}{last[0]:.1f} {last[1]:.1f}")
        pen = "L"
    return Markup(
        '<svg class="chart line" role="img" aria-label="{label}" viewBox="0 0 {w} {h}" width="{w}" height="{h}">'
        '<path d="{path}" fill="none" stroke="currentColor" stroke-width="2" stroke-linejoin="round"'
        ' stroke-linecap="round"/><circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="currentColor"/></svg>'
    ).format(label=label, w=width, h=height, path="".join(parts), x=last[0], y=last[1])


def bars(values: Sequence[int], *, label: str, width: int = WIDTH, height: int = HEIGHT) -> Markup:
    """Counts side by side; nothing is drawn for zero but a trace."""
    if not values:
        return Markup("")
    high = max(values) or 1
    step = (width - 2 * EDGE) / len(values)
    drawn = "".join(
        f'<rect x="{EDGE + place * step:.1f}" y="{height - EDGE - _tall(value, high, height):.1f}" '
        f'width="{max(1.0, step - 2):.1f}" height="{_tall(value, high, height):.1f}" rx="1" fill="currentColor"/>'
        for place, value in enumerate(values)
    )
    head = Markup(
        '<svg class="chart bars" role="img" aria-label="{label}" viewBox="0 0 {w} {h}" width="{w}" height="{h}">'
    ).format(label=label, w=width, h=height)
    return head + Markup(drawn) + Markup("</svg>")  # noqa: S704  # numbers alone


def _tall(value: int, high: int, height: int) -> float:
    return 1.0 if not value else max(2.0, value / high * (height - 2 * EDGE))
