"""A database put back from its dump, in a new epoch, in one transaction.

What a service says in a new epoch is newer than all that it said before, whatever the numbers
say. So a service that remembers less than others do is understood by them; what it heard since the
backup it hears again from its positions, and the census finds what is left.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

from services.operations.backups import Dump
from services.operations.places import Place
from services.operations.postgres_tools import feed, pour, running
from services.operations.reach import reach
from shared import hearing, outbox, postgres

BEFORE: Final = """
set client_min_messages = warning;
set local lock_timeout = '60s';
do $$ declare who text; begin
    if to_regclass('public.epochs') is not null then
        lock table public.epochs in access exclusive mode;
    end if;
    select string_agg(distinct application_name, ', ') into who from pg_catalog.pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid()
        and backend_type = 'client backend';
    if who is not null then
        raise exception 'the database came into use by %: stop all its processes first', who;
    end if;
end $$;
create temp table kept_acts on commit drop as
    select null::bigint as id, null::timestamptz as at, ''::text as actor, ''::text as act,
           ''::text as about, ''::text as reason limit 0;
do $$ begin
    if to_regclass('public.operator_acts') is not null then
        insert into kept_acts select id, at, actor, act, about, reason from public.operator_acts;
    end if;
end $$;
do $$ declare gone text; begin
    for gone in select format('drop schema %I cascade', nspname) from pg_catalog.pg_namespace
                where nspname !~ '^pg_' and nspname not in ('public', 'information_schema') loop
        execute gone;
    end loop;
    for gone in select format('drop table if exists public.%I cascade', tablename)
                from pg_catalog.pg_tables where schemaname = 'public' loop execute gone; end loop;
    for gone in select format('drop sequence if exists public.%I cascade', sequencename)
                from pg_catalog.pg_sequences where schemaname = 'public' loop
        execute gone;
    end loop;
    for gone in select format('drop routine if exists %s cascade', p.oid::regprocedure)
                from pg_catalog.pg_proc p where pronamespace = 'public'::regnamespace
                and not exists (select from pg_catalog.pg_depend d
                                where d.objid = p.oid and d.deptype = 'e') loop
        execute gone;
    end loop;
end $$;
"""
"""The notes of who did what are not rewound; all else gives way.

A process reads its epoch once, at its start. From the first lock on none can; who read it before is
seen as connected, and nothing is put back under him.
"""

AFTER: Final = """
do $$ begin
    if to_regclass('public.operator_acts') is not null then
        insert into public.operator_acts (id, at, actor, act, about, reason)
            overriding system value
            select * from pg_temp.kept_acts where id > (
                select coalesce(max(id), 0) from public.operator_acts);
        perform pg_catalog.setval(pg_catalog.pg_get_serial_sequence('public.operator_acts', 'id'),
            (select coalesce(max(id), 1) from public.operator_acts),
            exists (select from public.operator_acts));
    end if;
end $$;
update public.epochs set epoch = :epoch;
insert into public.operator_acts (actor, act, about, reason)
    values (:'actor', 'restore', :'about', :'reason');
"""


class InUse(Exception):
    """A service still works on the database; the message says which processes."""


class Restored(NamedTuple):
    """What came of it: the new epoch, and how many records are heard again from its positions."""

    epoch: int
    to_hear: int
    off_their_logs: list[str]


async def refuse_if_used(place: Place) -> None:
    """Nobody may work on a database that is put back. Raises `InUse`."""
    connection = await postgres.connect(place.dsn, "restore")
    try:
        rows = await connection.fetch(
            """
            select application_name as name, count(*) as n from pg_stat_activity
            where datname = current_database() and pid <> pg_backend_pid()
                and backend_type = 'client backend' group by 1 order by 1
            """
        )
    finally:
        await connection.close()
    if rows:
        who = ", ".join(f"{row['name'] or 'somebody'} ({row['n']})" for row in rows)
        raise InUse(
            f"the database of {place.name} is in use by {who}: stop all processes of"
            f" {place.name} first"
        )


async def put_back(place: Place, folder: Path, dump: Dump, actor: str, reason: str) -> Restored:
    """Put one database back, all or nothing. Raises `InUse`, `ToolFailed`, and weather."""
    await refuse_if_used(place)
    epoch = 1 + max(
        dump.epoch,
        await epoch_now(place),
        await outbox.epoch_said(place.settings, place.name, dump.ends),
    )
    about = f"the backup of {dump.taken_at.isoformat(timespec='seconds')}, epoch {epoch}"
    told = {"epoch": str(epoch), "actor": actor, "about": about, "reason": reason}
    variables = [f"--set={name}={value}" for name, value in told.items()]
    words = ("-X", "-q", "-1", "--set=ON_ERROR_STOP=1", *variables, "-f", "-", "-o", "/dev/null")
    script = ("--no-owner", "--no-privileges", "--exit-on-error", "-f", "-", folder / dump.file)
    async with running(place.dsn, "psql", *words, fed=True) as psql:
        await feed(psql, BEFORE.encode())
        async with running(place.dsn, "pg_restore", *script) as sql:
            await pour(sql.stdout, lambda piece: feed(psql, piece))
        await feed(psql, AFTER.encode())
    return await seen(place, epoch)


async def epoch_now(place: Place) -> int:
    """The epoch of the database that gives way; 0 where there is none."""
    connection = await postgres.connect(place.dsn, "restore")
    try:
        if await connection.fetchval("select to_regclass('public.epochs')") is None:
            return 0
        return await outbox.epoch(connection)
    finally:
        await connection.close()


async def seen(place: Place, epoch: int) -> Restored:
    """How a restored database stands to the topics."""
    connection = await postgres.connect(place.dsn, "restore")
    try:
        at = await hearing.all_positions(connection)
    finally:
        await connection.close()
    return Restored(epoch, *await reach(place.settings, at))
