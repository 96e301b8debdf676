"""A petition that nobody touches climbs the whole ladder, once a step, and ends in supervision."""

import asyncio
from datetime import datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord

from shared.events import Topic
from tests.journeys.city import COMMUNITY, DISTRICT, GRID, STREET, City, eventually


def by_tier_clock(steps: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """The steps that the tier clock made: what happened, and where the case was then."""
    holder = ""
    made = []
    for step in steps:
        holder = step["changed"].get("holder", holder)
        if step["rule"] == "clock/tier":
            made.append((step["event"], holder))
    return made


def test_untouched_it_climbs_to_supervision_each_step_once_and_in_order(fast_city: City) -> None:
    petition = fast_city.submit(category="H01", place={"code": GRID})
    assert fast_city.history(petition["id"])[0]["changed"]["holder"] == GRID

    def climbed() -> list[tuple[str, str]]:
        return by_tier_clock(fast_city.history(petition["id"]))

    steps = eventually(climbed, lambda made: ("supervised", DISTRICT) in made, seconds=60)

    assert steps == [
        ("promoted", COMMUNITY),
        ("promoted", STREET),
        ("promoted", DISTRICT),
        ("supervised", DISTRICT),
    ]
    case = fast_city.case(petition["id"])
    assert case["promotions"] == {"grid": 1, "community": 1, "street": 1}
    assert case["holder"]["division"] == DISTRICT
    assert case["stage"] == "assigned"


def test_at_the_top_supervision_is_said_again_and_no_tier_is_skipped(fast_city: City) -> None:
    petition = fast_city.submit(category="H01", place={"code": GRID})
    eventually(
        lambda: by_tier_clock(fast_city.history(petition["id"])),
        lambda made: ("supervised", DISTRICT) in made,
        seconds=60,
    )

    def supervision() -> list[dict[str, Any]]:
        page = fast_city.get("escalation", f"/notices/{DISTRICT}?all=true").json()
        return [
            notice
            for notice in page["notices"]
            if notice["reason"] == "supervision" and petition["id"] in notice["cases"]
        ]

    eventually(supervision, lambda notices: len(notices) >= 2, seconds=30)
    history = fast_city.history(petition["id"])
    assert [s["event"] for s in history if s["rule"] == "clock/tier"].count("supervised") == 1


def test_an_urgent_matter_skips_to_the_street(fast_city: City) -> None:
    petition = fast_city.submit(category="P0101", place={"code": GRID})
    assert fast_city.history(petition["id"])[0]["changed"]["holder"] == STREET


async def all_said(city: City, *topics: Topic) -> list[ConsumerRecord]:
    """Every record of these topics, up to now."""
    prefix = city.stack.settings("router")["CASEGRID_TOPIC_PREFIX"]
    consumer = AIOKafkaConsumer(
        *(prefix + topic for topic in topics),
        bootstrap_servers=city.stack.bootstrap,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        found: list[ConsumerRecord] = []
        ends = await consumer.end_offsets(consumer.assignment())
        while any([await consumer.position(at) < end for at, end in ends.items()]):
            fetched = await consumer.getmany(timeout_ms=100)
            found += [record for records in fetched.values() for record in records]
        return found
    finally:
        await consumer.stop()


def test_the_broker_takes_records_from_a_clock_that_runs_ahead(fast_city: City) -> None:
    """Promise time is days ahead of the broker's: its own append time is what it keeps."""
    petition = fast_city.submit(category="H01", place={"code": GRID})
    eventually(
        lambda: by_tier_clock(fast_city.history(petition["id"])), lambda made: len(made) >= 2, 60
    )
    ahead = [
        datetime.fromisoformat(dict(record.headers)["ce_time"].decode()).timestamp()
        - record.timestamp / 1000
        for record in asyncio.run(all_said(fast_city, Topic.ROUTER))
    ]
    assert max(ahead) > 24 * 3600


def test_one_trace_leads_from_the_request_to_the_top(fast_city: City) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    petition = fast_city.http.post(
        fast_city.stack.url("intake") + "/petitions",
        json={"kind": "help", "channel": "phone", "text": "一件小事", "category": "H01",
              "place": {"code": GRID}},
        headers={"traceparent": trace},
    ).json()  # fmt: skip
    eventually(
        lambda: by_tier_clock(fast_city.history(petition["id"])),
        lambda made: ("supervised", DISTRICT) in made,
        seconds=60,
    )
    said = asyncio.run(all_said(fast_city, Topic.INTAKE, Topic.ROUTER, Topic.ESCALATION))
    of_it = [dict(one.headers) for one in said if one.key == petition["id"].encode()]
    types = {headers["ce_type"].decode().split(".")[2] for headers in of_it}
    assert types >= {"received", "opened", "breached", "promoted", "supervised"}
    assert {headers.get("traceparent") for headers in of_it} == {trace.encode()}
