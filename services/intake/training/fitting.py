"""A model of labelled petitions, and how right it is on petitions that it has not seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from services.intake.decisions.learned import BIAS, MatterClass, compile_model
from services.intake.decisions.reading import Reader
from services.intake.training.labelled import Example
from shared.events import CategoryCode, ClassRow, ModelRow

INVERSE_REGULARISATION: Final = 1.0
SMALLEST_WEIGHT: Final = 0.01
FOLDS: Final = 10
SEED: Final = 2019


class Judged(NamedTuple):
    """A petition read by a model that had not seen it."""

    confidence: float
    right: bool
    has_class: bool


class TooFew(ValueError):
    """There are too few examples to learn from."""


def fit(examples: Sequence[Example], reader: Reader) -> list[ModelRow]:
    """The weights of each vocabulary word for each class. Raises TooFew."""
    classes = [example.matter_class for example in examples]
    counts = Counter(classes)
    # With two classes the library keeps one line of weights; two would have to be made of it.
    if len(counts) < 3 or min(counts.values()) < 2:
        raise TooFew("needs three classes or more, and two examples or more of each")
    vectors = DictVectorizer()
    model = LogisticRegression(C=INVERSE_REGULARISATION, max_iter=2_000)
    model.fit(vectors.fit_transform([reader.heard(one.petition) for one in examples]), classes)
    rows = []
    for n, matter_class in enumerate(model.classes_):
        rows.append(row(BIAS, matter_class, model.intercept_[n]))
        rows += [
            row(word, matter_class, weight)
            for word, weight in zip(vectors.feature_names_, model.coef_[n], strict=True)
            if abs(weight) >= SMALLEST_WEIGHT
        ]
    return sorted(rows, key=lambda one: (one.word, one.matter_class))


def row(word: str, matter_class: str, weight: float) -> ModelRow:
    """A row of the model file; four digits say all that so few examples can."""
    return ModelRow(word=word, matter_class=str(matter_class), weight=round(float(weight), 4))


def cross_validated(
    examples: Sequence[Example],
    reader: Reader,
    classes: Mapping[CategoryCode, tuple[MatterClass, ...]],
) -> list[Judged]:
    """Each example read by a model that was made of the others, in ten folds."""
    rows = [ClassRow(category=code, matter_class=one) for code, of in classes.items() for one in of]
    judged: list[Judged] = []
    splits = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED)
    labels = [example.matter_class for example in examples]
    for known, others in splits.split(labels, labels):
        model = fit([examples[n] for n in known], reader)
        taught = reader.taught(compile_model(model, rows))
        judged += [judge(examples[n], taught, classes) for n in others]
    return judged


def judge(
    example: Example,
    reader: Reader,
    classes: Mapping[CategoryCode, tuple[MatterClass, ...]],
) -> Judged:
    """One example: a dispatcher's category must be met itself, a class by any category of it."""
    reading = reader.read(example.petition)
    found = classes.get(reading.category or "", ())
    if example.category is not None:
        right = reading.category == example.category
    else:
        right = example.matter_class in found
    return Judged(reading.confidence, right, bool(found))
