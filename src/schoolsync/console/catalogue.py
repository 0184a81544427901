"""The texts of the console in every language: gettext catalogues, read as they stand in the repository.

English is in the templates and in the code; every other language is one `locales/<language>.po`. Nothing is compiled.
`python -m schoolsync.console.catalogue` finds the texts again and merges them into the catalogues.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from babel.messages import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from babel.support import NullTranslations, Translations

HERE = Path(__file__).parent
LOCALES = HERE / "locales"
LANGUAGES: Mapping[str, str] = {"en": "English", "de": "Deutsch"}
DEFAULT = "en"

_METHODS = [("**/static/**", "ignore"), ("**.py", "python"), ("templates/**.html", "jinja2")]
_OPTIONS = {"templates/**.html": {"trimmed": "true", "newstyle_gettext": "true", "silent": "false"}}
_KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2), "N_": None}


def N_(text: str) -> str:  # noqa: N802  # what gettext calls it
    """Marks a text for the catalogues where it is only named, not shown."""
    return text


@cache
def translations(language: str) -> NullTranslations:
    """The texts of a language."""
    if language == DEFAULT:
        return NullTranslations()
    compiled = io.BytesIO()
    with (LOCALES / f"{language}.po").open("rb") as source:
        write_mo(compiled, read_po(source, locale=language))
    compiled.seek(0)
    return Translations(compiled)


def chosen(cookie: str | None, accept: str | None) -> str:
    """The language of a page: what the person has chosen, else the first that the browser asks for and we have."""
    if cookie in LANGUAGES:
        return str(cookie)
    for part in (accept or "").lower().split(","):
        language = part.partition(";")[0].strip().partition("-")[0]
        if language in LANGUAGES:
            return language
    return DEFAULT


def found() -> Catalog:
    """Every text of the templates and the code."""
    catalog = Catalog(fuzzy=False)
    for name, line, message, comments, context in extract_from_dir(
        HERE, method_map=_METHODS, options_map=_OPTIONS, keywords=_KEYWORDS
    ):
        catalog.add(message, None, [(f"{name}", line)], auto_comments=comments, context=context)
    return catalog


def read(language: str) -> Catalog:
    """A catalogue as it stands."""
    path = LOCALES / f"{language}.po"
    if not path.exists():
        return Catalog(locale=language, fuzzy=False)
    with path.open("rb") as source:
        return read_po(source, locale=language)


def main() -> None:
    """Merge the texts there are now into every catalogue."""
    texts = found()
    for language in LANGUAGES:
        if language == DEFAULT:
            continue
        catalog = read(language)
        catalog.update(texts, no_fuzzy_matching=True, update_header_comment=False)
        with (LOCALES / f"{language}.po").open("wb") as sink:
            write_po(sink, catalog, width=120, no_location=True, sort_output=True, ignore_obsolete=True)
        missing = [message.id for message in catalog if message.id and not message.string]
        sys.stdout.write(f"{language}: {len(catalog)} texts, {len(missing)} not translated\n")


if __name__ == "__main__":
    main()
