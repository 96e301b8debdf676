"""The census finds planted faults, twenty out of twenty, and each is mended by saying it again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from random import Random
from typing import Any, Final
from uuid import UUID

import pytest
from prometheus_client import REGISTRY

from services.escalation.decisions import breaks, next_at
from services.escalation.store import armed
from services.escalation.store.armed import clocks_of, clocks_packed
from shared.census import FIRST, LAST
from shared.events import Topic
from tests.simulation.invariants import Broken, check
from tests.simulation.town import Town, calm_town
from tests.simulation.world import Databases, World

Fault = Callable[[Town, UUID], Awaitable[None]]


def by_hand(service: str, statement: str) -> Fault:
    """A row is changed behind the service's back."""

    async def plant(town: Town, case: UUID) -> None:
        await town.sql(service, statement.replace("$case", f"'{case}'"))

    return plant


async def a_clock_is_deleted(town: Town, case: UUID) -> None:
    await with_clocks(town, case, lambda clocks: clocks[1:])


async def a_due_date_is_changed(town: Town, case: UUID) -> None:
    await with_clocks(
        town, case, lambda clocks: (clocks[0]._replace(due=clocks[0].due + 60_000), *clocks[1:])
    )


async def a_generation_is_changed(town: Town, case: UUID) -> None:
    await with_clocks(town, case, lambda clocks: (clocks[0]._replace(generation=7), *clocks[1:]))


async def with_clocks(town: Town, case: UUID, change: Callable[[Any], Any]) -> None:
    """The clocks of a case that is armed are written anew."""
    [row] = await town.world.databases["escalation"].rows(
        "select clocks, owner_offices from armed where case_id = $1", case
    )
    changed = change(clocks_of(row["clocks"], row["owner_offices"]))
    await town.sql(
        "escalation", "update armed set clocks = $2::text::json where case_id = $1",
        case, clocks_packed(changed),
    )  # fmt: skip


def opening_skipped(service: str) -> Fault:
    """The first snapshot of a case is never heard."""

    async def plant(town: Town, _: UUID) -> None:
        case = await town.hand_in()
        for n in (1, 2):
            while await moved(town, f"router-{n}: hear intake.events"):
                pass
        await town.say("router")
        await town.skip(service, Topic.ROUTER, case)

    return plant


async def moved(town: Town, name: str) -> bool:
    """One turn; whether it did anything."""
    await town.world.calm_turn(name)
    return town.world.hot.pop(name, 0) is None


def step_skipped(service: str) -> Fault:
    """A later snapshot is never heard."""

    async def plant(town: Town, case: UUID) -> None:
        await town.ask(case, "sign")
        await town.skip(service, Topic.ROUTER, case)

    return plant


def closing_skipped(service: str) -> Fault:
    """Nobody tells a service that a case is closed."""

    async def plant(town: Town, case: UUID) -> None:
        await town.close(case)
        await town.ask(case, "close", callback="answered")
        await town.skip(service, Topic.ROUTER, case)

    return plant


def life_skipped(service: str) -> Fault:
    """All that was ever said of a case is never heard."""

    async def plant(town: Town, _: UUID) -> None:
        case = await town.hand_in()
        for n in (1, 2):
            while await moved(town, f"router-{n}: hear intake.events"):
                pass
        await town.resolve(case)
        await town.ask(case, "close", callback="answered")
        await town.say("router")
        await town.skip(service, Topic.ROUTER, case)

    return plant


async def a_petition_is_skipped(town: Town, _: UUID) -> None:
    case = await town.hand_in()
    await town.skip("router", Topic.INTAKE, case)


async def a_supplement_is_skipped(town: Town, case: UUID) -> None:
    member = town.world.members["intake-1"]
    await town.turn("resident adds", town.world.resident.add(member, Random(1)))
    await town.say("intake")
    for one in town.world.book.accepted():
        await town.skip("router", Topic.INTAKE, UUID(one.told["id"]))


