"""The wire protocol, request by request."""

import base64
import hashlib
import re
import socket
import time
import uuid
import xml.etree.ElementTree as ET
from urllib.parse import parse_qsl, quote, urlsplit

import pytest

from schoolsync.store.control_tables import upload_blocks, upload_files
from schoolsync.uploads.checksums import Crc64

GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def md5(data):
    return base64.b64encode(hashlib.md5(data).digest()).decode()


def crc64(data):
    crc = Crc64()
    crc.update(data)
    return base64.b64encode(crc.digest()).decode()


def block_id(text):
    return base64.b64encode(text.encode()).decode()


def stage(house, url, name, block, data, **headers):
    return house.send(
        "PUT", url, name, query=f"comp=block&blockid={quote(block_id(block), safe='')}", body=data, headers=headers
    )


def listing(*entries):
    inner = "".join(f"<{kind}>{block_id(block)}</{kind}>" for kind, block in entries)
    return f"<?xml version='1.0' encoding='utf-8'?>\n<BlockList>{inner}</BlockList>".encode()


def commit(house, url, name, *entries, body=None, **headers):
    body = listing(*entries) if body is None else body
    return house.send("PUT", url, name, query="comp=blocklist", body=body, headers=headers)


# --- the URL -------------------------------------------------------------------------------------------------------


