"""What a person belongs to: the lists below /education/users/{user} and below /education/me are the same."""

from __future__ import annotations

from sqlalchemy import ColumnElement

from schoolsync.directory import reading
from schoolsync.directory.reading import Found
from schoolsync.directory.shapes import CLASS, SCHOOL, Shape
from schoolsync.graph.call import Reply
from schoolsync.graph.resources.views import Condition, View

CLASSES: tuple[Shape, Condition] = (CLASS, reading.classes_of_person)
TAUGHT: tuple[Shape, Condition] = (CLASS, reading.classes_taught_by)
SCHOOLS: tuple[Shape, Condition] = (SCHOOL, reading.schools_of_person)


def page(view: View, person: Found, kind: tuple[Shape, Condition]) -> Reply:
    """A page of what the person belongs to."""
    return view.page(kind[0], _condition(view, person, kind))


def count(view: View, person: Found, kind: tuple[Shape, Condition]) -> Reply:
    """How much the person belongs to."""
    return view.count(kind[0], _condition(view, person, kind))


def item(view: View, person: Found, kind: tuple[Shape, Condition]) -> Reply:
    """One of the things that the person belongs to. Raises NotFound for anything else."""
    condition = _condition(view, person, kind)
    row = view.school(condition) if kind[0] is SCHOOL else view.group(condition)
    return view.answer(kind[0], row)


def _condition(view: View, person: Found, kind: tuple[Shape, Condition]) -> ColumnElement[bool]:
    return kind[1](view.tenant, person.key)
