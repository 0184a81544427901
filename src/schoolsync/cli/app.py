"""The command line: `schoolsync serve`, `token`, `validate`, `client`, `erase` and the others.

A face: it reads arguments, calls one function, prints. Every command imports what it needs when it runs, so that
`--help` answers at once.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from schoolsync import __version__
from schoolsync.cli import (
    audit_commands,
    completing,
    examples,
    login_commands,
    notice_commands,
    plan_commands,
    profile_commands,
    run_commands,
    server_commands,
    terminal,
    user_commands,
)
from schoolsync.cli.answers import AsJson, tell
from schoolsync.cli.completing import one_of
from schoolsync.cli.plan_commands import Server, User, whereto
from schoolsync.cli.whom import asks
from schoolsync.errors import SchoolsyncError, UsageError, WorldError, is_worlds

app = typer.Typer(
    name="schoolsync",
    help="An open, self-hosted School Data Sync that speaks the Microsoft Graph education API.",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
client = typer.Typer(help="Clients that may fetch tokens of the built-in issuer.", no_args_is_help=True)
app.add_typer(client, name="client")
app.add_typer(user_commands.user, name="user")
db = typer.Typer(help="The PostgreSQL that `database_url` names.", no_args_is_help=True)
app.add_typer(db, name="db")
keys = typer.Typer(help="The keys of this installation.", no_args_is_help=True)
app.add_typer(keys, name="keys")
app.add_typer(audit_commands.audit, name="audit")
app.add_typer(notice_commands.notices, name="notices")

device = typer.Typer(help="Programs that wait with a code for a person to be vouched for.", no_args_is_help=True)
app.add_typer(device, name="device")

Format = Annotated[
    str | None,
    typer.Option(help="Format of the roster; found out when not given.", autocompletion=one_of(completing.FORMATS)),
]
DataDir = Annotated[Path | None, typer.Option("--data-dir", metavar="DIR", help="Folder of databases, files, keys.")]


@app.command()
def serve(
    data_dir: DataDir = None,
    host: Annotated[str | None, typer.Option(metavar="H", help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(metavar="P", help="Port to listen on; 0 takes a free one.")] = None,
    tls: Annotated[
        bool | None, typer.Option("--tls/--no-tls", help="Serve HTTPS with a certificate of our own making.")
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(metavar="PEM", help="Certificate chain to serve HTTPS with.")] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="PEM", help="Private key of --tls-cert.")] = None,
    public_url: Annotated[
        str | None, typer.Option(metavar="URL", help="Base URL that clients use, when it is another one.")
    ] = None,
    memory: Annotated[
        bool | None, typer.Option("--memory", help="Keep everything in memory and leave nothing behind; for tests.")
    ] = None,
    seed_roster: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Synchronize this roster before saying ready.")
    ] = None,
    seed_tenant: Annotated[str | None, typer.Option(metavar="UUID", help="Tenant that the roster goes to.")] = None,
    faults: Annotated[
        bool | None, typer.Option("--faults", help="Serve the fault dial, to test a client; never in production.")
    ] = None,
    worker: Annotated[
        bool, typer.Option("--worker/--no-worker", help="Run the synchronizations too; without, PostgreSQL is needed.")
    ] = True,
    json: AsJson = False,
) -> None:
    """Serve the API and run the synchronizations until stopped."""
    from schoolsync.serving import supervisor
    from schoolsync.settings import load

    given = {
        "data_dir": data_dir,
        "host": host,
        "port": port,
        "tls": tls,
        "tls_cert": tls_cert,
        "tls_key": tls_key,
        "public_url": public_url,
        "memory": memory,
        "seed_roster": seed_roster,
        "seed_tenant": seed_tenant,
        "faults": faults,
    }
    say = supervisor.as_json if json else supervisor.in_words
    raise typer.Exit(supervisor.serve(load(given), with_worker=worker, say=say))


@app.command("worker")
def work(data_dir: DataDir = None, json: AsJson = False) -> None:
    """Run synchronizations until stopped, beside any number of others; needs PostgreSQL."""
    from schoolsync.serving import supervisor
    from schoolsync.settings import load

    say = supervisor.as_json if json else supervisor.in_words
    raise typer.Exit(supervisor.work(load({"data_dir": data_dir}), say=say))


@app.command()
def token(
    tenant: Annotated[str, typer.Option(metavar="UUID", help="Tenant the token is for.")],
    data_dir: DataDir = None,
    json: AsJson = False,
    scope: Annotated[
        str | None, typer.Option(help="Scopes of a delegated token, e.g. “EduAdministration.ReadWrite EduRoster.Read”.")
    ] = None,
    role: Annotated[
        list[str] | None, typer.Option(help="Role of an application token, e.g. EduRoster.Read.All; may be repeated.")
    ] = None,
    user: Annotated[str | None, typer.Option(metavar="UPN", help="Person a delegated token acts for.")] = None,
    expires_in: Annotated[int, typer.Option(metavar="S", help="Seconds that the token is valid.")] = 3600,
) -> None:
    """Print one bearer token of the built-in issuer, and nothing else."""
    from schoolsync.cli import token as command
    from schoolsync.settings import load

    settings = load({"data_dir": data_dir})
    raise typer.Exit(
        command.run(settings, tenant=tenant, scope=scope, roles=tuple(role or ()), user=user, expires_in=expires_in)
    )


@app.command()
def validate(
    path: Annotated[Path, typer.Argument(help="Folder, zip or CSV file of a roster.")],
    format: Format = None,  # noqa: A002
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    report: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Write a report: .html, .json, .csv or .parquet; may be repeated."),
    ] = None,
    against: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Compare with this earlier roster of the same format.")
    ] = None,
    onto: Annotated[
        Path | None, typer.Option(metavar="PATH", help="The whole roster that a package of changes belongs to.")
    ] = None,
) -> None:
    """Check a roster without sending it anywhere.

    Exit status: 0 clean or warnings only, 1 errors, 2 unreadable or wrong usage.
    """
    from schoolsync.cli import validate as command

    raise typer.Exit(
        command.run(path, format=format, json=json, reports_to=tuple(report or ()), against=against, onto=onto)
    )


@app.command()
def convert(
    path: Annotated[Path, typer.Argument(help="Folder, zip or CSV file of a roster.")],
    out: Annotated[Path, typer.Argument(help="New folder, or a file that ends in .zip.")],
    to: Annotated[
        str,
        typer.Option(
            help="Format to write: sds-v1, sds-v2.1, oneroster-1.1, oneroster-1.2.",
            autocompletion=one_of(completing.TARGETS),
        ),
    ],
    format: Format = None,  # noqa: A002
    on: Annotated[
        str | None,
        typer.Option(metavar="DATE", help="Day whose enrollments count where days cannot be written; today."),
    ] = None,
    passwords: Annotated[bool, typer.Option("--passwords", help="Carry passwords over.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    onto: Annotated[
        Path | None, typer.Option(metavar="PATH", help="The whole roster that a package of changes belongs to.")
    ] = None,
) -> None:
    """Write a roster in another format, and say what that format cannot hold.

    Exit status: 0 written whole, 1 records with errors are left out or nothing can be used, 2 wrong usage.
    """
    from datetime import UTC, date, datetime

    from schoolsync.cli import convert as command

    try:
        day = date.fromisoformat(on) if on else datetime.now(UTC).date()
    except ValueError:
        raise UsageError(f"{on} is no date: write it as YYYY-MM-DD.") from None
    raise typer.Exit(command.run(path, out, to=to, format=format, day=day, passwords=passwords, json=json, onto=onto))


@app.command()
def settings(data_dir: DataDir = None, json: AsJson = False) -> None:
    """Print the effective settings, each with where it comes from; secrets are masked."""
    from schoolsync.settings import effective

    values = effective({"data_dir": data_dir})
    widths = (max(len(value.name) for value in values), max(len(value.shown) for value in values))
    for value in values:
        words = f"{value.name:<{widths[0]}}  {value.shown:<{widths[1]}}  {value.source}"
        tell(words, name=value.name, value=value.shown, source=value.source)


@app.command()
def doctor(
    tenant: Annotated[
        str | None,
        typer.Option(metavar="UUID", help="Tenant whose admin asks a server."),
    ] = None,
    json: AsJson = False,
    server: Server = None,
    user: User = None,
    data_dir: DataDir = None,
) -> None:
    """Look at the installation and say what is wrong or doubtful.

    With --server, a token or a sign-in a server is asked. It answers its only tenant, and where there are several the
    one that its setting operator_tenant names.

    Exit status: 0 nothing wrong, 1 something is.
    """
    from schoolsync.cli import doctor as command
    from schoolsync.settings import load

    if asks(server, user, data_dir):
        raise typer.Exit(command.served(whereto(tenant, None, server, user, data_dir, administers=True)))
    raise typer.Exit(command.run(load({"data_dir": data_dir})))


@app.command()
def erase(
    tenant: Annotated[str, typer.Option(metavar="UUID", help="Tenant the person is in.")],
    person: Annotated[
        str | None, typer.Argument(help="Object id, principal name or SIS ID of the person.", show_default=False)
    ] = None,
    repeat: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Erase everybody again that this export of the audit log names.")
    ] = None,
    waiting: Annotated[
        bool, typer.Option("--waiting", help="Delete files too that were uploaded and not started yet.")
    ] = False,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Erase one person from the directory, uploads, snapshots, plans and findings; there is no way back.

    Exit status: 0 erased, 1 a run began meanwhile, 2 nobody or several are known by that, or a run is open.
    """
    from schoolsync.cli import erase as command
    from schoolsync.settings import load

    settings = load({"data_dir": data_dir})
    raise typer.Exit(command.run(settings, tenant=tenant, person=person, repeat=repeat, waiting=waiting))


