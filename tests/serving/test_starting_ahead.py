"""A server in memory loads before the command line has been read, and leaves nothing where it is not needed."""

from __future__ import annotations

import subprocess
import sys

import psutil

SERVE = [sys.executable, "-m", "schoolsync", "serve", "--memory"]


def _words_of(process: subprocess.Popen[str]) -> list[list[str]]:
    return [child.cmdline() for child in psutil.Process(process.pid).children()]


def test_a_server_in_memory_has_one_process_that_was_started_ahead() -> None:
    """What was started before the command line was read is what serves: nothing is started twice."""
    process = subprocess.Popen([*SERVE, "--port", "0"], stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        assert "schoolsync serves http" in process.stderr.readline()
        (words,) = _words_of(process)
        assert words[-1] == "schoolsync.serving.memory"
    finally:
        process.terminate()
        process.wait(20)
        process.stderr.close()


def test_a_server_that_is_refused_says_one_sentence_and_leaves_no_process() -> None:
    """What was started ahead ends with a command that was wrong, without a word."""
    command = [*SERVE, "--seed-roster", "no-such-roster", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said = process.communicate(timeout=60)  # standard error ends with the last process that has it
    assert (process.returncode, said) == (2, ("", "schoolsync: There is no roster at no-such-roster.\n"))
