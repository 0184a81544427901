"""The words that the Tab key offers for values of options. A test holds them to what the commands take."""

from __future__ import annotations

from collections.abc import Callable

FORMATS = ("clever", "oneroster-1.1", "oneroster-1.2", "sds-v1", "sds-v1-uk", "sds-v2", "sds-v2.1")
TARGETS = ("oneroster-1.1", "oneroster-1.2", "sds-v1", "sds-v2.1")
KINDS = (
    *("school", "section", "student", "teacher", "guardians", "studentEnrollment", "teacherRoster"),
    *("schoolSections", "studentSchools", "teacherSchools"),
)
OPS = (
    *("create", "restore", "unbin", "adopt", "rekey", "update"),
    *("link", "relink", "unlink", "remove", "expire", "bin", "purge"),
)
SCOPES = ("failedItems", "quarantine", "everything")
PARTS = ("class", "student", "teacher")
KEYS = ("issuer", "secrets")
EVENTS = ("held", "failed", "quarantined", "stale", "recovered")
STATUSES = (
    *("paused", "inProgress", "success", "error", "validationError", "quarantined", "unknownFutureValue"),
    *("extracting", "validating"),
)
LOGS = ("csv", "json")
PERSON = (
    *("sisId=", "username=", "givenName=", "middleName=", "surname=", "email=", "secondaryEmail=", "number="),
    *("stateId=", "graduationYear=", "matchId="),
)


def one_of(words: tuple[str, ...]) -> Callable[[str], list[str]]:
    """What offers those of the words that begin as what was typed does."""

    def offered(incomplete: str) -> list[str]:
        return [word for word in words if word.startswith(incomplete)]

    return offered
