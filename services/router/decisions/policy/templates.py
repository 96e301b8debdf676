"""What the resident is told in words that were agreed on before: templates with named slots. [F41]

A row has a code, the commands it is for, and where it is good: stages, a coded reason, the
beginning of a category's code. Rows of one code say the same thing for narrower and wider matters;
the narrowest that fits is taken. Some slots fill themselves from the case, the others are the
officer's. Pure: the same case and the same slots give the same words.

Templates belong to a policy version, but are the router's alone: no other service speaks to the
resident in the office's name. They stand beside the parts of a version, in the same table, and are
neither published nor counted in its hash. A new kind on policy.events would stop every older
reader, and a new key of the settings every older router; a kind of its own in our table is passed
over by an older router. One thing it cannot do: a version that an older router loads has none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

from services.router.decisions.case import CallBack, NotAccepted, PauseReason
from services.router.decisions.policy.parts import Part, TemplateRow, typed_rows
from services.router.decisions.policy.problems import Problem
from shared.events import Stage

Language: TypeAlias = Literal["zh", "en"]
WordedCommand = Literal[
    "reply", "answer", "resolve", "not_accept", "pause", "extend", "call_back", "hand_over"
]
"""The commands that tell the resident something."""

FILLED: Final = frozenset(
    {"number", "category", "unit", "received", "due", "hotline", "until", "door", "body"}
)
"""Slots that fill themselves: from the case, from who speaks, or from the command."""
GIVEN: Final = frozenset(
    {
        "found", "will_do", "who", "when", "done", "answer", "basis", "matter", "where", "hours",
        "bring", "missing", "why", "progress",
    }
)  # fmt: skip
"""Slots that the officer fills."""
MUST_SAY: Final = ("found", "will_do", "who", "when")
"""Without these four a reply is an untouched template, which keeps no promise. [domain B1]"""
ONLY_IN: Final[Mapping[str, frozenset[WordedCommand]]] = {
    "until": frozenset({"pause", "extend"}),
    "door": frozenset({"not_accept"}),
    "body": frozenset({"hand_over"}),
}
"""Slots that only some commands can fill."""
REASONS: Final[Mapping[str, frozenset[str]]] = {
    "not_accept": frozenset(get_args(NotAccepted)),
    "pause": frozenset(get_args(PauseReason)),
    "call_back": frozenset(get_args(CallBack)),
}
"""What a template may be for within a command; the other commands have no coded reason."""
MOST: Final = 500
"""[ours] So many rows at most."""
LONGEST: Final = 1_500
"""[ours] So many characters of a template in one language at most."""

SLOT: Final = re.compile(r"\{([a-z_]+)\}")


@dataclass(frozen=True, slots=True)
class Template:
    """Words for the resident, and where they are good; empty `stages`, `reason`, `category`: all.

    `category` is the beginning of a code.
    """

    code: str
    commands: frozenset[str]
    stages: frozenset[str]
    reason: str | None
    category: str
    zh: str
    en: str

    @property
    def slots(self) -> tuple[str, ...]:
        """Its slots in the order of the Chinese text."""
        return tuple(dict.fromkeys(SLOT.findall(self.zh)))

    @property
    def asks(self) -> tuple[str, ...]:
        """The slots that the officer fills."""
        return tuple(slot for slot in self.slots if slot in GIVEN)

    def fits(
        self, category: str | None, command: str | None, stage: str | None, reason: str | None
    ) -> bool:
        """Whether it is good here; what is not said (None) is not asked of it.

        But for a case of no category only templates for all matters are good.
        """
        return (
            (category or "").startswith(self.category)
            and (command is None or command in self.commands)
            and (stage is None or not self.stages or stage in self.stages)
            and (reason is None or self.reason in (None, reason))
        )

    def said(self, values: Mapping[str, str], language: Language) -> str:
        """The words with every slot filled; what fills a slot is not looked at for more slots."""
        text = self.zh if language == "zh" else self.en
        return SLOT.sub(lambda slot: values[slot[1]], text)


@dataclass(frozen=True, slots=True)
class Templates:
    """The templates of a policy version."""

    version: int = 0
    rows: tuple[Template, ...] = ()

    def fitting(
        self,
        category: str | None,
        command: str | None = None,
        stage: str | None = None,
        reason: str | None = None,
    ) -> list[Template]:
        """Those that are good here: of each code the narrowest, and the narrower codes first."""
        found: dict[str, Template] = {}
        for row in self.rows:
            if row.fits(category, command, stage, reason):
                before = found.get(row.code)
                if before is None or narrowness(before) < narrowness(row):
                    found[row.code] = row
        return sorted(found.values(), key=lambda row: (-len(row.category), row.code))

    def has(self, code: str) -> bool:
        """Whether any row has this code."""
        return any(row.code == code for row in self.rows)


NO_TEMPLATES: Final = Templates()


def narrowness(row: Template) -> tuple[int, bool]:
    """A longer beginning of the category's code is narrower; then one for some stages only."""
    return len(row.category), bool(row.stages)