def test_the_url_has_the_documented_shape(house):
    """Container named as the profile, the parameters in Microsoft's order, one hour, write only."""
    profile = house.profile()
    parts = urlsplit(house.url(profile))
    assert parts.path == f"/uploads/{profile.id}"
    query = dict(parse_qsl(parts.query))
    assert list(query) == ["sv", "sr", "si", "sig", "se", "sp"]
    assert (query["sv"], query["sr"], query["sp"]) == ("2015-07-08", "c", "w")
    assert re.fullmatch(r"SharedAccessPolicy_\d{14}", query["si"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", query["se"])
    assert "%3A" in parts.query
    assert not re.search(r"[+/:]", parts.query)


def _change(url, name, value):
    head, _, query = url.partition("?")
    parts = [f"{name}={quote(value, safe='')}" if part.startswith(name + "=") else part for part in query.split("&")]
    return f"{head}?{'&'.join(parts)}"


@pytest.mark.parametrize(
    "forge",
    [
        lambda url: url.partition("?")[0],
        lambda url: _change(url, "sig", ""),
        lambda url: _change(url, "sig", "nonsense!"),
        lambda url: _change(url, "sig", base64.b64encode(bytes(36)).decode()),
        lambda url: _change(url, "sig", base64.b64encode(bytes(4)).decode()),
        lambda url: _change(url, "se", "2099-01-01T00:00:00Z"),
        lambda url: _change(url, "sp", "rcwl"),
        lambda url: _change(url, "sr", "b"),
        lambda url: _change(url, "si", "SharedAccessPolicy_20200101000000"),
        lambda url: url + "&sp=rcwl",
        lambda url: url + "&sig=abc",
        lambda url: re.sub(r"uploads/[^?]+", f"uploads/{uuid.uuid4()}", url),
    ],
)
def test_a_forged_url_opens_nothing(house, forge):
    """Whatever is changed in a URL, it is no longer believed."""
    profile = house.profile()
    answer = house.send("PUT", forge(house.url(profile)), "School.csv", body=b"x")
    assert (answer.status, answer.code) == (403, "AuthenticationFailed")
    assert b"<AuthenticationErrorDetail>" in answer.body
    assert house.rows(upload_files, profile) == []


def test_one_profile_cannot_write_into_another(house):
    """A good URL of one profile does not open the container of another."""
    mine, other = house.profile(), house.profile()
    url = house.url(mine).replace(mine.id, other.id)
    assert house.send("PUT", url, "School.csv", body=b"x").code == "AuthenticationFailed"


# --- answers -------------------------------------------------------------------------------------------------------


def test_success_carries_azures_headers(house):
    """What upload tools read from an answer is there."""
    profile = house.profile()
    sent = {"x-ms-client-request-id": "client-1", "x-ms-version": "2026-10-06"}
    answer = house.send("PUT", house.url(profile), "School.csv", body=b"abc", headers=sent)
    assert answer.status == 201
    assert re.fullmatch(r'"0x[0-9A-F]+"', answer.headers["etag"])
    assert answer.headers["last-modified"].endswith(" GMT")
    assert GUID.fullmatch(answer.headers["x-ms-request-id"])
    assert answer.headers["x-ms-client-request-id"] == "client-1"
    assert answer.headers["x-ms-version"] == "2026-10-06"
    assert answer.headers["x-ms-request-server-encrypted"] == "false"
    assert answer.headers["content-md5"] == md5(b"abc")
    assert answer.headers["content-length"] == "0"
    assert (answer.headers["x-content-type-options"], answer.headers["content-security-policy"]) == (
        "nosniff",
        "sandbox",
    )
    assert "date" in answer.headers
    assert "content-type" not in answer.headers


def test_errors_are_azures_xml(house):
    """An error carries its code in header and body, with request id and time in the message."""
    answer = house.send("PUT", house.url(house.profile()), "School.csv", body=b"abc", blob_type=None)
    assert answer.headers["content-type"] == "application/xml"
    error = ET.fromstring(answer.body)
    assert error.tag == "Error"
    assert error.findtext("Code") == answer.code == "MissingRequiredHeader"
    sentence, request, time = error.findtext("Message").split("\n")
    assert sentence
    assert request == f"RequestId:{answer.headers['x-ms-request-id']}"
    assert re.fullmatch(r"Time:\d{4}-\d\d-\d\dT[\d:.]+Z", time)


def test_a_head_error_has_the_code_but_no_body(house):
    """HEAD answers carry the error in the header alone."""
    answer = house.send("HEAD", house.url(house.profile()), "School.csv")
    assert (answer.status, answer.code, answer.body) == (403, "AuthorizationPermissionMismatch", b"")


def test_headers_cannot_be_smuggled(house):
    """A client's request id with odd letters is not echoed."""
    answer = house.send(
        "PUT", house.url(house.profile()), "a.csv", body=b"", headers={"x-ms-client-request-id": "ä\xff"}
    )
    assert answer.status == 201
    assert "x-ms-client-request-id" not in answer.headers


@pytest.mark.parametrize(
    ("method", "query", "headers", "status", "code"),
    [
        ("PUT", "", {"x-ms-blob-type": "PageBlob"}, 400, "InvalidHeaderValue"),
        ("PUT", "", {"x-ms-copy-source": "http://elsewhere/x"}, 400, "UnsupportedHeader"),
        ("PUT", "", {"x-ms-encryption-key": "AAAA"}, 400, "UnsupportedHeader"),
        ("PUT", "", {"x-ms-structured-body": "XSM/9.0"}, 400, "UnsupportedHeader"),
        ("PUT", "", {"If-Modified-Since": "Mon, 01 Jan 2024 00:00:00 GMT"}, 400, "UnsupportedHeader"),
        ("PUT", "", {"Content-MD5": "AAAA"}, 400, "InvalidMd5"),
        ("PUT", "", {"x-ms-meta-bad-name": "x"}, 400, "InvalidHeaderValue"),
        ("PUT", "", {"x-ms-meta-large": "x" * 1025}, 400, "InvalidHeaderValue"),
        ("PUT", "", {f"x-ms-meta-m{n}": "x" * 1000 for n in range(9)}, 400, "MetadataTooLarge"),
        ("PUT", "comp=appendblock", {}, 409, "InvalidBlobType"),
        ("PUT", "comp=nonsense", {}, 400, "InvalidQueryParameterValue"),
        ("PUT", "comp=block", {}, 400, "MissingRequiredQueryParameter"),
        ("PUT", "comp=block&blockid=%21", {}, 400, "InvalidQueryParameterValue"),
        ("PUT", f"comp=block&blockid={'QUFB' * 22}", {}, 400, "InvalidQueryParameterValue"),
        ("POST", "", {}, 405, "UnsupportedHttpVerb"),
        ("PATCH", "", {}, 405, "UnsupportedHttpVerb"),
    ],
)
def test_what_cannot_be_done_is_refused(house, method, query, headers, status, code):
    """Requests outside the protocol get the code that Azure's clients know, and store nothing."""
    profile = house.profile()
    answer = house.send(method, house.url(profile), "School.csv", query=query, body=b"x", headers=headers)
    assert (answer.status, answer.code) == (status, code)
    assert house.on_disk(profile) == []


@pytest.mark.parametrize("name", ["../../evil", "a/../b", "./x", "a//b", "x\n.csv", "a\\..\\b", "n" * 1025, "\x7f"])
def test_names_that_could_mean_another_place_are_refused(house, name):
    """No name leads out of the container; names on disk are never the client's."""
    profile = house.profile()
    answer = house.send("PUT", house.url(profile), name, body=b"x")
    assert answer.code == "InvalidResourceName"
    assert house.on_disk(profile) == []


@pytest.mark.parametrize("path", ["//uploads/{}//School.csv", "/Uploads/{}/School.csv", "/uploads//{}/School.csv"])
def test_sloppy_paths_find_the_container(house, path):
    """Double slashes and letter case do not matter."""
    profile = house.profile()
    query = urlsplit(house.url(profile)).query
    url = f"{house.settings.base_url}{path.format(profile.id.upper())}?{query}"
    assert house.send("PUT", url, body=b"x").status == 201
    assert house.files(profile) == {"School.csv": b"x"}


# --- checksums -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Content-MD5": md5(b"other")}, "Md5Mismatch"),
        ({"x-ms-content-crc64": crc64(b"other")}, "Crc64Mismatch"),
        ({"x-ms-content-crc64": "nonsense"}, "Crc64Mismatch"),
    ],
)
@pytest.mark.parametrize("operation", ["blob", "block"])
def test_bytes_that_changed_on_the_way_are_not_kept(house, headers, code, operation):
    """A checksum that does not fit leaves nothing behind."""
    profile = house.profile()
    url = house.url(profile)
    if operation == "blob":
        answer = house.send("PUT", url, "School.csv", body=b"abc", headers=headers)
    else:
        answer = stage(house, url, "School.csv", "1", b"abc", **headers)
    assert (answer.status, answer.code) == (400, code)
    assert house.on_disk(profile) == []
    assert house.rows(upload_files, profile) == house.rows(upload_blocks, profile) == []


