"""docs/routes.md, made from the table of routes: `python -m schoolsync.graph.pages > docs/routes.md`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable

from schoolsync.graph.routes import ROUTES, Route

_HEAD = """\
# Routes

Every operation of the Graph face, made from the table in `schoolsync.graph.routes`
(`python -m schoolsync.graph.pages > docs/routes.md`). All are served below `/v1.0` and `/beta` alike; segments may be
spelled in any letter case, `/name('key')` is `/name/key`, `/name()` and `/microsoft.graph.name` are `/name`. How they
behave is told in [graph.md](graph.md).

The permissions are the least that open an operation; a higher one of the same family opens it too
(`Read` < `ReadWrite`, `ReadBasic` < `Read` < `ReadWrite`). “—” means that this kind of token is always refused (403).
"""


def routes_page() -> str:
    """The whole page."""

    def section(title: str, words: str, belongs: Callable[[Route], bool]) -> Iterable[str]:
        rows = [route for route in ROUTES if belongs(route)]
        yield f"\n## {title}\n\n{words}\n\n| operation | delegated | application |\n| --- | --- | --- |\n"
        for route in rows:
            if route.public:
                yield f"| `{route.method} /{route.template}` | no token needed | no token needed |\n"
                continue
            yield f"| `{route.method} /{route.template}` | {_either(route.scopes)} | {_either(route.roles)} |\n"

    def below(*prefixes: str) -> Callable[[Route], bool]:
        return lambda route: any(
            route.template == prefix or route.template.startswith(f"{prefix}/") for prefix in prefixes
        )

    parts = [
        _HEAD,
        *section(
            "Synchronization profiles",
            "What a profile is: [profiles.md](profiles.md). Reporting on it: [profile-status.md](profile-status.md).",
            below("education/synchronizationProfiles"),
        ),
        *section(
            "Schools", "Delegated tokens see all schools, and of them what is shared.", below("education/schools")
        ),
        *section("Classes", "Delegated tokens see the classes of their person.", below("education/classes")),
        *section(
            "Users and me",
            "`{user}` is the id or the principal name. Delegated tokens see their person and those in its classes.",
            below("education/users", "education/me"),
        ),
        *section(
            "Plain directory objects",
            "What stands behind people, classes and schools, with the same ids and the extension attributes of School "
            "Data Sync.",
            below("users", "groups", "directory"),
        ),
        *section(
            "The root, batches and the description of it all",
            "Either permission is enough; each request of a batch needs its own. The metadata needs no token.",
            lambda route: route.template in {"education", "$batch", "$metadata", ""},
        ),
    ]
    return "".join(parts)


def _either(names: tuple[str, ...]) -> str:
    return " or ".join(f"`{name}`" for name in names) or "—"


if __name__ == "__main__":
    sys.stdout.write(routes_page())
