"""Where a plan is applied: one module per kind of directory."""
