"""What a petition costs in statements and bytes; timings are for the benchmark."""

import asyncio

import asyncpg
import pytest

from services.intake.handlers import reading
from services.intake.handlers.loops import intake_of, voice_of
from services.intake.handlers.petitions import take_in
from shared.postgres import Transaction
from shared.service import Process
from tests.intake.test_group_commit import one


def statements(database: Transaction, spoken: list[str]) -> None:
    """Write down what is said to the database from now on."""

    def note(query: asyncpg.connection.LoggedQuery) -> None:
        spoken.append(query.query)

    database.add_query_logger(note)


@pytest.mark.parametrize("n", [1, 200])
async def test_statements_do_not_grow_with_the_group(
    with_policy: Process, database: Transaction, n: int
) -> None:
    policy = intake_of(with_policy).shelf.policy
    assert policy is not None

    async def take_in_and_read(petitions: int) -> int:
        async with database.transaction():
            await take_in(database, [one("清泉花园的垃圾") for _ in range(petitions)])
            now, voice = with_policy.clock.now(), voice_of(with_policy)
            return await reading.read_once(database, now, policy, voice)

    # The driver asks about types with its first statements.
    assert await take_in_and_read(1) == 1
    spoken: list[str] = []
    statements(database, spoken)
    assert await take_in_and_read(n) == n
    await asyncio.sleep(0)  # the driver tells of a statement a little later
    # The outbox is filled by COPY, of which the driver does not tell.
    assert [query.split()[0].upper().rstrip(";") for query in spoken] == [
        "BEGIN",
        "WITH",  # petitions, vault, unread, receipts
        "WITH",  # the page
        "SAVEPOINT",
        "SELECT",  # what was added meanwhile
        "WITH",  # readings, receipts, out of the queue
        "RELEASE",
        "COMMIT",
    ]
    bytes_said = await database.fetchval("select avg(length(headers) + length(value)) from outbox")
    assert bytes_said < 1_000
