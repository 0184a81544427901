"""What people read in German of the sentences that the rest of the house says: no English may be left in it.

Tests that see such sentences anyway (findings, verdicts, plans, answers of our own API) hand them to `assert_german`.
So a sentence that is added in a place that the catalogues are not made from is found by whatever makes it first.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

from schoolsync.console import catalogue

_ENGLISH = re.compile(
    r"\b(the|is|are|has|have|been|cannot|must|would|this|that|which|nothing|again|were|does|did|of|and|with"
    r"|from|not|its|their|for|be)\b",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"„[^“]*“|“[^”]*”|`[^`]*`|\S*[._/@]\S*\w|Head of \d+|(Abgebrochen|Verworfen) von .*?: .*?(?:\.|$)")
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


def english_on(page: str) -> list[str]:
    """Pieces of the visible text of a German page that are English, or are marked as what no catalogue knows."""
    reader = _Visible()
    reader.feed(page[page.index("<body") :])
    return [text for text in reader.texts if _ENGLISH.search(_QUOTED.sub("", text))] + reader.unknown


class _Visible(HTMLParser):
    """The text of a page without code, values of fields, and what is English by nature (`lang`)."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.unknown: list[str] = []
        self._inside: list[tuple[str, bool, bool]] = []  # element, left out, marked as unknown

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _EMPTY:
            english = dict(attrs).get("lang") == "en"
            self._inside.append((tag, tag in _LEFT_OUT or (english and tag != "span"), english and tag == "span"))

    def handle_endtag(self, tag: str) -> None:
        while self._inside and self._inside.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        if data.strip() and not any(left_out for _, left_out, _ in self._inside):
            unknown = any(marked for _, _, marked in self._inside)
            (self.unknown if unknown else self.texts).append(" ".join(data.split()))


_EMPTY = frozenset({"input", "img", "br", "meta", "link", "hr"})
_LEFT_OUT = frozenset({"script", "style", "code", "pre", "ins", "del", "textarea", "td", "th"})
