"""From the reading queue to `petition.received`: order, poison, what is added, who is accused."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import cast
from uuid import UUID

import httpx
import orjson
import pytest

from services.intake.decisions.policy import Policy
from services.intake.decisions.reading import Reader, ToRead
from services.intake.handlers import loops, reading
from services.intake.handlers.loops import intake_of, voice_of
from shared.events import PetitionReceived, PetitionSupplemented, Reading
from shared.postgres import Transaction, transaction
from shared.service import Process
from tests.intake.samples import DISTRICT, GRID, OTHER_DISTRICT
from tests.intake.steps import hand_in, read_all, said

pytestmark = pytest.mark.usefixtures("with_policy")


def policy_of(process: Process) -> Policy:
    """The policy in force."""
    policy = intake_of(process).shelf.policy
    assert policy is not None
    return policy


async def add(client: httpx.AsyncClient, told: dict[str, str], text: str = "more") -> None:
    """The resident adds something."""
    at = f"/petitions/{told['number']}/supplements?code={told['code']}"
    answer = await client.post(at, json={"text": text})
    assert answer.status_code == 202, answer.text


async def received(database: Transaction, petition_id: str) -> PetitionReceived:
    """The first event of a petition."""
    seq, event = (await said(database, petition_id))[0]
    assert seq == 1
    assert isinstance(event, PetitionReceived)
    return event


async def test_a_petition_is_read_and_said(
    client: httpx.AsyncClient, process: Process, database: Transaction
) -> None:
    told = await hand_in(client, contact={"phone": "13800000000"})
    assert await read_all(process) == 1
    event = await received(database, told["id"])
    assert (event.number, event.policy, event.contact) == (told["number"], 1, True)
    assert (event.reading.category, event.reading.division) == ("E0102", GRID)
    assert (event.reading.placed_by, event.reading.place) == ("name", "清泉花园")
    assert await database.fetchval("select count(*) from unread") == 0
    kept = await database.fetchrow("select n, policy, state, doc::text from readings")
    assert kept is not None
    assert (kept["n"], kept["policy"], kept["state"]) == (1, 1, "read")
    assert Reading.model_validate_json(kept["doc"]) == event.reading
    assert await database.fetchval("select read_at is not null from receipts")


async def test_nothing_that_a_person_wrote_goes_to_kafka(
    client: httpx.AsyncClient, process: Process, database: Transaction
) -> None:
    told = await hand_in(
        client,
        text="张三的垃圾 secret-text",
        subject="secret-subject",
        place={"words": "清泉花园 secret-place"},
        person={"name": "secret-name"},
        contact={"email": "secret@example.org"},
    )
    await add(client, told, "secret-supplement")
    await read_all(process)
    rows = await database.fetch("select key, headers, value from outbox")
    assert len(rows) == 2
    for row in rows:
        assert b"secret" not in row["headers"] + row["value"]
        assert "张三" not in row["value"].decode()


async def test_the_oldest_are_read_first_and_a_page_at_a_time(
    client: httpx.AsyncClient,
    process: Process,
    database: Transaction,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = [await hand_in(client) for _ in range(5)]
    monkeypatch.setattr(reading, "PAGE", 2)
    async with transaction(process.pool) as tx:
        now = process.clock.now()
        assert await reading.read_once(tx, now, policy_of(process), voice_of(process)) == (2, 0)
    rows = await database.fetch("select key from outbox order by id")
    assert [row["key"] for row in rows] == [one["id"] for one in told[:2]]
    assert await read_all(process) == 3


async def test_two_readers_never_read_the_same_petition(
    client: httpx.AsyncClient, process: Process, database: Transaction
) -> None:
    await hand_in(client)
    async with transaction(process.pool) as first, transaction(process.pool) as second:
        now, voice = process.clock.now(), voice_of(process)
        assert await reading.read_once(first, now, policy_of(process), voice) == (1, 0)
        assert await reading.read_once(second, now, policy_of(process), voice) == (0, 0)
    assert await database.fetchval("select count(*) from outbox") == 1


# ---------------------------------------------------------------- what is added


async def test_what_was_added_before_the_reading_is_said_after_the_petition(
    client: httpx.AsyncClient, process: Process, database: Transaction
) -> None:
    told, other = await hand_in(client), await hand_in(client)
    await add(client, told)
    await add(client, told)
    assert await said(database, told["id"]) == []
    await read_all(process)
    await add(client, told)
    events = await said(database, told["id"])
    assert [seq for seq, _ in events] == [1, 2, 3, 4]
    assert isinstance(events[0][1], PetitionReceived)
    assert all(isinstance(event, PetitionSupplemented) for _, event in events[1:])
    assert [seq for seq, _ in await said(database, other["id"])] == [1]
    assert await database.fetchval("select bool_and(said) from supplements")


async def test_what_is_added_while_a_petition_is_being_read_waits_for_it(
    client: httpx.AsyncClient, process: Process, database: Transaction
) -> None:
    told = await hand_in(client)
    async with transaction(process.pool) as tx:
        now = process.clock.now()
        await reading.read_once(tx, now, policy_of(process), voice_of(process))
        adding = asyncio.ensure_future(add(client, told))
        await asyncio.sleep(0.2)
        assert not adding.done()
    await adding
    assert [seq for seq, _ in await said(database, told["id"])] == [1, 2]


async def test_many_at_once_get_one_seq_each(
    client: httpx.AsyncClient, process: Process, database: Transaction
) -> None:
    told = await hand_in(client)
    await read_all(process)
    await asyncio.gather(*(add(client, told) for _ in range(20)))
    assert sorted(seq for seq, _ in await said(database, told["id"])) == list(range(1, 22))


# ---------------------------------------------------------------- what cannot be read


class Stumbling(Reader):
    """A reader with a bug: it breaks over some petitions."""

    def __init__(self, reader: Reader, breaks: Callable[[ToRead], bool]) -> None:
        self.reader, self.breaks = reader, breaks

    def read(self, petition: ToRead) -> Reading:
        """Reads, or breaks with the text in its mouth."""
        if self.breaks(petition):
            raise KeyError(petition.text)
        return self.reader.read(petition)


def stumble(process: Process, breaks: Callable[[ToRead], bool]) -> None:
    """From now on petitions are read with the bug."""
    whole = policy_of(process)
    shelf = intake_of(process).shelf
    shelf.policy = replace(whole, reader=Stumbling(whole.reader, breaks))


async def test_a_text_that_breaks_the_reading_fails_alone(
    client: httpx.AsyncClient,
    process: Process,
    database: Transaction,
    caplog: pytest.LogCaptureFixture,
) -> None:
    first = await hand_in(client)
    poison = await hand_in(client, text="poison 垃圾", category="E0102")
    await add(client, poison)
    last = await hand_in(client)
    stumble(process, lambda petition: "poison" in petition.text)
    assert await read_all(process) == 3
    assert (await received(database, first["id"])).reading.state == "read"
    assert (await received(database, last["id"])).reading.state == "read"
    failed = (await received(database, poison["id"])).reading
    assert (failed.state, failed.category, failed.division) == ("failed", None, "city")
    assert [seq for seq, _ in await said(database, poison["id"])] == [1, 2]
    states = await database.fetch("select state, count(*) from readings group by 1 order by 1")
    assert [tuple(row) for row in states] == [("failed", 1), ("read", 2)]
    assert await database.fetchval("select count(*) from unread") == 0
    assert poison["id"] in caplog.text
    assert "垃圾" not in caplog.text


async def test_a_page_that_fails_once_is_read_singly(
    client: httpx.AsyncClient, process: Process, database: Transaction
) -> None:
    told = [await hand_in(client), await hand_in(client)]
    bad_moments = iter([True])
    stumble(process, lambda _: next(bad_moments, False))
    assert await read_all(process) == 2
    for one in told:
        assert (await received(database, one["id"])).reading.category == "E0102"


async def test_without_a_policy_reading_waits_and_says_so(
    client: httpx.AsyncClient, process: Process, database: Transaction
) -> None:
    shelf = intake_of(process).shelf
    shelf.policy = None
    await hand_in(client)
    await loops.read(process)
    assert "no policy yet" in process.health.reasons["policy"]
    ready = await client.get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
    assert await database.fetchval("select count(*) from unread") == 1
    await loops.look_for_policy(process)
    await loops.read(process)
    assert "policy" not in process.health.reasons
    assert await database.fetchval("select count(*) from unread") == 0


# ---------------------------------------------------------------- who is accused


@pytest.mark.parametrize(
    ("more", "accused", "accusation"),
    [
        pytest.param({}, None, False, id="a plain matter"),
        pytest.param({"accused": {"division": OTHER_DISTRICT}}, OTHER_DISTRICT, True, id="named"),
        pytest.param({"accused": {"unknown": True}}, None, True, id="somebody"),
        pytest.param({"category": "R02"}, None, True, id="by category"),
        pytest.param({"category": "R01"}, None, True, id="by another that the policy names"),
        pytest.param({"text": "东山区有干部受贿，还索贿"}, None, True, id="by its words"),
    ],
)
async def test_an_accusation_is_said_as_one(
    client: httpx.AsyncClient,
    process: Process,
    database: Transaction,
    more: dict[str, object],
    accused: str | None,
    accusation: bool,
) -> None:
    told = await hand_in(client, **more)
    await read_all(process)
    event = await received(database, told["id"])
    assert (event.accused, event.accusation) == (accused, accusation)


@pytest.mark.parametrize(
    ("office", "named"),
    [
        pytest.param("sanitation", "sanitation", id="an office of the policy"),
        pytest.param("my neighbour Zhang", None, id="words that are no office"),
    ],
)
async def test_an_accused_office_is_said_if_the_policy_has_it(
    client: httpx.AsyncClient,
    process: Process,
    database: Transaction,
    office: str,
    named: str | None,
) -> None:
    shelf = intake_of(process).shelf
    shelf.policy = None  # nobody can say yet which offices there are
    told = await hand_in(client, accused={"office": office})
    async with transaction(process.pool) as tx:
        await shelf.newest(tx)
    await read_all(process)
    event = await received(database, told["id"])
    assert (event.accused, event.accused_office, event.accusation) == (None, named, True)
    assert "Zhang" not in str(event)


async def test_the_envelope_says_who_and_why(
    client: httpx.AsyncClient, process: Process, database: Transaction
) -> None:
    told = await hand_in(client, place={"code": DISTRICT})
    await read_all(process)
    row = await database.fetchrow("select key, event_id, headers from outbox")
    assert row is not None
    headers = dict(cast(list[tuple[str, str]], orjson.loads(row["headers"])))
    assert row["key"] == told["id"]
    assert headers["ce_source"] == "casegrid/intake"
    assert headers["ce_causedby"] == f"http:{told['id']}"
    assert headers["ce_clock"] == process.clock.name
    assert UUID(headers["ce_id"]) == row["event_id"]
