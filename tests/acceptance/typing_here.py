"""Commands typed in the process of the tests, for those that need many of them."""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path

import pytest

from schoolsync.cli import main


@dataclass(frozen=True)
class Said:
    """What a command has printed, and its exit status."""

    status: int
    stdout: str
    stderr: str


def typed_here(*words: str | Path, **environment: str) -> Said:
    """A command in this process, as the installed script runs it: starting one for each costs half a second."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["schoolsync", *map(str, words)])
        for name, value in environment.items():
            patch.setenv(name, value)
        try:
            status = copy_context().run(main)
        except SystemExit as end:
            status = int(end.code or 0)
    return Said(status, out.getvalue(), err.getvalue())
