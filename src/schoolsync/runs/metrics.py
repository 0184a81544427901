"""A tenant's runs and profiles in numbers, in the text format that Prometheus and its like read.

Everything comes from the ledger of runs: what callers have written into a status does not count. Profiles are named by
their ids alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from schoolsync import ticks
from schoolsync.runs import looking
from schoolsync.runs.states import ENDED
from schoolsync.store.control_tables import profile_status, runs

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Metric:
    """What one metric is."""

    name: str
    kind: str  # gauge or counter
    help: str


METRICS = (
    Metric(
        "schoolsync_profile_last_good_timestamp_seconds",
        "gauge",
        "When a run of the profile last ended well; absent before the first.",
    ),
    Metric("schoolsync_profile_age_seconds", "gauge", "How old the data of the profile is, by its last good run."),
    Metric(
        "schoolsync_profile_next_due_timestamp_seconds",
        "gauge",
        "When the profile synchronizes by itself; absent when it does not.",
    ),
    Metric("schoolsync_profile_quarantined", "gauge", "Whether the profile is quarantined."),
    Metric("schoolsync_runs_ended_total", "counter", "Runs of the profile that have ended, by how."),
    Metric("schoolsync_run_open_seconds", "gauge", "How long the open run of the profile has been open, by its state."),
    Metric("schoolsync_run_rows_done", "gauge", "Rows that the open run has applied."),
    Metric("schoolsync_run_rows", "gauge", "Rows that the open run has in all; absent before there is a plan."),
)
"""All that there are: docs, alert rules and the dashboard are held to this table."""

Values = Iterable[tuple[dict[str, str], float]]


def text(connection: Connection, tenant: int, *, now: int) -> str:
    """All metrics of a tenant."""
    found = dict(_values(connection, tenant, now))
    return "".join(line for metric in METRICS for line in _lines(metric, found[metric.name]))


def _values(connection: Connection, tenant: int, now: int) -> Iterator[tuple[str, Values]]:
    ages = looking.freshness_of_all(connection, tenant=tenant)
    yield (
        "schoolsync_profile_last_good_timestamp_seconds",
        [({"profile": one.profile}, _unix(one.last_good)) for one in ages if one.last_good is not None],
    )
    yield (
        "schoolsync_profile_age_seconds",
        [
            ({"profile": one.profile}, max(0, now - one.last_good) / ticks.PER_SECOND)
            for one in ages
            if one.last_good is not None
        ],
    )
    yield (
        "schoolsync_profile_next_due_timestamp_seconds",
        [({"profile": one.profile}, _unix(one.due)) for one in ages if one.due is not None],
    )
    own = connection.execute(
        select(profile_status.c.profile, profile_status.c.own_status).where(profile_status.c.tenant == tenant)
    ).all()
    yield (
        "schoolsync_profile_quarantined",
        [({"profile": row.profile}, float(row.own_status == "quarantined")) for row in own],
    )
    counted = connection.execute(
        select(runs.c.profile, runs.c.state, func.count().label("n"))
        .where(runs.c.tenant == tenant, runs.c.state.in_(sorted(ENDED)))
        .group_by(runs.c.profile, runs.c.state)
    ).all()
    yield (
        "schoolsync_runs_ended_total",
        [({"profile": row.profile, "state": row.state}, float(row.n)) for row in counted],
    )
    columns = (runs.c.profile, runs.c.state, runs.c.rows_done, runs.c.rows_total, runs.c.asked)
    opened = looking.opened(connection, tenant, *columns)
    yield (
        "schoolsync_run_open_seconds",
        [({"profile": row.profile, "state": row.state}, max(0, now - row.asked) / ticks.PER_SECOND) for row in opened],
    )
    yield (
        "schoolsync_run_rows_done",
        [({"profile": row.profile}, float(row.rows_done)) for row in opened],
    )
    yield (
        "schoolsync_run_rows",
        [({"profile": row.profile}, float(row.rows_total)) for row in opened if row.rows_total is not None],
    )


def _lines(metric: Metric, values: Values) -> Iterator[str]:
    yield f"# HELP {metric.name} {metric.help}\n# TYPE {metric.name} {metric.kind}\n"
    for labels, value in values:
        named = ",".join(f'{name}="{said}"' for name, said in labels.items())
        yield f"{metric.name}{{{named}}} {value:.15g}\n"


def _unix(moment: int) -> float:
    return (moment - ticks.UNIX_EPOCH) / ticks.PER_SECOND
