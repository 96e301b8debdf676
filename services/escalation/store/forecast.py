"""What is foreseen: the cases that break a promise next, in due order, and how many they are.

`due_at` is when a case does so first. Nothing here looks at a case that is due later than asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from services.escalation.decisions import NO_TIER, OUTCOMES, Armed, Outcome
from services.escalation.store.armed import armed_of
from shared.divisions import CITY
from shared.postgres import Transaction

LOOKED_AT = 2_000
COUNTED = 10_000


class Place(NamedTuple):
    """A place in the forecast."""

    due_at: datetime
    holder: str
    case_id: UUID


BEGINNING = Place(datetime(1, 1, 1, tzinfo=UTC), "", UUID(int=0))


class Reader(NamedTuple):
    """Who asks, and about which unit: what is held in it, without what `may_see` hides from him."""

    unit: str
    division: str
    office: str | None = None


WHOLE_CITY = Reader(CITY, CITY)


class Entry(NamedTuple):
    """A case of the forecast at its place. Not `shown`: it only says how far was looked."""

    place: Place
    case: Armed
    shown: bool


class Count(NamedTuple):
    """How many cases of a tier meet this by then."""

    until: datetime
    outcome: Outcome
    tier: str
    cases: int


async def page(
    tx: Transaction, until: datetime, reader: Reader, after: Place, limit: int
) -> tuple[list[Entry], Place | None]:
    """The next cases that break a promise by `until`, and where to go on; None at the end.

    Looks at 2,000 cases of the unit: those of one office may be few among them.
    """
    rows = await tx.fetch(
        """
        select * from (
            select *, row_number() over (order by due_at, holder collate "C", case_id) as n,
                   ($7::text = 'city' or accused_division is null
                    or not (accused_division = 'city' or starts_with($7, accused_division)))
                   and ($8::text is null
                        or (accused_office is distinct from $8
                            and $8 in (select value from json_each_text(owner_offices)))) as shown
            from (
                select case_id, epoch, seq, changed_at, started_at, tier, holder, accused_division,
                       open, clocks, given, order_seq, traceparent, accused_office, owner_offices,
                       track, due_at
                from armed
                where due_at <= $1 and (due_at, holder collate "C", case_id) > ($2, $3, $4)
                  and holder collate "C" >= $5 and holder collate "C" < $6
                order by due_at, holder collate "C", case_id limit $9
            ) near
        ) looked_at where shown or n = $9 order by n limit $10
        """,
        until,
        *after,
        *span(reader.unit),
        reader.division,
        reader.office,
        LOOKED_AT,
        limit,
    )
    entries = [
        Entry(Place(row["due_at"], row["holder"], row["case_id"]), armed_of(row), row["shown"])
        for row in rows
    ]
    more = rows and (len(rows) == limit or rows[-1]["n"] == LOOKED_AT)
    return entries, entries[-1].place if more else None


async def counts(
    tx: Transaction, untils: Sequence[datetime], reader: Reader, most: int = COUNTED
) -> list[Count]:
    """How many cases are promoted, supervised and reminded of by each of these times, by tier.

    Of the first `most` cases of the unit that break a promise by the last of them.
    """
    rows = await tx.fetch(
        """
        select until, tier,
               count(*) filter (where promotes_at <= until) as promote,
               count(*) filter (where supervises_at <= until) as supervise,
               count(*) filter (where reminds_at <= until) as remind
        from (
            select tier, promotes_at, supervises_at, reminds_at, accused_division, accused_office,
                   owner_offices
            from armed
            where due_at <= (select max(u) from unnest($1::timestamptz[]) u)
              and holder collate "C" >= $2 and holder collate "C" < $3
            order by due_at, holder collate "C", case_id limit $6
        ) near, unnest($1::timestamptz[]) until
        where ($4::text = 'city' or accused_division is null
               or not (accused_division = 'city' or starts_with($4, accused_division)))
          and ($5::text is null
               or (accused_office is distinct from $5
                   and $5 in (select value from json_each_text(owner_offices))))
        group by until, tier
        """,
        list(untils),
        *span(reader.unit),
        reader.division,
        reader.office,
        most,
    )
    return [
        Count(row["until"], outcome, row["tier"] or NO_TIER, row[outcome])
        for row in rows
        for outcome in OUTCOMES
        if row[outcome]
    ]


def span(unit: str) -> tuple[str, str]:
    """Between which texts the codes of a unit and of all that lies in it are."""
    code = "" if unit == CITY else unit
    return code, f"{code}~"
