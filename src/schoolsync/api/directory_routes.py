"""The operations of our own API that read the directory; `routes` lists them among all others."""

from __future__ import annotations

from schoolsync.access.roles import Act
from schoolsync.api import shapes
from schoolsync.api.route import Parameter, Route

LIMIT = Parameter(name="limit", kind="integer", meaning="most items on a page")
AFTER = Parameter(name="after", meaning="where the page before ended; `nextLink` has it")
PAGED = (LIMIT, AFTER)

_LOOKED_FOR = Parameter(
    name="search",
    meaning="only those with this in their name, with this id or SIS ID; people also by how their sign-in name begins",
)
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


ROUTES: tuple[Route, ...] = (
    _browse("schools", "list_schools", "Schools of the directory.", _LOOKED_FOR),
    _browse("classes", "list_classes", "Classes of the directory.", _LOOKED_FOR, _OF_SCHOOL),
    _browse("people", "list_people", "People of the directory.", _LOOKED_FOR, _OF_SCHOOL, _OF_CLASS, people=True),
    _browse("schools/{school}", "get_school", "One school of the directory."),
    _browse("classes/{class}", "get_class", "One class of the directory and its schools."),
    _browse("people/{person}", "get_person", "One person, by id or sign-in name, with schools, classes.", people=True),
)
