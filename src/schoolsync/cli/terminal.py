"""What a command shares with the terminal or program that began it: its streams, and one line for what was mistyped."""

from __future__ import annotations

import os
import sys
from typing import Any

import typer

MISTYPED: Any = typer.BadParameter.__mro__[2]
"""What Typer raises for whatever is wrong with words that were typed; it has no public name."""


def mistyped(problem: Any) -> int:
    """Say in one line what is wrong with the words that were typed; the help, where there were none."""
    if type(problem).__name__ == "NoArgsIsHelpError":
        problem.show()
    else:
        path = problem.ctx.command_path if getattr(problem, "ctx", None) is not None else "schoolsync"
        said = " ".join(problem.format_message().replace("Value error, ", "").split())
        said = said if said.endswith("?") else f"{said.removesuffix('.')}."
        print(f"schoolsync: {said} `{path} --help` says what can be typed.", file=sys.stderr)
    return int(problem.exit_code)


def open_closed_streams() -> None:
    """What was closed before the command began (`>&-`) leads nowhere: else the next file that is opened takes its place
    and gets what is meant for it."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # which takes the lowest number that is free
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115  stays open to the end
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def written() -> None:
    """Let the answer go where it is read; that there is no room for it is one sentence, and status 2."""
    try:
        sys.stdout.flush()
    except OSError as problem:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python would try once more at its end
        if isinstance(problem, BrokenPipeError):  # whoever reads it has seen enough
            sys.exit(1)
        print(f"schoolsync: The answer could not be written: {problem.strerror}.", file=sys.stderr)
        sys.exit(2)
