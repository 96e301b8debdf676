"""A world in which nothing goes wrong but what a test does to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import Any
from uuid import UUID

from shared.events import Topic
from shared.kafka import lane_of
from tests.router.stories import GRID
from tests.simulation.people import Asked, Petition
from tests.simulation.scheduling import Execution
from tests.simulation.world import CALM, Databases, Plan, World


@asynccontextmanager
async def calm_town(databases: Databases) -> AsyncIterator[Town]:
    """A town that has just begun."""
    world = World(Plan(1), databases)
    world.chance, world.compares_again = CALM, True
    with world.own_ids_and_time():
        await world.begin()
        try:
            yield Town(world)
        finally:
            await world.end()


@dataclass
class Town:
    """What a test does in its world, step by step."""

    world: World

    async def hand_in(self) -> UUID:
        """A petition with a place and a matter, accepted and read, its event not yet heard."""
        n = len(self.world.book.petitions) + 1
        body = {
            "kind": "report", "channel": "app", "text": "堆物", "category": "E0102",
            "place": {"code": GRID}, "contact": {"phone": "0411-83600001"},
        }  # fmt: skip
        one = Petition(f"petition-{n}", body)
        self.world.book.petitions.append(one)
        await self.turn("resident", self.world.resident.post(self.world.members["intake-1"], one))
        for loop in ("commit", "read", "relay"):
            await self.world.calm_turn(f"intake-1: {loop}")
        await self.world.resident.collect()
        return UUID(one.told["id"])

    async def ask(self, case: UUID, command: str, **words: object) -> None:
        """An officer's command, said on the topic and not yet heard."""
        n = len(self.world.book.commands) + 1
        # Who resolved a matter does not close it.
        who = "deputy" if command == "close" else "mayor"
        asked = Asked(f"command-{n}", case, {"command": command, **words}, "*", who)
        self.world.book.commands.append(asked)
        member = self.world.members["router-1"]
        await self.turn("officer 1", self.world.officers.ask(member, asked, ""))
        assert asked.statuses == [200], (command, asked.statuses)
        await self.say("router")

    async def say(self, service: str) -> None:
        """Whatever waits in an outbox."""
        for n in (1, 2):
            if f"{service}-{n}" in self.world.members:
                await self.world.calm_turn(f"{service}-{n}: relay")

    async def turn(self, name: str, work: Any) -> None:
        execution = Execution(self.world, "router-1", name, Random(1))
        await execution.run(work)

    async def skip(self, service: str, topic: Topic, case: UUID) -> None:
        """A service goes on after the newest record of a case as if it had heard it."""
        lane = lane_of(topic, str(case))
        end = len(self.world.broker.logs[topic, lane])
        await self.sql(
            service,
            "insert into offsets (topic, partition, next_offset) values ($1, $2, $3)"
            " on conflict (topic, partition) do update set next_offset = $3",
            topic.value,
            lane,
            end,
        )
        for member in self.world.members.values():
            for hearer in member.hearers.values():
                hearer.forget()

    async def sql(self, service: str, statement: str, *values: object) -> None:
        """Somebody does this by hand."""
        await self.world.databases[service].rows(statement, *values)  # type: ignore[index]

    async def close(self, case: UUID) -> None:
        """To its end, but for the last step, and everybody has heard of it."""
        await self.resolve(case)
        await self.world.until_quiet()

    async def resolve(self, case: UUID) -> None:
        """Signed, answered and resolved."""
        await self.ask(case, "sign")
        await self.ask(case, "reply", text="it is gone")
        await self.ask(case, "resolve", result="it is gone")
