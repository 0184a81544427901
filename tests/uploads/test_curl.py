"""Uploading with curl, as the README shows it."""

import os
import shutil
import subprocess
from urllib.parse import quote, unquote, urlsplit

import pytest

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
MIB = 1024 * 1024


def curl(*arguments):
    command = ["curl", "--silent", "--show-error", "--max-time", "60", "--write-out", "\n%{http_code}", *arguments]
    done = subprocess.run(command, check=True, capture_output=True)
    body, _, status = done.stdout.rpartition(b"\n")
    return int(status), body.decode()


def into(url, name):
    head, _, query = url.partition("?")
    return f"{head}/{quote(name)}?{query}"


def test_put_a_file(house, tmp_path):
    """`curl -T` with the blob type uploads a file."""
    profile = house.profile()
    path = tmp_path / "School.csv"
    path.write_bytes(b"SIS ID,Name\n1,North\n")
    status, body = curl("-T", str(path), "-H", "x-ms-blob-type: BlockBlob", into(house.url(profile), "School.csv"))
    assert (status, body) == (201, "")
    assert house.files(profile) == {"School.csv": path.read_bytes()}


def test_put_a_file_without_blob_type(house, tmp_path):
    """Without the blob type the answer says which header is missing."""
    profile = house.profile()
    path = tmp_path / "School.csv"
    path.write_bytes(b"x")
    status, body = curl("-T", str(path), into(house.url(profile), "School.csv"))
    assert status == 400
    assert "<Code>MissingRequiredHeader</Code>" in body
    assert "<HeaderName>x-ms-blob-type</HeaderName>" in body
    assert house.files(profile) == {}


def test_put_without_a_file_name(house, tmp_path):
    """Who forgets to insert the name before the question mark is told so."""
    path = tmp_path / "School.csv"
    path.write_bytes(b"x")
    status, body = curl("-T", str(path), "-H", "x-ms-blob-type: BlockBlob", house.url(house.profile()))
    assert status == 400
    assert "<Code>InvalidUri</Code>" in body
    assert "question mark" in body


@pytest.mark.parametrize("headers", [("Expect: 100-continue",), ("Transfer-Encoding: chunked",), ("Expect:",)])
def test_put_a_larger_file(house, tmp_path, headers):
    """Bodies announced with `Expect`, sent in chunks or simply sent all arrive."""
    profile = house.profile()
    path = tmp_path / "Student.csv"
    path.write_bytes(os.urandom(3 * MIB + 5))
    sent = [part for header in ("x-ms-blob-type: BlockBlob", *headers) for part in ("-H", header)]
    status, body = curl("-T", str(path), *sent, into(house.url(profile), "Student.csv"))
    assert (status, body) == (201, "")
    assert house.files(profile) == {"Student.csv": path.read_bytes()}


def test_refused_before_the_body_is_sent(narrow_house, tmp_path):
    """A body that is too large and waits for `100 Continue` is never sent."""
    profile = narrow_house.profile()
    path = tmp_path / "Student.csv"
    path.write_bytes(bytes(30 * MIB))
    status, body = curl(
        *("-T", str(path), "-H", "x-ms-blob-type: BlockBlob", "-H", "Expect: 100-continue"),
        *("--expect100-timeout", "20", "--max-time", "15"),
        into(narrow_house.url(profile), "Student.csv"),
    )
    assert status == 413
    assert "<Code>RequestBodyTooLarge</Code>" in body


def _decoded(url):
    return unquote(url)


def _encoded_again(url):
    head, _, query = url.partition("?")
    return (
        head
        + "?"
        + "&".join(f"{part.partition('=')[0]}={quote(unquote(part.partition('=')[2]))}" for part in query.split("&"))
    )


def _blank_for_plus(url):
    return unquote(url).replace("+", "%20")


def _other_order(url):
    head, _, query = url.partition("?")
    return head + "?" + "&".join(sorted(query.split("&")))


@pytest.mark.parametrize("spelling", [_decoded, _encoded_again, _blank_for_plus, _other_order])
def test_the_url_survives_other_spellings(house, spelling):
    """Decoding, encoding or reordering the query does not break the signature, whatever letters it holds."""
    profile = house.profile()
    seen = set()
    for number in range(12):
        url = spelling(house.url(profile, asked=None))
        seen.add(urlsplit(url).query)
        assert house.send("PUT", url, f"f{number}.csv", body=b"x").status == 201
    assert seen