def test_the_md5_a_file_shall_have_is_checked(house):
    """A whole body must have the MD5 that its uploader wants to be kept with it."""
    profile = house.profile()
    url = house.url(profile)
    wrong = house.send("PUT", url, "School.csv", body=b"abc", headers={"x-ms-blob-content-md5": md5(b"other")})
    assert (wrong.code, house.on_disk(profile)) == ("Md5Mismatch", [])
    right = house.send("PUT", url, "School.csv", body=b"abc", headers={"x-ms-blob-content-md5": md5(b"abc")})
    assert right.status == 201


def test_a_block_list_is_checked_too(house):
    """A damaged block list makes no file; a good one does."""
    profile = house.profile()
    url = house.url(profile)
    stage(house, url, "School.csv", "1", b"abc")
    xml = listing(("Latest", "1"))
    assert commit(house, url, "School.csv", body=xml, **{"Content-MD5": md5(b"other")}).code == "Md5Mismatch"
    assert commit(house, url, "School.csv", body=xml, **{"x-ms-content-crc64": crc64(b"o")}).code == "Crc64Mismatch"
    assert house.files(profile) == {}
    answer = commit(house, url, "School.csv", body=xml, **{"x-ms-content-crc64": crc64(xml)})
    assert (answer.status, answer.headers["x-ms-content-crc64"]) == (201, crc64(xml))
    assert house.files(profile) == {"School.csv": b"abc"}


# --- blocks --------------------------------------------------------------------------------------------------------


