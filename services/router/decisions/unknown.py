"""What a newer version wrote into a case and this one does not know: carried, and written back.

Two versions of the router work side by side while one takes the place of the other. What the older
one cannot read stands in `unknown` beside what it can, at its place in the case, a clock or a task,
and its document says it as it was said. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

from pydantic import ConfigDict, Field
from pydantic_core import ErrorDetails

if TYPE_CHECKING:
    from services.router.decisions.case import Case

Unknown: TypeAlias = Annotated[Mapping[str, object] | None, Field(exclude=True)]
"""By its key, what this version cannot read; None where it can read all."""
NOTHING_ELSE: Final = ConfigDict(extra="forbid")
"""Of what is kept: a key that is not known is found, and not passed over."""
STAND_INS: Final[Mapping[str, str]] = {"kind": "copy", "state": "withdrawn"}
"""A task of a kind or in a state that this version does not know is as one that is over: nobody
here does anything about it, and its number stays taken."""
PARTS: Final = ("clocks", "tasks", "pause", "extension", "whistle")
"""What in a document carries unknown keys of its own: lists, and single ones."""


class UnreadableCase(ValueError):
    """A document without what every case has, as this version knows it; says where, not what."""

    def __init__(self, wrong: Sequence[ErrorDetails]) -> None:
        places = (".".join(map(str, error["loc"])) for error in wrong)
        super().__init__(f"this version cannot read a case: {', '.join(places)}")


def set_aside(
    document: dict[str, Any], wrong: Sequence[ErrorDetails], may_lack: Collection[str]
) -> None:
    """Put aside, in the document itself, what is wrong with it.

    `may_lack` are the keys that a document may do without. Raises `UnreadableCase`.
    """
    for error in wrong:
        path, name = error["loc"][:-1], error["loc"][-1]
        if error["type"] == "unexpected_keyword_argument":
            put_aside(at(document, path), name)
        elif path[:1] == ("tasks",) and name in STAND_INS:
            stand_in(at(document, path))
        elif (key := error["loc"][0]) in may_lack and key != "clocks":
            put_aside(document, key)
        else:
            raise UnreadableCase(wrong)


def at(document: Any, path: Sequence[int | str]) -> Any:
    """What stands there."""
    for step in path:
        document = document[step]
    return document


def put_aside(part: dict[str, Any], key: Any) -> None:
    """It is none of what this version reads; what is wrong in several ways is put aside once."""
    unknown = part.setdefault("unknown", {})
    if key in part and key not in unknown:
        unknown[key] = part.pop(key)


def stand_in(task: dict[str, Any]) -> None:
    """Nobody here does anything about this task."""
    task.setdefault("state", "asked")
    for key, value in STAND_INS.items():
        put_aside(task, key)
        task[key] = value


def put_back(document: dict[str, Any], case: Case) -> dict[str, Any]:
    """A document of a case, with what was put aside of the parts that are in it."""
    for name in PARTS:
        part, kept = document.get(name), getattr(case, name)
        if not part:
            continue
        pairs = zip(part, kept, strict=True) if isinstance(kept, tuple) else [(part, kept)]
        for written, one in pairs:
            written.update(one.unknown or {})
    return document


def carries(case: Case) -> bool:
    """Whether there is anything in a case that this version does not know."""
    if case.unknown is not None or any(clock.unknown is not None for clock in case.clocks):
        return True
    parts = (*case.tasks, case.pause, case.extension, case.whistle)
    return any(one is not None and one.unknown is not None for one in parts)
