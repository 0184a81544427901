"""What is handed out: wheel and sdist are the same bytes whoever builds them, and the wheel has all that it needs."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import schoolsync
from schoolsync import __version__

ROOT = Path(__file__).parents[2]


def build(target: Path, *, epoch: str = "1767225600") -> dict[str, str]:
    """Build both into a folder; the hashes of the files by their names."""
    environment = {**os.environ, "SOURCE_DATE_EPOCH": epoch, "TZ": "Pacific/Apia" if target.name == "b" else "UTC"}
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(target)]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False, umask=0o077
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(target.iterdir())}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist") / "a"
    build(folder)
    return folder


def test_two_builds_are_the_same_bytes(built: Path, tmp_path: Path) -> None:
    """Whatever the clock, the time zone and the umask of who builds."""
    again = build(tmp_path / "b")
    assert again == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(built.iterdir())}
    assert sorted(again) == [f"schoolsync-{__version__}-py3-none-any.whl", f"schoolsync-{__version__}.tar.gz"]


def test_the_wheel_has_what_the_program_reads(built: Path) -> None:
    """Every file below src/ is in it, and nothing else: pages, catalogues, the bundled roster, the mark of types."""
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if name.startswith("schoolsync/")}
    source = {
        path.relative_to(ROOT / "src").as_posix()
        for path in (ROOT / "src").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    }
    assert inside == source
    assert "schoolsync/py.typed" in inside


def test_the_tests_run_on_the_wheel(tmp_path: Path) -> None:
    """`make test` has installed it: this process and all that it starts load what is handed out."""
    if Path(sys.prefix).name != "wheel":
        pytest.skip("begun by hand, on the sources; make test runs on the wheel")
    ours = Path(sys.prefix) / "lib"
    script = [Path(sys.executable).with_name("schoolsync"), "--version"]
    code = "import schoolsync, schoolsync.cli, sys; print(schoolsync.__file__)"
    command = [sys.executable, "-c", code]
    loaded = subprocess.run(command, cwd=tmp_path, env={}, capture_output=True, text=True, check=True)
    found = Path(loaded.stdout.strip())
    assert ours in found.parents
    assert ours in Path(schoolsync.__file__).parents
    assert __version__ in subprocess.run(script, capture_output=True, text=True, check=True).stdout
    for path in (ROOT / "src" / "schoolsync").rglob("*.py"):
        there = found.parent / path.relative_to(ROOT / "src" / "schoolsync")
        assert there.read_bytes() == path.read_bytes(), f"{path} was changed after the wheel was built"


def test_the_change_notes_begin_with_this_version() -> None:
    """Whoever installs a release finds its notes first."""
    notes = (ROOT / "CHANGELOG.md").read_text("utf-8")
    versions = re.findall(r"^## (\S+)", notes, re.MULTILINE)
    assert versions[0] == __version__
    assert len(versions) == len(set(versions))


def test_the_sdist_builds_and_holds_no_strangers(built: Path) -> None:
    """Source, tests, docs and the files for operations; nothing that a machine has left behind."""
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = [name.partition("/")[2] for name in archive.getnames()]
    for wanted in ("pyproject.toml", "LICENSE", "README.md", "CHANGELOG.md", "src/schoolsync/__init__.py"):
        assert wanted in names
    for part in (".git", ".venv", "node_modules", "__pycache__", "build", "dist"):
        assert not [name for name in names if part in name.split("/")], part