run_commands.register(app)
plan_commands.register(app)
login_commands.register(app)
profile_commands.register(app)
server_commands.register(app)


@client.command("add")
def client_add(
    tenant: Annotated[str, typer.Option(metavar="UUID", help="Tenant the client belongs to.")],
    role: Annotated[list[str], typer.Option(help="Application role of its tokens; may be repeated.")],
    name: Annotated[str | None, typer.Option(help="A name to know it by.")] = None,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Register a client and print its id and secret; the secret is shown only this once."""
    from schoolsync.cli import client as command
    from schoolsync.settings import load

    raise typer.Exit(command.add(load({"data_dir": data_dir}), tenant=tenant, roles=tuple(role), name=name))


@client.command("list")
def client_list(
    tenant: Annotated[str | None, typer.Option(metavar="UUID", help="Only clients of this tenant.")] = None,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """List the registered clients with their roles."""
    from schoolsync.cli import client as command
    from schoolsync.settings import load

    raise typer.Exit(command.list_(load({"data_dir": data_dir}), tenant=tenant))


@client.command("change")
def client_change(
    client_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the client.")],
    tenant: Annotated[str, typer.Option(metavar="UUID", help="Tenant the client belongs to.")],
    role: Annotated[
        list[str] | None, typer.Option(help="Application role instead of those it has; may be repeated.")
    ] = None,
    secret: Annotated[bool, typer.Option("--secret", help="Make a new secret and print it; the old one ends.")] = False,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Give a client other roles or a new secret; tokens it has stay as they are until they expire."""
    from schoolsync.cli import client as command
    from schoolsync.settings import load

    settings = load({"data_dir": data_dir})
    raise typer.Exit(
        command.change(settings, tenant=tenant, client_id=client_id, roles=tuple(role or ()), secret=secret)
    )


@client.command("remove")
def client_remove(
    client_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the client.")],
    tenant: Annotated[str, typer.Option(metavar="UUID", help="Tenant the client belongs to.")],
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Remove a client; tokens it has stay valid until they expire."""
    from schoolsync.cli import client as command
    from schoolsync.settings import load

    raise typer.Exit(command.remove(load({"data_dir": data_dir}), tenant=tenant, client_id=client_id))


@device.command("list")
def device_list(
    tenant: Annotated[str, typer.Option(metavar="UUID", help="Tenant that the programs want to sign in to.")],
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """List the codes that wait: code, program, what it asks for, seconds left."""
    from schoolsync.cli import device as command
    from schoolsync.settings import load

    raise typer.Exit(command.list_(load({"data_dir": data_dir}), tenant=tenant))


@device.command("approve")
def device_approve(
    code: Annotated[str, typer.Argument(metavar="CODE", help="The code that the program shows.")],
    tenant: Annotated[str, typer.Option(metavar="UUID", help="Tenant that the program signs in to.")],
    user: Annotated[str, typer.Option(metavar="UPN", help="Person the program acts for.")],
    scope: Annotated[str | None, typer.Option(help="Scopes of its token; what it asks for when not given.")] = None,
    role: Annotated[
        list[str] | None, typer.Option(help="Role of our own that the person has; may be repeated.")
    ] = None,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Vouch for the person in front of a program: it gets one token."""
    from schoolsync.cli import device as command
    from schoolsync.settings import load

    settings = load({"data_dir": data_dir})
    raise typer.Exit(
        command.approve(settings, tenant=tenant, code=code, user=user, scope=scope, roles=tuple(role or ()))
    )


@device.command("deny")
def device_deny(
    code: Annotated[str, typer.Argument(metavar="CODE", help="The code that the program shows.")],
    tenant: Annotated[str, typer.Option(metavar="UUID", help="Tenant that the program wants to sign in to.")],
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Refuse a program."""
    from schoolsync.cli import device as command
    from schoolsync.settings import load

    raise typer.Exit(command.deny(load({"data_dir": data_dir}), tenant=tenant, code=code))


@db.command("upgrade")
def db_upgrade(
    finish: Annotated[
        bool, typer.Option("--finish", help="Take away what only the release before needed; it is refused then.")
    ] = False,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Make the tables in an empty PostgreSQL, or bring those of an earlier release up to this one."""
    from schoolsync.cli import db as command
    from schoolsync.settings import load

    raise typer.Exit(command.upgrade(load({"data_dir": data_dir}), finish=finish))


@keys.command("rotate")
def keys_rotate(
    which: Annotated[
        str, typer.Argument(metavar="issuer|secrets", help="Which key.", autocompletion=one_of(completing.KEYS))
    ],
    overlap: Annotated[
        int, typer.Option(metavar="S", help="Seconds that tokens of the issuer's old key are accepted.")
    ] = 86_400,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Make a new key and retire the old one, beside a running server."""
    from schoolsync.cli import keys as command
    from schoolsync.settings import load

    raise typer.Exit(command.run(load({"data_dir": data_dir}), which=which, overlap=overlap))


@keys.command("encrypt")
def keys_encrypt(data_dir: DataDir = None, json: AsJson = False) -> None:
    """Encrypt the files that were kept before `encrypt_files` was set, beside a running server."""
    from schoolsync.cli import keys as command
    from schoolsync.settings import load

    raise typer.Exit(command.encrypt(load({"data_dir": data_dir})))


@db.command("copy")
def db_copy(data_dir: DataDir = None, json: AsJson = False) -> None:
    """Copy the SQLite files of a stopped installation into the PostgreSQL of `database_url`."""
    from schoolsync.cli import db as command
    from schoolsync.settings import load

    raise typer.Exit(command.copy(load({"data_dir": data_dir})))


@app.command()
def backup(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="New folder that gets the backup.")],
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Copy the whole installation into a new folder, while it serves."""
    from schoolsync.cli import db as command
    from schoolsync.settings import load

    raise typer.Exit(command.backup(load({"data_dir": data_dir}), folder))


@app.command()
def restore(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of a backup.")],
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Put a backup into an empty data directory, and into an empty PostgreSQL when `database_url` names one."""
    from schoolsync.cli import db as command
    from schoolsync.settings import load

    raise typer.Exit(command.restore(load({"data_dir": data_dir}), folder))


def _version(shown: bool) -> None:
    if shown:
        print(f"schoolsync {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


examples.give(app)


_ALL = app.registered_commands, app.registered_groups


def _build_only(words: list[str]) -> None:
    """Leave out, before Typer builds them all, the commands that were not asked for: that is half of a start."""
    name = words[0] if words else None
    commands = [one for one in _ALL[0] if name == examples.name_of(one)]
    groups = [one for one in _ALL[1] if name == one.name]
    app.registered_commands, app.registered_groups = (commands, groups) if commands or groups else _ALL


def main() -> int:
    """Run a command; every expected problem is one line on standard error.

    Exit status 2 for wrong usage or refused input, 1 when the world failed us.
    """
    terminal.open_closed_streams()
    if "_SCHOOLSYNC_COMPLETE" not in os.environ:
        _build_only(sys.argv[1:])
    try:
        try:
            return app(standalone_mode=False) or 0
        finally:
            app.registered_commands, app.registered_groups = _ALL  # for whoever looks at them, or types again, here
            terminal.written()
    except terminal.MISTYPED as problem:
        return terminal.mistyped(problem)
    except typer.Abort:
        return 1
    except (UsageError, WorldError, SchoolsyncError) as problem:
        print(f"schoolsync: {problem}", file=sys.stderr)
        return 1 if isinstance(problem, WorldError) else 2
    except OSError as problem:
        if not is_worlds(problem):
            raise
        print(f"schoolsync: A file cannot be read or written now: {problem.strerror}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except RuntimeError as problem:
        if str(problem) != "Query interrupted":  # how the roster engine says that somebody pressed Ctrl-C
            raise
        return 130
