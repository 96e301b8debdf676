"""One petition from the call to the archive, as the resident and the offices see it."""

from typing import Any

from shared.divisions import CITY
from tests.journeys.city import COMMUNITY, DISTRICT, GRID, STREET, City, eventually


def accepted(answer: Any) -> dict[str, Any]:
    """The answer of a command that must be taken."""
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def test_a_small_matter_is_settled_in_the_grid_and_the_resident_sees_it(city: City) -> None:
    petition = city.submit(
        text="楼道门口的垃圾三天没人清理",
        category="E0102",
        place={"code": GRID},
        person={"name": "某居民"},
        contact={"phone": "000-0000"},
    )
    receipt = eventually(lambda: city.receipt(petition), lambda r: r["where"] is not None)
    times = {step["step"]: step["at"] for step in receipt["steps"]}
    assert times["stored"] <= times["read"] <= times["routed"]
    assert times["published"] is not None
    assert receipt["where"]["unit"] == "登峰街道第1社区第1网格"
    assert receipt["where"]["next_deadline"] is not None
    case = city.case(petition["id"])
    assert (case["holder"]["division"], case["stage"]) == (GRID, "assigned")

    worker, cadre = ("grid_worker", GRID), ("street_cadre", STREET)
    accepted(city.command(petition["id"], {"command": "sign"}, *worker))
    verify = {
        "command": "verify",
        "at": city.case(petition["id"])["received_at"],
        "finding": "three bags",
        "evidence": "photo 1",
    }
    accepted(city.command(petition["id"], verify, *worker))
    reply = {"command": "reply", "text": "今天清理，由网格负责"}
    accepted(city.command(petition["id"], reply, *cadre))
    accepted(city.command(petition["id"], {"command": "resolve", "result": "清理完毕"}, *worker))
    # Who did it does not say that it is done, nor does anybody beside him.
    close = {"command": "close", "callback": "answered"}
    for beside in (worker, ("grid_head", GRID)):
        assert city.command(petition["id"], close, *beside).status_code == 409
    closed = accepted(city.command(petition["id"], close, "hotline_agent", CITY))
    assert (closed["stage"], closed["actions"]) == ("closed", ["reopen"])

    events = [step["event"] for step in city.history(petition["id"])]
    assert events == ["opened", "signed", "verified", "replied", "resolved", "closed"]
    case = city.case(petition["id"])
    assert case["on_time"] == {
        "sign": True, "verify": True, "reply": True, "tier": True, "final_reply": True,
        "callback": True,
    }  # fmt: skip
    assert case["clocks"] == []
    eventually(lambda: city.receipt(petition), lambda r: r["where"]["stage"] == "closed")
    eventually(
        lambda: city.get("escalation", f"/cases/{petition['id']}/clocks"),
        lambda a: a.status_code == 200 and a.json()["clocks"] == [],
    )


def test_without_a_category_it_waits_for_the_dispatcher_and_then_goes_where_it_belongs(
    city: City,
) -> None:
    petition = city.submit(text="有一件事想请你们看看", place={"code": STREET})
    case = city.case(petition["id"])
    assert (case["stage"], case["holder"]["division"]) == ("registered", STREET)
    assert {clock["name"] for clock in case["clocks"]} == {"dispatch", "reply", "final_reply"}
    dispatcher = ("street_dispatcher", STREET)
    accepted(
        city.command(petition["id"], {"command": "classify", "category": "E0110"}, *dispatcher)
    )
    case = city.case(petition["id"])
    assert (case["stage"], case["tier"], case["holder"]["division"]) == (
        "assigned", "street", STREET,
    )  # fmt: skip
    reason = city.get("router", f"/cases/{petition['id']}/routing").json()["decisions"][0]
    assert "E0110" in reason["en"]
    assert "E0110" in reason["zh"]


def test_a_place_nobody_named_is_the_citys_dispatchers(city: City) -> None:
    petition = city.submit(text="有一件事想请你们看看")
    assert city.case(petition["id"])["holder"] | {"name": ""} == {
        "division": CITY, "role": "city_dispatcher", "name": "", "office": None,
    }  # fmt: skip
    queue = city.get("router", f"/queues/{CITY}", "city_dispatcher").json()
    assert petition["id"] in [entry["case"] for entry in queue["entries"]]
    assert queue["held"]["registered"] >= 1


