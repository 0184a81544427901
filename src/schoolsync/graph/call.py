"""One call of the Graph face: what a handler is given and what it answers.

Handlers are plain functions `(Call) -> Reply`, run in a thread, or coroutine functions when they wait. They raise
the errors of `schoolsync.errors`; `graph.errors` alone turns those into Graph's envelope.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from schoolsync.access.principal import Principal

if TYPE_CHECKING:
    from schoolsync.graph.batch import Run
    from schoolsync.profiles.service import Profiles
    from schoolsync.runs.service import Runs
    from schoolsync.settings import Settings
    from schoolsync.store.control import Control
    from schoolsync.store.directories import Directories
    from schoolsync.uploads.service import Uploads

Json = dict[str, Any]  # a JSON object: its values are of any kind


@dataclass(frozen=True, slots=True)
class Services:
    """What handlers work with; built once per process by `serving.api`."""

    settings: Settings
    control: Control
    directories: Directories
    profiles: Profiles
    runs: Runs
    uploads: Uploads
    clock: Callable[[], int]  # now, in ticks
    new_id: Callable[[], str]  # a fresh lower-case GUID


class Call(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One authenticated and authorized request."""

    services: Services
    principal: Principal
    version: str  # "v1.0" or "beta"
    root: str  # public base URL with the version, e.g. https://host/beta; contexts and links start with it
    path: str  # canonical path below the version, e.g. education/classes/{id}/members with the keys filled in
    keys: Mapping[str, str]  # path parameters by the route's names; GUIDs in lower case
    query: Mapping[str, str]  # query options by lower-case name without `$`; plain unknown keys are not here
    headers: Mapping[str, str]  # lower-case names
    body: Json | None  # decoded JSON object where the route takes one
    method: str = "GET"
    template: str = ""  # of the route, e.g. education/classes/{class}/members
    run: Run | None = None  # runs a request of a batch; there for `$batch` alone
    now: int  # ticks
    request_id: str = ""  # this request's GUID, as the answer's header and every error body say it
    client_request_id: str = ""  # what the caller calls the request; the same GUID when it does not say

    @property
    def reads(self) -> bool:
        """Whether the call changes nothing."""
        return self.method == "GET"

    @property
    def is_plain(self) -> bool:
        """Whether an application asks without any wish, so that what it costs is known beforehand."""
        return not self.query and "prefer" not in self.headers and self.principal.kind == "application"

    def prefers(self, preference: str) -> bool:
        """Whether a `Prefer` header names `preference` (compared without case)."""
        said = self.headers.get("prefer")
        if not said:
            return False
        wanted = preference.lower()
        return any(part.strip().lower() == wanted for part in said.split(","))

    @property
    def shows_unknown_members(self) -> bool:
        """Whether evolvable enum members may be shown by name."""
        return self.prefers("include-unknown-enum-members")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One answer. `body` is a JSON object, a text (`text/plain`) or nothing."""

    status: int = 200
    body: Json | str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
