"""Which channels of the installation notices go to, and whether their settings can work.

Light: the supervisor asks it before it starts.
"""

from __future__ import annotations

from collections.abc import Iterator

from schoolsync.access import egress
from schoolsync.errors import UsageError
from schoolsync.notices import mail, webhooks
from schoolsync.notices.notice import MAIL, WEBHOOK, is_address
from schoolsync.settings import Settings


def channels(settings: Settings) -> Iterator[str]:
    """The channels that are set up. Raises UsageError for one that cannot work."""
    if settings.webhook_url is not None:
        egress.check_url(settings.webhook_url)
        if settings.webhook_secret is None:
            raise UsageError("webhook_url needs webhook_secret, which calls are signed with.")
        webhooks.key_of(settings.webhook_secret)
        yield WEBHOOK
    if settings.mail_to:
        if settings.mail_server is None or settings.mail_from is None:
            raise UsageError("mail_to needs mail_server and mail_from.")
        mail.server_of(settings.mail_server)
        if not all(map(is_address, (*settings.mail_to, settings.mail_from))):
            raise UsageError("mail_to and mail_from must be mail addresses such as sync@example.org.")
        yield MAIL
