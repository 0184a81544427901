"""Signatures, checksums, block lists and structured messages, as pure functions."""

import base64
import os
from contextlib import suppress
from itertools import pairwise
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schoolsync import ticks
from schoolsync.uploads import block_lists, signatures
from schoolsync.uploads.checksums import Crc64, Digests
from schoolsync.uploads.refusals import BlobRefused
from schoolsync.uploads.structured import Unwrapper

KEY = bytes(range(32))
NOW = ticks.parse("2026-11-24T08:00:00.1234567Z")
HOUR = 3600 * ticks.PER_SECOND
PROFILE = "0f0f0f0f-1111-2222-3333-444444444444"


def crc64(*parts):
    crc = Crc64()
    for part in parts:
        crc.update(part)
    return crc.digest()


def bitwise_crc64(data):
    """The definition, one bit at a time."""
    crc = 2**64 - 1
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x9A6C9329AC4BC9B5 if crc & 1 else 0)
    return (crc ^ (2**64 - 1)).to_bytes(8, "little")


def test_crc64_of_known_texts():
    """The published check values come out."""
    assert base64.b64encode(crc64(b"abc")) == b"6/rBP7vK5QU="
    assert crc64(b"123456789")[::-1].hex() == "ae8b14860a799888"
    assert crc64() == bytes(8)


@given(st.binary(max_size=1200), st.integers(0, 1200))
def test_crc64_is_the_defined_one(data, cut):
    """However the bytes are cut, the checksum is that of the definition."""
    assert crc64(data[:cut], data[cut:]) == bitwise_crc64(data)


def test_crc64_of_many_bytes():
    """Bodies larger than one piece are folded rightly."""
    data = os.urandom(150_001)
    assert crc64(data) == bitwise_crc64(data) == crc64(data[:70_000], data[70_000:])


def test_digests_without_crc64():
    """CRC64 is computed only when it is asked for."""
    assert Digests().crc64 is None
    assert Digests(crc64=True).crc64 is not None


# --- signatures ----------------------------------------------------------------------------------------------------


def signed(**changes):
    values = {"tenant": 7, "profile": PROFILE, "now": NOW, "expires": NOW + HOUR, "permissions": "w", **changes}
    return signatures.signed_query(KEY, **values)


def check(query, *, now=NOW, profile=PROFILE, key=KEY):
    return signatures.check(key, profile=profile, query=signatures.parameters(query.encode()), now=now)


@given(st.integers(1, 2**32 - 1), st.uuids(), st.sampled_from(["w", "rcwl"]))
def test_a_signed_query_opens_what_it_was_made_for(tenant, profile, permissions):
    """Tenant, profile and permissions come back as they went in."""
    query = signed(tenant=tenant, profile=str(profile), permissions=permissions)
    assert check(query, profile=str(profile)) == signatures.Access(tenant, str(profile), permissions)


def test_a_signed_query_works_until_it_expires():
    """Valid up to its last tick, never after."""
    query = signed()
    last = (NOW + HOUR) // ticks.PER_SECOND * ticks.PER_SECOND - 1
    assert check(query, now=last).tenant == 7
    with pytest.raises(signatures.Expired):
        check(query, now=last + 1)


def test_a_signature_of_another_key_is_refused():
    """Another installation's URL opens nothing here."""
    with pytest.raises(signatures.NotSigned):
        check(signed(), key=bytes(32))


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=80))
def test_no_text_is_a_signature(text):
    """Whatever stands in `sig`, nothing but the real one is believed, and nothing breaks."""
    query = signatures.parameters(signed().encode()) | {"sig": text}
    with pytest.raises(signatures.NotSigned):
        signatures.check(KEY, profile=PROFILE, query=query, now=NOW)


@given(st.binary(max_size=60))
def test_any_query_can_be_read(raw):
    """No query string breaks the reader."""
    assert isinstance(signatures.parameters(raw), dict)


def test_the_order_of_the_query():
    """The parameters stand in the documented order."""
    names = [part.partition("=")[0] for part in urlsplit("?" + signed()).query.split("&")]
    assert names == ["sv", "sr", "si", "sig", "se", "sp"]


# --- block lists ---------------------------------------------------------------------------------------------------


def test_resolving_a_list():
    """`Latest` prefers the new block, the other kinds look in one place only."""
    new = {"a": block_lists.Piece("a", "new", 0, 1)}
    old = {"a": block_lists.Piece("a", "old", 0, 1), "b": block_lists.Piece("b", "old", 1, 1)}
    xml = b"<BlockList><Latest>a</Latest><Committed> a </Committed><Latest>b</Latest></BlockList>"
    pieces = block_lists.resolve(block_lists.parse(xml), uncommitted=new, committed=old)
    assert [piece.object for piece in pieces] == ["new", "old", "old"]
    with pytest.raises(BlobRefused):
        block_lists.resolve([block_lists.Entry("Uncommitted", "b")], uncommitted=new, committed=old)


@given(st.binary(max_size=200))
def test_no_bytes_break_the_list_reader(data):
    """Whatever is sent as a block list is either read or refused."""
    with suppress(BlobRefused):
        assert isinstance(block_lists.parse(data), list)


# --- structured messages -------------------------------------------------------------------------------------------


def wrapped(content, *, segment=1000, flags=1, damage=None):
    parts = [content[at : at + segment] for at in range(0, len(content), segment)] or [b""]
    body = b""
    for number, part in enumerate(parts, 1):
        body += number.to_bytes(2, "little") + len(part).to_bytes(8, "little") + part
        body += crc64(part) if flags else b""
    body += crc64(content) if flags else b""
    head = b"\x01" + (len(body) + 13).to_bytes(8, "little") + flags.to_bytes(2, "little")
    whole = bytearray(head + len(parts).to_bytes(2, "little") + body)
    if damage is not None:
        whole[damage] ^= 1
    return bytes(whole)


def unwrapped(message):
    unwrapper = Unwrapper()
    content = unwrapper.feed(message)
    unwrapper.finish()
    return content


@given(st.binary(max_size=3000), st.integers(1, 700), st.sampled_from([0, 1]))
def test_a_structured_message_is_unwrapped(content, step, flags):
    """However it is cut into parts, the content comes out."""
    message = wrapped(content, flags=flags)
    unwrapper = Unwrapper()
    found = b"".join(unwrapper.feed(message[at : at + step]) for at in range(0, len(message), step))
    unwrapper.finish()
    assert found == content


@given(st.integers(0, 2100))
def test_a_damaged_message_is_refused(place):
    """One bit wrong anywhere but in the announced length, and the message is not accepted."""
    content = bytes(range(256)) * 8
    message = wrapped(content, damage=place)
    if 1 <= place <= 8:
        return
    with pytest.raises(BlobRefused):
        unwrapped(message)


def test_a_cut_message_is_refused():
    """A message without its end is not accepted, wherever it ends."""
    message = wrapped(b"x" * 2500)
    for end in {
        *range(60),
        *(at for pair in pairwise(range(0, len(message), 500)) for at in pair),
        len(message) - 1,
    }:
        unwrapper = Unwrapper()
        unwrapper.feed(message[:end])
        with pytest.raises(BlobRefused):
            unwrapper.finish()
    longer = Unwrapper()
    with pytest.raises(BlobRefused):
        longer.feed(message + b"x")
