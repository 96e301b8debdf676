"""What labelled petitions teach: a model of vocabulary words, made by a command."""

import csv
import json
from functools import partial
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from typer.testing import CliRunner

from services.intake.__main__ import app
from services.intake.decisions.learned import NO_CLASS, SHARE, Learned, compile_model
from services.intake.store import labels
from services.intake.training.labelled import of_corrections
from shared.events import ClassRow, ModelRow, Order
from shared.postgres import Transaction, transaction
from shared.service import Process
from tests.intake.samples import case_event
from tests.intake.steps import hand_in, hear

DATA = Path(__file__).parents[2] / "services/router/data"
TAUGHT = compile_model(
    [
        ModelRow(word="", matter_class="health", weight=0.0),
        ModelRow(word="", matter_class="traffic", weight=0.0),
        ModelRow(word="hospital", matter_class="health", weight=2.0),
        ModelRow(word="bus", matter_class="traffic", weight=2.0),
    ],
    [
        ClassRow(category="L08", matter_class="health"),
        ClassRow(category="L09", matter_class="traffic"),
    ],
)


def test_what_bears_out_a_class_is_trusted_and_what_speaks_against_it_is_not() -> None:
    for_it = [TAUGHT.trust("L08", {"hospital": gain}) for gain in (0.0, 0.5, 1.0, 3.0)]
    assert for_it == sorted(for_it)
    assert for_it[0] < for_it[-1] <= 1
    assert TAUGHT.trust("L08", {"bus": 1.0}) < for_it[0]
    assert sum(TAUGHT.belief({"bus": 1.0, "hospital": 0.2})) == pytest.approx(1)


def test_a_category_of_no_class_and_a_reader_that_was_not_taught() -> None:
    assert TAUGHT.trust("X119", {"bus": 9.0}) == pytest.approx(NO_CLASS**SHARE)
    assert Learned((), {}, {}).trust("L08", {"bus": 9.0}) == 1.0


def train(tmp_path: Path, lines: list[dict[str, str]]) -> tuple[int, str, Path]:
    """Run the command on these labelled petitions; exit code, words, model file."""
    file, out = tmp_path / "labelled.ndjson", tmp_path / "model.csv"
    file.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    words = ["train", "--labelled", str(file), "--no-corrections", "--policy", str(DATA)]
    result = CliRunner().invoke(app, [*words, "--out", str(out)])
    return result.exit_code, result.output, out


def examples(each: int) -> list[dict[str, str]]:
    return [
        {"text": f"我们小区附近的{word}有问题，第{n}次反映，张三丰先生知道", "level1": name}
        for name, word in (("卫生计生", "医院"), ("交通运输", "公交车"), ("教育文体", "幼儿园"))
        for n in range(each)
    ]


def test_the_command_makes_a_model_of_vocabulary_words_and_of_nothing_else(tmp_path: Path) -> None:
    code, output, out = train(tmp_path, examples(12))
    assert code == 0, output
    assert "coverage" in output
    with out.open(encoding="utf-8", newline="") as lines:
        rows = [ModelRow.model_validate(row) for row in csv.DictReader(lines)]
    with (DATA / "vocabulary.csv").open(encoding="utf-8", newline="") as lines:
        vocabulary = {row["word"].lower() for row in csv.DictReader(lines)}
    assert {row.word for row in rows} - {""} <= vocabulary
    assert {row.matter_class for row in rows} == {"卫生计生", "交通运输", "教育文体"}
    before = out.read_bytes()
    assert train(tmp_path, examples(12))[2].read_bytes() == before


def test_too_few_examples_and_lines_without_a_label_are_refused(tmp_path: Path) -> None:
    code, output, out = train(tmp_path, examples(1))
    assert code == 1
    assert not out.exists()
    code, output, _ = train(tmp_path, [{"text": "有一件私事"}])
    assert code == 2
    assert "私事" not in output


async def test_a_dispatchers_word_becomes_an_example(
    client: httpx.AsyncClient, with_policy: Process, database: Transaction
) -> None:
    told = await hand_in(client)
    petition_id, stranger = UUID(told["id"]), UUID(int=7)
    said = partial(case_event, type_="casegrid.case.classified.v1")
    events = [
        said(petition_id, Order(1, 2), category="L08"),
        said(stranger, Order(1, 2), category="L08"),
        said(petition_id, Order(1, 3), category="L09"),
    ]
    for _ in range(2):  # heard twice, it is one example
        await hear(with_policy, *events)
        async with transaction(with_policy.pool) as tx:
            found = await labels.all_labels(tx)
        assert [one.category for one in found] == ["L09"]
    made = list(of_corrections(found, {"L09": ("traffic", "other")}))
    assert [(one.matter_class, one.category) for one in made] == [("traffic", "L09")]
    await hear(with_policy, said(petition_id, Order(1, 2), category="L08"))
    async with transaction(with_policy.pool) as tx:
        assert [one.category for one in await labels.all_labels(tx)] == ["L09"]
