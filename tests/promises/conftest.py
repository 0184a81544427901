"""The servers and tenants of the acceptance tests, for one short test of each promise.

They run at night and with `make promises`: what they show piece by piece is shown by tests of `make test` too, which
docs/promises.md names.
"""

from __future__ import annotations

from ..acceptance.conftest import (  # noqa: F401  # pytest finds fixtures and hooks here by their names
    database,
    pytest_generate_tests,
    pytest_pyfunc_call,
    server,
    tenant,
)
