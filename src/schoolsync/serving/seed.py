"""Fills a server that has just started with a roster: `serve --seed-roster PATH`. A process of its own.

It does what an integrator's script would do, through the public API: a profile, an upload, a start, and a wait for the
end. So what a test then reads has come the way that real data comes. Standard library alone; one profile, once: a data
directory that was seeded before is left as it is.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import ssl
import sys
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from schoolsync.access import issuer
from schoolsync.errors import SchoolsyncError, UsageError, WorldError
from schoolsync.runs import lifeline
from schoolsync.runs.processes import from_line, new_id
from schoolsync.settings import Settings

NAME = "Seed"
DOMAIN = "seed.example"
PATIENCE = 600.0
LOOK = 0.02
PROFILES = "/v1.0/education/synchronizationProfiles"
ENDINGS = {"success", "error", "validationError", "quarantined", "paused"}

Json = dict[str, Any]  # a JSON object: its values are of any kind


class Api:
    """The server, with the token of a person who may administer profiles."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        grant = issuer.Grant(
            tenant_id=settings.seed_tenant,
            client=issuer.CLI_CLIENT,
            scopes=("EduAdministration.ReadWrite",),
            user_id=issuer.user_id_of(settings.seed_tenant, NAME),
        )
        self._token = issuer.mint(
            issuer.signing_key(settings.keys).get(),
            grant,
            base_url=settings.base_url,
            now=int(time.time()),
            lifetime=3600,
            token_id=new_id(),
        )

    def send(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Json:
        """One request. Raises WorldError for an answer that is no success."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        with contextlib.closing(self._connection()) as connection:
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            content = answer.read()
        if answer.status >= 300:
            told = content.decode(errors="replace")[:500]
            raise WorldError(f"The server cannot be seeded: {method} answered {answer.status}: {told}")
        return json.loads(content) if content.startswith(b"{") else {}

    def ask(self, method: str, path: str, body: Json | None = None) -> Json:
        """One request to the Graph face."""
        content = json.dumps(body).encode() if body is not None else b"" if method == "POST" else None
        return self.send(
            method,
            path,
            content,
            Authorization=f"Bearer {self._token}",
            Content_Type="application/json",
            Prefer="include-unknown-enum-members",
        )

    def _connection(self) -> http.client.HTTPConnection:
        host = "127.0.0.1" if self._settings.host in {"0.0.0.0", "::"} else self._settings.host  # noqa: S104
        if not self._settings.secure:
            return http.client.HTTPConnection(host, self._settings.port, timeout=120)
        # Our own server on this machine, whose certificate may name the outside only.
        context = ssl.create_default_context(cafile=self._settings.tls_cert or self._settings.data_dir / "tls/cert.pem")
        context.check_hostname = False
        return http.client.HTTPSConnection(host, self._settings.port, timeout=120, context=context)


def files(roster: Path) -> dict[str, Path]:
    """The files of a roster by name. Raises UsageError when there are none."""
    if roster.is_file():
        return {roster.name: roster}
    found = {path.name: path for path in sorted(roster.glob("*")) if path.suffix.lower() == ".csv"}
    if not found:
        raise UsageError(f"There is no roster at {roster}: name a folder of CSV files, or a zip.")
    return found


def seed(api: Api, roster: Path) -> None:
    """Synchronize `roster` into the seed's tenant and wait until it is there."""
    found = files(roster)
    if api.ask("GET", f"{PROFILES}?$filter=displayName%20eq%20'{NAME}'")["value"]:
        return
    deadline = time.monotonic() + PATIENCE
    identity = {
        "@odata.type": "#microsoft.graph.educationIdentityCreationConfiguration",
        "userDomains": [{"appliesTo": role, "name": DOMAIN} for role in ("student", "teacher")],
    }
    made = api.ask(
        "POST",
        PROFILES,
        {
            "displayName": NAME,
            "dataProvider": {"@odata.type": "#microsoft.graph.educationCsvDataProvider"},
            "identitySynchronizationConfiguration": identity,
            "handleSpecialCharacterConstraint": True,
        },
    )
    path = f"{PROFILES}/{made['id']}"
    while api.ask("GET", path)["state"] != "provisioned":
        _wait(deadline)
    container = urlsplit(api.ask("GET", f"{path}/uploadUrl")["value"])
    for name, file in found.items():
        target = f"{container.path}/{quote(name)}?{container.query}"
        api.send("PUT", target, file.read_bytes(), x_ms_blob_type="BlockBlob")
    api.ask("POST", f"{path}/start")
    while (status := api.ask("GET", f"{path}/profileStatus"))["status"] not in ENDINGS:
        _wait(deadline)
    if status["status"] not in {"success", "error"}:
        raise WorldError(f"The roster was not synchronized: {status['status']}: {status['statusMessage']}")


def _wait(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise WorldError(f"The roster was not synchronized within {PATIENCE:g} seconds.")
    time.sleep(LOOK)


def main() -> int:
    """Seed and end; 0 when the roster is there. Goes with the supervisor."""
    said = lifeline.lines()
    settings = from_line(next(said))
    going = threading.Semaphore(0)
    lifeline.watch(said, lambda _line: going.release())
    try:
        assert settings.seed_roster is not None
        api = Api(settings)
        going.acquire()
        seed(api, settings.seed_roster)
    except (SchoolsyncError, OSError) as problem:
        print(f"schoolsync: {problem}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
