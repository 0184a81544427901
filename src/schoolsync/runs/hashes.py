"""What runs, rosters, plans and fingerprints depend on, as hashes: where one is the same, what was made still holds."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from schoolsync import __version__
from schoolsync.plan.desired import Terms
from schoolsync.plan.policy import Guards, Policy, Scope
from schoolsync.runs.job import Job

ENGINE_VERSION = 4
"""Raised when the same files under the same settings shall be looked at again, or snapshots change their shape."""


def of_input(job: Job) -> str:
    """What a run depends on besides the directory: the same hash, the same plan."""
    start = job.policy.customization("studentEnrollment").start
    return _hash(
        {
            "engine": [__version__, ENGINE_VERSION],
            "format": job.format,
            "codes": job.codes,
            "files": sorted([file.name.lower(), file.sha256] for file in job.files),
            "policy": _without_limits(job.policy),
            "living": sorted(job.living),
            "ignore_findings": job.ignore_findings,
            "max_rows": job.max_rows,
            "rekeys": _maps(job),
            "only": [job.only, job.kept],
            "cleans": job.cleans,
            "limits": job.limits,
            "waits": start is not None and start > job.now,
        }
    )


def of_reading(job: Job) -> str:
    """What a roster is read under: settings that only a plan looks at make no difference."""
    policy = msgspec.structs.replace(
        job.policy,
        profile_name="",
        key_space="",
        licenses={},
        recipes={},
        guards=Guards(),
        windows=(),
        scope=Scope(),
        bin_days={},
        purge_days={},
        leaving={},
        expiry=None,
        protected=(),
        kept_by_hand=(),
    )
    return _hash([__version__, ENGINE_VERSION, job.format, job.codes, policy])


def of_terms(job: Job) -> str:
    """What a stored plan was made under besides the directory: input and the limits of the guards."""
    limits = _json(job.policy.guards) + (b"" if job.override is None else _json(job.override))
    return hashlib.sha256(of_input(job).encode() + limits).hexdigest()


def of_prints(job: Job, terms: Terms) -> str:
    """What fingerprints are made under besides the records: under another nothing is said by comparing them."""
    return _hash(
        {
            "engine": [__version__, ENGINE_VERSION, duckdb.__version__],
            "policy": _without_limits(job.policy),
            "living": sorted(job.living),
            "rekeys": _maps(job),
            "columns": None if terms.columns is None else {name: sorted(of) for name, of in terms.columns.items()},
            "absent": sorted(terms.absent),
        }
    )


def _without_limits(policy: Policy) -> Policy:
    """The limits of guards decide whether a plan is applied, not what is in it."""
    return msgspec.structs.replace(policy, guards=Guards())


def _maps(job: Job) -> list[str]:
    return [Path(path).name for path in job.rekeys]


def _json(facts: Any) -> bytes:  # whatever msgspec encodes
    return msgspec.json.encode(facts, order="deterministic")


def _hash(facts: Any) -> str:  # as above
    return hashlib.sha256(_json(facts)).hexdigest()
