"""What of a roster is sensitive, all the way: uploaded, synchronized, and looked for wherever it could be."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Collection, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from schoolsync.testing import rosters

from .house import Profile, Server, Tenant
from .own import own

FIELDS = ["contacts", "birthDate", "demographics", "phone", "extras"]
HELD = {
    "sds-v1": {"password", "birthDate", "contacts"},
    "sds-v2.1": {"password", "birthDate", "demographics", "contacts", "phone", "extras"},
    "clever": {"password", "birthDate"},
    "oneroster-1.2": {"password", "birthDate", "demographics", "contacts", "phone", "extras"},
}
"""What of the sensitive kinds each format can say."""


def canaries(number: int) -> dict[str, str]:
    """A text that stands nowhere else, for each kind of thing that is sensitive."""
    return {
        "password": f"Kanari-pw{number}-",
        "birthDate": f"195{number}-11-2{number}",
        "demographics": f"Kanaricity{number}",
        "contacts": f"@kanari{number}.example",
        "phone": f"4791230{number}17",
        "extras": f"Kanarishoe{number}",
    }


def files(folder: Path, form: str, words: Mapping[str, str]) -> dict[str, str | bytes]:
    """A roster with everything that can be sensitive in its format."""
    rosters.write(folder, people=30, classes=4, enrollments=60, format=form, guardians=True, optional=True)
    day = date.fromisoformat(words["birthDate"])
    told = f"{day.month}/{day.day}/{day.year}" if form in {"sds-v1", "clever"} else day.isoformat()
    for path in folder.iterdir():
        with path.open(encoding="utf-8", newline="") as source:
            rows = list(csv.DictReader(source))
        for row in rows:
            for name, value in row.items():
                match name.lower():
                    case "password" | "email":
                        row[name] = value.replace("Welcome-", words["password"])
                        row[name] = row[name].replace("@home.example", words["contacts"])
                    case "username":
                        row[name] = value.replace("@home.example", words["contacts"])
                    case "birthdate" | "dob":
                        row[name] = told
                    case "cityofbirth" | "birthcity":
                        row[name] = words["demographics"]
            if path.name == "users.csv":
                row |= {"metadata.shoe": words["extras"]}
                if words["contacts"] not in row["email"]:
                    row["phone"] = f"+{words['phone']}"
        if rows:
            with path.open("w", encoding="utf-8", newline="") as sink:
                table = csv.DictWriter(sink, rows[0].keys())
                table.writeheader()
                table.writerows(rows)
    made = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    written = words | {"birthDate": told}
    there = {kind for kind, word in written.items() if any(word.encode() in content for content in made.values())}
    assert there == HELD[form]
    return dict(made)


def kept(server: Server, uploaded: Collection[str | bytes]) -> Iterator[tuple[str, bytes]]:
    """What lies in the data directory but the uploads, what stands in its Parquet files, and in PostgreSQL."""
    for path in server.data.rglob("*"):
        try:
            content = path.read_bytes() if path.is_file() else b""
        except FileNotFoundError:  # another test's, taken away in between
            continue
        if content in uploaded:
            continue
        if content[:4] == b"PAR1":
            table = pq.read_table(io.BytesIO(content))
            content = json.dumps(table.to_pylist(), default=str, ensure_ascii=False).encode()
        yield path.name, content
    if server.database_url is not None:
        for (name,) in server.control("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"):
            yield name, repr(server.control(f'SELECT * FROM public."{name}"')).encode()


def answers(tenant: Tenant, profile: Any) -> str:
    """Everything that the faces say of the profile's people, runs and plans."""
    mine = own(tenant, "admin")
    told: list[Any] = [tenant.objects(), profile.status(), profile.errors()]
    for run in mine.all(f"/profiles/{profile.id}/runs"):
        base = f"/profiles/{profile.id}/runs/{run['id']}"
        told += [run, mine.get(f"{base}/report"), mine.all(f"{base}/findings"), mine.all(f"{base}/plan/steps")]
    return json.dumps(told, ensure_ascii=False)


def allow(tenant: Tenant, profile: Profile, fields: list[str]) -> None:
    own(tenant, "admin")("PATCH", f"/profiles/{profile.id}/settings", {"fields": fields}, expect=200)


def found(server: Server, uploaded: Collection[str | bytes], words: Mapping[str, str]) -> dict[str, set[str]]:
    """In which files and tables each kind is found."""
    places: dict[str, set[str]] = {kind: set() for kind in words}
    for name, content in kept(server, uploaded):
        for kind, word in words.items():
            if word.encode() in content:
                places[kind].add(name)
    return places


@pytest.mark.nightly("postgresql")
def test_what_is_sensitive_stays_out(server: Server, tmp_path: Path) -> None:
    """Unless the profile has its field: nowhere but in the uploaded files, whatever the format."""
    uploads, profiles = {}, {}
    words = {form: canaries(number) for number, form in enumerate(HELD)}
    for form in HELD:
        uploads[form] = files(tmp_path / form, form, words[form])
        tenant = Tenant(server)
        profiles[form] = tenant.profile()
        allow(tenant, profiles[form], [])
        profiles[form].upload(uploads[form])
        profiles[form].start()
    for form, profile in profiles.items():
        assert profile.wait()["status"] == "success", (form, profile.errors())
    log = server.log.read_text("utf-8", "replace")
    asked = {f"{form} {kind}": word for form in HELD for kind, word in words[form].items()}
    assert [kind for kind, word in asked.items() if word in log] == []
    places = found(server, {content for upload in uploads.values() for content in upload.values()}, asked)
    assert {kind: names for kind, names in places.items() if names} == {}
    for form, profile in profiles.items():
        said = answers(profile.tenant, profile)
        assert [kind for kind, word in words[form].items() if word in said] == [], form


def test_what_is_sensitive_is_where_the_profile_lets_it(server: Server, tmp_path: Path) -> None:
    """With its field in the directory and in what is kept of runs, never in a log or report. A password is nowhere."""
    words = canaries(9)
    tenant = Tenant(server)
    profile = tenant.profile()
    allow(tenant, profile, FIELDS)
    upload = files(tmp_path / "roster", "oneroster-1.2", words)
    assert profile.sync(upload)["status"] == "success", profile.errors()

    log = server.log.read_text("utf-8", "replace")
    assert [kind for kind, word in words.items() if word in log] == []
    places = found(server, set(upload.values()), words)
    said = answers(tenant, profile)
    assert places.pop("password") == set()
    assert words.pop("password") not in said
    assert all(places.values()), places
    assert not any(name == "report.json" for names in places.values() for name in names)
    # What the directory has no place for stays in what is kept of the roster.
    assert {kind for kind, word in words.items() if word in said} == {"birthDate", "contacts", "phone"}
