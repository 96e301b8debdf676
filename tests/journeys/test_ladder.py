"""A petition that nobody touches climbs the whole ladder, once a step, and ends in supervision."""

import asyncio
from datetime import datetime
from typing import Any

from aiokafka import AIOKafkaConsumer

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


def test_the_broker_takes_records_from_a_clock_that_runs_ahead(fast_city: City) -> None:
    """Promise time is days ahead of the broker's: its own append time is what it keeps."""
    petition = fast_city.submit(category="H01", place={"code": GRID})
    eventually(
        lambda: by_tier_clock(fast_city.history(petition["id"])), lambda made: len(made) >= 2, 60
    )

    async def ahead() -> float:
        topic = fast_city.stack.settings("router")["CASEGRID_TOPIC_PREFIX"] + "router.events"
        consumer = AIOKafkaConsumer(
            topic, bootstrap_servers=fast_city.stack.bootstrap, auto_offset_reset="earliest"
        )
        await consumer.start()
        try:
            seconds = 0.0
            while True:
                fetched = await consumer.getmany(timeout_ms=2_000)
                if not fetched:
                    return seconds
                for records in fetched.values():
                    for record in records:
                        said = dict(record.headers)["ce_time"].decode()
                        stamped = record.timestamp / 1000
                        seconds = max(seconds, datetime.fromisoformat(said).timestamp() - stamped)
        finally:
            await consumer.stop()

    assert asyncio.run(ahead()) > 24 * 3600
