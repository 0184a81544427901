"""What an operator may set, where each value came from, and nothing else.

A value comes from, in this order: the command line, the environment (`SCHOOLSYNC_…`), a TOML file, the default. Only
this module reads them; every other part is handed a `Settings`. The table in docs/settings.md is made from the
`help` texts below. Standard library alone, so that `--help` and `token` stay quick.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from schoolsync.errors import UsageError

PREFIX = "SCHOOLSYNC_"
FILE = "schoolsync.toml"
MIB = 1024 * 1024
RUN_MEMORY = 320 * MIB
"""What the engine of a run may use for itself; as much again as the upload is large comes to it."""
SHORTEST_SILENCE = 3.0
"""A worker on a machine that has much to do may well say nothing for a second or two."""


def _setting(default: Any, help_text: str, *, secret: bool = False) -> Any:  # a dataclass field of any type
    metadata = {"help": help_text, "secret": secret}
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The effective settings of one installation."""

    data_dir: Path = _setting(Path("schoolsync-data"), "folder of databases, files, keys and certificates")
    database_url: str | None = _setting(
        None,
        "PostgreSQL to use instead of the SQLite files, as `postgresql://user:password@host/database`",
        secret=True,
    )
    storage_url: str | None = _setting(
        None,
        "object storage that machines share, such as `s3://bucket/path`, `az://account/container/path`, "
        "`gs://bucket/path` or `file:///folder`; `objects/` in the data directory without it",
    )
    storage_options: tuple[str, ...] = _setting(
        (),
        "options of the object storage as `name=value`, such as `endpoint=http://minio:9000`; credentials may come "
        "from the variables of the cloud's own tools instead",
        secret=True,
    )
    database_connections: int = _setting(10, "connections to the PostgreSQL that one process may hold")
    host: str = _setting("127.0.0.1", "address to listen on")
    port: int = _setting(8080, "port to listen on")
    public_url: str | None = _setting(None, "base URL that clients use, when it differs from scheme, host and port")
    tls: bool = _setting(False, "serve HTTPS with a certificate of our own making, kept under `tls/`")
    tls_cert: Path | None = _setting(None, "certificate chain (PEM) to serve HTTPS with")
    tls_key: Path | None = _setting(None, "private key (PEM) of `tls_cert`")
    tls_min: str = _setting("1.2", "oldest TLS version that is spoken: 1.2 or 1.3")
    plain_http: bool = _setting(False, "serve other machines without TLS; for networks where nobody listens")
    trusted_proxies: tuple[str, ...] = _setting((), "addresses whose X-Forwarded-Proto/Host/Port headers are believed")
    audiences: tuple[str, ...] = _setting(
        (), "audiences of our own that tokens of any trusted issuer may carry, such as `api://schoolsync`"
    )
    issuers: Path | None = _setting(
        None, "file that lists the token issuers trusted beside the built-in one; without it `issuers.toml`, if there"
    )
    built_in_issuer: bool = _setting(True, "whether tokens of the built-in issuer are accepted and given out")
    egress_allow: tuple[str, ...] = _setting(
        (), "hosts and networks inside that schoolsync may connect to; public addresses are always allowed"
    )
    secrets_key: str | None = _setting(
        None,
        "key that stored secrets are encrypted with, base64 of 32 bytes; several while it changes, newest first",
        secret=True,
    )
    secrets_key_file: Path | None = _setting(
        None, "file of that key, when it is not given itself; `keys/secrets.key` in the data directory without it"
    )
    encrypt_files: bool = _setting(
        False,
        "encrypt uploads, plans, snapshots, findings and reports where they are kept; needs `secrets_key` or "
        "`secrets_key_file`",
    )
    clear_folder: Path | None = _setting(
        None,
        "folder outside of the data directory for what is decrypted while it is worked with; the system's temporary "
        "folder without it",
    )
    start_wait: float = _setting(60.0, "seconds that `start` waits for the verification of the uploaded files")
    upload_max_bytes: int = _setting(2048 * MIB, "largest file that may be uploaded, in bytes")
    upload_max_files: int = _setting(64, "most files that one upload may hold")
    upload_lifetime: int = _setting(3600, "seconds that an upload URL works")
    upload_permissions: str = _setting(
        "w", "what an upload URL allows: `w`, or `rcwl` for tools that list and read back"
    )
    roster_max_rows: int = _setting(50_000_000, "most rows that one roster file may hold")
    roster_max_bytes: int = _setting(16384 * MIB, "largest roster file, unpacked, in bytes")
    roster_max_columns: int = _setting(500, "most columns that one roster file may have")
    roster_max_cell: int = _setting(32_768, "most characters that one value of a roster may have")
    archive_max_files: int = _setting(64, "most files that one zip archive may hold")
    archive_max_bytes: int = _setting(16384 * MIB, "most bytes that one zip archive may unpack to")
    archive_max_ratio: int = _setting(250, "how many times larger a file of a zip archive may get when it is unpacked")
    sensitive_fields: tuple[str, ...] = _setting(
        (),
        "sensitive fields of rosters, such as `contacts`, that profiles keep unless their own settings say otherwise",
    )
    code_lists: Path | None = _setting(None, "TOML file with words that are added to the code lists of rosters")
    body_max_bytes: int = _setting(4 * MIB, "largest body of an API request, in bytes")
    body_seconds: int = _setting(60, "seconds that a request's body may stand still before the request is given up")
    page_size: int = _setting(100, "objects on a page when the client does not say")
    page_max: int = _setting(999, "most objects on a page")
    query_seconds: int = _setting(30, "seconds that a list with options may keep the database busy")
    memory_limit: str = _setting("848MiB", "most memory that the roster engine may use before it spills to disk")
    threads: int = _setting(2, "threads of the roster engine")
    reader_memory_limit: str = _setting(
        "192MiB", "memory that reading stored plans and findings for the API may use before it spills to disk"
    )
    batch_rows: int = _setting(20_000, "rows that one batch writes to the directory")
    first_batch_rows: int = _setting(
        200_000, "rows that one batch of a profile's first synchronization writes to a directory on SQLite"
    )
    concurrent_runs: int = _setting(1, "synchronizations that work at the same time in one worker")
    concurrent_runs_per_tenant: int = _setting(
        4, "synchronizations of one tenant that work at the same time, over all workers"
    )
    concurrent_small_runs: int = _setting(
        1, "synchronizations beside these in one worker: small ones, of tenants that have none at work"
    )
    small_run_bytes: int = _setting(16 * MIB, "bytes of files, unpacked, up to which a synchronization counts as small")
    worker_silence: float = _setting(
        12.0, "seconds without a beat after which other workers take the runs of a worker over; the same for all"
    )
    delta_deleted_classes: bool = _setting(
        False, "whether delta queries of classes tell deleted classes, which Microsoft Graph never does"
    )
    retention_days: int = _setting(30, "days that uploads, snapshots and plans are kept after use")
    throttle_requests: int = _setting(
        0, "requests that one application may make in one tenant within `throttle_seconds`; 0 for no limit"
    )
    throttle_seconds: int = _setting(10, "seconds that `throttle_requests` counts in")
    app_only_create: bool = _setting(
        False, "let applications without a person create, change and delete profiles, which Graph forbids; for hosters"
    )
    faults: bool = _setting(False, "serve the fault dial, for people who test their own client; never in production")
    memory: bool = _setting(False, "keep everything in memory and leave nothing behind; for tests")
    watch_folder: Path | None = _setting(
        None, "folder whose subfolders `<tenant>/<profile>` are looked at for complete sets of files; not without it"
    )
    watch_url: str | None = _setting(
        None,
        "prefix of an object storage, such as `s3://bucket/exports`, that is looked at as `watch_folder` is",
    )
    watch_options: tuple[str, ...] = _setting(
        (), "options of that storage as `name=value`; those of `storage_options` without any", secret=True
    )
    watch_seconds: int = _setting(30, "seconds between two looks at `watch_url`; a look costs a listing")
    seed_roster: Path | None = _setting(None, "roster that is synchronized before the server says that it is ready")
    seed_tenant: str = _setting("11111111-1111-4111-8111-111111111111", "tenant that `seed_roster` goes to")
    webhook_url: str | None = _setting(
        None, "address that is called when the condition of a profile changes, such as `https://hooks.example.org/x`"
    )
    webhook_secret: str | None = _setting(
        None, "key that these calls are signed with, base64 of 24 bytes or more", secret=True
    )
    mail_server: str | None = _setting(
        None, "mail server for notices, as `smtp://user@host:587` (STARTTLS) or `smtps://user@host`"
    )
    mail_password: str | None = _setting(None, "password of the user of `mail_server`", secret=True)
    mail_from: str | None = _setting(None, "address that notices are sent from")
    mail_to: tuple[str, ...] = _setting((), "addresses that get a mail when the condition of a profile changes")
    stale_hours: int = _setting(26, "hours without a good run after which notices call a profile stale; 0 for never")
    traces_endpoint: str | None = _setting(
        None, "OpenTelemetry collector that traces are sent to over HTTP, such as `http://localhost:4318`; none without"
    )
    operator_tenant: str | None = _setting(
        None,
        "tenant whose admins see what concerns the whole installation, such as what doctor finds, where there are "
        "several tenants",
    )
    console: bool = _setting(True, "whether the web console is served, at `/console`")
    console_hours: int = _setting(8, "hours that a sign-in to the console lasts")
    log_level: str = _setting("info", "debug, info, warning or error")

    @property
    def base_url(self) -> str:
        """Scheme, host and port that clients use, without a trailing slash."""
        if self.public_url:
            return self.public_url.rstrip("/")
        scheme = "https" if self.secure else "http"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}"

    @property
    def secure(self) -> bool:
        """Whether we serve HTTPS ourselves."""
        return self.tls or self.tls_cert is not None

    # Where things are inside the data directory.
    @property
    def control_db(self) -> Path:
        return self.data_dir / "control.db"

    @property
    def runs_db(self) -> Path:
        return self.data_dir / "runs.db"

    @property
    def directories(self) -> Path:
        return self.data_dir / "directory"

    @property
    def objects(self) -> Path:
        """Where files are worked with."""
        return self.work_dir / "objects"

    @property
    def kept_objects(self) -> Path:
        """Where files are kept when there is no object storage."""
        return self.data_dir / "objects"

    @property
    def work_dir(self) -> Path:
        """Where files of children's data may lie unencrypted: a folder of this account and data directory alone."""
        if not self.encrypt_files:
            return self.data_dir
        import hashlib  # these are loaded by those alone whose files are encrypted
        import tempfile

        whose = f"{os.getuid()} {self.data_dir.absolute()}"
        name = f"schoolsync-{hashlib.sha256(whose.encode()).hexdigest()[:16]}"
        return (self.clear_folder or Path(tempfile.gettempdir())).absolute() / name

    @property
    def keys(self) -> Path:
        return self.data_dir / "keys"

    @property
    def scratch(self) -> Path:
        return self.work_dir / "scratch"

    @property
    def roster_limits(self) -> dict[str, int]:
        """The limits of roster files and archives, by their names in `sources.files.Limits`."""
        return {
            "file_bytes": self.roster_max_bytes,
            "columns": self.roster_max_columns,
            "cell": self.roster_max_cell,
            "archive_files": self.archive_max_files,
            "archive_bytes": self.archive_max_bytes,
            "archive_ratio": self.archive_max_ratio,
        }

    def memory_for(self, upload_bytes: int) -> str:
        """What the engine of one run may use: 320 MiB and as much as the upload is large, `memory_limit` at most."""
        number, unit = _AMOUNT.findall(self.memory_limit)[0]
        most = float(number) * _UNITS[unit.upper()]
        return self.memory_limit if most <= (wanted := RUN_MEMORY + upload_bytes) else f"{wanted // MIB}MiB"

    def directory_db(self, tenant_id: str) -> Path:
        """The directory file of one tenant (lower-case GUID)."""
        return self.directories / f"{tenant_id}.db"


