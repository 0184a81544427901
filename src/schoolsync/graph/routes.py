"""Every operation of the Graph face: one row each, and the row names the handler.

A row says which least permission each kind of token needs (higher ones include lower ones; None: that kind is never
allowed) and whether the answer comes from one quick look-up, which then runs on the event loop. Handlers live in
`graph.resources` under the name the row gives. docs/routes.md is made from this table.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from enum import Enum
from importlib import import_module
from typing import cast

from schoolsync.graph.call import Call, Reply
from schoolsync.settings import Settings

Handler = Callable[[Call], Reply | Awaitable[Reply]]


class Permission(Enum):
    """What an operation needs; the values are the delegated scopes, application roles end in `.All`."""

    ADMIN_READ = "EduAdministration.Read"
    ADMIN_WRITE = "EduAdministration.ReadWrite"
    ROSTER_BASIC = "EduRoster.ReadBasic"
    ROSTER_READ = "EduRoster.Read"
    ROSTER_WRITE = "EduRoster.ReadWrite"


_RO, _RW = Permission.ADMIN_READ, Permission.ADMIN_WRITE
_RB, _R, _W = Permission.ROSTER_BASIC, Permission.ROSTER_READ, Permission.ROSTER_WRITE


class Area(Enum):
    """Whose error codes an operation answers with."""

    PROFILES = "profiles"
    DIRECTORY = "directory"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One operation. `delegated` and `application` are alternatives, any of which is enough; empty: never."""

    method: str
    template: str  # below the version; {name} is a key
    handler: str  # module.function in graph.resources
    delegated: tuple[Permission, ...]
    application: tuple[Permission, ...]
    area: Area
    body: bool = False  # takes a JSON object
    text: bool = False  # answers text/plain
    xml: bool = False  # answers application/xml
    inline: bool = False  # one point read: quicker than a thread
    whole_set: str = ""  # what answers instead when a page of a whole set is asked for without any wish; it waits
    public: bool = False  # needs no token

    # What follows from the row, made once: every request asks for it.
    scopes: tuple[str, ...] = field(init=False)
    """The least delegated scopes."""
    roles: tuple[str, ...] = field(init=False)
    """The least application roles."""
    audited: bool = field(init=False)
    """Whether the audit log keeps who did it: whatever changes something, and what hands out a way to change."""
    plain: bool = field(init=False)
    """Whether it is about the plain objects behind schools, classes and people, at their own addresses."""

    def __post_init__(self) -> None:
        follows = {
            "scopes": tuple(permission.value for permission in self.delegated),
            "roles": tuple(f"{permission.value}.All" for permission in self.application),
            "audited": (self.method != "GET" and self.template != "$batch") or self.handler.endswith(".upload_url"),
            "plain": self.template.startswith(("users", "groups", "directory/")),
        }
        for name, value in follows.items():
            object.__setattr__(self, name, value)

    def resolve(self) -> Handler:
        """The handler itself."""
        return _resolved(self.handler)

    def resolve_whole_set(self) -> Handler | None:
        """The handler of the page of a whole set."""
        return _resolved(self.whole_set) if self.whole_set else None


def _resolved(handler: str) -> Handler:
    module, _, name = handler.partition(".")
    return cast(Handler, getattr(import_module(f"schoolsync.graph.resources.{module}"), name))


def _row(
    area: Area,
    method: str,
    template: str,
    handler: str,
    delegated: Permission | tuple[Permission, ...] | None,
    application: Permission | tuple[Permission, ...] | None,
    *,
    takes_body: bool | None = None,
    text: bool = False,
    inline: bool = False,
    whole_set: str = "",
    public: bool = False,
) -> Route:
    def several(permission: Permission | tuple[Permission, ...] | None) -> tuple[Permission, ...]:
        if permission is None:
            return ()
        return permission if isinstance(permission, tuple) else (permission,)

    return Route(
        method=method,
        template=template,
        handler=handler,
        delegated=several(delegated),
        application=several(application),
        area=area,
        body=method in {"POST", "PATCH", "PUT"} if takes_body is None else takes_body,
        text=text,
        xml=template == "$metadata",
        inline=inline,
        whole_set=whole_set,
        public=public,
    )


