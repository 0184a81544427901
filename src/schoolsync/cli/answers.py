"""How a command answers: in words for a person, or with `--json` as one object a line for a script.

The option notes what was chosen and `tell` heeds it, so that a command says each thing once, in both forms.
"""

from __future__ import annotations

import json as encoding
from contextvars import ContextVar
from typing import Annotated

import typer

_as_json: ContextVar[bool] = ContextVar("as_json", default=False)


def _noted(chosen: bool) -> bool:
    _as_json.set(chosen)
    return chosen


AsJson = Annotated[bool, typer.Option("--json", callback=_noted, help="Print JSON, one object a line.")]


def tell(*words: str, **facts: object) -> None:
    """Print lines for a person, or the facts in them as one JSON object; what has no words is for scripts alone."""
    if _as_json.get():
        print(encoding.dumps(facts, ensure_ascii=False))
        return
    for line in words:
        print(line)
