"""What the pages call things that the rest of the house names with a code word."""

from __future__ import annotations

from schoolsync.console.catalogue import N_

STATUS: dict[str | None, tuple[str, str]] = {
    # status -> what it is called, how it looks
    None: (N_("Nothing synchronized yet"), "quiet"),
    "none": (N_("Nothing synchronized yet"), "quiet"),
    "success": (N_("In sync"), "good"),
    "inProgress": (N_("Synchronizing"), "busy"),
    "extracting": (N_("Reading files"), "busy"),
    "validating": (N_("Checking files"), "busy"),
    "unknownFutureValue": (N_("Working"), "busy"),
    "paused": (N_("Paused"), "quiet"),
    "validationError": (N_("Waits for you"), "bad"),
    "error": (N_("Failed"), "bad"),
    "quarantined": (N_("In quarantine"), "bad"),
}

STATE: dict[str, str] = {
    "provisioning": N_("being set up"),
    "provisioned": N_("ready"),
    "provisioningFailed": N_("could not be set up"),
    "deleting": N_("being deleted"),
    "deletionFailed": N_("could not be deleted"),
}

RUN_STATE: dict[str, tuple[str, str]] = {
    "queued": (N_("Waits for its turn"), "busy"),
    "extracting": (N_("Reading files"), "busy"),
    "validating": (N_("Checking files"), "busy"),
    "planning": (N_("Working out the changes"), "busy"),
    "applying": (N_("Writing changes"), "busy"),
    "paused": (N_("Paused"), "quiet"),
    "held": (N_("Waits for you"), "bad"),
    "done": (N_("Done"), "good"),
    "failed": (N_("Failed"), "bad"),
    "discarded": (N_("Thrown away"), "quiet"),
    "cancelled": (N_("Ended early"), "quiet"),
}

CAUSE: dict[str, str] = {
    "start": N_("started"),
    "late": N_("started"),
    "reset": N_("started all over"),
    "retry": N_("tried again by itself"),
    "again": N_("tried again"),
    "due": N_("its time had come"),
    "schedule": N_("on schedule"),
    "upload": N_("files were uploaded"),
    "watch": N_("files lay in the watched folder"),
    "preview": N_("preview"),
    "undo": N_("takes a run back"),
    "one": N_("one person, class or school alone"),
    "replan": N_("planned again"),
    "provisioned": N_("the profile was set up"),
}

SEEN: dict[str, str] = {
    "schools": N_("Schools"),
    "classes": N_("Classes"),
    "people": N_("People"),
    "links": N_("Memberships"),
    "school_links": N_("Places at schools"),
    "guardians": N_("Guardians"),
}

ROLES: dict[str, str] = {
    "viewer": N_("may look"),
    "operator": N_("may look and run"),
    "approver": N_("may look and approve"),
    "admin": N_("may do everything but read the audit log"),
    "auditor": N_("may read the audit log"),
}

SAID: dict[str, str] = {
    # what a page says after something was done, by the word in its address
    "signed-out": N_("You are signed out."),
    "saved": N_("Saved. The next run goes by it."),
    "created": N_("The profile is made. It is being set up, which takes a moment."),
    "paused": N_("It pauses: what is being written at the moment is finished first."),
    "resumed": N_("It goes on."),
    "reset": N_("It starts all over."),
    "retried": N_("It is tried again."),
    "cancelled": N_("The run ends: what is being written at the moment is finished first."),
    "undoing": N_("This run takes the other one back."),
}
"""Sentences that follow an act."""
