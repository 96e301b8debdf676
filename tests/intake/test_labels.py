"""What a person says a petition is about becomes an example that the reading learns from."""

from __future__ import annotations

from functools import partial
from uuid import UUID, uuid4

import httpx
import pytest

from services.intake.handlers.loops import intake_of
from services.intake.store.labels import all_labels
from services.intake.training.labelled import Example, of_corrections
from shared.events import Order
from shared.postgres import Transaction
from shared.service import Process
from tests.intake.samples import TEXT, case_event
from tests.intake.steps import hand_in, hear

classified = partial(case_event, type_="casegrid.case.classified.v1")


async def kept(database: Transaction) -> dict[str, str]:
    """The labels, by petition."""
    rows = await database.fetch("select petition_id, category from labels")
    return {str(row["petition_id"]): row["category"] for row in rows}


async def test_a_category_that_a_person_gave_is_an_example_to_learn_from(
    client: httpx.AsyncClient, with_policy: Process, database: Transaction
) -> None:
    told = await hand_in(client, subject="没人收垃圾")
    await hear(with_policy, classified(UUID(told["id"]), Order(1, 2), category="E0102"))
    policy = intake_of(with_policy).shelf.policy
    assert policy is not None
    classes = {**policy.classes, "E0102": ("城乡建设", "环境保护")}
    (example,) = of_corrections(await all_labels(database), classes)
    assert isinstance(example, Example)
    assert (example.matter_class, example.category) == ("城乡建设", "E0102")
    assert (example.petition.text, example.petition.subject) == (TEXT, "没人收垃圾")


async def test_what_was_only_read_is_no_label(
    client: httpx.AsyncClient, process: Process, database: Transaction
) -> None:
    told = await hand_in(client)
    petition_id = UUID(told["id"])
    await hear(
        process,
        case_event(petition_id, Order(1, 1)),
        case_event(petition_id, Order(1, 2), type_="casegrid.case.placed.v1"),
        classified(petition_id, Order(1, 3), category=None),
    )
    assert await kept(database) == {}


@pytest.mark.parametrize("at_once", [True, False], ids=["one batch", "batch by batch"])
async def test_who_speaks_last_is_believed_and_nothing_changes_when_it_comes_again(
    client: httpx.AsyncClient, process: Process, database: Transaction, *, at_once: bool
) -> None:
    told = await hand_in(client)
    first = classified(UUID(told["id"]), Order(1, 2), category="R02")
    second = classified(UUID(told["id"]), Order(1, 4), category="E0102")
    heard = [first, second, first, second, first]
    for batch in [heard] if at_once else [[one] for one in heard]:
        await hear(process, *batch)
        said_at = await database.fetchval("select said_at from labels where category = 'E0102'")
    assert await kept(database) == {told["id"]: "E0102"}
    await hear(process, *heard)
    assert await database.fetchval("select said_at from labels") == said_at
    restored = classified(UUID(told["id"]), Order(2, 1), category="R02")
    await hear(process, restored)
    assert await kept(database) == {told["id"]: "R02"}


async def test_a_petition_that_is_not_here_leaves_no_label_and_stops_nobody_elses(
    client: httpx.AsyncClient, process: Process, database: Transaction
) -> None:
    told = await hand_in(client)
    await hear(process, classified(uuid4(), Order(1, 2)), classified(UUID(told["id"]), Order(1, 2)))
    assert await kept(database) == {told["id"]: "E0102"}
