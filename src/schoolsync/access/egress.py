"""Where this server may connect to, and how it fetches small documents from there.

Whoever configures a source, a webhook or an issuer names an address that *we* connect to; without a policy that would
open the network behind us: cloud metadata services, databases, routers. So only public addresses are allowed, unless
the setting `egress_allow` names a host or a network. The name is resolved once, every address is judged, and the
connection goes to an address that was judged (no second look-up that could answer differently); TLS still proves the
name. Redirects are not followed. Design: docs/access.md.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from schoolsync.errors import UsageError, WorldError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], list[str]]

TIMEOUT = 5.0
LARGEST = 512 * 1024

# Public by number, yet inside doors: protocol assignments, and the host agents of clouds.
_DENIED = tuple(map(ipaddress.ip_network, ("192.0.0.0/24", "168.63.129.16/32", "fd00:ec2::254/128")))
_EMBEDDED = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))


class Denied(UsageError):
    """A connection that the egress policy does not allow; the message says which address and how to allow it."""


class _Status(http.client.HTTPException):
    """An answer with another status than 200."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status = status


class Unreachable(WorldError):
    """The other side is away, slow, or answers nothing usable. Trying again may help."""


class TurnedDown(Unreachable):
    """The other side answers that it will not do this."""


def _resolve(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))


@dataclass(frozen=True, slots=True)
class Policy:
    """Which addresses may be connected to."""

    hosts: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()

    @classmethod
    def of(cls, allowed: Iterable[str]) -> Policy:
        """The policy of the setting `egress_allow`: host names, addresses and networks allowed beside public ones."""
        hosts: set[str] = set()
        networks: list[Network] = []
        for entry in allowed:
            try:
                networks.append(ipaddress.ip_network(entry.strip("[]"), strict=False))
            except ValueError:
                hosts.add(entry.lower().rstrip("."))
        return cls(frozenset(hosts), tuple(networks))

    def permits(self, address: str) -> bool:
        """Whether an address may be connected to."""
        judged = _inner(ipaddress.ip_address(address))
        if any(judged.version == network.version and judged in network for network in self.networks):
            return True
        denied = any(judged.version == network.version and judged in network for network in _DENIED)
        return judged.is_global and not judged.is_multicast and not denied

    def check_stored(self, url: str) -> None:
        """Judge a URL that is written down to be connected to later, as far as it says itself where it leads.

        A name is looked up when it is used, and judged then: it may lead elsewhere every day. Raises Denied.
        """
        host = (urlsplit(url).hostname or "").lower().rstrip(".")
        address = _literal(host)
        if address is not None and host not in self.hosts and not self.permits(address):
            raise Denied(
                f"{host} is inside this network or reserved, where schoolsync does not connect; if that is meant, name "
                "it in the setting egress_allow."
            )

    def addresses(self, host: str, port: int, *, resolve: Resolve = _resolve) -> list[str]:
        """The addresses of `host` that may be connected to.

        Raises Denied when there are addresses and none is allowed, Unreachable when the name has none.
        """
        host = host.lower().rstrip(".")
        try:
            found = resolve(host, port)
        except (OSError, UnicodeError) as problem:
            raise Unreachable(f"The host {host} cannot be found: its name has no address.") from problem
        allowed = found if host in self.hosts else [address for address in found if self.permits(address)]
        if not allowed:
            raise Denied(
                f"{host} is at {', '.join(found) or 'no address'}, inside this network or reserved, where schoolsync "
                f"does not connect; if that is meant, name it in the setting egress_allow."
            )
        return allowed


def _literal(host: str) -> str | None:
    """The address that a host is, without asking anybody; None for a name.

    Systems also read old spellings (127.1, 0x7f000001, 2130706433), so these are no names either.
    """
    if host == "localhost" or host.endswith(".localhost"):
        return "127.0.0.1"
    try:
        return str(ipaddress.ip_address(host.partition("%")[0]))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        return None


