"""A child process that ends when its parent does, however the parent ended. Standard library alone.

The parent keeps the writing end of the child's standard input and never closes it while it lives; the kernel closes
it when the parent is killed. The child's first line is what it is told to do.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator


def lines() -> Iterator[bytes]:
    """What the parent says, line by line (ends included), until it is gone.

    Reads the descriptor itself: a buffered reader that waits in a thread would stop the interpreter from ending.
    """
    begun = b""
    while chunk := os.read(0, 65536):
        *whole, begun = (begun + chunk).split(b"\n")
        for line in whole:
            yield line + b"\n"


def watch(
    said: Iterator[bytes],
    heard: Callable[[bytes], None] | None = None,
    *,
    ending: Callable[[], None] | None = None,
) -> None:
    """End this process at once when the parent goes; hand every further line of `said` to `heard`.

    `ending` is called before.

    At once is right: all our work is crash-safe, and a process without its parent must not write any more.
    """

    def listen() -> None:
        for line in said:
            if heard is not None:
                heard(line)
        if ending is not None:
            ending()
        os._exit(0)

    threading.Thread(target=listen, name="lifeline", daemon=True).start()
