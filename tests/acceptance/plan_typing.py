"""Commands about one profile, typed against a real server, also on a terminal."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
import sys
import termios
from pathlib import Path

from .house import Json, Profile, command


class Typed:
    """Commands about one profile."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        server = profile.tenant.server
        self._where = ["--profile", profile.id, "--server", server.base, "--data-dir", str(server.data)]

    def __call__(
        self, name: str, *arguments: str | Path, expect: int = 0, user: str = "ada@skole.example"
    ) -> subprocess.CompletedProcess[str]:
        done = command(*self.words(name, *arguments, user=user))
        assert done.returncode == expect, f"{name} -> {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        if expect == 2:
            assert done.stderr.strip(), done
        return done

    def words(self, name: str, *arguments: str | Path, user: str = "ada@skole.example") -> list[str]:
        """What is typed behind `schoolsync`."""
        return [name, *map(str, arguments), *self._where, "--tenant", self.profile.tenant.id, "--user", user]

    def json(self, name: str, *arguments: str | Path, expect: int = 0) -> Json:
        answer: Json = json.loads(self(name, *arguments, "--json", expect=expect).stdout)
        return answer


def on_a_terminal(typed: Typed, *words: str | Path) -> tuple[int, str, list[str]]:
    """Status, answer and what was drawn one after the other in the moving line of a terminal of 100 columns."""
    screen, line = pty.openpty()
    termios.tcsetwinsize(line, (24, 100))
    with subprocess.Popen(
        [sys.executable, "-m", "schoolsync", *typed.words(*map(str, words))],
        stdout=subprocess.PIPE,
        stderr=line,
        text=True,
        env={**os.environ, "TERM": "xterm", "PYTHONUTF8": "1"},
    ) as process:
        os.close(line)
        drawn = b""
        with contextlib.suppress(OSError):  # how a terminal says that nobody writes to it any more
            while piece := os.read(screen, 65536):
                drawn += piece
        os.close(screen)
        out, _ = process.communicate()
    return process.returncode, out, drawn.decode().split("\r")
