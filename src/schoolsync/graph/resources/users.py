"""/education/users: reading people, and people made, changed and deleted by hand."""

from __future__ import annotations

from schoolsync.directory import people, reading
from schoolsync.directory.shapes import PERSON
from schoolsync.errors import Invalid
from schoolsync.graph import bodies, etags
from schoolsync.graph.call import Call, Reply
from schoolsync.graph.resources import belongings
from schoolsync.graph.resources.views import reading_view, writing_view


def list_users(call: Call) -> Reply:
    """GET /education/users."""
    with reading_view(call) as view:
        return view.page(PERSON)


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
    values = bodies.read(PERSON.type_name, call.body, partial=False)
    person_id = call.services.new_id()
    with writing_view(call) as view:
        people.create(
            view.connection,
            tenant=view.tenant,
            values=values,
            person_id=person_id,
            client=call.principal.client,
            now=call.now,
        )
        made = reading.find_person(view.connection, view.tenant, person_id)
        assert made is not None
        return view.answer(PERSON, made, status=201)


def patch_user(call: Call) -> Reply:
    """PATCH /education/users/{user}: members merge, collections are replaced whole."""
    values = bodies.read(PERSON.type_name, call.body, partial=True)
    with writing_view(call) as view:
        person = view.person()
        etags.check(call, etags.weak(person.position))
        if values.get("id", person.id).lower() != person.id:
            raise Invalid("The property 'id' is read-only and differs from the address.", target="id")
        if people.change(view.connection, tenant=view.tenant, person=person, values=values, now=call.now):
            changed = reading.find_person(view.connection, view.tenant, person.id)
            assert changed is not None
            person = changed
        return view.answer(PERSON, person)


def delete_user(call: Call) -> Reply:
    """DELETE /education/users/{user}: the person goes with all links."""
    with writing_view(call) as view:
        person = view.person()
        etags.check(call, etags.weak(person.position))
        people.remove(view.connection, tenant=view.tenant, person=person)
    return Reply(status=204)


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


def get_directory_user(call: Call) -> Reply:
    """GET /education/users/{user}/user."""
    with reading_view(call) as view:
        return belongings.directory_user(view, view.person())
