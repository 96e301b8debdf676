"""What the law fixes, as constants: a file may be stricter with the office, not with the person.

Duty limits bind the office: a file may shorten them, never lengthen. Rights periods belong to the
person: a file may never shorten them. Yes/no rules stand as they are. Each has its law and article;
a file that breaks one is refused with the line, what it says and what the law says.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

from services.router.decisions.policy.parts import Part
from services.router.decisions.policy.problems import Problem
from services.router.decisions.policy.settings import raw_settings
from shared.durations import Limit, Unit, elapsed, parse_limit
from shared.events import CategoryRow

_PETITIONS: Final = "Regulations on Petition Work (信访工作条例) art. "
_MEDIATION: Final = "People's Mediation Law (人民调解法) art. "


@dataclass(frozen=True, slots=True)
class Statute:
    """A limit that the law sets for the key `key` of the policy file."""

    key: str
    sort: Literal["duty", "right"]
    limit: Limit
    law: str


def _duty(key: str, limit: str, law: str) -> Statute:
    return Statute(key, "duty", parse_limit(limit), law)


def _right(key: str, limit: str, law: str) -> Statute:
    return Statute(key, "right", parse_limit(limit), law)


DECIDE: Final = _duty("xinfang_track.decide_within", "60d", f"{_PETITIONS}34")
# By agreement: all parties of one case may want longer, the file may not want it for them.
MEDIATE: Final = _duty(
    "mediation_track.limit", "30d", "mediation rules of Ningbo art. 27 and Shenzhen art. 25"
)
MEDICAL: Final = _duty(
    "mediation_track.medical_limit",
    "30wd",
    "Medical Dispute Regulations (医疗纠纷预防和处理条例) art. 38",
)
LABOUR: Final = _duty(
    "mediation_track.labour_limit",
    "15d",
    "Labour Dispute Mediation and Arbitration Law (劳动争议调解仲裁法) art. 14",
)
STATUTES: Final = (
    _duty("xinfang_track.petition_office_handles_within", "15d", f"{_PETITIONS}22"),
    _duty("xinfang_track.written_notice_within", "15d", f"{_PETITIONS}23"),
    _duty("xinfang_track.objection_within", "5wd", f"{_PETITIONS}23"),
    DECIDE,
    _duty("xinfang_track.extend_by_at_most", "30d", f"{_PETITIONS}34"),
    _duty("xinfang_track.review_within", "30d", f"{_PETITIONS}35"),
    _duty("xinfang_track.rereview_within", "30d", f"{_PETITIONS}36"),
    _right("xinfang_track.ask_review_within", "30d", f"{_PETITIONS}35"),
    _right("xinfang_track.ask_rereview_within", "30d", f"{_PETITIONS}36"),
    MEDIATE,
    MEDICAL,
    LABOUR,
    _right(
        "mediation_track.judicial_confirmation_within",
        "30d",
        f"{_MEDIATION}33; Civil Procedure Law (民事诉讼法) art. 205",
    ),
)

FIXED: Final[Mapping[str, tuple[object, str]]] = {
    "xinfang_track.never_to_accused": (True, f"{_PETITIONS}30 and 46"),
    "xinfang_track.recusal_on_interest": (True, f"{_PETITIONS}28"),
    "xinfang_track.after_rereview": ("closed_no_longer_accepted", f"{_PETITIONS}36"),
    "mediation_track.fee": (0, f"{_MEDIATION}4"),
    "mediation_track.consent_of_all_parties": ("required", f"{_MEDIATION}3 and 17"),
    "mediation_track.on_failure_tell_other_routes": (True, f"{_MEDIATION}26"),
    "mediation_track.report_crime_risk_to": ("public_security", f"{_MEDIATION}25"),
    "escalation.extension.needs_approval_of": ("office_head", f"{_PETITIONS}34"),
    "escalation.extension.must_tell_petitioner": (True, f"{_PETITIONS}34"),
    "calendar.first_day_counts": (False, "Civil Code (民法典) art. 201"),
    "calendar.last_day_on_statutory_holiday_rolls_over": (True, "Civil Code (民法典) art. 203"),
}
_AT_MOST: Final[Mapping[str, tuple[int, str]]] = {
    "xinfang_track.joint_visit_representatives_max": (5, f"{_PETITIONS}20"),
    "escalation.extension.max_times": (1, f"{_PETITIONS}34"),
}

# A statutory clock takes its limit from the checked key: a second number beside it could differ.
CLOCK_LIMITS: Final[Mapping[str, str]] = {
    "forward": "xinfang_track.petition_office_handles_within",
    "written_notice": "xinfang_track.written_notice_within",
    "decide": "xinfang_track.decide_within",
    "review": "xinfang_track.review_within",
    "rereview": "xinfang_track.rereview_within",
    "ask_review": "xinfang_track.ask_review_within",
    "ask_rereview": "xinfang_track.ask_rereview_within",
    "mediate": "mediation_track.limit",
    "confirm": "mediation_track.judicial_confirmation_within",
}

# Of the eighteen national dispute classes, those with a limit of their own.
_MEDICAL_DISPUTES: Final = frozenset({"D15"})
_LABOUR_DISPUTES: Final = frozenset({"D10", "D11"})


def broken_by_settings(part: Part) -> Iterator[Problem]:
    """Every statutory limit and rule that the policy file breaks, whatever its shape is."""
    said = raw_settings(part)
    for statute in STATUTES:
        if broken := _breaks(_value(said, statute.key), statute):
            yield part.problem(statute.key, broken)
    for key, (must, law) in FIXED.items():
        value = _value(said, key)
        if value is not None and (type(value) is not type(must) or value != must):
            yield part.problem(key, f"says {_text(value)}, but must be {_text(must)}: {law}")
    for key, (most, law) in _AT_MOST.items():
        value = _value(said, key)
        if isinstance(value, int) and not 0 <= value <= most:
            yield part.problem(key, f"says {value}, but may be at most {most}: {law}")
    yield from _sorts(part, said)
    yield from _clock_limits(part, said)


def broken_by_category(row: CategoryRow) -> str | None:
    """What a category's own limit breaks; None when it keeps within the law of its track."""
    match row.track:
        case "xinfang":
            statute = DECIDE
        case "mediation" if row.code in _MEDICAL_DISPUTES:
            statute = MEDICAL
        case "mediation" if row.code in _LABOUR_DISPUTES:
            statute = LABOUR
        case "mediation":
            statute = MEDIATE
        case _:
            return None
    return _breaks(row.resolve_limit, statute)


