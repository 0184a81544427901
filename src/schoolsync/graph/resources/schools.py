"""/education/schools and what hangs on a school."""

from __future__ import annotations

from sqlalchemy import ColumnElement

from schoolsync.directory import reading
from schoolsync.directory.shapes import CLASS, PERSON, SCHOOL
from schoolsync.graph.call import Call, Reply
from schoolsync.graph.resources import written
from schoolsync.graph.resources.views import View, reading_view, whole_page


def list_schools(call: Call) -> Reply:
    """GET /education/schools."""
    with reading_view(call) as view:
        return view.page(SCHOOL)


async def whole_schools(call: Call) -> Reply:
    """The same, without any wish."""
    return await whole_page(call, SCHOOL)


def count_schools(call: Call) -> Reply:
    """GET /education/schools/$count."""
    with reading_view(call) as view:
        return view.count(SCHOOL)


def get_school(call: Call) -> Reply:
    """GET /education/schools/{school}."""
    with reading_view(call) as view:
        return view.answer(SCHOOL, view.school())


def create_school(call: Call) -> Reply:
    """POST /education/schools: the administrative unit with the same id comes with it."""
    return written.create(call, SCHOOL)


def patch_school(call: Call) -> Reply:
    """PATCH /education/schools/{school}."""
    return written.patch(call, SCHOOL)


def delete_school(call: Call) -> Reply:
    """DELETE /education/schools/{school}: its classes and people stay."""
    return written.delete(call, SCHOOL)


def list_classes(call: Call) -> Reply:
    """GET /education/schools/{school}/classes."""
    with reading_view(call) as view:
        return view.page(CLASS, _classes(view))


def count_classes(call: Call) -> Reply:
    """GET /education/schools/{school}/classes/$count."""
    with reading_view(call) as view:
        return view.count(CLASS, _classes(view))


def get_classes(call: Call) -> Reply:
    """GET /education/schools/{school}/classes/{class}."""
    with reading_view(call) as view:
        return view.answer(CLASS, view.group(_classes(view)))


def list_users(call: Call) -> Reply:
    """GET /education/schools/{school}/users."""
    with reading_view(call) as view:
        return view.page(PERSON, _people(view))


def count_users(call: Call) -> Reply:
    """GET /education/schools/{school}/users/$count."""
    with reading_view(call) as view:
        return view.count(PERSON, _people(view))


def get_users(call: Call) -> Reply:
    """GET /education/schools/{school}/users/{user}."""
    with reading_view(call) as view:
        return view.answer(PERSON, view.person(_people(view)))


def _classes(view: View) -> ColumnElement[bool]:
    return reading.classes_of_school(view.tenant, view.school().key)


def _people(view: View) -> ColumnElement[bool]:
    return reading.people_of_school(view.tenant, view.school().key)
