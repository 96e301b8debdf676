-- The router's large tables, cases and history, by the month in which their cases were opened.
--
-- Ids are UUIDv7: they begin with the moment at which they were made. So a range of ids is a month,
-- the key stays what it is, and whoever asks by case id asks one partition. Nothing is copied at
-- first: the table as it is becomes the partition of all that was, and the months of the past are
-- split off one by one, whenever there is time. Tried on these two tables alone. It is not for one
-- that has another unique key, or to which others refer, as intake's petitions: PostgreSQL refuses.
-- Run it as the owner of the tables, each line by itself; what has to be long is not in a line that
-- anybody waits for:
--
--     psql "$CASEGRID_ROUTER_DATABASE_URL" -f deploy/postgres/partition.sql
--     call bound('cases', 'case_id', now() + '1 month');      -- a moment: nothing is looked at
--     call look_through('cases');                             -- long: all read and write meanwhile
--     call by_month('cases', 'case_id', now() + '1 month', 3);   -- a moment; and history likewise
--     call split_off('cases', 'case_id', '2026-10-01');       -- and so on, month by month
--
-- and of each table, every night or every month, by a CronJob or a person: safe to repeat.
--
--     call months_ahead('cases', 3);
--
-- Where that is forgotten nothing is refused: what has no month lies in <table>_after. The month of
-- such rows can be made when they were moved out of there.

create or replace function first_id(at timestamptz) returns uuid
    language sql immutable strict parallel safe
    return rpad(lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0'), 32, '0')::uuid;

-- The first id of the month of a moment, in UTC.
create or replace function first_id_of_month(at timestamptz) returns uuid
    language sql immutable strict parallel safe
    return first_id(date_trunc('month', at, 'UTC'));

-- Say that all there is, and all that comes for now, is of before the month of `until`. What is new
-- is checked from now on; the lock is short.
create or replace procedure bound(name text, key text, until timestamptz) language plpgsql as
$$
begin
    execute format('alter table %I add constraint %I check (%I < %L) not valid',
                   name, name || '_before_bound', key, first_id_of_month(until));
end
$$;

-- See that it is so of all that was there before. As long as it takes to read the table, under a
-- lock that stops no reader and no writer.
create or replace procedure look_through(name text) language plpgsql as
$$
begin
    execute format('alter table %I validate constraint %I', name, name || '_before_bound');
end
$$;

-- Partition a table by the month of its ids: what is there now is one partition; the month of
-- `until`, to which it is bound, and so many after it have one each, and what is later still has one
-- that should stay empty. The lock stops everybody, and is short: nothing is looked at.
create or replace procedure by_month(name text, key text, until timestamptz, months int)
    language plpgsql as
$$
declare
    before text := name || '_before';
begin
    if not exists (select from pg_constraint where conrelid = name::regclass
                   and conname = before || '_bound' and convalidated) then
        raise exception '%: first say bound(), then look_through()', name;
    end if;
    execute format('alter table %I rename to %I', name, before);
    execute format('create table %I (like %I including all excluding constraints)'
                   ' partition by range (%I)', name, before, key);
    execute format('alter table %I attach partition %I for values from (minvalue) to (%L)',
                   name, before, first_id_of_month(until));
    for n in 0 .. months - 1 loop
        call next_month(name, until + make_interval(months => n));
    end loop;
    execute format('create table %I partition of %I default', name || '_after', name);
end
$$;

-- A partition for the month of a moment; safe to repeat.
create or replace procedure next_month(name text, at timestamptz) language plpgsql as
$$
begin
    execute format('create table if not exists %I partition of %I for values from (%L) to (%L)',
                   name || to_char(at at time zone 'UTC', '_YYYY_MM'), name,
                   first_id_of_month(at), first_id_of_month(at + '1 month'));
end
$$;

-- A partition for each of the next months; safe to repeat.
create or replace procedure months_ahead(name text, months int) language plpgsql as
$$
begin
    for n in 1 .. months loop
        call next_month(name, now() + make_interval(months => n));
    end loop;
end
$$;

-- Give the newest month that still lies in the table of all that was a partition of its own. Whoever
-- writes to the table waits until it is done, as long as the month is copied; whoever reads waits at
-- the end alone, while what is left is looked through once for its new bound. So stop the router
-- before, as for an hour's maintenance: petitions are accepted all the same.
create or replace procedure split_off(name text, key text, at timestamptz) language plpgsql as
$$
declare
    before text := name || '_before';
    month text := name || to_char(at at time zone 'UTC', '_YYYY_MM');
    low uuid := first_id_of_month(at);
    high uuid := first_id_of_month(at + '1 month');
begin
    execute format('lock table %I in exclusive mode', name);
    execute format('create table %I (like %I including all excluding constraints)', month, before);
    execute format('insert into %I select * from %I where %I >= %L and %I < %L',
                   month, before, key, low, key, high);
    execute format('delete from %I where %I >= %L and %I < %L', before, key, low, key, high);
    execute format('analyze %I', month);
    execute format('alter table %I detach partition %I', name, before);
    execute format('alter table %I drop constraint if exists %I', before, before || '_bound');
    execute format('alter table %I attach partition %I for values from (minvalue) to (%L)',
                   name, before, low);
    execute format('alter table %I attach partition %I for values from (%L) to (%L)',
                   name, month, low, high);
end
$$;
