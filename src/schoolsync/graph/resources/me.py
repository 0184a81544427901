"""/education/me: the person a delegated token acts for."""

from __future__ import annotations

from schoolsync.directory.shapes import PERSON, USER
from schoolsync.graph.call import Call, Reply
from schoolsync.graph.resources import belongings
from schoolsync.graph.resources.views import reading_view


def get_me(call: Call) -> Reply:
    """GET /education/me."""
    with reading_view(call) as view:
        return view.answer(PERSON, view.me(), context="education/me/$entity")


def patch_me(call: Call) -> Reply:
    """PATCH /education/me: only applications may write, and an application is nobody."""
    with reading_view(call) as view:
        return view.answer(PERSON, view.me())


def list_classes(call: Call) -> Reply:
    """GET /education/me/classes."""
    with reading_view(call) as view:
        return belongings.page(view, view.me(), belongings.CLASSES)


def count_classes(call: Call) -> Reply:
    """GET /education/me/classes/$count."""
    with reading_view(call) as view:
        return belongings.count(view, view.me(), belongings.CLASSES)


def get_classes(call: Call) -> Reply:
    """GET /education/me/classes/{class}."""
    with reading_view(call) as view:
        return belongings.item(view, view.me(), belongings.CLASSES)


def list_taught_classes(call: Call) -> Reply:
    """GET /education/me/taughtClasses."""
    with reading_view(call) as view:
        return belongings.page(view, view.me(), belongings.TAUGHT)


def count_taught_classes(call: Call) -> Reply:
    """GET /education/me/taughtClasses/$count."""
    with reading_view(call) as view:
        return belongings.count(view, view.me(), belongings.TAUGHT)


def get_taught_classes(call: Call) -> Reply:
    """GET /education/me/taughtClasses/{class}."""
    with reading_view(call) as view:
        return belongings.item(view, view.me(), belongings.TAUGHT)


def list_schools(call: Call) -> Reply:
    """GET /education/me/schools."""
    with reading_view(call) as view:
        return belongings.page(view, view.me(), belongings.SCHOOLS)


def count_schools(call: Call) -> Reply:
    """GET /education/me/schools/$count."""
    with reading_view(call) as view:
        return belongings.count(view, view.me(), belongings.SCHOOLS)


def get_schools(call: Call) -> Reply:
    """GET /education/me/schools/{school}."""
    with reading_view(call) as view:
        return belongings.item(view, view.me(), belongings.SCHOOLS)


def get_directory_user(call: Call) -> Reply:
    """GET /education/me/user."""
    with reading_view(call) as view:
        return view.answer(USER, view.me())
