"""A notice as a mail: plain text, with a Message-ID that is the same at every try.

The server is spoken to with TLS: from the start (`smtps://`) or after STARTTLS (`smtp://`), which only a server on this
machine may lack. Its address is judged by the egress policy of the house.
"""

from __future__ import annotations

import ipaddress
import smtplib
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any
from urllib.parse import unquote, urlsplit

from schoolsync import ticks
from schoolsync.access import egress
from schoolsync.errors import UsageError
from schoolsync.notices.notice import Notice

TIMEOUT = 10.0
PORTS = {"smtp": 587, "smtps": 465}


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """The mail server of the setting `mail_server`."""

    host: str
    port: int
    tls: bool  # from the start
    user: str | None


def server_of(url: str) -> Server:
    """The server that `smtp://user@host:587` or `smtps://…` names. Raises UsageError."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in PORTS or not parts.hostname or parts.password or parts.path.strip("/") or parts.query:
        raise UsageError(
            "mail_server must be such as smtp://user@mail.example.org:587 or smtps://mail.example.org; its password is "
            "the setting mail_password."
        )
    return Server(
        host=parts.hostname,
        port=port or PORTS[parts.scheme],
        tls=parts.scheme == "smtps",
        user=unquote(parts.username) if parts.username else None,
    )


def message(notice: Notice, *, sender: str, to: Sequence[str]) -> EmailMessage:
    """The mail."""
    data: dict[str, Any] = notice.body["data"]
    name = " ".join("".join(letter if letter.isprintable() else " " for letter in data["displayName"]).split())
    mail = EmailMessage()
    mail["From"] = sender
    mail["To"] = ", ".join(to)
    mail["Subject"] = f"schoolsync: {name[:100]} {_WORDS[data['condition']]}"
    mail["Date"] = format_datetime(ticks.moment(ticks.parse(notice.body["timestamp"])))
    mail["Message-ID"] = f"<{notice.id}@{sender.rpartition('@')[2].strip('> ') or 'schoolsync'}>"
    mail["Auto-Submitted"] = "auto-generated"
    lines = [
        f"{name} {_WORDS[data['condition']]}.",
        "",
        data["advice"],
        "",
        *([f"Profile:   {data['profile']}"] if data["profile"] else []),
        f"Tenant:    {data['tenant']}",
    ]
    lines += [f"Run:       {data['runNumber']}"] if data["runNumber"] is not None else []
    lines += [f"Last good: {data['lastGood']}"] if data["lastGood"] else []
    mail.set_content("\n".join([*lines, "", data["url"], ""]))
    return mail


_WORDS = {
    "held": "waits for a person",
    "failed": "has failed",
    "quarantined": "is quarantined",
    "stale": "has not been synchronized for too long",
    "recovered": "is well again",
    "test": "sends a test",
}


def send(
    notice: Notice, *, server: Server, password: str | None, sender: str, to: Sequence[str], policy: egress.Policy
) -> None:
    """Hand the mail to the server once. Raises Unreachable, Denied."""
    problem: Exception | None = None
    for address in policy.addresses(server.host, server.port)[:2]:
        try:
            with _connected(server, address) as connection:
                if server.user is not None:
                    connection.login(server.user, password or "")
                connection.send_message(message(notice, sender=sender, to=to), sender, list(to))
            return
        except (OSError, smtplib.SMTPException) as failed:
            problem = failed
    raise egress.Unreachable(f"The mail server does not take the mail ({type(problem).__name__}).") from problem


class _Pinned(smtplib.SMTP):
    """A session with the address that was judged; TLS proves the name."""

    def __init__(self, server: Server, address: str) -> None:
        self._address = address
        self._context = ssl.create_default_context() if server.tls else None
        super().__init__(server.host, server.port, timeout=TIMEOUT)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        plain = socket.create_connection((self._address, port), timeout)
        return plain if self._context is None else self._context.wrap_socket(plain, server_hostname=host)


def _connected(server: Server, address: str) -> smtplib.SMTP:
    connection = _Pinned(server, address)
    if server.tls:
        return connection
    connection.ehlo()
    if connection.has_extn("starttls"):
        connection.starttls(context=ssl.create_default_context())
        connection.ehlo()
    elif not ipaddress.ip_address(address).is_loopback:
        connection.close()
        raise smtplib.SMTPNotSupportedError("The server speaks no TLS.")
    return connection
