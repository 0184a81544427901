"""Letters that databases do not fold."""

from __future__ import annotations

import pytest

from schoolsync.store.json_text import spellings


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("plain TEXT", {"plain TEXT"}),
        ("øystein", {"øystein", "Øystein"}),
        ("Åse Ødegård", {f"{a}se {o}deg{e}rd" for a in "åÅ" for o in "øØ" for e in "åÅ"}),
        ("straße İ ı 7 日", {"straße İ ı 7 日"}),  # no single letter of its own on the other side
        (
            "ŠTĚPÁNKA nováčková",
            {"ŠTĚPÁNKA nováčková", "štěpánka nováčková", "ŠTĚPÁNKA NOVÁČKOVÁ", "Štěpánka Nováčková"},
        ),
    ],
)
def test_a_text_is_asked_for_in_both_cases(asked: str, meant: set[str]) -> None:
    """Every case of up to three letters beyond A to Z; with more, the usual spellings."""
    assert set(spellings(asked)) == meant
    assert len(spellings(asked)) == len(meant)
