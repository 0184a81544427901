"""The main job, shown: a roster goes in through the public HTTP API and comes out as schools, classes and users.

Run by `make demo`. It starts a real server in a temporary folder, does what an integrator's script would do, prints
what it sends and what arrives, and cleans up. It refuses to know anything the API does not tell.
"""

from __future__ import annotations

import csv
import http.client
import io
import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, urlsplit

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

BUNDLED = Path(__file__).parent / "demo_roster"
SCOPES = "EduAdministration.ReadWrite"
ROLES = ("EduAdministration.ReadWrite.All", "EduRoster.ReadWrite.All")
FINAL = {"success", "error", "validationError", "quarantined", "paused"}

Json = dict[str, Any]  # a JSON object has values of any kind

console = Console(highlight=False)


class DemoError(Exception):
    """The demo could not go on; the message says at which request."""


@dataclass
class Api:
    """A few requests over one connection, with the token a script would carry."""

    base: str
    token: str

    def __post_init__(self) -> None:
        parts = urlsplit(self.base)
        self.connection = http.client.HTTPConnection(cast(str, parts.hostname), cast(int, parts.port), timeout=120)

    def send(self, method: str, path: str, body: Json | None = None, *, prefer: str | None = None) -> tuple[int, Json]:
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "application/json"}
        if prefer:
            headers["Prefer"] = prefer
        payload = None
        if body is not None:
            payload = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        self.connection.request(method, quote(path, safe="/?$=&%'(),:"), payload, headers)
        answer = self.connection.getresponse()
        content = answer.read()
        return answer.status, json.loads(content) if content else {}

    def expect(self, method: str, path: str, body: Json | None = None, *, prefer: str | None = None) -> Json:
        status, answer = self.send(method, path, body, prefer=prefer)
        if status >= 400:
            raise DemoError(f"{method} {path} answered {status}: {json.dumps(answer, ensure_ascii=False)}")
        return answer

    def count(self, path: str) -> int:
        return int(self.expect("GET", f"{path}?$count=true&$top=1")["@odata.count"])


