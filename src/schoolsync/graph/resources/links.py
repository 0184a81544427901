"""…/$ref: links read, made and taken back.

The address of what is linked may name any host and any version, because clients write Graph's own there; only its
last segments count. Taking a link back never deletes what it led to.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from sqlalchemy import ColumnElement

from schoolsync.directory import links, reading
from schoolsync.directory.links import MEMBERS, SCHOOL_CLASSES, SCHOOL_PEOPLE, TEACHERS, Kind
from schoolsync.directory.reading import Found
from schoolsync.directory.shapes import CLASS, PERSON, USER, Shape
from schoolsync.errors import Invalid
from schoolsync.graph.call import Call, Reply
from schoolsync.graph.paths import keyed, split
from schoolsync.graph.resources.views import View, reading_view, writing_view

_KINDS = {
    "schools": {"classes": SCHOOL_CLASSES, "users": SCHOOL_PEOPLE},
    "classes": {"members": MEMBERS, "teachers": TEACHERS},
    "groups": {"members": MEMBERS, "owners": TEACHERS},
    "administrativeUnits": {"members": SCHOOL_PEOPLE},
}
_CONDITIONS = {
    SCHOOL_CLASSES: reading.classes_of_school,
    SCHOOL_PEOPLE: reading.people_of_school,
    MEMBERS: reading.members_of_class,
    TEACHERS: reading.teachers_of_class,
}
# Set in an address -> what its objects are; a directory object can be either.
_SETS: dict[str, tuple[Shape, ...]] = {
    "users": (PERSON,),
    "classes": (CLASS,),
    "groups": (CLASS,),
    "directoryobjects": (CLASS, PERSON),
}
_ADDRESS_MAX = 2048


def list_references(call: Call) -> Reply:
    """GET …/$ref."""
    kind = _kind(call)
    with reading_view(call) as view:
        plain = not call.template.startswith("education/")
        return view.references(USER if plain else _right_shape(kind), _condition(view, kind))


def add_reference(call: Call) -> Reply:
    """POST …/$ref: the body names what is linked in `@odata.id`."""
    kind = _kind(call)
    assert call.body is not None
    address = call.body.get("@odata.id")
    if not isinstance(address, str):
        raise Invalid("The body needs '@odata.id' with the address of an object.", target="@odata.id")
    shape, key = _target(kind, address)
    with writing_view(call) as view:
        left = _left(view, kind)
        right = view.one(shape, key)
        links.add(view.connection, kind, tenant=view.tenant, left=left, right=right)
    return Reply(status=204)


def remove_reference(call: Call) -> Reply:
    """DELETE …/{id}/$ref, …/{id}, and …/$ref?@id=…: the link goes, the object stays."""
    kind = _kind(call)
    key = next((call.keys[name] for name in ("user", "class") if name in call.keys and name != _left_key(kind)), None)
    shape = _right_shape(kind)
    if key is None:
        address = call.query.get("@id") or call.query.get("id")
        if not address:
            raise Invalid("Name the link to remove: …/{id}/$ref, or …/$ref?@id=<address of the object>.", target="@id")
        shape, key = _target(kind, address)
    with writing_view(call) as view:
        left = _left(view, kind)
        right = view.one(shape, key)
        links.remove(view.connection, kind, tenant=view.tenant, left=left, right=right, now=call.now)
    return Reply(status=204)


def _kind(call: Call) -> Kind:
    """The kind of link that the path is about: …/{set}/{id}/{name}/…"""
    owner, _, name = [part for part in call.template.split("/") if part not in {"education", "directory"}][:3]
    return _KINDS[owner][name]


def _left_key(kind: Kind) -> str:
    return "school" if kind.left == "school" else "class"


def _left(view: View, kind: Kind) -> Found:
    return view.school() if kind.left == "school" else view.group()


def _right_shape(kind: Kind) -> Shape:
    return CLASS if kind.right == "class" else PERSON


def _condition(view: View, kind: Kind) -> ColumnElement[bool]:
    return _CONDITIONS[kind](view.tenant, _left(view, kind).key)


def _target(kind: Kind, address: str) -> tuple[Shape, str]:
    """What an address names: its last two segments, `users/{id}` or `users('{id}')`."""
    wrong = Invalid(
        f"The address '{address[:200]}' does not name an object that can be linked as '{kind.name}'.",
        target="@odata.id",
    )
    if len(address) > _ADDRESS_MAX:
        raise wrong
    try:
        path = urlsplit(address).path
    except ValueError as problem:
        raise wrong from problem
    segments = keyed(split(path.encode()))
    if len(segments) < 2:
        raise wrong
    *_, name, key = segments
    wanted = _right_shape(kind)
    if wanted not in _SETS.get(name.lower(), ()):
        raise wrong
    return wanted, key
