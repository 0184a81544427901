"""The life of an upload: handing out the URL, sealing at start, blocking while a run works, cleaning up."""

import os
import signal
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError
from sqlalchemy import delete, update

from schoolsync import ticks
from schoolsync.errors import Conflict, Invalid, NotFound
from schoolsync.runs.states import ACTIVE, ENDED, WAITING
from schoolsync.store.control_tables import profiles, upload_blocks, upload_files
from schoolsync.store.control_tables import uploads as upload_rows

DAY = 24 * 3600 * ticks.PER_SECOND
MIB = 1024 * 1024


def seal(house, profile, upload):
    with house.control.write() as connection:
        house.uploads.seal(connection, profile.tenant, profile.id, upload, house.uploads.clock())


def until(holds, seconds=20):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def latest(house, profile):
    with house.control.read() as connection:
        return house.uploads.latest_sealed(connection, profile.tenant, profile.id)


# --- asking for the URL --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["provisioning", "provisioned", "provisioningFailed"])
def test_a_url_is_handed_out_at_once(quiet_house, state):
    """A script that asks right after creating the profile gets its URL."""
    profile = quiet_house.profile(state=state)
    assert quiet_house.url(profile).startswith(f"{quiet_house.settings.base_url}/uploads/{profile.id}?sv=")


def test_no_url_for_a_profile_that_is_not_there(quiet_house):
    """Unknown profiles, vanishing ones and those of another tenant are not found."""
    profile, other = quiet_house.profile(state="deleting"), quiet_house.profile()
    with pytest.raises(NotFound):
        quiet_house.url(profile)
    for tenant, name in ((other.tenant, str(uuid.uuid4())), (profile.tenant, other.id)):
        with pytest.raises(NotFound):
            quiet_house.uploads.container_url(tenant, name, quiet_house.uploads.clock(), base_url="http://x")


@pytest.mark.parametrize("kind", ["educationOneRosterApiDataProvider", "educationPowerSchoolDataProvider"])
def test_no_url_for_a_profile_without_files(quiet_house, kind):
    """A profile that reads from an API takes no files."""
    with pytest.raises(Invalid):
        quiet_house.url(quiet_house.profile(provider={"@odata.type": f"#microsoft.graph.{kind}"}))


@pytest.mark.parametrize("state", sorted(ACTIVE))
def test_no_url_while_a_run_works(quiet_house, state):
    """While the files sent before are processed there is no URL; afterwards there is."""
    profile = quiet_house.profile()
    run = quiet_house.run(profile, state)
    with pytest.raises(Conflict):
        quiet_house.url(profile)
    quiet_house.end(run)
    assert quiet_house.url(profile)


@pytest.mark.parametrize("state", sorted(WAITING))
def test_a_waiting_run_does_not_block(quiet_house, state):
    """A held or paused run does not keep corrected files out."""
    profile = quiet_house.profile()
    quiet_house.run(profile, state)
    assert quiet_house.url(profile)


def test_the_url_names_the_address_that_the_caller_knows(quiet_house):
    """The container is where the caller found the API, behind a proxy and on another name of the host as well."""
    profile = quiet_house.profile()
    for base in ("https://sds.example.org", "http://10.0.0.7:8080"):
        url = quiet_house.uploads.container_url(profile.tenant, profile.id, quiet_house.uploads.clock(), base_url=base)
        assert url.startswith(f"{base}/uploads/{profile.id}?")


