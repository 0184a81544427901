"""The command line. `app` has the commands; each command's work is in a module of its name."""

import signal
import sys
import threading

from schoolsync import loading

__all__ = ["main"]


def main() -> int:
    """Load the commands and run the one that was asked for. Returns its exit status."""
    handler = signal.getsignal(signal.SIGINT)
    # Ctrl-C while modules are loaded ends the process without a word; afterwards the command answers it.
    quietly = handler is signal.default_int_handler and threading.current_thread() is threading.main_thread()
    if quietly:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    if sys.argv[1:2] == ["serve"]:
        from schoolsync.serving import children

        children.start_ahead(sys.argv[1:])
    with loading.at_once():
        from schoolsync.cli import app

    if quietly:
        signal.signal(signal.SIGINT, handler)
    return app.main()
