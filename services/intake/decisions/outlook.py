"""What a resident is told of what comes next, and what he may do, in Chinese and in English. Pure.

Codes come from the router; one that is not known here is told without its meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from services.intake.decisions.additions import (
    ENDED,
    RATING_REASONS,
    URGINGS_A_DAY,
    Ending,
    NoRating,
    Reopening,
    no_rating,
)
from services.intake.decisions.courses import Course
from services.intake.decisions.wording import Words, in_beijing
from shared.events import RatingReason

OTHER: Words = {"zh": "详见答复", "en": "the answer says it"}

STEPS: Mapping[str, Words] = {
    "dispatch": {"zh": "由派单员确定承办单位", "en": "a dispatcher says who is to handle it"},
    "handover": {"zh": "移交有权处理的机关", "en": "it is handed over to the body in charge"},
    "sign": {"zh": "承办单位签收", "en": "the office that has it signs for it"},
    "verify": {"zh": "网格人员到现场核实", "en": "the grid team looks at it on site"},
    "reply": {"zh": "给您答复", "en": "you are given an answer"},
    "tier": {"zh": "由现在的承办单位办理完毕", "en": "the office that has it deals with it"},
    "final_reply": {"zh": "给您最终答复", "en": "you are given the final answer"},
    "object": {"zh": "承办单位可提出异议", "en": "the office may say that it is not its own"},
    "callback": {"zh": "回访您，听取您的意见", "en": "you are called and asked how it went"},
    "report_in": {"zh": "有关部门报到", "en": "the departments that were called report in"},
    "whistle": {"zh": "社区决定是否吹哨", "en": "the community says whether it calls for help"},
    "assist": {"zh": "协办部门办理完毕", "en": "the offices that assist do their part"},
    "objection": {
        "zh": "裁定由哪个部门承办",
        "en": "it is decided whether the office that objects has to do its part",
    },
    "team": {"zh": "志愿者或专项工作组协助办理", "en": "volunteers or a work group do their part"},
    "adviser": {"zh": "社区法律顾问提出意见", "en": "the community's legal adviser is heard"},
    "conference": {
        "zh": "联席会议确定责任单位",
        "en": "a joint conference says who is responsible",
    },
    "result": {"zh": "首接单位核对办理结果", "en": "who had it first looks at the result"},
    "copy": {"zh": "上一级知悉", "en": "the level above takes note"},
    "pause": {"zh": "暂停期满，继续办理", "en": "the pause ends and the work goes on"},
    "approval": {"zh": "项目进入下一级审批", "en": "the next approval of the project is decided"},
    "forward": {"zh": "转送有权处理的机关", "en": "it is forwarded to the body in charge"},
    "written_notice": {
        "zh": "书面告知您是否受理",
        "en": "you are told in writing whether it is accepted",
    },
    "decide": {"zh": "作出处理意见", "en": "the body in charge decides"},
    "review": {"zh": "作出复查意见", "en": "the review is decided"},
    "rereview": {"zh": "作出复核意见", "en": "the second review is decided"},
    "ask_review": {"zh": "您可以申请复查", "en": "you may ask for a review"},
    "ask_rereview": {"zh": "您可以申请复核", "en": "you may ask for a second review"},
    "mediate": {"zh": "调解", "en": "the mediation comes to its end"},
    "confirm": {
        "zh": "双方可共同申请司法确认",
        "en": "both parties may ask the court to confirm the agreement",
    },
}
"""What is to happen, by the clock that runs for it."""

MISSED: Mapping[str, Words] = {
    "promote": {"zh": "逾期将自动升级到上一级", "en": "if not, it goes one level up by itself"},
    "supervise": {"zh": "逾期将由上级督办", "en": "if not, the level above supervises it"},
    "remind": {
        "zh": "逾期将提醒责任单位及其上一级",
        "en": "if not, whoever owes it and the level above are reminded",
    },
    "lapse": {"zh": "逾期即告终止", "en": "if not, it ends with that day"},
}

PAUSES: Mapping[str, Words] = {
    "waiting_for_petitioner": {
        "zh": "等待您补充情况，补充后继续办理",
        "en": "something is needed from you: add it, and the work goes on",
    },
    "force_majeure": {"zh": "遇不可抗力", "en": "nobody can help what has happened"},
    "in_statutory_procedure": {
        "zh": "须等待法定程序结束",
        "en": "a procedure that the law prescribes must end first",
    },
}

CALLED_BACK: Mapping[str, Words] = {
    "solved": {"zh": "回访时您表示已解决", "en": "you were called, and said that it is solved"},
    "not_solved": {
        "zh": "回访时您表示未解决",
        "en": "you were called, and said that it is not solved",
    },
    "no_answer": {"zh": "回访时电话未接通", "en": "you were called, and nobody answered"},
}


class Refusal(NamedTuple):
    """Why a petition is not taken, and the right door."""

    why: Words
    door: Words


REFUSALS: Mapping[str, Refusal] = {
    "emergency_number": Refusal(
        {"zh": "属于紧急求助", "en": "it is for an emergency number"},
        {"zh": "请直接拨打110、119、120", "en": "call 110, 119 or 120"},
    ),
    "legal_route": Refusal(
        {"zh": "依法应通过其他法定途径处理", "en": "the law has another way for it"},
        {
            "zh": "请向人民法院、仲裁机构、行政复议机关或信访部门提出",
            "en": "go to the court, the arbitration, the administrative review or the petition"
            " office",
        },
    ),
    "repeat_without_new_facts": Refusal(
        {"zh": "同一事项重复提出，没有新的事实", "en": "it was asked before, without new facts"},
        {
            "zh": "请查询原诉求的办理结果；有新情况的，请补充到原诉求",
            "en": "see what came of the earlier petition; add new facts to that one",
        },
    ),
    "secret": Refusal(
        {"zh": "涉及国家秘密", "en": "it is about what is secret"},
        {
            "zh": "请直接向保密行政管理部门反映，不要在网上填写",
            "en": "go to the secrecy administration in person, and write nothing of it here",
        },
    ),
    "in_nobodys_power": Refusal(
        {"zh": "不属于任何单位的职责范围", "en": "no office has a power in it"},
        {"zh": "可拨打12348咨询法律途径", "en": "call 12348 and ask which ways there are"},
    ),
    "unlawful": Refusal(
        {"zh": "诉求违反法律法规", "en": "the law forbids what is asked"},
        {"zh": "可拨打12348咨询法律问题", "en": "call 12348 and ask about the law"},
    ),
}
"""Six lanes of Beijing 11 [city]; the doors are ours, and the answer may name a nearer one."""

REASONS: Mapping[RatingReason, Words] = {
    "not_solved": {"zh": "问题没有解决", "en": "the matter is not solved"},
    "came_back": {"zh": "问题又出现了", "en": "the matter came back"},
    "wrong_answer": {"zh": "答复与事实不符", "en": "the answer is wrong"},
    "slow": {"zh": "办理太慢", "en": "it took too long"},
    "unkind": {"zh": "工作人员态度不好", "en": "people were unkind"},
}

NO_RATING: Mapping[NoRating, Words] = {
    "not_done": {
        "zh": "办理完毕后您可以评价。",
        "en": "You may rate how it was handled once it is dealt with.",
    },
    "rated": {
        "zh": "您已评价。如重新办理，办结后可再次评价。",
        "en": "You have rated it. Where it is opened again, you may rate it once more at its end.",
    },
    "too_late": {
        "zh": "评价期限已过。如问题仍在，请重新提交诉求。",
        "en": "The time to rate it is over. If the matter is still there, hand in a new petition.",
    },
}


def next_step(course: Course, now: datetime) -> dict[str, object] | None:
    """What is to happen next and by when, and what follows if it does not. [F62, X8]"""
    if course.next_step is None or course.next_by is None or course.if_missed is None:
        return None
    return {
        "step": course.next_step,
        **STEPS.get(course.next_step, OTHER),
        "by": course.next_by,
        "late": now > course.next_by,
        "if_missed": {"does": course.if_missed, **MISSED.get(course.if_missed, OTHER)},
    }


def standing(course: Course) -> dict[str, object]:
    """Why it stands still, has more time or was not taken, and what a call-back gave."""
    told: dict[str, object] = {}
    if course.paused is not None:
        why = PAUSES.get(course.paused, OTHER)
        told["paused"] = {"reason": course.paused, **why, "until": course.paused_until}
    if course.answer_until is not None:
        told["more_time"] = {"until": course.answer_until, **more_time(course.answer_until)}
    if course.not_accepted is not None:
        refusal = REFUSALS.get(course.not_accepted, Refusal(OTHER, OTHER))
        told["not_accepted"] = {
            "reason": course.not_accepted,
            **refusal.why,
            "door": refusal.door,
        }
    if course.called_back is not None:
        said = CALLED_BACK.get(course.called_back, OTHER)
        told["called_back"] = {"result": course.called_back, **said}
    return told


def more_time(until: datetime) -> Words:
    """That the final answer may take longer than was promised."""
    at = in_beijing(until)
    return {
        "zh": f"经批准延长，最迟于{at}给您最终答复。",
        "en": f"More time was given: the final answer comes by {at} (Beijing time).",
    }


class Given(NamedTuple):
    """What the resident said of this end of the case."""

    solved: bool
    satisfied: bool
    reason: RatingReason | None
    received_at: datetime


def rating(
    ending: Ending, given: Given | None, rules: Reopening, now: datetime
) -> dict[str, object]:
    """Whether it may be rated and until when, for what reasons, and what was said. [F57, F59]"""
    rated = [] if given is None else [ending.reopened]
    why, until = no_rating(ending, rated, rules, now), ending.until(rules)
    told: dict[str, object] = {"possible": why is None, "until": until}
    told |= may_rate(until) if why is None else NO_RATING[why]
    if given is not None:
        told["given"] = given._asdict()
    if why is None:
        told["reasons"] = [
            {"reason": reason, **REASONS[reason], "reopens": reason in rules.reasons}
            for reason in RATING_REASONS
        ]
    return told


def may_rate(until: datetime | None) -> Words:
    """That the resident may rate it."""
    if until is None:
        return {"zh": "您现在可以评价。", "en": "You may rate now how it was handled."}
    at = in_beijing(until)
    return {
        "zh": f"您可以在{at}之前评价。",
        "en": f"You may rate how it was handled until {at} (Beijing time).",
    }


def urging(so_far: int, lately: int, ending: Ending) -> dict[str, int]:
    """How often the resident urged, and how often he still may on this day. [F52]"""
    left = 0 if ending.stage in ENDED else max(0, URGINGS_A_DAY - lately)
    return {"so_far": so_far, "left_today": left}
