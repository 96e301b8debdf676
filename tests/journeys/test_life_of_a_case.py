"""Between arrival and archive: objections, pauses, more time, calls, and back again."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.divisions import CITY
from tests.journeys.city import COMMUNITY, DISTRICT, GRID, STREET, City, eventually

NEXT_GRID = GRID[:-1] + "2"
HEAD, WORKER, OFFICER = ("grid_head", GRID), ("grid_worker", GRID), ("community_officer", COMMUNITY)
CADRE = ("street_cadre", STREET)
HOTLINE = ("hotline_agent", CITY)
HEAP: dict[str, Any] = {
    "text": "楼道门口的垃圾三天没人清理",
    "category": "E0102",
    "place": {"code": GRID},
}


def given(city: City, case: dict[str, Any], who: tuple[str, ...], **command: Any) -> dict[str, Any]:
    """A command that must be taken, and the case after it."""
    answer = city.command(case["id"], command, *who)
    assert answer.status_code == 200, answer.text
    return city.case(case["id"])


def refused(city: City, case: dict[str, Any], who: tuple[str, ...], **command: Any) -> str:
    """A command that must not be taken; what is said to it."""
    answer = city.command(case["id"], command, *who)
    assert answer.status_code in (403, 409), answer.text
    body = answer.json()
    assert command["command"] not in body.get("allowed", ())
    return str(body["detail"])


def opened(city: City, **more: Any) -> dict[str, Any]:
    """A heap of rubbish in the grid, reported by somebody who can be called."""
    return city.case(city.submit(**HEAP | {"contact": {"phone": "000-0000"}} | more)["id"])


def events(city: City, case: dict[str, Any]) -> list[str]:
    """What happened to it, in order."""
    return [step["event"] for step in city.history(case["id"])]


def armed(city: City, case: dict[str, Any], seq: int | None = None) -> dict[str, Any]:
    """Its clocks as escalation has them, by name, once it has heard of the case's last step."""
    wanted = seq or len(city.history(case["id"]))

    def look() -> dict[str, Any]:
        answer = city.get("escalation", f"/cases/{case['id']}/clocks")
        return answer.json() if answer.status_code == 200 else {}

    heard = eventually(look, lambda seen: bool(seen) and seen["as_of"]["seq"] >= wanted)
    return {clock["name"]: clock for clock in heard["clocks"]}


def moment(text: str) -> datetime:
    """A time of an answer."""
    return datetime.fromisoformat(text)


def resolved(city: City, case: dict[str, Any]) -> None:
    """Signed, answered, and dealt with by the grid's worker."""
    given(city, case, WORKER, command="sign")
    given(city, case, CADRE, command="reply", text="今天清理，由网格负责")
    given(city, case, WORKER, command="resolve", result="清理完毕")


def test_who_objects_twice_finds_an_arbiter_above_and_the_third_word_is_his(city: City) -> None:
    case = opened(city)
    objection = {"command": "return", "reason": "not_in_my_power", "note": "not our stairs"}
    back = given(city, case, HEAD, **objection)
    assert (back["holder"]["division"], back["stage"], back["returns"]) == (
        COMMUNITY, "registered", 1,
    )  # fmt: skip
    passed_on = {"command": "reroute", "division": NEXT_GRID, "reason": "competence"}
    given(city, case, OFFICER, **passed_on)
    asked = given(city, case, ("grid_head", NEXT_GRID), **objection)
    assert (asked["arbitration"], asked["holder"]["division"]) == ("asked", COMMUNITY)
    assert "dispatch" in armed(city, case)
    decided = given(city, case, OFFICER, **passed_on | {"division": GRID})
    assert (decided["arbitration"], decided["holder"]["division"]) == ("decided", GRID)
    assert "the arbiter said who has it" in refused(city, case, HEAD, **objection)
    assert events(city, case) == ["opened", "returned", "rerouted", "returned", "rerouted"]


