"""The commands `schoolsync login`, `logout` and `context …`: their arguments and options; `cli.login` does the work."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from schoolsync.cli.answers import AsJson

context = typer.Typer(help="Servers that you are signed in to.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the context.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(login)
    app.command()(logout)
    app.add_typer(context, name="context")


def login(
    server: Annotated[str | None, typer.Option(metavar="URL", help="The server; the one in use if absent.")] = None,
    tenant: Annotated[
        str | None, typer.Option(metavar="UUID", help="Tenant to sign in to; not needed with --issuer.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--context", metavar="NAME", help="What to call it; the server's name if absent.")
    ] = None,
    issuer: Annotated[
        str | None, typer.Option(metavar="URL", help="Your own issuer instead of the server's built-in one.")
    ] = None,
    client: Annotated[str | None, typer.Option(metavar="ID", help="Your app registration at --issuer.")] = None,
    scope: Annotated[
        str | None, typer.Option(metavar="TEXT", help="What to ask for; what the commands need if absent.")
    ] = None,
    ca: Annotated[Path | None, typer.Option(metavar="PEM", help="Certificates to trust beside the system's.")] = None,
    device: Annotated[
        bool, typer.Option("--device/--browser", help="Show a code to type elsewhere, or use a browser here.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Sign in to a server; further commands go there."""
    from schoolsync.cli import login as command

    raise typer.Exit(
        command.login(
            server=server,
            tenant=tenant,
            name=name,
            issuer=issuer,
            client=client,
            scope=scope,
            authority=ca,
            device=device,
        )
    )


def logout(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="The context; the one in use if absent.")] = None,
    json: AsJson = False,
) -> None:
    """Sign out of a server: forget its tokens, here and at the issuer."""
    from schoolsync.cli import login as command

    raise typer.Exit(command.logout(name))


@context.command("list")
def context_list(json: AsJson = False) -> None:
    """List the servers that you have signed in to; a star stands before the one in use."""
    from schoolsync.cli import login as command

    raise typer.Exit(command.list_())


@context.command("use")
def context_use(name: Name, json: AsJson = False) -> None:
    """Have the commands go to another server."""
    from schoolsync.cli import login as command

    raise typer.Exit(command.use(name))


@context.command("remove")
def context_remove(name: Name, json: AsJson = False) -> None:
    """Sign out of a server and forget it."""
    from schoolsync.cli import login as command

    raise typer.Exit(command.remove(name))
