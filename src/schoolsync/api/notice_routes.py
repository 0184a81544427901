"""The operations of our own API about where a tenant's changes of state are told; `routes` lists them among all."""

from __future__ import annotations

from schoolsync.access.roles import Act
from schoolsync.api import notice_shapes
from schoolsync.api.directory_routes import LIMIT
from schoolsync.api.route import Route

ROUTES: tuple[Route, ...] = (
    Route(
        method="GET",
        template="notices",
        handler="notices.get_notices",
        summary="Where the tenant's changes of state are told: webhook, mail addresses, which changes.",
        answers=notice_shapes.Notices,
        act=Act.POLICY,
    ),
    Route(
        method="PATCH",
        template="notices",
        handler="notices.patch_notices",
        summary="Change that; a webhook without a secret gets one, which this answer alone shows.",
        answers=notice_shapes.Notices,
        act=Act.SECRETS,
        takes=notice_shapes.ChangeNotices,
        refusals=(412,),
    ),
    Route(
        method="POST",
        template="notices/test",
        handler="notices.test",
        summary="Send a notice that says it is a test to every receiver; `notices/sent` says what became of it.",
        answers=notice_shapes.SentNotices,
        act=Act.POLICY,
        status=202,
        refusals=(409,),
    ),
    Route(
        method="GET",
        template="notices/sent",
        handler="notices.list_sent",
        summary="The newest notices to the tenant's receivers: whether they have arrived, and why not.",
        answers=notice_shapes.SentNotices,
        act=Act.POLICY,
        parameters=(LIMIT,),
    ),
)
