"""`errors`, `findings`, `report`, `directory`, `whoami`, `system`, `api`: what a server is asked, as it is typed."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from schoolsync.cli.answers import AsJson
from schoolsync.cli.plan_commands import DataDir, Profile, Run, Server, Tenant, User, whereto


class Counted(StrEnum):
    """What findings are counted by."""

    CAUSE = "cause"
    SCHOOL = "school"


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"
    WARNING = "warning"
    INFORMATION = "information"


class Things(StrEnum):
    """What a directory holds."""

    SCHOOLS = "schools"
    CLASSES = "classes"
    PEOPLE = "people"


class Reason(StrEnum):
    """What errors are counted by."""

    CAUSE = "cause"


class Method(StrEnum):
    """What is done to what a path names."""

    GET = "get"
    POST = "post"
    PUT = "put"
    PATCH = "patch"
    DELETE = "delete"


Limit = Annotated[int, typer.Option(min=1, max=100_000, metavar="N", help="List at most so many.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (errors, findings, report, directory, whoami, system, api):
        app.command(command.__name__)(command)


def errors(
    profile: Profile,
    tenant: Tenant = None,
    by: Annotated[Reason | None, typer.Option(help="Count them by this instead of listing them.")] = None,
    kind: Annotated[str | None, typer.Option(metavar="KIND", help="Only this kind, such as Student.")] = None,
    code: Annotated[str | None, typer.Option(metavar="CODE", help="Only errors of this code.")] = None,
    about: Annotated[
        str | None, typer.Option("--object", metavar="ID", help="Only records with this SIS ID, or joined with it.")
    ] = None,
    limit: Limit = 100,
    json: AsJson = False,
    server: Server = None,
    user: User = None,
    data_dir: DataDir = None,
) -> None:
    """List the records of a profile that could not be synchronized, and why."""
    from schoolsync.cli import findings as command

    where = whereto(tenant, profile, server, user, data_dir)
    raise typer.Exit(command.errors(where, by=by, limit=limit, kind=kind, code=code, object=about))


def findings(
    run: Run,
    profile: Profile,
    tenant: Tenant = None,
    by: Annotated[Counted | None, typer.Option(help="Count them by this instead of listing them.")] = None,
    severity: Annotated[Severity | None, typer.Option(help="Only these.")] = None,
    rule: Annotated[str | None, typer.Option(metavar="ID", help="Only findings of this rule.")] = None,
    file: Annotated[str | None, typer.Option(metavar="NAME", help="Only findings in this file.")] = None,
    column: Annotated[str | None, typer.Option(metavar="NAME", help="Only findings in this column.")] = None,
    school: Annotated[str | None, typer.Option(metavar="ID", help="Only the school with this SIS ID.")] = None,
    quote: Annotated[
        bool, typer.Option("--quote", help="Quote the lines too, without passwords and birth dates.")
    ] = False,
    limit: Limit = 100,
    json: AsJson = False,
    server: Server = None,
    user: User = None,
    data_dir: DataDir = None,
) -> None:
    """List what checking the files of a run or preview has found."""
    from schoolsync.cli import findings as command

    where = whereto(tenant, profile, server, user, data_dir)
    raise typer.Exit(
        command.run(
            where,
            run,
            by=by,
            quote=quote,
            limit=limit,
            severity=severity,
            rule=rule,
            file=file,
            column=column,
            school=school,
        )
    )


def report(
    run: Run,
    profile: Profile,
    tenant: Tenant = None,
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Write here instead of printing.")] = None,
    json: AsJson = False,
    server: Server = None,
    user: User = None,
    data_dir: DataDir = None,
) -> None:
    """Print the report of a run as JSON: causes, numbers of every school, what changed since the last run."""
    from schoolsync.cli import findings as command

    raise typer.Exit(command.report(whereto(tenant, profile, server, user, data_dir), run, output))


def directory(
    kind: Annotated[Things, typer.Argument(help="Which things.")],
    which: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Show this one: object id, of a person the sign-in name too.")
    ] = None,
    tenant: Tenant = None,
    search: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Only those with this in their name or id.")
    ] = None,
    school: Annotated[
        str | None, typer.Option(metavar="ID", help="Only those of the school with this object id.")
    ] = None,
    of_class: Annotated[
        str | None, typer.Option("--class", metavar="ID", help="Only people of the class with this object id.")
    ] = None,
    in_bin: Annotated[bool, typer.Option("--bin", help="Only those that lie in the bin.")] = False,
    restore: Annotated[bool, typer.Option("--restore", help="Take the one with this ID out of the bin.")] = False,
    limit: Limit = 100,
    json: AsJson = False,
    server: Server = None,
    user: User = None,
    data_dir: DataDir = None,
) -> None:
    """List schools, classes or people of the directory, or show one with what stands beside it.

    What lies in the bin is listed with --bin alone, and is taken out of it with --restore.
    """
    from schoolsync.cli import asking as command

    where = whereto(tenant, None, server, user, data_dir)
    wanted = {"search": search, "school": school, "class": of_class, "bin": "true" if in_bin else None}
    raise typer.Exit(command.directory(where, kind, which, limit=limit, restore=restore, **wanted))


def whoami(
    tenant: Tenant = None, json: AsJson = False, server: Server = None, user: User = None, data_dir: DataDir = None
) -> None:
    """Say as whom the server knows you, and what you may do."""
    from schoolsync.cli import asking as command

    raise typer.Exit(command.whoami(whereto(tenant, None, server, user, data_dir)))


def system(
    tenant: Tenant = None, json: AsJson = False, server: Server = None, user: User = None, data_dir: DataDir = None
) -> None:
    """Say how the server is: version, workers, runs that wait, profiles that need a person."""
    from schoolsync.cli import asking as command

    raise typer.Exit(command.system(whereto(tenant, None, server, user, data_dir)))


def api(
    method: Annotated[Method, typer.Argument(help="What is done.", case_sensitive=False)],
    path: Annotated[str, typer.Argument(metavar="PATH", help="Below /schoolsync/v1/, or the whole path with its /.")],
    body: Annotated[
        Path | None, typer.Option("--body", metavar="FILE", help="JSON that is sent along; - reads it from the pipe.")
    ] = None,
    tenant: Tenant = None,
    json: AsJson = False,
    server: Server = None,
    user: User = None,
    data_dir: DataDir = None,
) -> None:
    """Ask any operation of the server, Graph's too, and print what it answers, as it came."""
    from schoolsync.cli import asking as command

    where = whereto(tenant, None, server, user, data_dir, administers=True)
    raise typer.Exit(command.api(where, method, path, body))
