"""What people read in German of the sentences that the rest of the house says: no English may be left in it.

Tests that see such sentences anyway (findings, verdicts, plans, answers of our own API) hand them to `assert_german`.
So a sentence that is added in a place that the catalogues are not made from is found by whatever makes it first.
"""

from __future__ import annotations

import re
from typing import Any

from schoolsync.console import catalogue

_ENGLISH = re.compile(
    r"\b(the|is|are|has|have|been|cannot|must|would|this|that|which|nothing|again|were|does|did|of|and|with"
    r"|from|not|its|their|for|be)\b",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"„[^“]*“|“[^”]*”|`[^`]*`|\S*[._/@]\S*\w|(Abgebrochen|Verworfen) von .*?: .*?(?:\.|$)")
_SAID = frozenset({"message", "sentence", "statusMessage", "hint", "answer", "notes", "problem", "errorMessage"})
"""Members of answers that are sentences of ours."""


def english_in(text: str) -> list[str]:
    """English words that a German reader still finds in a sentence; what is quoted, and names of files, are none."""
    sentences = catalogue.sentences("de")
    assert sentences is not None
    return [found[0] for found in _ENGLISH.finditer(_QUOTED.sub("", sentences.tell(text) or text))]


def assert_german(*texts: str | None) -> None:
    """No English is left in any of the sentences."""
    sentences = catalogue.sentences("de")
    assert sentences is not None
    for text in filter(None, texts):
        assert not english_in(text), f"in German: {sentences.tell(text)!r}: {text!r}"


def assert_answer_german(answer: Any) -> None:  # JSON
    """The same of every sentence in an answer of our own API."""
    if isinstance(answer, list):
        for one in answer:
            assert_answer_german(one)
    elif isinstance(answer, dict):
        for name, value in answer.items():
            if name in _SAID:
                assert_german(*(value if isinstance(value, list) else (value,)) if not isinstance(value, dict) else ())
            assert_answer_german(value)
