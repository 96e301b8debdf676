"""How well petitions are read: share placed, share classed with confidence, and the cost of it.

    python -m bench.reading --messages ../shared/data/messages.ndjson \
        --divisions ../shared/data/city_a_divisions.csv --places ../shared/data/city_a_places.csv \
        --labelled ../shared/data/messages_labelled.ndjson

Vocabulary, categories, their classes and the model are the project's own. `--wrong` lists the
labelled petitions whose confident category is of another class, by number and code only. These
petitions were looked at when the vocabulary was written, and the model was made of them: their
figure is what it can do at best; `casegrid intake train` says what it is worth on others.

`--by-hand` is a file of judged readings, by number and code only: 100 confident ones, drawn by
`random.Random(2026)` from those of all messages in the order of their numbers and judged on
2026-11-24. "right" is the code a dispatcher would choose, or one as good; "arguable" the same
matter under a neighbouring code; "wrong" another matter. `better` is the dispatcher's code.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import quantiles
from time import process_time_ns

from services.intake.decisions.emergencies import Emergencies, compile_emergencies
from services.intake.decisions.learned import compile_model, matter_classes
from services.intake.decisions.reading import Reader, ToRead, compile_vocabulary
from shared.divisions import DivisionCode, tier_of
from shared.events import (
    CategoryRow,
    ClassRow,
    DivisionRow,
    DutyRow,
    ModelRow,
    OfficeRow,
    PlaceRow,
    Reading,
    WordRow,
)

DATA = Path(__file__).parent.parent / "services/router/data"
BY_HAND = Path(__file__).parent / "read_by_hand.csv"


def rows(path: Path) -> Iterator[dict[str, str]]:
    """The lines of a CSV file, empty fields left out."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            yield {key: value for key, value in row.items() if value}


def petitions(path: Path) -> list[dict[str, str]]:
    """The lines of an NDJSON file."""
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def class_rows() -> list[ClassRow]:
    """The committed table: each category and the first-level classes it belongs to."""
    return [ClassRow.model_validate(row) for row in rows(DATA / "classes.csv")]


def reader(divisions: Path, places: Path) -> Reader:
    """The project's vocabulary, categories and model over these divisions and places."""
    model = [ModelRow.model_validate(row) for row in rows(DATA / "model.csv")]
    return compile_vocabulary(
        words=[WordRow.model_validate(row) for row in rows(DATA / "vocabulary.csv")],
        places=[
            PlaceRow.model_validate({"division": row.get("division_code"), **row})
            for row in rows(places)
        ],
        categories=[CategoryRow.model_validate(row) for row in rows(DATA / "categories.csv")],
        divisions=[DivisionRow.model_validate(row) for row in rows(divisions)],
        learned=compile_model(model, class_rows()),
    )


def to_read(petition: dict[str, str]) -> ToRead:
    """A message as a petition whose kind nobody has said yet."""
    return ToRead(subject=petition["subject"], text=petition["text"], kind="help")


def say_tiers(readings: Sequence[Reading]) -> None:
    """How many are placed, and how finely."""
    tiers = Counter(tier_of(DivisionCode(r.division)) or "city (dispatcher)" for r in readings)
    print("placed")
    for tier, count in tiers.most_common():
        print(f"  {tier:20} {count:6} {count / len(readings):6.1%}")
    fine = sum(len(r.division) >= 9 for r in readings)
    print(f"  street or finer      {fine:6} {fine / len(readings):6.1%}")


def say_categories(readings: Sequence[Reading], threshold: float) -> None:
    """How many have a category that is believed, which, and which signs were seen."""
    confident = [r for r in readings if r.confidence >= threshold]
    print(f"category at {threshold} or more: {len(confident) / len(readings):.1%}")
    print(f"no category at all: {sum(r.category is None for r in readings) / len(readings):.1%}")
    top = Counter(r.category for r in confident).most_common(16)
    print("  " + "  ".join(f"{code} {count}" for code, count in top))
    handed = [r for r in readings if r.category and r.category[0] in "XHR"]
    print("  emergencies, persons in need, accusations (all, confident):")
    print(
        "  " + "  ".join(f"{c} {n}" for c, n in Counter(r.category for r in handed).most_common())
    )
    sure = Counter(r.category for r in handed if r.confidence >= threshold)
    print("  " + "  ".join(f"{c} {n}" for c, n in sure.most_common()))
    signs = Counter(sign for r in readings for sign in r.signs)
    print("signs  " + "  ".join(f"{s} {n / len(readings):.1%}" for s, n in signs.most_common()))


