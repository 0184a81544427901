"""`schoolsync profile export`, `diff`, `import`, `test`: a profile, its policy, guards and schedule in one TOML file.

The file holds no secret and can be kept under version control and reviewed. What differs is worked out by
`profiles.document`; everything is asked of a server, here or elsewhere, through Graph's API and our own.
"""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path
from typing import Any

import tomli_w

from schoolsync.cli.remote import Json, Remote, Whereto
from schoolsync.errors import UsageError, WorldError
from schoolsync.profiles import document

SECRET = "SCHOOLSYNC_CLIENT_SECRET"  # noqa: S105  the name of a variable
LONGEST = 1024 * 1024
HEAD = """\
# A synchronization profile of schoolsync, without secrets. What is not in this file has its default.
# Look at what differs with `schoolsync profile diff FILE`, put it in force with `schoolsync profile import FILE`.

"""


def export(whereto: Whereto, output: Path | None, *, as_json: bool) -> int:
    """Write a profile as one document."""
    remote = Remote(whereto)
    found, _ = _there(remote)
    text = json.dumps(found, ensure_ascii=False) + "\n" if as_json else HEAD + tomli_w.dumps(found)
    if output is None:
        print(text, end="")
        return 0
    try:
        output.write_text(text, "utf-8")
    except OSError as problem:
        raise WorldError(f"{output} cannot be written: {problem.strerror}.") from problem
    return 0


def test(whereto: Whereto, *, as_json: bool) -> int:
    """Say whether a profile can get at its roster; 0 it can, 1 something stands in the way."""
    found = Remote(whereto).get("/connection")
    if as_json:
        print(json.dumps(found))
    else:
        for one in found["checks"]:
            print(f"{one['level']:8} {one['check']}: {one['message']}")
    return 0 if found["works"] else 1


def diff(whereto: Whereto, file: Path, *, profile: str | None, as_json: bool) -> int:
    """Show what differs between a file and the server; 0 nothing, 1 something."""
    wanted = read(file)
    remote = Remote(whereto)
    there: Json = {}
    if _find(remote, profile, wanted) is not None:
        there, _ = _there(remote)
    found = document.differences(there, wanted)
    if as_json:
        print(json.dumps({"profile": remote.profile or None, "differences": _as_json(found)}))
    elif not found:
        print("Nothing differs.")
    else:
        if not there:
            print(f"There is no profile {wanted['displayName']!r}: importing makes it.")
        _tell(found)
    return 1 if found else 0


def import_(whereto: Whereto, file: Path, *, profile: str | None, as_json: bool) -> int:
    """Make a profile what a file says; it is created when there is none of that name."""
    wanted = read(file)
    remote = Remote(whereto)
    secret = os.environ.get(SECRET) or None
    if secret is not None and _secret_place(wanted) is None:
        raise UsageError(f"{SECRET} is set, but the data provider of {file} has no secret.")
    configuration = {name: value for name, value in wanted.items() if name != document.SETTINGS}
    made = _find(remote, profile, wanted) is None
    if made:
        _may_write_settings(remote)
        created = remote.graph("POST", "", _with_secret(configuration, wanted, secret))
        remote.profile = str(created["id"])
    there, version = _there(remote)
    found = document.differences(there, wanted)
    settings = document.change(there[document.SETTINGS], wanted[document.SETTINGS], lists=False)
    if settings:
        _may_write_settings(remote)
    there.pop(document.SETTINGS)
    changed = document.change(there, configuration, lists=True)
    if secret is not None and not made:
        changed = _with_secret(changed, wanted, secret)
    # The limits first: nothing that the file brings is ever planned under wider ones. Only the first write can name the
    # version that was read; a profile that was just made moves on by itself.
    seen = None if made else version
    if settings:
        remote.patch("/settings", settings, version=seen)
        seen = None
    if changed:
        remote.graph("PATCH", "", changed, version=seen)
    if as_json:
        shown = {"profile": remote.profile, "created": made, "changed": made or bool(found)}
        print(json.dumps(shown | {"differences": _as_json(found)}))
        return 0
    if made:
        print(f"Made profile {wanted['displayName']!r}: {remote.profile}")
    elif found:
        print(f"Changed profile {wanted['displayName']!r} ({remote.profile}):")
        _tell(found)
    else:
        print(f"Nothing differs; profile {wanted['displayName']!r} ({remote.profile}) stays as it is.")
    return 0


def read(file: Path) -> Json:
    """The document in a file. Raises UsageError, or Invalid naming what cannot be."""
    try:
        if file.stat().st_size > LONGEST:
            raise UsageError(f"{file} is larger than such a file may be: 1 MiB.")
        text = file.read_text("utf-8-sig")
        given: dict[str, Any] = tomllib.loads(text)
    except UnicodeDecodeError:
        raise UsageError(f"{file} is not UTF-8 text.") from None
    except tomllib.TOMLDecodeError as problem:
        raise UsageError(
            f"{file} is not TOML: {problem}. `schoolsync profile export` writes one to compare."
        ) from problem
    except OSError as problem:
        raise UsageError(f"{file} cannot be read: {problem.strerror}. Look at the path.") from problem
    return document.read(given)


def _find(remote: Remote, profile: str | None, wanted: Json) -> str | None:
    """Point `remote` at the profile that is meant: the one that was named, else the one of the file's name, if any."""
    if profile is not None:
        remote.profile = remote.named(profile)
        return remote.profile
    found = remote.called(str(wanted["displayName"]))
    if len(found) > 1:
        raise UsageError(f"{len(found)} profiles have that name: say which one with --profile ID.")
    if not found:
        return None
    remote.profile = found[0]
    return found[0]


def _there(remote: Remote) -> tuple[Json, str]:
    """The document of the profile as it is now, and its version."""
    profile = remote.graph("GET")
    return document.document(profile, remote.get("/settings")["settings"]), str(profile["@odata.etag"])


def _may_write_settings(remote: Remote) -> None:
    """Before anything is changed: whether all of it can be. Raises UsageError."""
    if "policy" not in remote.me()["acts"]:
        raise UsageError("The token lacks the role schoolsync.admin, which settings need: nothing was changed.")


def _secret_place(wanted: Json) -> tuple[str, ...] | None:
    """Where the data provider of a document keeps its secret; None: it has none."""
    provider = wanted["dataProvider"]
    if not isinstance(provider, dict):
        return None
    if "connectionSettings" in provider:
        return ("dataProvider", "connectionSettings")
    return ("dataProvider",) if "clientId" in provider else None


def _with_secret(body: Json, wanted: Json, secret: str | None) -> Json:
    """A body that carries the secret of the variable too."""
    place = _secret_place(wanted)
    if secret is None or place is None:
        return body
    whole = json.loads(json.dumps(body))
    inner, source = whole, wanted
    for name in place:
        source = source[name]
        inner = inner.setdefault(name, {})
        inner["@odata.type"] = source["@odata.type"]
    inner["clientSecret"] = secret
    return dict(whole)


def _as_json(found: list[tuple[str, Any, Any]]) -> list[Json]:
    return [{"path": path, "server": there, "file": here} for path, there, here in found]


def _tell(found: list[tuple[str, Any, Any]]) -> None:
    for path, there, here in found:
        print(f"  {path}: {_word(there)} -> {_word(here)}")


def _word(value: object) -> str:
    return "nothing" if value is None else json.dumps(value, ensure_ascii=False)
