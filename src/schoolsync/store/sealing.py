"""How a file is encrypted: in pieces, so that memory stays flat, and none can be changed, moved or left out unnoticed.

A file begins with a mark, the id of the key and a salt; a key of its own is derived from those (HKDF-SHA256). Then
follow pieces of one MiB under AES-256-GCM, whose nonces count them and say which one is the last. The tenant that a
file belongs to goes into its key: a file does not open as another tenant's. No I/O here; randomness is an argument.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from schoolsync.errors import WorldError

MARK = b"schoolsync sealed 1\n"
ID_BYTES = 12
"""Letters of a key's id."""
SALT_BYTES = 32
KEY_BYTES = 32
PIECE = 1024 * 1024
_TAG = 16
_HEAD = len(MARK) + ID_BYTES + SALT_BYTES


def seal(pieces: Iterable[bytes], *, name: str, key: bytes, owner: str, salt: bytes) -> Iterator[bytes]:
    """Bytes of any lengths as an encrypted file, piece by piece, under the key that has this name."""
    cipher = _cipher(key, owner, salt)
    yield MARK + name.encode() + salt
    count = 0
    waiting: bytes | None = None
    for piece in _even(pieces, PIECE):
        if waiting is not None:
            yield cipher.encrypt(_nonce(count, last=False), waiting, None)
            count += 1
        waiting = piece
    yield cipher.encrypt(_nonce(count, last=True), waiting or b"", None)


def unseal(pieces: Iterable[bytes], *, keys: Mapping[str, bytes], owner: str) -> Iterator[bytes]:
    """What was encrypted; a file without the mark as it is, for it was kept before encryption was switched on.

    Raises WorldError when the key is not there, or the file is not what was written.
    """
    rest = iter(pieces)
    head = b""
    for piece in rest:
        head += piece
        if len(head) >= _HEAD:
            break
    if not head.startswith(MARK):
        yield head
        yield from rest
        return
    name = head[len(MARK) : len(MARK) + ID_BYTES].decode("ascii", "replace")
    if name not in keys:
        raise WorldError("A stored file was encrypted with a key that is not there: put the key back.")
    cipher = _cipher(keys[name], owner, head[len(MARK) + ID_BYTES : _HEAD])
    count = 0
    waiting: bytes | None = None
    try:
        for piece in _even(_chain(head[_HEAD:], rest), PIECE + _TAG):
            if waiting is not None:
                yield cipher.decrypt(_nonce(count, last=False), waiting, None)
                count += 1
            waiting = piece
        yield cipher.decrypt(_nonce(count, last=True), waiting or b"", None)
    except InvalidTag as problem:
        raise WorldError(
            "A stored file cannot be opened: it was changed, cut off, or is another tenant's."
        ) from problem


def _cipher(key: bytes, owner: str, salt: bytes) -> AESGCM:
    return AESGCM(HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=salt, info=b"file of " + owner.encode()).derive(key))


def _nonce(count: int, *, last: bool) -> bytes:
    """No nonce comes twice under a file's key."""
    return count.to_bytes(11, "big") + bytes([last])


def _even(pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The same bytes in pieces of one size; the last one may be shorter."""
    waiting = bytearray()
    for piece in pieces:
        waiting += piece
        while len(waiting) >= size:
            yield bytes(waiting[:size])
            del waiting[:size]
    if waiting:
        yield bytes(waiting)


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest
