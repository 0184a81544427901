"""How commands reach a server's own API: which address, as whom, and what is said when it does not work.

With a token in SCHOOLSYNC_TOKEN, or after `schoolsync login`, any server can be worked with, from anywhere. Without
either a token is made with the keys of the data directory, for the person who types: whoever can read those keys may
have one anyway.
"""

from __future__ import annotations

import getpass
import http.client
import json
import os
import ssl
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, urlencode, urlsplit

from schoolsync.cli import contexts
from schoolsync.cli.contexts import Context
from schoolsync.errors import SchoolsyncError, UsageError, WorldError
from schoolsync.settings import Settings

Json = dict[str, Any]  # a JSON object has values of any kind

ROOT = "/schoolsync/v1"
GRAPH = "/v1.0/education/synchronizationProfiles"
TOKEN = "SCHOOLSYNC_TOKEN"  # noqa: S105  the name of a variable
SERVER = "SCHOOLSYNC_SERVER"
PATIENCE = 120.0
"""Seconds that one request may take."""
BLOCK = 256 * 1024
"""Bytes of a file that are sent at a time."""
LIFETIME = 12 * 3600
"""Seconds that a token is good that a command makes for itself."""


class Refused(SchoolsyncError):
    """The server refused a request; the message is what it said."""

    def __init__(self, status: int, message: str, body: object = None) -> None:
        super().__init__(message)
        self.status = status
        self.body = body


@dataclass(frozen=True, slots=True, kw_only=True)
class Whereto:
    """What every command that asks a server is told."""

    settings: Settings
    tenant: str | None
    profile: str | None  # id or display name; None: the command names one later, or none
    server: str | None
    user: str | None
    audits: bool = False  # whether it may read the audit log
    administers: bool = False  # whether a token of our own making may write settings
    local: bool = False  # a data directory was named: its keys make the token, not a sign-in elsewhere


class Counted:
    """A file that tells how many of its bytes have been read."""

    def __init__(self, file: IO[bytes], tell: Callable[[int], None]) -> None:
        self._file = file
        self._tell = tell

    def read(self, size: int = -1) -> bytes:
        """The next bytes, as of a file."""
        taken = self._file.read(size)
        self._tell(len(taken))
        return taken


