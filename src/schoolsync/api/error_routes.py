"""The routes of a profile's errors: what of its roster could not be synchronized, and why."""

from __future__ import annotations

from schoolsync.access.roles import Act
from schoolsync.api.directory_routes import PAGED
from schoolsync.api.error_shapes import SyncError, SyncErrorCauses
from schoolsync.api.route import Parameter, Route
from schoolsync.api.shapes import Page

ROUTES: tuple[Route, ...] = (
    Route(
        method="GET",
        template="profiles/{profile}/errors",
        handler="errors.list_errors",
        summary="Records that the newest run could not synchronize, or that callers reported, one by one.",
        answers=Page[SyncError],
        act=Act.READ_PEOPLE,
        parameters=(
            *PAGED,
            Parameter(name="kind", meaning="only records of this entryType"),
            Parameter(name="code", meaning="only errors of this errorCode"),
            Parameter(name="object", meaning="only records with this SIS ID, or joined with it"),
        ),
    ),
    Route(
        method="GET",
        template="profiles/{profile}/errors/causes",
        handler="errors.list_causes",
        summary="The same counted by kind and reason, the most frequent first.",
        answers=SyncErrorCauses,
        act=Act.READ_PEOPLE,
    ),
)