@dataclass(frozen=True, slots=True)
class Value:
    """One effective setting: its name, what it is, and where it came from."""

    name: str
    value: object
    source: str
    help: str
    secret: bool

    @property
    def shown(self) -> str:
        """The value as a person may see it."""
        if self.value is None:
            return "-"
        if self.secret:
            return "********"
        if isinstance(self.value, tuple):
            return ", ".join(self.value) or "-"
        return str(self.value).lower() if isinstance(self.value, bool) else str(self.value)


def load(given: Mapping[str, object] | None = None, *, environment: Mapping[str, str] | None = None) -> Settings:
    """The effective settings; `given` are the command line's, None or missing means not said.

    Raises UsageError, with the setting's name and where it came from, for a value that cannot be.
    """
    values: dict[str, Any] = {value.name: value.value for value in effective(given, environment=environment)}
    return Settings(**values)


def effective(
    given: Mapping[str, object] | None = None, *, environment: Mapping[str, str] | None = None
) -> list[Value]:
    """Every setting with its source, in the order of `Settings`."""
    given = {name: value for name, value in (given or {}).items() if value is not None}
    environment = os.environ if environment is None else environment
    path, table = _file(given, environment)
    known = {entry.name for entry in fields(Settings)}
    for name in table:
        if name.replace("-", "_") not in known:
            raise UsageError(f"{path}: there is no setting “{name}”; docs/settings.md lists them all.")
    from_file = {name.replace("-", "_"): value for name, value in table.items()}
    values = []
    for entry in fields(Settings):
        variable = PREFIX + entry.name.upper()
        raw: object
        if entry.name in given:
            raw, source = given[entry.name], "command line"
        elif variable in environment:
            raw, source = environment[variable], f"environment {variable}"
        elif entry.name in from_file:
            raw, source = from_file[entry.name], f"file {path}"
        else:
            raw, source = entry.default, "default"
        value = _convert(entry.name, str(entry.type), raw, source)
        values.append(Value(entry.name, value, source, entry.metadata["help"], entry.metadata["secret"]))
    _check({value.name: value for value in values})
    return values


