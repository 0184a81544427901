"""`python -m schoolsync`: the command line."""

import sys

from schoolsync.cli import main

sys.exit(main())