# --- while and after a run -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", sorted(ACTIVE))
def test_nothing_changes_while_a_run_works(open_house, state):
    """With a URL from before, writing and deleting are refused while a run works; reading is not."""
    profile = open_house.profile()
    container = open_house.container(profile)
    container.upload_blob("School.csv", b"one")
    container.get_blob_client("Block.csv").stage_block("a", b"x")
    run = open_house.run(profile, state)
    for attempt in (
        lambda: container.upload_blob("School.csv", b"two", overwrite=True),
        lambda: container.get_blob_client("Block.csv").stage_block("b", b"x"),
        lambda: container.get_blob_client("Block.csv").commit_block_list([]),
        lambda: container.delete_blob("School.csv"),
    ):
        with pytest.raises(HttpResponseError) as refused:
            attempt()
        assert refused.value.status_code == 409
        assert refused.value.error_code == "OperationNotAllowedWhileSynchronizing"
        assert "synchronizing" in refused.value.message
    assert container.download_blob("School.csv").readall() == b"one"
    open_house.end(run)
    container.upload_blob("School.csv", b"two", overwrite=True)
    open_house.assert_nothing_left_over(profile)


@pytest.mark.parametrize("state", sorted(ENDED | WAITING))
def test_a_run_that_does_not_work_blocks_nobody(house, state):
    """After a run, or while it waits for a person, files may be sent."""
    profile = house.profile()
    house.run(profile, state, ended=1 if state in ENDED else None)
    house.container(profile).upload_blob("School.csv", b"one")
    assert house.files(profile) == {"School.csv": b"one"}


def test_sealing_empties_the_container(house):
    """What a start took is the run's; the next cycle begins empty and needs no overwrite."""
    profile = house.profile()
    container = house.container(profile)
    container.upload_blob("School.csv", b"one")
    container.get_blob_client("Half.csv").stage_block("a", b"x")
    first = house.inbox(profile)
    assert latest(house, profile) is None
    seal(house, profile, first)
    assert (house.inbox(profile), latest(house, profile)) == (None, first)
    container.upload_blob("School.csv", b"two")
    assert house.files(profile, first) == {"School.csv": b"one"}
    assert house.files(profile) == {"School.csv": b"two"}
    second = house.inbox(profile)
    seal(house, profile, second)
    assert latest(house, profile) == second
    assert [row.name for row in house.rows(upload_blocks, profile)] == []


def test_refused_files_may_be_corrected_without_overwrite(house):
    """Files that a start has read and refused are replaced by the client's default, once."""
    profile = house.profile()
    container = house.container(profile)
    container.upload_blob("School.csv", b"wrong")
    container.upload_blob("Student.csv", b"right")
    house.run(profile, "discarded", upload=house.inbox(profile), ended=house.uploads.clock())
    container.upload_blob("School.csv", b"corrected")
    assert house.files(profile) == {"School.csv": b"corrected", "Student.csv": b"right"}
    with pytest.raises(ResourceExistsError):
        container.upload_blob("School.csv", b"again")
    house.assert_nothing_left_over(profile)


def test_a_body_that_arrives_too_late_is_refused(house):
    """Bytes still on their way when the profile is started go into neither upload."""
    profile = house.profile()
    url = house.url(profile)
    house.send("PUT", url, "School.csv", body=b"one")
    upload = house.inbox(profile)

    def slowly():
        yield b"x" * 100_000
        until(lambda: len(house.on_disk(profile)) > 1)
        seal(house, profile, upload)
        yield b"y" * 100_000

    answer = house.send("PUT", url, "Student.csv", body=slowly())
    assert (answer.status, answer.code) == (409, "OperationNotAllowedWhileSynchronizing")
    assert house.files(profile, upload) == {"School.csv": b"one"}
    house.assert_nothing_left_over(profile)


def test_a_deleted_profile_takes_no_files(house):
    """A URL of a profile that is being deleted, or is gone, finds no container, even half-way through a body."""
    profile = house.profile()
    url = house.url(profile)
    house.change(profile, state="deleting")
    answer = house.send("PUT", url, "School.csv", body=b"x")
    assert (answer.status, answer.code) == (404, "ContainerNotFound")
    house.change(profile, state="provisioned")

    def slowly():
        yield b"x" * 100_000
        until(lambda: house.on_disk(profile))
        with house.control.write() as connection:
            connection.execute(delete(profiles).where(profiles.c.id == profile.id))
        yield b"y" * 100_000

    assert house.send("PUT", url, "School.csv", body=slowly()).code == "ContainerNotFound"
    assert house.send("PUT", url, "School.csv", body=b"x").code == "ContainerNotFound"
    assert house.on_disk(profile) == []


