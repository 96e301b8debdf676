"""A city in which people work: small matters end in the grid, what nobody hands over climbs."""

import asyncio
from collections import Counter
from itertools import islice
from typing import Any

import httpx

from deploy.local.crew import Crew, Habits
from deploy.local.samples import patrol_finds
from shared.divisions import CITY
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


def held(city: City) -> int:
    """How many cases wait in the queues of the city, signed or not."""
    queues = city.get("router", "/queues", "city_dispatcher").json()["queues"]
    return sum(
        queue["held"].get(stage, 0)
        for queue in queues
        if queue["office"] is None
        for stage in ("registered", "assigned", "signed")
    )


def figures(city: City) -> dict[str, Any]:
    """What analytics counts of the whole city by now."""
    found: dict[str, Any] = city.http.get(city.stack.url("analytics") + "/stats").json()["figures"]
    return found


def test_with_all_its_habits_the_crew_solves_most_in_the_grid_and_some_climb_or_come_back(
    city: City,
) -> None:
    before, counted = held(city), figures(city)
    ids = [city.submit(**body)["id"] for body in islice(patrol_finds(2), 2 * FINDS)]
    for one in ids:
        city.case(one)
    full = eventually(lambda: held(city), lambda n: n >= before + len(ids))
    habits = Habits(seed=2, rate=500, neglected=0.05, returned=0.05, promoted=0.05)
    done = asyncio.run(work(city, habits))
    assert done["return"] > 0
    assert done["promote"] > 0
    assert done["reroute"] > 0, "who got it back takes it"
    stood = [city.case(one) for one in ids]
    left = [case for case in stood if case["outcome"] is None and case["stage"] != "resolved"]
    for case in left:
        division, office = case["holder"]["division"], case["holder"]["office"]
        desk = f"{division}/{office['office'] if office else None}"
        # What all below returned waits for the city's dispatcher: a person, no crew.
        assert division == CITY or habits.fate(case["id"], desk) == "neglected", case
    assert len(left) <= len(ids) * 0.3
    eventually(lambda: held(city), lambda n: n <= full - len(ids) + len(left))
    solved = [case for case in stood if case["outcome"] == "solved"]
    tiers = Counter(case["closing_tier"] for case in solved)
    assert tiers["grid"] > len(solved) / 2
    assert tiers.total() > tiers["grid"], "some were solved higher up"
    assert any(case["returns"] for case in solved)
    assert any(case["promotions"] for case in solved)
    now = eventually(
        lambda: figures(city), lambda seen: seen["closed"] >= counted["closed"] + len(solved)
    )
    assert sum(now["promoted"].values()) > sum(counted["promoted"].values())
    in_grid = now["solved_in_grid"]["numerator"] - counted["solved_in_grid"]["numerator"]
    assert in_grid >= tiers["grid"]


async def work(city: City, habits: Habits) -> Counter[str]:
    """Rounds until nobody finds anything to do; the commands given, by name."""
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
        return crew.work.done


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
