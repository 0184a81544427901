"""/education/classes and what hangs on a class."""

from __future__ import annotations

from schoolsync.directory import reading
from schoolsync.directory.shapes import CLASS, PERSON, SCHOOL
from schoolsync.graph.call import Call, Reply
from schoolsync.graph.resources import written
from schoolsync.graph.resources.views import reading_view, whole_page


def list_classes(call: Call) -> Reply:
    """GET /education/classes."""
    with reading_view(call) as view:
        return view.page(CLASS)


async def whole_classes(call: Call) -> Reply:
    """The same, without any wish."""
    return await whole_page(call, CLASS)


def count_classes(call: Call) -> Reply:
    """GET /education/classes/$count."""
    with reading_view(call) as view:
        return view.count(CLASS)


def get_class(call: Call) -> Reply:
    """GET /education/classes/{class}."""
    with reading_view(call) as view:
        return view.answer(CLASS, view.group())


def create_class(call: Call) -> Reply:
    """POST /education/classes: the group with the same id comes with it."""
    return written.create(call, CLASS)


def patch_class(call: Call) -> Reply:
    """PATCH /education/classes/{class}."""
    return written.patch(call, CLASS)


def delete_class(call: Call) -> Reply:
    """DELETE /education/classes/{class}: its members stay in the directory."""
    return written.delete(call, CLASS)


def list_members(call: Call) -> Reply:
    """GET /education/classes/{class}/members."""
    with reading_view(call) as view:
        return view.page(PERSON, reading.members_of_class(view.tenant, view.group().key))


def count_members(call: Call) -> Reply:
    """GET /education/classes/{class}/members/$count."""
    with reading_view(call) as view:
        return view.count(PERSON, reading.members_of_class(view.tenant, view.group().key))


def get_members(call: Call) -> Reply:
    """GET /education/classes/{class}/members/{user}."""
    with reading_view(call) as view:
        return view.answer(PERSON, view.person(reading.members_of_class(view.tenant, view.group().key)))


def list_teachers(call: Call) -> Reply:
    """GET /education/classes/{class}/teachers."""
    with reading_view(call) as view:
        return view.page(PERSON, reading.teachers_of_class(view.tenant, view.group().key))


def count_teachers(call: Call) -> Reply:
    """GET /education/classes/{class}/teachers/$count."""
    with reading_view(call) as view:
        return view.count(PERSON, reading.teachers_of_class(view.tenant, view.group().key))


def get_teachers(call: Call) -> Reply:
    """GET /education/classes/{class}/teachers/{user}."""
    with reading_view(call) as view:
        return view.answer(PERSON, view.person(reading.teachers_of_class(view.tenant, view.group().key)))


def list_schools(call: Call) -> Reply:
    """GET /education/classes/{class}/schools."""
    with reading_view(call) as view:
        return view.page(SCHOOL, reading.schools_of_class(view.tenant, view.group().key))


def count_schools(call: Call) -> Reply:
    """GET /education/classes/{class}/schools/$count."""
    with reading_view(call) as view:
        return view.count(SCHOOL, reading.schools_of_class(view.tenant, view.group().key))


def get_schools(call: Call) -> Reply:
    """GET /education/classes/{class}/schools/{school}."""
    with reading_view(call) as view:
        return view.answer(SCHOOL, view.school(reading.schools_of_class(view.tenant, view.group().key)))
