"""What the resident is told: templates by matter and command, and which words are his to read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import get_args

import pytest
from pydantic import ValidationError

from services.router.decisions.answers import KINDS, PublicAnswer, Told, public_answers
from services.router.decisions.case import Case, NotAccepted, PauseReason
from services.router.decisions.commands import Changed, OfficerCommand, Refused
from services.router.decisions.policy import (
    PolicyRefused,
    Template,
    Templates,
    WordedCommand,
    parse_policy,
    read_part,
)
from services.router.decisions.policy.templates import FILLED, GIVEN, MUST_SAY
from services.router.decisions.workflow import allowed_actions, decide
from shared.divisions import CITY
from shared.events import CASE_EVENTS, Order
from shared.identity import Actor
from tests.router.stories import (
    BUS,
    CASE,
    COMMUNITY,
    DATA,
    FILES,
    FIRE,
    GRID,
    HOUR,
    LAMP,
    MINUTE,
    NOON,
    QUESTION,
    RUBBISH,
    STREET,
    cadre,
    changed,
    command,
    decided,
    done,
    officer,
    opened,
    refusal,
    resolved,
    shipped_policy,
    sure,
    unclear,
)

SLOTS = {"found": "一堆垃圾", "will_do": "清走", "who": "环卫队", "when": "今晚8点"}
HEADER = "code,commands,stages,reason,category,zh,en\n"
SHIPPED = shipped_policy().templates


def told(case: Case, asked: OfficerCommand, actor: Actor | None = None) -> Mapping[str, object]:
    """What the history keeps of a command."""
    return changed(case, asked, actor).detail


def why_not(case: Case, asked: OfficerCommand, actor: Actor | None = None) -> tuple[str, str]:
    """The reason of a refusal, and what it says."""
    said = refusal(case, asked, actor)
    return said.reason, said.says


def plan(**slots: str) -> OfficerCommand:
    """A reply from the template for replies."""
    return command("reply", template="plan", slots=slots)


# ---------------------------------------------------------------- words of a template [F41]


def test_a_reply_from_a_template_is_kept_in_both_languages_with_its_code_and_version() -> None:
    detail = told(opened(sure(LAMP)), plan(**SLOTS), cadre())
    assert detail == {
        "text": "您好。您报修的“道路交通-路灯”（编号20240520-000001-7）我们已查看：一堆垃圾。"
        "我们将清走，由环卫队负责，今晚8点前修好。如需再次报修，请拨打12345并报上编号。兴工街道",
        "text_en": "Good day. We looked at what you asked us to repair"
        ' ("street lamp fault", number 20240520-000001-7): 一堆垃圾. We will 清走;'
        " 环卫队 is in charge, and it will work again by 今晚8点."
        " To report it again call 12345 and give the number. 兴工街道",
        "template": "plan",
        "templates": 1,
    }


def test_a_note_stands_beside_the_words_and_is_not_among_them() -> None:
    asked = command("reply", template="plan", slots=SLOTS, note="he shouted")
    detail = told(opened(sure(RUBBISH)), asked, cadre())
    assert detail["note"] == "he shouted"
    assert "shouted" not in f"{detail['text']}{detail['text_en']}"


def test_a_reply_from_a_template_keeps_the_promise_of_24_hours() -> None:
    case = done(opened(sure(RUBBISH)), plan(**SLOTS), cadre())
    assert (case.replied, case.on_time["reply"]) == (True, True)


def test_a_template_with_none_of_the_four_things_a_reply_says_is_no_reply() -> None:
    said = refused_rows("thanks,reply,,,,您好,hello")
    assert "found" in said[0]
    assert all(name in said[0] for name in MUST_SAY)
    for template in SHIPPED.rows:
        assert "reply" not in template.commands or set(MUST_SAY) <= set(template.asks)


def test_what_fills_a_slot_is_not_read_for_slots_again() -> None:
    detail = told(opened(sure(RUBBISH)), plan(**SLOTS | {"found": "{hotline} {who}"}), cadre())
    assert "{hotline} {who}" in str(detail["text"])


def test_the_narrowest_template_of_a_code_is_taken() -> None:
    for category, narrowest in ((RUBBISH, "E01"), (LAMP, "P"), ("L10", "L10"), (BUS, "")):
        assert [row.category for row in SHIPPED.fitting(category, "reply")] == [narrowest]


def test_narrower_codes_are_listed_first() -> None:
    listed = [row.code for row in SHIPPED.fitting("C02", "answer")]
    assert listed == ["answer-where", "answer"]


def test_a_matter_not_yet_named_takes_only_what_is_good_for_all() -> None:
    assert {row.category for row in SHIPPED.fitting(None)} == {""}


def row_of(code: str, *, stages: str = "", category: str = "", zh: str = "好") -> Template:
    return Template(code, frozenset({"resolve"}), frozenset(stages.split()), None, category, zh, zh)


def test_of_two_equally_narrow_ones_the_one_for_this_stage_is_taken() -> None:
    both = Templates(1, (row_of("done"), row_of("done", stages="signed", zh="办好")))
    assert [row.zh for row in both.fitting(RUBBISH, "resolve", "signed")] == ["办好"]
    assert [row.zh for row in both.fitting(RUBBISH, "resolve", "assigned")] == ["好"]


@pytest.mark.parametrize(
    ("asked", "reason", "says"),
    [
        pytest.param(command("reply", template="no-such"), "incomplete",
                     f"the policy has no template of this code; GET /templates?case={CASE}"
                     "&command=reply lists those that are good", id="no such template"),
        pytest.param(command("reply", template="result"), "not_allowed_now",
                     "template result is not for this command of such a case", id="for another"),
        pytest.param(plan(found="a heap"), "incomplete",
                     "template plan needs: will_do, who, when", id="a slot is empty"),
        pytest.param(plan(**SLOTS, bring="a pass"), "incomplete",
                     "1 of these slots are not yours to fill in plan; it asks for: found, will_do",
                     id="a slot that it has not"),
        pytest.param(plan(**SLOTS, number="7"), "incomplete",
                     "1 of these slots are not yours to fill in plan", id="fills itself"),
        pytest.param(plan(**{name: "很" * 300 for name in SLOTS}), "", "", id="long, but it goes"),
    ],
)  # fmt: skip
def test_a_template_that_cannot_be_used_says_what_to_do(
    asked: OfficerCommand, reason: str, says: str
) -> None:
    case = opened(sure(RUBBISH))
    if not reason:
        assert len(str(told(case, asked, cadre())["text"])) > 1_200
        return
    refusal, said = why_not(case, asked, cadre())
    assert refusal == reason
    assert said.startswith(says)


def test_a_refusal_never_repeats_what_was_sent() -> None:
    for asked in (command("reply", template="李四"), plan(**SLOTS, 李四="x")):
        assert "李四" not in why_not(opened(sure(RUBBISH)), asked, cadre())[1]


def test_a_slot_of_which_the_case_knows_nothing_sends_no_letter_with_holes() -> None:
    case = replace(opened(unclear()), category=None)
    refusal, says = why_not(case, plan(**SLOTS), cadre())
    assert (refusal, says) == ("incomplete", "this case has nothing for category: take another"
                                             " template")  # fmt: skip


def test_words_that_grow_too_long_are_refused() -> None:
    text = "{found}{will_do}{who}{when}" * 4
    long = Templates(
        1, (Template("long", frozenset({"reply"}), frozenset(), None, "", text, text),)
    )
    policy = replace(shipped_policy(), templates=long)
    asked = command("reply", template="long", slots={name: "很" * 300 for name in SLOTS})
    decision = decide(opened(sure(RUBBISH)), asked, cadre(), policy, NOON)
    assert isinstance(decision, Refused)
    assert decision.says == "with these slots it is longer than 4000 characters"


def test_each_reason_to_refuse_or_pause_has_its_template_and_only_its_own() -> None:
    for reason in (*get_args(NotAccepted), *get_args(PauseReason)):
        name = "not_accept" if reason in get_args(NotAccepted) else "pause"
        found = SHIPPED.fitting(RUBBISH, name, None, reason)
        assert [row.reason for row in found] == [reason]


@pytest.mark.parametrize("reason", get_args(NotAccepted))
def test_a_refusal_from_its_template_names_the_right_door(reason: str) -> None:
    case = opened(unclear(COMMUNITY))
    [template] = SHIPPED.fitting(None, "not_accept", None, reason)
    asked = command("not_accept", reason=reason, door="人民法院立案庭", template=template.code)
    detail = told(case, asked)
    assert "人民法院立案庭" in str(detail["text"])
    assert "人民法院立案庭" in str(detail["text_en"])
    assert (detail["reason"], detail["door"]) == (reason, "人民法院立案庭")
    other = "secret" if reason != "secret" else "unlawful"
    wrong = command("not_accept", reason=other, door="there", template=template.code)
    assert why_not(case, wrong)[0] == "not_allowed_now"


def test_a_pause_tells_until_when_in_local_time() -> None:
    asked = command(
        "pause", reason="waiting_for_petitioner", until=NOON + HOUR, template="waits-for-you",
        slots={"missing": "门牌号"},
    )  # fmt: skip
    detail = told(opened(sure(RUBBISH)), asked)
    assert "请在2024年5月20日11:00前补充" in str(detail["text"])
    assert "by 2024-05-20 11:00" in str(detail["text_en"])


def test_who_speaks_is_the_office_that_holds_the_case_or_the_officers_own_division() -> None:
    case = done(opened(sure(LAMP)), "sign")
    asked = command("resolve", template="result", slots={"done": "换了灯"})
    detail = told(case, asked, officer(STREET, "department_officer"))
    assert str(detail["result"]).endswith("兴工街道 路灯管理处")
    assert str(detail["text_en"]).endswith(", 兴工街道")
    assert str(told(case, asked, officer("210204", "district_dispatcher"))["result"]).endswith(
        "沙河口区"
    )


def test_every_shipped_template_can_be_used_by_the_command_it_is_for() -> None:
    """No slot stays empty, in either language, for a case to which the command may be given."""
    used = set()
    for template in SHIPPED.rows:
        case, actor, fields = STORY[min(template.commands)]
        category = next(
            code for code in shipped_policy().categories if code.startswith(template.category)
        )
        if case.category is not None and not case.category.startswith(template.category):
            case = replace(case, category=category)
        if template.reason is not None:
            fields = fields | {REASON_IN[min(template.commands)]: template.reason}
        slots = dict.fromkeys(template.asks, "X")
        for name in template.commands:
            asked = command(name, **fields, template=template.code, slots=slots)
            detail = told(case, asked, actor)
            texts = [str(detail[asked.words_in]), str(detail["text_en"])]  # type: ignore[union-attr]
            assert all("{" not in text and len(text) > 20 for text in texts)
        used.add(template.code)
    assert used == {row.code for row in SHIPPED.rows}
    assert {name for row in SHIPPED.rows for name in row.commands} == set(get_args(WordedCommand))


REASON_IN = {"not_accept": "reason", "pause": "reason", "call_back": "result"}
UNTIL = NOON + timedelta(days=2)
STORY: Mapping[str, tuple[Case, Actor | None, dict[str, object]]] = {
    "reply": (opened(sure(RUBBISH)), cadre(), {}),
    "answer": (opened(sure(QUESTION)), None, {}),
    "resolve": (done(opened(sure(RUBBISH)), "sign"), None, {}),
    "not_accept": (opened(sure(RUBBISH)), None, {"door": "there"}),
    "pause": (opened(sure(RUBBISH)), None, {"until": NOON + HOUR}),
    "extend": (opened(sure(RUBBISH)), None, {"until": NOON + timedelta(days=9), "reason": "why"}),
    "call_back": (resolved(opened(sure(RUBBISH))), None, {}),
    "hand_over": (opened(sure(FIRE)), None, {"body": "119", "at": NOON, "reference": "7"}),
}


def test_words_are_those_of_today_while_promises_are_those_of_the_day_it_was_opened() -> None:
    newest = replace(
        shipped_policy(), version=2, templates=Templates(2, (row_of("done", zh="办好了"),))
    )
    policy = shipped_policy().in_words_of(newest)
    assert (policy.version, policy.templates.version) == (1, 2)
    assert policy.settings is shipped_policy().settings
    assert shipped_policy().in_words_of(shipped_policy()) is shipped_policy()
    assert shipped_policy().in_words_of(newest) is policy  # made once, not for each command
    case = done(opened(sure(RUBBISH)), "sign")
    decision = decide(case, command("resolve", template="done"), officer(GRID), policy, NOON)
    assert isinstance(decision, Changed)
    assert (decision.detail["result"], decision.detail["templates"]) == ("办好了", 2)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("reply", {}),
        ("reply", {"text": "x", "template": "plan"}),
        ("reply", {"text": "x", "slots": {"found": "y"}}),
        ("resolve", {}),
        ("resolve", {"text": "x"}),
        ("resolve", {"result": "x", "template": "result"}),
        ("call_back", {"result": "no_answer", "slots": {"found": "y"}}),
        ("answer", {"template": "answer", "slots": {"answer": "x" * 301}}),
        ("answer", {"template": "answer", "slots": {f"s{n}": "x" for n in range(21)}}),
        ("answer", {"template": "answer", "slots": {"answer": "a\x00b"}}),
    ],
)
def test_a_command_has_words_or_a_template_and_its_slots(
    name: str, fields: dict[str, object]
) -> None:
    with pytest.raises(ValidationError):
        command(name, **fields)


def test_a_call_back_or_a_hand_over_may_go_without_words() -> None:
    assert "text" not in told(resolved(opened(sure(RUBBISH))), command(
        "call_back", result="no_answer"
    ))  # fmt: skip
    hand_over = command("hand_over", body="119", at=NOON, reference="7")
    assert set(told(opened(sure(FIRE)), hand_over)) == {"body", "at", "reference"}


# ---------------------------------------------------------------- templates are checked


def refused_rows(*lines: str) -> list[str]:
    """What is wrong with these templates."""
    parts = {kind: read_part(kind, (DATA / file).read_text(), file) for kind, file in FILES.items()}
    parts["templates"] = read_part("templates", HEADER + "\n".join(lines), "templates.csv")
    with pytest.raises(PolicyRefused) as refused:
        parse_policy(1, parts)
    return [str(problem) for problem in refused.value.problems]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("a,resolve,,,,好{nmae},good{nmae}", "templates.csv:2: a: zh: there is no slot {nmae}"),
        ("a,resolve,,,,好{done},good", "a: zh and en do not have the same slots"),
        ("a,resolve,,,,好{done,good{done", "a: en: a slot is written {name}"),
        ("a,resolve,,,,好{Done},good{Done}", "a: en: a slot is written {name}"),
        ("a,resolve,,,,好,", "en is missing"),
        ("a,sign,,,,好,good", "a: sign tells the resident nothing: reply, answer"),
        ('a," ; ",,,,好,good', "a: commands is missing"),
        ("a,resolve,sined,,,好,good", "a: sined is not a stage"),
        ("a,resolve,,,Q9,好,good", "a: no category begins with Q9"),
        ("a,pause,,secret,,好,good", "a: secret is not a reason of pause"),
        ("a,resolve,,secret,,好,good", "a: secret is not a reason of resolve"),
        ("a,resolve,,,,好{door},good{door}", "a: only not_accept can fill {door}"),
        ("a,resolve,,,,好{until},good{until}", "a: only extend, pause can fill {until}"),
        ("A b,resolve,,,,好,good", "A b: a code has small letters"),
        (f"a,resolve,,,,{'好' * 1501},good", "a: zh has 1 to 1500 characters"),
    ],
)
def test_a_template_that_could_not_be_used_is_refused_when_it_is_loaded(
    line: str, says: str
) -> None:
    assert any(says in said for said in refused_rows(line))


def test_a_template_said_twice_is_refused_at_its_second_line() -> None:
    assert refused_rows("a,resolve,,,,好,good", "a,extend,,,,好,good") == [
        "templates.csv:3: a: this template is said twice"
    ]


def test_templates_are_so_many_at_most() -> None:
    lines = [f"a{n},resolve,,,,好,good" for n in range(501)]
    assert refused_rows(*lines) == ["templates.csv: -: more than 500 templates"]


def test_no_slot_is_both_the_officers_and_filled_by_itself() -> None:
    assert not FILLED & GIVEN


# ---------------------------------------------------------------- questions are answered at once


def test_a_question_is_answered_and_closed_at_once_by_whoever_holds_it() -> None:
    case = opened(sure(QUESTION))
    asked = command(
        "answer", template="answer-rule", slots={"answer": "可以", "basis": "《条例》第3条"}
    )
    step = decided(case, asked, officer(GRID, "grid_worker"), NOON + 5 * MINUTE)
    assert isinstance(step, Changed)
    assert (step.event, step.transitions, step.rule) == (
        "replied", ("replied", "closed"), "step/answer",
    )  # fmt: skip
    closed = step.case
    assert (closed.stage, closed.replied, closed.clocks, closed.is_open) == (
        "closed", True, (), False,
    )  # fmt: skip
    assert closed.on_time == {"reply": True, "tier": True, "final_reply": True}
    assert closed.outcome == "solved"


def test_a_late_answer_says_which_promises_it_broke() -> None:
    closed = done(opened(sure(QUESTION)), "answer", now=NOON + 25 * HOUR)
    assert closed.stage == "closed"
    assert closed.on_time["reply"] is False
    assert closed.on_time["tier"] is False


def test_the_dispatchers_desk_answers_at_once_or_assigns() -> None:
    case = opened(sure(QUESTION, COMMUNITY))
    assert case.stage == "registered"
    assert {"answer", "reroute"} <= set(allowed_actions(case, officer(COMMUNITY)))
    closed = done(case, "answer", officer(COMMUNITY))
    assert (closed.stage, closed.on_time["dispatch"], closed.on_time["reply"]) == (
        "closed", True, True,
    )  # fmt: skip
    given = done(case, command("reroute", division=GRID, reason="competence"), officer(COMMUNITY))
    assert (given.stage, given.holder) == ("assigned", GRID)
    assert {clock.name for clock in given.clocks} == {"reply", "tier", "final_reply"}
    assert done(given, "answer", officer(GRID)).stage == "closed"


def test_a_question_that_was_dealt_with_and_waits_for_its_answer_is_answered_too() -> None:
    case = resolved(opened(sure(QUESTION)))
    assert (case.stage, [clock.name for clock in case.clocks]) == ("resolved", ["reply"])
    closed = done(case, "answer")
    assert (closed.stage, closed.replied, closed.on_time["reply"]) == ("closed", True, True)


def test_an_answer_ends_a_pause_and_may_be_reopened() -> None:
    paused = done(opened(sure(QUESTION)), "pause")
    closed = done(paused, "answer", now=NOON + 30 * MINUTE)
    assert (closed.stage, closed.pause, closed.clocks) == ("closed", None, ())
    again = done(closed, command("reopen", reason="wrong_answer"))
    assert (again.stage, again.replied) == ("assigned", False)
    assert again.clock("reply") is not None


@pytest.mark.parametrize("facts", [sure(RUBBISH), sure(FIRE), sure("D02")])
def test_what_is_no_question_is_not_closed_by_an_answer(facts: object) -> None:
    case = opened(facts)  # type: ignore[arg-type]
    assert "answer" not in allowed_actions(case, officer("city", "city_dispatcher"))
    assert why_not(case, command("answer", text="x"))[0] == "not_allowed_now"


# ---------------------------------------------------------------- whose words are whose [F40]


SECRET = "不给居民看"


def answers_of(case: Case, *steps: tuple[OfficerCommand | str, Actor | None]) -> list[PublicAnswer]:
    """The public words of a story."""
    history: list[Told] = []
    for n, (asked, actor) in enumerate(steps, 2):
        decision = decided(case, asked, actor)
        assert isinstance(decision, Changed), decision
        who = actor or officer(case.holder)
        role, at = ",".join(sorted(who.roles)), NOON + n * MINUTE
        step = Told(Order(1, n), at, decision.event, role, who.division, decision.detail, case)
        history.append(step)
        case = decision.case
    return list(public_answers(history, shipped_policy()))


def test_notes_findings_and_reasons_among_officers_are_not_the_residents() -> None:
    said = answers_of(
        opened(sure(RUBBISH)),
        (command("classify", category="E0106", note=SECRET), None),
        ("sign", None),
        (command("verify", at=NOON, finding=SECRET, evidence=SECRET), None),
        (command("reply", text="我们去看过", note=SECRET), cadre()),
        (command("pause", reason="waiting_for_petitioner", until=NOON + HOUR, text="门牌?",
                 note=SECRET), None),
        ("resume", None),
        (command("extend", until=UNTIL + timedelta(days=7), reason=SECRET, text="要等"), None),
        (command("decline_extension", note=SECRET), officer(GRID, "office_head")),
        (command("resolve", result="清走了", note=SECRET), None),
        (command("call_back", result="no_answer", text="没有联系到您", note=SECRET),
         replace(officer(CITY, "hotline_agent"), subject="another")),
    )  # fmt: skip
    assert SECRET not in repr(said)
    assert [(one.kind, one.text[0]) for one in said] == [
        ("reply", "我们去看过"),
        ("pause", "门牌?"),
        ("result", "清走了"),
        ("call_back", "没有联系到您"),
    ]
    assert [one.at for one in said] == sorted(one.at for one in said)
    assert "somebody" not in repr(said)  # a unit speaks, no person
    assert said[0].unit == ("兴工街道", "兴工街道")


def test_more_time_is_told_when_it_is_granted_in_the_words_it_was_asked_with() -> None:
    until = NOON + timedelta(days=9)
    ask = command("extend", until=until, reason=SECRET, text="缺零件")
    grant = (command("grant_extension"), replace(officer(GRID, "office_head"), subject="head"))
    assert answers_of(opened(sure(RUBBISH)), (ask, None)) == []
    [said] = answers_of(opened(sure(RUBBISH)), (ask, None), grant)
    assert (said.kind, said.text, said.also) == (
        "extension",
        ("缺零件", "缺零件"),
        {"until": until},
    )


def test_a_refusal_is_told_with_its_reason_and_the_right_door() -> None:
    asked = command("not_accept", reason="legal_route", door="法院", text="请去法院", note=SECRET)
    [said] = answers_of(opened(sure(RUBBISH)), (asked, None))
    assert (said.kind, said.also) == ("refusal", {"reason": "legal_route", "door": "法院"})
    assert SECRET not in repr(said)


def test_what_a_template_said_is_told_in_both_languages() -> None:
    slots = {"done": "DONE"}
    [said] = answers_of(
        done(opened(sure(RUBBISH)), "sign"),
        (command("resolve", template="result", slots=slots), None),
    )
    assert said.text[0].startswith("您好")
    assert said.text[1].startswith("Good day")


def test_kinds_of_answers_are_events_of_a_case() -> None:
    assert KINDS.keys() <= CASE_EVENTS.keys()
