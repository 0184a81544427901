"""What schoolsync uses to test itself, shipped so that others can test against it: rosters, a demo, a server."""
