"""The command line. `app` has the commands; each command's work is in a module of its name."""

from schoolsync.cli.app import main

__all__ = ["main"]