def _profiles() -> Iterator[Route]:
    area = Area.PROFILES
    many = "education/synchronizationProfiles"
    one = f"{many}/{{profile}}"
    yield _row(area, "GET", many, "profiles.list_profiles", _RO, _RO)
    yield _row(area, "GET", f"{many}/$count", "profiles.count_profiles", _RO, _RO, text=True)
    yield _row(area, "GET", one, "profiles.get_profile", _RO, _RO, inline=True)
    yield _row(area, "POST", many, "profiles.create_profile", _RW, None)
    yield _row(area, "PUT", many, "profiles.put_profile_in_collection", _RW, None)
    yield _row(area, "PUT", one, "profiles.put_profile", _RW, None)
    yield _row(area, "PATCH", one, "profiles.patch_profile", _RW, None)
    yield _row(area, "DELETE", one, "profiles.delete_profile", _RW, None)
    for action in ("pause", "resume", "reset", "start"):
        yield _row(area, "POST", f"{one}/{action}", f"profile_actions.{action}", _RW, _RW, takes_body=False)
    yield _row(area, "GET", f"{one}/uploadUrl", "profile_actions.upload_url", _RW, _RW)
    status = f"{one}/profileStatus"
    yield _row(area, "GET", status, "profile_status.get_status", _RO, _RO, inline=True)
    yield _row(area, "PATCH", status, "profile_status.patch_status", _RW, _RW)
    yield _row(area, "DELETE", status, "profile_status.delete_status", _RW, _RW)
    errors = f"{one}/errors"
    yield _row(area, "GET", errors, "profile_errors.list_errors", _RO, _RO)
    yield _row(area, "GET", f"{errors}/$count", "profile_errors.count_errors", _RO, _RO, text=True)
    yield _row(area, "GET", f"{errors}/{{error}}", "profile_errors.get_error", _RO, _RO, inline=True)
    yield _row(area, "POST", errors, "profile_errors.create_error", _RW, _RW)
    yield _row(area, "PATCH", f"{errors}/{{error}}", "profile_errors.patch_error", _RW, _RW)
    yield _row(area, "DELETE", f"{errors}/{{error}}", "profile_errors.delete_error", _RW, _RW)


def _navigation(
    owner: str, name: str, module: str, key: str, delegated: Permission | None, *, item: bool = True
) -> Iterator[Route]:
    """A list below an object, its count and its single items."""
    area, path = Area.DIRECTORY, f"{owner}/{name}"
    handler = f"{module}.{{}}_{'taught_classes' if name == 'taughtClasses' else name}"
    yield _row(area, "GET", path, handler.format("list"), delegated, _R)
    yield _row(area, "GET", f"{path}/$count", handler.format("count"), delegated, _R, text=True)
    if item:
        yield _row(area, "GET", f"{path}/{{{key}}}", handler.format("get"), delegated, _R)


def _references(owner: str, name: str, key: str, delegated: Permission | None) -> Iterator[Route]:
    """The links themselves."""
    area, path = Area.DIRECTORY, f"{owner}/{name}"
    yield _row(area, "GET", f"{path}/$ref", "links.list_references", delegated, _R)
    yield _row(area, "POST", f"{path}/$ref", "links.add_reference", None, _W)
    yield _row(area, "DELETE", f"{path}/$ref", "links.remove_reference", None, _W)
    yield _row(area, "DELETE", f"{path}/{{{key}}}/$ref", "links.remove_reference", None, _W)
    # Graph's own examples leave /$ref off when they remove a link; it must never delete the object.
    yield _row(area, "DELETE", f"{path}/{{{key}}}", "links.remove_reference", None, _W)


def _set(many: str, key: str, module: str, noun: str, plural: str, listed: Permission | None) -> Iterator[Route]:
    """One of the three sets: lists, counts, single objects, changes."""
    area, one = Area.DIRECTORY, f"{many}/{{{key}}}"
    yield _row(area, "GET", many, f"{module}.list_{plural}", listed, _R, whole_set=f"{module}.whole_{plural}")
    yield _row(area, "GET", f"{many}/$count", f"{module}.count_{plural}", listed, _R, text=True)
    # Each of the three delta permissions is enough, for either kind of token; users have no basic one as application.
    basic = _R if key == "user" else _RB
    yield _row(area, "GET", f"{many}/delta", f"delta.{module}", _RB, basic)
    yield _row(area, "GET", one, f"{module}.get_{noun}", _RB, _R, inline=True)
    yield _row(area, "POST", many, f"{module}.create_{noun}", None, _W)
    yield _row(area, "PATCH", one, f"{module}.patch_{noun}", None, _W)
    yield _row(area, "DELETE", one, f"{module}.delete_{noun}", None, _W)