def main(arguments: list[str]) -> int:
    """Run the demo on the bundled roster or on the folder or zip named first in `arguments`; 0 when all went well."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the server is ended on the way out
    roster = Path(arguments[0]) if arguments else BUNDLED
    if not roster.exists():
        console.print(f"There is no roster at {roster}.", style="red")
        return 2
    with tempfile.TemporaryDirectory(prefix="schoolsync-demo-") as folder:
        try:
            with _server(Path(folder)) as base:
                return _run(base, Path(folder), roster)
        except DemoError as problem:
            console.print(str(problem), style="red", soft_wrap=True)
            return 1


@contextmanager
def _server(folder: Path) -> Iterator[str]:
    """A `schoolsync serve` of its own on a free loopback port; yields its base URL and ends it afterwards."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = folder / "serve.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "schoolsync", "serve", "--data-dir", str(folder / "data"), "--port", str(port)],
            stdout=sink,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + 30
        while not _healthy(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise DemoError(f"The server did not start:\n{log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()


def _healthy(port: int) -> bool:
    try:
        probe = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        probe.request("GET", "/healthz")
        return probe.getresponse().status == 200
    except OSError:
        return False


def _token(folder: Path, tenant: str, *grant: str) -> str:
    command = [sys.executable, "-m", "schoolsync", "token", "--data-dir", str(folder / "data"), "--tenant", tenant]
    return subprocess.run([*command, *grant], check=True, capture_output=True, text=True).stdout.strip()


def _run(base: str, folder: Path, roster: Path) -> int:
    files = _files(roster)
    console.print(f"[bold]schoolsync demo[/]  {base}  roster: {roster.name} ({len(files)} files)")
    tenant = str(uuid.uuid4())
    admin = Api(base, _token(folder, tenant, "--scope", SCOPES, "--user", "admin@demo.example"))
    reader = Api(base, _token(folder, tenant, *(part for role in ROLES for part in ("--role", role))))

    profile = _create(admin, reader, files)
    path = f"/v1.0/education/synchronizationProfiles/{profile}"
    container = admin.expect("GET", f"{path}/uploadUrl")["value"]
    for name, content in files.items():
        _upload(container, name, content)
        console.print(f"  PUT  {name} ({len(content):,} bytes) -> 201")

    began = time.monotonic()
    status, answer = admin.send("POST", f"{path}/start")
    for message in answer.get("value", []):
        console.print(f"  {message['type']:<8} {message['fileName']}: {message['description']}")
    if status != 200:
        console.print(f"POST {path}/start -> {status}: {answer['error']['message']}", style="red", soft_wrap=True)
        return 1
    console.print("  POST start -> 200, syncing")
    final = _watch(admin, path)
    seconds = time.monotonic() - began
    console.print(f"  [bold]{final['status']}[/] after {seconds:.1f} s: {final['statusMessage']}", soft_wrap=True)
    for error in admin.expect("GET", f"{path}/errors?$top=5")["value"]:
        console.print(f"  {error['errorCode']} ({error['entryType']}): {error['errorMessage']}", soft_wrap=True)

    _show(reader)
    _seed_operation(admin, path)
    return 0 if final["status"] in {"success", "error"} else 1


def _files(roster: Path) -> dict[str, bytes]:
    if roster.is_file():
        return {roster.name: roster.read_bytes()}
    return {path.name: path.read_bytes() for path in sorted(roster.iterdir()) if path.suffix.lower() == ".csv"}


def _create(admin: Api, reader: Api, files: dict[str, bytes]) -> str:
    """A profile that fits the roster: accounts are created, or matched when the roster carries no names."""
    domain = "demo.example"
    identity: Json
    missing = _without_names(files)
    if missing:
        console.print(f"  no names in {', '.join(missing)}: people are matched, so they are made by hand first")
        _people_by_hand(reader, files, domain)
        identity = {
            "@odata.type": "#microsoft.graph.educationIdentityMatchingConfiguration",
            "matchingOptions": [
                {
                    "appliesTo": role,
                    "sourcePropertyName": "Username",
                    "targetPropertyName": "userPrincipalName",
                    "targetDomain": domain,
                }
                for role in ("student", "teacher")
            ],
        }
    else:
        identity = {
            "@odata.type": "#microsoft.graph.educationIdentityCreationConfiguration",
            "userDomains": [{"appliesTo": role, "name": domain} for role in ("student", "teacher")],
        }
    body = {
        "displayName": "Demo district",
        "dataProvider": {"@odata.type": "#microsoft.graph.educationCsvDataProvider"},
        "identitySynchronizationConfiguration": identity,
    }
    created = admin.expect("POST", "/v1.0/education/synchronizationProfiles", body)
    profile = str(created["id"])
    deadline = time.monotonic() + 30
    while admin.expect("GET", f"/v1.0/education/synchronizationProfiles/{profile}")["state"] != "provisioned":
        if time.monotonic() > deadline:
            raise DemoError("The profile was not provisioned within 30 seconds.")
        time.sleep(0.05)
    console.print(f"  POST synchronizationProfiles -> {profile}, provisioned")
    return profile


def _tables(files: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    for name, content in files.items():
        if not zipfile.is_zipfile(io.BytesIO(content)):
            yield name, content
            continue
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            yield from ((Path(member).name, archive.read(member)) for member in archive.namelist())


def _without_names(files: dict[str, bytes]) -> list[str]:
    return [
        name
        for name, content in _tables(files)
        if name.lower() in {"student.csv", "teacher.csv"}
        and b"First Name" not in content.removeprefix(b"\xef\xbb\xbf").split(b"\n", 1)[0]
    ]


def _people_by_hand(api: Api, files: dict[str, bytes], domain: str) -> None:
    names: set[str] = set()
    for name, content in _tables(files):
        if name.lower() in {"student.csv", "teacher.csv"}:
            rows = csv.DictReader(io.StringIO(content.decode("utf-8-sig")))
            names.update(row["Username"].partition("@")[0] for row in rows if row.get("Username"))
    for name in sorted(names):
        api.expect(
            "POST",
            "/v1.0/education/users",
            {
                "displayName": name,
                "accountEnabled": True,
                "mailNickname": name,
                "userPrincipalName": f"{name}@{domain}",
                "primaryRole": "none",
                "passwordProfile": {"password": str(uuid.uuid4()), "forceChangePasswordNextSignIn": True},
            },
        )


def _upload(container: str, name: str, content: bytes) -> None:
    """One Put Blob into the signed container, as `curl -T` with an `x-ms-blob-type` header does."""
    parts = urlsplit(container)
    connection = http.client.HTTPConnection(cast(str, parts.hostname), cast(int, parts.port), timeout=120)
    connection.request("PUT", f"{parts.path}/{quote(name)}?{parts.query}", content, {"x-ms-blob-type": "BlockBlob"})
    answer = connection.getresponse()
    if answer.status != 201:
        raise DemoError(f"The upload of {name} answered {answer.status}: {answer.read().decode(errors='replace')}")


def _watch(api: Api, path: str) -> Json:
    """Poll profileStatus, as every script does, and draw a bar per stage until the run ends."""
    stages = ("extracting", "validating", "inProgress")
    with Progress(
        TextColumn("  {task.description:<11}"), BarColumn(40), TimeElapsedColumn(), console=console
    ) as progress:
        bars = {stage: progress.add_task(stage, total=1, start=False) for stage in stages}
        while True:
            status = api.expect("GET", f"{path}/profileStatus", prefer="include-unknown-enum-members")
            now = status["status"]
            reached = stages.index(now) if now in stages else len(stages)
            for place, stage in enumerate(stages):
                if place <= reached:
                    progress.start_task(bars[stage])
                if place < reached:
                    progress.update(bars[stage], completed=1)
            if now in stages:
                progress.update(bars[now], completed=_share(str(status["statusMessage"])))
            if now in FINAL:
                return status
            time.sleep(0.03)


def _share(message: str) -> float:
    """How far the run says it is: the `n of m` in its status message, as a share of one."""
    words = message.replace(",", "").split()
    for before, word, after in zip(words, words[1:], words[2:], strict=False):
        if word == "of" and before.isdigit() and after.strip(".").isdigit():
            return int(before) / max(int(after.strip(".")), 1)
    return 0.0


def _show(api: Api) -> None:
    """What arrived, as any Graph client reads it."""
    root = "/v1.0/education"
    counts = {kind: api.count(f"{root}/{kind}") for kind in ("schools", "classes", "users")}
    console.print("  arrived: " + ", ".join(f"{number:,} {kind}" for kind, number in counts.items()))
    table = Table("school", "classes", "people", "a class", "teachers", "members", box=None, padding=(0, 2))
    for school in api.expect("GET", f"{root}/schools?$top=5&$orderby=displayName")["value"]:
        own = f"{root}/schools/{school['id']}"
        classes = api.expect("GET", f"{own}/classes?$top=1&$count=true&$orderby=displayName")
        row = [school["displayName"], str(classes["@odata.count"]), str(api.count(f"{own}/users"))]
        for example in classes["value"]:
            detail = f"{root}/classes/{example['id']}"
            teachers = api.expect("GET", f"{detail}/teachers")["value"]
            row += [example["displayName"], ", ".join(person["displayName"] for person in teachers)]
            row.append(str(api.count(f"{detail}/members")))
        table.add_row(*row)
    console.print(table)


def _seed_operation(api: Api, path: str) -> None:
    """The operation this project is named for: a script reports a profile's status."""
    body = {
        "@odata.type": "#microsoft.graph.educationSynchronizationProfileStatus",
        "status": "success",
        "lastSynchronizationDateTime": "2026-11-07T19:12:37.6472621Z",
    }
    console.print(f"\n[bold]PATCH {path}/profileStatus[/]", soft_wrap=True)
    console.print_json(data=body)
    status, answer = api.send("PATCH", f"{path}/profileStatus", body)
    console.print(f"[bold]{status}[/]")
    console.print_json(data=answer)
    if status != 200:
        raise DemoError("PATCH profileStatus was refused.")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
