"""Spoiling a roster: for every rule of docs/rules.md, what breaks it and nothing else.

Works on the files of a written roster, small or large: rows are added at the end, headers are replaced, nothing is
read as a whole. `also` names rules that cannot but be broken along with one.
"""

from __future__ import annotations

import csv
import io
import shutil
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_LONG = "x" * 300


class Upload:
    """A folder of CSV files, to spoil."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._last: dict[str, dict[str, str]] = {}
        self.number = 0  # of the row that is added now; part of what has to be unique

    def header(self, name: str) -> list[str]:
        """The header row."""
        with (self.folder / name).open(encoding="utf-8", newline="") as file:
            return next(csv.reader(file))

    def last(self, name: str) -> dict[str, str]:
        """The last row of the file as it was."""
        if name not in self._last:
            self._last[name] = self._read_last(name)
        return self._last[name]

    def _read_last(self, name: str) -> dict[str, str]:
        with (self.folder / name).open("rb") as file:
            size = file.seek(0, io.SEEK_END)
            file.seek(max(0, size - 65_536))
            lines = file.read().decode(errors="replace").splitlines()
        return dict(zip(self.header(name), next(csv.reader(lines[-1:])), strict=True))

    def add(self, name: str, cells: Mapping[str, str], *, end: str = "\n") -> None:
        """One row more: like the last one, but for `cells`."""
        row = self.last(name) | dict(cells)
        sink = io.StringIO()
        csv.writer(sink, lineterminator=end).writerow(row.values())
        self.add_bytes(name, sink.getvalue().encode())

    def add_bytes(self, name: str, content: bytes) -> None:
        """Whatever it is, at the end of a file."""
        with (self.folder / name).open("ab") as file:
            file.write(content)

    def rename(self, name: str, old: str, new: str) -> None:
        """Another header in place of one."""
        header = [new if cell == old else cell for cell in self.header(name)]
        self.replace_first_line(name, (",".join(header) + "\n").encode())

    def replace_first_line(self, name: str, content: bytes) -> None:
        """Other bytes in place of the header; the rest is copied as it is."""
        path = self.folder / name
        aside = path.with_suffix(".aside")
        with path.open("rb") as source, aside.open("wb") as target:
            source.readline()
            target.write(content)
            shutil.copyfileobj(source, target)
        aside.replace(path)

    def write(self, name: str, content: bytes) -> None:
        """A file as it is given."""
        (self.folder / name).write_bytes(content)

    def move(self, name: str, new: str) -> None:
        """Another name for a file."""
        (self.folder / name).rename(self.folder / new)

    # --- rows that are good but for one thing ----------------------------------------------------------------------

    def student(self, **cells: str) -> None:
        """A pupil more (SDS V1); the underscores of names stand for blanks."""
        own = f"x{self.number}"
        self.add("Student.csv", {"SIS ID": own, "Username": own, "Student Number": own} | _spaced(cells))

    def section(self, **cells: str) -> None:
        """A class more (SDS V1)."""
        self.add("Section.csv", {"SIS ID": f"x{self.number}"} | _spaced(cells))

    def guardian(self, **cells: str) -> None:
        """A guardian more, and the two files when they are not there yet (SDS V1)."""
        if not (self.folder / "User.csv").exists():
            self.write("User.csv", b"Email,First Name,Last Name,Phone,SIS ID\n")
            self.write("Guardianrelationship.csv", b"SIS ID,Email,Role\n")
            pupil = self.last("Student.csv")["SIS ID"].encode()
            self.add_bytes("User.csv", b"first@home.example,Kari,Berg,,\n")
            self.add_bytes("Guardianrelationship.csv", pupil + b",first@home.example,Parent\n")
        row = {"Email": f"x{self.number}@home.example"} | _spaced(cells)
        self.add("User.csv", row)

    def related(self, **cells: str) -> None:
        """A guardian more who is somebody's (SDS V1)."""
        self.guardian()
        self.add("Guardianrelationship.csv", {"Email": f"x{self.number}@home.example"} | _spaced(cells))


