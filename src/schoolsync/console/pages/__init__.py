"""The handlers of the console, one module per kind of page."""
