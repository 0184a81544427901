"""Sensitive fields come in when a profile names them, and no further otherwise; words are added to the code lists."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from schoolsync import sources
from schoolsync.cli import validate
from schoolsync.plan import kinds
from schoolsync.plan.kinds import Writing
from schoolsync.plan.policy import Customization, Policy
from schoolsync.plan.policy import Kind as Kind_
from schoolsync.roster.fields import SENSITIVE
from schoolsync.roster.findings import Finding
from schoolsync.sources import FORMATS, CheckOptions, SourceFile
from schoolsync.sources.columns import Kind
from schoolsync.testing import rosters

SIZE = {"people": 20, "classes": 4, "enrollments": 40}
DOMAINS = {"student": "pupils.example", "teacher": "staff.example"}
WORD = "Zq{}zq"
FREE = {Kind.TEXT}
EXTENSION = WORD.format("shoe")


@pytest.fixture(scope="module", params=sorted(FORMATS))
def upload(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, set[str]]:
    """A roster whose sensitive columns have a word of their own wherever that can be, and the fields that have one."""
    kind: str = request.param
    folder = tmp_path_factory.mktemp("upload")
    rosters.write(folder, **SIZE, format=kind, guardians=True, optional=True, several_schools=False)
    fields = set()
    for file in FORMATS[kind].files:
        path = folder / file.name
        if not path.exists():
            path = folder / file.name.lower()
        if not path.exists():
            continue
        rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))
        headers = list(rows[0])
        marked = {
            column.header: field
            for column in file.columns
            if (field := column.sensitive or file.sensitive) and column.kind in FREE and column.name != "source_id"
        }
        headers += [header for header in marked if header not in headers]
        if file.extensions:
            headers.append("metadata.shoe")
        for row in rows:
            for header, field in marked.items():
                row[header] = WORD.format(field)
            if file.extensions:
                row["metadata.shoe"] = EXTENSION
        fields |= {*marked.values(), *(["extras"] if file.extensions else [])}
        sink = io.StringIO()
        writer = csv.DictWriter(sink, headers)
        writer.writeheader()
        writer.writerows(rows)
        path.write_text(sink.getvalue(), encoding="utf-8", newline="")
    return kind, folder, fields


def kept(kind: str, folder: Path, scratch: Path, fields: tuple[str, ...]) -> str:
    """Everything that the canonical tables and the findings hold."""
    options = CheckOptions(
        format=kind, policy=Policy(profile_name="Contoso", domains=DOMAINS, fields=fields), scratch=scratch
    )
    with duckdb.connect(config={"threads": 1}) as db:
        files = [SourceFile(path.name, path) for path in sorted(folder.iterdir())]
        checked = sources.validate(db, sources.extract(db, files, options), options)
        assert not checked.fatal
        return "\n".join(_everything(db))


def _everything(db: duckdb.DuckDBPyConnection) -> Iterator[str]:
    tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'roster'"
    for (table,) in db.execute(tables).fetchall():
        yield from (row[0] for row in db.execute(f"SELECT one::VARCHAR FROM roster.{table} AS one").fetchall())


def test_nothing_sensitive_is_kept_unless_the_profile_names_it(
    upload: tuple[str, Path, set[str]], tmp_path: Path
) -> None:
    """Neither in a record nor in a finding; guardians are known by their ids alone, and passwords not at all."""
    kind, folder, fields = upload
    text = kept(kind, folder, tmp_path, ())
    assert "Zq" not in text
    assert "@home.example" not in text
    assert "Welcome-" not in text
    allowed = kept(kind, folder, tmp_path, tuple(SENSITIVE))
    assert "Welcome-" not in allowed
    for field in fields - {"contacts", "birthDate", "phone"}:  # no free words: guardians' come from the generator
        assert (EXTENSION if field == "extras" else WORD.format(field)) in allowed, field
    if kind not in {"clever", "sds-v2"}:  # whose generated rosters have no guardians
        assert "@home.example" in allowed


def test_one_field_lets_in_nothing_but_itself(upload: tuple[str, Path, set[str]], tmp_path: Path) -> None:
    """Each name of the list by itself."""
    kind, folder, fields = upload
    for field in sorted(fields):
        text = kept(kind, folder, tmp_path, (field,))
        for other in fields - {field, "extras"}:
            assert WORD.format(other) not in text, f"{other} with {field}"


def _coded(folder: Path, word: str) -> None:
    path = folder / "roles.csv"
    text = path.read_text(encoding="utf-8")
    assert ",teacher," in text
    path.write_text(text.replace(",teacher,", f",{word},", 1), encoding="utf-8", newline="")


def test_words_are_added_to_the_code_lists(tmp_path: Path) -> None:
    """A role of one's own is an error; with the installation's or the profile's word for it, it is a teacher."""
    folder = tmp_path / "roster"
    rosters.write(folder, **SIZE, format="oneroster-1.2", several_schools=False)
    _coded(folder, "Housemaster")
    words = {"roles": {"Housemaster": "housemaster:teacher"}}

    def check(
        policy: Policy | None = None, codes: dict[str, dict[str, str]] | None = None
    ) -> tuple[int, list[Finding]]:
        scratch = tmp_path / "scratch"
        scratch.mkdir(exist_ok=True)
        options = CheckOptions(policy=policy, codes=codes or {}, scratch=scratch)
        with duckdb.connect(config={"threads": 1}) as db:
            files = [SourceFile(path.name, path) for path in sorted(folder.iterdir())]
            checked = sources.validate(db, sources.extract(db, files, options), options)
            named = "SELECT count(*) FROM roster.people WHERE role = 'teacher' AND role_name = 'housemaster'"
            found = db.execute(named).fetchone()
            assert found is not None
            return found[0], list(checked.findings(db))

    people, found = check()
    assert people == 0
    assert ("unknown-code", "roles.csv") in {(one.rule, one.file) for one in found}
    assert check(codes=words) == (1, [])
    assert check(policy=Policy(profile_name="Contoso", domains=DOMAINS, codes=words)) == (1, [])


