"""The commands `schoolsync user …`: their arguments and options; what they do is in `cli.user`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from schoolsync.cli.answers import AsJson

user = typer.Typer(help="Accounts of people who sign in to the built-in issuer.", no_args_is_help=True)
DataDir = Annotated[Path | None, typer.Option("--data-dir", metavar="DIR", help="Folder of databases, files, keys.")]
PersonName = Annotated[str, typer.Argument(metavar="NAME", help="User name of the person.")]
PersonTenant = Annotated[str, typer.Option("--tenant", metavar="UUID", help="Tenant the account belongs to.")]
PersonRole = Annotated[
    list[str] | None, typer.Option("--role", help="Role of our own that the person has; may be repeated.")
]


@user.command("add")
def user_add(
    name: PersonName,
    tenant: PersonTenant,
    scope: Annotated[str | None, typer.Option(help="Scopes that programs may get for the person.")] = None,
    role: PersonRole = None,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Make an account; asks for its password, or reads it from standard input."""
    from schoolsync.cli import user as command
    from schoolsync.settings import load

    settings = load({"data_dir": data_dir})
    raise typer.Exit(command.add(settings, tenant=tenant, name=name, scope=scope, roles=tuple(role or ())))


@user.command("list")
def user_list(
    tenant: Annotated[str | None, typer.Option(metavar="UUID", help="Only accounts of this tenant.")] = None,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """List the accounts with their scopes and roles."""
    from schoolsync.cli import user as command
    from schoolsync.settings import load

    raise typer.Exit(command.list_(load({"data_dir": data_dir}), tenant=tenant))


@user.command("change")
def user_change(
    name: PersonName,
    tenant: PersonTenant,
    scope: Annotated[str | None, typer.Option(help="Scopes instead of those it has.")] = None,
    role: PersonRole = None,
    password: Annotated[bool, typer.Option("--password", help="Ask for another password.")] = False,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Give an account another password, other scopes or roles; tokens it has stay as they are until they expire."""
    from schoolsync.cli import user as command
    from schoolsync.settings import load

    settings = load({"data_dir": data_dir})
    raise typer.Exit(
        command.change(settings, tenant=tenant, name=name, scope=scope, roles=tuple(role or ()), password=password)
    )


@user.command("remove")
def user_remove(name: PersonName, tenant: PersonTenant, data_dir: DataDir = None, json: AsJson = False) -> None:
    """Remove an account, or forget somebody of another issuer; either is signed out of the console."""
    from schoolsync.cli import user as command
    from schoolsync.settings import load

    raise typer.Exit(command.remove(load({"data_dir": data_dir}), tenant=tenant, name=name))
