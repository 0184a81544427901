"""Encrypted files: whatever was kept comes back, whatever was touched does not open, and two machines share them."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from schoolsync.access import vault
from schoolsync.errors import UsageError, WorldError
from schoolsync.settings import Settings, load
from schoolsync.store import objects, sealed_objects, sealing

from ..storages import s3

KEYS = {"0123456789ab": b"k" * 32, "ba9876543210": b"l" * 32}
SIZES = st.one_of(
    st.integers(0, 3000), st.sampled_from([sealing.PIECE - 1, sealing.PIECE, sealing.PIECE + 1, 2 * sealing.PIECE])
)


def sealed(content: bytes, *, owner: str = "tenants/a") -> bytes:
    pieces = sealing.seal([content], name="0123456789ab", key=KEYS["0123456789ab"], owner=owner, salt=b"s" * 32)
    return b"".join(pieces)


def unsealed(pieces: list[bytes], *, owner: str = "tenants/a") -> bytes:
    return b"".join(sealing.unseal(pieces, keys=KEYS, owner=owner))


@given(size=SIZES, cuts=st.lists(st.integers(0, 2 * sealing.PIECE), max_size=4))
def test_what_was_sealed_comes_back(size: int, cuts: list[int]) -> None:
    """Of any length, and in whatever pieces a network brings it."""
    content = (b"Canary, of 3 B" * (size // 14 + 1))[:size]
    kept = sealed(content)
    assert b"Canary" not in kept
    edges = [0, *sorted(cut for cut in cuts if cut < len(kept)), len(kept)]
    assert unsealed([kept[a:b] for a, b in pairwise(edges)]) == content


@given(content=st.binary(max_size=200))
def test_what_was_kept_before_comes_back_as_it_is(content: bytes) -> None:
    """Encryption may be switched on later."""
    assume(not content.startswith(sealing.MARK))
    assert unsealed([content[:3], content[3:]]) == content


@given(place=st.integers(0), bit=st.integers(0, 7))
def test_a_changed_byte_is_noticed(place: int, bit: int) -> None:
    """Anywhere behind the mark: in the name of the key, the salt, the content."""
    kept = bytearray(sealed(b"x" * 100))
    place = len(sealing.MARK) + place % (len(kept) - len(sealing.MARK))
    kept[place] ^= 1 << bit
    with pytest.raises(WorldError, match=r"cannot be opened|key that is not there"):
        unsealed([bytes(kept)])


def test_pieces_cannot_be_left_out_or_moved() -> None:
    """Nor does a file open as another tenant's."""
    kept = sealed(os.urandom(3 * sealing.PIECE))
    head, piece = len(sealing.MARK) + 12 + 32, sealing.PIECE + 16
    first, second, third = (kept[head + at * piece : head + (at + 1) * piece] for at in range(3))
    for parts in ((first, second), (second, first, third), (first, third), (first, second, third, third), ()):
        with pytest.raises(WorldError, match="cannot be opened"):
            unsealed([kept[:head], *parts])
    with pytest.raises(WorldError, match="another tenant's"):
        unsealed([kept], owner="tenants/b")


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[Settings]:
    key = base64.b64encode(os.urandom(32)).decode()
    given_ = {"data_dir": tmp_path / "its data", "secrets_key": key, "clear_folder": tmp_path / "clear"}
    settings = load({**given_, "encrypt_files": True}, environment={})
    yield settings
    objects.objects_of(settings).leave()


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_copies_go_when_nobody_uses_them(folders: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not before, and not what is written at the moment; the last process that leaves clears the folder."""
    kept = objects.objects_of(folders)
    path = write(kept.path("tenants/a/profiles/b/uploads/c/d"), b"Canary")
    under_way = write(path.with_name("e.part"), b"Canary")
    kept.keep(path)
    assert b"Canary" not in (folders.kept_objects / kept.key(path)).read_bytes()
    kept.trim()
    assert path.exists()
    monkeypatch.setattr(sealed_objects, "FORGET_AFTER", -1.0)
    kept.trim()
    assert not path.exists()
    assert under_way.exists()
    os.utime(under_way, (time.time() - 5 * 3600,) * 2)
    kept.trim()
    assert not under_way.exists()
    assert kept.fetch(path).read_bytes() == b"Canary"
    kept.leave()
    assert not path.exists()


def test_a_folder_that_others_may_enter_is_refused(folders: Settings) -> None:
    """Somebody else may have made it, in a folder where everybody makes folders."""
    folders.work_dir.mkdir(parents=True, mode=0o755)
    folders.work_dir.chmod(0o755)
    with pytest.raises(WorldError, match="not ours alone"):
        sealed_objects.Folder(folders.work_dir)
    folders.work_dir.rmdir()
    folders.work_dir.symlink_to(folders.data_dir)
    with pytest.raises(WorldError, match=r"not ours alone|cannot be used"):
        sealed_objects.Folder(folders.work_dir)
    folders.work_dir.unlink()


def test_encryption_needs_a_key_and_a_folder_outside(tmp_path: Path) -> None:
    """A key beside what it opens protects nothing, and neither does a decrypted copy."""
    with pytest.raises(UsageError, match="secrets_key"):
        load({"encrypt_files": True}, environment={})
    key = base64.b64encode(b"k" * 32).decode()
    given_ = {"encrypt_files": True, "secrets_key": key, "data_dir": tmp_path}
    with pytest.raises(UsageError, match="outside"):
        load({**given_, "clear_folder": tmp_path / "x"}, environment={})
    with pytest.raises(UsageError, match="outside"):
        load({**given_, "secrets_key": None, "secrets_key_file": tmp_path / "keys" / "own.key"}, environment={})


def test_machines_share_encrypted_files_in_an_s3(tmp_path: Path) -> None:
    """Large and small files, copies, folders and an export; the storage sees no word, and a key of the vault that
    changes opens them still."""
    old, new = vault.fresh_key().decode(), vault.fresh_key().decode()
    with s3(tmp_path) as storage:

        def machine(name: str, key: str) -> objects.Objects:
            given_ = {"data_dir": tmp_path / name, "clear_folder": tmp_path / "clear", "secrets_key": key}
            return objects.objects_of(load({**given_, "encrypt_files": True, **storage.settings}, environment={}))

        here, there = machine("one", old), machine("two", old)
        folder = here.path("tenants/a/profiles/b/runs/c")
        large = (b"Canary" + bytes(range(256))) * 30_000
        write(folder / "plan" / "one.parquet", large)
        write(folder / "note.json", b"Canary")
        here.keep_folder(folder)
        here.copy(folder / "note.json", here.path("tenants/a/profiles/b/runs/d/note.json"))
        assert here.export(tmp_path / "export") == 3
        assert not any(b"Canary" in path.read_bytes() for path in (tmp_path / "export").rglob("*") if path.is_file())

        there.fetch_folder(there.path("tenants/a/profiles/b/runs"))
        below = there.path("tenants/a/profiles/b/runs")
        assert (below / "c" / "plan" / "one.parquet").read_bytes() == large
        assert (below / "d" / "note.json").read_bytes() == b"Canary"
        changing = machine("one", f"{new},{old}")
        assert changing.renew()
        assert not changing.renew()
        assert machine("three", new).fetch(machine("three", new).path("tenants/a/profiles/b/runs/c/note.json")).exists()
        with pytest.raises(WorldError, match="key"):
            machine("four", old).probe()
        plain = load({"data_dir": tmp_path / "five", **storage.settings}, environment={})
        with pytest.raises(UsageError, match="encrypted"):
            objects.objects_of(plain).probe()
        for one in (here, there, changing, machine("three", new), machine("four", old)):
            one.leave()


def test_what_was_kept_before_is_encrypted_on_demand(folders: Settings, tmp_path: Path) -> None:
    """Every file of before, once; what somebody has written since stays, and what was never finished goes."""
    plain = objects.Objects(folders.kept_objects)
    names = [f"tenants/a/profiles/b/runs/c/{name}" for name in ("one.parquet", "plan/two", "empty")]
    for name in names:
        write(plain.path(name), b"" if name.endswith("empty") else b"Canary" * 400_000)
    cut_off = write(plain.path("tenants/a/profiles/b/uploads/d/e.part"), b"Canary")
    os.utime(cut_off, (1, 1))
    kept = objects.objects_of(folders)
    assert kept.mixed
    fresh = write(kept.path("tenants/a/profiles/b/runs/c/fresh"), b"Canary")
    kept.keep(fresh)
    assert kept.encrypt() == len(names)
    assert not kept.mixed
    assert not cut_off.exists()
    there = [path for path in (folders.kept_objects / "tenants").rglob("*") if path.is_file()]
    assert len(there) == len(names) + 1
    assert all(path.read_bytes().startswith(sealing.MARK) for path in there)
    assert kept.encrypt() == 0
    kept.leave()
    again = sealed_objects.SealedObjects(
        tmp_path / "again" / "objects",
        tmp_path / "again" / "tags",
        None,
        (),
        home=folders.kept_objects,
        wrapping=lambda: vault.Vault(folders),
    )
    assert again.fetch(again.path(names[1])).read_bytes() == b"Canary" * 400_000
    assert again.fetch(again.path(names[2])).read_bytes() == b""
    again.renew()
    assert not again.mixed
    again.leave()


def test_an_installation_that_begins_encrypted_has_nothing_from_before(folders: Settings) -> None:
    """Nobody is told to encrypt what never was otherwise."""
    kept = objects.objects_of(folders)
    kept.probe()
    assert not kept.mixed
