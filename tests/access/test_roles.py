"""Roles of our own: who may look, operate, approve, administer and audit."""

import re
from pathlib import Path

import pytest

from schoolsync.access import roles
from schoolsync.access.principal import Principal
from schoolsync.access.roles import Act, Role
from schoolsync.errors import Forbidden

DOCS = Path(__file__).parents[2] / "docs" / "access.md"

# act -> the roles that open it; in this test's own words, so that a slip in the table shows.
OPEN_TO = {
    Act.READ: "viewer operator approver admin auditor",
    Act.READ_PEOPLE: "viewer operator approver admin",
    Act.PLAN: "operator admin",
    Act.SYNC: "operator admin",
    Act.DISCARD: "operator approver admin",
    Act.APPROVE: "approver admin",
    Act.UNDO: "approver admin",
    Act.POLICY: "admin",
    Act.SECRETS: "admin",
    Act.ERASE: "admin",
    Act.CLIENTS: "admin",
    Act.AUDIT: "auditor",
    Act.FAULTS: "admin",
}
PERSONS_ALONE = {Act.APPROVE, Act.UNDO, Act.ERASE}


def caller(kind, *grants, own=(), user="u"):
    return Principal(
        tenant=1,
        tenant_id="t",
        kind=kind,
        grants=frozenset(grants),
        user_id=user if kind == "delegated" else None,
        client="c",
        roles=frozenset(own),
    )


def test_every_act_has_one_row():
    """The matrix leaves out no act and names none twice."""
    assert [rule.act for rule in roles.MATRIX] == list(Act)
    assert set(OPEN_TO) == set(Act)


@pytest.mark.parametrize("act", list(Act))
@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("kind", ["delegated", "application"])
def test_a_role_opens_its_acts_and_no_other(act, role, kind):
    """Every role, act and kind of token: open exactly as written; what needs a person refuses every program."""
    who = caller(kind, own=[role.value])
    expected = role.value.partition(".")[2] in OPEN_TO[act].split() and (
        kind == "delegated" or act not in PERSONS_ALONE
    )
    assert roles.allows(who, act) is expected
    if expected:
        roles.check(who, act)
    else:
        with pytest.raises(Forbidden):
            roles.check(who, act)


@pytest.mark.parametrize(
    ("kind", "grant", "expected"),
    [
        ("delegated", "EduAdministration.Read", {Role.VIEWER}),
        ("delegated", "EduAdministration.ReadWrite", {Role.VIEWER, Role.OPERATOR}),
        ("application", "EduAdministration.Read.All", {Role.VIEWER}),
        ("application", "EduAdministration.ReadWrite.All", {Role.VIEWER, Role.OPERATOR}),
        ("delegated", "EduAdministration.ReadWrite.All", set()),
        ("application", "EduAdministration.ReadWrite", set()),
        ("delegated", "EduRoster.ReadWrite", set()),
        ("delegated", roles.ACCESS, set()),
        ("none", "EduAdministration.ReadWrite", set()),
    ],
)
def test_graph_permissions_bring_no_more_than_graph_would(kind, grant, expected):
    """Who may administer profiles through Graph operates here too, and never approves or audits by that alone."""
    assert roles.held(caller(kind, grant)) == expected


def test_who_may_approve():
    """A named person with the role; no scope alone, no program, nobody without a name."""
    assert roles.may_approve(caller("delegated", "EduAdministration.ReadWrite", own=["schoolsync.approver"]))
    assert roles.may_approve(caller("delegated", own=["schoolsync.admin"]))
    assert not roles.may_approve(caller("delegated", "EduAdministration.ReadWrite"))
    assert not roles.may_approve(caller("delegated", own=["schoolsync.approver"], user=None))
    assert not roles.may_approve(caller("application", "EduAdministration.ReadWrite.All", own=["schoolsync.admin"]))
    assert not roles.may_approve(caller("none", own=["schoolsync.admin"]))


def test_a_refusal_names_what_would_do():
    """The message tells the caller which role to ask for, and when it takes a person."""
    with pytest.raises(Forbidden, match=r"lacks a role for this: schoolsync\.admin or schoolsync\.approver"):
        roles.check(caller("delegated", "EduAdministration.ReadWrite"), Act.APPROVE)
    with pytest.raises(Forbidden, match="Only a person"):
        roles.check(caller("application", own=["schoolsync.admin"]), Act.APPROVE)
    with pytest.raises(Forbidden, match="Either scp or roles claim"):
        roles.check(caller("none"), Act.READ)


def test_a_persons_token_carries_their_roles(house):
    """Own roles beside scopes are the person's; a program's stand among its roles; unknown ones count for nothing."""
    token = house.mint(scopes=(roles.ACCESS,), roles=("schoolsync.approver", "EduRoster.Read.All", "schoolsync.king"))
    person = house.verify(token)
    assert (person.kind, person.grants, person.roles) == ("delegated", {roles.ACCESS}, {"schoolsync.approver"})
    assert roles.may_approve(person)
    program = house.verify(house.mint(roles=("schoolsync.operator", "EduRoster.Read.All")))
    assert (program.kind, program.roles) == ("application", {"schoolsync.operator"})


def test_the_matrix_is_documented():
    """docs/access.md has a row for every act, with its roles as the code has them."""
    rows = dict(
        re.findall(r"^\| `([\w.]+)` \| .* \| ([a-z, ]+)(?: \(persons alone\))? \|$", DOCS.read_text(), re.MULTILINE)
    )
    for rule in roles.MATRIX:
        assert set(rows[rule.act.value].split(", ")) == {role.value.partition(".")[2] for role in rule.roles}, rule.act
    for role in Role:
        assert f"`{role.value}`" in DOCS.read_text()
