"""For every rule, a roster that breaks it and nothing else, made from one that breaks none."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from schoolsync import sources
from schoolsync.plan.policy import Customization, Policy
from schoolsync.roster import findings
from schoolsync.roster.rules import RULES
from schoolsync.sources import CheckOptions, Limits, SourceFile
from schoolsync.testing import rosters
from schoolsync.testing.rosters import DIRT
from schoolsync.testing.rosters.dirt import Upload

SIZE = {"people": 120, "classes": 12, "enrollments": 300}


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A roster without a single finding for every format that rules are shown in."""
    folder = tmp_path_factory.mktemp("clean")
    for name in {dirt.format for dirt in DIRT.values()}:
        rosters.write(folder / name, **SIZE, format=name, several_schools=False, guardians=name != "sds-v1")
    return folder


def broken(
    folder: Path, scratch: Path, *, kind: str, options: dict[str, object], onto: Path | None = None
) -> dict[str, int]:
    """The rules that a roster breaks, with how often."""
    scratch.mkdir()
    policy = None
    if "property" in options:
        asked = Customization(optional_properties=(str(options["property"]),))
        policy = Policy(
            profile_name="Contoso",
            domains={"student": "pupils.example", "teacher": "staff.example"},
            customizations={"school": asked},
        )
    limit = options.get("max_rows", 10_000)
    assert isinstance(limit, int)
    limits = Limits(**{name: value for name, value in options.items() if name not in {"property", "max_rows"}})
    given = CheckOptions(format=kind, policy=policy, max_rows=limit, limits=limits, scratch=scratch)
    if onto is not None:
        given = replace(given, earlier=records_of(onto, scratch / "records"))
    files = [SourceFile(path.name, path) for path in sorted(folder.iterdir())]
    with duckdb.connect(config={"threads": 1}) as db:
        sources.validate(db, sources.extract(db, files, given), given)
        found: dict[str, int] = {}
        for one in findings.listed(db):
            found[one.rule] = found.get(one.rule, 0) + 1
            assert one.message
        return found


def records_of(folder: Path, into: Path) -> Path:
    """What is kept of a roster, for packages of changes to it."""
    given = CheckOptions(keep=into)
    with duckdb.connect(config={"threads": 1}) as db:
        files = [SourceFile(path.name, path) for path in sorted(folder.iterdir())]
        assert not sources.validate(db, sources.extract(db, files, given), given).fatal
    return into


def test_every_rule_has_an_example() -> None:
    """And no example is left of a rule that there is not any more."""
    assert set(DIRT) == set(RULES)


@pytest.mark.parametrize("name", sorted({dirt.format for dirt in DIRT.values()}))
def test_the_rosters_to_spoil_break_no_rule(clean: Path, tmp_path: Path, name: str) -> None:
    """Every rule has a roster that does not break it: this one."""
    assert broken(clean / name, tmp_path / "scratch", kind=name, options={}) == {}


@pytest.mark.parametrize("rule", sorted(DIRT))
def test_the_example_breaks_its_rule_alone(clean: Path, tmp_path: Path, rule: str) -> None:
    """Once; and in three rows, where it is about rows, three times."""
    dirt = DIRT[rule]
    for times in (1, 3) if dirt.repeated else (1,):
        folder = Path(shutil.copytree(clean / dirt.format, tmp_path / f"roster{times}"))
        rosters.spoil(folder, rule, format=dirt.format, times=times)
        before = None
        if dirt.onto is not None:
            before = Path(shutil.copytree(clean / dirt.format, tmp_path / "before"))
            dirt.onto(Upload(before))
        found = broken(folder, tmp_path / f"scratch{times}", kind=dirt.format, options=dict(dirt.options), onto=before)
        assert set(found) - dirt.also == {rule}
        assert found[rule] >= times
