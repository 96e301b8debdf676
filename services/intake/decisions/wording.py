"""What a resident is told about where the petition is, in Chinese and in English. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias
from zoneinfo import ZoneInfo

from services.intake.decisions.courses import Course
from services.intake.decisions.emergencies import Call
from shared.events import Stage

Words: TypeAlias = dict[str, str]

ZONE = ZoneInfo("Asia/Shanghai")

STAGES: Mapping[Stage, Words] = {
    "registered": {"zh": "已登记，等待派单", "en": "registered, waiting to be assigned"},
    "assigned": {"zh": "已派单", "en": "assigned"},
    "signed": {"zh": "已签收，办理中", "en": "signed for and being handled"},
    "resolved": {"zh": "已办理", "en": "dealt with"},
    "closed": {"zh": "已办结", "en": "closed"},
    "handed_off": {"zh": "已移交有权处理的机关", "en": "handed over to the body in charge"},
}


@dataclass(frozen=True, slots=True)
class Receipt:
    """How far a petition got; `unit` is a name. All times are promise time; None: not yet."""

    number: str
    stored_at: datetime
    read_at: datetime | None
    published_at: datetime | None
    routed_at: datetime | None
    unit: str | None
    stage: Stage | None
    next_deadline: datetime | None
    course: Course = field(default_factory=Course)


def in_beijing(at: datetime) -> str:
    """A moment as residents read it."""
    return f"{at.astimezone(ZONE):%Y-%m-%d %H:%M}"


def in_danger(calls: Sequence[Call]) -> Words:
    """Whom to call, to somebody whose petition speaks of an emergency."""
    numbers = "、".join(f"{call.number}（{call.zh}）" for call in calls)
    in_english = " or ".join(f"{call.number} ({call.en})" for call in calls)
    return {
        "zh": f"如有人身危险，请立即拨打{numbers}。您的诉求已登记，将由专人跟进。",
        "en": f"If anybody is in danger, call {in_english} now. Your petition is registered, and a"
        " person follows it up.",
    }


def named(calls: Sequence[Call]) -> dict[str, object]:
    """The numbers to call as an answer says them; nothing where there are none."""
    if not calls:
        return {}
    return {"call": [call._asdict() for call in calls], "urgent": in_danger(calls)}


def status(receipt: Receipt) -> Words:
    """One sentence on where it is now."""
    if receipt.stage is None or receipt.unit is None:
        return _on_its_way(receipt)
    stage = STAGES[receipt.stage]
    zh = f"您的诉求目前在“{receipt.unit}”：{stage['zh']}。"
    en = f"Your petition is with {receipt.unit}: {stage['en']}."
    if receipt.next_deadline is not None:
        due = in_beijing(receipt.next_deadline)
        zh += f"下一个办理时限：{due}。"
        en += f" The next deadline is {due} (Beijing time)."
    return {"zh": zh, "en": en}


def _on_its_way(receipt: Receipt) -> Words:
    if receipt.read_at is None:
        return {
            "zh": "您的诉求已收到并保存，正在等待阅读。",
            "en": "Your petition was received and stored; it is waiting to be read.",
        }
    return {
        "zh": "您的诉求已阅读，正在转交承办单位。",
        "en": "Your petition was read and is on its way to the office that will answer it.",
    }


def steps(receipt: Receipt) -> list[dict[str, object]]:
    """The way to the office, with the time of each step; None: not yet."""
    return [
        {"step": "stored", "zh": "已收到", "en": "received", "at": receipt.stored_at},
        {"step": "read", "zh": "已阅读", "en": "read", "at": receipt.read_at},
        {"step": "published", "zh": "已转出", "en": "passed on", "at": receipt.published_at},
        {"step": "routed", "zh": "已派送", "en": "routed", "at": receipt.routed_at},
    ]
