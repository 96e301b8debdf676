"""Strings found in a text, all of them in one walk; one inside a longer one is not found. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

from ahocorasick import Automaton

Meaning = TypeVar("Meaning")


class Matcher(Generic[Meaning]):
    """An Aho-Corasick automaton of strings, in lower case, with what each of them means."""

    def __init__(self, meanings: Mapping[str, Meaning]) -> None:
        self._automaton = Automaton()
        for text, meaning in meanings.items():
            octets = octets_of(text)
            self._automaton.add_word(octets, (len(octets), meaning))
        self._automaton.make_automaton()
        self._empty = not meanings

    def find(self, octets: str) -> Iterator[tuple[Meaning, int]]:
        """Meanings and where they end; of overlapping finds, those not inside a longer one."""
        if self._empty:
            return
        kept: list[tuple[int, int, Meaning]] = []
        for last, (length, meaning) in self._automaton.iter(octets):
            start = last + 1 - length
            # Finds come by their end, the longest first: one inside another shares its end
            # with the find before it, or is the find before it.
            if kept and kept[-1][1] == last:
                continue
            while kept and kept[-1][0] >= start:
                kept.pop()
            kept.append((start, last, meaning))
        for _, last, meaning in kept:
            yield meaning, last


def octets_of(text: str) -> str:
    """The UTF-8 of a text, a letter an octet: what the automaton walks.

    It looks through the next letters of a node one by one, and 900 Chinese ones begin our words:
    as octets no node has more than 64, and a text is walked in a third of the time.
    """
    return text.lower().encode(errors="replace").decode("latin-1")


def text_of(octets: str) -> str:
    """The text again; letters that were cut in two are left out."""
    return octets.encode("latin-1").decode(errors="ignore")
