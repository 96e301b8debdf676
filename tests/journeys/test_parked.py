"""A record nobody can read is parked, its petition waits, and its partition moves on."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID, uuid4

from shared import kafka, outbox
from shared.events import Envelope, Order, PetitionReceived, Reading, Topic, derived_id, dump
from shared.settings import Settings
from tests.journeys.city import GRID, City, eventually, rows


def message(petition: UUID, seq: int, value: bytes) -> kafka.Message:
    """A record of intake as it would be said."""
    envelope = Envelope(
        event_id=derived_id(petition, seq),
        type="casegrid.petition.received.v1" if seq == 1 else "casegrid.petition.supplemented.v1",
        source="casegrid/intake",
        subject=str(petition),
        order=Order(1, seq),
        occurred_at=datetime.now(UTC),
        caused_by="test",
        clock="real",
    )
    return kafka.Message(str(petition).encode(), value, outbox.headers_of(envelope))


async def put(city: City, petition: UUID, *messages: kafka.Message) -> None:
    """Write records straight to intake.events, in order."""
    env = city.stack.settings("router")
    settings = Settings(
        database_url=env["CASEGRID_DATABASE_URL"],
        kafka_bootstrap=env["CASEGRID_KAFKA_BOOTSTRAP"],
        topic_prefix=env["CASEGRID_TOPIC_PREFIX"],
    )
    sender = kafka.Sender(settings)
    lane = (Topic.INTAKE, kafka.lane_of(Topic.INTAKE, str(petition)))
    for one in messages:
        await sender.send({lane: [one]})
    await sender.drop()


def received() -> bytes:
    """A petition that can be routed."""
    return dump(
        PetitionReceived(
            type="casegrid.petition.received.v1",
            number="CG-TEST-1",
            channel="phone",
            kind="help",
            received_at=datetime.now(UTC),
            reading=Reading(
                category="E0102", basis="given", confidence=1, division=GRID, placed_by="code"
            ),
            policy=1,
        )
    )


def beside(petition: UUID) -> UUID:
    """Another petition of the same partition."""
    lane = kafka.lane_of(Topic.INTAKE, str(petition))
    while kafka.lane_of(Topic.INTAKE, str(other := uuid4())) != lane:
        pass
    return other


def parked(city: City, petition: UUID) -> list[str]:
    """Why records of a petition wait."""
    sql = f"select reason from parked where key = '{petition}' and settled_at is null order by id"
    return [row["reason"] for row in asyncio.run(rows(city, "router", sql))]


def test_an_unreadable_record_holds_up_its_own_petition_alone(city: City) -> None:
    petition, neighbour = uuid4(), uuid4()
    neighbour = beside(petition)
    supplement = (
        b'{"type":"casegrid.petition.supplemented.v1","received_at":"2026-01-01T00:00:00Z"}'
    )
    asyncio.run(
        put(
            city,
            petition,
            message(petition, 1, b'{"type":"casegrid.petition.received.v1","number":'),
            message(petition, 2, supplement),
        )
    )
    asyncio.run(put(city, neighbour, message(neighbour, 1, received())))

    city.case(str(neighbour))
    reasons = eventually(lambda: parked(city, petition), lambda found: len(found) == 2)
    assert "behind" in reasons[1]
    assert city.get("router", f"/cases/{petition}").status_code == 404
    eventually(lambda: city.metric("router", "casegrid_parked"), lambda n: n >= 2)

    # What intake says again, readable this time, waits in line too; then an operator replays.
    asyncio.run(put(city, petition, message(petition, 1, received())))
    eventually(lambda: parked(city, petition), lambda found: len(found) == 3)
    said = city.stack.run_command("router", "parked", "list")
    assert str(petition) in said
    sql = f"select id from parked where key = '{petition}' order by id limit 1"
    ((broken,),) = asyncio.run(rows(city, "router", sql))
    city.stack.run_command("router", "parked", "discard", str(broken), "--reason", "cut off")
    city.stack.run_command("router", "replay", str(petition), "--reason", "it is whole")
    assert [step["event"] for step in city.history(str(petition))] == ["opened", "supplemented"]
    assert parked(city, petition) == []


def test_an_unknown_type_stops_its_partition_and_says_so(spoiled_city: City) -> None:
    petition = uuid4()
    unknown = message(petition, 1, received())
    headers = [
        (k, b"casegrid.petition.imagined.v9" if k == "ce_type" else v) for k, v in unknown.headers
    ]
    asyncio.run(put(spoiled_city, petition, unknown._replace(headers=headers)))
    ready = eventually(
        lambda: spoiled_city.http.get(spoiled_city.stack.url("router") + "/readyz").json(),
        lambda answer: "imagined" in str(answer["reasons"]),
    )
    assert ready["status"] == "degraded"
    assert parked(spoiled_city, petition) == []
    assert spoiled_city.metric("router", "casegrid_stopped_partitions") == 1
