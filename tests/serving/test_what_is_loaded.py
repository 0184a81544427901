"""What the processes of the house load: a server starts as fast as the least that it needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from schoolsync.access import issuer

ENGINE = {"duckdb", "pyarrow", "adbc_driver_manager", "adbc_driver_sqlite", "dbos"}
FACE = {"litestar", "granian", "odata_query", "jinja2"}
UNUSED = {"rich", "pydantic", "attr", "annotated_types"}


def loaded(*modules: str) -> set[str]:
    """The modules of a process that loads with these, one after another."""
    loads = "; ".join(f"load({module!r})" for module in modules)
    code = f"import sys; from schoolsync.loading import load; {loads}; print(*filter(sys.modules.get, sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] if not name.startswith("schoolsync") else name for name in done.stdout.split()}


def dialects(*modules: str) -> set[str]:
    """The databases that such a process knows how to speak with."""
    loads = "; ".join(f"load({module!r})" for module in modules)
    known = "print(*(name.split('.')[2] for name in sys.modules if name.startswith('sqlalchemy.dialects.')))"
    code = f"import sys; from schoolsync.loading import load; {loads}; {known}"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_a_server_in_memory_makes_its_first_run_before_it_has_a_face() -> None:
    """Services, worker and seed are there without anything that answers requests; the face comes without an engine."""
    before = loaded("schoolsync.runs.inside", "schoolsync.serving.process", "schoolsync.serving.seed")
    assert not before & (ENGINE | FACE | UNUSED)
    assert not before & {"schoolsync.api.app", "schoolsync.notices.teller", "smtplib"}
    after = loaded("schoolsync.runs.inside", "schoolsync.serving.api")
    assert "litestar" in after
    later = {
        "schoolsync.console.app",
        "schoolsync.api.app",
        "schoolsync.access.issuer_http",
        "schoolsync.serving.faults",
    }
    assert not after & (ENGINE | UNUSED | later | {"odata_query", "jinja2"})
    assert not dialects("schoolsync.runs.inside", "schoolsync.serving.api") & {"postgresql"}


def test_a_command_that_asks_a_server_loads_no_database(tmp_path: Path) -> None:
    """Although it makes its token itself, with the keys of the data directory: else each takes twice the time."""
    issuer.signing_key(tmp_path / "keys").get()
    asks = ["show", "1", "--server", "http://127.0.0.1:9", "--profile", "x", "--data-dir", str(tmp_path)]
    code = (
        "import sys; from schoolsync.cli import main; code = main(); "
        "print(code, *filter(sys.modules.get, sys.modules), file=sys.stdout)"
    )
    tenant = "11111111-2222-4333-8444-555555555555"
    done = subprocess.run(
        [sys.executable, "-c", code, *asks, "--tenant", tenant], capture_output=True, text=True, check=False
    )
    loads = {name.partition(".")[0] for name in done.stdout.split()}
    assert "joserfc" in loads, done
    assert not loads & (ENGINE | FACE | {"sqlalchemy", "psycopg", "obstore"})
