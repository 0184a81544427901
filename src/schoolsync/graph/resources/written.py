"""Schools, classes and people made, changed and deleted by hand.

Bodies are read here; what a property may hold is decided by `directory.people` and `directory.classes`.
"""

from __future__ import annotations

from schoolsync.directory import changes, classes, people, reading
from schoolsync.directory.reading import Found
from schoolsync.directory.shapes import CLASS, PERSON, Shape
from schoolsync.errors import Invalid
from schoolsync.graph import bodies, etags
from schoolsync.graph.call import Call, Json, Reply
from schoolsync.graph.resources.views import View, writing_view
from schoolsync.graph.types import ENUMS, TYPES, UNKNOWN


def create(call: Call, shape: Shape) -> Reply:
    """POST to one of the three sets."""
    values = bodies.read(shape.type_name, call.body, partial=False)
    values.pop("id", None)  # ids are ours to give
    object_id, client = call.services.new_id(), call.principal.client
    with writing_view(call) as view:
        if shape is PERSON:
            people.create(
                view.connection, tenant=view.tenant, values=values, person_id=object_id, client=client, now=call.now
            )
        else:
            classes.create(
                view.connection,
                shape,
                tenant=view.tenant,
                values=values,
                object_id=object_id,
                client=client,
                now=call.now,
            )
        return view.answer(shape, _again(view, shape, object_id), status=201)


def patch(call: Call, shape: Shape) -> Reply:
    """PATCH of one object: members merge, collections are replaced whole."""
    values = bodies.read(shape.type_name, call.body, partial=True)
    with writing_view(call) as view:
        row = _found(view, shape)
        etags.check(call, etags.weak(row.position))
        if values.pop("id", row.id).lower() != row.id:
            raise Invalid("The property 'id' is read-only and differs from the address.", target="id")
        _leave_veiled(shape, row, values)
        if shape is PERSON:
            changed = people.change(view.connection, tenant=view.tenant, person=row, values=values, now=call.now)
        else:
            changed = classes.change(view.connection, shape, tenant=view.tenant, row=row, values=values, now=call.now)
        return view.answer(shape, _again(view, shape, row.id) if changed else row)


def delete(call: Call, shape: Shape) -> Reply:
    """DELETE of one object: it goes with all its links."""
    with writing_view(call) as view:
        row = _found(view, shape)
        etags.check(call, etags.weak(row.position))
        changes.remove(view.connection, tenant=view.tenant, table=shape.table, row=row, now=call.now)
    return Reply(status=204)


def _leave_veiled(shape: Shape, row: Found, values: Json) -> None:
    """Take out members of enumerations that come back as they were shown, veiled: what is read may be sent back."""
    for name in [name for name, value in values.items() if value == UNKNOWN]:
        enum = ENUMS.get(TYPES[shape.type_name].properties[name].type)
        if enum is not None and getattr(row, shape.paths[name]) in enum.hidden:
            del values[name]


def _found(view: View, shape: Shape) -> Found:
    if shape is PERSON:
        return view.person()
    return view.group() if shape is CLASS else view.school()


def _again(view: View, shape: Shape, object_id: str) -> Found:
    found = reading.find(view.connection, shape.table, view.tenant, object_id)
    assert found is not None
    return found
