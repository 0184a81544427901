"""One call of our own API: what a handler is given and what it answers.

Handlers are plain functions `(Call) -> Answer`, run in a thread, or coroutine functions when they wait. They raise the
errors of `schoolsync.errors`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from schoolsync import ticks
from schoolsync.access.principal import Principal
from schoolsync.errors import Invalid, PreconditionFailed
from schoolsync.graph import etags

if TYPE_CHECKING:
    from schoolsync.access.audit import Audit
    from schoolsync.profiles.service import Profiles
    from schoolsync.runs.change_history import ChangeHistory
    from schoolsync.runs.explaining import Explaining
    from schoolsync.runs.one import Ones
    from schoolsync.runs.plans import Plans
    from schoolsync.runs.previews import Previews
    from schoolsync.runs.readers import Readers
    from schoolsync.runs.service import Runs
    from schoolsync.runs.trying import Trying
    from schoolsync.settings import Settings
    from schoolsync.store.control import Control
    from schoolsync.store.directories import Directories
    from schoolsync.uploads.service import Uploads

Json = dict[str, Any]  # a JSON object: its values are of any kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What handlers work with; built once per process by `serving.api`."""

    settings: Settings
    control: Control
    profiles: Profiles
    runs: Runs
    plans: Plans
    ones: Ones
    previews: Previews
    explaining: Explaining
    trying: Trying
    changes: ChangeHistory
    uploads: Uploads
    readers: Readers
    directories: Directories
    audit: Audit
    working: Callable[[], bool]  # whether this machine's worker is there
    examine: Callable[[], Sequence[tuple[str, str, str]]]  # what doctor finds: check, level, sentence
    clock: Callable[[], int]  # now, in ticks
    new_id: Callable[[], str]  # a fresh lower-case GUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One authenticated and authorized request."""

    services: Services
    principal: Principal
    origin: str  # scheme, host and port as the client sees them
    url: str  # what the client asked for, without the query: links to further pages begin with it
    keys: Mapping[str, str]  # parts of the path by the route's names; GUIDs in lower case
    query: Mapping[str, Any]  # the route's parameters that were given, each of its parameter's type
    headers: Mapping[str, str]  # lower-case names
    body: Any  # an instance of the route's `takes`, or None
    now: int  # ticks

    @property
    def tenant(self) -> int:
        return self.principal.tenant

    @property
    def profile(self) -> str:
        return self.keys["profile"]

    @property
    def limit(self) -> int:
        """How many items of a list are wanted."""
        return min(int(self.query.get("limit", self.services.settings.page_size)), self.services.settings.page_max)

    def position(self) -> int | None:
        """Where a page goes on, from the link that the page before gave."""
        given = self.query.get("after")
        if given is None:
            return None
        if not (given.isascii() and given.isdecimal() and len(given) < 19):
            raise Invalid("after must be what nextLink of the page before says.", target="after")
        return int(given)

    def next_link(self, position: int | str) -> str:
        """The link to the page behind `position`, with the same filters."""
        kept = {name: value for name, value in self.query.items() if name not in {"after", "limit"}}
        shown = {name: _shown(value) for name, value in kept.items()}
        return f"{self.url}?{urlencode({**shown, 'limit': self.limit, 'after': position})}"

    def condition(self) -> Callable[[int], None]:
        """What `If-Match` asks of a version. The check raises PreconditionFailed."""

        def check(version: int) -> None:
            given = self.headers.get("if-match")
            if given is not None and not etags.names(given, etags.weak(version)):
                raise PreconditionFailed("The object was changed after it was read: read it again and repeat this.")

        return check


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer. `body` is an instance of the route's `answers`; None sends nothing."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def moment(value: int | None) -> str | None:
    """Ticks as answers show them."""
    return None if value is None else ticks.text(value)
