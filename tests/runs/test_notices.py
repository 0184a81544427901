"""Notices: told once when a profile's condition changes, kept until they arrive, and never twice by us."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import pytest
from aiosmtpd.handlers import Message as MailHandler
from aiosmtpd.smtp import SMTP

from schoolsync import ticks
from schoolsync.access.egress import Denied, Policy
from schoolsync.errors import Conflict, Invalid, UsageError
from schoolsync.notices import conditions, webhooks
from schoolsync.notices.channels import channels
from schoolsync.notices.conditions import Condition
from schoolsync.notices.notice import Notice
from schoolsync.notices.outbox import LEASE, PATIENCE, WAITS, Outbox
from schoolsync.notices.receivers import Change, Receivers
from schoolsync.notices.receivers import Receiver as Own
from schoolsync.notices.teller import Teller
from schoolsync.profiles import housekeeping
from schoolsync.profiles.status import Status
from schoolsync.runs.processes import new_id
from schoolsync.settings import Settings

from .conftest import NOW, House
from .test_approvals import held
from .test_asking_for_runs import GOOD, PLANNED, finish, finished
from .test_ladder import quarantined

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
SECOND = ticks.PER_SECOND
HOUR = 3600 * SECOND


class Receiver:
    """A webhook of the tests' own; what it answers can be changed."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.status = 204
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(receiver.status)
                self.send_header("Location", "http://127.0.0.1:9/elsewhere")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?of=schools"

    @property
    def told(self) -> list[str]:
        return [json.loads(body)["type"] for _, body in self.got]

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@contextmanager
def mail_server(handler: MailHandler) -> Iterator[int]:
    """A mail server on a free port of this machine."""
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(loop.create_server(lambda: SMTP(handler, loop=loop), "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def settings(house: House, receiver: Receiver) -> Settings:
    """Notices by webhook, to a receiver inside that the operator has allowed."""
    return replace(
        house.settings, webhook_url=receiver.url, webhook_secret=SECRET, egress_allow=("127.0.0.1",), stale_hours=26
    )


def anything(_version: int) -> None:
    """No condition."""


def teller(house: House, settings: Settings) -> Teller:
    return Teller(settings, house.control, house.clock, new_id)


def due(outbox: Outbox) -> list[Notice]:
    """The notices that are due, each one taken."""
    return [notice for lane in outbox.lanes() for notice in outbox.taken(lane)]


def good_run(house: House, profile: str) -> None:
    finish(house, house.begin(profile))


def test_each_change_is_told_once_and_a_good_beginning_is_not(
    house: House, settings: Settings, receiver: Receiver
) -> None:
    """held, failed, quarantined, recovered, stale: one call each, however often is looked."""
    one, other = teller(house, settings), teller(house, settings)
    profile = house.profile()
    one.once()
    house.upload(profile)
    good_run(house, profile)
    one.once()
    assert receiver.told == []
    held(house, profile)
    for _ in range(2):
        one.once()
        other.once()
    assert receiver.told == ["profile.held"]
    failing, _ = quarantined(house)
    one.once()
    assert receiver.told == ["profile.held", "profile.quarantined"]
    headers, body = receiver.got[1]
    told = json.loads(body)["data"]
    assert (told["profile"], told["displayName"], told["before"]) == (failing, "Contoso", None)
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    fine = house.profile()
    house.upload(fine)
    good_run(house, fine)
    one.once()
    house.time[0] += 27 * HOUR
    one.once()
    assert receiver.told[2:] == ["profile.stale"]
    good_run(house, fine)
    one.once()
    other.once()
    assert receiver.told[3:] == ["profile.recovered"]
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 4


def test_a_run_that_led_to_quarantine_is_no_good_one(house: House, settings: Settings, receiver: Receiver) -> None:
    """It was applied, and most of its records failed: what is told names the good run before it."""
    one = teller(house, settings)
    profile = house.profile()
    house.upload(profile)
    good_run(house, profile)
    good = house.time[0]
    house.time[0] += HOUR
    key = house.begin(profile)
    house.journal.verified(key, GOOD)
    worse = msgspec.structs.replace(PLANNED, steps={}, batches=0, rows=0, errors=9, failed={"people": 9})
    house.journal.planned(key, worse)
    house.journal.finished(key, worse, finished(house))
    status = house.status(profile)
    assert (status.status, (status.status_message or "")[:42]) == (
        "quarantined",
        "Synchronized 1 of 10 people: nothing to ch",
    )
    one.once()
    assert receiver.told == ["profile.quarantined"]
    assert json.loads(receiver.got[0][1])["data"]["lastGood"] <= ticks.text(good)


def test_what_does_not_arrive_is_tried_again_until_it_does(
    house: House, settings: Settings, receiver: Receiver
) -> None:
    """Same id at every try; a later notice of the profile waits for the earlier; redirects count as failures."""
    one = teller(house, settings)
    profile = house.profile()
    house.upload(profile)
    receiver.status = 500
    house.journal.failed(house.begin(profile), "This release cannot read that.")
    assert one.once() == 0
    assert one.once() == 0
    assert len(receiver.got) == 1, "it is not tried again before its time"
    good_run(house, profile)
    house.time[0] += WAITS[0]
    receiver.status = 307
    assert one.once() == 0
    assert receiver.told == ["profile.failed", "profile.failed"]
    house.time[0] += WAITS[1]
    receiver.status = 200
    assert one.once() + one.once() == 2
    assert receiver.told == ["profile.failed"] * 3 + ["profile.recovered"]
    assert len({headers["webhook-id"] for headers, _ in receiver.got[:3]}) == 1


def test_a_sender_that_dies_is_taken_over_and_one_that_lives_is_not(
    house: House, settings: Settings, receiver: Receiver
) -> None:
    """What somebody has in hand is left alone for a while; then another sends it, and the first changes nothing."""

    def outbox() -> Outbox:
        return Outbox(
            house.control, channels=("webhook",), stale_hours=0, base_url="x", clock=house.clock, new_id=new_id
        )

    dead, alive = outbox(), outbox()
    profile = house.profile()
    house.upload(profile)
    house.journal.failed(house.begin(profile), "This release cannot read that.")
    assert (dead.look(), alive.look()) == (1, 0)
    (lost,) = due(dead)
    assert due(alive) == []
    house.time[0] += LEASE
    (found,) = due(alive)
    assert (found.id, found.tries) == (lost.id, 2)
    assert not dead.failed(lost, final=True, problem="It is dead.") or due(alive) == []
    alive.sent(found)
    house.time[0] += LEASE
    assert due(alive) == []


def test_who_wants_no_more_is_left_alone(house: House, settings: Settings, receiver: Receiver) -> None:
    """410 ends a notice at once, three days of silence end it too; the profile's next change is told all the same."""
    one = teller(house, settings)
    profile = house.profile()
    house.upload(profile)
    receiver.status = 410
    house.journal.failed(house.begin(profile), "This release cannot read that.")
    one.once()
    house.time[0] += 2 * HOUR
    one.once()
    assert len(receiver.got) == 1
    receiver.status = 503
    good_run(house, profile)
    one.once()
    house.time[0] += PATIENCE
    one.once()
    house.time[0] += PATIENCE
    one.once()
    assert receiver.told == ["profile.failed", "profile.recovered", "profile.recovered", "profile.stale"]


def test_a_tenant_is_told_of_its_own_profiles_alone(house: House, receiver: Receiver) -> None:
    """What it chose of them, under its own secret and after its own hours; the installation needs no channel for it."""
    settings = replace(house.settings, egress_allow=("127.0.0.1",), stale_hours=26)
    receivers = Receivers(house.control, settings, clock=house.clock, new_id=new_id)
    tenant, other = house.person.tenant, house.control.tenant_number(str(uuid.uuid4()), NOW)
    one = teller(house, settings)
    house.upload(profile := house.profile())
    good_run(house, profile)
    one.once()
    assert receivers.change(other, Change(webhook_url=receiver.url), condition=anything)[1]
    house.journal.failed(house.begin(profile), "This release cannot read that.")
    one.once()
    assert receiver.got == [], "nobody of this tenant is told"
    wanted = Change(webhook_url=receiver.url, webhook_secret=SECRET, events=("failed", "stale"), stale_hours=5)
    made, shown = receivers.change(tenant, wanted, condition=anything)
    assert (made.has_secret, made.channels, shown) == (True, ("tenant-webhook",), None)
    one.once()
    assert receiver.told == ["profile.failed"]
    headers, body = receiver.got[0]
    key, at = webhooks.key_of(SECRET), int(headers["webhook-timestamp"])
    expected = webhooks.signature(key, notice=headers["webhook-id"], timestamp=at, body=body)
    assert headers["webhook-signature"] == expected
    good_run(house, profile)
    one.once()
    house.time[0] += 6 * HOUR
    one.once()
    assert receiver.told == ["profile.failed", "profile.stale"], "that all is well it did not want to hear"
    assert receivers.told(other, most=9) == []


def test_a_receiver_that_is_gone_holds_up_nobody_else(house: House, receiver: Receiver) -> None:
    """It is left alone for longer and longer. Taken away, it takes its secret and what waits for it along."""
    settings = replace(house.settings, egress_allow=("127.0.0.1",))
    receivers = Receivers(house.control, settings, clock=house.clock, new_id=new_id)
    gone, well = house.person.tenant, house.control.tenant_number(str(uuid.uuid4()), NOW)
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        nowhere = f"http://127.0.0.1:{taken.getsockname()[1]}/"
    receivers.change(gone, Change(webhook_url=nowhere), condition=anything)
    receivers.change(well, Change(webhook_url=receiver.url), condition=anything)
    one = teller(house, settings)
    for _ in range(3):
        house.upload(profile := house.profile())
        house.journal.failed(house.begin(profile), "This release cannot read that.")
    receivers.test(well, "b" * 36)
    assert one.once() == 1
    assert receiver.told == ["test"]
    told = receivers.told(gone, most=9)
    assert sorted(row.tries for row in told) == [0, 0, 1], "who does not answer is asked once a turn"
    assert any("does not answer" in (row.problem or "") for row in told)
    for wait in WAITS[:2]:
        assert one.once() == 0
        house.time[0] += wait
        one.once()
    assert sum(row.tries for row in receivers.told(gone, most=9)) == 3
    assert receivers.secret(gone)
    after, _ = receivers.change(gone, Change(webhook_url=None), condition=anything)
    assert (after.channels, after.has_secret, receivers.secret(gone)) == ((), False, None)
    assert all(row.over is not None and not row.sent for row in receivers.told(gone, most=9))
    with pytest.raises(Conflict, match="webhookUrl or mailTo"):
        receivers.test(gone, "a" * 36)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"webhook_url": "http://hooks.example.org/x"}, "https"),
        ({"webhook_url": "https://10.0.0.1/x"}, "egress_allow"),
        ({"webhook_url": "https://2130706433/x"}, "egress_allow"),
        ({"webhook_url": "https://hooks.example.org/x", "webhook_secret": "short"}, "webhookSecret must be base64"),
        ({"webhook_secret": SECRET}, "give webhookUrl too"),
        ({"mail_to": ("sis@skole.example",)}, "sends no mail"),
        ({"events": ("held", "bored")}, "“bored” is none of them"),
        ({"events": ()}, "one of them at least"),
        ({"stale_hours": -1}, "staleHours"),
    ],
)
def test_what_a_tenant_cannot_have_is_refused(house: House, given: dict[str, Any], said: str) -> None:
    """One sentence, and nothing is changed."""
    receivers = Receivers(house.control, house.settings, clock=house.clock, new_id=new_id)
    with pytest.raises(Invalid, match=said):
        receivers.change(house.person.tenant, Change(**given), condition=anything)
    assert receivers.find(house.person.tenant) == Own()


