"""Where the server may connect to, and where it may not."""

import socket
import threading

import pytest

from schoolsync.access.egress import Denied, Policy, Unreachable, check_url, fetch
from schoolsync.errors import UsageError

INSIDE = [
    "127.0.0.1",
    "::1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.100.100.200",
    "168.63.129.16",
    "0.0.0.0",
    "::",
    "224.0.0.1",
    "ff02::1",
    "255.255.255.255",
    "fe80::1",
    "fd00:ec2::254",
    "fc00::1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:0a00:0001::1",
    "192.0.0.192",
    "198.18.0.1",
    "240.0.0.1",
]


@pytest.mark.parametrize("address", INSIDE)
def test_inside_addresses_are_denied(address):
    """Private, loopback, link-local, reserved and metadata addresses, also wrapped into IPv6, are out of bounds."""
    assert not Policy().permits(address)
    with pytest.raises(Denied, match="egress_allow"):
        Policy().addresses("idp.example.org", 443, resolve=lambda *_: [address])


@pytest.mark.parametrize("address", ["8.8.8.8", "2001:4860:4860::8888", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public_addresses_are_allowed(address):
    """What is on the internet may be reached."""
    assert Policy().permits(address)


def test_what_the_setting_names_is_allowed():
    """A network, an address or a host in egress_allow opens exactly that."""
    policy = Policy.of(("10.1.0.0/16", "fd12::/16", "SIS.district.local", "192.168.1.7"))
    assert policy.permits("10.1.9.9")
    assert policy.permits("::ffff:10.1.9.9")
    assert policy.permits("fd12::1")
    assert policy.permits("192.168.1.7")
    assert not policy.permits("10.2.0.1")
    assert not policy.permits("192.168.1.8")
    assert policy.addresses("sis.district.local.", 443, resolve=lambda *_: ["10.9.9.9"]) == ["10.9.9.9"]
    with pytest.raises(Denied):
        policy.addresses("sis.district.local.evil.example", 443, resolve=lambda *_: ["10.9.9.9"])


@pytest.mark.parametrize(
    "host",
    [
        *(f"[{address}]" if ":" in address else address for address in INSIDE),
        *("localhost", "sis.localhost.", "127.1", "0x7f000001", "2130706433", "0177.0.0.1", "[fe80::1%25eth0]"),
    ],
)
def test_inside_addresses_are_not_even_written_down(host):
    """A URL that says itself that it leads inside is refused when it is stored, however the address is spelled."""
    with pytest.raises(Denied, match="egress_allow"):
        Policy().check_stored(f"https://{host}:8443/ims")
    if not host.startswith("["):
        Policy.of((host,)).check_stored(f"https://{host}/ims")
    Policy().check_stored("https://sis.district.example/ims")  # a name: judged when it is used
    Policy().check_stored("https://8.8.8.8/ims")


def test_a_redirect_is_not_followed():
    """Whoever answers cannot send this server on to somewhere inside."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    heard = []

    def answer():
        connection, _ = listener.accept()
        with connection:
            heard.append(connection.recv(4096))
            there = f"http://127.0.0.1:{port}/inside".encode()
            connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: " + there + b"\r\nContent-Length: 0\r\n\r\n")

    thread = threading.Thread(target=answer)
    thread.start()
    with listener:
        with pytest.raises(Unreachable):
            fetch(f"http://127.0.0.1:{port}/a", Policy.of(("127.0.0.1",)))
        thread.join()
    assert len(heard) == 1


def test_a_mixed_answer_leaves_the_public_part():
    """When a name has public and inside addresses, only the public ones are used."""
    assert Policy().addresses("x.example", 443, resolve=lambda *_: ["10.0.0.1", "8.8.8.8"]) == ["8.8.8.8"]


def test_the_address_is_looked_up_once():
    """The connection goes to the address that was judged, although the name has moved inside since."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    heard = []

    def answer():
        connection, _ = listener.accept()
        with connection:
            heard.append(connection.recv(4096))
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    thread = threading.Thread(target=answer)
    thread.start()
    asked = []

    def resolve(host, port):
        asked.append((host, port))
        return ["127.0.0.1"]

    with listener:
        url = f"http://localhost:{port}/a?b=c"
        assert fetch(url, Policy.of(("127.0.0.1",)), resolve=resolve) == b"{}"
        thread.join()
    assert asked == [("localhost", port)]
    assert heard[0].startswith(b"GET /a?b=c HTTP/1.1\r\nHost: localhost")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x.example",
        "file:///etc/passwd",
        "https://",
        "http://x.example",
        "https://u:p@x.example",
        "https://x:y",
        "x",
    ],
)
def test_urls_that_cannot_be_meant(url):
    """Other schemes, passwords in URLs and plain http to strangers are refused."""
    with pytest.raises(UsageError):
        check_url(url)


def test_a_name_without_address():
    """A name that does not exist is the world's doing, in words."""

    def resolve(*_):
        raise socket.gaierror

    with pytest.raises(Unreachable, match="cannot be found"):
        Policy().addresses("nowhere.example", 443, resolve=resolve)
