"""Every format, every file of it, damaged in every way: nothing is ever taken away because of that."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from schoolsync.runs.checking import StageFailed
from schoolsync.sources import AUTO, FORMATS
from schoolsync.testing import rosters

from .districts import Directory, GivenSource, Roster, engine
from .test_guards import STRICT
from .test_real_files import files_of

Damage = Callable[[bytes], bytes | None]

DAMAGES: dict[str, Damage] = {
    "absent": lambda _: None,
    "empty": lambda _: b"",
    "header-only": lambda data: data.split(b"\n", 1)[0] + b"\n",
    "unreadable": lambda data: b"\x00\xff\xfe\x01" * (len(data) // 8),
    "cut at a line": lambda data: b"".join(data.splitlines(keepends=True)[: len(data.splitlines()) // 2]),
    "cut in a line": lambda data: data[: len(data) // 2],
}


@pytest.fixture(scope="module", params=sorted(FORMATS))
def district(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, Directory]]:
    """A roster of the format, and a directory that it was synchronized into."""
    folder = tmp_path_factory.mktemp("damage")
    rosters.write(folder / "whole", people=240, classes=30, enrollments=1500, format=request.param, guardians=True)
    house = Directory(folder / "house", GivenSource())
    outcome = house.work(house.job(Roster(), policy=STRICT, **given(folder / "whole")), Roster())
    assert outcome.finished is not None
    assert house.query("SELECT count(*) FROM class_people")[0][0] > 1000
    yield folder, house
    shutil.rmtree(folder)


def given(folder: Path) -> dict[str, object]:
    return {"format": AUTO, "files": files_of(folder), "max_rows": 1_000_000}


# By day without the formats that are read as their siblings are.
@pytest.mark.nightly("cut in a line", "oneroster-1.1", "sds-v1-uk")
@pytest.mark.parametrize("damage", list(DAMAGES))
def test_a_damaged_file_takes_nothing_away(district: tuple[Path, Directory], damage: str) -> None:
    """Refused, held, or planned without a single removal; also when a person has said to leave out what is wrong."""
    folder, house = district
    before = house.content()
    for path in sorted((folder / "whole").iterdir()):
        broken = folder / "broken"
        shutil.rmtree(broken, ignore_errors=True)
        shutil.copytree(folder / "whole", broken)
        left = DAMAGES[damage](path.read_bytes())
        if left is None:
            (broken / path.name).unlink()
        else:
            (broken / path.name).write_bytes(left)
        job = house.job(Roster(), policy=STRICT, ignore_findings=True, **given(broken))
        with engine(msgspec.structs.replace(job, run=f"{damage} {path.name}")) as work:
            try:
                assert not work.extract().unchanged
                if work.validate().fatal:
                    continue
                planned = work.plan()
            except StageFailed:
                continue
        taken = {op for ops in planned.steps.values() for op in ops} & {"remove", "unlink"}
        assert planned.held is not None or not taken, (path.name, planned.steps)
    assert house.content() == before
