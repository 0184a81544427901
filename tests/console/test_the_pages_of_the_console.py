"""What the console is made of: texts in every language, documented pages, scripts of others as they came."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from msgspec import inspect

from schoolsync.api.routes import STEP_KINDS, STEP_OPS
from schoolsync.console import catalogue, charts, engine_texts, sections, words
from schoolsync.console.app import STATIC
from schoolsync.console.fields import Field
from schoolsync.console.page_list import console_page
from schoolsync.console.pages import identity
from schoolsync.console.sentences import HOLE, ONE_OR_MORE, SAME, Sentences
from schoolsync.console.shown import Shown
from schoolsync.plan.kinds import LINKS, OBJECTS
from schoolsync.plan.steps import RULES
from schoolsync.plan.typed import Outcome, Person
from schoolsync.plan.verdicts import Guard
from schoolsync.profiles.policy import OwnSettings
from schoolsync.profiles.status import Status
from schoolsync.roster import codes
from schoolsync.roster import rules as roster_rules
from schoolsync.roster.fields import SENSITIVE
from schoolsync.runs.states import Cause, RunState
from schoolsync.serving import doctor

DOCS = Path(__file__).parents[2] / "docs"
OTHER_LANGUAGES = [language for language in catalogue.LANGUAGES if language != catalogue.DEFAULT]


@pytest.mark.parametrize("language", OTHER_LANGUAGES)
def test_every_text_is_in_every_language(language: str) -> None:
    """No text is missing, none is left over, and each keeps the values that it shows."""
    texts = {message.id: message for message in catalogue.found() if message.id}
    known = {message.id: message for message in catalogue.read(language) if message.id}
    assert texts.keys() == known.keys(), "python -m schoolsync.console.catalogue merges them"
    for message in known.values():
        strings = message.string if isinstance(message.string, tuple) else (message.string,)
        ids = message.id if isinstance(message.id, tuple) else (message.id,)
        assert all(strings), f"not translated: {message.id}"
        assert not message.fuzzy
        for string in strings:
            assert set(re.findall(r"%\(\w+\)\w", string)) == set(re.findall(r"%\(\w+\)\w", ids[-1])), message.id


@pytest.mark.parametrize("language", OTHER_LANGUAGES)
def test_every_sentence_of_the_house_is_in_every_language(language: str) -> None:
    """Whatever other modules say in English can be read: no sentence is missing, none is left over, each keeps what is
    put into it, and is recognized whatever that is."""
    texts = {(message.context, message.id) for message in catalogue.found_sentences() if message.id}
    known = {(message.context, message.id): str(message.string) for message in catalogue.read(f"engine.{language}")}
    known.pop((None, ""), None)
    assert texts == known.keys(), "python -m schoolsync.console.catalogue merges them"
    sentences = catalogue.sentences(language)
    assert sentences is not None
    for (form, text), told in known.items():
        assert told, f"not translated: {text}"
        if form is None:
            for one in told.split(ONE_OR_MORE):
                holes = {hole[1]: hole[2] for hole in HOLE.finditer(one)}
                assert holes.keys() == {hole[1] for hole in HOLE.finditer(text)}, text
                assert set(holes.values()) <= {None, SAME, *engine_texts.WORDS}, told
            said = sentences.tell(HOLE.sub(r"Xq\1z", text))
            if said is not None or text.endswith("."):
                assert said == HOLE.sub(r"Xq\1z", one)


TOLD = {
    "Nothing was changed: 1,200 of 2,040 students of school students would go (3 of them rejected records); none may "
    "in one run. 1 more guard says so, too: see the plan.": (
        "Nichts wurde geändert: 1.200 von 2.040 Schülern der Schule students würden gehen (3 davon fehlerhafte "
        "Datensätze); in einem Lauf ist keines zulässig. 1 weiterer Wächter sagt es auch: Sehen Sie im Plan nach."
    ),
    "Synchronized 8 schools, 1,200 people: 3 created, 1,204 linked. Quarantined: 5 of 8 people failed (62 %; more "
    "than 40.5 % and at least 5 are too many). Tried again at 2026-11-28T18:00:00Z.": (
        "Abgeglichen: 8 Schulen, 1.200 Personen – 3 angelegt, 1.204 zugeordnet. In Quarantäne: 5 von 8 Personen "
        "gescheitert (62 %; zu viele sind mehr als 40,5 % und mindestens 5). Nächster Versuch: 28.11.2026, 18:00:00 "
        "UTC."
    ),
    "First: Student.csv: 1 row(s) have missing data for the field - Username.": (
        "Zuerst: Student.csv: In 1 Zeile fehlen Angaben im Feld Username."
    ),
    "1,001 row(s) hold a line break.": "1.001 Zeilen enthalten einen Zeilenumbruch.",
    "The body is wrong: displayName must be a text of 1 to 256 characters.": (
        "Was gesendet wurde, ist falsch: displayName muss sein: ein Text von 1 bis 256 Zeichen."
    ),
    "The roster of run 3 does not have the person The Teachers (17) (Student.csv line 5). It was left out for its "
    "mistake. Username is empty. Give it a value.": (
        "Das Roster von Lauf 3 hat nicht die Person The Teachers (17) (Student.csv Zeile 5). Es wurde wegen seines "
        "Fehlers ausgelassen. Username ist leer. Tragen Sie einen Wert ein."
    ),
}


@pytest.mark.parametrize("said", TOLD)
def test_a_sentence_of_sentences_is_told_whole(said: str) -> None:
    """What is put into one may be one itself, or parts and words of one; names are left as they are, even those that
    are called like a kind, and numbers and times are written as the language has them."""
    sentences = catalogue.sentences("de")
    assert sentences is not None
    assert sentences.tell(said) == TOLD[said]
    assert sentences.tell("Vadsø is a town.") is None, "what nothing fits stays as it is"


def test_a_page_of_findings_is_told_in_no_time() -> None:
    """A hundred of them, all different, take less than a tenth of a second of work."""
    sentences = Sentences(catalogue.read("engine.de"), "de")
    rule, began = roster_rules.RULES["unknown-reference"], time.process_time()
    for number in range(100):
        said = sentences.tell(rule.message(column="School SIS ID", detail=f"S-{number}"))
        assert said is not None
        assert said.startswith(f"School SIS ID nennt S-{number}, was nicht in der zugehörigen Datei steht.")
    assert time.process_time() - began < 0.1


def test_a_text_that_is_made_to_take_long_does_not() -> None:
    """What people write is put into sentences: of nothing but pieces of ours it would fit in a thousand ways."""
    sentences = Sentences(catalogue.read("engine.de"), "de")
    pieces = [part for entry in catalogue.read("engine.de") for part in HOLE.split(str(entry.id)) if part]
    began = time.process_time()
    for number in range(20):
        sentences.tell(" x. ".join(pieces[number * 37 :: 101])[:2900])
    assert time.process_time() - began < 5.0
    assert sentences.tell(f"Paused. {'x' * 3000}") is None, "nothing of ours is so long"


def test_no_text_stands_in_a_template_outside_the_catalogues() -> None:
    """What is left of a template without its tags and expressions are no words."""
    for path in sorted((catalogue.HERE / "templates").glob("*.html")):
        text = path.read_text("utf-8")
        text = re.sub(r"\{%-?\s*trans.*?endtrans\s*-?%\}", "", text, flags=re.DOTALL)
        text = re.sub(r"\{[%#{].*?[%#}]\}", "", text, flags=re.DOTALL)
        text = re.sub(r"<(pre|title|code)[ >].*?</\1>|<!DOCTYPE[^>]*>|<[^>]*>|&\w+;", "", text, flags=re.DOTALL)
        left = re.findall(r"[^\W\d_]{2,}", text.replace("schoolsync", ""))
        assert not left, f"{path.name}: {left}"


def test_every_page_is_documented() -> None:
    """docs/console.md is what the table makes: renew it with `python -m schoolsync.console.page_list`."""
    assert (DOCS / "console.md").read_text("utf-8") == console_page()


def test_whatever_the_house_names_has_a_word() -> None:
    """No state, status or cause is shown by its code word, and every setting of a profile stands in a form."""
    assert set(words.RUN_STATE) == set(map(str, RunState))
    assert set(words.CAUSE) == set(map(str, Cause))
    assert set(words.CHECK) == set(doctor.CHECKS)
    assert set(words.GUARD) == set(Guard.__args__)  # type: ignore[attr-defined]  # a Literal has its values there
    assert set(words.KIND) >= set(STEP_KINDS)
    assert list(words.ENTRY)[:4] == [kind.entry for kind in OBJECTS], "what the others follow from comes first"
    assert set(words.ENTRY) == {kind.entry for kind in (*OBJECTS, *LINKS)}
    assert set(words.OP) == set(STEP_OPS)
    assert set(words.RULE) == set(RULES)
    assert set(words.TRIED) == set(Outcome.__args__)  # type: ignore[attr-defined]  # as above
    assert {name for name, _ in identity.FIELDS} | {"role"} == {
        field.encode_name for field in msgspec.structs.fields(Person)
    }
    assert set(words.STATUS) - {None, "none"} == set(map(str, Status))


def test_every_setting_of_a_profile_has_a_field() -> None:
    """Each that our own API takes has one of its own, each member of an entry a cell, each value that it may have a
    choice: nobody types JSON. What the API does not have stands in no form."""
    asked = [path for section in sections.SECTIONS for field in section.fields() for path in _asked(field)]
    assert len(asked) == len(set(asked))
    assert set(asked) == set(_settings(inspect.type_info(OwnSettings)))
    assert dict(sections.SENSITIVE).keys() == SENSITIVE.keys()
    assert dict(sections.LISTS).keys() == codes.SHIPPED.keys()


def _asked(field: Field) -> Iterator[str]:
    assert (field.kind in {"choice", "several"}) == bool(field.choices), field.path
    if field.words:
        yield f"{field.path}.*.*"
    elif field.cells:
        yield from (f"{field.path}[].{path}" for cell in field.cells for path in _asked(cell))
    elif field.choices and not field.more:
        yield from (f"{field.path}={value}" for value, _ in field.choices if value)
    else:
        yield field.path


def _settings(kind: inspect.Type, path: str = "") -> Iterator[str]:
    """Every path at which a setting stands, and the values of those that can have few."""
    match kind:
        case inspect.UnionType():
            for one in kind.types:
                yield from () if isinstance(one, inspect.NoneType) else _settings(one, path)
        case inspect.Metadata():
            yield from _settings(kind.type, path)
        case inspect.StructType():
            for field in kind.fields:
                yield from _settings(field.type, f"{path}.{field.encode_name}".removeprefix("."))
        case inspect.DictType():
            keys = kind.key_type.values if isinstance(kind.key_type, inspect.LiteralType) else ("*",)
            for key in keys:
                yield from _settings(kind.value_type, f"{path}.{key}")
        case inspect.VarTupleType() if isinstance(kind.item_type, inspect.StructType):
            yield from _settings(kind.item_type, f"{path}[]")
        case inspect.VarTupleType():
            yield from _settings(kind.item_type, path)
        case inspect.LiteralType():
            yield from (f"{path}={value}" for value in kind.values)
        case _:
            yield path


def test_scripts_of_others_are_as_they_came() -> None:
    """Each has its row with licence and hash, and is that file."""
    rows = (STATIC / "vendor" / "README.md").read_text("utf-8")
    for path in sorted((STATIC / "vendor").glob("*.js")):
        (row,) = [line for line in rows.splitlines() if f"| {path.name} |" in line]
        assert hashlib.sha256(path.read_bytes()).hexdigest() in row


def test_nothing_runs_or_is_styled_inside_a_page() -> None:
    """Templates have no script, no style and no handler of their own: the policy would stop them."""
    for path in sorted((catalogue.HERE / "templates").glob("*.html")):
        assert not re.search(r"<style|<script(?! src=)|\son\w+=|\sstyle=|javascript:", path.read_text("utf-8")), (
            path.name
        )


def test_charts_say_what_they_show() -> None:
    """Gaps break the line, one value makes none, and whatever a label holds stays text."""
    drawn = charts.line([1, None, 3, 5], label='a "b" <c>')
    assert drawn.count("M") == 2
    assert "a &#34;b&#34; &lt;c&gt;" in drawn
    assert charts.line([4], label="one") == ""
    assert charts.bars([0, 2], label="two").count("<rect") == 2


def test_values_in_the_readers_language() -> None:
    """Numbers, times and ages are written as the language does."""
    now = 638_000_000_000_000_000
    english, german = Shown("en", now), Shown("de", now)
    assert (english.number(1234567), german.number(1234567)) == ("1,234,567", "1.234.567")
    assert "UTC" in english.when("2026-01-31T08:00:00Z")
    assert 'datetime="2026-01-31T08:00:00Z"' in german.when("2026-01-31T08:00:00Z")
    assert (english.lasting(0.25), german.lasting(7200)) == ("0.2 s", "2 Stunden")
    assert english.size(1_500_000) == "1.5 MB"
