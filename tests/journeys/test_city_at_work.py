"""A city in which people work: small matters end in the grid, what nobody hands over climbs."""

import asyncio
from itertools import islice

import httpx

from deploy.local.crew import Crew, Habits
from deploy.local.samples import patrol_finds
from tests.journeys.city import GRID, City, eventually

FINDS = 40


def test_the_crew_solves_small_matters_in_the_grid_and_leaves_nothing_it_does_not_neglect(
    city: City,
) -> None:
    ids = [city.submit(**body)["id"] for body in islice(patrol_finds(1), FINDS)]
    for one in ids:
        city.case(one)
    habits = Habits(seed=1, rate=500, neglected=0.05, returned=0.0, promoted=0.0)
    asyncio.run(work(city, habits))
    stood = {one: city.case(one) for one in ids}
    left = {one for one, case in stood.items() if case["stage"] in ("assigned", "signed")}
    neglected = {
        one
        for one, case in stood.items()
        if habits.fate(one, f"{case['holder']['division']}/None") == "neglected"
    }
    assert left <= neglected, "only what is neglected waits"
    solved = [case for case in stood.values() if case["outcome"] == "solved"]
    assert len(solved) >= FINDS * 0.7
    assert {case["closing_tier"] for case in solved} == {"grid"}
    assert all(case["on_time"]["verify"] for case in solved)


async def work(city: City, habits: Habits) -> None:
    """Rounds until nobody finds anything to do."""
    secret = city.stack.secret_file.read_text()
    async with httpx.AsyncClient(
        base_url=city.stack.url("router"), timeout=30, trust_env=False
    ) as client:
        crew = Crew(client, secret, city.stack.promise_time.clock, habits)
        for _ in range(30):
            # Counts of queues are folded each second: a round may find nothing a little early.
            if not await crew.round() and not await crew.round():
                break
        assert crew.work.done["sign"] >= FINDS * 0.7


def test_an_emergency_that_nobody_hands_over_is_supervised_in_minutes(fast_city: City) -> None:
    # A city that has just begun takes petitions before it has heard of its policy.
    told = eventually(
        lambda: fast_city.submit(text="三楼着火了", category="X119", place={"code": GRID}),
        lambda answer: "call" in answer,
    )
    assert [call["number"] for call in told["call"]] == ["119"]
    case = eventually(
        lambda: fast_city.case(told["id"]), lambda one: one["supervised"] >= 1, seconds=60
    )
    assert case["stage"] == "registered", "it stays open: nobody has a reference"
    assert [clock["name"] for clock in case["clocks"]] == ["handover"]
    [first, *_] = [s for s in fast_city.history(told["id"]) if s["event"] == "supervised"]
    assert first["rule"] == "clock/handover"
