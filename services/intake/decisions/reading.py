"""What a petition means: its category, its place, its signs. Pure, explained, bounded.

`compile_vocabulary` builds a `Reader` once for each policy version; `Reader.read` reads one
petition. Vocabulary and gazetteer are one Aho-Corasick automaton, so a text is walked once.
A word or name inside a longer one is not heard ("水道" in "下水道", "市场" in "菜市场"): that is
why a vocabulary may hold words of weight 0, which say nothing and only shield what is inside.

How a category is scored (all numbers [ours], tuned on labelled petitions):

    gain(word)      = weight * length * (2.5 if in the subject, + 2 - 2^(1-n) if n times in text)
                      length = 0.8 + 0.1 per character, at most 1.4: a longer word is more specific
    score(category) = sum of its words' gains, * 1.2 if the petition's kind is the category's own
    confidence      = evidence * clarity * voices * trust, of the best score s1 and the second s2
                      evidence = 1 - e^(-s1 / 3), clarity = 0.35 + 0.65 (s1 - s2) / s1
                      voices   = 1, but 1 - 2^-n of n different words where the matter would be
                                 handed off at once (emergencies, accusations): one word in
                                 passing, "we even called 110", must never make an emergency
                      trust    = how far labelled petitions bear out its class: see `learned`

The best category is named however small its confidence: whether that is enough is the router's
decision, by the threshold of its policy. A sign is set when its words weigh 1 or more together.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from math import exp
from typing import Final, Literal, TypeAlias, get_args

from services.intake.decisions.learned import Learned
from services.intake.decisions.matching import Matcher, octets_of, text_of
from services.intake.decisions.placing import (
    Name,
    Surroundings,
    names,
    place_by_names,
)
from shared.divisions import CITY, DivisionCode, smallest_known
from shared.events import (
    Candidate,
    CategoryCode,
    CategoryRow,
    DivisionRow,
    Kind,
    PlaceRow,
    Reading,
    Sign,
    Word,
    WordRow,
)

PlacedBy: TypeAlias = Literal["code", "coordinates", "name", "none"]

HEAD: Final = 6_000
TAIL: Final = 2_000
"""Characters read of a long text: people say what they want at the beginning or at the end."""

UNTAUGHT: Final = Learned(bias=(), weights={}, classes={})
_IN_SUBJECT: Final = 2.5
_TIMES: Final = (0.0, 1.0, 1.5, 1.75, 1.875, 1.9375)
_SAME_KIND: Final = 1.2
_EVIDENCE: Final = 3.0
_UNCLEAR: Final = 0.35
_SIGN_AT: Final = 1.0
_SIGN: Final = "sign:"
_SIGNS: Final[tuple[Sign, ...]] = get_args(Sign)
_CANDIDATES: Final = 5
_WORDS: Final = 8


@dataclass(frozen=True, slots=True)
class ToRead:
    """What of a petition is read. Coordinates are WGS 84 degrees, both or none."""

    text: str
    kind: Kind
    subject: str = ""
    category: CategoryCode | None = None
    division: str | None = None
    lat: float | None = None
    lon: float | None = None
    place_words: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class _Entry:
    """A string of the automaton: a word with what it speaks for, a place name, or both."""

    text: str
    categories: tuple[tuple[CategoryCode, float], ...]
    signs: tuple[tuple[Sign, float], ...]
    name: Name | None


@dataclass(slots=True)
class _Heard:
    """The words and place names of one string, in order, repeats included."""

    words: list[_Entry]
    names: list[Name]


def compile_vocabulary(
    words: Iterable[WordRow],
    places: Iterable[PlaceRow],
    categories: Iterable[CategoryRow],
    divisions: Iterable[DivisionRow],
    learned: Learned = UNTAUGHT,
) -> Reader:
    """The reader of one policy version. ValueError for a word that means nothing we know."""
    matters = {category.code: category for category in categories}
    known = frozenset(DivisionCode(division.code) for division in divisions)
    places = tuple(places)
    meanings: dict[str, dict[str, float]] = {}
    for row in words:
        _check(row, matters)
        meanings.setdefault(row.word.lower(), {})[row.means] = row.weight
    gazetteer = {name.text.lower(): name for name in names(places, known)}
    matcher = Matcher(
        {
            text: _entry(text, meanings.get(text, {}), gazetteer.get(text))
            for text in meanings.keys() | gazetteer.keys()
        }
    )
    return Reader(matcher, matters, known, Surroundings(places, known), learned)


def _check(row: WordRow, matters: Collection[CategoryCode]) -> None:
    if not row.word or row.weight < 0:
        raise ValueError(f"vocabulary: {row.word!r} needs letters and a weight of 0 or more")
    if row.means not in matters and row.means not in [_SIGN + sign for sign in _SIGNS]:
        raise ValueError(f"vocabulary: {row.word!r} means {row.means!r}, no category and no sign")


def _entry(text: str, means: Mapping[str, float], name: Name | None) -> _Entry:
    length = min(0.8 + 0.1 * len(text), 1.4)
    said = {meaning: weight for meaning, weight in means.items() if weight > 0}
    return _Entry(
        text=text,
        categories=tuple(
            (code, weight * length) for code, weight in said.items() if not code.startswith(_SIGN)
        ),
        signs=tuple((sign, said[_SIGN + sign]) for sign in _SIGNS if _SIGN + sign in said),
        name=name,
    )


class Reader:
    """Reads petitions by one policy version. Made by `compile_vocabulary`."""

    def __init__(
        self,
        matcher: Matcher[_Entry],
        matters: Mapping[CategoryCode, CategoryRow],
        known: Collection[DivisionCode],
        surroundings: Surroundings,
        learned: Learned,
    ) -> None:
        self._matcher = matcher
        self._kinds = {code: row.kind for code, row in matters.items()}
        self._handed_off = {code for code, row in matters.items() if row.track == "handoff"}
        self._known = known
        self._surroundings = surroundings
        self._learned = learned

    def read(self, petition: ToRead) -> Reading:
        """The reading of a petition. A given category or code that this policy lacks is ignored."""
        subject = self._hear(petition.subject)
        text = self._hear(_bounded(petition.text))
        division, placed_by, place = self._place(petition, subject.names, text.names)
        gains = _gains(subject.words, text.words)
        signs = _signs(gains)
        scores, voices = self._scores(gains, petition.kind)
        ranked = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
        given = petition.category if petition.category in self._kinds else None
        best = given or (ranked[0][0] if ranked else None)
        return Reading(
            category=best,
            basis="given" if given else "suggested" if best else "none",
            confidence=1.0 if given else self._confidence(ranked, voices, gains),
            candidates=_candidates(ranked),
            words=_words_that_spoke(gains, best, signs),
            division=division,
            placed_by=placed_by,
            place=place,
            signs=signs,
        )

    def _hear(self, string: str) -> _Heard:
        """What is found in one string; of overlapping finds, those not inside a longer one."""
        octets = octets_of(string)
        heard = _Heard([], [])
        for entry, last in self._matcher.find(octets):
            if entry.categories or entry.signs:
                heard.words.append(entry)
            if entry.name and not entry.name.lends_itself_to(text_of(octets[last + 1 : last + 20])):
                heard.names.append(entry.name)
        return heard

    def _place(
        self, petition: ToRead, subject: Sequence[Name], text: Sequence[Name]
    ) -> tuple[str, PlacedBy, str | None]:
        """The smallest division known, how it was found, and the place name that said so."""
        if petition.division:
            code = smallest_known(petition.division, self._known)
            if code != CITY:
                return code, "code", None
        if petition.lat is not None and petition.lon is not None:
            near = self._surroundings.nearest(petition.lat, petition.lon)
            if near is not None:
                return near[0], "coordinates", near[1]
        words = self._hear(petition.place_words).names if petition.place_words else ()
        division, place = place_by_names(words, subject, text)
        return division, "none" if division == CITY else "name", place

    def _scores(
        self, gains: Mapping[_Entry, float], kind: Kind
    ) -> tuple[dict[CategoryCode, float], dict[CategoryCode, int]]:
        """What each category's words sum up to, and how many different words they are."""
        scores: dict[CategoryCode, float] = {}
        voices: dict[CategoryCode, int] = {}
        for entry, gain in gains.items():
            for code, weight in entry.categories:
                scores[code] = scores.get(code, 0.0) + weight * gain
                voices[code] = voices.get(code, 0) + 1
        for code in scores:
            if self._kinds[code] == kind:
                scores[code] *= _SAME_KIND
        return scores, voices

    def taught(self, learned: Learned) -> Reader:
        """The same reader with another model."""
        other = copy(self)
        other._learned = learned
        return other

    def heard(self, petition: ToRead) -> dict[str, float]:
        """The words of the vocabulary that a petition holds, and how loudly each was said."""
        words = _gains(
            self._hear(petition.subject).words, self._hear(_bounded(petition.text)).words
        )
        return {entry.text: gain for entry, gain in words.items()}

    def _confidence(
        self,
        ranked: Sequence[tuple[CategoryCode, float]],
        voices: Mapping[CategoryCode, int],
        gains: Mapping[_Entry, float],
    ) -> float:
        """How far the best category is to be believed, 0 to 1; the module says how."""
        if not ranked:
            return 0.0
        code, best = ranked[0]
        second = ranked[1][1] if len(ranked) > 1 else 0.0
        confidence = 1 - exp(-best / _EVIDENCE)
        confidence *= _UNCLEAR + (1 - _UNCLEAR) * (best - second) / best
        if code in self._handed_off:
            confidence *= 1 - 0.5 ** voices[code]
        confidence *= self._learned.trust(code, {e.text: gain for e, gain in gains.items()})
        return round(confidence, 3)


