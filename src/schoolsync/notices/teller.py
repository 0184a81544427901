"""Notices beside a worker: look for changes, send what is due, over and over, in a thread of its own.

Nothing here may disturb a run: what fails is tried again later, and only ids are logged.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from schoolsync import ticks
from schoolsync.access import egress
from schoolsync.errors import SchoolsyncError
from schoolsync.notices import mail, webhooks
from schoolsync.notices.channels import WEBHOOK, channels
from schoolsync.notices.notice import Notice
from schoolsync.notices.outbox import Outbox
from schoolsync.settings import Settings
from schoolsync.store.control import Control

PAUSE = 1.0
"""Seconds between two looks, at least; and twenty times what one takes."""
TIDY = 3600.0

log = structlog.get_logger()


class Teller:
    """Looks and sends."""

    def __init__(
        self, settings: Settings, control: Control, clock: Callable[[], int], new_id: Callable[[], str]
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._policy = egress.Policy.of(settings.egress_allow)
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
        return sum(self._send(notice) for notice in self._outbox.waiting())

    def loop(self, stopping: Callable[[], bool]) -> None:
        """Work until asked to stop."""
        tidied = 0.0
        while not stopping():
            began = time.monotonic()
            try:
                self.once()
                if began - tidied >= TIDY:
                    tidied = began
                    self._outbox.tidy()
            except SchoolsyncError as problem:
                log.warning("notices cannot be looked after", error=type(problem).__name__)
            except Exception:
                log.exception("notices cannot be looked after")
            time.sleep(max(PAUSE, 20 * (time.monotonic() - began)) if not stopping() else 0)

    def _send(self, notice: Notice) -> bool:
        told = {"notice": notice.id, "channel": notice.channel, "about": notice.body["type"], "tries": notice.tries}
        try:
            self._by_channel(notice)
        except webhooks.Unwanted:
            self._outbox.failed(notice, final=True)
            log.warning("notice given up", reason="410", **told)
            return False
        except SchoolsyncError as problem:
            over = self._outbox.failed(notice, final=False)
            log.warning("notice given up" if over else "notice not sent", error=type(problem).__name__, **told)
            return False
        self._outbox.sent(notice)
        log.info("notice sent", **told)
        return True

    def _by_channel(self, notice: Notice) -> None:
        settings = self._settings
        if notice.channel == WEBHOOK:
            assert settings.webhook_url is not None
            assert settings.webhook_secret is not None
            seconds = (self._clock() - ticks.UNIX_EPOCH) // ticks.PER_SECOND
            key = webhooks.key_of(settings.webhook_secret)
            webhooks.send(notice, url=settings.webhook_url, key=key, policy=self._policy, timestamp=seconds)
            return
        assert settings.mail_server is not None
        assert settings.mail_from is not None
        mail.send(
            notice,
            server=mail.server_of(settings.mail_server),
            password=settings.mail_password,
            sender=settings.mail_from,
            to=settings.mail_to,
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
    """Tell what changes from now on, until the process ends; nothing when no channel is set up."""
    if not list(channels(settings)):
        return
    teller = Teller(settings, control, clock, new_id)
    threading.Thread(target=teller.loop, args=(stopping,), name="notices", daemon=True).start()
