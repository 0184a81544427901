"""What a roster changes in a directory: worked out as DuckDB tables, before anything is applied.

Read in this order: `kinds` (what is written), `desired` (what the roster wants), `matching` (which object each record
means), `changes` (the steps), `guards` (what holds a plan), `report` (what people are told). Nothing here opens a
file, reads a clock or knows how a directory is stored. See docs/plan.md.
"""

from schoolsync.plan.policy import Customization, Kind, Matching, Policy, Role

__all__ = ["Customization", "Kind", "Matching", "Policy", "Role"]
