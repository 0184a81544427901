"""/users, /groups and /directory/administrativeUnits: the plain objects behind people, classes and schools.

Scripts written for School Data Sync read and write its extension attributes here, and who belongs to what. Nothing but
links can be made here: that is done below /education, whose handlers delete what is deleted here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schoolsync.directory import attributes, classes, people, reading
from schoolsync.directory.reading import Found
from schoolsync.directory.shapes import GROUP, UNIT, USER, Shape
from schoolsync.errors import Invalid
from schoolsync.graph import bodies, etags
from schoolsync.graph.call import Call, Reply
from schoolsync.graph.render import EXTENSION
from schoolsync.graph.resources.views import View, reading_view, writing_view


def list_users(call: Call) -> Reply:
    """GET /users."""
    return _list(call, USER)


def count_users(call: Call) -> Reply:
    """GET /users/$count."""
    return _count(call, USER)


def get_user(call: Call) -> Reply:
    """GET /users/{user} and /education/users/{user}/user: the user has the id of the person."""
    return _get(call, USER)


def patch_user(call: Call) -> Reply:
    """PATCH /users/{user}."""
    return _patch(call, USER)


def list_groups(call: Call) -> Reply:
    """GET /groups."""
    return _list(call, GROUP)


def count_groups(call: Call) -> Reply:
    """GET /groups/$count."""
    return _count(call, GROUP)


def get_group(call: Call) -> Reply:
    """GET /groups/{class} and /education/classes/{class}/group: the group has the id of the class."""
    return _get(call, GROUP)


def patch_group(call: Call) -> Reply:
    """PATCH /groups/{class}."""
    return _patch(call, GROUP)


def list_units(call: Call) -> Reply:
    """GET /directory/administrativeUnits."""
    return _list(call, UNIT)


def count_units(call: Call) -> Reply:
    """GET /directory/administrativeUnits/$count."""
    return _count(call, UNIT)


def get_unit(call: Call) -> Reply:
    """GET /directory/administrativeUnits/{school} and /education/schools/{school}/administrativeUnit."""
    return _get(call, UNIT)


def patch_unit(call: Call) -> Reply:
    """PATCH of the same."""
    return _patch(call, UNIT)


def list_members(call: Call) -> Reply:
    """GET /groups/{class}/members: students and teachers of the class."""
    with reading_view(call) as view:
        return view.directory_objects(reading.members_of_class(view.tenant, view.group().key))


def count_members(call: Call) -> Reply:
    """GET /groups/{class}/members/$count."""
    with reading_view(call) as view:
        return view.count(USER, reading.members_of_class(view.tenant, view.group().key))


def list_owners(call: Call) -> Reply:
    """GET /groups/{class}/owners: the teachers of the class."""
    with reading_view(call) as view:
        return view.directory_objects(reading.teachers_of_class(view.tenant, view.group().key))


def count_owners(call: Call) -> Reply:
    """GET /groups/{class}/owners/$count."""
    with reading_view(call) as view:
        return view.count(USER, reading.teachers_of_class(view.tenant, view.group().key))


def list_unit_members(call: Call) -> Reply:
    """GET /directory/administrativeUnits/{school}/members: the people of the school."""
    with reading_view(call) as view:
        return view.directory_objects(reading.people_of_school(view.tenant, view.school().key))


def count_unit_members(call: Call) -> Reply:
    """GET /directory/administrativeUnits/{school}/members/$count."""
    with reading_view(call) as view:
        return view.count(USER, reading.people_of_school(view.tenant, view.school().key))


def _list(call: Call, shape: Shape) -> Reply:
    with reading_view(call) as view:
        return view.page(shape)


def _count(call: Call, shape: Shape) -> Reply:
    with reading_view(call) as view:
        return view.count(shape)


def _get(call: Call, shape: Shape) -> Reply:
    with reading_view(call) as view:
        return view.answer(shape, _found(view, shape))


def _patch(call: Call, shape: Shape) -> Reply:
    assert call.body is not None
    given = {name: value for name, value in call.body.items() if name.lower().startswith(EXTENSION) and "@" not in name}
    values = bodies.read(
        shape.type_name, {name: value for name, value in call.body.items() if name not in given}, partial=True
    )
    with writing_view(call) as view:
        row = _found(view, shape)
        etags.check(call, etags.weak(row.position))
        if values.pop("id", row.id).lower() != row.id:
            raise Invalid("The property 'id' is read-only and differs from the address.", target="id")
        if _changed(view, shape, row, values, attributes.written(shape.table.name, row, given)):
            again = reading.find(view.connection, shape.table, view.tenant, row.id)
            assert again is not None
            row = again
        return view.answer(shape, row)


def _changed(view: View, shape: Shape, row: Found, values: Mapping[str, Any], extensions: Mapping[str, Any]) -> bool:
    if shape is USER:
        return people.change(
            view.connection,
            tenant=view.tenant,
            person=row,
            values=values,
            now=view.call.now,
            shape=USER,
            extensions=extensions,
        )
    return classes.change(
        view.connection, shape, tenant=view.tenant, row=row, values=values, now=view.call.now, extensions=extensions
    )


def _found(view: View, shape: Shape) -> Found:
    if shape is USER:
        return view.person()
    return view.group() if shape is GROUP else view.school()
