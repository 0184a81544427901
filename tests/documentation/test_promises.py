"""The promises are the same in tests/promises, docs/promises.md and the README, and are held by tests that exist."""

from __future__ import annotations

import ast
import re

from ..promises import table


def test_every_promise_has_a_module_and_a_row() -> None:
    """The README's table and the page have each module once, in order, with its words; a result says when and how."""
    modules = table.modules()
    assert len(modules) == 10
    rows = table.rows()
    assert {row.module: row.promise for row in rows} == modules
    assert [row.module for row in rows] == list(modules)
    assert list(table.tests().items())[:10] == [
        (promise, [module, *table.tests()[promise][1:]]) for module, promise in modules.items()
    ]
    said = r"\d{4}-\d\d-\d\d: (\d+ passed(, \d+ skipped)?|\d+ of \d+ failed|could not be run)"
    assert all(row.result == table.NEVER or re.fullmatch(said, row.result) for row in rows)


def test_every_promise_is_held_by_tests_that_exist() -> None:
    """Each test that the page names is a file of the suite, and a function in it."""
    missing = []
    for tests in table.tests().values():
        assert tests
        for test in tests:
            path, _, name = test.partition("::")
            file = table.ROOT / path
            functions = (
                {node.name for node in ast.parse(file.read_text("utf-8")).body if hasattr(node, "name")}
                if file.is_file()
                else set()
            )
            if not file.is_file() or (name and name not in functions):
                missing.append(test)
    assert not missing