def _spaced(cells: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", " "): value for name, value in cells.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dirt:
    """What breaks one rule."""

    make: Callable[[Upload], None]
    format: str = "sds-v1"  # the format it is made for
    also: frozenset[str] = frozenset()
    repeated: bool = True  # can be done in more than one row
    # How the roster has to be checked to break the rule: `max_rows`, a limit by its name in `sources.files.Limits`,
    # or an optional `property` that a profile names.
    options: Mapping[str, object] = field(default_factory=dict)
    # For packages of changes: what is done first to a copy of the roster, which they then belong to.
    onto: Callable[[Upload], None] | None = None


def _zipped(members: Mapping[str, bytes]) -> Callable[[Upload], None]:
    """A zip with these files in it."""

    def make(upload: Upload) -> None:
        with zipfile.ZipFile(upload.folder / "more.zip", "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)

    return make


def _folder(upload: Upload) -> None:
    path = upload.folder / "School.csv"
    _zipped({"export/School.csv": path.read_bytes()})(upload)
    path.unlink()


def _before(upload: Upload, content: bytes) -> None:
    path = upload.folder / "School.csv"
    path.write_bytes(content + path.read_bytes())


def _wide(upload: Upload) -> None:
    path = upload.folder / "School.csv"
    path.write_bytes(path.read_text(encoding="utf-8").encode("utf-16"))


def _cut_off(upload: Upload) -> None:
    path = upload.folder / "School.csv"
    path.write_bytes(path.read_bytes().rstrip()[:-60])


def _again(name: str) -> Callable[[Upload], None]:
    return lambda upload: upload.add(name, {})


def _file(make: Callable[[Upload], None], **options: object) -> Dirt:
    return Dirt(make=make, repeated=False, options=options)


def _row(make: Callable[[Upload], None], *also: str) -> Dirt:
    return Dirt(make=make, also=frozenset(also))


def _separated(upload: Upload) -> None:
    path = upload.folder / "School.csv"
    path.write_bytes(path.read_bytes().replace(b",", b";"))


def _same_name(upload: Upload) -> None:
    upload.student(Username=upload.last("Student.csv")["Username"])


def _look_alike(upload: Upload) -> None:
    upload.section(SIS_ID="0" * upload.number + upload.last("Section.csv")["SIS ID"])


def _other_school(upload: Upload, **cells: str) -> None:
    there = upload.last("Student.csv")["School SIS ID"]
    upload.add("Student.csv", {"School SIS ID": "102" if there == "101" else "101"} | _spaced(cells))


def _differing(upload: Upload) -> None:
    _other_school(upload, First_Name=f"Kai{upload.number}")


def _class(upload: Upload, **cells: str) -> None:
    """A class more (formats with one list of users)."""
    upload.add("classes.csv", {"sourcedId": f"x{upload.number}"} | cells)


def _enrolled(upload: Upload, **cells: str) -> None:
    """An enrollment more (OneRoster), under a role that nobody has yet."""
    role = ("coach", "nurse", "lecturer")[upload.number % 3]
    upload.add("enrollments.csv", {"sourcedId": f"x{upload.number}", "role": role} | cells)


def _no_role(upload: Upload) -> None:
    upload.add("users.csv", {"sourcedId": f"x{upload.number}", "username": f"x{upload.number}"})
    _enrolled(upload, userSourcedId=f"x{upload.number}")


def _unmailed(upload: Upload) -> None:
    upload.add("users.csv", {"sourcedId": f"x{upload.number}", "username": f"x{upload.number}", "email": ""})
    upload.add("relationships.csv", {"relationshipUserSourcedId": f"x{upload.number}"})


def _flagged(upload: Upload) -> None:
    pupil = upload.last("enrollments.csv")["userSourcedId"]
    if not (upload.folder / "userFlags.csv").exists():
        upload.write("userFlags.csv", f"userSourcedId,flag\n{pupil},iep\n".encode())
    upload.add_bytes("userFlags.csv", f"{pupil},iep\n".encode())


def _on_v21(make: Callable[[Upload], None], *, repeated: bool = True) -> Dirt:
    return Dirt(make=make, format="sds-v2.1", repeated=repeated)


def _on_oneroster(make: Callable[[Upload], None], *, repeated: bool = True, **options: object) -> Dirt:
    return Dirt(make=make, format="oneroster-1.2", repeated=repeated, options=options)


def _without_courses(upload: Upload) -> None:
    (upload.folder / "courses.csv").unlink()
    path = upload.folder / "manifest.csv"
    path.write_bytes(path.read_bytes().replace(b"file.courses,bulk", b"file.courses,absent"))


def _delta(upload: Upload, name: str, *, day: str = "2026-11-25T06:00:00.000Z", status: str = "active") -> None:
    """Make a package of changes of a whole one, with the last row of one file."""
    row = upload.last(name) | {"status": status, "dateLastModified": day}
    header = upload.header(name)
    for path in upload.folder.iterdir():
        path.unlink()
    sink = io.StringIO()
    csv.writer(sink, lineterminator="\n").writerows([header, row.values()])
    upload.write(name, sink.getvalue().encode())
    stem = name.removesuffix(".csv")
    told = f"propertyName,value\nmanifest.version,1.0\noneroster.version,1.2\nfile.{stem},delta\n"
    upload.write("manifest.csv", told.encode())


def _dated(upload: Upload) -> None:
    """Every row of the file of users has a day on which it was changed."""
    path = upload.folder / "users.csv"
    head, *rows = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text(
        head + "".join(row.replace(",,,", ",,2026-11-26,", 1) for row in rows), encoding="utf-8", newline=""
    )


def _marked(upload: Upload, name: str = "courses.csv") -> None:
    """Every row says that it is active."""
    path = upload.folder / name
    head, *rows = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text(head + "".join(row.replace(",,,", ",active,,", 1) for row in rows), encoding="utf-8", newline="")


def _deleted(upload: Upload) -> None:
    if upload.number == 1:
        _marked(upload)
    upload.add("courses.csv", {"sourcedId": f"x{upload.number}", "status": "tobedeleted"})


def _changes(
    make: Callable[[Upload], None], *, onto: Callable[[Upload], None], also: tuple[str, ...] = ("delta-file",)
) -> Dirt:
    return Dirt(make=make, format="oneroster-1.2", repeated=False, also=frozenset(also), onto=onto)


DIRT: Mapping[str, Dirt] = {
    # The set of files
    "missing-file": _file(lambda upload: (upload.folder / "TeacherRoster.csv").unlink()),
    "double-file": _file(lambda upload: upload.write("school.csv", (upload.folder / "School.csv").read_bytes())),
    "unknown-file": _file(lambda upload: upload.write("Lunch.csv", b"Day,Dish\nMonday,Soup\n")),
    "unreadable-archive": _file(lambda upload: upload.write("more.zip", b"PK\x03\x04torn")),
    "archive-too-large": _file(_zipped({"notes.csv": b"a,b\n", "more.csv": b"a,b\n"}), archive_files=1),
    "hostile-archive": _file(_zipped({"../School.csv": b"SIS ID,Name\n"})),
    "nested-archive": _file(_zipped({"inner.zip": b"PK"})),
    "system-files": _file(_zipped({".DS_Store": b"x"})),
    "archive-folder": _file(_folder),
    "unknown-archive-member": _file(_zipped({"notes.txt": b"hello"})),
    "file-not-read": _on_oneroster(lambda upload: upload.write("results.csv", b"sourcedId\n1\n"), repeated=False),
    "optional-file-empty": _on_v21(
        lambda upload: upload.write("userFlags.csv", b"userSourcedId,flag\n"), repeated=False
    ),
    "missing-referenced-file": _on_oneroster(_without_courses, repeated=False),
    "delta-without-base": Dirt(
        make=lambda upload: _delta(upload, "users.csv"),
        format="oneroster-1.2",
        repeated=False,
        also=frozenset({"delta-file"}),
    ),
    "delta-file": _changes(lambda upload: _delta(upload, "orgs.csv"), onto=lambda upload: None, also=()),
    "kept-orphan": _changes(
        lambda upload: _delta(upload, "classes.csv", status="tobedeleted"), onto=lambda upload: None
    ),
    "manifest-differs": _on_oneroster(
        lambda upload: upload.add_bytes("manifest.csv", b"file.users,absent\n"), repeated=False
    ),
    "file-spelling": _file(lambda upload: upload.move("School.csv", "SCHOOL.csv")),
    # A file as a whole
    "unreadable-file": _file(lambda upload: upload.write("School.csv", b"%PDF-1.7 a document")),
    "workbook": _file(lambda upload: upload.write("School.csv", b"PK\x03\x04workbook")),
    "web-page": _file(lambda upload: upload.write("School.csv", b"\n<!DOCTYPE html><title>Log in</title>")),
    "truncated-file": Dirt(make=_cut_off, also=frozenset({"ragged-row"}), repeated=False),
    "file-too-large": _file(lambda upload: None, file_bytes=1_000),
    "too-many-columns": _file(lambda upload: None, columns=16),
    "other-encoding": _file(_wide),
    "byte-order-mark": _file(lambda upload: _before(upload, b"\xef\xbb\xbf")),
    "separator-line": _file(lambda upload: _before(upload, b"sep=,\n")),
    "wrong-encoding": _file(lambda upload: upload.write("School.csv", "SIS ID,Name\n".encode("utf-32"))),
    "line-too-long": _file(lambda upload: upload.add_bytes("TeacherRoster.csv", b"x" * 5_000_000 + b",1\n")),
    "empty-file": _file(lambda upload: upload.write("School.csv", b"")),
    "no-rows": _file(lambda upload: upload.write("TeacherRoster.csv", b"Section SIS ID,SIS ID\n")),
    "too-many-rows": _file(lambda upload: None, max_rows=1),
    "wrong-separator": _file(_separated),
    "missing-column": _file(lambda upload: upload.rename("School.csv", "Name", "")),
    "double-column": _file(lambda upload: upload.rename("School.csv", "Zone", "Phone")),
    "header-spelling": _file(lambda upload: upload.rename("School.csv", "Name", "name")),
    "header-alias": _on_oneroster(
        lambda upload: upload.rename("classes.csv", "termSourcedIds", "termSourcedId"), repeated=False
    ),
    "expected-column": _on_oneroster(lambda upload: upload.rename("users.csv", "enabledUser", ""), repeated=False),
    "unknown-column": _file(lambda upload: upload.rename("School.csv", "Zone", "Colour")),
    "type-line": _file(
        lambda upload: upload.replace_first_line(
            "School.csv", b"#TYPE School\n" + ",".join(upload.header("School.csv")).encode() + b"\n"
        )
    ),
    "mixed-line-ends": _file(lambda upload: upload.add("School.csv", {"SIS ID": "900"}, end="\r\n")),
    # A row as a whole
    "ragged-row": _row(lambda upload: upload.add_bytes("TeacherRoster.csv", b"x1,x2,x3\n")),
    "unterminated-quote": _row(lambda upload: upload.add_bytes("TeacherRoster.csv", b'"x1,x2\n')),
    "broken-quotes": _row(lambda upload: upload.add_bytes("TeacherRoster.csv", b'"x1"y,x2\n')),
    "invalid-utf8": _row(lambda upload: upload.add_bytes("TeacherRoster.csv", b"x1\x81\xff\x8d,x2\n")),
    "control-character": _row(lambda upload: upload.add_bytes("TeacherRoster.csv", b"x1\x07,x2\n")),
    "blank-row": _row(lambda upload: upload.add_bytes("TeacherRoster.csv", b",\n")),
    "line-break": _row(lambda upload: upload.student(First_Name="Kai\nOle")),
    "damaged-text": _row(lambda upload: upload.student(First_Name="Ka\ufffd")),
    "cell-too-long": _on_oneroster(lambda upload: _class(upload, grades="01," * 200), cell=500),
    "outer-blanks": _row(lambda upload: upload.student(First_Name=" Kai")),
    "status-missing": _on_oneroster(
        lambda upload: upload.add("courses.csv", {"sourcedId": "x1", "status": "active"}), repeated=False
    ),
    "status-in-bulk": _on_oneroster(_marked, repeated=False),
    "deleted-in-bulk": _on_oneroster(_deleted),
    "stale-row": _changes(lambda upload: _delta(upload, "users.csv", day="2026-11-24"), onto=_dated),
    # Values
    "required-value": _row(lambda upload: upload.section(Section_Name="")),
    "expected-value": _on_oneroster(lambda upload: _class(upload, classType="")),
    "unknown-code": _on_v21(
        lambda upload: upload.add("orgs.csv", {"sourcedId": f"x{upload.number}", "type": "castle"})
    ),
    "optional-code": _on_oneroster(lambda upload: _class(upload, classType="nap")),
    "optional-codes": _on_oneroster(lambda upload: _class(upload, grades="01,Dwarf")),
    "optional-date": _on_oneroster(lambda upload: _enrolled(upload, beginDate="soon")),
    "invalid-boolean": _on_oneroster(lambda upload: _enrolled(upload, primary="maybe")),
    "invalid-school-year": _on_v21(
        lambda upload: upload.add("academicSessions.csv", {"sourcedId": f"x{upload.number}", "schoolYear": "soon"})
    ),
    "blank-in-id": _row(lambda upload: upload.section(SIS_ID=f"x {upload.number}")),
    "too-long": _row(lambda upload: upload.section(Section_Name=_LONG)),
    "optional-too-long": _row(lambda upload: upload.section(Section_Number=_LONG)),
    "invalid-date": _row(lambda upload: upload.section(Term_StartDate="soon")),
    "end-before-start": _row(lambda upload: upload.section(Term_EndDate="1/1/2001")),
    "invalid-username": _row(lambda upload: upload.student(Username=f"x {upload.number}")),
    "weak-password": _row(lambda upload: upload.student(Password="secret")),  # noqa: S106  made to be refused
    "invalid-mail": _row(lambda upload: upload.guardian(Email=f"x{upload.number}")),
    "optional-mail": _row(lambda upload: upload.student(Secondary_Email="nobody")),
    "invalid-year": _row(lambda upload: upload.student(Graduation_Year="27")),
    "unknown-grade": _row(lambda upload: upload.student(Grade="Dwarf")),
    "unknown-relationship": _row(lambda upload: upload.related(Role="Boss")),
    "special-characters": _row(lambda upload: upload.section(SIS_ID=f"x/{upload.number}")),
    "empty-column": _file(lambda upload: upload.rename("School.csv", "Zone", ""), property="Zone"),
    # Rows together
    "duplicate-id": _row(_again("School.csv")),
    "several-schools": Dirt(make=_other_school, repeated=False),
    "repeated-person": _row(_again("Student.csv")),
    "differing-values": Dirt(make=_differing, also=frozenset({"several-schools"}), repeated=False),
    "duplicate-username": _row(_same_name),
    "repeated-enrollment": _row(_again("StudentEnrollment.csv")),
    "repeated-guardian": _row(lambda upload: upload.guardian(Email="First@home.example")),
    "repeated-relationship": _row(lambda upload: upload.related(Email="First@home.example")),
    "look-alike-id": _row(_look_alike),
    "optional-reference": _on_oneroster(lambda upload: _class(upload, courseSourcedId=f"x{upload.number}9")),
    "circular-parent": _on_oneroster(
        lambda upload: upload.add(
            "orgs.csv", {"sourcedId": f"x{upload.number}", "parentSourcedId": f"x{upload.number}"}
        )
    ),
    "repeated-role": _on_v21(_again("roles.csv")),
    "repeated-row": _on_v21(_flagged),
    "enrolled-without-role": _on_oneroster(_no_role),
    "guardian-without-mail": _on_v21(_unmailed),
    "unknown-reference": _row(lambda upload: upload.add("TeacherRoster.csv", {"Section SIS ID": f"x{upload.number}9"})),
}


def spoil(folder: Path, rule: str, *, format: str = "sds-v1", times: int = 1) -> None:  # noqa: A002
    """Break one rule in the roster of a folder, in `times` rows. Raises ValueError when it cannot be done."""
    dirt = DIRT.get(rule)
    if dirt is None:
        raise ValueError(f"there is no rule {rule}")
    if dirt.format != format:
        raise ValueError(f"{rule} is shown in a roster of the format {dirt.format}")
    upload = Upload(folder)
    for number in range(times if dirt.repeated else 1):
        upload.number = number + 1
        dirt.make(upload)
