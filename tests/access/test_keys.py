"""Keys and certificates of an installation."""

import ssl
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateNumbers
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from schoolsync.access import certificates, issuer, keys
from schoolsync.errors import UsageError, WorldError

MAKE = """
import sys
from pathlib import Path
from schoolsync.access import issuer, keys
folder = Path(sys.argv[1])
sys.stdin.read()
print(issuer.signing_key(folder).get().kid, keys.uploads_key(folder).get().hex())
"""


def test_many_processes_make_one_key(tmp_path):
    """Processes that all need the key at the same moment end up with the same one, and leave no scraps."""
    folder = tmp_path / "data" / "keys"
    crowd = [
        subprocess.Popen([sys.executable, "-c", MAKE, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(6)
    ]
    for process in crowd:
        process.stdin.close()
    answers = {process.stdout.read() for process in crowd}
    for process in crowd:
        process.stdout.close()
        assert process.wait(60) == 0
    assert len(answers) == 1
    assert sorted(path.name for path in folder.iterdir()) == ["issuer.pem", "uploads.key"]


def test_only_the_owner_may_read_keys(tmp_path):
    """Folder and files are closed to everybody else, whatever the umask."""
    folder = tmp_path / "keys"
    issuer.signing_key(folder).get()
    keys.uploads_key(folder).get()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_a_key_stays(tmp_path):
    """The same key after a restart, with the same id."""
    first = issuer.signing_key(tmp_path).get()
    again = issuer.signing_key(tmp_path).get()
    assert first.kid == again.kid
    assert first.as_dict(private=True) == again.as_dict(private=True)


def test_threads_share_a_key(tmp_path):
    """One key file object serves many threads."""
    file = issuer.signing_key(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        assert len({key.kid for key in pool.map(lambda _: file.get(), range(16))}) == 1


@pytest.mark.parametrize("name", ["issuer.pem", "uploads.key"])
def test_a_damaged_key_is_reported(tmp_path, name):
    """A damaged key file is never silently replaced: every URL and token would die with it."""
    (tmp_path / name).write_bytes(b"not a key")
    file = issuer.signing_key(tmp_path) if name == "issuer.pem" else keys.uploads_key(tmp_path)
    with pytest.raises(WorldError, match="damaged"):
        file.get()
    assert (tmp_path / name).read_bytes() == b"not a key"


def test_a_key_whose_numbers_do_not_belong_together_is_reported(tmp_path):
    """A file that reads well and signs what nobody can verify is damaged too: a digit of it has changed."""
    issuer.signing_key(tmp_path).get()
    good = load_pem_private_key((tmp_path / "issuer.pem").read_bytes(), None).private_numbers()
    parts = {name: getattr(good, name) for name in ("p", "q", "dmq1", "iqmp", "public_numbers")}
    damaged = RSAPrivateNumbers(**parts, d=good.d ^ (1 << 700), dmp1=good.dmp1 ^ (1 << 300))
    key = damaged.private_key(unsafe_skip_rsa_key_validation=True)
    (tmp_path / "issuer.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(WorldError, match="damaged"):
        issuer.signing_key(tmp_path).get()


def test_a_key_folder_that_cannot_be_used(tmp_path):
    """A path that cannot be a folder is reported as the world's fault."""
    (tmp_path / "keys").write_text("in the way")
    with pytest.raises(WorldError):
        keys.uploads_key(tmp_path / "keys").get()


# --- certificates --------------------------------------------------------------------------------------------------


def handshake(cert, key, name):
    """A TLS handshake in memory with a client that trusts `cert` alone and checks the name strictly."""
    client = ssl.create_default_context(cafile=str(cert))
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert, key)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(10):
        waiting = []
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                waiting.append(end)
        if not waiting:
            return ends[0].getpeercert()
    raise AssertionError("the handshake does not end")


def test_the_own_certificate_is_accepted(tmp_path):
    """A client that trusts `cert.pem` reaches every host it was made for, and loopback, and no other."""
    cert, key = certificates.ensure(tmp_path / "tls", ["sds.example.org", "10.1.2.3"])
    assert (cert.name, key.name) == ("cert.pem", "key.pem")
    for name in ("sds.example.org", "10.1.2.3", "localhost", "127.0.0.1", "::1"):
        assert handshake(cert, key, name)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(cert, key, "other.example.org")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_the_authority_cannot_sign_again(tmp_path):
    """The key of the authority behind the certificate is kept nowhere."""
    certificates.ensure(tmp_path / "tls", ["localhost"])
    assert sorted(path.name for path in (tmp_path / "tls").iterdir()) == ["cert.pem", "key.pem"]
    leaf, authority = x509.load_pem_x509_certificates((tmp_path / "tls" / "cert.pem").read_bytes())
    leaf.verify_directly_issued_by(authority)
    private = (tmp_path / "tls" / "key.pem").read_bytes()
    assert load_pem_private_key(private, None).public_key() == leaf.public_key()


def test_the_certificate_is_kept_while_it_fits(tmp_path):
    """Nothing changes at a restart; a further host, a lost key or damage makes a new one."""
    cert, key = certificates.ensure(tmp_path, ["a.example"])
    first = cert.read_bytes()
    certificates.ensure(tmp_path, ["a.example"])
    certificates.ensure(tmp_path, [])
    assert cert.read_bytes() == first
    certificates.ensure(tmp_path, ["b.example"])
    second = cert.read_bytes()
    assert second != first
    key.unlink()
    certificates.ensure(tmp_path, ["b.example"])
    third = cert.read_bytes()
    assert third != second
    cert.write_text("damaged")
    certificates.ensure(tmp_path, ["b.example"])
    assert handshake(cert, key, "b.example")


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::"])
def test_listening_everywhere(tmp_path, host):
    """An address that means every address is no name; the certificate is good for loopback."""
    cert, key = certificates.ensure(tmp_path, [host])
    assert handshake(cert, key, "localhost")


def test_hosts_of_all_kinds(tmp_path):
    """IPv6 in brackets and names in other scripts are fine; what is no name is refused with a sentence."""
    cert, key = certificates.ensure(tmp_path, ["[2001:db8::1]", "schule-österreich.example"])
    assert handshake(cert, key, "2001:db8::1")
    assert handshake(cert, key, "schule-österreich.example")
    with pytest.raises(UsageError, match="no host name"):
        certificates.ensure(tmp_path, ["a..b"])


def test_the_certificate_is_renewed_in_time(tmp_path, monkeypatch):
    """One that is about to expire is replaced."""
    monkeypatch.setattr(certificates, "LIFETIME", timedelta(days=20))
    cert, _ = certificates.ensure(tmp_path, ["a.example"])
    monkeypatch.undo()
    certificates.ensure(tmp_path, ["a.example"])
    ends = x509.load_pem_x509_certificate(cert.read_bytes()).not_valid_after_utc
    assert ends > datetime.now(UTC) + timedelta(days=700)
