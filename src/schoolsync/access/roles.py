"""Roles of our own, for `/schoolsync/v1` and the console: who may look, operate, approve, administer, audit.

Pure, and data first: `MATRIX` says for every act which roles may do it and with which kind of token; the code asks
`check`, docs/access.md and the tests read the same table. Roles are app roles in the token's `roles` claim: of the
person in a delegated token, of the program in an application's. Graph's permissions bring the roles that open no more
than Graph's own routes would (`IMPLIED`); nothing but its own role ever brings approving or auditing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from schoolsync.access.principal import Principal
from schoolsync.errors import Forbidden


class Role(Enum):
    """The values are the app roles' names in tokens."""

    VIEWER = "schoolsync.viewer"
    OPERATOR = "schoolsync.operator"
    APPROVER = "schoolsync.approver"
    ADMIN = "schoolsync.admin"
    AUDITOR = "schoolsync.auditor"


MEANING: dict[Role, str] = {
    Role.VIEWER: "sees profiles, runs, plans, findings and explanations",
    Role.OPERATOR: "also makes plans, starts, pauses and discards",
    Role.APPROVER: "sees all that, and releases held plans and undoes runs",
    Role.ADMIN: "everything but reading the audit log",
    Role.AUDITOR: "sees profiles and runs, and reads the audit log; never plans or findings, which name people",
}

NAMES = frozenset(role.value for role in Role)

ACCESS = "schoolsync.access"
"""The scope of a delegated token that is good for our own API alone, whatever the roles of its person."""


class Act(Enum):
    """What can be done through our own API and the console."""

    READ = "read"
    READ_PEOPLE = "read.people"
    PLAN = "plan"
    SYNC = "sync"
    DISCARD = "discard"
    APPROVE = "approve"
    UNDO = "undo"
    POLICY = "policy"
    SECRETS = "secrets"
    ERASE = "erase"
    CLIENTS = "clients"
    AUDIT = "audit"
    FAULTS = "faults"


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the matrix."""

    act: Act
    roles: frozenset[Role]
    application: bool  # whether a program's token may do it too; a person's may whenever a role fits
    meaning: str


def _rule(act: Act, meaning: str, *roles: Role, application: bool = True) -> Rule:
    return Rule(act, frozenset(roles), application, meaning)


_SEEING = (Role.VIEWER, Role.OPERATOR, Role.APPROVER, Role.ADMIN)

MATRIX: tuple[Rule, ...] = (
    _rule(Act.READ, "profiles, runs, progress, counts, guard verdicts", *_SEEING, Role.AUDITOR),
    _rule(Act.READ_PEOPLE, "plan steps, findings, explanations: whatever is about single people", *_SEEING),
    _rule(Act.PLAN, "make a plan of a roster without applying it", Role.OPERATOR, Role.ADMIN),
    _rule(Act.SYNC, "upload, start, apply a plan that nothing holds, pause, resume", Role.OPERATOR, Role.ADMIN),
    _rule(Act.DISCARD, "throw a plan away", Role.OPERATOR, Role.APPROVER, Role.ADMIN),
    # A named person's yes: no program's token ever approves or undoes.
    _rule(Act.APPROVE, "release a held plan", Role.APPROVER, Role.ADMIN, application=False),
    _rule(Act.UNDO, "take a run back, or an object out of the bin", Role.APPROVER, Role.ADMIN, application=False),
    _rule(Act.POLICY, "change a profile's policy: limits, windows, recipes", Role.ADMIN),
    _rule(Act.SECRETS, "write a provider's or webhook's secret; nobody reads one", Role.ADMIN),
    _rule(Act.ERASE, "erase a person from uploads, snapshots, plans and findings", Role.ADMIN, application=False),
    _rule(Act.CLIENTS, "manage clients and local users of the built-in issuer", Role.ADMIN),
    _rule(Act.AUDIT, "read and export the audit log", Role.AUDITOR),
    _rule(Act.FAULTS, "turn the fault dial of `serve --faults`", Role.ADMIN),
)

RULES: dict[Act, Rule] = {rule.act: rule for rule in MATRIX}

IMPLIED: dict[str, frozenset[Role]] = {
    "EduAdministration.Read": frozenset({Role.VIEWER}),
    "EduAdministration.ReadWrite": frozenset({Role.VIEWER, Role.OPERATOR}),
}
"""Graph permission (an application's carries `.All`) -> roles that it brings."""

_NO_CLAIM = "Either scp or roles claim need to be present in the token."


def held(principal: Principal) -> frozenset[Role]:
    """The caller's roles: those in the token, and those that its Graph permissions bring."""
    if principal.kind == "none":
        return frozenset()
    suffix = "" if principal.kind == "delegated" else ".All"
    found = {role for role in Role if role.value in principal.roles}
    for permission, roles in IMPLIED.items():
        if permission + suffix in principal.grants:
            found |= roles
    return frozenset(found)


def allows(principal: Principal, act: Act) -> bool:
    """Whether the caller may do `act`."""
    rule = RULES[act]
    if principal.kind == "application" and not rule.application:
        return False
    if principal.kind == "delegated" and not rule.application and principal.user_id is None:
        return False  # whose yes would it be
    return not rule.roles.isdisjoint(held(principal))


def check(principal: Principal, act: Act) -> None:
    """Raise Forbidden, naming the roles that would do, unless the caller may do `act`."""
    if principal.kind == "none":
        raise Forbidden(_NO_CLAIM)
    if allows(principal, act):
        return
    rule = RULES[act]
    names = " or ".join(sorted(role.value for role in rule.roles))
    if principal.kind == "application" and not rule.application:
        raise Forbidden(f"Only a person may do this: sign in as somebody with the role {names}.")
    raise Forbidden(f"The token lacks a role for this: {names}. Ask whoever gives out roles here for one.")


def may_approve(principal: Principal) -> bool:
    """Whether a request with this token can be the named person's yes that a held plan waits for."""
    return allows(principal, Act.APPROVE)