def test_a_tenants_mail_goes_by_the_installations_server(house: House) -> None:
    """To its own addresses; what is no address, or several in one, is refused."""
    got: list[Message] = []

    class Handler(MailHandler):
        def handle_message(self, message: Message) -> None:
            got.append(message)

    with mail_server(Handler()) as port:
        settings = replace(
            house.settings,
            mail_server=f"smtp://127.0.0.1:{port}",
            mail_from="schoolsync@skole.example",
            egress_allow=("127.0.0.1",),
        )
        receivers = Receivers(house.control, settings, clock=house.clock, new_id=new_id)
        for wrong in ("a", "a@b@c", "a@b, c@d", "a@b\r\nBcc: c@d", "Ann <a@b>", "x" * 300 + "@b"):
            with pytest.raises(Invalid, match="no mail address"):
                receivers.change(house.person.tenant, Change(mail_to=(wrong,)), condition=anything)
        receivers.change(house.person.tenant, Change(mail_to=("sis@skole.example",)), condition=anything)
        receivers.test(house.person.tenant, "a" * 36)
        assert teller(house, settings).once() == 1
    (mail,) = got
    assert (mail["X-RcptTo"], mail["Subject"]) == ("sis@skole.example", "schoolsync: schoolsync sends a test")


def test_a_deleted_profile_is_not_told_of(house: House, settings: Settings, receiver: Receiver) -> None:
    """Its notices go with it."""
    receiver.status = 500
    one = teller(house, settings)
    profile = house.profile()
    house.upload(profile)
    house.journal.failed(house.begin(profile), "This release cannot read that.")
    one.once()
    house.profiles.delete(house.person, profile, condition=lambda _version: None, now=house.clock())
    while housekeeping.sweep(house.control, house.settings, house.runs, house.clock()):
        pass
    receiver.status = 200
    house.time[0] += HOUR
    one.once()
    assert len(receiver.got) == 1