class Remote:
    """One server, one token, one profile."""

    def __init__(self, whereto: Whereto, *, context: Context | None = None) -> None:
        """`context`: the one to use, instead of looking for one. Raises UsageError, WorldError, Refused."""
        self._settings = whereto.settings
        given = os.environ.get(TOKEN, "").strip() if context is None else ""
        named = whereto.server or os.environ.get(SERVER)
        if context is None and not given and not whereto.local:
            context = contexts.chosen(named)
        self._again = _another_token(given, context)
        self._authority = context.authority if context is not None else None
        self.base = (named or (context.server if context is not None else _local(whereto.settings))).rstrip("/")
        if not _is_address(self.base):
            raise UsageError("--server must be scheme, host and port alone, such as https://sds.example.org.")
        if not all(map(_is_text, (whereto.user or "", whereto.profile or ""))):
            raise UsageError("--user and --profile must be text: what was typed is not UTF-8.")
        self._token = given or (_own_token(whereto) if context is None else _of_context(context, whereto))
        if not (self._token.isascii() and self._token.isprintable()) or " " in self._token:
            raise UsageError(f"{TOKEN} does not hold a token: it is one word, as `schoolsync token` prints it.")
        self.profile = "" if whereto.profile is None else self.named(whereto.profile)

    # --- asking ----------------------------------------------------------------------------------------------------

    def get(self, path: str, **query: object) -> Json:
        """GET below the profile."""
        given = {name: value for name, value in query.items() if value is not None}
        if not all(_is_text(str(value)) for value in given.values()):
            raise UsageError("What was typed is not UTF-8 text.")
        tail = f"?{urlencode(given)}" if given else ""
        return self._ask("GET", f"{self._below(path)}{tail}")

    def post(self, path: str, body: Json | None = None) -> Json:
        """POST below the profile."""
        return self._ask("POST", self._below(path), body)

    def patch(self, path: str, body: Json, *, version: str | None = None) -> Json:
        """PATCH below the profile; with `version` only that one is changed."""
        return self._ask("PATCH", self._below(path), body, version=version)

    def me(self) -> Json:
        """Who the token says is asking, and what that caller may do."""
        return self._ask("GET", f"{ROOT}/me")

    def text(self, method: str, path: str, body: Json | None = None) -> str:
        """Any request of any operation; what is answered, as it came."""
        content, headers = self._with(method, body)
        return self._answer(method, path, content, {**headers, "Accept": "*/*"}).decode("utf-8", "replace")

    def of_the_tenant(self, method: str, path: str, body: Json | None = None) -> Json:
        """A request of our own API's about the tenant."""
        return self._ask(method, f"{ROOT}{path}", body)

    def graph(self, method: str, path: str = "", body: Json | None = None, *, version: str | None = None) -> Json:
        """A request of Graph's about the profile, or about all of them when none is named."""
        below = f"/{self.profile}" if self.profile else ""
        return self._ask(method, f"{GRAPH}{below}{path}", body, version=version)

    def every(self, path: str, **query: object) -> Iterator[Json]:
        """The items of a list below the profile, over all its pages."""
        yield from self._pages(self.get(path, **query))

    def of_tenant(self, path: str, **query: object) -> Iterator[Json]:
        """The items of a list of the tenant, over all its pages."""
        given = {name: value for name, value in query.items() if value is not None}
        if not all(_is_text(str(value)) for value in given.values()):
            raise UsageError("What was typed is not UTF-8 text.")
        yield from self._pages(self._ask("GET", f"{ROOT}{path}?{urlencode(given)}"))

    def pages(self, path: str, **query: object) -> Iterator[Json]:
        """The pages of a list of the tenant, with what they say beside their items."""
        yield from self._each(self._ask("GET", f"{ROOT}{path}?{urlencode(query)}"))

    def _pages(self, page: Json) -> Iterator[Json]:
        for each in self._each(page):
            yield from each["value"]

    def _each(self, page: Json) -> Iterator[Json]:
        while True:
            yield page
            if not page["nextLink"]:
                return
            parts = urlsplit(page["nextLink"])
            page = self._ask("GET", f"{parts.path}?{parts.query}")

    def put(self, url: str, name: str, path: Path, *, sent: Callable[[int], None] | None = None) -> None:
        """Upload one file into a container; `sent` is told of the bytes as they go."""
        parts = urlsplit(url)
        target = f"{parts.path}/{quote(name)}?{parts.query}"
        try:
            size = path.stat().st_size
            with path.open("rb") as opened:
                content = opened if sent is None else Counted(opened, sent)
                self._send(
                    "PUT", target, content, {"x-ms-blob-type": "BlockBlob", "Content-Length": str(size)}, patience=3600
                )
        except OSError as problem:
            if isinstance(problem, ConnectionError | TimeoutError):
                raise
            raise UsageError(
                f"{path} cannot be read: {problem.strerror or 'the disk does not answer'}. Look at the path."
            ) from problem

    # --- inside ----------------------------------------------------------------------------------------------------

    def _below(self, path: str) -> str:
        return f"{ROOT}/profiles/{self.profile}{path}"

    def _ask(self, method: str, path: str, body: Json | None = None, *, version: str | None = None) -> Json:
        content, headers = self._with(method, body)
        if version is not None:
            headers["If-Match"] = version
        answer: Json = self._send(method, path, content, headers)
        return answer

    def _with(self, method: str, body: Json | None) -> tuple[bytes | None, dict[str, str]]:
        """What goes along with a request."""
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
        if body is not None:
            return json.dumps(body).encode(), {**headers, "Content-Type": "application/json"}
        if method == "POST":
            headers["Content-Length"] = "0"
        return None, headers

    def _send(
        self,
        method: str,
        path: str,
        content: bytes | IO[bytes] | Counted | None,
        headers: Mapping[str, str],
        *,
        patience: float = PATIENCE,
    ) -> Any:
        text = self._answer(method, path, content, headers, patience=patience)
        if not text:
            return {}
        try:
            return json.loads(text)
        except ValueError as problem:
            raise WorldError(f"What answers at {self.base} is not schoolsync.") from problem

    def _answer(
        self,
        method: str,
        path: str,
        content: bytes | IO[bytes] | Counted | None,
        headers: Mapping[str, str],
        *,
        patience: float = PATIENCE,
    ) -> bytes:
        connection: http.client.HTTPConnection | None = None
        try:
            connection = self._connection(patience)
            connection.request(method, path, content, dict(headers))
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as problem:
            raise WorldError(
                f"No answer from {self.base} ({type(problem).__name__}): is `schoolsync serve` running there? "
                f"--server or {SERVER} names another address."
            ) from problem
        finally:
            if connection is not None:
                connection.close()
        if answer.status >= 500:
            raise WorldError(f"The server at {self.base} cannot answer now: {_said(text, answer.status)}")
        if answer.status >= 300:
            said = _said(text, answer.status)
            if answer.status == http.client.UNAUTHORIZED and "Authorization" in headers:
                said = f"{said} {self._again}"
            raise Refused(answer.status, said, _json(text))
        return text

    def _connection(self, patience: float) -> http.client.HTTPConnection:
        parts = urlsplit(self.base)
        assert parts.hostname is not None
        if parts.scheme == "http":
            return http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=patience, blocksize=BLOCK)
        context = ssl.create_default_context()
        ours = Path(self._authority or self._settings.tls_cert or self._settings.data_dir / "tls" / "cert.pem")
        if ours.is_file():
            context.load_verify_locations(cafile=ours)
        return http.client.HTTPSConnection(
            parts.hostname, parts.port or 443, timeout=patience, context=context, blocksize=BLOCK
        )

    def named(self, wanted: str) -> str:
        """The id of the profile with that id or, when only one has it, that display name. Raises UsageError."""
        found = self.called(wanted)
        if len(found) != 1:
            what = "no profile" if not found else f"{len(found)} profiles"
            raise UsageError(f"The tenant has {what} of that id or name; `schoolsync profile list` lists them.")
        return found[0]

    def called(self, wanted: str) -> list[str]:
        """The ids of the profiles with that id or display name."""
        if not _is_text(wanted):
            raise UsageError("The profile's name is not UTF-8 text.")
        found = []
        page = self._ask("GET", f"{ROOT}/profiles")
        while True:
            for one in page["value"]:
                if one["id"] == wanted.strip().lower():
                    return [str(one["id"])]
                if one["displayName"] == wanted:
                    found.append(str(one["id"]))
            if not page["nextLink"]:
                return found
            parts = urlsplit(page["nextLink"])
            page = self._ask("GET", f"{parts.path}?{parts.query}")


