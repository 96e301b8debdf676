"""Petitions: taken in, found again by their key, and their words for those who may see them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from services.intake.decisions.petitions import Part, Registration, ShutOut, Submission
from shared.identity import Actor
from shared.postgres import Transaction


class Stored(NamedTuple):
    """What the answer to a petition says of it."""

    id: UUID
    number: str
    query_code: str
    body_hash: bytes | None


async def insert_new(tx: Transaction, submissions: Sequence[Submission]) -> dict[UUID, str]:
    """Store petitions with all that goes with them; the numbers of those whose key was new."""
    columns = zip(*(submission.petition for submission in submissions), strict=True)
    vault = [one for one in submissions if one.person or one.contact]
    registered = [one for one in submissions if one.registration]
    rows = await tx.fetch(
        """
        with taken as (
            insert into petitions (id, number, query_code, kind, channel, subject, text, category,
                place_code, lat, lon, place_words, accused, accused_office, accused_unknown,
                happened_at, received_at, contact, idempotency_key, body_hash, traceparent)
            select id, to_char(received_at at time zone 'Asia/Shanghai', '"CG-"YYYYMMDD-')
                       || lpad(n, greatest(7, length(n)), '0'),
                query_code, kind, channel, subject, text, category,
                place_code, lat, lon, place_words, accused, accused_office, accused_unknown,
                happened_at, received_at, contact, idempotency_key, body_hash, traceparent
            from (
                select *, nextval('petition_numbers')::text as n from unnest(
                    $1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
                    $7::text[], $8::text[], $9::float8[], $10::float8[], $11::text[], $12::text[],
                    $13::text[], $14::boolean[], $15::timestamptz[], $16::timestamptz[],
                    $17::boolean[], $18::text[], $19::bytea[], $20::text[])
                as given (id, query_code, kind, channel, subject, text, category, place_code, lat,
                    lon, place_words, accused, accused_office, accused_unknown, happened_at,
                    received_at, contact, idempotency_key, body_hash, traceparent)
            ) numbered
            on conflict (idempotency_key) where idempotency_key is not null do nothing
            returning id, number
        ), to_be_read as (
            insert into unread (petition_id) select id from taken
        ), followed as (
            insert into receipts (petition_id) select id from taken
        ), kept as (
            insert into vault (petition_id, person, contact)
            select id, person::jsonb, contact::jsonb
            from unnest($21::uuid[], $22::text[], $23::text[]) as given (id, person, contact)
            join taken using (id)
        ), registered as (
            insert into registrations
                (petition_id, subject, roles, division, office, came_at, reference)
            select id, subject, string_to_array(roles, ','), division, office, came_at, reference
            from unnest($24::uuid[], $25::text[], $26::text[], $27::text[], $28::text[],
                        $29::timestamptz[], $30::text[])
                as given (id, subject, roles, division, office, came_at, reference)
            join taken using (id)
        )
        select id, number from taken
        """,
        *columns,
        [one.petition.id for one in vault],
        [one.person for one in vault],
        [one.contact for one in vault],
        [one.petition.id for one in registered],
        *registrations_of(registered),
    )
    return {row["id"]: row["number"] for row in rows}


def registrations_of(registered: Sequence[Submission]) -> tuple[list[object], ...]:
    """Registrations as the arrays that the statement takes; the roles of each as one text."""
    made = [one.registration for one in registered if one.registration]
    return (
        [one.subject for one in made],
        [",".join(one.roles) for one in made],
        [one.division for one in made],
        [one.office for one in made],
        [one.came_at for one in made],
        [one.reference for one in made],
    )


async def by_keys(tx: Transaction, keys: Collection[str]) -> dict[str, Stored]:
    """The petitions that came under these idempotency keys."""
    rows = await tx.fetch(
        """
        select idempotency_key, id, number, query_code, body_hash from petitions
        where idempotency_key = any($1::text[]) and idempotency_key is not null
        """,
        list(keys),
    )
    return {
        row["idempotency_key"]: Stored(
            row["id"], row["number"], row["query_code"], row["body_hash"]
        )
        for row in rows
    }


class Guarded(NamedTuple):
    """Words that not everybody may see, and what decides on it; `reading` is JSON.

    `parts` are the offices that the router gave a part in its case.
    """

    number: str
    subject: str | None
    text: str
    place_words: str | None
    accused: str | None
    accused_office: str | None
    accused_unknown: bool
    reading: str | None
    parts: tuple[Part, ...]
    shut_out: ShutOut
    registration: Registration | None


async def guarded(tx: Transaction, petition_id: UUID) -> Guarded | None:
    """A petition with its newest reading and whom the router shuts out; None if it is not here."""
    row = await tx.fetchrow(
        """
        select p.number, p.subject, p.text, p.place_words, p.accused, p.accused_office,
               p.accused_unknown, (select doc::text from readings where petition_id = p.id
                                   order by n desc limit 1) as reading,
               r.offices, s.division as out_division, s.office as out_office,
               g.subject as registrar, g.roles, g.division, g.office, g.came_at, g.reference
        from petitions p left join receipts r on r.petition_id = p.id
            left join shut_out s on s.petition_id = p.id
            left join registrations g on g.petition_id = p.id
        where p.id = $1
        """,
        petition_id,
    )
    if row is None:
        return None
    *petition, offices, out_division, out_office, registrar, roles, division, office, at, no = (
        row.values()
    )
    parts = tuple(Part(*one.split("/", 1)) for one in offices or ())
    out = ShutOut(out_division, out_office)
    registration = registrar and Registration(registrar, tuple(roles), division, office, at, no)
    return Guarded._make((*petition, parts, out, registration))


class Supplement(NamedTuple):
    """What the resident added, or said when he urged."""

    id: UUID
    text: str | None
    urges: bool
    received_at: datetime


async def supplements(
    tx: Transaction, petition_id: UUID, after: UUID, limit: int
) -> list[Supplement]:
    """What was added to a petition behind one of them, in order; at most so many."""
    rows = await tx.fetch(
        """
        select id, text, urges, received_at from supplements
        where petition_id = $1 and id > $2 order by id limit $3
        """,
        petition_id,
        after,
        limit,
    )
    return [Supplement(*row.values()) for row in rows]


async def note_view(tx: Transaction, petition_id: UUID, actor: Actor) -> None:
    """Who looked at the words."""
    await tx.execute(
        "insert into views (petition_id, subject, roles, division) values ($1, $2, $3, $4)",
        petition_id,
        actor.subject,
        sorted(actor.roles),
        actor.division,
    )
