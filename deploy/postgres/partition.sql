-- The large tables of a service, by the month in which their cases were opened.
--
-- Ids are UUIDv7: they begin with the moment at which they were made. So a range of ids is a month,
-- the key stays what it is, and whoever asks by case id asks one partition. Nothing is copied at
-- first: the table as it is becomes the partition of all that was, and the months of the past are
-- split off one by one, whenever there is time. Run it as the owner of the tables:
--
--     psql "$CASEGRID_ROUTER_DATABASE_URL" -f deploy/postgres/partition.sql
--     begin; call by_month('cases', 'case_id', now() + '1 month', 3);
--            call by_month('history', 'case_id', now() + '1 month', 3); commit;
--     call split_off('cases', 'case_id', '2026-10-01');      -- and so on, month by month

create or replace function first_id(at timestamptz) returns uuid
    language sql immutable strict parallel safe
    return rpad(lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0'), 32, '0')::uuid;

-- The first id of the month of a moment, in UTC.
create or replace function first_id_of_month(at timestamptz) returns uuid
    language sql immutable strict parallel safe
    return first_id(date_trunc('month', at, 'UTC'));

-- Partition a table by the month of its ids: what is there now, and comes before the month of
-- `until`, is one partition; that month and so many after it have one each. The lock is short: the
-- rows are looked at beforehand, without one that would stop anybody.
create or replace procedure by_month(name text, key text, until timestamptz, months int)
    language plpgsql as
$$
declare
    before text := name || '_before';
    bound uuid := first_id_of_month(until);
begin
    execute format('alter table %I add constraint %I check (%I < %L) not valid',
                   name, before || '_bound', key, bound);
    execute format('alter table %I validate constraint %I', name, before || '_bound');
    execute format('alter table %I rename to %I', name, before);
    execute format('create table %I (like %I including all excluding constraints)'
                   ' partition by range (%I)', name, before, key);
    execute format('alter table %I attach partition %I for values from (minvalue) to (%L)',
                   name, before, bound);
    for n in 0 .. months - 1 loop
        call next_month(name, until + make_interval(months => n));
    end loop;
end
$$;

-- A partition for the month of a moment; safe to repeat. Once a month, ahead of time.
create or replace procedure next_month(name text, at timestamptz) language plpgsql as
$$
begin
    execute format('create table if not exists %I partition of %I for values from (%L) to (%L)',
                   name || to_char(at at time zone 'UTC', '_YYYY_MM'), name,
                   first_id_of_month(at), first_id_of_month(at + '1 month'));
end
$$;

-- Give the newest month that still lies in the table of all that was a partition of its own. Nobody
-- writes to the table meanwhile: it takes as long as the month is copied.
create or replace procedure split_off(name text, key text, at timestamptz) language plpgsql as
$$
declare
    before text := name || '_before';
    month text := name || to_char(at at time zone 'UTC', '_YYYY_MM');
    low uuid := first_id_of_month(at);
    high uuid := first_id_of_month(at + '1 month');
begin
    execute format('alter table %I detach partition %I', name, before);
    if exists (select from pg_constraint where conname = before || '_bound') then
        execute format('alter table %I drop constraint %I', before, before || '_bound');
    end if;
    execute format('create table %I (like %I including all)', month, before);
    execute format('with gone as (delete from %I where %I >= %L and %I < %L returning *)'
                   ' insert into %I select * from gone', before, key, low, key, high, month);
    execute format('alter table %I attach partition %I for values from (minvalue) to (%L)',
                   name, before, low);
    execute format('alter table %I attach partition %I for values from (%L) to (%L)',
                   name, month, low, high);
    execute format('analyze %I', month);
end
$$;