def test_an_inside_address_needs_the_operators_word(house: House, settings: Settings, receiver: Receiver) -> None:
    """The egress policy of the house holds for webhooks and mail servers."""
    notice = Notice(tenant=1, id=new_id(), channel="webhook", body={}, tries=1, made=NOW)
    with pytest.raises(Denied):
        webhooks.send(notice, url=receiver.url, key=b"k" * 24, policy=Policy(), timestamp=1)
    denied = teller(house, replace(settings, egress_allow=()))
    house.upload(profile := house.profile())
    house.journal.failed(house.begin(profile), "This release cannot read that.")
    assert denied.once() == 0
    assert receiver.got == []


def test_a_mail_is_sent_to_a_real_server(house: House) -> None:
    """Plain text with ids alone; a line break in the profile's name adds no header; the same notice has the same id."""
    got: list[Message] = []

    class Handler(MailHandler):
        def handle_message(self, message: Message) -> None:
            got.append(message)

    with mail_server(Handler()) as port:
        settings = replace(
            house.settings,
            mail_server=f"smtp://127.0.0.1:{port}",
            mail_from="schoolsync@skole.example",
            mail_to=("ops@skole.example", "sis@skole.example"),
            egress_allow=("127.0.0.1",),
        )
        profile = house.profile()
        house.profiles.change(
            house.person,
            profile,
            {"displayName": "Nord\r\nBcc: all@skole.example"},
            condition=lambda _version: None,
            now=house.clock(),
        )
        housekeeping.sweep(house.control, house.settings, house.runs, house.clock())
        house.upload(profile)
        house.journal.failed(house.begin(profile), "This release cannot read that.")
        assert teller(house, settings).once() == 1
    (mail,) = got
    assert mail["Subject"] == "schoolsync: Nord Bcc: all@skole.example has failed"
    assert mail["Bcc"] is None
    assert mail["To"] == "ops@skole.example, sis@skole.example"
    assert mail["X-RcptTo"] == "ops@skole.example, sis@skole.example"
    assert mail["Message-ID"].endswith("@skole.example>")
    text = str(mail.get_payload())
    assert profile in text
    assert "The last run did not end well" in text


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"webhook_url": "https://hooks.example.org/x"}, "webhook_secret"),
        ({"webhook_url": "https://hooks.example.org/x", "webhook_secret": "short"}, "base64"),
        ({"webhook_url": "http://hooks.example.org/x", "webhook_secret": SECRET}, "https"),
        ({"webhook_url": "ftp://hooks.example.org/x", "webhook_secret": SECRET}, "URL"),
        ({"mail_to": ("a@b.example",)}, "mail_server"),
        ({"mail_to": ("a@b.example",), "mail_from": "x@y.example", "mail_server": "mail.example.org"}, "smtp://"),
        ({"mail_to": ("a",), "mail_from": "x@y.example", "mail_server": "smtps://m.example.org"}, "addresses"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_starts(given: dict[str, Any], said: str) -> None:
    """One sentence that names the setting."""
    with pytest.raises(UsageError, match=said):
        list(channels(Settings(**given)))


@pytest.mark.parametrize("before", [None, *Condition])
@pytest.mark.parametrize("after", [None, *Condition])
def test_what_is_told_of_a_change(before: Condition | None, after: Condition | None) -> None:
    """A change to another condition, and nothing else; that all is well only to who was told otherwise."""
    told = conditions.event(before, after)
    if after is None or after is before or (before is None and after is Condition.GOOD):
        assert told is None
    else:
        assert told == ("recovered" if after is Condition.GOOD else after.value)


@pytest.mark.parametrize("status", [Status.PAUSED, Status.IN_PROGRESS, Status.EXTRACTING, None])
def test_at_work_or_paused_a_profile_stays_what_it_was(status: Status | None) -> None:
    """Only endings and waiting count, however old the data is."""
    assert conditions.condition(held=False, status=status, last_good=1, stale_hours=1, now=NOW) is None
