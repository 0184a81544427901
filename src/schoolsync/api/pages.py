"""docs/api.md, made from the table of routes: `python -m schoolsync.api.pages > docs/api.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from schoolsync.access import roles
from schoolsync.api.route import Route
from schoolsync.api.routes import ROUTES

_HEAD = """\
# The API of our own

Beside Graph's routes, below `/schoolsync/v1`: what Graph has no word for. This page is made from the table in
`schoolsync.api.routes` (`python -m schoolsync.api.pages > docs/api.md`). The same as OpenAPI 3.1 is served at
`/schoolsync/v1/openapi.json`, without a token.

* **Tokens** are those of the Graph routes ([access.md](access.md)). Every operation but those marked "any" needs one
  of the [roles](access.md#roles-of-our-own) in its row; the scopes `EduAdministration.Read` and
  `EduAdministration.ReadWrite` bring `viewer` and `operator`.
* **Errors** have Graph's body and codes ([graph.md](graph.md)): what is wrong, `target` where a parameter or member is
  at fault, the ids of the request. What another tenant has is 404.
* **Lists** have `value` and `nextLink`; the link is null on the last page. `limit` asks for smaller pages, at most
  the setting `page_max`.
* **Names** are camelCase, times ISO 8601 in UTC. An unknown query parameter, setting or member is refused.
"""

_TITLES = {
    "directory": "Directory",
    "changes": "Change history",
    "system": "Audit log and the installation",
    "notices": "Notices",
    "root": "The API itself",
    "profiles": "Profiles",
    "runs": "Runs",
    "errors": "What could not be synchronized",
    "findings": "Findings",
    "plans": "Plans, approvals, undo",
    "rekeys": "Changed SIS IDs",
    "explain": "Explanations",
    "identify": "Trying identity rules",
    "previews": "Previews",
}


def api_page() -> str:
    """The whole page."""
    return "".join(_parts())


def _parts() -> Iterable[str]:
    yield _HEAD
    section = ""
    for route in ROUTES:
        module = route.handler.partition(".")[0]
        if module != section:
            section = module
            yield f"\n## {_TITLES[module]}\n\n| operation | what it does | roles |\n| --- | --- | --- |\n"
        yield f"| `{route.method} /{route.template}` | {route.summary}{_parameters(route)} | {_roles(route)} |\n"


def _parameters(route: Route) -> str:
    if not route.parameters:
        return ""
    told = [
        f"`{one.name}` ({one.meaning}{': ' + ', '.join(one.values) if one.values else ''})" for one in route.parameters
    ]
    return f" Parameters: {', '.join(told)}."


def _roles(route: Route) -> str:
    if route.public:
        return "no token needed"
    if route.act is None:
        return "any"
    rule = roles.RULES[route.act]
    names = ", ".join(role.name.lower() for role in roles.Role if role in rule.roles)
    return names if rule.application else f"{names}; persons alone"


if __name__ == "__main__":
    sys.stdout.write(api_page())
