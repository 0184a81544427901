"""The reader as a process of its own: answers questions about stored runs from their Parquet files.

It loads DuckDB and never `sqlite3`, writes nothing but spill space, and ends when the API goes or when nobody has
asked for a while, which gives its memory back. Questions are the functions of `runs.history`.
"""

from __future__ import annotations

import os
import queue
import shutil
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from schoolsync.runs import lifeline
from schoolsync.runs.readers import Opening, Question

IDLE = 600.0
"""Seconds without a question after which the process ends; the next question starts a new one."""
AT_ONCE = 4


def main() -> int:
    """Answer until nobody asks any more."""
    sys.stdout = sys.stderr  # nothing but answers may reach the API
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    asked: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    lifeline.watch(lifeline.lines(), asked.put)
    opening = msgspec.json.decode(asked.get(), type=Opening)
    from schoolsync import roster_engine
    from schoolsync.runs import history

    scratch = Path(opening.scratch)
    scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
    db = roster_engine.opened(memory_limit=opening.memory_limit, threads=opening.threads, scratch=opening.scratch)
    db.execute("LOAD parquet")
    db.execute("SET GLOBAL parquet_metadata_cache = true")
    say = threading.Lock()

    def answer(question: Question) -> None:
        with db.cursor() as cursor:
            told = history.answer(cursor, question)
        line = msgspec.json.encode(told) + b"\n"
        with say:
            try:
                out.write(line)
            except BrokenPipeError:
                os._exit(0)  # the API has just gone

    at_work = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="question")
    while True:
        try:
            line = asked.get(timeout=IDLE)
        except queue.Empty:
            shutil.rmtree(scratch, ignore_errors=True)
            return 0
        at_work.submit(answer, msgspec.json.decode(line, type=Question))


if __name__ == "__main__":
    sys.exit(main())
