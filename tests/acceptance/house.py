"""A real `schoolsync serve` with its processes, tenants in it, and what scripts do to them over HTTP.

Nothing here knows how the server works inside, except where a test must look at the ledger of what was applied.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import json
import os
import re
import signal
import sqlite3
import ssl
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil
import psycopg

from schoolsync.cli import token as token_command
from schoolsync.settings import Settings
from schoolsync.store.directory_tables import directory as directory_tables

from ..german import assert_german

Json = dict[str, Any]  # a JSON object has values of any kind
T = TypeVar("T")

DOMAIN = "skole.example"
BEGUN = {"extracting", "validating", "inProgress"}
PREFER = {"Prefer": "include-unknown-enum-members"}
GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MINIMAL = "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"

READ, WRITE = "EduAdministration.Read", "EduAdministration.ReadWrite"
ROSTER_READ, ROSTER_WRITE = "EduRoster.Read.All", "EduRoster.ReadWrite.All"


def until(what: str, look: Callable[[], T], *, seconds: float = 60.0, pause: float = 0.02) -> T:
    """The first truthy answer of `look`."""
    deadline = time.monotonic() + seconds
    while True:
        answer = look()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} seconds"
        time.sleep(pause)


def command(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """A `schoolsync` command, run to its end."""
    whole = [sys.executable, "-m", "schoolsync", *map(str, arguments)]
    return subprocess.run(whole, capture_output=True, text=True, timeout=60, check=False, **options)


def _has_ended(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    return True


def _end_with_the_tests() -> None:
    """Ask the kernel for SIGTERM should the tests be killed: what they started does not outlive them."""
    with contextlib.suppress(OSError, AttributeError):  # elsewhere than on Linux there is no such thing
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


class Server:
    """A `schoolsync serve` on a free loopback port, with a data directory that outlives its processes.

    It works on SQLite, or on the PostgreSQL that the setting `database_url` names.
    """

    def __init__(
        self,
        folder: Path,
        *,
        tls: bool = False,
        settings: Mapping[str, object] | None = None,
        patience: float = 60.0,
        options: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`environment` is what its processes have beside the settings and what the tests have."""
        self._patience = patience
        self._beside = dict(environment or {})
        self.data = folder / "data"
        self.log = folder / "serve.log"
        self._tls = tls
        self._options = options
        self.database_url = str(settings["database_url"]) if settings and "database_url" in settings else None
        if settings and "batch_rows" in settings:  # small ones, to have many: a first synchronization as well
            settings = {"first_batch_rows": settings["batch_rows"], **settings}
        self._environment = {f"SCHOOLSYNC_{name.upper()}": str(value) for name, value in (settings or {}).items()}
        self._tokens: dict[tuple[Any, ...], str] = {}
        self.base = ""
        self.process: subprocess.Popen[bytes] | None = None
        self.http: httpx.Client = httpx.Client()

    @property
    def certificate(self) -> Path:
        return self.data / "tls" / "cert.pem"

    def start(self) -> Server:
        """Start and wait until `GET /healthz` says it is ready."""
        offset = self.log.stat().st_size if self.log.exists() else 0
        arguments = [
            "serve",
            "--data-dir",
            str(self.data),
            "--port",
            "0",
            *(["--tls"] if self._tls else []),
            *self._options,
        ]
        with self.log.open("ab") as sink:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "schoolsync", *arguments],
                stdout=sink,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self._environment, **self._beside},
                start_new_session=True,  # a process group of its own, which a test may kill whole
                preexec_fn=_end_with_the_tests,
            )

        def said() -> str | None:
            assert self.process is not None
            text = self.log.read_text("utf-8", "replace")[offset:]
            assert self.process.poll() is None, text[-3000:]
            found = re.search(r'schoolsync serves (\S+)|"said": "serves".*"url": "([^"]+)"', text)
            return (found[1] or found[2]) if found else None

        self.base = until("the server says where it is", said)
        self.http.close()
        self.http = httpx.Client(verify=self._trust(), timeout=120)
        if "SCHOOLSYNC_PUBLIC_URL" in self._environment:
            self.base = self._listens()  # what the world calls it leads elsewhere
        until("the server is ready", self.healthy, seconds=self._patience)
        return self

    def _trust(self) -> Any:  # what httpx takes as `verify`
        own = self._environment.get("SCHOOLSYNC_TLS_CERT")
        if not self._tls and own is None:
            return True
        if own is None:
            until("there is a certificate", self.certificate.exists)
        return ssl.create_default_context(cafile=own or str(self.certificate))

    def _listens(self) -> str:
        """The local address, found by looking at what our processes listen on."""

        def look() -> str | None:
            for process in self.processes():
                with contextlib.suppress(psutil.Error):
                    for connection in process.net_connections("tcp"):
                        if connection.status == psutil.CONN_LISTEN:
                            return f"http://127.0.0.1:{connection.laddr.port}"
            return None

        return until("it listens", look)

    def healthy(self) -> bool:
        try:
            return self.http.get(f"{self.base}/healthz").status_code == 200
        except httpx.TransportError:
            return False

    def processes(self) -> list[psutil.Process]:
        """The serving process and everything it started."""
        assert self.process is not None
        try:
            top = psutil.Process(self.process.pid)
            return [top, *top.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def those(self, part: str) -> list[psutil.Process]:
        """Our processes that are the `api`, the `worker` or an `engine`."""
        found = []
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                words, parent = process.cmdline(), process.parent()
                if parent is not None and parent.cmdline() == words:
                    continue  # it was begun this moment, and is not yet what it will be: it looks like its parent
                if any(word.startswith("schoolsync.") and word.endswith(f".{part}") for word in words):
                    found.append(process)
        return found

    def stop(self) -> float:
        """End it as an operator does; the seconds it took. Everything it started is gone afterwards."""
        assert self.process is not None
        family = self.processes()
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError("SIGTERM did not end the server") from None
        took = time.monotonic() - began
        self._gone(family)
        assert status == 0, f"exit status {status}: {self.tail()}"
        return took

    def kill(self) -> None:
        """kill -9 of the whole process group."""
        assert self.process is not None
        family = self.processes()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)
        self._gone(family)

    def kill_top(self) -> None:
        """kill -9 of the serving process alone: its children notice and go."""
        assert self.process is not None
        family = self.processes()
        self.process.kill()
        self.process.wait(10)
        self._gone(family)

    def _gone(self, family: list[psutil.Process]) -> None:
        _, alive = psutil.wait_procs(family, timeout=5)
        # What has ended and was only not yet asked about, by whoever has adopted it on a busy machine, is gone as well.
        alive = [process for process in alive if not _has_ended(process)]
        for process in alive:
            process.kill()
        assert not alive, f"still there: {alive}"

    def end(self) -> None:
        """Leave nothing, whatever the test did; what the server logged must be fit to be seen."""
        self.http.close()
        if self.process is not None and self.process.poll() is None:
            self.stop()
        log = self.log.read_text("utf-8", "replace") if self.log.exists() else ""
        assert "Traceback" not in log, log[log.index("Traceback") - 500 :][:4000]

    def tail(self) -> str:
        return self.log.read_text("utf-8", "replace")[-3000:]

    def token(
        self,
        tenant: str,
        *,
        scope: str | None = None,
        roles: tuple[str, ...] = (),
        user: str | None = None,
        expires_in: int = 7200,
    ) -> str:
        """What `schoolsync token` prints; made in this process, because tests need hundreds."""
        key = (tenant, scope, roles, user, expires_in)
        if key not in self._tokens:
            shown = io.StringIO()
            with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(io.StringIO()):
                token_command.run(
                    Settings(data_dir=self.data),
                    tenant=tenant,
                    scope=scope,
                    roles=roles,
                    user=user,
                    expires_in=expires_in,
                )
            self._tokens[key] = shown.getvalue().strip()
        return self._tokens[key]

    def command(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """A `schoolsync` command over this installation, on the server's own machine."""
        return command(*arguments, "--data-dir", self.data, env={**os.environ, **self._environment})

    def select(self, tenant: str, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of the tenant's directory; none while there is no such table."""
        return self.rows(tenant, query, *values)[1]

    def rows(self, tenant: str, query: str, *values: Any) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Names and rows of a query over the tenant's directory."""
        if self.database_url is not None:
            return self._rows_of_postgresql(tenant, query, values)
        path = self.data / "directory" / f"{tenant}.db"
        if not path.exists():
            return [], []
        deadline = time.monotonic() + 30
        while True:
            with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as connection:
                try:
                    cursor = connection.execute(query, values)
                    return [column[0] for column in cursor.description], cursor.fetchall()
                except sqlite3.OperationalError as problem:
                    if "no such table" in str(problem):
                        return [], []
                    # What a killed process left in the log is only taken over by the next one that may write.
                    if time.monotonic() >= deadline:
                        raise
            time.sleep(0.05)

    def control(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of the control database."""
        if self.database_url is not None:
            return self._rows_of_postgresql(None, query, values)[1]
        path = self.data / "control.db"
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as connection:
            return connection.execute(query, values).fetchall()

    def _rows_of_postgresql(
        self, tenant: str | None, query: str, values: Sequence[Any]
    ) -> tuple[list[str], list[tuple[Any, ...]]]:
        """A tenant's rows are shown as if nobody else had any."""
        assert self.database_url is not None
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            cursor: Any = connection.cursor()  # the statements of the tests are no literals
            if tenant is not None:
                number = cursor.execute("SELECT number FROM tenants WHERE id = %s", (tenant,)).fetchone()
                for table in directory_tables.tables.values():
                    if "tenant" in table.columns:
                        cursor.execute(
                            f"CREATE TEMPORARY VIEW {table.name} AS "
                            f"SELECT * FROM public.{table.name} WHERE tenant = {number[0] if number else -1}"
                        )
            cursor.execute(query.replace("?", "%s"), values)
            return [column.name for column in cursor.description], cursor.fetchall()


@dataclass(frozen=True)
class Api:
    """Raw requests with one token. Every answer is held to what every Graph answer must be."""

    server: Server
    token: str | None
    version: str = "v1.0"

    def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,  # anything JSON can hold; absent when None
        *,
        expect: int | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        version: str | None = None,
    ) -> httpx.Response:
        """`path` is below /education unless it is a whole URL or starts with two slashes."""
        url = path if path.startswith("http") else f"{self.server.base}/{version or self.version}/education{path}"
        sent = {"Accept": "application/json"}
        if self.token is not None:
            sent["Authorization"] = f"Bearer {self.token}"
        if body is not None:
            content = json.dumps(body, ensure_ascii=False).encode()
            sent["Content-Type"] = "application/json"
        sent |= dict(headers or {})
        answer = self.server.http.request(method, url, content=content, headers=sent)
        check_answer(answer)
        if expect is not None:
            assert answer.status_code == expect, f"{method} {url} -> {answer.status_code}: {answer.text}"
        return answer

    def get(self, path: str, **options: Any) -> Json:
        answer: Json = self("GET", path, expect=200, **options).json()
        return answer

    def all(self, path: str, **options: Any) -> list[Json]:
        """Every item of a collection, over its pages."""
        found: list[Json] = []
        link: str | None = path
        while link:
            page = self.get(link, **options)
            found += page["value"]
            link = page.get("@odata.nextLink")
        return found

    def refusal(self, method: str, path: str, status: int, body: Any = None, **options: Any) -> Json:
        """The `error` of a request that must be refused."""
        error: Json = self(method, path, body, expect=status, **options).json()["error"]
        return error


def check_answer(answer: httpx.Response) -> None:
    """What holds for every answer of the API, success or error."""
    shown = f"{answer.request.method} {answer.request.url} -> {answer.status_code} {answer.headers} {answer.text[:500]}"
    headers = answer.headers
    assert GUID.fullmatch(headers.get("request-id", "")), shown
    assert headers.get("client-request-id"), shown
    assert json.loads(headers["x-ms-ags-diagnostic"])["ServerInfo"].keys() == {
        "DataCenter",
        "Slice",
        "Ring",
        "ScaleUnit",
        "RoleInstance",
    }, shown
    assert headers.get("date"), shown
    assert headers.get("strict-transport-security") == "max-age=31536000", shown
    assert headers.get("cache-control") == "no-cache", shown
    assert "accept-encoding" in headers.get("vary", "").lower(), shown
    assert answer.status_code < 500 or answer.status_code == 503, shown
    if answer.status_code >= 400:
        assert headers["content-type"].split(";")[0] == "application/json", shown
        error = answer.json()["error"]
        assert error["code"], shown
        assert error["message"], shown
        inner = error["innerError"]
        assert inner["request-id"] == headers["request-id"], shown
        assert inner["client-request-id"] == headers["client-request-id"], shown
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", inner["date"]), shown
    elif answer.content:
        kind = headers["content-type"]
        if kind.startswith("text/plain"):
            assert answer.text.isdigit(), shown
        else:
            assert kind == MINIMAL, shown
            assert headers.get("odata-version") == "4.0", shown
            assert answer.json()["@odata.context"].startswith(context_root(answer)), shown
    elif answer.request.method != "HEAD":
        assert "content-type" not in headers, shown


def context_root(answer: httpx.Response) -> str:
    """The start of every context: scheme, host and version of the request."""
    url = answer.request.url
    version = url.path.lstrip("/").split("/")[0].lower()
    return f"{url.scheme}://{url.host}:{url.port}/{version}/$metadata#"


class Tenant:
    """A fresh tenant of a server and the tokens people and programs have in it."""

    def __init__(self, server: Server, tenant: str | None = None) -> None:
        self.server = server
        self.id = tenant or str(uuid.uuid4())

    def api(self, *, scope: str | None = None, roles: tuple[str, ...] = (), user: str | None = None) -> Api:
        return Api(self.server, self.server.token(self.id, scope=scope, roles=roles, user=user))

    @property
    def admin(self) -> Api:
        """A person who may write profiles."""
        return self.api(scope=WRITE, user=f"admin@{DOMAIN}")

    @property
    def reader(self) -> Api:
        """A program that may read and write the directory."""
        return self.api(roles=(ROSTER_WRITE,))

    def profile(self, body: Json | None = None) -> Profile:
        """A provisioned profile."""
        created = self.admin("POST", "/synchronizationProfiles", body or creation(), expect=202).json()
        profile = Profile(self, created["id"])
        until("the profile is provisioned", lambda: self.admin.get(profile.path)["state"] == "provisioned")
        return profile

    def known(self) -> Tenant:
        """The same, once a program of it has asked something: from then on people of it can be let in."""
        self.reader.get("/schools?$top=1")
        return self

    def objects(self) -> Json:
        """All schools, classes and people with every property and link, as the API shows them."""
        read = self.reader
        found: Json = {}
        for kind in ("schools", "classes", "users"):
            found[kind] = {item["id"]: item for item in read.all(f"/{kind}?$top=999")}
        links = {"schools": ("classes", "users"), "classes": ("members", "teachers", "schools")}
        for kind, names in links.items():
            for name in names:
                found[f"{kind}/{name}"] = {
                    key: sorted(item["id"] for item in read.all(f"/{kind}/{key}/{name}?$top=999&$select=id"))
                    for key in found[kind]
                }
        return found


@dataclass(frozen=True)
class Profile:
    """One synchronization profile and what its owner's script does."""

    tenant: Tenant
    id: str

    @property
    def path(self) -> str:
        return f"/synchronizationProfiles/{self.id}"

    @property
    def api(self) -> Api:
        return self.tenant.admin

    def status(self) -> Json:
        return self.api.get(f"{self.path}/profileStatus", headers=PREFER)

    def upload(self, files: Mapping[str, str | bytes]) -> None:
        """One Put Blob per file, as curl does it."""
        container = httpx.URL(self.api.get(f"{self.path}/uploadUrl")["value"])
        for name, content in files.items():
            answer = put_blob(self.tenant.server, container, name, content)
            assert answer.status_code == 201, answer.text

    def start(self, *, expect: int = 200) -> Json:
        answer: Json = self.api("POST", f"{self.path}/start", expect=expect).json()
        return answer

    def wait(self, *, seconds: float = 90.0) -> Json:
        """The status that the run at work ends with."""

        def ended() -> Json | None:
            status = self.status()
            assert_german(status["statusMessage"])
            return None if status["status"] in BEGUN else status

        return until("the run ends", ended, seconds=seconds)

    def sync(self, files: Mapping[str, str | bytes]) -> Json:
        """Upload, start, wait: the final status."""
        self.upload(files)
        self.start()
        return self.wait()

    def errors(self) -> list[Json]:
        return self.api.all(f"{self.path}/errors")


def put_blob(server: Server, container: httpx.URL | str, name: str, content: str | bytes) -> httpx.Response:
    """A Put Blob into a signed container; existing files are replaced."""
    url = httpx.URL(container)
    target = url.copy_with(raw_path=f"{url.path}/{name}?".encode() + url.query)
    payload = content.encode() if isinstance(content, str) else content
    return server.http.put(target, content=payload, headers={"x-ms-blob-type": "BlockBlob"})


def creation(**members: Any) -> Json:
    """A profile that creates accounts."""
    domains = [{"appliesTo": role, "name": DOMAIN} for role in ("student", "teacher")]
    body: Json = {
        "displayName": "Nordkapp",
        "dataProvider": {"@odata.type": "#microsoft.graph.educationCsvDataProvider"},
        "identitySynchronizationConfiguration": {
            "@odata.type": "#microsoft.graph.educationIdentityCreationConfiguration",
            "userDomains": domains,
        },
    }
    return body | members


def matching(target: str = "userPrincipalName", source: str = "Username", domain: str | None = DOMAIN) -> Json:
    """A profile that matches people who are there already."""
    options = [
        {"appliesTo": role, "sourcePropertyName": source, "targetPropertyName": target, "targetDomain": domain}
        for role in ("student", "teacher")
    ]
    return creation(
        identitySynchronizationConfiguration={
            "@odata.type": "#microsoft.graph.educationIdentityMatchingConfiguration",
            "matchingOptions": options,
        }
    )


@contextlib.contextmanager
def serving(folder: Path, **options: Any) -> Iterator[Server]:
    """A server for as long as the block runs; `options` are those of `Server`."""
    folder.mkdir(parents=True, exist_ok=True)
    server = Server(folder, **options)
    try:
        yield server.start()
    finally:
        server.end()
