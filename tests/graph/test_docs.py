"""The pages about the Graph face say what the Graph face does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from schoolsync.graph import expand, search
from schoolsync.graph.errors import KINDS
from schoolsync.graph.filters import DEPTH_MAX, LENGTH_MAX, TERMS_MAX
from schoolsync.graph.pages import routes_page
from schoolsync.graph.resources.views import BASIC
from schoolsync.graph.routes import ROUTES, Route
from schoolsync.settings import Settings

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def page() -> str:
    return (DOCS / "graph.md").read_text("utf-8")


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} /{route.template}")
def test_every_route_is_listed(route: Route) -> None:
    """Each operation has its row with both permissions."""
    listed = (DOCS / "routes.md").read_text("utf-8")
    row = next(line for line in listed.splitlines() if f"`{route.method} /{route.template}`" in line)
    for permission in (*route.scopes, *route.roles):
        assert f"`{permission}`" in row


def test_the_list_of_routes_is_the_table() -> None:
    """docs/routes.md is what the table makes: renew it with `python -m schoolsync.graph.pages`."""
    assert (DOCS / "routes.md").read_text("utf-8") == routes_page()


def test_every_error_code_is_explained(page: str) -> None:
    """Each status and code that can be answered has its row, and no row is of something that cannot."""
    explained = set(re.findall(r"^\| (\d{3}) \| `(\w+)` \|", page, re.MULTILINE))
    answered = {
        (str(kind.status), code) for kind in KINDS.values() for code in (kind.code, kind.directory_code) if code
    }
    assert explained == answered | {("500", "InternalError")}


@pytest.mark.parametrize("type_name", sorted(BASIC))
def test_what_readbasic_shows_is_listed(page: str, type_name: str) -> None:
    """The properties left to ReadBasic are listed type by type."""
    row = re.search(rf"^\| `{type_name}` \| (.*) \|$", page, re.MULTILINE)
    assert row is not None
    assert set(re.findall(r"`(\w+)`", row[1])) == set(BASIC[type_name])


def test_the_limits_are_the_real_ones(page: str) -> None:
    """Limits in the text are those of the code."""
    assert f"at most {LENGTH_MAX} characters, {TERMS_MAX} comparisons" in " ".join(page.split())
    assert f"At most {search.LENGTH_MAX} characters and {search.TERMS_MAX} texts" in " ".join(page.split())
    assert (
        f"at most {expand.ITEMS_MAX} objects there, and a page with `$expand` at most {expand.PAGE_MAX}"
        in page.replace("\n", " ")
    )
    assert f"{DEPTH_MAX} levels" in page
    assert f"{Settings().page_size} without it, cut to {Settings().page_max}" in page