def _bounded(text: str) -> str:
    return text if len(text) <= HEAD + TAIL else f"{text[:HEAD]}\n{text[-TAIL:]}"


def _gains(subject: Sequence[_Entry], text: Sequence[_Entry]) -> dict[_Entry, float]:
    """How loudly each word was said, before its weight: subject over text, repeats ever less."""
    times: dict[_Entry, int] = {}
    for entry in text:
        times[entry] = times.get(entry, 0) + 1
    gains = {entry: _TIMES[min(n, len(_TIMES) - 1)] for entry, n in times.items()}
    for entry in dict.fromkeys(subject):
        gains[entry] = gains.get(entry, 0.0) + _IN_SUBJECT
    return gains


def _signs(heard: Iterable[_Entry]) -> tuple[Sign, ...]:
    """The signs whose different words weigh enough together; how often they are said is nothing."""
    sums: dict[Sign, float] = {}
    for entry in heard:
        for sign, weight in entry.signs:
            sums[sign] = sums.get(sign, 0.0) + weight
    return tuple(sign for sign in _SIGNS if sums.get(sign, 0.0) >= _SIGN_AT)


def _candidates(ranked: Sequence[tuple[CategoryCode, float]]) -> tuple[Candidate, ...]:
    total = sum(score for _, score in ranked)
    return tuple(
        Candidate(code=code, score=round(score / total, 3)) for code, score in ranked[:_CANDIDATES]
    )


def _words_that_spoke(
    gains: Mapping[_Entry, float], best: CategoryCode | None, signs: Sequence[Sign]
) -> tuple[Word, ...]:
    """The loudest words, those first that explain the category and the signs of the reading."""
    spoke = [
        (code == best, weight * gain, entry.text, code)
        for entry, gain in gains.items()
        for code, weight in entry.categories
    ] + [
        (sign in signs, weight, entry.text, _SIGN + sign)
        for entry in gains
        for sign, weight in entry.signs
    ]
    spoke.sort(key=lambda said: (not said[0], -said[1], said[2], said[3]))
    return tuple(
        Word(word=text, means=means, weight=round(weight, 3))
        for _, weight, text, means in spoke[:_WORDS]
    )
