"""Which permission opens what."""

import pytest

from schoolsync.access import permissions
from schoolsync.access.principal import Principal
from schoolsync.errors import Forbidden


def caller(kind, *grants):
    return Principal(tenant=1, tenant_id="t", kind=kind, grants=frozenset(grants))


LADDERS = [
    ["EduAdministration.Read", "EduAdministration.ReadWrite"],
    ["EduRoster.ReadBasic", "EduRoster.Read", "EduRoster.ReadWrite"],
]
PAIRS = [
    (needed, held) for ladder in LADDERS for needed in ladder for held in [name for row in LADDERS for name in row]
]


def includes(held, needed):
    return any(needed in row and held in row and row.index(held) >= row.index(needed) for row in LADDERS)


@pytest.mark.parametrize(("needed", "held"), PAIRS)
@pytest.mark.parametrize(("kind", "suffix"), [("delegated", ""), ("application", ".All")])
def test_a_higher_permission_includes_the_lower(needed, held, kind, suffix):
    """Of one family the higher opens what the lower opens, never the other way, never across families."""
    wanted = {"delegated": None, "application": None, kind: needed + suffix}
    if includes(held, needed):
        permissions.check(caller(kind, held + suffix), **wanted)
    else:
        with pytest.raises(Forbidden):
            permissions.check(caller(kind, held + suffix), **wanted)


@pytest.mark.parametrize(
    ("kind", "grants", "message"),
    [
        ("none", (), "Either scp or roles claim need to be present in the token."),
        ("delegated", ("User.Read",), "Required scp claim values are not provided."),
        ("delegated", ("EduRoster.Read.All",), "Required scp claim values are not provided."),
        ("application", ("EduRoster.Read",), "Required roles claim values are not provided."),
        ("application", ("eduroster.read.all",), "Required roles claim values are not provided."),
    ],
)
def test_the_wrong_kind_of_name_opens_nothing(kind, grants, message):
    """Scopes are not roles, roles are not scopes, and the refusal says what is missing."""
    with pytest.raises(Forbidden) as refused:
        permissions.check(caller(kind, *grants), delegated="EduRoster.Read", application="EduRoster.Read.All")
    assert str(refused.value) == message


@pytest.mark.parametrize("kind", ["delegated", "application"])
def test_what_is_never_allowed_stays_so(kind):
    """Where a kind of token is not supported, the highest permission does not help."""
    everything = permissions.SCOPES if kind == "delegated" else permissions.ROLES
    with pytest.raises(Forbidden):
        permissions.check(caller(kind, *everything), delegated=None, application=None)