def test_validate_knows_the_words_and_limits_of_the_installation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """What the server would say of a roster is what the command says."""
    folder = tmp_path / "roster"
    rosters.write(folder, **SIZE, format="oneroster-1.2", several_schools=False)
    _coded(folder, "Housemaster")
    assert validate.run(folder, format=None, json=False) == 1
    lists = tmp_path / "lists.toml"
    lists.write_text('[roles]\nHousemaster = "housemaster:teacher"\n')
    monkeypatch.setenv("SCHOOLSYNC_CODE_LISTS", str(lists))
    assert validate.run(folder, format=None, json=False) == 0
    monkeypatch.setenv("SCHOOLSYNC_ROSTER_MAX_ROWS", "3")
    capfd.readouterr()
    assert validate.run(folder, format=None, json=False) == 1
    assert "roster_max_rows" in capfd.readouterr().out.replace("\n", "")
    monkeypatch.setenv("SCHOOLSYNC_ROSTER_MAX_ROWS", "0")
    assert validate.run(folder, format=None, json=False) == 2
    assert "roster_max_rows" in capfd.readouterr().err


# What is chosen of each kind -> what the directory's record may get from the roster, by our names.
CHOSEN: dict[Kind_, dict[str, str]] = {
    "school": {"School Number": "number", "Grade Low": "grade_low", "Phone": "phone"},
    "section": {
        "Section Number": "number",
        "Periods": "periods",
        "Term Name": "term_name",
        "Course Name": "course_name",
    },
    "student": {"Middle Name": "middle_name", "Student Number": "number", "Grade": "grade"},
    "teacher": {"Middle Name": "middle_name", "Teacher Number": "number"},
}


def said(kind: str, folder: Path, customizations: dict[Kind_, Customization]) -> dict[str, dict[str, bool]]:
    """Which properties of each kind a profile writes, by our names, of those that customizations can name."""
    policy = Policy(profile_name="Contoso", domains=DOMAINS, customizations=customizations, fields=tuple(SENSITIVE))
    options = CheckOptions(format=kind, policy=policy)
    with duckdb.connect(config={"threads": 1}) as db:
        files = [SourceFile(path.name, path) for path in sorted(folder.iterdir())]
        checked = sources.validate(db, sources.extract(db, files, options), options)
        assert not checked.fatal
        found = {}
        for one in kinds.OBJECTS:
            writes = kinds.writing(one, policy, columns=checked.columns)
            named = [part for part in writes if part.header is not None]
            counts = ", ".join(f"count({part.source})" for part in named)
            (filled,) = db.execute(f"SELECT {counts} FROM roster.{one.records} AS r WHERE {one.where}").fetchall()
            found[one.name] = {
                part.source: writes[part] is not Writing.LEAVE and count > 0
                for part, count in zip(named, filled, strict=True)
            }
        return found


@pytest.mark.parametrize("kind", sorted(FORMATS))
def test_customizations_mean_the_same_in_every_format(tmp_path: Path, kind: str) -> None:
    """One property chosen of a kind is the one that is written, whatever its column is called; all is all there is."""
    rosters.write(tmp_path, **SIZE, format=kind, optional=True, several_schools=False)
    everything = said(kind, tmp_path, {})
    assert everything["student"]["grade"], "there is something to choose from"
    for place in (0, -1, None):  # the first of each kind, the last of each, none
        names = {name: () if place is None else (tuple(headers)[place],) for name, headers in CHOSEN.items()}
        found = said(kind, tmp_path, {name: Customization(optional_properties=one) for name, one in names.items()})
        for name, headers in names.items():
            sources_of = {CHOSEN[name][header] for header in headers}
            assert found[name] == {one: there and one in sources_of for one, there in everything[name].items()}
    one_kind = said(kind, tmp_path, {"section": Customization(optional_properties=())})
    assert one_kind == everything | {"section": dict.fromkeys(everything["section"], False)}