def test_while_it_waits_for_the_resident_promises_stand_still_and_are_as_long_as_before(
    city: City,
) -> None:
    case = opened(city)
    before = {clock["name"]: clock for clock in case["clocks"]}
    until = moment(case["received_at"]) + timedelta(hours=30)
    still = given(
        city, case, HEAD,
        command="pause", reason="waiting_for_petitioner", until=until.isoformat(),
        text="请问是哪个单元？",
    )  # fmt: skip
    assert still["pause"]["reason"] == "waiting_for_petitioner"
    standing = {name for name, clock in armed(city, case).items() if clock["paused"]}
    assert standing == {"tier", "final_reply"}
    assert "stand still" in refused(city, case, HEAD, **{
        "command": "extend", "until": until.isoformat(), "reason": "x", "text": "x",
    })  # fmt: skip
    on = given(city, case, HEAD, command="resume")
    after = {clock["name"]: clock for clock in on["clocks"]}
    stood = {moment(after[n]["due_at"]) - moment(before[n]["due_at"]) for n in standing}
    assert len(stood) == 1
    assert timedelta(0) < stood.pop() < timedelta(hours=30)
    assert not any(clock["paused"] for clock in armed(city, case).values())


def test_more_time_is_asked_for_once_and_given_by_another_than_who_asked(city: City) -> None:
    case = opened(city)
    promised = next(c for c in case["clocks"] if c["name"] == "final_reply")
    more = moment(promised["due_at"]) + timedelta(days=2)
    ask = {
        "command": "extend", "until": more.isoformat(), "reason": "a part is missing",
        "text": "配件周五到货",
    }  # fmt: skip
    given(city, case, HEAD, **ask)
    assert "once" in refused(city, case, HEAD, **ask)
    refused(city, case, HEAD, command="grant_extension")
    granted = given(city, case, ("office_head", STREET), command="grant_extension")
    assert granted["extension"]["granted_at"] is not None
    assert moment(armed(city, case)["final_reply"]["due_at"]) == more
    assert events(city, case) == ["opened", "extension_asked", "extended"]


def test_what_the_resident_finds_undone_is_open_again_with_all_promises_anew(city: City) -> None:
    case = opened(city)
    resolved(city, case)
    for beside in (WORKER, HEAD):
        assert "another unit" in refused(
            city, case, beside, command="call_back", result="solved", satisfied=True
        )
    given(city, case, HOTLINE, command="call_back", result="no_answer")
    again = given(
        city, case, HOTLINE,
        command="call_back", result="not_solved", reason="came_back", satisfied=False,
    )  # fmt: skip
    assert (again["stage"], again["reopened"], again["call_backs"]) == ("assigned", 1, 0)
    assert {"sign", "verify", "reply", "tier", "final_reply"} <= armed(city, case).keys()
    resolved(city, case)
    closed = given(city, case, HOTLINE, command="call_back", result="solved", satisfied=True)
    assert (closed["stage"], closed["satisfied"]) == ("closed", True)
    assert events(city, case)[-3:] == ["replied", "resolved", "called_back"]
    assert armed(city, case) == {}


def test_what_is_not_for_us_is_told_the_right_door(city: City) -> None:
    petition = city.submit(text="我要打官司", place={"code": STREET})
    case = city.case(petition["id"])
    closed = given(
        city, case, ("street_dispatcher", STREET),
        command="not_accept", reason="legal_route", door="区人民法院立案庭", text="请向法院起诉",
    )  # fmt: skip
    assert (closed["stage"], closed["not_accepted"]) == ("closed", "legal_route")
    eventually(lambda: city.receipt(petition), lambda r: r["where"]["stage"] == "closed")


def test_the_resident_reads_what_he_was_told_and_nobody_else_does(city: City) -> None:
    petition = city.submit(**HEAP)
    case = city.case(petition["id"])
    given(city, case, CADRE, command="reply", text="今天清理，由网格负责", note="他很着急")
    seen = eventually(lambda: city.receipt(petition), lambda r: "answers" in r)["answers"]
    url = city.stack.url("router") + seen["path"]

    def read(token: str, where: str = url) -> Any:
        return city.http.get(where, headers={"Authorization": f"Bearer {token}"})

    told = eventually(lambda: read(seen["token"]).json()["answers"], bool)
    assert [one["text"]["zh"] for one in told] == ["今天清理，由网格负责"]
    assert "着急" not in read(seen["token"]).text
    other = city.case(city.submit(**HEAP)["id"])
    assert read(seen["token"], url.replace(case["id"], other["id"])).status_code in (403, 404)
    assert read(seen["token"], url.replace("/answers", "/history")).status_code in (401, 403)


