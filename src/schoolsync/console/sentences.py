"""Says in the reader's language what the rest of the house has said in English.

A sentence comes as a whole: a message that a run has stored last year, a refusal, a verdict. It is recognized by the
entries that `engine_texts` has found in the code, what was put into it is taken out and put into the translation. So
nothing has to be stored beside a sentence, the API keeps its English, and rows of earlier releases are read as well.

What stands in a hole may be a sentence itself, or a part of one (“3 created, 1 updated”); it is told in the same way.
Single words, such as the kinds of records, are translated only where the translation asks for one of their forms, as
in {name|of}: a school may be called like any of them. A sentence that nothing fits stays English.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

from babel.dates import format_date, format_datetime
from babel.messages import Catalog
from babel.numbers import format_decimal

from schoolsync import ticks

HOLE = re.compile(r"\{([a-z_]\w*)(?:\|(\w+))?\}")
ONE_OR_MORE = " || "
"""Stands between two translations: the first is taken when the first number that is put in is 1."""
SAME = "same"
"""A translation asks with it for the form that it was asked for itself: {name|same}."""
_WORD = re.compile(r"\w+")
_CUT = re.compile(r"(?<=[.!?:;]) +|(?<=[.!?:;][”)]) +|(?<=\))(?<!\(s\)) +| (?=\()")
_CUT_FINER = re.compile(rf"{_CUT.pattern}|(?<=,) +| (?=and \d)")
_CUTS = 18
"""A text of more parts is told part by part: nothing of ours is so long."""
_DEPTH = 5
_WORK = 600
"""So many parts of a text are looked at; our longest sentences are done with an eighth of it."""
_LONGEST = 3000
"""Letters of a text that is looked at: nothing of ours is longer, with whatever a person has written in it."""
_WEAK = 8
"""Parts of a sentence with fewer letters beside their holes fit too much: they count only where a form of words is
asked for."""
_RATHER_CUT = 3
"""So many letters less is an entry worth that takes several parts of a text for what is put into it."""
_TRIED = 3
"""So many of the entries that fit a text are tried, those that say most by themselves."""

_MANY = re.compile(r"\d{1,3}(,\d{3})+")
_BROKEN = re.compile(r"\d+\.\d+")
_DAY = re.compile(r"[12]\d{3}-[01]\d-[0-3]\d")
_MOMENT = re.compile(r"[12]\d{3}-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-5]\d(\.\d+)?Z")
_SHARES = ("share", "percent", "failed_percent", "limit")
_AS_WRITTEN = frozenset({"detail", "wanted", "typed", "word", "text", "url"})
"""What stands in these holes is quoted, and no date of ours."""


@dataclass(frozen=True)
class _Entry:
    """A sentence with holes, and its translation."""

    text: str
    told: str
    weak: bool

    @cached_property
    def parts(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """What stands between the holes, and their names."""
        found = HOLE.split(self.text)  # a text, a name, a form, a text …
        return tuple(found[::3]), tuple(found[1::3])

    def fit(self, text: str) -> dict[str, str] | None:
        """What is put into the holes, when the text is this sentence: of each as little as can be."""
        (first, *others), names = self.parts
        if not (text.startswith(first) and text.endswith(others[-1])) or len(text) < len(first) + len(others[-1]):
            return None
        at, end, given = len(first), len(text) - len(others[-1]), dict[str, str]()
        for name, following in zip(names, others[:-1], strict=False):
            found = text.find(following, at, end)
            if found < 0 or given.setdefault(name, text[at:found]) != text[at:found]:
                return None
            at = found + len(following)
        if given.setdefault(names[-1], text[at:end]) != text[at:end]:
            return None
        return given

    @cached_property
    def worth(self) -> int:
        return letters(self.text)


def alternative(told: str, given: Iterable[str]) -> str:
    """The translation for what is put in."""
    one, _, more = told.partition(ONE_OR_MORE)
    number = next((value for value in given if value[:1].isdigit()), "")
    return one if number == "1" or not more else more


def letters(text: str) -> int:
    """How many letters of a sentence are its own."""
    return sum(one.isalpha() for one in HOLE.sub("", text))


class Sentences:
    """The sentences of one language. Safe to share between threads."""

    def __init__(self, catalog: Catalog, language: str) -> None:
        self._language = language
        self.whole: dict[str, str] = {}
        self.words: dict[tuple[str, str], str] = {}
        self._by_word: dict[str, list[_Entry]] = {}
        entries: list[_Entry] = []
        for message in catalog:
            text, told = str(message.id), str(message.string)
            if not text or not told:
                continue
            if message.context:
                self.words[message.context, text] = told
            elif HOLE.search(text):
                own = HOLE.sub("", text)
                entries.append(_Entry(text, told, weak=letters(own) < _WEAK and not re.search("[.:;?]", own)))
            else:
                self.whole[text] = told
        often = Counter(word for entry in entries for word in set(_own_words(entry.text)))
        for entry in entries:  # an entry is looked for by the rarest of its words
            rarest = min(_own_words(entry.text), key=lambda word: (often[word], -len(word)), default="")
            self._by_word.setdefault(rarest, []).append(entry)
        self._told = lru_cache(4096)(self._tell)

    def tell(self, text: str) -> str | None:
        """The text in the language, or None when nothing of it is known."""
        return None if len(text) > _LONGEST else self._told(text)

    def _tell(self, text: str) -> str | None:
        worth, told = _Telling(self).tell(text, None, 0)
        return told if worth else None

    def like(self, text: str) -> Iterator[_Entry]:
        """The entries that may fit: those of which the rarest word is there."""
        for word in {*_WORD.findall(text), ""}:
            yield from self._by_word.get(word, ())

    def value(self, text: str, name: str = "") -> str:
        """A number, a day or a point in time as the language writes it; anything else as it is."""
        if _MANY.fullmatch(text):
            return str(format_decimal(int(text.replace(",", "")), locale=self._language))
        if name.rstrip("0123456789") in _SHARES and _BROKEN.fullmatch(text):
            return str(format_decimal(float(text), locale=self._language))
        if name in _AS_WRITTEN:
            return text
        if _DAY.fullmatch(text):
            return self._when(text, f"{text}T00:00:00Z", whole=False)
        return _MOMENT.sub(lambda moment: self._when(moment[0], moment[0], whole=True), text)

    def _when(self, text: str, moment: str, *, whole: bool) -> str:
        """A day, or a point in time as a `whole`; the text again when there is no such day."""
        try:
            when = ticks.moment(ticks.parse(moment))
        except ValueError:
            return text
        if whole:
            return f"{format_datetime(when, 'medium', locale=self._language)} UTC"
        return str(format_date(when, "medium", locale=self._language))


class _Telling:
    """One text on its way into the language: what of it has been looked at, and how much more may be."""

    def __init__(self, sentences: Sentences) -> None:
        self._sentences = sentences
        self._seen: dict[tuple[str, str | None, bool], tuple[int, str]] = {}
        self._left = _WORK

    def tell(self, text: str, form: str | None, depth: int) -> tuple[int, str]:
        """How many letters are known, and the text."""
        key = (text, form, depth > 0)
        if key not in self._seen:
            self._seen[key] = self._told(text, form, depth)
        return self._seen[key]

    def _told(self, text: str, form: str | None, depth: int) -> tuple[int, str]:
        """Of all ways to cut the text the one by which most of it is known."""
        self._left -= 1
        if depth > _DEPTH or self._left < 0 or not letters(text):
            return 0, self._sentences.value(text)
        cut = _CUT_FINER if depth else _CUT
        cuts = [(0, 0), *((one.start(), one.end()) for one in cut.finditer(text)), (len(text), len(text))]
        whole = self._piece(text, form, depth, alone=not depth and len(cuts) < 3)
        if len(cuts) < 3 or whole[0] >= letters(text):
            return whole
        most = len(cuts) - 1 if len(cuts) <= _CUTS else 3
        best: list[tuple[int, int, str]] = [(0, 0, "")]  # letters, pieces fewer, text up to a cut
        for upto in range(1, len(cuts)):
            ways = []
            for since in range(max(0, upto - most), upto):
                known, fewer, before = best[since]
                piece = text[cuts[since][1] : cuts[upto][0]]
                if (since, upto) == (0, len(cuts) - 1):
                    worth, told = whole
                elif (form, piece.strip(" ,;()")) in self._sentences.words:  # a name among others rather than a word
                    worth, told = 0, piece
                else:
                    worth, told = self._piece(piece, form, depth)
                between = text[cuts[since][0] : cuts[since][1]] if since else ""
                ways.append((known + worth, fewer - 1, f"{before}{between}{told}"))
            best.append(max(ways, key=lambda way: way[:2]))
        return best[-1][0], best[-1][2]

    def _piece(self, text: str, form: str | None, depth: int, *, alone: bool = False) -> tuple[int, str]:
        """The same of a text that is one entry, or one with brackets or a comma around; `alone`: nothing is beside."""
        if text in self._sentences.whole:
            return letters(text), self._sentences.whole[text]
        if form is not None and (form, text) in self._sentences.words:
            return letters(text), self._sentences.words[form, text]
        fitting = [
            (entry, given)
            for entry in self._sentences.like(text)
            if (not entry.weak or alone or form is not None) and (given := entry.fit(text)) is not None
        ]
        if fitting:
            fitting.sort(key=lambda one: one[0].worth, reverse=True)
            ways = [
                (*self._filled(entry, given, form=form, depth=depth), -sum(map(len, given.values())))
                for entry, given in fitting[:_TRIED]
            ]
            return max(ways, key=lambda way: (way[0], way[2]))[:2]
        for first, last in (("(", ")"), ("", ","), ("", ";"), (" ", ""), ("", " ")):
            if len(text) > 1 and text.startswith(first) and text.endswith(last):
                worth, told = self.tell(text[len(first) : len(text) - len(last)], form, depth + 1)
                if worth:
                    return worth, f"{first}{told}{last}"
        if depth and text[-1:].isalnum():  # a sentence within another one has lost its full stop
            worth, told = self._piece(f"{text}.", form, 0)
            if worth:
                return worth, told.removesuffix(".")
        return 0, self._sentences.value(text)

    def _filled(self, entry: _Entry, values: dict[str, str], *, form: str | None, depth: int) -> tuple[int, str]:
        more = 0

        def put(hole: re.Match[str]) -> str:
            nonlocal more
            given = values[hole[1]]
            asked = form if hole[2] == SAME else hole[2]
            known, told = self.tell(given, asked, depth + 1)
            if not known and asked:
                known, told = self._listed(given, asked, depth)
            more += known - (_RATHER_CUT if _CUT.search(given) else 0)
            return told if known else self._sentences.value(given, hole[1])

        told = HOLE.sub(put, alternative(entry.told, values.values()))
        return entry.worth + more, told

    def _listed(self, text: str, form: str, depth: int) -> tuple[int, str]:
        """Words or parts with commas or blanks between them, each known; nothing when one is not."""
        for between in (", ", " and ", " or ", " "):
            if between not in text:
                continue
            several = [self._piece(one, form, depth + 1) for one in text.split(between)]
            if all(known or not letters(told) for known, told in several):
                joint = {" and ": "and", " or ": "or"}.get(between)
                word = f" {self._sentences.words.get(('word', joint), joint)} " if joint else between
                return sum(known for known, _ in several), word.join(told for _, told in several)
        return 0, text


def _own_words(text: str) -> list[str]:
    """The words of a sentence that no hole touches: they stand in every text that fits."""
    return re.findall(r"(?<![\w}])\w+(?![\w{])", HOLE.sub("{}", text))
