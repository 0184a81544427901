"""Points in time as Graph keeps them: 100-nanosecond ticks.

A tick count is the number of 100 ns intervals since 0001-01-01T00:00:00Z, which is what seven fractional digits
can hold; Python's `datetime` keeps only six and would change a value on its way through. Nothing here reads a clock.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

PER_SECOND = 10_000_000
_FIRST = datetime(1, 1, 1)  # noqa: DTZ001  (UTC; nothing is said of it in texts)
_EPOCH = _FIRST.replace(tzinfo=UTC)
UNIX_EPOCH = (datetime(1970, 1, 1, tzinfo=UTC) - _EPOCH).days * 86_400 * PER_SECOND
_MAX = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
_SHAPE = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,7}))?)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def parse(text: str) -> int:
    """Ticks of an Edm.DateTimeOffset text. Raises ValueError with a sentence when it is not one.

    The offset is required, at most seven fractional digits are allowed (OData 4.0 ABNF, dateTimeOffsetValue).
    """
    match = _SHAPE.fullmatch(text)
    if match is None:
        raise ValueError("expected a date and time with an offset, such as 2026-01-31T08:00:00Z")
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    try:
        moment = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second or 0), tzinfo=UTC)
    except ValueError:
        raise ValueError("there is no such date or time") from None
    shift = timedelta()
    if offset not in "Zz":
        hours, minutes = int(offset[1:3]), int(offset[4:6])
        if hours > 14 or minutes > 59:
            raise ValueError("the offset is out of range")
        shift = timedelta(hours=hours, minutes=minutes) * (-1 if offset[0] == "-" else 1)
    seconds = (moment - _EPOCH - shift) // timedelta(seconds=1)
    if not 0 <= seconds <= (_MAX - _EPOCH) // timedelta(seconds=1):
        raise ValueError("the moment is out of range")
    return seconds * PER_SECOND + int((fraction or "").ljust(7, "0"))


def text(ticks: int) -> str:
    """The UTC text of `ticks` with `Z`, without trailing zeros in the fraction."""
    seconds, fraction = divmod(ticks, PER_SECOND)
    whole = (_FIRST + timedelta(seconds=seconds)).isoformat()
    return whole + (f".{fraction:07}".rstrip("0") if fraction else "") + "Z"


def of(moment: datetime) -> int:
    """Ticks of an aware `datetime`."""
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * PER_SECOND + delta.microseconds * 10


def moment(ticks: int) -> datetime:
    """The aware UTC `datetime` of `ticks`, cut to microseconds."""
    return _EPOCH + timedelta(microseconds=ticks // 10)


def zone(name: str) -> tzinfo:
    """The time zone of that name. Raises ZoneInfoNotFoundError or ValueError; UTC needs no database of them."""
    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except OSError as problem:  # the name of a folder of them, such as Europe, or one that is no name of a file
        raise ZoneInfoNotFoundError(name) from problem


def midnight(day: date, time_zone: str) -> int:
    """When a day begins in a time zone, in ticks."""
    return of(datetime.combine(day, time.min, zone(time_zone)))


def day(ticks: int, time_zone: str) -> date:
    """The day that it is in a time zone."""
    return moment(ticks).astimezone(zone(time_zone)).date()
