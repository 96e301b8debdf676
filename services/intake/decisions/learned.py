"""What labelled petitions taught about the vocabulary: which class of matters a word goes with.

A linear model (multinomial logistic regression) whose only features are the words of the
vocabulary: nothing of anybody's text can be in it, and the words that spoke remain the reason.
It names no category. It says how far the class of the category that the vocabulary chose is to be
believed, and that weakens a confidence, never a ranking. [ours]

    belief(class)  = softmax(bias + sum of gain(word) * weight(word, class))
    trust(category)= belief of its likeliest class, NO_CLASS where it has none, ^ SHARE
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import exp
from typing import Final, TypeAlias

from shared.events import CategoryCode, ClassRow, ModelRow

MatterClass: TypeAlias = str

SHARE: Final = 0.15
NO_CLASS: Final = 0.3
"""For a category outside all classes, whose labelled petitions taught nothing."""
BIAS: Final = ""
"""The word of a model's row that stands for the class itself."""


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """The model of one policy version. Without rows it trusts everything alike."""

    bias: tuple[float, ...]
    weights: Mapping[str, tuple[float, ...]]
    classes: Mapping[CategoryCode, tuple[int, ...]]

    def trust(self, code: CategoryCode, gains: Mapping[str, float]) -> float:
        """How far the class of this category is to be believed, 0 to 1, given the words heard."""
        if not self.bias:
            return 1.0
        of_code = self.classes.get(code)
        if not of_code:
            return float(NO_CLASS**SHARE)
        belief = self.belief(gains)
        return float(max(belief[n] for n in of_code) ** SHARE)

    def belief(self, gains: Mapping[str, float]) -> list[float]:
        """The share of each class, summing up to 1."""
        sums = list(self.bias)
        for word, gain in gains.items():
            weights = self.weights.get(word)
            if weights is not None:
                for n, weight in enumerate(weights):
                    sums[n] += gain * weight
        most = max(sums)
        odds = [exp(one - most) for one in sums]
        total = sum(odds)
        return [one / total for one in odds]


def matter_classes(rows: Iterable[ClassRow]) -> dict[CategoryCode, tuple[MatterClass, ...]]:
    """The classes of each category; a category may stand under two."""
    found: dict[CategoryCode, tuple[MatterClass, ...]] = {}
    for row in rows:
        found[row.category] = (*found.get(row.category, ()), row.matter_class)
    return found


def compile_model(model: Iterable[ModelRow], classes: Iterable[ClassRow]) -> Learned:
    """The model of these rows; an empty one where there are none."""
    rows = list(model)
    names = {name: n for n, name in enumerate(dict.fromkeys(row.matter_class for row in rows))}
    weights: dict[str, list[float]] = {}
    for row in rows:
        of_word = weights.setdefault(row.word.lower(), [0.0] * len(names))
        of_word[names[row.matter_class]] = row.weight
    return Learned(
        bias=tuple(weights.pop(BIAS, [0.0] * len(names))),
        weights={word: tuple(of_word) for word, of_word in weights.items()},
        classes={
            code: tuple(names[one] for one in of_code if one in names)
            for code, of_code in matter_classes(classes).items()
        },
    )
