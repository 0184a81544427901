"""Checksums that upload clients send along, computed while the bytes pass by.

SHA-256 names the content for the rest of the house; MD5 and CRC64 only tell a client whether its bytes arrived.
CRC64 is the one of Azure (and of NVMe): polynomial 0x9A6C9329AC4BC9B5 reflected, ones in and ones out. No module of
ours offers it, so it is done in long integers, at some 100 MB/s.
"""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache

_WIDTH = 64
_MASK = (1 << _WIDTH) - 1
_POLYNOMIAL = 0xAD93D23594C93659  # normal bit order, without its leading x^64
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_SMALL = 2048  # bits below which folding no longer pays
_PIECE = 64 * 1024  # bytes that are folded at once


class Crc64:
    """A CRC64 over bytes that come in parts.

    The message is a polynomial over GF(2), held in a Python integer whose top is the first bit. Its upper part H
    times x^k is congruent to H times (x^k mod P), a factor of 64 bits: so the upper half is folded onto the lower
    one with shifts and exclusive-ors of whole halves, until little is left.
    """

    def __init__(self) -> None:
        self._state = _MASK

    def update(self, data: bytes) -> None:
        """Take in the next bytes."""
        for begin in range(0, len(data), _PIECE):
            piece = data[begin : begin + _PIECE]
            bits = 8 * len(piece)
            value = (int.from_bytes(piece.translate(_REVERSED), "big") << _WIDTH) ^ (self._state << bits)
            self._state = _remainder(value, bits + _WIDTH)

    def digest(self) -> bytes:
        """The checksum as Azure's clients send it: 8 bytes, little-endian."""
        reflected = int(f"{self._state ^ _MASK:064b}"[::-1], 2)
        return reflected.to_bytes(8, "little")


def _remainder(value: int, bits: int) -> int:
    """`value` (of at most `bits` bits) modulo the polynomial."""
    while bits > _SMALL:
        low = bits // 2
        high = value >> low
        value &= (1 << low) - 1
        for shift in _power(low):
            value ^= high << shift
        bits = max(low, bits - low + _WIDTH)
    whole = _POLYNOMIAL | (1 << _WIDTH)
    while (length := value.bit_length()) > _WIDTH:
        value ^= whole << (length - _WIDTH - 1)
    return value


@lru_cache(maxsize=1024)
def _power(exponent: int) -> tuple[int, ...]:
    """The exponents of the terms of x^`exponent` modulo the polynomial."""
    result, base = 1, 2
    while exponent:
        if exponent & 1:
            result = _product(result, base)
        base = _product(base, base)
        exponent >>= 1
    return tuple(place for place in range(_WIDTH) if result >> place & 1)


def _product(left: int, right: int) -> int:
    """Product of two remainders."""
    result = 0
    while right:
        if right & 1:
            result ^= left
        right >>= 1
        left <<= 1
        if left >> _WIDTH:
            left ^= _POLYNOMIAL | (1 << _WIDTH)
    return result


class Digests:
    """The checksums of one body; CRC64 only when it is asked for, because it is slow."""

    def __init__(self, *, crc64: bool = False) -> None:
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._crc64 = Crc64() if crc64 else None

    def update(self, data: bytes) -> None:
        """Take in the next bytes."""
        self._sha256.update(data)
        self._md5.update(data)
        if self._crc64 is not None:
            self._crc64.update(data)

    @property
    def sha256(self) -> str:
        """Hexadecimal."""
        return self._sha256.hexdigest()

    @property
    def md5(self) -> str:
        """Base64, as in Content-MD5."""
        return base64.b64encode(self._md5.digest()).decode()

    @property
    def crc64(self) -> str | None:
        """Base64, as in x-ms-content-crc64."""
        return base64.b64encode(self._crc64.digest()).decode() if self._crc64 is not None else None
