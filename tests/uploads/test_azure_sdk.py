"""Uploading with Microsoft's own Python client, unmodified."""

import hashlib
import os
import sys
import types

import psutil
import pytest
from azure.core import MatchConditions
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceExistsError
from azure.storage.blob import BlobBlock, ContainerClient, ContentSettings

from schoolsync import ticks
from schoolsync.store.control_tables import upload_blocks, upload_files
from schoolsync.uploads.checksums import Crc64

from ..examples import program

MIB = 1024 * 1024


def pattern(size):
    """Bytes that compress badly and differ everywhere."""
    return (os.urandom(MIB) * (size // MIB + 1))[: size - 8] + os.urandom(8)


@pytest.mark.parametrize(
    ("name", "data", "stored"),
    [
        ("School.csv", b"SIS ID,Name\r\n1,North\r\n", b"SIS ID,Name\r\n1,North\r\n"),
        ("Student.csv", "SIS ID,Name\r\n1,Zoë\r\n", "SIS ID,Name\r\n1,Zoë\r\n".encode()),
        ("Section.csv", b"", b""),
        ("rosters 2026/Teacher.csv", b"x", b"x"),
        ("écoles/Ålesund & co #1 100%.csv", b"y", b"y"),
    ],
)
def test_upload_a_small_file(house, name, data, stored):
    """Bytes, text and nothing arrive as they were sent, under the name the client gave."""
    profile = house.profile()
    house.container(profile).upload_blob(name, data)
    assert house.files(profile) == {name: stored}
    house.assert_nothing_left_over(profile)


def test_upload_as_the_docs_have_it(house, tmp_path, monkeypatch):
    """The program of docs/uploads.md sends a file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Student.csv").write_bytes(b"SIS ID\r\n1\r\n")
    profile = house.profile()
    exec(program("uploads.md", "from azure.storage", {}), {"upload_url": house.url(profile)})
    assert house.files(profile) == {"Student.csv": b"SIS ID\r\n1\r\n"}


def test_upload_twice_needs_overwrite(house):
    """The client's default never replaces a file; overwrite does, and the old bytes are gone."""
    profile = house.profile()
    container = house.container(profile)
    container.upload_blob("School.csv", b"one")
    with pytest.raises(ResourceExistsError) as refused:
        container.upload_blob("School.csv", b"two")
    assert refused.value.error_code == "BlobAlreadyExists"
    assert house.files(profile) == {"School.csv": b"one"}
    container.upload_blob("School.csv", b"three", overwrite=True)
    assert house.files(profile) == {"School.csv": b"three"}
    house.assert_nothing_left_over(profile)


def test_upload_a_large_file_in_parallel_blocks(house):
    """A file above 64 MiB goes up in parallel blocks, arrives whole, and the server never holds it in memory."""
    profile = house.profile()
    data = pattern(70 * MIB + 12_345)
    server = psutil.Process(house.pid)
    house.container(profile).upload_blob("Warm.csv", data[: 8 * MIB])
    before = server.memory_info().rss
    blob = house.container(profile).upload_blob("StudentEnrollment.csv", data, max_concurrency=4)
    grown = server.memory_info().rss - before
    assert blob.blob_name == "StudentEnrollment.csv"
    row = next(row for row in house.rows(upload_files, profile) if row.name == "StudentEnrollment.csv")
    assert (row.size, row.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    stored = (house.settings.objects / row.object).read_bytes()
    assert hashlib.sha256(stored).hexdigest() == row.sha256
    assert house.rows(upload_blocks, profile) == []
    house.assert_nothing_left_over(profile)
    assert grown < 40 * MIB


def test_upload_from_a_generator(house):
    """A stream of unknown length arrives in order."""
    profile = house.profile()
    parts = [os.urandom(300_000) for _ in range(40)]
    house.container(profile).upload_blob("Student.csv", (part for part in parts), max_concurrency=2)
    assert house.files(profile) == {"Student.csv": b"".join(parts)}
    house.assert_nothing_left_over(profile)


def test_upload_an_open_file(house, tmp_path):
    """A file handle is streamed."""
    profile = house.profile()
    data = pattern(3 * MIB)
    path = tmp_path / "Teacher.csv"
    path.write_bytes(data)
    with path.open("rb") as source:
        house.container(profile).upload_blob("Teacher.csv", source)
    assert house.files(profile) == {"Teacher.csv": data}


@pytest.mark.parametrize("size", [1000, 9 * MIB])
def test_upload_with_md5_checks(house, size):
    """`validate_content` is honoured for single bodies, blocks and the block list."""
    profile = house.profile()
    data = pattern(size)
    container = house.container(profile, max_single_put_size=4 * MIB, max_block_size=2 * MIB)
    container.upload_blob("School.csv", data, validate_content=True)
    assert house.files(profile) == {"School.csv": data}


@pytest.fixture
def checksum_extension(monkeypatch):
    """The client's optional checksum package, with our own CRC64 in its place."""

    def compute(data, initial):
        crc = Crc64()
        if initial:
            crc._state = int(f"{initial ^ (2**64 - 1):064b}"[::-1], 2)
        crc.update(bytes(data))
        return int.from_bytes(crc.digest(), "little")

    package = types.ModuleType("azure.storage.extensions")
    package.checksums = types.ModuleType("azure.storage.extensions.checksums")
    package.checksums.crc64 = types.SimpleNamespace(compute=compute)
    monkeypatch.setitem(sys.modules, "azure.storage.extensions", package)
    monkeypatch.setitem(sys.modules, "azure.storage.extensions.checksums", package.checksums)


@pytest.mark.parametrize("size", [0, 1000, 9 * MIB])
@pytest.mark.parametrize("as_file", [False, True])
def test_upload_with_crc64_checks(house, tmp_path, checksum_extension, size, as_file):
    """CRC64 is checked whether it comes in a header or wrapped around the content."""
    profile = house.profile()
    data = pattern(size) if size else b""
    path = tmp_path / "School.csv"
    path.write_bytes(data)
    container = house.container(profile, max_single_put_size=5 * MIB, max_block_size=4 * MIB)
    if as_file:
        with path.open("rb") as source:
            container.upload_blob("School.csv", source, validate_content="crc64")
    else:
        container.upload_blob("School.csv", data, validate_content="crc64")
    assert house.files(profile) == {"School.csv": data}
    house.assert_nothing_left_over(profile)


@pytest.mark.parametrize(
    "attempt",
    [
        lambda container: list(container.list_blobs()),
        lambda container: container.get_blob_client("School.csv").exists(),
        lambda container: container.get_blob_client("School.csv").get_blob_properties(),
        lambda container: container.download_blob("School.csv").readall(),
        lambda container: container.delete_blob("School.csv"),
        lambda container: container.create_container(),
        lambda container: container.get_container_properties(),
        lambda container: container.delete_container(),
    ],
    ids=["list", "exists", "properties", "download", "delete", "create", "container", "drop"],
)
def test_read_with_a_write_only_url_is_refused(house, attempt):
    """A URL with `sp=w` writes and does nothing else."""
    profile = house.profile()
    container = house.container(profile)
    container.upload_blob("School.csv", b"x")
    with pytest.raises(HttpResponseError) as refused:
        attempt(container)
    assert (refused.value.status_code, refused.value.error_code) == (403, "AuthorizationPermissionMismatch")
    assert house.files(profile) == {"School.csv": b"x"}


def test_upload_an_append_blob_is_refused(house):
    """Only block blobs are stored."""
    with pytest.raises(HttpResponseError) as refused:
        house.container(house.profile()).upload_blob("School.csv", b"x", blob_type="AppendBlob")
    assert refused.value.error_code in {"InvalidHeaderValue", "InvalidBlobType"}


def test_upload_with_an_expired_url_is_refused(house):
    """After an hour the URL is dead, and the client sees an authentication error."""
    profile = house.profile()
    url = house.url(profile, asked=ticks.parse("2026-01-01T00:00:00Z"))
    with pytest.raises(ClientAuthenticationError) as refused:
        ContainerClient.from_container_url(url, retry_total=0).upload_blob("School.csv", b"x")
    assert refused.value.error_code == "AuthenticationFailed"
    assert house.files(profile) == {}


# --- containers that may be read back ------------------------------------------------------------------------------


def test_list_and_read_back(open_house):
    """With the setting for tools that read, listing, properties, download and delete work."""
    profile = open_house.profile()
    container = open_house.container(profile)
    settings = ContentSettings(content_type="text/csv", cache_control="no-store")
    data = pattern(5 * MIB)
    container.upload_blob("a/School.csv", data, content_settings=settings, metadata={"sis": "north"})
    container.upload_blob("Student.csv", b"abc")
    listed = {blob.name: blob for blob in container.list_blobs(include=["metadata"])}
    assert {name: blob.size for name, blob in listed.items()} == {"a/School.csv": len(data), "Student.csv": 3}
    assert listed["a/School.csv"].metadata == {"sis": "north"}
    assert [blob.name for blob in container.list_blobs(name_starts_with="St")] == ["Student.csv"]
    assert sorted(blob.name for blob in container.walk_blobs()) == ["Student.csv", "a/"]
    assert [blob.name for page in container.list_blobs(results_per_page=1).by_page() for blob in page] == [
        "Student.csv",
        "a/School.csv",
    ]
    blob = container.get_blob_client("a/School.csv")
    properties = blob.get_blob_properties()
    assert properties.size == len(data)
    assert properties.content_settings.content_type == "text/csv"
    assert bytes(properties.content_settings.content_md5) == hashlib.md5(data).digest()
    assert properties.metadata == {"sis": "north"}
    assert blob.exists()
    assert blob.download_blob(validate_content=True).readall() == data
    assert blob.download_blob(offset=10, length=20).readall() == data[10:30]
    assert container.get_container_properties().name == profile.id
    assert not container.get_blob_client("Other.csv").exists()
    with pytest.raises(ResourceExistsError):
        container.create_container()
    container.delete_blob("Student.csv")
    assert [blob.name for blob in container.list_blobs()] == ["a/School.csv"]
    open_house.assert_nothing_left_over(profile)


def test_download_an_empty_file(open_house):
    """An empty file has no range that could be read, and is read all the same."""
    container = open_house.container(open_house.profile())
    container.upload_blob("School.csv", b"")
    assert container.download_blob("School.csv").readall() == b""


def test_upload_only_what_was_seen(open_house):
    """If-Match: a file that changed since it was read is not replaced."""
    profile = open_house.profile()
    blob = open_house.container(profile).get_blob_client("School.csv")
    blob.upload_blob(b"one")
    seen = blob.get_blob_properties().etag
    blob.upload_blob(b"two", overwrite=True)
    with pytest.raises(HttpResponseError) as refused:
        blob.upload_blob(b"three", overwrite=True, etag=seen, match_condition=MatchConditions.IfNotModified)
    assert (refused.value.status_code, refused.value.error_code) == (412, "ConditionNotMet")
    assert open_house.files(profile) == {"School.csv": b"two"}


def test_see_the_blocks_of_a_file(open_house):
    """Blocks that were sent and blocks that were listed can be told apart."""
    blob = open_house.container(open_house.profile()).get_blob_client("School.csv")
    blob.stage_block("a1", b"one")
    blob.stage_block("a2", b"two")
    committed, uncommitted = blob.get_block_list("all")
    assert ([block.id for block in committed], [block.id for block in uncommitted]) == ([], ["a1", "a2"])
    blob.commit_block_list([BlobBlock("a2"), BlobBlock("a1")])
    committed, uncommitted = blob.get_block_list("all")
    assert ([block.id for block in committed], uncommitted) == (["a2", "a1"], [])
    assert blob.download_blob().readall() == b"twoone"
