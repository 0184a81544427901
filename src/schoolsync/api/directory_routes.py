"""The operations of our own API that read the directory; `routes` lists them among all others."""

from __future__ import annotations

from schoolsync.access.roles import Act
from schoolsync.api import shapes
from schoolsync.api.route import ROOT, Parameter, Route

LIMIT = Parameter(name="limit", kind="integer", meaning="most items on a page")
AFTER = Parameter(name="after", meaning="where the page before ended; `nextLink` has it")
PAGED = (LIMIT, AFTER)

_LOOKED_FOR = Parameter(
    name="search",
    meaning="only those with this in their name, with this id or SIS ID; people also by how their sign-in name begins",
)
_IN_BIN = Parameter(name="bin", kind="boolean", meaning="only those that lie in the bin; otherwise those that do not")
_OF_SCHOOL = Parameter(name="school", meaning="only those of the school with this object id")
_OF_CLASS = Parameter(name="class", meaning="only those of the class with this object id")


def _browse(template: str, handler: str, summary: str, *parameters: Parameter, people: bool = False) -> Route:
    """A list of the directory, or one of its objects."""
    return Route(
        method="GET",
        template=f"directory/{template}",
        handler=f"directory.{handler}",
        summary=summary,
        answers=shapes.Entries if parameters else shapes.DirectoryObject,
        act=Act.READ_PEOPLE if people else Act.READ,
        parameters=(*PAGED, *parameters) if parameters else (),
    )


def _restore(template: str, handler: str, what: str) -> Route:
    """Taking one of its objects out of the bin."""
    return Route(
        method="POST",
        template=f"directory/{template}/restore",
        handler=f"directory.{handler}",
        summary=f"Take {what} out of the bin; nothing puts it back until a roster has had it again.",
        answers=shapes.DirectoryObject,
        act=Act.UNDO,
        refusals=(409,),
    )


ROUTES: tuple[Route, ...] = (
    _browse("schools", "list_schools", "Schools of the directory.", _LOOKED_FOR, _IN_BIN),
    _browse("classes", "list_classes", "Classes of the directory.", _LOOKED_FOR, _OF_SCHOOL, _IN_BIN),
    _browse(
        *("people", "list_people", "People of the directory."),
        *(_LOOKED_FOR, _OF_SCHOOL, _OF_CLASS, _IN_BIN),
        people=True,
    ),
    _browse("schools/{school}", "get_school", "One school of the directory."),
    _browse("classes/{class}", "get_class", "One class of the directory and its schools."),
    _browse("people/{person}", "get_person", "One person, by id or sign-in name, with schools, classes.", people=True),
    _restore("schools/{school}", "restore_school", "a school"),
    _restore("classes/{class}", "restore_class", "a class"),
    _restore("people/{person}", "restore_person", "a person"),
)

RESTORING = tuple(f"{route.method} {ROOT}/{route.template}" for route in ROUTES if route.method == "POST")
"""The operations that change objects of the directory, as the audit log names them."""
