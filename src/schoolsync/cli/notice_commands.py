"""The commands `schoolsync notices …`: their arguments and options; what they do is in `cli.notices`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from schoolsync.cli import completing
from schoolsync.cli.answers import AsJson
from schoolsync.cli.completing import one_of
from schoolsync.cli.plan_commands import DataDir, Server, Tenant, User, whereto
from schoolsync.errors import UsageError

notices = typer.Typer(
    help="Who is told, by webhook and mail, when a profile of the tenant is held, fails or is well again.",
    no_args_is_help=True,
)


@notices.command("show")
def notices_show(
    tenant: Tenant = None, json: AsJson = False, server: Server = None, user: User = None, data_dir: DataDir = None
) -> None:
    """Say where the tenant's notices go; the secret is never shown."""
    from schoolsync.cli import notices as command

    raise typer.Exit(command.show(whereto(tenant, None, server, user, data_dir, administers=True)))


@notices.command("change")
def notices_change(
    webhook_url: Annotated[str | None, typer.Option(metavar="URL", help="Call this address.")] = None,
    no_webhook: Annotated[bool, typer.Option("--no-webhook", help="Call none any more.")] = False,
    new_secret: Annotated[
        bool, typer.Option("--new-secret", help="Make another secret to sign the calls with, and show it once.")
    ] = False,
    mail_to: Annotated[
        list[str] | None, typer.Option(metavar="ADDRESS", help="Send mail there; may be repeated, replaces all.")
    ] = None,
    no_mail: Annotated[bool, typer.Option("--no-mail", help="Send no mail any more.")] = False,
    event: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WORD",
            help="Tell this: held, failed, quarantined, stale, recovered or all; may be repeated, replaces all.",
            autocompletion=one_of((*completing.EVENTS, "all")),
        ),
    ] = None,
    stale_hours: Annotated[
        str | None,
        typer.Option(metavar="N", help="Hours without a good run that make a profile stale; 0 for never, or default."),
    ] = None,
    tenant: Tenant = None,
    json: AsJson = False,
    server: Server = None,
    user: User = None,
    data_dir: DataDir = None,
) -> None:
    """Change where the tenant's notices go; what is not named stays.

    A secret of your own is read from the variable SCHOOLSYNC_NOTICE_SECRET; a webhook that has none gets one, which is
    shown this once.
    """
    from schoolsync.cli import notices as command

    if (no_webhook and (webhook_url is not None or new_secret)) or (no_mail and mail_to):
        raise UsageError("Name an address or take it away, not both.")
    wanted: dict[str, Any] = {}  # JSON: values of any kind
    if webhook_url is not None or no_webhook:
        wanted["webhookUrl"] = webhook_url
    if new_secret:
        wanted["newSecret"] = True
    if mail_to or no_mail:
        wanted["mailTo"] = mail_to or None
    if event:
        wanted["events"] = None if "all" in event else event
    if stale_hours is not None:
        wanted["staleHours"] = _hours(stale_hours)
    raise typer.Exit(command.change(whereto(tenant, None, server, user, data_dir, administers=True), wanted))


@notices.command("test")
def notices_test(
    tenant: Tenant = None, json: AsJson = False, server: Server = None, user: User = None, data_dir: DataDir = None
) -> None:
    """Send a notice that says it is a test to every receiver, and say what becomes of it.

    Exit status: 0 all have arrived, 1 something has not, 2 wrong usage or refused.
    """
    from schoolsync.cli import notices as command

    raise typer.Exit(command.test(whereto(tenant, None, server, user, data_dir, administers=True)))


@notices.command("sent")
def notices_sent(
    limit: Annotated[int, typer.Option(min=1, max=50, metavar="N", help="List at most so many.")] = 20,
    tenant: Tenant = None,
    json: AsJson = False,
    server: Server = None,
    user: User = None,
    data_dir: DataDir = None,
) -> None:
    """List the newest notices to the tenant's receivers: whether they have arrived, and why not."""
    from schoolsync.cli import notices as command

    raise typer.Exit(command.sent(whereto(tenant, None, server, user, data_dir, administers=True), limit))


def _hours(text: str) -> int | None:
    if text == "default":
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 6):
        raise UsageError("--stale-hours must be a whole number of hours, 0 for never, or default.")
    return int(text)