def _inner(address: Address) -> Address:
    """The address that is meant: an IPv4 address wrapped into an IPv6 one is judged as what it is."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.sixtofour is not None:
            return address.sixtofour
        if any(address in network for network in _EMBEDDED):
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def check_url(url: str) -> SplitResult:
    """The parts of a URL that may be fetched. Raises UsageError for one that could not be meant."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as problem:
        raise UsageError(f"“{url}” is no URL.") from problem
    if parts.scheme not in {"https", "http"} or not parts.hostname or parts.username or parts.fragment:
        raise UsageError(f"“{url}” must be a URL such as https://login.example.org/district.")
    if parts.scheme == "http" and not _loopback(parts.hostname):
        raise UsageError(f"“{url}” must begin with https: what is fetched over http can be changed on its way.")
    return parts


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def fetch(
    url: str,
    policy: Policy,
    *,
    authority: Path | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = TIMEOUT,
    largest: int = LARGEST,
    form: bytes | None = None,
    resolve: Resolve = _resolve,
) -> bytes:
    """The body of a 200 answer to `GET url`, or to a POST of `form`; blocks at most some `timeout` seconds.

    `authority` is a file of certificates trusted beside the system's. A form is sent once, to one address. Raises
    Denied, UsageError, TurnedDown (status 4xx) or Unreachable.
    """
    parts = check_url(url)
    host = str(parts.hostname)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    deadline = time.monotonic() + timeout
    problem: Exception | None = None
    for address in policy.addresses(host, port, resolve=resolve)[: 1 if form else 4]:
        if time.monotonic() >= deadline:
            break
        try:
            return _get(parts, host, port, address, authority, headers or {}, deadline, largest, form)
        except (OSError, http.client.HTTPException) as failed:
            problem = failed
    if isinstance(problem, _Status) and 400 <= problem.status < 500:
        raise TurnedDown(f"{parts.scheme}://{host} refuses what it was asked ({problem}).") from problem
    reason = type(problem).__name__ if problem is not None else "time is over"
    raise Unreachable(f"{parts.scheme}://{host} does not answer as it should ({reason}).") from problem


def post(url: str, policy: Policy, body: bytes, *, headers: Mapping[str, str], timeout: float = 2 * TIMEOUT) -> int:
    """The status of the answer to `POST url`; blocks at most some `timeout` seconds.

    The other side is asked once: what it may have taken is not sent to another address of it. Raises Denied, UsageError
    or Unreachable.
    """
    parts = check_url(url)
    host = str(parts.hostname)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    deadline = time.monotonic() + timeout
    address = policy.addresses(host, port)[0]
    connection = _Pinned(host, port, address, _context(parts, None), deadline)
    try:
        with contextlib.closing(connection), _ends_at(deadline, connection):
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("POST", target, body, {**headers, "Connection": "close"})
            return connection.getresponse().status
    except (OSError, http.client.HTTPException) as failed:
        raise Unreachable(
            f"{parts.scheme}://{host} does not answer as it should ({type(failed).__name__})."
        ) from failed


def _context(parts: SplitResult, authority: Path | None) -> ssl.SSLContext | None:
    if parts.scheme != "https":
        return None
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if authority is not None:
        context.load_verify_locations(authority)
    return context


class _Pinned(http.client.HTTPConnection):
    """A connection to one address that was judged; TLS and the Host header name the host."""

    def __init__(self, host: str, port: int, address: str, context: ssl.SSLContext | None, deadline: float) -> None:
        super().__init__(host, port)
        self._address = address
        self._context = context
        self._deadline = deadline
        self.raw: socket.socket | None = None

    def connect(self) -> None:
        remaining = max(self._deadline - time.monotonic(), 0.05)
        self.raw = plain = socket.create_connection((self._address, self.port), timeout=remaining)
        try:
            self.sock = plain if self._context is None else self._context.wrap_socket(plain, server_hostname=self.host)
            self.raw = self.sock
        except BaseException:
            plain.close()
            raise


def _get(
    parts: SplitResult,
    host: str,
    port: int,
    address: str,
    authority: Path | None,
    headers: Mapping[str, str],
    deadline: float,
    largest: int,
    form: bytes | None = None,
) -> bytes:
    connection = _Pinned(host, port, address, _context(parts, authority), deadline)
    with contextlib.closing(connection), _ends_at(deadline, connection):
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        sent = {"Accept": "application/json", **headers, "Connection": "close"}
        if form is None:
            connection.request("GET", target, headers=sent)
        else:
            kind = {"Content-Type": "application/x-www-form-urlencoded"}
            connection.request("POST", target, body=form, headers={**sent, **kind})
        answer = connection.getresponse()
        if answer.status != 200:
            raise _Status(answer.status)
        body = answer.read(largest + 1)
        if len(body) > largest:
            raise http.client.HTTPException("the answer is too large")
        if time.monotonic() >= deadline:
            raise TimeoutError
        return body


@contextlib.contextmanager
def _ends_at(deadline: float, connection: _Pinned) -> Iterator[None]:
    """Cut the connection when the time is over: a socket's own time-out begins anew with every byte that drips in."""

    def cut() -> None:
        if connection.raw is not None:
            with contextlib.suppress(OSError):
                connection.raw.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(max(deadline - time.monotonic(), 0), cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
