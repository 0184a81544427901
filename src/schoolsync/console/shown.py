"""How values look on a page, in the language of the reader: numbers, times, ages, amounts of time.

Points in time come as our own API writes them (ISO 8601 in UTC). On the page they stand in a `time` element, which a
script turns into the reader's own time zone; without scripts they are in UTC and say so.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from babel.dates import format_datetime, format_timedelta
from babel.numbers import format_decimal, format_percent
from markupsafe import Markup, escape

from schoolsync import ticks


class Shown:
    """The formats of one language at one moment."""

    def __init__(self, language: str, now: int) -> None:
        self._language = language
        self._now = ticks.moment(now)

    def number(self, value: float | None) -> str:
        """A count or a rate."""
        return "–" if value is None else format_decimal(round(value), locale=self._language)

    def percent(self, part: float) -> str:
        """A part of one."""
        return format_percent(part, locale=self._language)

    def when(self, text: str | None) -> Markup:
        """A point in time, whole."""
        if text is None:
            return Markup("–")
        moment = _read(text)
        words = format_datetime(moment, "medium", locale=self._language)
        return Markup('<time datetime="{}">{} UTC</time>').format(text, escape(words))

    def ago(self, text: str | None) -> Markup:
        """How long ago a point in time is, or in how long it comes."""
        if text is None:
            return Markup("–")
        moment = _read(text)
        words = format_timedelta(moment - self._now, add_direction=True, locale=self._language)
        exact = format_datetime(moment, "medium", locale=self._language)
        return Markup('<time datetime="{}" title="{} UTC" data-age>{}</time>').format(text, exact, words)

    def lasting(self, seconds: float | None) -> str:
        """An amount of time."""
        if seconds is None:
            return "–"
        if seconds < 1:
            return f"{format_decimal(round(seconds, 1), locale=self._language)} s"
        return format_timedelta(timedelta(seconds=round(seconds)), threshold=1.5, locale=self._language)

    def size(self, octets: int) -> str:
        """An amount of bytes."""
        value, unit = float(octets), "B"
        for larger in ("kB", "MB", "GB", "TB"):
            if value < 1000:
                break
            value, unit = value / 1000, larger
        return f"{format_decimal(round(value, 1), locale=self._language)} {unit}"


def _read(text: str) -> datetime:
    return ticks.moment(ticks.parse(text)).astimezone(UTC)
