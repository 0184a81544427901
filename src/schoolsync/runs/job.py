"""What the worker tells the engine and what it hears back: plain values, carried as JSON lines.

The engine is a process of its own, because it reads and writes directory files through a driver that must never share
a process with `sqlite3`. It is handed a `Job`, then asked for one stage after another. Every answer is small: rows
stay in DuckDB or in Parquet and JSON files under `Job.folder`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from schoolsync.plan.policy import CleanUp, Guards, Only, Policy
from schoolsync.plan.verdicts import Holds, Verdict
from schoolsync.runs.selections import Release, Yes


class JobFile(msgspec.Struct, frozen=True, kw_only=True):
    """One uploaded file."""

    name: str  # as the client spelled it, folders included
    path: str  # where its bytes are
    sha256: str
    size: int


class Storage(msgspec.Struct, frozen=True, kw_only=True):
    """Where the files of the installation are kept (`store.objects`)."""

    root: str
    url: str | None = None
    options: tuple[str, ...] = ()
    home: str  # folder of the files when there is no URL and they are encrypted
    file_keys: dict[str, str] | None = None  # what encrypted files are opened with


class Base(msgspec.Struct, frozen=True, kw_only=True):
    """The last run of the profile that was applied whole."""

    run: str
    snapshot: str  # folder of its Parquet files
    input_hash: str
    position: int  # the directory's position when it ended


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """An earlier run that has kept its roster."""

    number: int
    folder: str
    applied: bool = False  # whole, and no later run has taken anything back


class Undone(msgspec.Struct, frozen=True, kw_only=True):
    """An earlier run that is taken back."""

    run: str
    number: int
    folder: str


class CutOff(msgspec.Struct, frozen=True, kw_only=True):
    """An earlier run that ended while its plan was applied."""

    run: str
    folder: str


class Override(msgspec.Struct, frozen=True, kw_only=True):
    """Other limits for one plan alone (column `runs.limits`)."""

    guards: Guards
    plan: str | None = None  # hash; None: of whatever the run plans (set by an earlier release)
    yes: Yes  # whose limits these are


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt at one run."""

    tenant: int
    tenant_id: str
    profile: int  # profiles.number
    profile_id: str
    living: tuple[int, ...]  # numbers of all profiles the tenant has now; objects of others may be adopted
    run: str
    fence: int  # rises with every attempt; the directory refuses a lower one
    format: str  # "auto", or one of `sources.FORMATS`
    codes: dict[str, dict[str, str]] = {}  # what the installation adds to the code lists
    files: tuple[JobFile, ...]
    policy: Policy
    directory: str  # where the directory is: the tenant's SQLite file, or the URL of the PostgreSQL
    control: str = ""  # where the runs are, in the same way: one that has ended meanwhile writes nothing more
    folder: str  # where this run keeps plan, snapshot and reports; survives the attempt
    scratch: str  # spill space; emptied afterwards
    storage: Storage | None = None  # None: the files are on this machine alone
    base: Base | None
    preview: bool = False  # plan alone: nothing is claimed in the directory, nothing will be applied
    only: Only | None = None  # the person, class, school or kind that is synchronized alone, from the kept roster
    kept: str = ""  # folder of the run that has kept the roster
    cleans: CleanUp | None = None  # what is done to the classes of a profile that has expired; no roster is read
    undoes: Undone | None = None  # the run that this one takes back, instead of reading a roster
    rekeys: tuple[str, ...] = ()  # CSV files (kind, old, new) of SIS IDs that have changed, the oldest first
    rekeyed: int = 0  # so many of these, the first ones, have been carried out by a run that stands
    before: Base | None = None  # the last run that was applied whole, even where it is not compared with any more
    earlier: str | None = None  # folder of what was kept of the last roster, for packages of changes alone
    by_hand: tuple[str, ...] = ()  # Parquet files: what runs of one alone have found written by hand since then
    known: tuple[Known, ...] = ()  # earlier runs whose rosters are kept, the newest first
    tallies: tuple[str, ...] = ()  # Parquet files: what earlier runs took away within the window of the guards
    cut_off: tuple[CutOff, ...] = ()  # earlier runs within that window that took away a part of what they planned to
    again: bool = False  # look at every record, also when nothing has changed
    ignore_findings: bool
    released: Release | None = None  # what a person has let go on of which plan
    override: Override | None = None  # the limits that a person has set for one plan instead of the profile's
    now: int  # ticks: when the run was asked for; the same for every attempt
    memory_limit: str
    threads: int
    batch_rows: int
    first_batch_rows: int = 0  # as `batch_rows`, where the profile has not been applied yet; 0: the same
    max_rows: int  # most rows of one file
    large: bool = False  # the engine lets everybody else on the machine go first
    limits: dict[str, int] = {}  # further limits of files and archives, by their names in `sources.files.Limits`


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """educationFileSynchronizationVerificationMessage."""

    type: Literal["Error", "Warning", "Information"]
    file_name: str
    description: str


