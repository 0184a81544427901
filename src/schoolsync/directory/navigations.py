"""The lists that hang on schools, classes and people, as data: by which links, to what.

One table for `$expand`, for filters that look into a list, and for whoever wants to know what a list is called.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Table, select, true, union_all

from schoolsync.directory import reading
from schoolsync.directory.shapes import CLASS, GROUP, PERSON, SCHOOL, UNIT, USER, Shape
from schoolsync.store.directory_tables import class_people, school_classes, school_people


@dataclass(frozen=True, slots=True)
class Navigation:
    """One list of objects that are linked to an object."""

    name: str
    link: Table
    near: str  # the link's column of the object that has the list
    far: str  # the link's column of what is in it
    shape: Shape
    part: str | None = None  # the column that says that the link counts for this list

    def of(self, tenant: int) -> ColumnElement[bool]:
        """The condition that a link counts."""
        counts = self.link.c[self.part] if self.part else true()
        return (self.link.c.tenant == tenant) & counts


NAVIGATIONS: Mapping[str, tuple[Navigation, ...]] = {
    "educationSchool": (
        Navigation("classes", school_classes, "school", "class", CLASS),
        Navigation("users", school_people, "school", "person", PERSON),
    ),
    "educationClass": (
        Navigation("members", class_people, "class", "person", PERSON, "member"),
        Navigation("teachers", class_people, "class", "person", PERSON, "teacher"),
        Navigation("schools", school_classes, "class", "school", SCHOOL),
    ),
    "educationUser": (
        Navigation("classes", class_people, "person", "class", CLASS, "member"),
        Navigation("taughtClasses", class_people, "person", "class", CLASS, "teacher"),
        Navigation("schools", school_people, "person", "school", SCHOOL),
    ),
}
PLAIN: Mapping[str, tuple[str, Shape]] = {
    "educationSchool": ("administrativeUnit", UNIT),
    "educationClass": ("group", GROUP),
    "educationUser": ("user", USER),
}
"""The plain object behind an object: the same row by another name."""


def firsts(
    connection: Connection,
    navigation: Navigation,
    tenant: int,
    keys: Sequence[int],
    *,
    most: int,
    seen: ColumnElement[bool] | None,
) -> list[tuple[int, int]]:
    """Pairs of an object's key and that of something in its list: at most so many of each of a few objects.

    One short look-up for each object, in one statement: a list that is long costs no more than `most` of its links.
    """
    link, found = navigation.link, navigation.shape.table
    arms = []
    for key in keys:
        near, far = link.c[navigation.near], link.c[navigation.far]
        arm = select(near.label("near"), far.label("far")).where(navigation.of(tenant), near == key)
        if seen is not None:
            arm = arm.where(far.in_(select(found.c.key).where(seen)))
        # Few lie in the bin: each link is looked up there, by its key.
        lies = select(found.c.key).where(found.c.tenant == tenant, found.c.key == far, reading.in_bin(found))
        arm = arm.where(~lies.correlate(link).exists())
        arms.append(select(arm.order_by(far).limit(most).subquery()))
    if not arms:
        return []
    rows = connection.execute(union_all(*arms)).all()
    return [(int(row.near), int(row.far)) for row in rows]