def _file(given: Mapping[str, object], environment: Mapping[str, str]) -> tuple[Path | None, dict[str, object]]:
    """The TOML file named by SCHOOLSYNC_CONFIG, or `schoolsync.toml` in the data directory when it is there."""
    named = environment.get(PREFIX + "CONFIG")
    folder = Path(str(given.get("data_dir") or environment.get(PREFIX + "DATA_DIR") or "schoolsync-data"))
    path = Path(named) if named else folder / FILE
    try:
        if not named and not path.is_file():
            return None, {}
        return path, tomllib.loads(path.read_text("utf-8"))
    except OSError as problem:
        raise UsageError(f"The settings file {path} cannot be read: {problem.strerror}.") from problem
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise UsageError(f"The settings file {path} is not valid TOML: {problem}.") from problem


_TRUE, _FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}


def _convert(name: str, kind: str, raw: object, source: str) -> object:
    """`raw` as the type that `Settings` declares for `name`."""

    def wrong(expected: str) -> UsageError:
        return UsageError(f"The setting {name} ({source}) must be {expected}.")

    if raw is None or (raw == "" and kind.endswith("| None")):
        return None
    if kind.startswith("Path"):
        if not isinstance(raw, (str, Path)) or not str(raw):
            raise wrong("a path")
        return Path(raw).expanduser()
    if kind.startswith("tuple"):
        parts = raw.replace(",", " ").split() if isinstance(raw, str) else raw
        if not isinstance(parts, (list, tuple)) or not all(isinstance(part, str) for part in parts):
            raise wrong("a list of texts")
        return tuple(parts)
    if kind == "bool":
        if isinstance(raw, bool):
            return raw
        text = str(raw).lower()
        if text in _TRUE | _FALSE:
            return text in _TRUE
        raise wrong("true or false")
    if kind in {"int", "float"}:
        try:
            if isinstance(raw, bool):
                raise ValueError
            number = int(str(raw)) if kind == "int" else float(str(raw))
        except ValueError:
            raise wrong("a whole number" if kind == "int" else "a number") from None
        if not 0 <= number < 2**53:
            raise wrong("zero or more")
        return number
    if not isinstance(raw, str):
        raise wrong("a text")
    return raw