def _directory() -> Iterator[Route]:
    area = Area.DIRECTORY
    school, group, user = "education/schools/{school}", "education/classes/{class}", "education/users/{user}"
    yield from _set("education/schools", "school", "schools", "school", "schools", _RB)
    yield _row(area, "GET", f"{school}/administrativeUnit", "plain.get_unit", _RB, _R, inline=True)
    yield _row(area, "PATCH", f"{school}/administrativeUnit", "plain.patch_unit", None, _W)
    yield from _navigation(school, "classes", "schools", "class", _RB)
    yield from _references(school, "classes", "class", _RB)
    yield from _navigation(school, "users", "schools", "user", None)
    yield from _references(school, "users", "user", None)
    yield from _set("education/classes", "class", "classes", "class", "classes", _RB)
    yield _row(area, "GET", f"{group}/group", "plain.get_group", _RB, _R, inline=True)
    for name in ("members", "teachers"):
        yield from _navigation(group, name, "classes", "user", _RB)
        yield from _references(group, name, "user", _RB)
    yield from _navigation(group, "schools", "classes", "school", _RB)
    yield from _set("education/users", "user", "users", "user", "users", None)
    for owner, module in ((user, "users"), ("education/me", "me")):
        yield from _navigation(owner, "classes", module, "class", _RB)
        yield from _navigation(owner, "taughtClasses", module, "class", _RB)
        yield from _navigation(owner, "schools", module, "school", _RB)
        handler = "me.get_directory_user" if module == "me" else "plain.get_user"
        yield _row(area, "GET", f"{owner}/user", handler, _RB, _R, inline=True)
    yield _row(area, "GET", "education/me", "me.get_me", _RB, _R, inline=True)
    yield _row(area, "PATCH", "education/me", "me.patch_me", None, _W)


def _plain() -> Iterator[Route]:
    """The objects of the directory behind schools, classes and people, as scripts for School Data Sync read them."""
    area = Area.DIRECTORY
    for many, key, noun, behind in (
        ("users", "user", "user", "users"),
        ("groups", "class", "group", "classes"),
        ("directory/administrativeUnits", "school", "unit", "schools"),
    ):
        yield _row(area, "GET", many, f"plain.list_{noun}s", _RB, _R)
        yield _row(area, "GET", f"{many}/$count", f"plain.count_{noun}s", _RB, _R, text=True)
        yield _row(area, "GET", f"{many}/{{{key}}}", f"plain.get_{noun}", _RB, _R, inline=True)
        yield _row(area, "PATCH", f"{many}/{{{key}}}", f"plain.patch_{noun}", None, _W)
        yield _row(area, "DELETE", f"{many}/{{{key}}}", f"{behind}.delete_{key}", None, _W)
    unit, group = "directory/administrativeUnits/{school}", "groups/{class}"
    for owner, name, handler, delegated in (
        (group, "members", "members", _RB),
        (group, "owners", "owners", _RB),
        (unit, "members", "unit_members", None),
    ):
        path = f"{owner}/{name}"
        yield _row(area, "GET", path, f"plain.list_{handler}", delegated, _R)
        yield _row(area, "GET", f"{path}/$count", f"plain.count_{handler}", delegated, _R, text=True)
        yield _row(area, "GET", f"{path}/$ref", "links.list_references", delegated, _R)
        yield _row(area, "POST", f"{path}/$ref", "links.add_reference", None, _W)
        yield _row(area, "DELETE", f"{path}/$ref", "links.remove_reference", None, _W)
        yield _row(area, "DELETE", f"{path}/{{user}}/$ref", "links.remove_reference", None, _W)


def _rest() -> Iterator[Route]:
    area = Area.PROFILES  # the plain error codes
    yield _row(area, "GET", "education", "root.get_root", (_RB, _RO), (_R, _RO), inline=True)
    yield _row(area, "PATCH", "education", "root.patch_root", None, _W)
    every = (_RB, _RO)
    yield _row(area, "POST", "$batch", "document.batch", every, every)
    yield _row(area, "GET", "$metadata", "document.metadata", (), (), public=True)
    yield _row(area, "GET", "", "document.service_document", every, every)


def routes_for(settings: Settings) -> tuple[Route, ...]:
    """The operations as an installation's settings have them."""
    if not settings.app_only_create:
        return ROUTES
    return tuple(
        replace(route, application=(_RW,)) if route.template in _WRITTEN_BY_PEOPLE and not route.application else route
        for route in ROUTES
    )


_WRITTEN_BY_PEOPLE = ("education/synchronizationProfiles", "education/synchronizationProfiles/{profile}")
"""What Graph lets only people create, change and delete; the setting `app_only_create` lets applications too."""

ROUTES: tuple[Route, ...] = (*_rest(), *_profiles(), *_directory(), *_plain())
"""Every operation, in the order of docs/routes.md."""

_OBJECTS = ("education/schools", "education/classes", "education/users", "users", "groups", "directory")
_ME = "education/me"


def changing_objects() -> tuple[str, ...]:
    """The operations that change objects of the directory, as the audit log names them."""
    found = (
        f"{route.method} {route.template}"
        for route in ROUTES
        if route.method != "GET" and (route.template == _ME or route.template.startswith(_OBJECTS))
    )
    return tuple(dict.fromkeys(found))