def test_blocks_are_invisible_until_they_are_listed(house):
    """A file appears whole, in the order of the list, and what is not listed is dropped."""
    profile = house.profile()
    url = house.url(profile)
    for block, data in (("b2", b"two"), ("b1", b"one"), ("b3", b"three")):
        assert stage(house, url, "Student.csv", block, data).status == 201
    assert house.files(profile) == {}
    assert commit(house, url, "Student.csv", ("Latest", "b1"), ("Uncommitted", "b2")).status == 201
    assert house.files(profile) == {"Student.csv": b"onetwo"}
    assert house.rows(upload_blocks, profile) == []
    house.assert_nothing_left_over(profile)


def test_a_file_is_amended_from_its_own_blocks(house):
    """Committed blocks are taken from the file, new ones from what was sent since; `Latest` prefers the new."""
    profile = house.profile()
    url = house.url(profile)
    for block, data in (("b1", b"one"), ("b2", b"two")):
        stage(house, url, "Student.csv", block, data)
    commit(house, url, "Student.csv", ("Latest", "b1"), ("Latest", "b2"))
    stage(house, url, "Student.csv", "b2", b"TWO")
    stage(house, url, "Student.csv", "b3", b"three")
    entries = (("Committed", "b2"), ("Latest", "b2"), ("Latest", "b1"), ("Uncommitted", "b3"))
    assert commit(house, url, "Student.csv", *entries).status == 201
    assert house.files(profile) == {"Student.csv": b"twoTWOonethree"}
    assert commit(house, url, "Student.csv", ("Committed", "b1")).status == 201
    assert house.files(profile) == {"Student.csv": b"one"}
    house.assert_nothing_left_over(profile)


@pytest.mark.parametrize("entry", [("Latest", "zz"), ("Committed", "b1"), ("Uncommitted", "zz")])
def test_a_list_of_unknown_blocks_changes_nothing(house, entry):
    """A list that names a block nobody sent is refused; the blocks stay."""
    profile = house.profile()
    url = house.url(profile)
    stage(house, url, "Student.csv", "b1", b"one")
    assert commit(house, url, "Student.csv", entry).code == "InvalidBlockList"
    assert commit(house, url, "Student.csv", ("Latest", "b1")).status == 201


def test_block_ids_of_a_file_have_one_length(house):
    """Two tools that upload the same name at once are told apart by their ids."""
    profile = house.profile()
    url = house.url(profile)
    stage(house, url, "Student.csv", "b1", b"one")
    assert stage(house, url, "Student.csv", "block", b"two").code == "InvalidBlobOrBlock"
    assert stage(house, url, "Teacher.csv", "block", b"two").status == 201
    house.assert_nothing_left_over(profile)


def test_the_last_block_of_an_id_wins(house):
    """A block sent twice counts once."""
    profile = house.profile()
    url = house.url(profile)
    stage(house, url, "Student.csv", "b1", b"old")
    stage(house, url, "Student.csv", "b1", b"new")
    commit(house, url, "Student.csv", ("Latest", "b1"))
    assert house.files(profile) == {"Student.csv": b"new"}
    house.assert_nothing_left_over(profile)


def test_a_whole_body_discards_blocks(house):
    """Put Blob replaces everything under its name, blocks included."""
    profile = house.profile()
    url = house.url(profile)
    stage(house, url, "Student.csv", "b1", b"one")
    assert house.send("PUT", url, "Student.csv", body=b"whole").status == 201
    assert commit(house, url, "Student.csv", ("Latest", "b1")).code == "InvalidBlockList"
    assert house.files(profile) == {"Student.csv": b"whole"}
    house.assert_nothing_left_over(profile)


def test_an_empty_list_makes_an_empty_file(house):
    """A block list without blocks is a file without bytes."""
    profile = house.profile()
    assert commit(house, house.url(profile), "Student.csv").status == 201
    assert house.files(profile) == {"Student.csv": b""}


BOMB = b"""<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a "aaaaaaaaaa"><!ENTITY c "&a;&a;&a;&a;&a;&a;&a;&a;">]>
<BlockList><Latest>&c;</Latest></BlockList>"""
OUTSIDE = b"""<!DOCTYPE b [<!ENTITY a SYSTEM "file:///etc/passwd">]><BlockList><Latest>&a;</Latest></BlockList>"""