def say_labelled(read: Reader, labelled: Path, threshold: float, wrong: bool) -> None:
    """Right and wrong among the confident, against the seven first-level classes."""
    classes = matter_classes(class_rows())
    seen: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for petition in petitions(labelled):
        reading = read.read(to_read(petition))
        verdict = "unsure"
        if reading.confidence >= threshold:
            found = classes.get(reading.category or "", ())
            verdict = "right" if petition["level1"] in found else "wrong" if found else "no class"
        seen[petition["level1"]][verdict] += 1
        if wrong and verdict in ("wrong", "no class"):
            print(f"  {petition['id']:>8} {petition['level1']} read as {reading.category}")
    total = sum(seen.values(), Counter())
    print("labelled (confident: right / wrong / a code without class; unsure)")
    for name, count in (*seen.items(), ("all", total)):
        line = " / ".join(f"{count[v]:3}" for v in ("right", "wrong", "no class"))
        print(f"  {name:10}\t{line}; {count['unsure']:3}")
    confident = total["right"] + total["wrong"] + total["no class"]
    print(f"  right among the confident: {total['right'] / confident:.1%}", end="")
    print(f" ({total['right'] / (confident - total['no class']):.1%} of those with a class)")


def say_by_hand(judged: Sequence[Mapping[str, str]], codes: Mapping[str, str | None]) -> None:
    """A person's verdicts, and how many of the readings judged are still the same."""
    verdicts = Counter(row["verdict"] for row in judged)
    dates = " to ".join(sorted({row["read_on"] for row in judged}))
    line = ", ".join(f"{name} {verdicts[name]}" for name in ("right", "arguable", "wrong"))
    print(f"judged by hand on {dates}: of {len(judged)} confident readings {line}")
    same = sum(codes.get(row["id"]) == row["code"] for row in judged)
    better = sum("better" in row and codes.get(row["id"]) == row["better"] for row in judged)
    print(f"  the same code today: {same}; the code that is better: {better}")


def emergencies() -> Emergencies:
    """The project's words for emergencies, and its numbers to call."""
    return compile_emergencies(
        [WordRow.model_validate(row) for row in rows(DATA / "vocabulary.csv")],
        [CategoryRow.model_validate(row) for row in rows(DATA / "categories.csv")],
        [OfficeRow.model_validate(row) for row in rows(DATA / "offices.csv")],
        [DutyRow.model_validate(row) for row in rows(DATA / "duties.csv")],
    )


def say_cost(read: Reader, texts: Sequence[ToRead]) -> None:
    """CPU of one reading and of the look for an emergency at accept, on this machine, now."""
    micros = []
    for petition in texts:
        started = process_time_ns()
        read.read(petition)
        micros.append((process_time_ns() - started) / 1_000)
    share = quantiles(micros, n=100)
    mean = sum(micros) / len(micros)
    print(
        f"CPU per petition: mean {mean:.0f} µs, median {share[49]:.0f}, p99 {share[98]:.0f}, "
        f"max {max(micros):.0f}"
    )
    calls = emergencies()
    started = process_time_ns()
    for petition in texts:
        calls.numbers(petition.category, petition.subject, petition.text)
    scan = (process_time_ns() - started) / 1_000 / len(texts)
    print(f"and {scan:.0f} µs at accept, to look for an emergency: together {mean + scan:.0f}")
    worst = ToRead(text="小区物业停车扰民" * 2_500, kind="help")
    started = process_time_ns()
    read.read(worst)
    print(f"20,000 characters of nothing but words: {(process_time_ns() - started) / 1e6:.2f} ms")


def main() -> None:
    """Print the report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    data = Path("../shared/data")
    parser.add_argument("--messages", type=Path, default=data / "messages.ndjson")
    parser.add_argument("--labelled", type=Path, default=data / "messages_labelled.ndjson")
    parser.add_argument("--divisions", type=Path, default=data / "city_a_divisions.csv")
    parser.add_argument("--places", type=Path, default=data / "city_a_places.csv")
    parser.add_argument("--by-hand", type=Path, default=BY_HAND if BY_HAND.exists() else None)
    parser.add_argument("--threshold", type=float, default=0.5)
    parser.add_argument("--wrong", action="store_true")
    options = parser.parse_args()
    read = reader(options.divisions, options.places)
    messages = petitions(options.messages)
    texts = [to_read(petition) for petition in messages]
    readings = [read.read(petition) for petition in texts]
    print(f"{len(readings)} petitions")
    say_tiers(readings)
    say_categories(readings, options.threshold)
    say_labelled(read, options.labelled, options.threshold, options.wrong)
    if options.by_hand:
        pairs = zip(messages, readings, strict=True)
        say_by_hand(list(rows(options.by_hand)), {m["id"]: r.category for m, r in pairs})
    say_cost(read, texts)


if __name__ == "__main__":
    main()