def read_templates(
    version: int, part: Part, categories: Iterable[str], problems: list[Problem]
) -> Templates:
    """The templates that the rows say; whatever does not hold is added to `problems`."""
    codes = frozenset(categories)
    found: dict[tuple[object, ...], Template] = {}
    if len(part.rows) > MOST:
        problems.append(part.problem("-", f"more than {MOST} templates"))
        return Templates(version)
    for n, row in typed_rows(part, TemplateRow, problems):
        template = template_of(row)
        problems.extend(part.problem(row.code, said, row=n) for said in _wrong(template, codes))
        key = (template.code, template.category, template.stages)
        if key in found:
            problems.append(part.problem(row.code, "this template is said twice", row=n))
        found[key] = template
    return Templates(version, tuple(found.values()))


def template_of(row: TemplateRow) -> Template:
    """The template that a row says."""
    return Template(
        code=row.code,
        commands=frozenset(_words(row.commands)),
        stages=frozenset(_words(row.stages)),
        reason=row.reason,
        category=row.category,
        zh=row.zh,
        en=row.en,
    )


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(";") if word.strip()]


def _wrong(template: Template, categories: frozenset[str]) -> Iterator[str]:
    if not re.fullmatch(r"[a-z0-9-]{1,40}", template.code):
        yield "a code has small letters, digits and -, 40 at most"
    if not template.commands:
        yield "commands is missing: say for which command it is"
    for name in sorted(template.commands - set(get_args(WordedCommand))):
        yield f"{name} tells the resident nothing: {', '.join(get_args(WordedCommand))}"
    for name in sorted(template.stages - set(get_args(Stage))):
        yield f"{name} is not a stage"
    if categories and not any(code.startswith(template.category) for code in categories):
        yield f"no category begins with {template.category}"
    yield from _wrong_reason(template)
    yield from _wrong_words(template)


def _wrong_reason(template: Template) -> Iterator[str]:
    if template.reason is None:
        return
    for command in sorted(template.commands & set(get_args(WordedCommand))):
        if template.reason not in REASONS.get(command, frozenset()):
            yield f"{template.reason} is not a reason of {command}"


def _wrong_text(language: Language, text: str) -> Iterator[str]:
    if not text.strip() or len(text) > LONGEST:
        yield f"{language} has 1 to {LONGEST} characters"
    if re.search(r"[{}]", SLOT.sub("", text)):
        yield f"{language}: a slot is written {{name}}"
    for slot in sorted(set(SLOT.findall(text)) - FILLED - GIVEN):
        yield f"{language}: there is no slot {{{slot}}}"


def _wrong_words(template: Template) -> Iterator[str]:
    yield from _wrong_text("zh", template.zh)
    yield from _wrong_text("en", template.en)
    if set(SLOT.findall(template.zh)) != set(SLOT.findall(template.en)):
        yield "zh and en do not have the same slots"
    for slot, commands in ONLY_IN.items():
        if slot in template.slots and template.commands - commands:
            yield f"only {', '.join(sorted(commands))} can fill {{{slot}}}"
    if "reply" in template.commands and (missing := set(MUST_SAY) - set(template.slots)):
        yield (
            "a reply says what was found, what will be done, by whom and by when:"
            f" {', '.join(sorted(missing))} missing"
        )
