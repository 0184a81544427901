"""What of a roster is sensitive, all the way: uploaded, synchronized, and looked for wherever it could be."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from schoolsync.testing import rosters

from .house import Server, Tenant
from .own import own

FIELDS = ["contacts", "birthDate", "demographics", "phone", "extras"]


def canaries(mark: str) -> dict[str, str]:
    """A text that stands nowhere else, for each kind of thing that is sensitive."""
    day = {"q": "1951-11-23", "r": "1953-10-27"}[mark]
    return {
        "password": f"Kanari-pw{mark}-",
        "birthDate": day,
        "demographics": f"Kanaricity{mark}",
        "contacts": f"@kanari{mark}.example",
        "phone": {"q": "4791230817", "r": "4791230926"}[mark],
        "extras": f"Kanarishoe{mark}",
    }


def files(folder: Path, words: Mapping[str, str]) -> dict[str, str | bytes]:
    """A roster of OneRoster 1.2 with everything that can be sensitive."""
    rosters.write(folder, people=30, classes=4, enrollments=60, format="oneroster-1.2", guardians=True, optional=True)
    users = (folder / "users.csv").read_text(encoding="utf-8")
    users = users.replace("Welcome-", words["password"]).replace("@home.example", words["contacts"])
    head, *rows = users.splitlines()
    place = head.split(",").index("phone")
    told = [head + ",metadata.shoe"]
    for row in rows:
        cells = row.split(",")
        if words["contacts"] not in row:
            cells[place] = f"+{words['phone']}"
        told.append(",".join([*cells, words["extras"]]))
    (folder / "users.csv").write_text("\n".join(told) + "\n", encoding="utf-8")
    head, *rows = (
        (folder / "demographics.csv").read_text(encoding="utf-8").replace("Redmond", words["demographics"]).splitlines()
    )
    day = head.split(",").index("birthDate")
    rows = [
        ",".join(words["birthDate"] if number == day else cell for number, cell in enumerate(row.split(",")))
        for row in rows
    ]
    (folder / "demographics.csv").write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def kept(server: Server, uploaded: set[bytes]) -> Iterator[tuple[Path, bytes]]:
    """What lies in the data directory but the uploads themselves, and what stands in its Parquet files."""
    for path in server.data.rglob("*"):
        try:
            content = path.read_bytes() if path.is_file() else b""
        except FileNotFoundError:  # another test's, taken away in between
            continue
        if content in uploaded:
            continue
        if content[:4] == b"PAR1":
            table = pq.read_table(io.BytesIO(content))
            yield path, json.dumps(table.to_pylist(), default=str, ensure_ascii=False).encode()
        else:
            yield path, content


def answers(tenant: Tenant, profile: Any) -> str:
    """Everything that the faces say of the profile's people, runs and plans."""
    mine = own(tenant, "admin")
    told: list[Any] = [tenant.objects(), profile.status(), profile.errors()]
    for run in mine.all(f"/profiles/{profile.id}/runs"):
        base = f"/profiles/{profile.id}/runs/{run['id']}"
        told += [run, mine.get(f"{base}/report"), mine.all(f"{base}/findings"), mine.all(f"{base}/plan/steps")]
    return json.dumps(told, ensure_ascii=False)


@pytest.mark.parametrize("allowed", [False, True], ids=["nothing", "everything"])
def test_what_is_sensitive_is_where_the_profile_lets_it(server: Server, tmp_path: Path, allowed: bool) -> None:
    """Nowhere without its field; with it in the directory and in what is kept of runs, never in a log or a report. A
    password is nowhere but in the uploaded file."""
    words = canaries("r" if allowed else "q")
    tenant = Tenant(server)
    profile = tenant.profile()
    own(tenant, "admin")("PATCH", f"/profiles/{profile.id}/settings", {"fields": FIELDS if allowed else []}, expect=200)
    upload = files(tmp_path / "roster", words)
    assert all(
        any(word.encode() in content for content in upload.values() if isinstance(content, bytes))
        for word in words.values()
    )
    assert profile.sync(upload)["status"] == "success", profile.errors()

    log = server.log.read_text("utf-8", "replace")
    assert [kind for kind, word in words.items() if word in log] == []
    found: dict[str, set[str]] = {kind: set() for kind in words}
    for path, content in kept(server, {content for content in upload.values() if isinstance(content, bytes)}):
        for kind, word in words.items():
            if word.encode() in content:
                found[kind].add(path.name)
    said = answers(tenant, profile)
    assert found.pop("password") == set()
    assert words.pop("password") not in said
    if not allowed:
        assert {kind: names for kind, names in found.items() if names} == {}
        assert [kind for kind, word in words.items() if word in said] == []
        return
    assert all(found.values()), found
    assert not any(name == "report.json" for names in found.values() for name in names)
    # What the directory has no place for stays in what is kept of the roster.
    assert {kind for kind, word in words.items() if word in said} == {"birthDate", "contacts", "phone"}
