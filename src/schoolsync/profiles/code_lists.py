"""What an installation adds to the code lists: a TOML file with a table for each list (setting `code_lists`)."""

from __future__ import annotations

import tomllib
from pathlib import Path

from schoolsync.errors import UsageError
from schoolsync.roster import codes


def load(path: Path | None) -> dict[str, dict[str, str]]:
    """The words of the file, by list. Raises UsageError with what is wrong in it."""
    if path is None:
        return {}
    try:
        found = tomllib.loads(path.read_text("utf-8"))
    except OSError as problem:
        raise UsageError(f"The code lists {path} cannot be read: {problem.strerror}.") from problem
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise UsageError(f"The code lists {path} are not valid TOML: {problem}.") from problem
    for name, words in found.items():
        if not isinstance(words, dict) or not all(isinstance(code, str) for code in words.values()):
            raise UsageError(f"The code lists {path}: “{name}” must be a table of words and the codes they mean.")
    codes.lists(found)
    return found
