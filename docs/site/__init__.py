"""The site of `make docs`."""
