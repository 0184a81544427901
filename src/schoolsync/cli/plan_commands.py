"""The commands about plans, as they are typed: they ask a running server through its own API."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schoolsync.cli import completing
from schoolsync.cli.completing import one_of

if TYPE_CHECKING:
    from schoolsync.cli.remote import Whereto

DataDir = Annotated[
    Path | None, typer.Option("--data-dir", metavar="DIR", help="Folder whose keys make the token, when none is given.")
]
Profile = Annotated[str, typer.Option("--profile", metavar="ID", help="Profile, by id or display name.")]
Tenant = Annotated[
    str | None, typer.Option("--tenant", metavar="UUID", help="Tenant of the profile; not needed with a token.")
]
Server = Annotated[
    str | None, typer.Option("--server", metavar="URL", help="The server; SCHOOLSYNC_SERVER, else this machine's.")
]
User = Annotated[str | None, typer.Option("--user", metavar="UPN", help="Who you are; the login name if absent.")]
AsJsonLines = Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Why = Annotated[str | None, typer.Option("--why", metavar="TEXT", help="Reason, kept with the run.")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Watch the run until it ends or waits for a person.")]
Run = Annotated[str, typer.Argument(metavar="RUN", help="Number or id of a run, or id of a preview.")]
Kind = Annotated[str | None, typer.Option(help="Only this kind of step.", autocompletion=one_of(completing.KINDS))]
School = Annotated[str | None, typer.Option(metavar="ID", help="Only the school with this SIS ID.")]
Op = Annotated[
    str | None,
    typer.Option(
        help="Only this operation: create, update, remove, link, unlink, …", autocompletion=one_of(completing.OPS)
    ),
]
Limit = Annotated[int, typer.Option(min=1, max=100_000, metavar="N", help="List at most so many steps.")]


class One(StrEnum):
    """What can be synchronized alone."""

    PERSON = "person"
    STUDENT = "student"
    TEACHER = "teacher"
    CLASS = "class"
    SCHOOL = "school"


class By(StrEnum):
    """Who changes objects."""

    RUN = "run"
    HAND = "hand"


class Role(StrEnum):
    """Whom identity rules are for."""

    STUDENT = "student"
    TEACHER = "teacher"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for name, command in (
        ("plan", plan),
        ("show", show),
        ("apply", apply),
        ("approve", approve),
        ("override", override),
        ("discard", discard),
        ("undo", undo),
        ("sync", sync),
        ("sync-one", sync_one),
        ("clean-up", clean_up),
        ("explain", explain),
        ("identify", identify),
        ("changes", changes),
        ("rekey", rekey),
    ):
        app.command(name)(command)


def plan(
    path: Annotated[Path, typer.Argument(help="Folder, zip or CSV file of a roster.")],
    profile: Profile,
    tenant: Tenant = None,
    details: Annotated[bool, typer.Option("--details", help="List the steps too.")] = False,
    kind: Kind = None,
    school: School = None,
    op: Op = None,
    limit: Limit = 100,
    json: AsJson = False,
    server: Server = None,
    user: User = None,
    data_dir: DataDir = None,
) -> None:
    """Show what a roster would change; nothing is touched.

    Exit status: 0 nothing holds the plan, 1 the roster has errors, 2 wrong usage or refused, 3 a guard would hold it.
    """
    from schoolsync.cli import plans as command

    where = whereto(tenant, profile, server, user, data_dir)
    raise typer.Exit(
        command.plan(
            where,
            path,
            details=details or any((kind, school, op)),
            kind=kind,
            school=school,
            op=op,
            limit=limit,
            as_json=json,
        )
    )


def show(
    run: Run,
    profile: Profile,
    tenant: Tenant = None,
    search: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Only whoever has this in a name, address or SIS ID.")
    ] = None,
    kind: Kind = None,
    school: School = None,
    op: Op = None,
    limit: Limit = 100,
    json: AsJson = False,
    server: Server = None,
    user: User = None,
    data_dir: DataDir = None,
) -> None:
    """Show the plan of a run or a preview, step by step."""
    from schoolsync.cli import plans as command

    where = whereto(tenant, profile, server, user, data_dir)
    raise typer.Exit(
        command.show(where, run, kind=kind, school=school, op=op, wanted=search, limit=limit, as_json=json)
    )


def apply(
    run: Run,
    profile: Profile,
    tenant: Tenant = None,
    replan: Annotated[
        bool, typer.Option("--replan", help="When the preview's plan has moved: plan again, show what differs.")
    ] = False,
    wait: Wait = True,
    json: AsJson = False,
    server: Server = None,
    user: User = None,
    data_dir: DataDir = None,
) -> None:
    """Apply exactly the plan of a preview, or the approved parts of a held run's.

    Exit status: 0 applied, 1 it failed or the plan had moved, 2 wrong usage or refused, 3 it waits for a person.
    """
    from schoolsync.cli import plans as command

    where = whereto(tenant, profile, server, user, data_dir)
    raise typer.Exit(command.apply(where, run, follow=wait, replan=replan, as_json=json))


def approve(
    run: Run,
    profile: Profile,
    plan: Annotated[
        str, typer.Option("--plan", metavar="HASH", help="Hash of the plan you have seen, or its first 12 characters.")
    ],
    tenant: Tenant = None,
    kind: Annotated[
        str | None,
        typer.Option(help="Only this kind of step is approved.", autocompletion=one_of(completing.KINDS)),
    ] = None,
    school: Annotated[str | None, typer.Option(metavar="ID", help="Only this school, by SIS ID, is approved.")] = None,
    object_: Annotated[
        list[str] | None,
        typer.Option("--object", metavar="ID", help="Only this object, by object id, is approved; may be repeated."),
    ] = None,
    why: Why = None,
    wait: Wait = True,
    json: AsJson = False,
    server: Server = None,
    user: User = None,
    data_dir: DataDir = None,
) -> None:
    """Say yes to a held plan, a kind, a school or single objects of it.

    Exit status: 0 applied, 1 it failed, 2 wrong usage or refused, 3 parts or one more person are still to come.
    """
    from schoolsync.cli import plans as command

    where = whereto(tenant, profile, server, user, data_dir)
    raise typer.Exit(
        command.approve(
            where,
            run,
            plan=plan,
            kind=kind,
            school=school,
            objects=tuple(object_ or ()),
            why=why,
            follow=wait,
            as_json=json,
        )
    )


def override(
    run: Run,
    profile: Profile,
    plan: Annotated[
        str, typer.Option("--plan", metavar="HASH", help="Hash of the plan you have seen, or its first 12 characters.")
    ],
    limits: Annotated[
        list[str],
        typer.Option("--limit", metavar="NAME=VALUE", help="A guard's setting, as removalPercent=20; may be repeated."),
    ],
    tenant: Tenant = None,
    why: Why = None,
    wait: Wait = True,
    json: AsJson = False,
    server: Server = None,
    user: User = None,
    data_dir: DataDir = None,
) -> None:
    """Plan a held run again under other limits, for this one plan only; what still holds it is told as before.

    Exit status: 0 applied, 1 it failed, 2 wrong usage or refused, 3 a guard still holds it.
    """
    from schoolsync.cli import plans as command

    where = whereto(tenant, profile, server, user, data_dir)
    raise typer.Exit(command.override(where, run, plan=plan, limits=limits, why=why, follow=wait, as_json=json))


def discard(
    run: Run,
    profile: Profile,
    plan: Annotated[
        str | None,
        typer.Option("--plan", metavar="HASH", help="Only if it is still this plan, by hash; needed for a part."),
    ] = None,
    tenant: Tenant = None,
    kind: Annotated[
        str | None,
        typer.Option(help="Only this kind of step is discarded.", autocompletion=one_of(completing.KINDS)),
    ] = None,
    school: Annotated[str | None, typer.Option(metavar="ID", help="Only this school, by SIS ID, is discarded.")] = None,
    object_: Annotated[
        list[str] | None,
        typer.Option("--object", metavar="ID", help="Only this object, by object id, is discarded; may be repeated."),
    ] = None,
    why: Why = None,
    json: AsJson = False,
    server: Server = None,
    user: User = None,
    data_dir: DataDir = None,
) -> None:
    """Throw a held or paused run away; nothing (more) of it is applied.

    With --kind, --school or --object only that part of a held plan: the run waits on, and whoever approves the plan
    leaves that part out.
    """
    from schoolsync.cli import plans as command

    where = whereto(tenant, profile, server, user, data_dir)
    raise typer.Exit(
        command.discard(
            where,
            run,
            plan=plan,
            kind=kind,
            school=school,
            objects=tuple(object_ or ()),
            why=why,
            as_json=json,
        )
    )


def undo(
    run: Run,
    profile: Profile,
    tenant: Tenant = None,
    why: Why = None,
    wait: Wait = True,
    json: AsJson = False,
    server: Server = None,
    user: User = None,
    data_dir: DataDir = None,
) -> None:
    """Take a run back by a run of its own, with a plan and guards like any other.

    Exit status: 0 taken back, 1 it failed, 2 wrong usage or refused, 3 a guard holds it.
    """
    from schoolsync.cli import plans as command

    raise typer.Exit(
        command.undo(whereto(tenant, profile, server, user, data_dir), run, why=why, follow=wait, as_json=json)
    )


def sync(
    path: Annotated[Path, typer.Argument(help="Folder, zip or CSV file of a roster.")],
    profile: Profile,
    tenant: Tenant = None,
    json: AsJson = False,
    server: Server = None,
    user: User = None,
    data_dir: DataDir = None,
) -> None:
    """Validate, plan and apply a roster in one go, with progress; a guard that holds the plan stops it.

    Exit status: 0 applied, 1 the roster has errors or it failed, 2 wrong usage or refused, 3 the plan waits for a yes.
    """
    from schoolsync.cli import plans as command

    raise typer.Exit(command.sync(whereto(tenant, profile, server, user, data_dir), path, as_json=json))


def sync_one(
    kind: Annotated[One, typer.Argument(metavar="KIND", help="person, student, teacher, class or school.")],
    what: Annotated[str, typer.Argument(metavar="WHAT", help="Object id, SIS ID or principal name.")],
    profile: Profile,
    tenant: Tenant = None,
    why: Why = None,
    wait: Wait = True,
    json: AsJson = False,
    server: Server = None,
    user: User = None,
    data_dir: DataDir = None,
) -> None:
    """Synchronize one person, class or school now, from the last upload; all others stay as they are.

    Exit status: 0 done, 1 it failed, 2 wrong usage or refused, 3 a guard holds it.
    """
    from schoolsync.cli import plans as command

    where = whereto(tenant, profile, server, user, data_dir)
    raise typer.Exit(command.sync_one(where, kind.value, what, why=why, follow=wait, as_json=json))


def clean_up(
    profile: Profile,
    mark: Annotated[
        bool, typer.Option("--mark", help="Mark the classes as expired: their names and SIS IDs begin with ExpMMYY_.")
    ] = False,
    archive: Annotated[bool, typer.Option("--archive", help="Set them inactive, and end all memberships.")] = False,
    remove_pupils: Annotated[bool, typer.Option("--remove-pupils", help="Pupils leave them; teachers stay.")] = False,
    tenant: Tenant = None,
    why: Why = None,
    wait: Wait = True,
    json: AsJson = False,
    server: Server = None,
    user: User = None,
    data_dir: DataDir = None,
) -> None:
    """Clean up the classes of a profile that has expired; the plan always waits for an approval.

    Exit status: 0 there was nothing to clean up, 1 it failed, 2 wrong usage or refused, 3 the plan waits for a yes.
    """
    from schoolsync.cli import plans as command

    where = whereto(tenant, profile, server, user, data_dir)
    raise typer.Exit(
        command.clean_up(
            where, mark=mark, archive=archive, remove_pupils=remove_pupils, why=why, follow=wait, as_json=json
        )
    )


def explain(
    what: Annotated[str, typer.Argument(metavar="WHAT", help="Object id, SIS ID, principal name or display name.")],
    profile: Profile,
    tenant: Tenant = None,
    inside: Annotated[
        str | None, typer.Option("--in", metavar="WHAT", help="A class or school: why is the one (not) in it.")
    ] = None,
    json: AsJson = False,
    server: Server = None,
    user: User = None,
    data_dir: DataDir = None,
) -> None:
    """Say why a person, class or school is here or not: which line, which rule, which run.

    Exit status: 0 it is known, 1 nothing is known by that, 2 wrong usage or refused.
    """
    from schoolsync.cli import explain as command

    where = whereto(tenant, profile, server, user, data_dir)
    raise typer.Exit(command.run(where, what, inside=inside, as_json=json))


def identify(
    role: Annotated[Role, typer.Argument(metavar="ROLE", help="student or teacher.")],
    values: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME=VALUE",
            help="What a roster says of the person: sisId, username, givenName, middleName, surname, email, "
            "secondaryEmail, number, stateId, graduationYear, matchId.",
            autocompletion=one_of(completing.PERSON),
        ),
    ],
    profile: Profile,
    tenant: Tenant = None,
    json: AsJson = False,
    server: Server = None,
    user: User = None,
    data_dir: DataDir = None,
) -> None:
    """Try the profile's identity rules: the names and the account that a person would get. Nothing is saved.

    Exit status: 0 the person has or gets an account, 1 none, 2 wrong usage or refused.
    """
    from schoolsync.cli import identify as command

    where = whereto(tenant, profile, server, user, data_dir)
    raise typer.Exit(command.run(where, role.value, values, as_json=json))


def changes(
    profile: Annotated[
        str | None, typer.Option("--profile", metavar="ID", help="Only what runs of this profile did.")
    ] = None,
    by: Annotated[
        By | None, typer.Option(help="Only what runs did, or what was done by hand.", show_default=False)
    ] = None,
    kind: Kind = None,
    op: Op = None,
    about: Annotated[
        str | None, typer.Option("--object", metavar="ID", help="Only of this object id, or of runs this SIS ID.")
    ] = None,
    since: Annotated[str | None, typer.Option(metavar="DAY", help="Only from this day on (UTC).")] = None,
    until: Annotated[str | None, typer.Option(metavar="DAY", help="Only until this day (UTC).")] = None,
    limit: Limit = 100,
    tenant: Tenant = None,
    json: AsJsonLines = False,
    server: Server = None,
    user: User = None,
    data_dir: DataDir = None,
) -> None:
    """List what was changed in the directory, by which run or by whose hand, the newest first."""
    from schoolsync.cli import changes as command

    where = whereto(tenant, profile, server, user, data_dir)
    wanted = {"by": None if by is None else by.value, "kind": kind, "op": op, "object": about}
    raise typer.Exit(command.run(where, limit=limit, as_json=json, since=since, until=until, **wanted))


def rekey(
    profile: Profile,
    pairs: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="CSV file with the header kind,old,new.", show_default=False)
    ] = None,
    proposed: Annotated[
        str | None, typer.Option(metavar="RUN", help="Print the map that the plan of this run proposes instead.")
    ] = None,
    tenant: Tenant = None,
    why: Why = None,
    json: AsJson = False,
    server: Server = None,
    user: User = None,
    data_dir: DataDir = None,
) -> None:
    """Say which SIS IDs have changed: objects keep their ids and memberships from the next run on."""
    from schoolsync.cli import plans as command

    where = whereto(tenant, profile, server, user, data_dir)
    raise typer.Exit(command.rekey(where, pairs, proposed=proposed, why=why, as_json=json))


def whereto(
    tenant: str | None,
    profile: str | None,
    server: str | None,
    user: str | None,
    data_dir: Path | None,
    *,
    administers: bool = False,
    audits: bool = False,
) -> Whereto:
    """What the options that all of these commands share say."""
    from schoolsync.cli.remote import Whereto
    from schoolsync.settings import load

    return Whereto(
        local=data_dir is not None or "SCHOOLSYNC_DATA_DIR" in os.environ,
        settings=load({"data_dir": data_dir}),
        tenant=tenant,
        profile=profile,
        server=server,
        user=user,
        administers=administers,
        audits=audits,
    )