def wait(remote: Remote, run: str, tell: Any) -> Json:  # tell: a function of a run
    """Watch a run until it has ended or waits for a person; `tell` is called with what is seen."""
    while True:
        seen = remote.get(f"/runs/{run}")
        tell(seen)
        if seen["ended"] or seen["state"] in {"held", "paused"}:
            return seen
        time.sleep(0.3)


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        given = parts.hostname, parts.port  # reading a port that cannot be one raises
    except ValueError:
        return False
    return bool(given[0]) and parts.scheme in {"http", "https"} and not (parts.path or parts.query or parts.fragment)


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _local(settings: Settings) -> str:
    if settings.public_url:
        return settings.base_url
    host = "127.0.0.1" if settings.host in {"0.0.0.0", "::"} else settings.host  # noqa: S104
    host = f"[{host}]" if ":" in host else host
    return f"{'https' if settings.secure else 'http'}://{host}:{settings.port}"


def _of_context(context: Context, whereto: Whereto) -> str:
    if whereto.tenant is not None and context.tenant not in {None, whereto.tenant.strip().lower()}:
        raise UsageError(f"You are signed in to tenant {context.tenant} (context {context.name}), not to --tenant.")
    if whereto.user is not None:
        raise UsageError(f"You are who you signed in as (context {context.name}): leave --user out.")
    return contexts.token_of(context)


def _another_token(given: str, context: Context | None) -> str:
    """What to do when the server does not take the token."""
    if context is not None:
        return f"Sign in once more: schoolsync login --context {context.name}."
    if given:
        return f"Put another token into {TOKEN}, or unset it and type schoolsync login."
    return "Its keys are not those of this data directory: name its own with --data-dir, or type schoolsync login."


def _own_token(whereto: Whereto) -> str:
    """A token for the person who types, made with the keys of the data directory."""
    # Loaded here: who has a token needs none of it.
    from schoolsync.access import issuer, roles
    from schoolsync.cli.token import person

    settings = whereto.settings
    if not settings.built_in_issuer:
        raise UsageError(f"The setting built_in_issuer is off: put a token of your own issuer into {TOKEN}.")
    if whereto.tenant is None:
        raise UsageError(f"Name the tenant with --tenant UUID, or put a token into {TOKEN}.")
    if not issuer.GUID.fullmatch(whereto.tenant.strip().lower()):
        raise UsageError("--tenant must be a GUID such as 11111111-2222-3333-4444-555555555555.")
    if settings.storage_url is not None:
        from schoolsync.access import shared_keys  # and by those alone who share keys

        shared_keys.meet(settings)
    if not settings.keys.is_dir():
        raise UsageError(
            f"{settings.data_dir} holds no keys of an installation: name its folder with --data-dir, or put a token "
            f"into {TOKEN}."
        )
    user_id, user_name = person(whereto.tenant, whereto.user or f"{_login()}@localhost")
    having = {roles.Role.OPERATOR, roles.Role.APPROVER}
    if whereto.administers:
        having.add(roles.Role.ADMIN)
    if whereto.audits:
        having.add(roles.Role.AUDITOR)
    grant = issuer.Grant(
        tenant_id=whereto.tenant.strip().lower(),
        client=issuer.CLI_CLIENT,
        scopes=(roles.ACCESS, "EduAdministration.ReadWrite"),
        roles=tuple(sorted(role.value for role in having)),
        user_id=user_id,
        user_name=user_name,
    )
    try:
        key = issuer.signing_key(settings.keys).get()
    except OSError as problem:
        raise UsageError(f"The keys in {settings.data_dir} cannot be read: {problem.strerror}.") from problem
    return issuer.mint(
        key, grant, base_url=settings.base_url, now=int(time.time()), lifetime=LIFETIME, token_id=str(uuid.uuid4())
    )


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid-{os.getuid()}"


def _json(text: bytes) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _said(text: bytes, status: int) -> str:
    """The sentence of an error that a server has answered with."""
    try:
        return str(json.loads(text)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        if status < 400:
            return f"This address leads elsewhere ({status}): it is no operation of the API."
        return f"it answered {status}."
