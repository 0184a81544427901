"""What every process must know of the tables, without a database library: the roster engine loads none but its own."""

from __future__ import annotations

SCHEMA_VERSION = 3
"""Raised by one with every change of the tables; a program refuses a database whose version it does not know."""

REMOVALS_KEPT = 30 * 24 * 3600 * 10_000_000
"""Ticks that removals are remembered for delta queries: 30 days."""
