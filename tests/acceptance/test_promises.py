"""docs/promises.md names tests that exist."""

from __future__ import annotations

import ast

from .promises import ROOT, promises


def test_every_promise_is_held_by_tests_that_exist() -> None:
    """Each promise has a test; each test that is named is a file of the suite, and a function in it."""
    found = promises()
    assert len(found) >= 10
    missing = []
    for tests in found.values():
        assert tests
        for test in tests:
            path, _, name = test.partition("::")
            file = ROOT / path
            functions = (
                {node.name for node in ast.parse(file.read_text("utf-8")).body if hasattr(node, "name")}
                if file.is_file()
                else set()
            )
            if not file.is_file() or (name and name not in functions):
                missing.append(test)
    assert not missing