@pytest.mark.parametrize(
    ("xml", "code"),
    [
        (b"", "InvalidXmlDocument"),
        (b"not xml", "InvalidXmlDocument"),
        (b"<BlockList><Latest>YQ==</Latest>", "InvalidXmlDocument"),
        (BOMB, "InvalidXmlDocument"),
        (OUTSIDE, "InvalidXmlDocument"),
        (b"<Other/>", "UnsupportedXmlNode"),
        (b"<BlockList><Newest>YQ==</Newest></BlockList>", "UnsupportedXmlNode"),
        (b"<BlockList><Latest><b>YQ==</b></Latest></BlockList>", "UnsupportedXmlNode"),
        (b"<BlockList>" + b"<Latest>YQ==</Latest>" * 50_001 + b"</BlockList>", "BlockListTooLong"),
        (b"<BlockList>" + b" " * 9_000_000 + b"</BlockList>", "RequestBodyTooLarge"),
    ],
    ids=["empty", "text", "cut", "bomb", "outside", "root", "kind", "nested", "long", "large"],
)
def test_a_hostile_list_is_refused(house, xml, code):
    """A block list that is cut, foreign, explosive or endless is refused at once."""
    profile = house.profile()
    url = house.url(profile)
    stage(house, url, "Student.csv", "a", b"one")
    assert commit(house, url, "Student.csv", body=xml).code == code
    assert house.files(profile) == {}


# --- limits --------------------------------------------------------------------------------------------------------


def test_a_file_may_not_be_too_large(narrow_house):
    """Announced, unannounced, in blocks or put together: more than the limit is refused and nothing kept."""
    profile = narrow_house.profile()
    url = narrow_house.url(profile)
    large = bytes(1_000_001)
    answer = narrow_house.send("PUT", url, "a.csv", body=large)
    assert (answer.status, answer.code) == (413, "RequestBodyTooLarge")
    assert b"<MaxLimit>1000000</MaxLimit>" in answer.body
    answer = narrow_house.send("PUT", url, "a.csv", body=iter([large]))
    assert answer.code == "RequestBodyTooLarge"
    assert stage(narrow_house, url, "a.csv", "1", large).code == "RequestBodyTooLarge"
    assert stage(narrow_house, url, "a.csv", "1", large[:600_000]).status == 201
    assert stage(narrow_house, url, "a.csv", "2", large[:600_000]).code == "RequestBodyTooLarge"
    twice = (("Latest", "1"), ("Latest", "1"))
    assert commit(narrow_house, url, "a.csv", *twice).code == "RequestBodyTooLarge"
    assert narrow_house.send("PUT", url, "a.csv", body=large[:-1]).status == 201
    narrow_house.assert_nothing_left_over(profile)


def test_an_upload_holds_so_many_files(narrow_house):
    """One name more than the limit is refused, whether whole or in blocks; names that are there may be replaced."""
    profile = narrow_house.profile()
    url = narrow_house.url(profile)
    assert narrow_house.send("PUT", url, "1.csv", body=b"1").status == 201
    assert stage(narrow_house, url, "2.csv", "a", b"2").status == 201
    assert narrow_house.send("PUT", url, "3.csv", body=b"3").status == 201
    assert narrow_house.send("PUT", url, "4.csv", body=b"4").code == "FileCountExceedsLimit"
    assert stage(narrow_house, url, "4.csv", "a", b"4").code == "FileCountExceedsLimit"
    assert narrow_house.send("PUT", url, "3.csv", body=b"new").status == 201
    assert commit(narrow_house, url, "2.csv", ("Latest", "a")).status == 201
    assert narrow_house.files(profile) == {"1.csv": b"1", "2.csv": b"2", "3.csv": b"new"}
    narrow_house.assert_nothing_left_over(profile)


# --- conditions ----------------------------------------------------------------------------------------------------