def test_replacing_the_key_revokes_every_url(serve):
    """Without the key file, URLs handed out before are worth nothing; a new key is made by itself."""
    with serve() as house:
        profile = house.profile()
        old = house.url(profile)
        assert house.send("PUT", old, "a.csv", body=b"x").status == 201
        (house.settings.keys / "uploads.key").unlink()
        assert house.send("PUT", old, "b.csv", body=b"x").code == "AuthenticationFailed"
        assert house.send("PUT", house.url(profile), "b.csv", body=b"x").status == 201


# --- several at once -----------------------------------------------------------------------------------------------


def test_two_uploads_of_one_file_at_once(house):
    """Whoever comes last wins whole; with the client's default exactly one wins."""
    profile = house.profile()
    url = house.url(profile)
    bodies = [bytes([65 + n]) * 2_000_000 for n in range(6)]

    def put(body, headers):
        return house.send("PUT", url, "Student.csv", body=body, headers=headers).status

    with ThreadPoolExecutor(6) as pool:
        first = list(pool.map(lambda body: put(body, {"If-None-Match": "*"}), bodies))
        assert sorted(first) == [201] + [409] * 5
        assert list(pool.map(lambda body: put(body, {}), bodies)) == [201] * 6
    assert house.files(profile)["Student.csv"] in bodies
    house.assert_nothing_left_over(profile)


def test_the_first_files_open_one_inbox(house):
    """Many first files at once end in the same upload."""
    profile = house.profile()
    container = house.container(profile)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: container.upload_blob(f"{n}.csv", str(n).encode()), range(12)))
    assert house.files(profile) == {f"{n}.csv": str(n).encode() for n in range(12)}
    assert len(house.rows(upload_rows, profile)) == 1


def test_two_clients_list_the_same_blocks(house):
    """The same list sent twice at once, as after a lost answer, ends in the same file."""
    profile = house.profile()
    blob = house.container(profile).get_blob_client("Student.csv")
    for number in range(8):
        blob.stage_block(f"b{number}", bytes([number]) * 500_000)
    listed = "".join(f"<Latest>{row.block}</Latest>" for row in sorted(house.rows(upload_blocks, profile)))
    xml = f"<BlockList>{listed}</BlockList>".encode()
    url = house.url(profile)
    with ThreadPoolExecutor(4) as pool:
        answers = list(
            pool.map(lambda _: house.send("PUT", url, "Student.csv", query="comp=blocklist", body=xml), range(4))
        )
    assert [answer.status for answer in answers] == [201] * 4
    assert house.files(profile)["Student.csv"] == b"".join(bytes([n]) * 500_000 for n in range(8))
    house.assert_nothing_left_over(profile)


# --- when the world fails ------------------------------------------------------------------------------------------


def test_a_disk_that_takes_no_more(serve):
    """When a file cannot be written the client hears a server error in XML, nothing is kept, and smaller ones go on."""
    with serve(limits={"file": 4 * MIB}) as house:
        profile = house.profile()
        url = house.url(profile)
        for query in ("", "comp=block&blockid=YQ%3D%3D"):
            answer = house.send("PUT", url, "Student.csv", query=query, body=bytes(6 * MIB))
            assert (answer.status, answer.code) == (503, "ServerBusy")
            assert answer.body.startswith(b"<?xml")
            assert house.on_disk(profile) == []
        for block in ("YQ", "Yg"):
            query = f"comp=block&blockid={block}%3D%3D"
            assert house.send("PUT", url, "Student.csv", query=query, body=bytes(3 * MIB)).status == 201
        both = b"<BlockList><Latest>YQ==</Latest><Latest>Yg==</Latest></BlockList>"
        answer = house.send("PUT", url, "Student.csv", query="comp=blocklist", body=both)
        assert answer.code == "ServerBusy"
        assert house.files(profile) == {}
        house.assert_nothing_left_over(profile)
        assert house.send("PUT", url, "School.csv", body=b"x").status == 201


