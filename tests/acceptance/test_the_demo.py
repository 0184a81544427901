"""`make demo`: the first thing anybody runs, here from the wheel that is handed out, in an environment of its own."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import time
import venv
import zipfile
from pathlib import Path

import pytest

from .rosters import DISTRICT

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a fresh environment with the built wheel in it; only its dependencies are those of the tests."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", with_pip=False)
    made = folder / "venv" / "bin" / "python"
    uv = [
        Path(sys.executable).with_name("uv"),
        "pip",
        "install",
        "--quiet",
        "--offline",
        "--no-deps",
        "--compile-bytecode",
        "--python",
        made,
    ]
    subprocess.run([*uv, wheel], check=True, capture_output=True, timeout=120)
    own = Path(sysconfig.get_path("purelib", vars={"base": str(folder / "venv")}))
    (own / "dependencies.pth").write_text(f"{Path(pytest.__file__).parents[1]}\n", "utf-8")
    ask = [made, "-I", "-c", "import schoolsync; print(schoolsync.__file__)"]
    where = subprocess.run(ask, check=True, capture_output=True, text=True, timeout=60).stdout
    assert Path(where.strip()).is_relative_to(own), where
    return made


def demo(python: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, "-m", "schoolsync.testing.demo", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def test_the_demo_shows_the_main_job_and_cleans_up(python: Path) -> None:
    """It syncs the bundled roster, lists what arrived, reports a status, says 200, exits 0 and is soon done."""
    began = time.monotonic()
    answer = demo(python)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert time.monotonic() - began < 45, "fifteen seconds on a machine that does nothing else"
    assert "success" in answer.stdout
    assert "PATCH /v1.0/education/synchronizationProfiles/" in answer.stdout
    assert "2026-11-07T19:12:37.6472621Z" in answer.stdout
    assert "Traceback" not in answer.stdout + answer.stderr


def test_the_demo_takes_any_roster(python: Path, tmp_path: Path) -> None:
    """A zip works as well as a folder; what is not there is exit status 2."""
    packed = tmp_path / "district.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in DISTRICT.files().items():
            archive.writestr(name, content)
    answer = demo(python, packed)
    assert answer.returncode == 0, answer.stdout
    assert "2 schools, 4 classes, 8 users" in answer.stdout
    assert demo(python, tmp_path / "nowhere").returncode == 2
