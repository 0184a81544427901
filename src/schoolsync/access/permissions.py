"""Graph permissions of the education API: which exist, which include which, and whether a caller has one.

Pure. A scope counts only in a delegated token and a role only in an application token: the two kinds of names differ
(`EduRoster.Read` and `EduRoster.Read.All`) and neither is accepted in the other's place.
"""

from __future__ import annotations

from schoolsync.access import roles
from schoolsync.access.principal import Principal
from schoolsync.errors import Forbidden

# From low to high: each includes those before it. Application roles are the same names with ".All" behind them.
_LADDERS = (
    ("EduAdministration.Read", "EduAdministration.ReadWrite"),
    ("EduRoster.ReadBasic", "EduRoster.Read", "EduRoster.ReadWrite"),
)
_ALL = ".All"

SCOPES = frozenset(name for ladder in _LADDERS for name in ladder)
ROLES = frozenset(name + _ALL for name in SCOPES)

# Other Graph permissions that scripts for this API ask for beside those above. Their names are known, so a token may
# carry them; they open nothing here.
OTHER_SCOPES = frozenset({"User.Read", "User.Read.All", "Group.Read.All", "Directory.Read.All", "Member.Read.Hidden"})
OTHER_ROLES = OTHER_SCOPES - {"User.Read"}

# All that a token may carry. Roles of our own stand beside the scopes of a person and among the roles of a program.
OWN_ROLES = roles.NAMES
OWN_SCOPES = frozenset({roles.ACCESS})
KNOWN_SCOPES = SCOPES | OTHER_SCOPES | OWN_SCOPES
KNOWN_ROLES = ROLES | OTHER_ROLES | OWN_ROLES

_NO_CLAIM = "Either scp or roles claim need to be present in the token."
_NO_SCOPE = "Required scp claim values are not provided."
_NO_ROLE = "Required roles claim values are not provided."


def _including(names: tuple[str, ...]) -> dict[str, frozenset[str]]:
    return {name: frozenset(names[place:]) for place, name in enumerate(names)}


# Permission -> the permissions that grant it, itself included.
_GRANTED_BY: dict[str, frozenset[str]] = {
    name: granting
    for ladder in _LADDERS
    for step in (ladder, tuple(name + _ALL for name in ladder))
    for name, granting in _including(step).items()
}


def has(principal: Principal, permission: str) -> bool:
    """Whether the caller's grants include `permission`, directly or by a higher one."""
    return not principal.grants.isdisjoint(_GRANTED_BY.get(permission, frozenset({permission})))


def check(principal: Principal, *, delegated: str | None, application: str | None) -> None:
    """Raise Forbidden unless the caller has the least permission of its kind; None means that kind is never allowed."""
    if principal.kind == "none":
        raise Forbidden(_NO_CLAIM)
    needed, refusal = (delegated, _NO_SCOPE) if principal.kind == "delegated" else (application, _NO_ROLE)
    if needed is None or not has(principal, needed):
        raise Forbidden(refusal)
