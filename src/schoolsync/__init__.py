"""schoolsync: an open, self-hosted School Data Sync that speaks the Microsoft Graph education API."""

__version__ = "0.1.0"
