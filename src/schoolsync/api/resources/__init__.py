"""The handlers of our own API, one module per kind of thing."""
