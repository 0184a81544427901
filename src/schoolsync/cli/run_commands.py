"""The commands `runs`, `cancel`, `restart` and `freshness`: their arguments and options.

On the server's own machine they work on the databases, beside a running server or without one; with `--server`, a token
or a sign-in they ask a server.
"""

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

DataDir = Annotated[Path | None, typer.Option("--data-dir", metavar="DIR", help="Folder of databases, files, keys.")]
Profile = Annotated[str, typer.Option("--profile", metavar="ID", help="Profile, by id or display name.")]
Tenant = Annotated[
    str | None,
    typer.Option(
        "--tenant", metavar="UUID", help="Tenant of the profile; a server knows it from a token or a sign-in."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for name, command in (("runs", runs), ("cancel", cancel), ("restart", restart), ("freshness", freshness)):
        app.command(name)(command)


def runs(
    profile: Profile,
    tenant: Tenant = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, metavar="N", help="At most so many.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", help="Watch the newest run until it ends or waits.")] = False,
    json: AsJson = False,
    server: Server = None,
    user: User = None,
    data_dir: DataDir = None,
) -> None:
    """List a profile's runs: state, how far, how fast, how long still."""
    if asks(server, user, data_dir):
        from schoolsync.cli import served_runs

        where = whereto(tenant, profile, server, user, data_dir)
        raise typer.Exit(served_runs.show(where, limit=limit, follow=follow, as_json=json))
    from schoolsync.cli import runs as command
    from schoolsync.settings import load

    settings = load({"data_dir": data_dir})
    raise typer.Exit(
        command.show(settings, tenant=_named(tenant), profile=profile, limit=limit, follow=follow, as_json=json)
    )


def cancel(
    profile: Profile,
    tenant: Tenant = None,
    run: Annotated[
        str | None, typer.Option(metavar="N", help="Number or id of the run; the open one if absent.")
    ] = None,
    why: Annotated[str | None, typer.Option(metavar="TEXT", help="Reason, kept with the run.")] = None,
    json: AsJson = False,
    server: Server = None,
    user: User = None,
    data_dir: DataDir = None,
) -> None:
    """End a run within one batch; what it has applied stays until it is undone."""
    if asks(server, user, data_dir):
        from schoolsync.cli import served_runs

        raise typer.Exit(served_runs.cancel(whereto(tenant, profile, server, user, data_dir), run=run, why=why))
    from schoolsync.cli import runs as command
    from schoolsync.settings import load

    settings = load({"data_dir": data_dir})
    raise typer.Exit(command.cancel(settings, tenant=_named(tenant), profile=profile, run=run, why=why))


def restart(
    profile: Profile,
    tenant: Tenant = None,
    scope: Annotated[
        str,
        typer.Option(help="failedItems, quarantine or everything.", autocompletion=one_of(completing.SCOPES)),
    ] = "failedItems",
    school: Annotated[
        str | None,
        typer.Option(metavar="ID", help="This school alone, by SIS ID or object id, before the whole profile."),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            help="All of this kind alone: class, student or teacher.", autocompletion=one_of(completing.PARTS)
        ),
    ] = None,
    json: AsJson = False,
    server: Server = None,
    user: User = None,
    data_dir: DataDir = None,
) -> None:
    """Try a profile again now, and forget as much of what failed before as the scope says."""
    if asks(server, user, data_dir):
        from schoolsync.cli import served_runs

        where = whereto(tenant, profile, server, user, data_dir)
        raise typer.Exit(served_runs.restart(where, scope=scope, school=school, kind=kind))
    from schoolsync.cli import runs as command
    from schoolsync.settings import load

    raise typer.Exit(
        command.restart(
            load({"data_dir": data_dir}),
            tenant=_named(tenant),
            profile=profile,
            scope=scope,
            school=school,
            kind=kind,
        )
    )


def freshness(
    tenant: Annotated[str | None, typer.Option(metavar="UUID", help="Only this tenant's profiles.")] = None,
    json: AsJson = False,
    server: Server = None,
    user: User = None,
    data_dir: DataDir = None,
) -> None:
    """Say for every profile when it was last good, how long ago that is and when it is due next."""
    if asks(server, user, data_dir):
        from schoolsync.cli import served_runs

        raise typer.Exit(served_runs.freshness(whereto(tenant, None, server, user, data_dir)))
    from schoolsync.cli import runs as command
    from schoolsync.settings import load

    raise typer.Exit(command.freshness(load({"data_dir": data_dir}), tenant=tenant, as_json=json))


def _named(tenant: str | None) -> str:
    if tenant is None:
        raise UsageError("Name the tenant with --tenant UUID, or a server with --server URL.")
    return tenant
