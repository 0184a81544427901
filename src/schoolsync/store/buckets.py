"""Files of others below a prefix of an object storage: listed and read, never written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from schoolsync import ticks


@dataclass(frozen=True, slots=True)
class Held:
    """An object `<tenant>/<profile>/<name>` below the prefix."""

    tenant_id: str
    profile: str
    name: str
    size: int
    changed: int  # ticks, by the storage's clock
    version: str  # its ETag


class Bucket:
    """A prefix of an object storage. Used by one thread; raises WorldError when the storage cannot be used."""

    def __init__(self, url: str, options: tuple[str, ...]) -> None:
        """Raises UsageError for an option that there is not."""
        from schoolsync.store import shared_objects  # loaded by those alone who watch such a place

        self._shared = shared_objects
        self._store: Any = shared_objects.connected(url, options, names=("watch_url", "watch_options"))

    def below(self, *folders: str) -> Iterator[Held]:
        """The objects of all profiles, or of one: its tenant and its id."""
        import obstore

        with self._shared.told():
            for chunk in obstore.list(self._store, "/".join(folders) or None):
                for meta in chunk:
                    parts = str(meta["path"]).split("/")
                    if len(parts) == 3 and all(parts):
                        tenant_id, profile, name = parts
                        changed = ticks.of(meta["last_modified"])
                        version = str(meta["e_tag"] or "").strip('"')
                        yield Held(tenant_id, profile, name, int(meta["size"]), changed, version)

    def read(self, key: str, *, version: str) -> Iterator[bytes]:
        """The bytes of an object. Raises FileNotFoundError when it is not of that version any more."""
        import obstore

        with self._shared.told():
            got = obstore.get(self._store, key)
            if str(got.meta["e_tag"] or "").strip('"') != version:
                raise FileNotFoundError(key)
            for piece in got.stream(min_chunk_size=self._shared.CHUNK):
                yield bytes(piece)
