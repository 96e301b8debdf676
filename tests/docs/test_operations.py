"""docs/operations.md: what an operator can do is told there, all of it."""

from __future__ import annotations

from pathlib import Path

from services.__main__ import OPERATIONS

PAGE = Path(__file__).parents[2] / "docs/operations.md"


def test_every_command_about_all_services_is_in_the_handbook() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [name for name in OPERATIONS if f"`casegrid {name}" not in page] == []