def test_a_database_that_is_locked(serve):
    """When the database cannot be written the client is asked to come again, and nothing is kept."""
    with serve(limits={"busy": 300}) as house:
        profile = house.profile()
        url = house.url(profile)
        assert house.send("PUT", url, "School.csv", body=b"x").status == 201
        with house.control.write():
            answer = house.send("PUT", url, "Student.csv", body=b"y")
            assert (answer.status, answer.code) == (503, "ServerBusy")
        assert house.send("PUT", url, "Student.csv", body=b"y").status == 201
        house.assert_nothing_left_over(profile)


def test_a_server_that_is_killed_leaves_only_what_the_sweep_finds(serve):
    """After kill -9 in the middle of a body, complete files are there and the rest is swept."""
    with serve() as house:
        profile = house.profile()
        url = house.url(profile)
        house.send("PUT", url, "School.csv", body=b"x")
        going = threading.Event()

        def endless():
            for _ in range(400):
                yield bytes(100_000)
                if len(house.on_disk(profile)) > 1:
                    going.set()
                time.sleep(0.005)

        def put():
            try:
                house.send("PUT", url, "Student.csv", body=endless())
            except OSError:
                return

        client = threading.Thread(target=put)
        client.start()
        assert going.wait(20)
        os.kill(house.pid, signal.SIGKILL)
        client.join(30)
        left = house.on_disk(profile)
        assert len(left) == 2
        now = house.uploads.clock()
        assert house.uploads.sweep(now) == 0  # it might still be growing
        assert house.uploads.sweep(now + 2 * DAY) == 1
        assert house.files(profile) == {"School.csv": b"x"}
        house.assert_nothing_left_over(profile)


def test_forgotten_blocks_are_swept(house):
    """Blocks that no list ever named go after a week, files stay however old they are."""
    profile = house.profile()
    container = house.container(profile)
    container.upload_blob("School.csv", b"x")
    container.get_blob_client("Half.csv").stage_block("a", b"x")
    for path in house.on_disk(profile):
        os.utime(path, (0, 0))
    assert house.uploads.sweep(house.uploads.clock()) == 0
    with house.control.write() as connection:
        connection.execute(update(upload_blocks).where(upload_blocks.c.profile == profile.id).values(written=0))
    assert house.uploads.sweep(house.uploads.clock()) == 1
    assert house.files(profile) == {"School.csv": b"x"}
    assert house.rows(upload_blocks, profile) == []
    house.assert_nothing_left_over(profile)


def test_only_the_owner_may_read_what_was_sent(house):
    """Folders and files of uploads, and the key that signs their URLs, are closed to others."""
    profile = house.profile()
    house.container(profile).upload_blob("School.csv", b"x")
    (path,) = house.on_disk(profile)
    assert path.stat().st_mode & 0o077 == 0
    assert all(folder.stat().st_mode & 0o077 == 0 for folder in path.parents[:6])
    assert (house.settings.keys / "uploads.key").stat().st_mode & 0o777 == 0o600
    assert house.rows(upload_files, profile)[0].object in str(path)


def test_the_server_closes_what_it_opens(open_house):
    """Refused, aborted and finished requests leave no open file behind."""
    profile = open_house.profile()
    url = open_house.url(profile)
    server = psutil.Process(open_house.pid)
    open_house.send("PUT", url, "a.csv", body=b"x" * 3_000_000)
    for _ in range(5):
        open_house.send("GET", url, "a.csv")
        open_house.send("GET", url, "a.csv", headers={"Range": "bytes=99999999-"})
        open_house.send("PUT", url, "b.csv", body=b"x", headers={"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="})
    stored = str(open_house.settings.objects)
    until(lambda: not [file for file in server.open_files() if file.path.startswith(stored)])
