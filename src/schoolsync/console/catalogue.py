"""The texts of the console in every language: gettext catalogues, read as they stand in the repository.

English is in the templates and in the code; every other language is one `locales/<language>.po` for the console's own
texts, and one `locales/engine.<language>.po` for what the rest of the house says (`engine_texts`). Nothing is compiled.
`python -m schoolsync.console.catalogue` finds the texts again and merges them into the catalogues.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from babel.messages import Catalog
from babel.messages.extract import extract_from_dir, extract_from_file
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from babel.support import NullTranslations, Translations

from schoolsync.console import engine_texts
from schoolsync.console.sentences import Sentences

HERE = Path(__file__).parent
LOCALES = HERE / "locales"
LANGUAGES: Mapping[str, str] = {"en": "English", "de": "Deutsch"}
DEFAULT = "en"
ENGINE = "engine."
"""What the name of a catalogue begins with that has the sentences of the rest of the house."""

_METHODS = [("**/static/**", "ignore"), ("**.py", "python"), ("templates/**.html", "jinja2")]
_OPTIONS = {"templates/**.html": {"trimmed": "true", "newstyle_gettext": "true", "silent": "false"}}
_BESIDE = (HERE.parent / "access" / "sign_in_page.py",)
"""Pages that are not the console's and whose texts are in its catalogues."""
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


@cache
def sentences(language: str) -> Sentences | None:
    """What says the house's sentences in a language; nothing does in English, which they are in."""
    return None if language == DEFAULT else Sentences(read(f"{ENGINE}{language}"), language)


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
    for path in _BESIDE:
        for line, message, comments, context in extract_from_file("python", path, keywords=_KEYWORDS):
            catalog.add(message, None, [(path.name, line)], auto_comments=comments, context=context)
    return catalog


def page_beside(accept: str | None) -> tuple[str, Callable[[str], str]]:
    """The language of a page that is not the console's, for what a browser asks for, and who says texts in it."""
    language = chosen(None, accept)
    return language, translations(language).gettext


def found_sentences() -> Catalog:
    """Every sentence of the rest of the house, and the words that are put into them."""
    catalog = Catalog(fuzzy=False)
    for text, place in engine_texts.found().items():
        catalog.add(text, None, [(place, 1)])
    for form, words in engine_texts.WORDS.items():
        for word in words:
            catalog.add(word, None, context=form)
    return catalog


def read(name: str) -> Catalog:
    """A catalogue as it stands."""
    path, language = LOCALES / f"{name}.po", name.removeprefix(ENGINE)
    if not path.exists():
        return Catalog(locale=language, fuzzy=False)
    with path.open("rb") as source:
        return read_po(source, locale=language)


def main() -> None:
    """Merge the texts there are now into every catalogue."""
    for prefix, texts in (("", found()), (ENGINE, found_sentences())):
        for language in LANGUAGES:
            if language != DEFAULT:
                _merge(f"{prefix}{language}", texts)


def _merge(name: str, texts: Catalog) -> None:
    catalog = read(name)
    catalog.update(texts, no_fuzzy_matching=True, update_header_comment=False)
    with (LOCALES / f"{name}.po").open("wb") as sink:
        write_po(sink, catalog, width=120, no_location=True, sort_output=True, ignore_obsolete=True)
    missing = [message.id for message in catalog if message.id and not message.string]
    sys.stdout.write(f"{name}: {len(catalog)} texts, {len(missing)} not translated\n")


if __name__ == "__main__":
    main()
