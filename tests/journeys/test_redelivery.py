"""The whole of every topic comes again, and nothing changes: not a row, not a figure."""

import asyncio

from tests.journeys.city import DISTRICT, GRID, City, eventually, rows

STATE = {
    "router": [
        "select case_id, version, epoch, seq, doc::text from cases order by 1",
        "select case_id, epoch, seq, event from history order by 1, 2, 3",
        "select case_id, clock, due_at from duties order by 1, 2",
        "select name, key, sum(n) from (select name, key, n from tally union all"
        " select name, key, n from tally_deltas) t group by 1, 2 having sum(n) <> 0 order by 1, 2",
    ],
    "escalation": ["select case_id, epoch, seq, next_at, clocks::text from armed order by 1"],
    "analytics": ["select * from contributions order by case_id"],
    "intake": ["select petition_id, epoch, seq, unit, stage, routed_at from receipts order by 1"],
}


def state(city: City) -> dict[str, list[list[tuple[object, ...]]]]:
    """Every fact of every service."""
    return {
        service: [
            [tuple(row.values()) for row in asyncio.run(rows(city, service, sql))]
            for sql in statements
        ]
        for service, statements in STATE.items()
    }


def heard(city: City) -> bool:
    """Whether every service is at the end of everything it hears."""
    return all(
        city.metric(service, "casegrid_outbox_depth") == 0
        and city.metric(service, "casegrid_consumer_lag_records") == 0
        for service in STATE
    )


def test_every_topic_from_its_beginning_changes_nothing(city: City) -> None:
    petitions = [city.submit(category="E0102", place={"code": GRID}) for _ in range(40)]
    petitions += [city.submit(category="E0110", place={"code": DISTRICT}) for _ in range(10)]
    last = petitions[0]["id"]
    city.case(last)
    assert city.command(last, {"command": "sign"}, "grid_head", GRID).status_code == 200
    for petition in petitions:
        city.case(petition["id"])
    eventually(lambda: heard(city), bool)
    eventually(lambda: city.receipt(petitions[0])["where"]["stage"], lambda s: s == "signed")
    before = eventually(lambda: state(city), lambda s: len(s["analytics"][0]) >= 50)

    for service in STATE:
        city.stack.stop_service(service)
        asyncio.run(rows(city, service, "update offsets set next_offset = 0"))
    for service in STATE:
        city.stack.start_service(service)

    eventually(lambda: city.metric("router", "casegrid_router_duplicates_total"), lambda n: n >= 50)
    eventually(lambda: heard(city), bool)
    assert state(city) == before
