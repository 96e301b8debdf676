-- The stuck queues: which cases wait there, and since when; their counts are tallies.

create table waiting (
    case_id uuid        not null,
    queue   text        not null,        -- decisions.stuck.WaitsFor
    tier    text        not null,
    since   timestamptz not null,        -- promise time
    primary key (case_id, queue)
);
create index waiting_oldest on waiting (queue, tier, since);

with standing as (
    select case_id, holder, stage, doc, coalesce(doc ->> 'tier', 'city') as tier,
           (select (clock ->> 'started_at')::timestamptz
            from json_array_elements(doc -> 'clocks') clock
            where clock ->> 'name' in ('dispatch', 'handover', 'callback') limit 1) as since
    from cases where open
)
insert into waiting (case_id, queue, tier, since)
select case_id,
       case when doc ->> 'track' = 'handoff' then 'hand_over'
            when doc ->> 'arbitration' = 'asked' then 'arbiter'
            when holder = 'city' then 'city_desk' else 'dispatcher' end,
       tier, coalesce(since, (doc ->> 'received_at')::timestamptz)
from standing where stage = 'registered'
union all
select case_id, 'call_back', tier, since from standing where stage = 'resolved' and since is not null
union all
select case_id, 'pause', tier, (doc -> 'pause' ->> 'since')::timestamptz
from standing where doc -> 'pause' ->> 'since' is not null
union all
select case_id, 'more_time', tier, (doc -> 'extension' ->> 'asked_at')::timestamptz
from standing
where doc -> 'extension' ->> 'asked_at' is not null
  and doc -> 'extension' ->> 'granted_at' is null;

insert into tally_deltas (name, key, n)
select 'waiting', queue || '/' || tier, count(*) from waiting group by queue, tier;
