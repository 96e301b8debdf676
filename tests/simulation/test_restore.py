"""One service's database is put back to an older backup: the census tells, nothing is doubled."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from shared.events import Topic
from shared.telemetry import STRANGERS
from tests.simulation import invariants
from tests.simulation.processes import ServiceName
from tests.simulation.town import Town, calm_town
from tests.simulation.world import Databases


async def restore(town: Town, service: ServiceName, kept: dict[str, bytes]) -> None:
    """All processes of the service end, its database is put back, and they begin again."""
    world = town.world
    world.harmed = True
    members = [m for m in world.members.values() if m.service == service]
    for member in members:
        await world.kill(member)
    await world.databases[service].restore(kept)
    for place in [place for place in world.sight.done if place[0] == service]:
        del world.sight.done[place]
    for member in members:
        await member.begin()


async def some_days(town: Town) -> tuple[UUID, UUID]:
    """Two cases that are worked on, and some hours."""
    first, second = await town.hand_in(), await town.hand_in()
    await town.world.compare_all()
    await town.ask(first, "sign")
    await town.ask(second, "promote", reason="beyond_authority")
    await town.world.until_quiet()
    return first, second


async def lost_time(town: Town, first: UUID, second: UUID) -> UUID:
    """What the restored service will not remember."""
    await town.ask(first, "reply", text="it is gone")
    await town.ask(first, "resolve", result="it is gone")
    await town.ask(second, "sign")
    third = await town.hand_in()
    await town.world.until_quiet()
    town.world.pass_time(timedelta(hours=1))
    await town.world.until_quiet()
    return third


@pytest.mark.parametrize("service", ["escalation", "analytics"])
async def test_a_listener_hears_again_what_it_forgot(
    service: ServiceName, world_databases: Databases
) -> None:
    async with calm_town(world_databases) as town:
        first, second = await some_days(town)
        kept = await world_databases[service].backup()
        await lost_time(town, first, second)
        await restore(town, service, kept)
        await town.world.compare_all()
        await invariants.check(town.world.sight)


async def test_the_router_says_in_a_new_epoch_how_its_cases_stand(
    world_databases: Databases,
) -> None:
    async with calm_town(world_databases) as town:
        first, second = await some_days(town)
        kept = await world_databases["router"].backup()
        before = (await town.world.sight.cases())[first]
        third = await lost_time(town, first, second)
        await restore(town, "router", kept)
        await town.world.compare_all()

        cases = await town.world.sight.cases()
        assert town.world.counts["differences asked for"] >= 1, "the census tells"
        assert cases[first].stage == before.stage == "signed", "what came after is asked for anew"
        assert third in cases, "a petition of the lost time was heard again"
        assert {cases[one].epoch for one in (first, second, third)} == {2}
        heard = town.world.sight.snapshots()
        await invariants.topic_equals_router(cases, heard)
        await invariants.topic_equals_escalation(town.world.sight, cases, heard)
        await invariants.topic_equals_analytics(town.world.sight, heard)
        await invariants.topic_equals_receipts(town.world.sight, heard)
        await invariants.one_holder(town.world.sight, cases)
        await invariants.nobody_waits_for_nobody(town.world.sight, cases)
        opened = await town.world.sight.rows(
            "router", "select case_id from history where event = 'opened'"
        )
        assert sorted(row["case_id"] for row in opened) == sorted(cases), "opened once, each"


async def test_petitions_that_intake_lost_are_told_by_number(world_databases: Databases) -> None:
    async with calm_town(world_databases) as town:
        first, second = await some_days(town)
        kept = await world_databases["intake"].backup()
        await lost_time(town, first, second)
        there = set(await town.world.sight.cases())
        await restore(town, "intake", kept)
        counted = STRANGERS.labels(Topic.INTAKE)
        before = counted._value.get()
        await town.world.compare_all()
        assert counted._value.get() > before, "the router has a case of which intake knows nothing"
        assert set(await town.world.sight.cases()) == there, "no case is doubled"
