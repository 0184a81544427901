"""The roster as plans take it: without its wrong records, kept for what comes later, within the profile's scope.

It is made ready once for an attempt, as soon as it has been checked: what differs from the last run is found by
fingerprints that are taken here, and everything after that works on the difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from schoolsync import roster_engine, sources
from schoolsync.plan import alike, alone, desired, guards, report, scope
from schoolsync.plan.desired import Terms
from schoolsync.plan.policy import Only
from schoolsync.roster import losses
from schoolsync.runs import alone as alone_reader
from schoolsync.runs import hashes, kept_roster
from schoolsync.runs.checking import StageFailed
from schoolsync.runs.holding import Holding
from schoolsync.runs.job import Failed, Job
from schoolsync.runs.places import ROSTER
from schoolsync.sources.source import Told, nobody


@dataclass(frozen=True, slots=True)
class Ready:
    """On what terms a roster is ready, whether everybody in it has a fingerprint, and how much it has of what."""

    terms: Terms
    prints: bool
    seen: Mapping[str, int]  # records of each kind
    read_at: int | None = None  # the directory's position, when only a part was taken and so the directory was asked


class Preparing(Holding):
    """The roster of one attempt, ready to be planned."""

    def __init__(self, job: Job, told: Told = nobody) -> None:
        super().__init__(job, told)
        self._ready: Ready | None = None

    def _prepared(self) -> Ready:
        """Have the roster ready: `planned` says what it wants. May be called again."""
        if self._ready is None:
            db, only = self._roster(), self._job.only
            terms, read_at = (self._read_whole(), None) if only is None else self._read_alone(only)
            scope.narrow(db, terms)
            prints = only is None and alike.fits(db, terms)
            desired.prepare(db, terms)
            alike.prepare(db, terms, prints=prints)
            if only is not None:
                alone.separate(db)
            report.count_parts(db)
            guards.count_said(db, terms)
            self._ready = Ready(terms, prints, report.seen(db), read_at)
        return self._ready

    def _forget_roster(self) -> None:
        self._ready = self._aside_from = None
        super()._forget_roster()

    @staticmethod
    def _is_planned(checked: sources.Checked, lost: Sequence[losses.Loss] | None, too_much: str | None) -> bool:
        """Whether a roster with these findings is planned: it has no errors, or none that hold it up."""
        return not checked.errors or (lost is not None and too_much is None)

    def _read_whole(self) -> Terms:
        """The roster of the upload, checked and kept for later; on what terms it is planned."""
        checked = self._check()
        lost, too_much = self._leave_out(checked)
        if not self._is_planned(checked, lost, too_much):
            raise StageFailed(Failed(reason="The roster has errors; nothing was changed.", retry=False))
        columns = None if checked.columns is None else {table: sorted(c) for table, c in checked.columns.items()}
        note = kept_roster.Note(
            reading=hashes.of_reading(self._job),
            columns=columns,
            absent=sorted(checked.absent),
            everything=not checked.errors and self._terms(checked).keeps_nothing_else,
        )
        kept_roster.keep(self._roster(), Path(self._job.folder), note)
        return self._terms(checked)

    def _read_alone(self, only: Only) -> tuple[Terms, int]:
        """The part of the kept roster that one person, class or school needs; the directory's position."""
        db = self._roster()
        self._objects.fetch_folder(Path(self._job.kept) / ROSTER)
        note = kept_roster.open_up(db, Path(self._job.kept), "kept")
        if note is None:
            reason = "The roster of the last upload is not kept any more: start a whole synchronization first."
            raise StageFailed(Failed(reason=reason, retry=False))
        if note.reading != hashes.of_reading(self._job):
            reason = (
                "Settings of how files are read have changed since the last upload was read: start a whole "
                "synchronization first."
            )
            raise StageFailed(Failed(reason=reason, retry=False))
        alone.prepare(db)
        self._load_rekeys(db, "alone.rekeyed")
        terms = self._terms(note)
        return terms, alone_reader.read(db, terms, self._open_directory(), only)

    @property
    def _narrows(self) -> bool:
        """Whether the profile's scope takes records out of the roster."""
        policy = self._job.policy
        return policy.scope.narrows or (policy.expiry is not None and policy.expiry.term_over)

    def _terms(self, checked: sources.Checked | kept_roster.Note | None) -> Terms:
        job = self._job
        whole = isinstance(checked, sources.Checked)
        own = Path(job.kept or job.folder)
        rosters = kept_roster.Rosters(
            lambda: roster_engine.beside(self._roster()),
            self._objects.fetch_folder,
            own,
            job.known,
            here=whole and not self._narrows,
        )
        return Terms(
            tenant_id=job.tenant_id,
            profile=job.profile,
            living=job.living,
            policy=job.policy,
            now=job.now,
            columns=None if checked is None else checked.columns,
            absent=() if checked is None else checked.absent,
            known=rosters,
            known_present=rosters.present,
        )
