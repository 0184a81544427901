"""Structured logs on standard error: one JSON line per event, never a name, an address or a secret.

Of an exception its class and its places are told: messages of databases and parsers quote people's data. A line that
cannot be written (the log is on a full disk) is lost and disturbs nobody.
"""

from __future__ import annotations

import contextlib
import io
import logging
import re
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

_KIND = re.compile(r"^([A-Za-z_][\w.]*)(?::|$)", re.MULTILINE)
FRAMES = 12
"""How many places an exception came through are told, the innermost last."""


class _Lossy:
    """A text stream whose failures are nobody's business."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()


def _standard_error() -> TextIO:
    """Standard error without a buffer: what a full disk refuses would wait in one and fail again at the exit."""
    if sys.stderr is not sys.__stderr__ or sys.stderr is None:
        return sys.stderr
    raw = io.FileIO(sys.stderr.fileno(), "w", closefd=False)
    return io.TextIOWrapper(raw, "utf-8", "backslashreplace", write_through=True)


def places(error: BaseException) -> list[str]:
    """Where an error came through, innermost last; without any value."""
    found = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)]
    return found[-FRAMES:]


def _located(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: an exception becomes its class and its places."""
    given = event.pop("exc_info", None)
    if given is True:
        given = sys.exc_info()
    error = given[1] if isinstance(given, tuple) else given
    if isinstance(error, BaseException):
        event["error"] = type(error).__name__
        event["at"] = places(error)
    return event


def _without_traces(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: of a traceback that a library put into its message, the class of the last error stays."""
    said, mark, trace = str(event.get("event", "")).partition("Traceback (most recent call last)")
    if mark:
        kinds = _KIND.findall(trace)
        event["event"] = said.rstrip(": \n")
        event["error"] = kinds[-1].rpartition(".")[2] if kinds else None
    return event


def configure(level: str, process: str) -> None:
    """Log from `level` on, every line marked with the process it comes from."""
    number = logging.getLevelNamesMapping()[level.upper()]
    stream = _Lossy(_standard_error())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _located,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(stream),  # type: ignore[arg-type]  # it writes and flushes
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(process=process)
    # Libraries speak through `logging`: only what they worry about is passed on, in the same shape.
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _located,
                _without_traces,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
        )
    )
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[handler], force=True)
