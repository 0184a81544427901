"""Runs: list them, look at one, start one."""

from __future__ import annotations

from schoolsync.api import shapes
from schoolsync.api.call import Answer, Call, moment
from schoolsync.runs import looking


def list_runs(call: Call) -> Answer:
    """GET runs."""
    with call.services.control.read() as connection:
        found = looking.many(
            connection,
            call.tenant,
            call.profile,
            now=call.now,
            limit=call.limit + 1,
            below=call.position(),
            states=call.query.get("state", ()),
        )
    shown, more = found[: call.limit], len(found) > call.limit
    return Answer(
        body=shapes.Page(
            value=tuple(shape(run, call.now) for run in shown),
            next_link=call.next_link(shown[-1].number) if more else None,
        )
    )


def get_run(call: Call) -> Answer:
    """GET runs/{run}."""
    return Answer(body=shape(find(call), call.now))


async def start(call: Call) -> Answer:
    """POST runs: 202 when the synchronization goes on, 400 with the same body when the files forbid it."""
    started = await call.services.runs.start(call.principal, call.profile, call.now)
    return Answer(
        status=202 if started.accepted else 400,
        body=shapes.Started(
            accepted=started.accepted,
            run=started.run,
            verification=tuple(
                shapes.VerificationMessage(
                    type=message.type, file_name=message.file_name, description=message.description
                )
                for message in started.messages
            ),
        ),
    )


def sync_one(call: Call) -> Answer:
    """POST sync-one."""
    given: shapes.SyncOne = call.body
    run = call.services.ones.begin(
        call.principal, call.profile, kind=given.kind, one=given.object, why=given.why, now=call.now
    )
    return Answer(status=202, body=shapes.Begun(run=run))


def find(call: Call) -> looking.Run:
    """The run that the path names. Raises NotFound."""
    return named(call, call.keys["run"])


def named(call: Call, run: str) -> looking.Run:
    """A run of the profile by its id or number, or a preview by its id. Raises NotFound."""
    with call.services.control.read() as connection:
        return looking.find(connection, call.tenant, call.profile, run.lower(), now=call.now)


def shape(run: looking.Run, now: int) -> shapes.Run:
    """A run as answers show it."""
    return shapes.Run(
        id=run.id,
        preview=run.preview,
        number=run.number,
        state=run.state,
        stage=run.stage,
        cause=run.cause,
        held_for=run.held_for,
        message=run.message,
        error_count=run.error_count,
        asked=moment(run.asked) or "",
        asked_by=run.asked_by,
        approved_by=run.approved_by,
        began=moment(run.began),
        ended=moment(run.ended),
        unchanged=run.unchanged,
        plan=run.plan,
        steps=run.steps,
        seen=run.seen,
        failed=run.failed,
        verification=tuple(
            shapes.VerificationMessage(
                type=message["type"], file_name=message["file_name"], description=message["description"]
            )
            for message in run.messages
        ),
        stages=tuple(
            shapes.Stage(
                name=stage.name,
                began=moment(stage.began) or "",
                ended=moment(stage.ended),
                seconds=stage.seconds(now),
            )
            for stage in run.stages
        ),
        progress=shapes.Progress(
            rows_done=run.progress.rows_done,
            rows_total=run.progress.rows_total,
            rate=run.progress.rate,
            stage_seconds_left=run.progress.stage_seconds_left,
            seconds_left=run.progress.seconds_left,
        ),
    )