def test_conditions_guard_a_file(house):
    """If-Match and If-None-Match hold for whole bodies and for block lists."""
    profile = house.profile()
    url = house.url(profile)
    assert house.send("PUT", url, "a.csv", body=b"0", headers={"If-Match": "*"}).code == "ConditionNotMet"
    etag = house.send("PUT", url, "a.csv", body=b"1", headers={"If-None-Match": "*"}).headers["etag"]
    assert house.send("PUT", url, "a.csv", body=b"2", headers={"If-None-Match": "*"}).code == "BlobAlreadyExists"
    assert house.send("PUT", url, "a.csv", body=b"2", headers={"If-Match": '"0x0"'}).code == "ConditionNotMet"
    assert house.send("PUT", url, "a.csv", body=b"2", headers={"If-None-Match": etag}).code == "ConditionNotMet"
    stage(house, url, "a.csv", "1", b"3")
    assert commit(house, url, "a.csv", ("Latest", "1"), **{"If-None-Match": "*"}).code == "BlobAlreadyExists"
    assert commit(house, url, "a.csv", ("Latest", "1"), **{"If-Match": etag}).status == 201
    assert house.send("PUT", url, "a.csv", body=b"4", headers={"If-Match": etag}).code == "ConditionNotMet"
    assert house.files(profile) == {"a.csv": b"3"}
    house.assert_nothing_left_over(profile)


def test_reading_conditions(open_house):
    """A download may say what it has already, and ranges are answered as ranges."""
    profile = open_house.profile()
    url = open_house.url(profile)
    etag = open_house.send("PUT", url, "a.csv", body=b"0123456789").headers["etag"]
    assert open_house.send("GET", url, "a.csv", headers={"If-None-Match": etag}).status == 304
    assert open_house.send("HEAD", url, "a.csv", headers={"If-None-Match": etag}).status == 304
    assert open_house.send("GET", url, "a.csv", headers={"If-Match": '"0x0"'}).code == "ConditionNotMet"
    part = open_house.send("GET", url, "a.csv", headers={"Range": "bytes=2-4"})
    assert (part.status, part.body, part.headers["content-range"]) == (206, b"234", "bytes 2-4/10")
    rest = open_house.send("GET", url, "a.csv", headers={"x-ms-range": "bytes=8-", "Range": "bytes=0-1"})
    assert (rest.status, rest.body) == (206, b"89")
    assert open_house.send("GET", url, "a.csv", headers={"Range": "bytes=10-20"}).code == "InvalidRange"
    head = open_house.send("HEAD", url, "a.csv")
    assert (head.headers["content-length"], head.headers["content-md5"], head.body) == ("10", md5(b"0123456789"), b"")


# --- clients that hang up ------------------------------------------------------------------------------------------


def test_a_body_that_is_not_what_it_says_is_answered(house):
    """A client whose chunks are damaged hears about it, and nothing is kept."""
    profile = house.profile()
    answer = house.send("PUT", house.url(profile), "a.csv", body=b"zz", headers={"Transfer-Encoding": "chunked"})
    assert (answer.status, answer.code) == (400, "InvalidInput")
    assert house.on_disk(profile) == []


@pytest.mark.parametrize("query", ["", "comp=block&blockid=YQ%3D%3D"])
def test_an_upload_that_breaks_off_leaves_nothing(house, query):
    """A client that hangs up half-way leaves neither a file nor a row, and the server goes on."""
    profile = house.profile()
    url = house.url(profile)
    parts = urlsplit(url)
    target = f"{parts.path}/Student.csv?{query}&{parts.query}"
    for _ in range(3):
        with socket.create_connection((parts.hostname, parts.port)) as connection:
            head = f"PUT {target} HTTP/1.1\r\nHost: x\r\nx-ms-blob-type: BlockBlob\r\nContent-Length: 9000000\r\n\r\n"
            connection.sendall(head.encode() + bytes(3_000_000))
    assert house.send("PUT", url, "Other.csv", body=b"x").status == 201
    deadline = time.monotonic() + 20
    while len(house.on_disk(profile)) > 1:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert house.files(profile) == {"Other.csv": b"x"}
    house.assert_nothing_left_over(profile)
