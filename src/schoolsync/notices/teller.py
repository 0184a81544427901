"""Notices beside a worker: look for changes, send what is due, over and over, in a thread of its own.

Nothing here may disturb a run: what fails is tried again later, and only ids are logged. Each receiver has a thread
while something is sent to it, some seconds long, and is left alone for a while when it does not answer: a receiver that
is slow or gone holds up its own notices and no other tenant's.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

import structlog

from schoolsync import ticks
from schoolsync.access import egress
from schoolsync.errors import SchoolsyncError, WorldError
from schoolsync.notices import mail, webhooks
from schoolsync.notices.channels import channels
from schoolsync.notices.notice import MAIL, OWN_MAIL, OWN_WEBHOOK, TEST, WEBHOOK, Notice
from schoolsync.notices.outbox import WAITS, Lane, Outbox
from schoolsync.notices.receivers import Receivers
from schoolsync.settings import Settings
from schoolsync.store.control import Control

PAUSE = 1.0
"""Seconds between two looks, at least; and twenty times what one takes."""
TIDY = 3600.0
SENDERS = 16
"""Receivers that are sent to at the same time."""
TURN = 10.0
"""Seconds after which no further notice is sent to the same receiver in one turn."""
LONGEST = 4
"""How far the pauses of a receiver that does not answer grow, in places of WAITS."""

log = structlog.get_logger()


class Teller:
    """Looks and sends."""

    def __init__(
        self, settings: Settings, control: Control, clock: Callable[[], int], new_id: Callable[[], str]
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._policy = egress.Policy.of(settings.egress_allow)
        self._receivers = Receivers(control, settings, clock=clock, new_id=new_id)
        self._away: dict[tuple[str, int | None], int] = {}
        self._outbox = Outbox(
            control,
            channels=tuple(channels(settings)),
            stale_hours=settings.stale_hours,
            base_url=settings.base_url,
            clock=clock,
            new_id=new_id,
        )

    def once(self) -> int:
        """Look, and send what is due; how many notices have arrived."""
        self._outbox.look()
        return self._send_all(self._outbox.lanes())

    def loop(self, stopping: Callable[[], bool]) -> None:
        """Work until asked to stop."""
        tidied = 0.0
        while not stopping():
            began = time.monotonic()
            took = 0.0
            try:
                self._outbox.look()
                lanes = self._outbox.lanes()
                took = time.monotonic() - began
                self._send_all(lanes)
                if began - tidied >= TIDY:
                    tidied = began
                    self._outbox.tidy()
            except SchoolsyncError as problem:
                log.warning("notices cannot be looked after", error=type(problem).__name__)
            except Exception:
                log.exception("notices cannot be looked after")
            time.sleep(max(PAUSE, 20 * took) if not stopping() else 0)

    def _send_all(self, lanes: list[Lane]) -> int:
        if len(lanes) <= 1:
            return sum(map(self._send_lane, lanes))
        left = deque(lanes)
        arrived: deque[int] = deque()

        def work() -> None:
            while left:
                try:
                    lane = left.popleft()
                except IndexError:
                    return
                try:
                    arrived.append(self._send_lane(lane))
                except WorldError as problem:
                    log.warning("notices cannot be looked after", error=type(problem).__name__)
                except Exception:
                    log.exception("notices cannot be looked after")

        threads = [threading.Thread(target=work, name="notices", daemon=True) for _ in lanes[:SENDERS]]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(arrived)

    def _send_lane(self, lane: Lane) -> int:
        """Send to one receiver until its turn is over, or it does not answer; how many notices have arrived."""
        until = time.monotonic() + TURN
        arrived = 0
        for notice in self._outbox.taken(lane):
            sent = self._send(notice)
            if sent is None:
                missed = self._away.get(lane.receiver, 0)
                self._away[lane.receiver] = min(missed + 1, LONGEST)
                self._outbox.postpone(lane, WAITS[min(missed, LONGEST - 1)])
                return arrived
            self._away.pop(lane.receiver, None)
            arrived += sent
            if time.monotonic() > until:
                break
        return arrived

    def _send(self, notice: Notice) -> bool | None:
        """Whether it has arrived; None: its receiver does not take it now."""
        told = {"notice": notice.id, "channel": notice.channel, "about": notice.body["type"], "tries": notice.tries}
        try:
            self._by_channel(notice)
        except webhooks.Unwanted:
            self._outbox.failed(notice, final=True, problem="The receiver wants no more of it (410).")
            log.warning("notice given up", reason="410", **told)
            return False
        except SchoolsyncError as problem:
            final = notice.body["type"] == TEST  # whoever waits for it wants to know now
            over = self._outbox.failed(notice, final=final, problem=str(problem))
            log.warning("notice given up" if over else "notice not sent", error=type(problem).__name__, **told)
            return None
        self._outbox.sent(notice)
        log.info("notice sent", **told)
        return True

    def _by_channel(self, notice: Notice) -> None:
        settings = self._settings
        if notice.channel == WEBHOOK:
            self._call(notice, settings.webhook_url, settings.webhook_secret)
        elif notice.channel == MAIL:
            self._mail(notice, settings.mail_to)
        elif notice.channel == OWN_WEBHOOK:
            receiver = self._receivers.find(notice.tenant)
            self._call(notice, receiver.webhook_url, self._receivers.secret(notice.tenant))
        else:
            assert notice.channel == OWN_MAIL
            self._mail(notice, self._receivers.find(notice.tenant).mail_to)

    def _call(self, notice: Notice, url: str | None, secret: str | None) -> None:
        if url is None or secret is None:
            raise webhooks.Unwanted
        seconds = (self._clock() - ticks.UNIX_EPOCH) // ticks.PER_SECOND
        webhooks.send(notice, url=url, key=webhooks.key_of(secret), policy=self._policy, timestamp=seconds)

    def _mail(self, notice: Notice, to: tuple[str, ...]) -> None:
        settings = self._settings
        if not to:
            raise webhooks.Unwanted
        if settings.mail_server is None or settings.mail_from is None:
            raise WorldError("This installation sends no mail: whoever runs it sets mail_server and mail_from.")
        mail.send(
            notice,
            server=mail.server_of(settings.mail_server),
            password=settings.mail_password,
            sender=settings.mail_from,
            to=to,
            policy=self._policy,
        )


def start(
    settings: Settings,
    control: Control,
    *,
    clock: Callable[[], int],
    new_id: Callable[[], str],
    stopping: Callable[[], bool],
) -> None:
    """Tell what changes from now on, until the process ends."""
    teller = Teller(settings, control, clock, new_id)
    threading.Thread(target=teller.loop, args=(stopping,), name="notices", daemon=True).start()
