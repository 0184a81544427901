"""The commands `schoolsync audit …`: their arguments and options; what they do is in `cli.audit`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from schoolsync.cli import completing
from schoolsync.cli.answers import AsJson
from schoolsync.cli.completing import one_of
from schoolsync.cli.plan_commands import Server, User, whereto
from schoolsync.cli.whom import asks
from schoolsync.errors import UsageError

audit = typer.Typer(help="The audit log: who did what to which object.", no_args_is_help=True)
DataDir = Annotated[Path | None, typer.Option("--data-dir", metavar="DIR", help="Folder of databases, files, keys.")]


@audit.command("verify")
def audit_verify(
    tenant: Annotated[str | None, typer.Option(metavar="UUID", help="Only this tenant's log.")] = None,
    json: AsJson = False,
    server: Server = None,
    user: User = None,
    data_dir: DataDir = None,
) -> None:
    """Check that no entry of the audit log was changed, removed or slipped in.

    With --server, a token or a sign-in the tenant's log is fetched from a server and checked here.

    Exit status: 0 whole, 1 broken.
    """
    from schoolsync.cli import audit as command

    if asks(server, user, data_dir):
        raise typer.Exit(command.verify_served(whereto(tenant, None, server, user, data_dir, audits=True)))
    from schoolsync.settings import load

    raise typer.Exit(command.verify(load({"data_dir": data_dir}), tenant=tenant))


@audit.command("export")
def audit_export(
    tenant: Annotated[str | None, typer.Option(metavar="UUID", help="Only this tenant's log.")] = None,
    format: Annotated[  # noqa: A002
        str | None,
        typer.Option(
            help="csv or json (one object a line), which is the default.", autocompletion=one_of(completing.LOGS)
        ),
    ] = None,
    after: Annotated[
        int, typer.Option(min=0, max=10**18 - 1, metavar="N", help="Only entries behind this number.")
    ] = 0,
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Write here instead of printing.")] = None,
    json: AsJson = False,
    server: Server = None,
    user: User = None,
    data_dir: DataDir = None,
) -> None:
    """Write the audit log out, in order; with --server, a token or a sign-in that of a tenant of a server."""
    from schoolsync.cli import audit as command
    from schoolsync.settings import load

    if json and output is None and format not in (None, "json"):
        raise UsageError("--json prints JSON: leave --format out, or say with --output where the other goes.")
    if asks(server, user, data_dir):
        where = whereto(tenant, None, server, user, data_dir, audits=True)
        raise typer.Exit(command.export_served(where, format=format or "json", after=after, output=output))
    settings = load({"data_dir": data_dir})
    raise typer.Exit(command.export(settings, tenant=tenant, format=format or "json", after=after, output=output))


@audit.command("list")
def audit_list(
    tenant: Annotated[
        str | None, typer.Option(metavar="UUID", help="Tenant of the log; not needed with a token or a sign-in.")
    ] = None,
    actor: Annotated[str | None, typer.Option(metavar="TEXT", help="Only entries with this in the actor.")] = None,
    operation: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Only entries with this in the operation.")
    ] = None,
    object: Annotated[  # noqa: A002
        str | None, typer.Option(metavar="TEXT", help="Only entries with this in the object.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, metavar="N", help="List at most so many.")] = 100,
    json: AsJson = False,
    server: Server = None,
    user: User = None,
    data_dir: DataDir = None,
) -> None:
    """List the newest entries of the tenant's audit log; asks a server."""
    from schoolsync.cli import asking as command

    where = whereto(tenant, None, server, user, data_dir, audits=True)
    raise typer.Exit(command.audit(where, limit=limit, actor=actor, operation=operation, object=object))
