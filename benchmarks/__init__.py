"""Measurements of schoolsync against its floors, run by `make bench`; results go to benchmarks/RESULTS.md."""