class Extracted(msgspec.Struct, frozen=True, kw_only=True):
    """Stage extracting: the files are read."""

    rows: dict[str, int]  # data rows per file
    unchanged: bool  # same files, settings and directory as the base: nothing is left to do


class Validated(msgspec.Struct, frozen=True, kw_only=True):
    """Stage validating: the rules have run."""

    messages: tuple[Message, ...]
    errors: int  # findings of severity error
    warnings: int
    fatal: bool  # a file is missing, unreadable or empty: nobody may go on with this upload
    leaves_out: bool = False  # the profile's policy goes on without the records that errors are about
    left_out: dict[str, int] = {}  # kind of record -> how many are left out then
    format: str = ""  # what the roster was read as
    why: str = ""  # why as that
    statistics: dict[str, int] = {}  # the numbers of the roster as a whole


class PartCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many records of a kind could not be synchronized, in one school or in all."""

    kind: Literal["class", "student", "teacher"]
    school: str | None = None  # SIS ID
    failed: int
    seen: int


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """Stage planning: the plan is stored, or was found stored by an earlier attempt."""

    plan: str  # hash of the plan
    batches: int
    rows: int  # rows that the batches write
    steps: dict[str, dict[str, int]]  # kind -> plan.steps.Op (relink counts as update) -> count
    errors: int  # entry errors, listed in error_files
    error_files: tuple[
        str, ...
    ]  # inside the run's folder, each a JSON array of rows of the table `errors`, at most 5 000
    failed: dict[str, int]  # kind -> records that cannot be synchronized
    seen: dict[str, int]  # kind -> records in the roster
    parts: tuple[PartCount, ...] = ()  # the same for each school and kind with failures, the most first; at most 200
    alike: int = 0  # people of whom the roster says what it said before; nothing else was asked of them
    held: str | None  # the sentence of the guards that hold the plan, or None
    verdicts: tuple[Verdict, ...] = ()  # what they say, the widest first; at most verdicts.LISTED
    verdict_count: int = 0  # all of them
    holds: tuple[Holds, ...] = ()  # what of the plan is held
    waived: tuple[Holds, ...] = ()  # what would be held as well under the profile's own limits ...
    waiver: Yes | None = None  # ... and who has set others for this plan
    notes: tuple[str, ...] = ()  # what taking a run back cannot do, and what seems to be re-keyed, in sentences
    deferred: int = 0  # removals that a window puts off: listed, not applied
    flowing: int = 0  # so many of the first batches only add: `additionsFlow` lets them through while a plan is held


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """One batch is in the directory (now, or since an earlier attempt)."""

    batch: int
    rows: int


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """The snapshot is kept; the run is over."""

    snapshot: str | None  # None: parts of the plan were left out, so the next run reads the directory itself
    input_hash: str
    position: int
    left_out: int = 0  # rows that nobody has approved
    missed: int = 0  # rows that were passed over because somebody else changed the directory meanwhile
    wakes: int | None  # ticks when the profile wants a run by itself (synchronizationStartDate), or None


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """The engine could not do what it was asked."""

    reason: str  # one sentence a person can act on, without personal data
    retry: bool  # the world failed us (disk, lock): trying again may help
    replan: bool = False  # the rest of a held plan no longer fits: a new run plans the same files again
    superseded: bool = False  # a newer attempt holds the fence: leave everything alone
