"""Signed upload containers that speak Azure Blob's wire protocol, and the files in them.

`service` is what the rest of the house calls, `blobs` the HTTP face. Design and limits: docs/uploads.md.
"""

from schoolsync.uploads.service import StoredFile, Uploads

__all__ = ["StoredFile", "Uploads"]
