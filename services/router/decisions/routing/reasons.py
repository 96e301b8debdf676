"""Why a case came to an office: the rule that decided, what it matched, who was passed over.

A `Reason` is stored with the case and shown by `GET /cases/{id}/routing`; `sentence` says it in
words. The rule ids name the paragraph of the first-tier rules:

    B3.1 emergency   B3.2 legal route   B3.4 tier of the category, and what raises it
    B3.5 motto: small -> grid, big -> community, hard -> street   B3.6 signs of a mass incident
    B3.7 never the accused   B3.8 never led by a community that may not
    B3.9 the address decides; without one the dispatcher does
    moved  by a person's or a clock's step, not by these rules
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from services.router.decisions.policy import EVERYWHERE, Policy
from shared.divisions import CITY, Tier

Rule: TypeAlias = Literal[
    "B3.1/emergency",
    "B3.1/emergency-suspected",
    "B3.1/follow-up",
    "B3.2/legal-route",
    "B3.4/category-tier",
    "B3.4/enforcement",
    "B3.4/sensitive",
    "B3.4/urgent",
    "B3.4/mass-incident",
    "B3.5/many-people",
    "B3.6/mass-incident-suspected",
    "B3.7/accused",
    "B3.7/accused-unknown",
    "B3.8/may-not-lead",
    "B3.8/street-decides",
    "B3.8/verified",
    "B3.9/reading-failed",
    "B3.9/no-category",
    "B3.9/not-sure",
    "B3.9/no-district",
    "B3.9/place-too-coarse",
    "moved/promoted",
    "moved/rerouted",
    "moved/returned",
    "moved/to-arbiter",
    "moved/recalled",
    "moved/whistled",
    "moved/conference",
]
Language: TypeAlias = Literal["en", "zh"]


@dataclass(frozen=True, slots=True)
class Reason:
    """The rule that decided, the policy version, the inputs it matched, the candidates it rejected.

    `matched` is (name, value); `rejected` is (division, the rule that passed it over).
    """

    rule: Rule
    policy: int
    matched: tuple[tuple[str, str], ...]
    rejected: tuple[tuple[str, Rule], ...] = ()


def sentence(reason: Reason, language: Language, policy: Policy | None = None) -> str:
    """The reason in plain words, naming the rule, the words or the place that decided.

    With the policy at hand, categories and divisions are called by their names too.
    """
    said = {name: _value(name, value, language, policy) for name, value in reason.matched}
    parts = [_RULES[reason.rule][language].format_map(said)]
    parts += [text[language].format_map(said) for name, text in _INPUTS.items() if name in said]
    parts += [
        _PASSED_OVER[language].format(_named(candidate, language, policy), _WHY_NOT[rule][language])
        for candidate, rule in reason.rejected
    ]
    parts.append(_SIGNED[language].format(reason.rule, reason.policy))
    return (" " if language == "en" else "").join(parts)


def _value(name: str, value: str, language: Language, policy: Policy | None) -> str:
    if name == "tier":
        return _TIERS[language][value]
    if name == "accusation" and value == "submitter":
        return _SUBMITTER[language]
    if name == "duty_division" and value == EVERYWHERE:
        return _EVERYWHERE[language]
    return _named(value, language, policy) if name in _CODES else value


def _named(code: str, language: Language, policy: Policy | None) -> str:
    if code == CITY:
        return _CITY[language]
    category = policy.categories.get(code) if policy else None
    if category is not None:
        return f"{code} ({category.en})" if language == "en" else f"{code}{category.zh}"
    division = policy.divisions.get(code) if policy else None
    if division is not None:
        return f"{division.name} ({code})"
    office = policy.duties.offices.get(code) if policy else None
    if office is not None:
        return office.en if language == "en" else office.zh
    return code


def _in(en: str, zh: str) -> dict[Language, str]:
    return {"en": en, "zh": zh}


_RULES: Final[Mapping[Rule, Mapping[Language, str]]] = {
    "B3.1/emergency": _in(
        "{category} is an emergency: the duty dispatcher of the smallest division known hands it"
        " over to the outside body at once.",
        "{category}属紧急事项：由已知最小辖区的值班调度员立即转交有关专业机构。",
    ),
    "B3.1/emergency-suspected": _in(
        "This may be an emergency ({suspected}), but the reading is not sure: the dispatcher looks"
        " at it first.",
        "可能属紧急事项（{suspected}），但识别把握不足：由调度员优先核实。",
    ),
    "B3.1/follow-up": _in(
        "The outside body has it; the named carers of {to} go on with it as a service.",
        "已转交有关专业机构，由{to}的责任人员作为服务事项跟进。",
    ),
    "B3.2/legal-route": _in(
        "{category} has a legal route of its own: the dispatcher tells the person the route;"
        " the record is restricted.",
        "{category}应通过法定途径办理：由调度员告知途径，记录限制查阅。",
    ),
    "B3.4/category-tier": _in(
        "{category} starts at the {tier}; the place says which one.",
        "{category}的首办层级为{tier}，由地点确定具体单位。",
    ),
    "B3.4/enforcement": _in(
        "{category} would start lower, but needs law enforcement: it starts one step up, at the"
        " {tier}.",
        "{category}需要执法，首办层级提高一级至{tier}。",
    ),
    "B3.4/sensitive": _in(
        "{category} is restricted and never starts below the {tier}.",
        "{category}属限制查阅事项，首办层级不低于{tier}。",
    ),
    "B3.4/urgent": _in(
        "{category} is urgent ({urgency}) and never starts below the {tier}.",
        "{category}属{urgency}紧急事项，首办层级不低于{tier}。",
    ),
    "B3.4/mass-incident": _in(
        "{category} was confirmed by a person as a mass incident: it goes to the {tier}.",
        "{category}经人工确认为群体性事件，由{tier}办理。",
    ),
    "B3.5/many-people": _in(
        "{category} concerns several persons, so it is no small matter: it starts at the {tier}.",
        "{category}涉及多人，不属小事，首办层级为{tier}。",
    ),
    "B3.6/mass-incident-suspected": _in(
        "Signs of a mass incident are suspected; only a person may confirm them: the dispatcher of"
        " the street, or of the next larger division known, looks at it at once.",
        "疑似群体性事件苗头，须由人工确认：由街道（街道不明的由已知上级）调度员立即核实。",
    ),
    "B3.7/accused": _in(
        "The unit complained about ({accused}) and all units below it never handle the case:"
        " the next tier above takes it.",
        "被反映单位（{accused}）及其下级一律不得经办，由其上一级接办。",
    ),
    "B3.7/accused-unknown": _in(
        "It accuses, or may accuse, a unit that is not yet known ({accusation}): the dispatcher one"
        " tier above the smallest division named, or higher, takes it, restricted.",
        "涉及检举控告（{accusation}），被反映单位尚不明确：由所涉最小辖区上一级或更高级别的调度员接办，"
        "限制查阅。",
    ),
    "B3.8/may-not-lead": _in(
        "{category} may start lower, but was begun already, and a community may not lead it: it"
        " goes to the {tier}.",
        "{category}已经启动办理，社区不得牵头，由{tier}办理。",
    ),
    "B3.8/street-decides": _in(
        "The community had what it may not lead, and says that it is {category}: the dispatcher of"
        " the street decides.",
        "社区承接的是其不得牵头的事项，现提出应为{category}：由街道调度员审定。",
    ),
    "B3.8/verified": _in(
        "{category} was verified where it lies; a community may not lead it, so it went on from"
        " {from} to {to}.",
        "{category}已现场核实，社区不得牵头，由{from}转{to}办理。",
    ),
    "B3.9/reading-failed": _in(
        "The petition could not be read: the dispatcher of the smallest division known reads it.",
        "未能自动识别：由已知最小辖区的调度员阅办。",
    ),
    "B3.9/no-category": _in(
        "No category was given or recognised: the dispatcher of the smallest division known"
        " decides.",
        "未填写也未识别出类别：由已知最小辖区的调度员确定。",
    ),
    "B3.9/not-sure": _in(
        "The reading suggests {suggested}, but is not sure enough ({confidence} of {threshold}):"
        " the dispatcher of the smallest division known decides.",
        "系统建议类别{suggested}，把握不足（{confidence}，需{threshold}）：由已知最小辖区的调度员确定。",
    ),
    "B3.9/no-district": _in(
        "{category} starts at the {tier}, but no district is known: the city dispatcher finds the"
        " place.",
        "{category}的首办层级为{tier}，但所属区不明：由市级调度员核实地点。",
    ),
    "B3.9/place-too-coarse": _in(
        "{category} starts at the {tier}, but the place is known only as {place}: its dispatcher"
        " finds the exact one.",
        "{category}的首办层级为{tier}，但地点仅知{place}：由其调度员核实具体地点。",
    ),
    "moved/promoted": _in(
        "It went up from {from} to {to} ({why}).", "由{from}升级至{to}（{why}）。"
    ),
    "moved/rerouted": _in(
        "A dispatcher gave it from {from} to {to} ({why}).", "由调度员从{from}改派至{to}（{why}）。"
    ),
    "moved/returned": _in(
        "{from} returned it ({why}): the dispatcher of {to} decides.",
        "{from}退回（{why}）：由{to}的调度员确定。",
    ),
    "moved/to-arbiter": _in(
        "It would go round ({why}): the dispatcher of {to}, which stands above all that had it,"
        " decides, and whom he names keeps it.",
        "为避免往返推诿（{why}）：由各承办单位的共同上级{to}的调度员裁定，被指定单位不得再退回。",
    ),
    "moved/recalled": _in(
        "{to} took it back from {from}, where nobody had touched it yet ({why}).",
        "{to}将尚未办理的事项从{from}收回（{why}）。",
    ),
    "moved/whistled": _in(
        "The community blew the whistle: {to} commands what {from} had ({why}).",
        "社区吹哨：{from}的事项由{to}统一指挥（{why}）。",
    ),
    "moved/conference": _in(
        "A joint conference said whose it is: it went from {from} to {to}, which keeps it ({why}).",
        "经联席会议确定责任单位：由{from}转{to}办理，不得再退回（{why}）。",
    ),
}

_CODES: Final = frozenset({
    "category", "suggested", "suspected", "place", "accused", "accused_office", "accusation",
    "from", "to", "office", "lead_office", "duty_division",
})  # fmt: skip
_CITY: Final = _in("the city", "全市")
_EVERYWHERE: Final = _in("everywhere", "全市")
_SUBMITTER: Final = _in("the submitter says so", "诉求人反映")
_TIERS: Final[Mapping[Language, Mapping[str, str]]] = {
    "en": {tier: tier for tier in Tier},
    "zh": {"grid": "网格", "community": "社区", "street": "街道", "district": "区"},
}
_INPUTS: Final[Mapping[str, Mapping[Language, str]]] = {
    "suspected_words": _in(
        "Words for the suspicion: {suspected_words}.", "疑似依据词语：{suspected_words}。"
    ),
    "words": _in("Words that spoke: {words}.", "依据词语：{words}。"),
    "enforcement_words": _in(
        "Words for enforcement: {enforcement_words}.", "执法依据词语：{enforcement_words}。"
    ),
    "many_people_words": _in(
        "Words for several persons: {many_people_words}.", "多人依据词语：{many_people_words}。"
    ),
    "mass_incident_words": _in(
        "Words for the suspicion: {mass_incident_words}.", "疑似依据词语：{mass_incident_words}。"
    ),
    "danger_words": _in("Words for danger: {danger_words}.", "危险依据词语：{danger_words}。"),
    "accused_office": _in(
        "The office complained about ({accused_office}) has no part in it.",
        "被反映的机构（{accused_office}）一律不得参与办理。",
    ),
    "office": _in("There {office} has it.", "由{office}承办。"),
    "lead_office": _in(
        "From the street up {lead_office} answers for it (duty catalogue, entry for"
        " {duty_division}).",
        "街道及以上由{lead_office}负责（职责清单，适用范围：{duty_division}）。",
    ),
    "place_name": _in("The place was named as {place_name}.", "地点名称：{place_name}。"),
}

_PASSED_OVER: Final = _in("Not {}: {}.", "未交{}：{}。")
_SIGNED: Final = _in("[rule {}, policy {}]", "〔规则{}，政策第{}版〕")

_WHY_NOT: Final[Mapping[Rule, Mapping[Language, str]]] = {
    "B3.1/emergency": _in("an emergency is handed over", "紧急事项须转交"),
    "B3.1/emergency-suspected": _in("a person must look first", "须人工先行核实"),
    "B3.2/legal-route": _in("it has a legal route", "应走法定途径"),
    "B3.4/category-tier": _in("the category starts elsewhere", "非该类别首办层级"),
    "B3.4/enforcement": _in("the matter needs law enforcement", "需要执法"),
    "B3.4/sensitive": _in("too low for a restricted matter", "限制查阅事项不得由该层级首办"),
    "B3.4/urgent": _in("too low for an urgent matter", "紧急事项不得由该层级首办"),
    "B3.4/mass-incident": _in("too low for a mass incident", "群体性事件不得由该层级首办"),
    "B3.5/many-people": _in("several persons are concerned", "涉及多人"),
    "B3.6/mass-incident-suspected": _in("below the street", "低于街道层级"),
    "B3.7/accused": _in("it is the accused unit or below it", "属被反映单位或其下级"),
    "B3.7/accused-unknown": _in("it may be the accused unit", "可能即被反映单位"),
    "B3.8/may-not-lead": _in("it may not lead such a matter", "不得牵头办理该类事项"),
    "B3.8/street-decides": _in("it may not say alone that it leads", "不得自行认定由其牵头"),
    "B3.9/reading-failed": _in("the petition could not be read", "未能识别"),
    "B3.9/no-category": _in("the category is not known", "类别不明"),
    "B3.9/not-sure": _in("the category is not sure", "类别把握不足"),
    "B3.9/no-district": _in("no district is known", "所属区不明"),
    "B3.9/place-too-coarse": _in("not a listed division", "不在现行区划名单内"),
}
