"""The README's examples, run as they are written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .house import WRITE, Server, Tenant
from .rosters import DISTRICT

README = Path(__file__).parents[2] / "README.md"


def example(language: str, server: Server) -> str:
    """The README's only block in a language, at the address and the folder of our server."""
    (block,) = re.findall(rf"^```{language}\n(.*?)^```$", README.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert "http://127.0.0.1:8080" in block
    return str(block.replace("http://127.0.0.1:8080", server.base).replace("./data", str(server.data)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the reader stands: in a folder with six files."""
    for name, content in DISTRICT.files().items():
        (tmp_path / name).write_text(content, "utf-8", newline="")
    return tmp_path


def run(arguments: list[str], folder: Path, **environment: str) -> str:
    scripts = str(Path(sys.executable).parent)
    answer = subprocess.run(
        arguments,
        cwd=folder,
        env={**os.environ, "PATH": f"{scripts}:{os.environ['PATH']}", **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


def test_the_first_sync_with_curl(server: Server, tenant: Tenant, folder: Path) -> None:
    """Pasted into a shell, the block ends with a success and shows people; only the server runs already."""
    whole = example("sh", server).replace("11111111-2222-4333-8444-555555555555", tenant.id)
    begin = whole.index("TENANT=")
    assert whole[:begin].strip().splitlines()[-1].startswith("schoolsync serve ")
    shown = run(["bash", "-euo", "pipefail", "-c", whole[begin:]], folder)
    assert '"status":"success"' in shown
    assert "@contoso.example" in shown
    assert len(tenant.reader.all("/users")) == 8


def test_the_first_sync_with_the_python_sdk(server: Server, tenant: Tenant, folder: Path) -> None:
    """The program is whole: saved to a file and started, it syncs the folder and says so."""
    program = folder / "sync.py"
    program.write_text(example("python", server), "utf-8")
    token = tenant.api(scope=WRITE, user="admin@contoso.example").token
    assert token is not None
    shown = run([sys.executable, "-W", "ignore", str(program)], folder, TOKEN=token)
    assert "Synchronized 2 schools, 4 classes, 8 people" in shown
    assert len(tenant.reader.all("/users")) == 8
