"""Who answers for a matter, and who put it there: what a community may not lead, a letter that an
officer registers for the person, a correction that moves a case and keeps its promises.
"""

from typing import Any

import httpx

from tests.journeys.city import COMMUNITY, GRID, STREET, City, eventually

COMMUNITY_DESK = ("community_officer", COMMUNITY)


def accepted(answer: httpx.Response) -> dict[str, Any]:
    """The answer of a command that must be taken."""
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def why(city: City, case_id: str) -> dict[str, Any]:
    """The newest decision about where a case goes."""
    newest: dict[str, Any] = city.get("router", f"/cases/{case_id}/routing").json()["decisions"][0]
    return newest


def test_what_a_community_may_not_lead_goes_from_it_to_the_lead_office(city: City) -> None:
    petition = city.submit(text="低保申请一直没有答复", category="L05", place={"code": GRID})
    case = city.case(petition["id"])
    assert (case["holder"]["division"], case["lead"]["office"]) == (COMMUNITY, "civil-affairs")
    accepted(city.command(petition["id"], {"command": "sign"}, *COMMUNITY_DESK))
    resolve = {"command": "resolve", "result": "我们自己办了"}
    assert city.command(petition["id"], resolve, *COMMUNITY_DESK).status_code == 409
    to_itself = {"command": "reroute", "division": STREET, "office": "residents-committee",
                 "reason": "agreed"}  # fmt: skip
    above = ("street_dispatcher", STREET)
    assert city.command(petition["id"], to_itself, *above).status_code == 403
    verify = {"command": "verify", "at": case["received_at"], "finding": "as told",
              "evidence": "photo 1"}  # fmt: skip
    verified = accepted(city.command(petition["id"], verify, "grid_worker", GRID))
    assert (verified["holder"], verified["rule"]) == (STREET, "B3.8/may-not-lead")
    case = city.case(petition["id"])
    assert case["holder"]["office"]["office"] == "civil-affairs"
    reason = why(city, petition["id"])
    assert reason["matched"]["lead_office"] == "civil-affairs"
    assert "民政局" in reason["zh"]
    assert city.get("router", f"/queues/{COMMUNITY}", *COMMUNITY_DESK[:1]).status_code == 200


def test_a_community_that_calls_it_otherwise_leaves_it_to_the_street(city: City) -> None:
    petition = city.submit(text="低保申请一直没有答复", category="L05", place={"code": GRID})
    city.case(petition["id"])
    its_own = {"command": "classify", "category": "L99", "note": "其实是一般求助"}
    answer = accepted(city.command(petition["id"], its_own, *COMMUNITY_DESK))
    assert (answer["holder"], answer["stage"], answer["actions"]) == (STREET, "registered", [])
    assert why(city, petition["id"])["rule"] == "B3.8/street-decides"


def test_a_letter_is_registered_for_the_person_who_follows_it_with_a_code_of_her_own(
    city: City,
) -> None:
    letter = {
        "kind": "help", "channel": "letter", "text": "楼道堆放杂物，请清理", "category": "E0102",
        "place": {"code": GRID}, "person": {"name": "某居民"},
        "on_behalf": {"came_at": "2026-01-05T09:00:00+08:00", "reference": "信2026-17"},
    }  # fmt: skip
    intake = city.stack.url("intake") + "/petitions"
    clerk = city.token("petition_officer", division=STREET)
    assert city.http.post(intake, json=letter).status_code == 401
    by_herself = {name: value for name, value in letter.items() if name != "on_behalf"}
    assert city.http.post(intake, json=by_herself, headers=clerk).status_code == 422
    accused = letter | {"accused": {"division": STREET}}
    assert city.http.post(intake, json=accused, headers=clerk).status_code == 403
    answer = city.http.post(intake, json=letter, headers=clerk)
    assert answer.status_code == 202, answer.text
    told = answer.json()
    receipt = eventually(lambda: city.receipt(told), lambda r: r["where"] is not None)
    assert receipt["where"]["unit"] == "登峰街道第1社区第1网格"
    assert (receipt["registered"]["division"], receipt["registered"]["reference"]) == (
        STREET, "信2026-17",
    )  # fmt: skip
    assert "petition_officer" not in str(receipt)
    case = city.case(told["id"])
    assert case["received_at"] > letter["on_behalf"]["came_at"]  # type: ignore[index]
    words = city.get("intake", f"/petitions/{told['id']}/text", "street_cadre", division=STREET)
    assert words.json()["registered"]["roles"] == ["petition_officer"]


def test_a_correction_moves_a_case_and_keeps_what_runs_from_receipt(city: City) -> None:
    petition = city.submit(text="门口的灯不亮", category="E0102", place={"code": GRID})
    city.case(petition["id"])
    worker = ("grid_worker", GRID)
    accepted(city.command(petition["id"], {"command": "sign"}, *worker))
    before = {clock["name"]: clock for clock in city.case(petition["id"])["clocks"]}
    lamp = {"command": "classify", "category": "P0202", "note": "说的是路灯"}
    accepted(city.command(petition["id"], lamp, *worker))
    case = city.case(petition["id"])
    assert (case["holder"]["division"], case["holder"]["office"]["office"], case["stage"]) == (
        STREET, "lighting", "assigned",
    )  # fmt: skip
    after = {clock["name"]: clock for clock in case["clocks"]}
    for name in ("verify", "reply", "final_reply"):
        assert after[name]["started_at"] == before[name]["started_at"]
        assert after[name]["started_at"][:19] == case["received_at"][:19]
    assert (after["verify"]["due_at"], after["reply"]["due_at"]) == (
        before["verify"]["due_at"], before["reply"]["due_at"],
    )  # fmt: skip
    assert after["tier"]["started_at"] > before["tier"]["started_at"]
    last = city.history(petition["id"])[-1]
    assert last["detail"]["corrected"]["category"] == ["E0102", "P0202"]
    eventually(lambda: city.receipt(petition), lambda r: "路灯管理处" in r["where"]["unit"])
    queue = city.get("router", f"/queues/offices/lighting?division={STREET}").json()
    assert petition["id"] in [line["case"] for line in queue["entries"]]
    reason = why(city, petition["id"])
    assert (reason["matched"]["lead_office"], reason["matched"]["duty_division"]) == (
        "lighting", "*",
    )  # fmt: skip
