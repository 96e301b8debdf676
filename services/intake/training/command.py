"""The command: where the examples come from, what the model is worth, the file it is written to."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from services.intake.decisions.learned import MatterClass, matter_classes
from services.intake.decisions.policy import compile_policy
from services.intake.decisions.reading import Reader, compile_vocabulary
from services.intake.store import labels, policy
from services.intake.training import labelled
from services.intake.training.labelled import Example, NotLabelled
from shared.command import run as run_command
from shared.command import with_database
from shared.events import CategoryCode, CategoryRow, ClassRow, Data, DivisionRow, ModelRow, WordRow
from shared.postgres import Transaction

if TYPE_CHECKING:
    from services.intake.training.fitting import Judged

console = Console()
complaints = Console(stderr=True)
Row = TypeVar("Row", bound=Data)

COVERAGES: Final = (40, 50, 60, 70, 80, 90, 100)
THRESHOLDS: Final = tuple(n / 20 for n in range(5, 16))


class Rules(NamedTuple):
    """What a model is made for: the vocabulary that reads, and the classes of its categories."""

    reader: Reader
    classes: Mapping[CategoryCode, tuple[MatterClass, ...]]


def train(
    out: Annotated[Path, typer.Option(help="the model file to write")] = Path("model.csv"),
    labels_: Annotated[
        list[Path] | None,
        typer.Option(
            "--labelled", exists=True, dir_okay=False, help="NDJSON: subject, text, class"
        ),
    ] = None,
    label: Annotated[str, typer.Option(help="the column of the class")] = "level1",
    corrections: Annotated[
        bool, typer.Option(help="what dispatchers have said of intake's own petitions")
    ] = True,
    folder: Annotated[
        Path | None,
        typer.Option("--policy", exists=True, file_okay=False, help="files, not the one in force"),
    ] = None,
    dispatcher_minutes: Annotated[float, typer.Option(help="of a dispatcher's look")] = 2.0,
    wrong_minutes: Annotated[
        float, typer.Option(help="of an office that had to send it back, and of the second look")
    ] = 20.0,
) -> None:
    """Make a model of labelled petitions, and say what it is worth on others.

    The features are the words of the vocabulary and nothing else, so the file holds nothing that
    anybody wrote. It is tried on petitions it has not seen (ten folds): how many of the confident
    ones are right, and what each threshold costs in minutes of people.

    Then: casegrid router policy load --model model.csv --reason "learned anew"

    Example, without a stack: casegrid intake train --labelled letters.ndjson --no-corrections
    --policy services/router/data --out model.csv
    """
    from services.intake.training import fitting

    rules = rules_of(folder) if folder else run_command(with_database(rules_in_force))
    try:
        examples = [one for path in labels_ or () for one in labelled.of_file(path, label)]
    except NotLabelled as wrong:
        complaints.print(str(wrong), markup=False)
        raise typer.Exit(2) from wrong
    if corrections:
        found = run_command(with_database(labels.all_labels))
        examples += labelled.of_corrections(found, rules.classes)
    try:
        judged = fitting.cross_validated(examples, rules.reader, rules.classes)
        model = fitting.fit(examples, rules.reader)
    except ValueError as few:
        complaints.print(f"{len(examples)} examples: {few}", markup=False)
        raise typer.Exit(1) from few
    untaught = [fitting.judge(one, rules.reader, rules.classes) for one in examples]
    write(out, model)
    say(examples, untaught, judged, dispatcher_minutes, wrong_minutes)
    console.print(f"{out}: {len(model):,} weights", highlight=False)


def rules_of(folder: Path) -> Rules:
    """The rules of a folder of policy files."""
    return Rules(
        compile_vocabulary(
            rows(folder / "vocabulary.csv", WordRow),
            (),
            rows(folder / "categories.csv", CategoryRow),
            rows(folder / "divisions.csv", DivisionRow),
        ),
        matter_classes(rows(folder / "classes.csv", ClassRow)),
    )


def rows(path: Path, model: type[Row]) -> list[Row]:
    """The rows of a policy file."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        return [
            model.model_validate({key: cell for key, cell in line.items() if cell})
            for line in csv.DictReader(file)
        ]


async def rules_in_force(tx: Transaction) -> Rules:
    """The rules that intake reads by now. Ends the command where there are none yet."""
    version = await policy.newest_version(tx)
    if version is None:
        complaints.print("no policy has been heard yet: name a folder of its files with --policy")
        raise typer.Exit(1)
    parts = (await policy.parts_of(tx, [version]))[version]
    compiled = compile_policy(version, parts)
    return Rules(compiled.reader, compiled.classes)


def write(path: Path, model: Sequence[ModelRow]) -> None:
    """The model file."""
    with path.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(ModelRow.model_fields)
        lines.writerows((row.word, row.matter_class, row.weight) for row in model)


def say(
    examples: Sequence[Example],
    untaught: Sequence[Judged],
    judged: Sequence[Judged],
    dispatcher_minutes: float,
    wrong_minutes: float,
) -> None:
    """The two tables: right at a coverage, and the cost of a threshold."""
    console.print(f"{len(examples):,} examples, ten folds", highlight=False)
    table = Table("coverage", "right, vocabulary alone", "right, with the model")
    for percent in COVERAGES:
        table.add_row(
            f"{percent} %", *(f"{right_at(percent, of):.1%}" for of in (untaught, judged))
        )
    console.print(table)
    costs = Table("threshold", "confident", "right of them", "minutes per 100 petitions")
    for threshold, confident, right, minutes in costed(judged, dispatcher_minutes, wrong_minutes):
        costs.add_row(f"{threshold:.2f}", f"{confident:.1%}", f"{right:.1%}", f"{minutes:.0f}")
    console.print(costs)
    console.print(
        f"reckoned with {dispatcher_minutes:g} minutes of a dispatcher for each that is not "
        f"confident, {wrong_minutes:g} minutes of people for each that is, and is wrong",
        highlight=False,
    )


def right_at(percent: int, judged: Sequence[Judged]) -> float:
    """The share that is right among this many percent, the most confident."""
    best = sorted(judged, key=lambda one: -one.confidence)[: max(1, len(judged) * percent // 100)]
    return sum(one.right for one in best) / len(best)


def costed(
    judged: Sequence[Judged], dispatcher_minutes: float, wrong_minutes: float
) -> Iterator[tuple[float, float, float, float]]:
    """Of each threshold: share confident, share right of them, minutes for a hundred petitions."""
    for threshold in THRESHOLDS:
        confident = [one for one in judged if one.confidence >= threshold]
        right = sum(one.right for one in confident)
        unsure = len(judged) - len(confident)
        minutes = unsure * dispatcher_minutes + (len(confident) - right) * wrong_minutes
        share = right / len(confident) if confident else 1.0
        yield threshold, len(confident) / len(judged), share, 100 * minutes / len(judged)
