"""The commands about whole profiles and their uploads, as they are typed: they ask a running server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from schoolsync.cli import completing
from schoolsync.cli.answers import AsJson as AsJsonLines
from schoolsync.cli.completing import one_of
from schoolsync.cli.plan_commands import AsJson, DataDir, Server, Tenant, User, whereto

profile = typer.Typer(
    help="Profiles: how they stand, what they are to do, and each as one file to review, which holds no secret.",
    no_args_is_help=True,
)

File = Annotated[Path, typer.Argument(metavar="FILE", help="TOML file, as `profile export` writes it.")]
Named = Annotated[
    str | None,
    typer.Option(
        "--profile", metavar="ID", help="Profile, by id or display name; the one of the file's name if absent."
    ),
]

Called = Annotated[str, typer.Argument(metavar="PROFILE", help="Profile, by id or display name.")]


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


@profile.command("list")
def profile_list(
    search: Annotated[str | None, typer.Option(metavar="TEXT", help="Only those with this in their name.")] = None,
    status: Annotated[
        str | None,
        typer.Option(metavar="WORD", help="Only those of this status.", autocompletion=one_of(completing.STATUSES)),
    ] = None,
    attention: Annotated[bool, typer.Option("--attention", help="Only those that need a person now.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=100_000, metavar="N", help="List at most so many.")] = 100,
    tenant: Tenant = None,
    json: AsJsonLines = False,
    server: Server = None,
    user: User = None,
    data_dir: DataDir = None,
) -> None:
    """List the tenant's profiles: id, state, status, name and what is said of each."""
    from schoolsync.cli import profiles as command

    where = whereto(tenant, None, server, user, data_dir)
    raise typer.Exit(command.list_(where, search=search, status=status, attention=attention, limit=limit))


@profile.command("show")
def profile_show(
    profile: Called,
    tenant: Tenant = None,
    json: AsJsonLines = False,
    server: Server = None,
    user: User = None,
    data_dir: DataDir = None,
) -> None:
    """Say how a profile stands: last good run, next one, what is quarantined or set aside."""
    from schoolsync.cli import profiles as command

    raise typer.Exit(command.show(whereto(tenant, profile, server, user, data_dir)))


@profile.command("start")
def profile_start(
    profile: Called,
    wait: Annotated[bool, typer.Option("--wait", help="Watch the run until it ends or waits for a person.")] = False,
    tenant: Tenant = None,
    json: AsJson = False,
    server: Server = None,
    user: User = None,
    data_dir: DataDir = None,
) -> None:
    """Start a profile with the files that were uploaded; `upload --start` does both.

    Exit status: 0 done, 1 the files forbid it or the run failed, 2 wrong usage or refused, 3 it waits for a person.
    """
    from schoolsync.cli import uploading as command

    raise typer.Exit(command.start(whereto(tenant, profile, server, user, data_dir), follow=wait, as_json=json))


@profile.command("pause")
def profile_pause(
    profile: Called,
    tenant: Tenant = None,
    json: AsJsonLines = False,
    server: Server = None,
    user: User = None,
    data_dir: DataDir = None,
) -> None:
    """Stop a profile's synchronizing at the next batch, until it is resumed."""
    from schoolsync.cli import profiles as command

    raise typer.Exit(command.act(whereto(tenant, profile, server, user, data_dir), "pause"))


@profile.command("resume")
def profile_resume(
    profile: Called,
    tenant: Tenant = None,
    json: AsJsonLines = False,
    server: Server = None,
    user: User = None,
    data_dir: DataDir = None,
) -> None:
    """Go on after a pause, or past wrong records, which are then left out."""
    from schoolsync.cli import profiles as command

    raise typer.Exit(command.act(whereto(tenant, profile, server, user, data_dir), "resume"))


@profile.command("reset")
def profile_reset(
    profile: Called,
    tenant: Tenant = None,
    json: AsJsonLines = False,
    server: Server = None,
    user: User = None,
    data_dir: DataDir = None,
) -> None:
    """Forget the errors and synchronize again from the last files; nothing is deleted."""
    from schoolsync.cli import profiles as command

    raise typer.Exit(command.act(whereto(tenant, profile, server, user, data_dir), "reset"))


@profile.command("delete")
def profile_delete(
    profile: Called,
    tenant: Tenant = None,
    json: AsJsonLines = False,
    server: Server = None,
    user: User = None,
    data_dir: DataDir = None,
) -> None:
    """Delete a profile with its files; schools, classes and people that it has synchronized stay."""
    from schoolsync.cli import profiles as command

    raise typer.Exit(command.delete(whereto(tenant, profile, server, user, data_dir, administers=True)))


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
