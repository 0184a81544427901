"""The reader's part of trying identity rules: `plan.trial`, in a database of its own that holds one record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import duckdb
import msgspec

from schoolsync import roster_engine
from schoolsync.plan import matching, trial
from schoolsync.plan.desired import Terms
from schoolsync.plan.policy import Policy
from schoolsync.plan.typed import Account, Asked, Decided, Person

Json = Mapping[str, Any]  # plain values of any type


def identity_asked(_db: duckdb.DuckDBPyConnection, *, terms: Json, person: Json) -> Asked:
    """What has to be looked up in the directory; nothing when the rules cannot be followed."""
    with _alone() as own:
        try:
            return trial.asked(own, _terms(terms), msgspec.convert(person, Person))
        except matching.UnknownPropertyError:
            return Asked(ids=(), name=None, aliases=(), columns=())


def identity_decided(
    _db: duckdb.DuckDBPyConnection,
    *,
    terms: Json,
    person: Json,
    accounts: Sequence[Json],
    spent: Sequence[str],
    taken: Sequence[Sequence[str | None]],
) -> Decided:
    """What becomes of the person."""
    with _alone() as own:
        try:
            return trial.decided(
                own,
                _terms(terms),
                msgspec.convert(person, Person),
                accounts=msgspec.convert(accounts, tuple[Account, ...]),
                spent=spent,
                taken=taken,
            )
        except matching.UnknownPropertyError as problem:
            return Decided(outcome="refused", message=str(problem))


@contextmanager
def _alone() -> Iterator[duckdb.DuckDBPyConnection]:
    with roster_engine.opened(memory_limit="128MB", scratch="", threads=1) as own:
        yield own


def _terms(given: Json) -> Terms:
    return Terms(
        tenant_id=given["tenant_id"],
        profile=given["profile"],
        living=tuple(given["living"]),
        policy=msgspec.convert(given["policy"], Policy),
        now=given["now"],
    )
