"""/education/users and what a person belongs to."""

from __future__ import annotations

from schoolsync.directory.shapes import PERSON
from schoolsync.graph.call import Call, Reply
from schoolsync.graph.resources import belongings, written
from schoolsync.graph.resources.views import reading_view, whole_page


def list_users(call: Call) -> Reply:
    """GET /education/users."""
    with reading_view(call) as view:
        return view.page(PERSON)


async def whole_users(call: Call) -> Reply:
    """The same, without any wish."""
    return await whole_page(call, PERSON)


def count_users(call: Call) -> Reply:
    """GET /education/users/$count."""
    with reading_view(call) as view:
        return view.count(PERSON)


def get_user(call: Call) -> Reply:
    """GET /education/users/{user}; the key is the id or the principal name."""
    with reading_view(call) as view:
        return view.answer(PERSON, view.person())


def create_user(call: Call) -> Reply:
    """POST /education/users."""
    return written.create(call, PERSON)


def patch_user(call: Call) -> Reply:
    """PATCH /education/users/{user}: members merge, collections are replaced whole."""
    return written.patch(call, PERSON)


def delete_user(call: Call) -> Reply:
    """DELETE /education/users/{user}: the person goes with all links."""
    return written.delete(call, PERSON)


def list_classes(call: Call) -> Reply:
    """GET /education/users/{user}/classes."""
    with reading_view(call) as view:
        return belongings.page(view, view.person(), belongings.CLASSES)


def count_classes(call: Call) -> Reply:
    """GET /education/users/{user}/classes/$count."""
    with reading_view(call) as view:
        return belongings.count(view, view.person(), belongings.CLASSES)


def get_classes(call: Call) -> Reply:
    """GET /education/users/{user}/classes/{class}."""
    with reading_view(call) as view:
        return belongings.item(view, view.person(), belongings.CLASSES)


def list_taught_classes(call: Call) -> Reply:
    """GET /education/users/{user}/taughtClasses."""
    with reading_view(call) as view:
        return belongings.page(view, view.person(), belongings.TAUGHT)


def count_taught_classes(call: Call) -> Reply:
    """GET /education/users/{user}/taughtClasses/$count."""
    with reading_view(call) as view:
        return belongings.count(view, view.person(), belongings.TAUGHT)


def get_taught_classes(call: Call) -> Reply:
    """GET /education/users/{user}/taughtClasses/{class}."""
    with reading_view(call) as view:
        return belongings.item(view, view.person(), belongings.TAUGHT)


def list_schools(call: Call) -> Reply:
    """GET /education/users/{user}/schools."""
    with reading_view(call) as view:
        return belongings.page(view, view.person(), belongings.SCHOOLS)


def count_schools(call: Call) -> Reply:
    """GET /education/users/{user}/schools/$count."""
    with reading_view(call) as view:
        return belongings.count(view, view.person(), belongings.SCHOOLS)


def get_schools(call: Call) -> Reply:
    """GET /education/users/{user}/schools/{school}."""
    with reading_view(call) as view:
        return belongings.item(view, view.person(), belongings.SCHOOLS)
