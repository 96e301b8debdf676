"""What is wrong with a policy: every problem with its file, line and key, told at once."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to mend. `line` counts from 1; None where the rows came from no file."""

    file: str
    line: int | None
    key: str
    message: str

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{where}: {self.key}: {self.message}"


class PolicyRefused(Exception):
    """The policy breaks the law, contradicts itself, or cannot be read; lists every problem."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(
            sorted(dict.fromkeys(problems), key=lambda p: (p.file, p.line or 0, p.key))
        )
        super().__init__("\n".join(str(problem) for problem in self.problems))