def _breaks(value: object, statute: Statute) -> str | None:
    """The sentence that refuses a value; None if it is lawful, or no limit (its shape says so)."""
    if not isinstance(value, str):
        return None
    try:
        limit = parse_limit(value)
    except ValueError:
        return None
    if statute.sort == "duty":
        if _no_longer(limit, statute.limit):
            return None
        bound = (
            f"at most {statute.limit} (a duty of the office: may be shortened, never lengthened)"
        )
    else:
        if limit.unit is statute.limit.unit and limit.amount >= statute.limit.amount:
            return None
        bound = f"at least {statute.limit} (a right of the person: may never be shortened)"
    same_unit = "" if limit.unit is statute.limit.unit else f"; write it in {statute.limit.unit}"
    return f"says {limit}, but the law sets {bound}{same_unit}: {statute.law}"


def _no_longer(limit: Limit, most: Limit) -> bool:
    """Whether `limit` can never end later than `most`, whatever the calendar.

    Of different units only elapsed time against calendar days is certain: 14 working days may well
    be longer than 15 days.
    """
    if limit.unit is most.unit:
        return limit.amount <= most.amount
    if most.unit is not Unit.CALENDAR_DAYS:
        return False
    try:
        return elapsed(limit) <= timedelta(days=most.amount)
    except ValueError:
        return False


def _sorts(part: Part, said: Mapping[str, object]) -> Iterator[Problem]:
    """The file may name the two sorts for its readers; it may not move a limit between them."""
    for key, sort in (("duty_limits", "duty"), ("rights_periods", "right")):
        names = [s.key for s in STATUTES if s.sort == sort and s.key.startswith("xinfang_track.")]
        law = sorted(name.removeprefix("xinfang_track.") for name in names)
        value = _value(said, f"xinfang_track.{key}")
        if isinstance(value, list) and sorted(map(str, value)) != law:
            message = f"says {_text(value)}, but the law's are {', '.join(law)}: {_PETITIONS}22-36"
            yield part.problem(f"xinfang_track.{key}", message)


def _clock_limits(part: Part, said: Mapping[str, object]) -> Iterator[Problem]:
    clocks = said.get("clocks")
    for name, clock in clocks.items() if isinstance(clocks, dict) else ():
        if not isinstance(clock, dict):
            continue
        if name in CLOCK_LIMITS:
            for key in (key for key in clock if str(key).startswith("limit")):
                message = f"a statutory clock; its limit stands under {CLOCK_LIMITS[name]}"
                yield part.problem(f"clocks.{name}.{key}", message)
        elif "limit" not in clock:
            yield part.problem(f"clocks.{name}.limit", "missing")


def _value(said: Mapping[str, object], key: str) -> object:
    value: object = said
    for step in key.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