def test_what_nobody_touched_is_taken_back_and_what_is_given_stands_in_ones_own_queue(
    city: City,
) -> None:
    case = city.case(city.submit(**HEAP | {"place": {"code": COMMUNITY}})["id"])
    given(city, case, OFFICER, command="reroute", division=GRID, reason="agreed")
    back = given(city, case, OFFICER, command="recall")
    assert back["holder"]["division"] == COMMUNITY
    given(city, case, OFFICER, command="reroute", division=GRID, reason="agreed")
    given(city, case, HEAD, command="assign", to="grid_worker")
    assert "touched" in refused(city, case, OFFICER, command="recall")
    mine = city.get("router", "/queues/mine", "grid_worker", division=GRID).json()
    assert case["id"] in {line["case"] for line in mine["entries"]}


@pytest.mark.parametrize("reason", ["scale_up", "beyond_authority"])
def test_a_person_sends_it_over_a_level(city: City, reason: str) -> None:
    case = opened(city)
    up = given(city, case, HEAD, command="promote", reason=reason, to="street")
    assert (up["tier"], up["promotions"]) == ("street", {"grid": 1})


# ---------------------------------------------------------------- small, big, hard [article]


def test_a_small_matter_never_leaves_the_grid(city: City) -> None:
    case = opened(city)
    resolved(city, case)
    closed = given(city, case, OFFICER, command="close", callback="answered")
    assert (closed["stage"], closed["holder"]["division"]) == ("closed", GRID)
    assert (closed["closing_tier"], closed["promotions"]) == ("grid", {})


def test_a_big_matter_is_solved_in_the_community(city: City) -> None:
    case = opened(city)
    given(city, case, HEAD, command="promote", reason="beyond_authority")
    officer = ("community_officer", COMMUNITY)
    given(city, case, officer, command="sign")
    given(city, case, CADRE, command="reply", text="社区本周统一清理")
    given(city, case, officer, command="resolve", result="清理完毕")
    closed = given(city, case, CADRE, command="close", callback="answered")
    assert (closed["stage"], closed["closing_tier"]) == ("closed", "community")


def test_a_hard_matter_is_solved_in_the_street_with_the_whistle(city: City) -> None:
    case = opened(city)
    bureau = ("department_officer", STREET, "city-management")
    police = ("department_officer", STREET, "public-security")
    commander = ("street_dispatcher", STREET)
    given(city, case, ("grid_branch_secretary", GRID), command="ask_whistle", note="工地倾倒")
    blown = given(
        city, case, OFFICER,
        command="whistle", offices=["city-management", "public-security"],
        reason="needs_enforcement", note="一起来",
    )  # fmt: skip
    assert (blown["holder"]["division"], blown["holder"]["office"]) == (STREET, None)
    for office in ("city-management", "public-security"):
        given(
            city, case, commander, command="give_task", kind="report_in", office=office, note="来"
        )
    assert {"report_in/2", "report_in/3"} <= armed(city, case).keys()
    no = {"command": "refuse_task", "reason": "not_in_our_power", "note": "不归我们"}
    given(city, case, bureau, **no, task=2)
    given(city, case, commander, command="decide_objection", task=2, decision="overrule", note="归")
    on_site = moment(case["received_at"]) + timedelta(hours=1)
    for n, who in ((2, bureau), (3, police)):
        given(city, case, who, command="report_in", task=n, on_site=on_site.isoformat())
        given(city, case, who, command="finish_task", task=n, result="已查处")
    assert "result/4" in armed(city, case)
    ended = given(
        city, case, ("grid_worker", GRID), command="finish_task", task=4, result="好了", good=True
    )
    assert ended["whistle"]["state"] == "closed"
    counted = city.get("router", f"/whistles?unit={DISTRICT}")
    assert counted.status_code == 200, counted.text
    # The street's own desk resolves it, and another unit looks before it is closed.
    given(city, case, CADRE, command="reply", text="联合执法已处理")
    given(city, case, commander, command="resolve", result="已处理")
    closed = given(city, case, HOTLINE, command="close", callback="answered")
    assert (closed["stage"], closed["closing_tier"]) == ("closed", "street")
