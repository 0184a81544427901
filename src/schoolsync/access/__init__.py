"""Who may do what: tokens, permissions, the built-in issuer, its clients and the server's own certificate.

Import the modules themselves: this package loads nothing, so that `schoolsync token` stays quick.
"""