def test_an_accusation_never_reaches_the_accused_or_anyone_below(city: City) -> None:
    petition = city.submit(
        kind="complain",
        text="反映社区工作人员的问题",
        category="R01",
        place={"code": GRID},
        accused={"division": COMMUNITY},
    )
    case = city.case(petition["id"])
    assert not case["holder"]["division"].startswith(COMMUNITY)
    for division in (COMMUNITY, GRID):
        path = f"/cases/{petition['id']}"
        assert city.get("router", path, "grid_head", division=division).status_code == 404
        clocks = city.get("escalation", path + "/clocks", "grid_head", division=division)
        assert clocks.status_code in (403, 404)
        answer = city.command(petition["id"], {"command": "sign"}, "community_officer", division)
        assert answer.status_code == 404


def test_an_emergency_is_handed_over_by_a_person_with_a_reference(city: City) -> None:
    petition = city.submit(text="燃气管道破裂", category="E0403", place={"code": GRID})
    case = city.case(petition["id"])
    assert (case["track"], case["stage"]) == ("handoff", "registered")
    assert [clock["name"] for clock in case["clocks"]] == ["handover"]
    handed = {
        "command": "hand_over",
        "body": "119",
        "at": case["received_at"],
        "reference": "119-77",
    }
    accepted(city.command(petition["id"], handed, "grid_head", GRID))
    # The named carers go on: a service of the street now, with its promises from receipt.
    case = city.case(petition["id"])
    assert (case["track"], case["stage"], case["handed_over"]) == ("service", "assigned", True)
    assert (case["tier"], case["holder"]["office"]["office"]) == ("street", "gas-utility")
    assert {"reply", "final_reply", "sign"} <= {clock["name"] for clock in case["clocks"]}


def test_a_fire_ends_with_the_fire_service(city: City) -> None:
    petition = city.submit(text="着火了", category="X119", place={"code": GRID})
    case = city.case(petition["id"])
    handed = {
        "command": "hand_over",
        "body": "119",
        "at": case["received_at"],
        "reference": "119-78",
    }
    body = accepted(city.command(petition["id"], handed, "grid_head", GRID))
    assert body["stage"] == "handed_off"


def test_a_person_sends_it_up_and_the_district_gets_it_last(city: City) -> None:
    petition = city.submit(category="E0102", place={"code": GRID})
    promote = {"command": "promote", "reason": "beyond_authority"}
    city.case(petition["id"])
    for holder, role, after in (
        (GRID, "grid_head", COMMUNITY),
        (COMMUNITY, "community_officer", STREET),
        (STREET, "street_dispatcher", DISTRICT),
    ):
        assert accepted(city.command(petition["id"], promote, role, holder))["holder"] == after
    answer = city.command(petition["id"], promote, "district_dispatcher", DISTRICT)
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"


def test_what_the_resident_adds_is_in_the_history_and_not_on_kafka(city: City) -> None:
    petition = city.submit(category="E0102", place={"code": GRID})
    answer = city.http.post(
        f"{city.stack.url('intake')}/petitions/{petition['number']}/supplements",
        params={"code": petition["code"]},
        json={"text": "昨天又多了一袋"},
    )
    assert answer.status_code == 202, answer.text
    steps = eventually(
        lambda: city.history(petition["id"]),
        lambda steps: [s["event"] for s in steps] == ["opened", "supplemented"],
    )
    assert "昨天" not in str(steps)


def test_analytics_counts_what_happened(city: City) -> None:
    def closed() -> int:
        stats = city.http.get(city.stack.url("analytics") + "/stats").json()
        return int(stats["figures"]["closed"])

    before = closed()
    petition = city.submit(
        text="办事指南在哪", kind="consult", category="C02", place={"code": GRID}
    )
    city.case(petition["id"])
    officer = ("grid_head", GRID)
    accepted(city.command(petition["id"], {"command": "reply", "text": "见社区公告栏"}, *officer))
    accepted(city.command(petition["id"], {"command": "close", "callback": "no_contact"}, *officer))
    eventually(closed, lambda n: n == before + 1)


def test_what_a_batch_did_is_counted_once_it_is_committed(city: City) -> None:
    def opened() -> float:
        lines = city.http.get(city.stack.url("router") + "/metrics").text.splitlines()
        name = "casegrid_router_cases_opened_total "
        return next(float(line.removeprefix(name)) for line in lines if line.startswith(name))

    before = opened()
    city.case(city.submit(category="E0102", place={"code": GRID})["id"])
    eventually(opened, lambda n: n == before + 1)