FAULTS: Final[Mapping[str, Fault]] = {
    "a case is deleted": by_hand("escalation", "delete from armed where case_id = $case"),
    "every case is deleted": by_hand("escalation", "truncate armed"),
    "a clock is deleted": a_clock_is_deleted,
    "a due date is changed": a_due_date_is_changed,
    "a generation is changed": a_generation_is_changed,
    "another holder": by_hand(
        "escalation", "update armed set holder = '210204' where case_id = $case"
    ),
    "an open case counts as closed": by_hand(
        "escalation",
        "update armed set open = false, clocks = '[]', next_at = null where case_id = $case",
    ),
    "a case is never swept": by_hand(
        "escalation", "update armed set next_at = null where case_id = $case"
    ),
    "a case is swept a day late": by_hand(
        "escalation", "update armed set next_at = next_at + interval '1 day' where case_id = $case"
    ),
    "a case is in no forecast": by_hand(
        "escalation",
        "update armed set promotes_at = null, supervises_at = null, reminds_at = null"
        " where case_id = $case",
    ),
    "a case is foreseen a day late": by_hand(
        "escalation",
        "update armed set supervises_at = supervises_at + interval '1 day' where case_id = $case",
    ),
    "an older snapshot is armed": by_hand(
        "escalation", "update armed set seq = 0, holder = '210203' where case_id = $case"
    ),
    "an opening is not armed": opening_skipped("escalation"),
    "a step is not armed": step_skipped("escalation"),
    "a closing is not armed": closing_skipped("escalation"),
    "an opening is not counted": opening_skipped("analytics"),
    "a step is not counted": step_skipped("analytics"),
    "a closing is not counted": closing_skipped("analytics"),
    "a whole life is not armed": life_skipped("escalation"),
    "a whole life is not counted": life_skipped("analytics"),
    "a whole life is on no receipt": life_skipped("intake"),
    "an opening is on no receipt": opening_skipped("intake"),
    "a step is on no receipt": step_skipped("intake"),
    "a closing is on no receipt": closing_skipped("intake"),
    "a receipt is put back": by_hand(
        "intake", "update receipts set seq = 0, stage = null, unit = null where petition_id = $case"
    ),
    "a petition is not heard": a_petition_is_skipped,
    "a supplement is not heard": a_supplement_is_skipped,
}


@pytest.mark.parametrize("name", FAULTS)
async def test_a_planted_fault_is_found_counted_and_mended(
    name: str, world_databases: Databases
) -> None:
    async with calm_town(world_databases) as town:
        await found_counted_and_mended(town, FAULTS[name])


async def found_counted_and_mended(town: Town, plant: Fault) -> None:
    """A town that is well, a fault, and the town that is well again."""
    world = town.world
    case = await town.hand_in()
    await town.hand_in()
    await world.compare_all()
    await look(world)
    assert world.counts["differences asked for"] == 0

    world.harmed, before = True, said_again()
    await plant(town, case)
    await world.until_quiet()
    with pytest.raises(Broken):
        await look(world)
    await world.compare_all()
    assert world.counts["differences asked for"] >= 1
    assert said_again() > before
    await look(world)


def said_again() -> float:
    """What the owners said again, ever, as they count it."""
    names = ("casegrid_intake_said_again_total", "casegrid_router_republished_total")
    return sum(REGISTRY.get_sample_value(name) or 0.0 for name in names)


async def look(world: World) -> None:
    """Every invariant, and one that no invariant sees before its time comes."""
    await check(world.sight)
    await swept_when_its_clocks_say(world)


async def swept_when_its_clocks_say(world: World) -> None:
    """Nothing is left out of the sweep or the forecast, or put off."""
    database = world.databases["escalation"]
    connection = await database.connection()
    try:
        rows = await armed.for_census(connection, [], FIRST, LAST)
    finally:
        database.give_back(connection)
    for case, swept_at, foreseen in rows:
        if swept_at != next_at(case):
            raise Broken("a case is swept when its clocks say", case.case_id)
        if foreseen != breaks(case):
            raise Broken("a case is foreseen when its clocks say", case.case_id)


def test_there_are_twenty() -> None:
    assert len(FAULTS) >= 20