_STORAGES = {"s3", "gs", "az", "abfs", "abfss", "file"}
_AMOUNT = re.compile(r"([\d.]+) ?([KMGT]I?)B", re.IGNORECASE)
_UNITS = {f"{unit}{i}": (1024 if i else 1000) ** power for power, unit in enumerate("KMGT", 1) for i in ("", "I")}
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MEMORY = re.compile(r"0*[1-9]\d*(\.\d+)? ?[KMGT]i?B", re.IGNORECASE)


def _check(values: dict[str, Value]) -> None:
    """What single values cannot show to be wrong."""

    def wrong(name: str, sentence: str) -> UsageError:
        return UsageError(f"The setting {name} ({values[name].source}) {sentence}.")

    public_url = values["public_url"].value
    if isinstance(public_url, str):
        parts = urlsplit(public_url)
        if parts.scheme not in {"http", "https"} or not parts.netloc or parts.query or parts.fragment:
            raise wrong("public_url", "must be a URL such as https://sds.example.org")
    database_url = values["database_url"].value
    if isinstance(database_url, str):
        parts = urlsplit(database_url)
        if parts.scheme not in {"postgresql", "postgres"} or not parts.path.strip("/"):
            raise wrong("database_url", "must be a URL such as postgresql://user:password@host/database")
    for name, more in (("storage_url", "storage_options"), ("watch_url", "watch_options")):
        url, options = values[name].value, values[more].value
        if isinstance(url, str):
            parts = urlsplit(url)
            if parts.scheme not in _STORAGES or not (parts.path if parts.scheme == "file" else parts.netloc):
                raise wrong(name, "must be a URL such as s3://bucket/path; docs/storage.md lists them")
        if isinstance(options, tuple) and not all("=" in option for option in options):
            raise wrong(more, "must be a list of name=value")
    if values["encrypt_files"].value:
        given = values["secrets_key"].value or values["secrets_key_file"].value
        if given is None:
            raise wrong("encrypt_files", "needs the setting secrets_key or secrets_key_file: a key to encrypt with")
        for name in ("clear_folder", "secrets_key_file"):
            path, inside = values[name].value, values["data_dir"].value
            if (
                isinstance(path, Path)
                and isinstance(inside, Path)
                and path.absolute().is_relative_to(inside.absolute())
            ):
                raise wrong(name, "must lie outside of the data directory, for it opens what is encrypted there")
    operator = values["operator_tenant"].value
    if operator is not None and not _GUID.fullmatch(str(operator).lower()):
        raise wrong("operator_tenant", "must be a tenant's id, such as 11111111-2222-4333-8444-555555555555")
    port = values["port"].value
    if isinstance(port, int) and port > 65535:
        raise wrong("port", "must be at most 65535")
    if (values["tls_cert"].value is None) != (values["tls_key"].value is None):
        raise UsageError("The settings tls_cert and tls_key belong together: give both or neither.")
    if str(values["log_level"].value) not in {"debug", "info", "warning", "error"}:
        raise wrong("log_level", "must be debug, info, warning or error")
    if str(values["tls_min"].value) not in {"1.2", "1.3"}:
        raise wrong("tls_min", "must be 1.2 or 1.3")
    if str(values["upload_permissions"].value) not in {"w", "rcwl"}:
        raise wrong("upload_permissions", "must be w or rcwl")
    for name in ("memory_limit", "reader_memory_limit"):
        if not _MEMORY.fullmatch(str(values[name].value)):
            raise wrong(name, "must be an amount of memory such as 320MiB or 2GB")
    for name in (
        "page_size",
        "page_max",
        "console_hours",
        "query_seconds",
        "threads",
        "batch_rows",
        "first_batch_rows",
        "watch_seconds",
        "concurrent_runs",
        "concurrent_runs_per_tenant",
        "small_run_bytes",
        "body_max_bytes",
        "body_seconds",
        "database_connections",
        "roster_max_rows",
        "roster_max_bytes",
        "roster_max_columns",
        "roster_max_cell",
        "archive_max_files",
        "archive_max_bytes",
        "archive_max_ratio",
    ):
        if values[name].value == 0:
            raise wrong(name, "must be at least 1")
    silence = values["worker_silence"].value
    if isinstance(silence, float) and silence < SHORTEST_SILENCE:
        raise wrong(
            "worker_silence", f"must be at least {SHORTEST_SILENCE:g}, or workers that are busy lose their runs"
        )
    for name in ("page_size", "page_max"):
        number = values[name].value
        if isinstance(number, int) and number > 999:
            raise wrong(name, "must be at most 999")
