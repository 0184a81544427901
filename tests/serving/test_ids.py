"""Ids of objects and requests: GUIDs, of which there are never two the same."""

from __future__ import annotations

import os
import uuid

from schoolsync.runs.processes import new_id


def test_are_random_guids_and_none_comes_twice() -> None:
    """Many are drawn at once; each is a GUID of version 4 in lower case, and they all differ."""
    drawn = [new_id() for _ in range(2000)]
    assert len(set(drawn)) == len(drawn)
    for text in drawn:
        read = uuid.UUID(text)
        assert (read.version, read.variant, str(read)) == (4, uuid.RFC_4122, text)


def test_a_copy_of_the_process_draws_its_own() -> None:
    """After a fork neither process gives out what the other does: nothing that was drawn before is left."""
    new_id()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, new_id().encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(reading, 36).decode()
    os.close(reading)
    os.close(writing)
    assert theirs not in {new_id() for _ in range(1000)}
