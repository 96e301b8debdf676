"""Writes calendar.csv: `python -m services.router.data.make_calendar`, for developers, once a year.

When the State Council's notice for a year is out: raise the dev package chinesecalendar to a
version that knows the year, add the notice below, move `AWAITED` on, run this.
"""

import csv
import io
from datetime import date
from importlib.metadata import version
from pathlib import Path

from chinese_calendar.constants import Holiday, holidays, workdays

FILE = Path(__file__).with_name("calendar.csv")

# 国务院办公厅关于…年部分节假日安排的通知: number and date of the notice for each year
NOTICES = {
    2024: "国办发明电〔2023〕7号 (2023-10-25)",
    2025: "国办发明电〔2024〕12号 (2024-11-12)",
    2026: "国办发明电〔2025〕7号 (2025-11-04)",
}
AWAITED = 2027


def render() -> str:
    """The whole file: a row per year with its source, a row per holiday and make-up workday."""
    source = f"chinesecalendar {version('chinesecalendar')}"
    rows: list[tuple[str, str, str, str]] = []
    for year, notice in NOTICES.items():
        rows.append((str(year), "published", "", f"{notice}; days by {source}"))
        rows += [(str(day), *what, "") for day, what in sorted(_exceptions(year).items())]
    rows.append((str(AWAITED), "provisional", "", "no notice yet"))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("date", "kind", "name", "source"))
    writer.writerows(rows)
    return text.getvalue()


def _exceptions(year: int) -> dict[date, tuple[str, str]]:
    kinds = {"holiday": holidays, "workday": workdays}
    return {
        day: (kind, Holiday(name).chinese)
        for kind, days in kinds.items()
        for day, name in days.items()
        if day.year == year
    }


if __name__ == "__main__":
    FILE.write_text(render(), encoding="utf-8")
