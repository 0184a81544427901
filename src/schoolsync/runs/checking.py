"""How a roster is read and checked for one attempt at a run, and what a person is told when a stage cannot be done."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb

from schoolsync import roster_engine, sources
from schoolsync.errors import UsageError, WorldError
from schoolsync.plan import matching
from schoolsync.roster import losses
from schoolsync.runs.job import Failed, Job
from schoolsync.runs.places import RECORDS
from schoolsync.sources.source import Told, nobody
from schoolsync.store.objects import Objects, opened
from schoolsync.targets.local import SupersededError, UnknownBatchError

SMALL = 1 << 20
"""Files of fewer bytes than this are worked on by one thread, with queries as they are written: what else could be done
for them would cost more than it brings."""


class StageFailed(Exception):
    """The stage cannot be done; `failed` says why and whether trying again may help."""

    def __init__(self, failed: Failed) -> None:
        super().__init__(failed.reason)
        self.failed = failed


class Checking:
    """The roster of one attempt: read, checked, and without its wrong records where that is wished."""

    def __init__(self, job: Job, told: Told = nobody) -> None:
        self._job = job
        self._said = told
        self._objects = _storage(job)
        self._db: duckdb.DuckDBPyConnection | None = None
        self._extract: sources.Extract | None = None
        self._checked: sources.Checked | None = None
        self._left_out = False

    def _read(self) -> None:
        if self._job.earlier is not None:
            self._objects.fetch_folder(Path(self._job.earlier))
        options = self._options()
        files = [sources.SourceFile(file.name, self._objects.fetch(Path(file.path))) for file in self._job.files]
        self._extract = sources.extract(self._roster(), files, options)

    def _have(self, path: Path) -> bool:
        """Have a file of an earlier run here; False when it is not kept any more."""
        try:
            self._objects.fetch(path)
        except FileNotFoundError:
            return False
        return True

    def _check(self) -> sources.Checked:
        if self._extract is None:
            self._read()
        assert self._extract is not None
        if self._checked is None:
            self._checked = sources.validate(self._roster(), self._extract, self._options())
        return self._checked

    def _leave_out(self, checked: sources.Checked) -> tuple[Sequence[losses.Loss] | None, str | None]:
        """Take wrong records out when the profile or a person says so; what is lost, and why that is too much.

        None lost: nobody says so, or a fatal finding forbids it. May be called again.
        """
        wishes = self._job.policy.errors
        wanted = self._job.ignore_findings or wishes.policy == "leaveOut"
        if checked.fatal or not wanted:
            return None, None
        db = self._roster()
        if checked.errors and not self._left_out:
            checked.leave_out(db)
            self._left_out = True
        lost = losses.counts(db) if checked.errors else []
        return lost, None if self._job.ignore_findings else losses.beyond(lost, wishes.most_percent)

    def _rows(self) -> int:
        """How many rows the files have; none while they are not read."""
        return 0 if self._extract is None else sum(self._extract.rows.values())

    def _options(self) -> sources.CheckOptions:
        job = self._job
        return sources.CheckOptions(
            format=job.format,
            policy=job.policy,
            codes=job.codes,
            max_rows=job.max_rows,
            limits=sources.Limits(**job.limits),
            scratch=Path(job.scratch),
            earlier=None if job.earlier is None or not Path(job.earlier).is_dir() else Path(job.earlier),
            keep=None if job.preview else Path(job.folder) / RECORDS,
            told=self._said,
        )

    def _roster(self) -> duckdb.DuckDBPyConnection:
        """The engine that the roster is worked on in; what does not fit into memory goes to the scratch folder."""
        if self._db is None:
            job = self._job
            Path(job.scratch).mkdir(parents=True, exist_ok=True, mode=0o700)
            threads = 1 if self._is_small else job.threads
            self._db = roster_engine.opened(memory_limit=job.memory_limit, threads=threads, scratch=job.scratch)
            if self._is_small:
                roster_engine.hurry(self._db)
        return self._db

    @property
    def _is_small(self) -> bool:
        return 0 < sum(file.size for file in self._job.files) < SMALL

    def _forget_roster(self) -> None:
        """Give the memory back that planning took; applying does not need it."""
        if self._db is not None:
            self._db.close()
            self._db = None
        self._extract = self._checked = None
        self._left_out = False
        shutil.rmtree(self._job.scratch, ignore_errors=True)


def _storage(job: Job) -> Objects:
    if job.storage is None:
        return Objects(Path(job.folder))
    kept = job.storage
    return opened(Path(kept.root), kept.url, kept.options, home=Path(kept.home), file_keys=kept.file_keys)


@contextmanager
def told() -> Iterator[None]:
    """Whatever a person must know comes out as StageFailed; anything else is a bug and stays loud."""
    try:
        yield
    except SupersededError as problem:
        raise StageFailed(Failed(reason="A newer attempt has taken over.", retry=False, superseded=True)) from problem
    except UnknownBatchError as problem:
        reason = "The directory has batches of another plan of this run; start again."
        raise StageFailed(Failed(reason=reason, retry=False)) from problem
    except (UsageError, matching.UnknownPropertyError) as problem:
        raise StageFailed(Failed(reason=str(problem), retry=False)) from problem
    except WorldError as problem:
        raise StageFailed(Failed(reason=str(problem), retry=True)) from problem
    except duckdb.OutOfMemoryException as problem:
        reason = "The roster needs more memory than memory_limit allows, or more disk than the scratch folder has."
        raise StageFailed(Failed(reason=reason, retry=False)) from problem
    except (OSError, duckdb.IOException) as problem:
        code = f" ({problem.strerror})" if isinstance(problem, OSError) and problem.strerror else ""
        raise StageFailed(Failed(reason=f"A file of the run cannot be read or written{code}.", retry=True)) from problem
