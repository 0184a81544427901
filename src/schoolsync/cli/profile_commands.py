"""The commands about whole profiles and their uploads, as they are typed: they ask a running server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from schoolsync.cli.plan_commands import AsJson, DataDir, Server, Tenant, User, whereto

profile = typer.Typer(
    help="A profile with its policy, guards and schedule as one file to review; it holds no secret.",
    no_args_is_help=True,
)

File = Annotated[Path, typer.Argument(metavar="FILE", help="TOML file, as `profile export` writes it.")]
Named = Annotated[
    str | None,
    typer.Option(
        "--profile", metavar="ID", help="Profile, by id or display name; the one of the file's name if absent."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(profile, name="profile")
    app.command("upload")(upload)


@profile.command("export")
def profile_export(
    profile: Annotated[str, typer.Argument(metavar="PROFILE", help="Profile, by id or display name.")],
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Write here instead of printing.")] = None,
    tenant: Tenant = None,
    json: AsJson = False,
    server: Server = None,
    user: User = None,
    data_dir: DataDir = None,
) -> None:
    """Write a profile as one TOML file: configuration, policy, guards, schedule."""
    from schoolsync.cli import profile as command

    raise typer.Exit(command.export(whereto(tenant, profile, server, user, data_dir), output, as_json=json))


@profile.command("diff")
def profile_diff(
    file: File,
    profile: Named = None,
    tenant: Tenant = None,
    json: AsJson = False,
    server: Server = None,
    user: User = None,
    data_dir: DataDir = None,
) -> None:
    """Show what differs between a file and the profile on the server; nothing is changed.

    Exit status: 0 nothing differs, 1 something does, 2 wrong usage or refused.
    """
    from schoolsync.cli import profile as command

    where = whereto(tenant, None, server, user, data_dir)
    raise typer.Exit(command.diff(where, file, profile=profile, as_json=json))


@profile.command("import")
def profile_import(
    file: File,
    profile: Named = None,
    tenant: Tenant = None,
    json: AsJson = False,
    server: Server = None,
    user: User = None,
    data_dir: DataDir = None,
) -> None:
    """Make a profile what a file says, or a new one; importing twice changes nothing.

    A secret of the data provider is read from the variable SCHOOLSYNC_CLIENT_SECRET; without it the one that is stored
    stays.
    """
    from schoolsync.cli import profile as command

    where = whereto(tenant, None, server, user, data_dir, administers=True)
    raise typer.Exit(command.import_(where, file, profile=profile, as_json=json))


@profile.command("test")
def profile_test(
    profile: Annotated[str, typer.Argument(metavar="PROFILE", help="Profile, by id or display name.")],
    tenant: Tenant = None,
    json: AsJson = False,
    server: Server = None,
    user: User = None,
    data_dir: DataDir = None,
) -> None:
    """Say whether a profile can get at its roster; nothing is changed.

    Exit status: 0 it can, 1 something stands in the way, 2 wrong usage or refused.
    """
    from schoolsync.cli import profile as command

    raise typer.Exit(command.test(whereto(tenant, profile, server, user, data_dir), as_json=json))


def upload(
    profile: Annotated[str, typer.Argument(metavar="PROFILE", help="Profile, by id or display name.")],
    path: Annotated[Path, typer.Argument(metavar="PATH", help="Folder, zip or CSV file of a roster.")],
    start: Annotated[bool, typer.Option("--start", help="Start the synchronization too.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Watch the run until it ends or waits for a person.")] = False,
    tenant: Tenant = None,
    json: AsJson = False,
    server: Server = None,
    user: User = None,
    data_dir: DataDir = None,
) -> None:
    """Put a roster into a profile's upload; start it and watch it in one go.

    Exit status: 0 done, 1 the files forbid it or the run failed, 2 wrong usage or refused, 3 it waits for a person.
    """
    from schoolsync.cli import uploading as command

    where = whereto(tenant, profile, server, user, data_dir)
    raise typer.Exit(command.upload(where, path, start=start, follow=wait, as_json=json))
