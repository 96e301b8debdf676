-- The last heartbeat of each partition of what this service hears; of intake also the last it sent.

create table heartbeats (
    topic     text        not null,          -- 'sent': what this service said itself
    partition integer     not null,
    beat_at   timestamptz not null,          -- when intake sent it; wall time
    n         bigint      not null,          -- beats felt here; the seq of those that are said on
    outbox_id bigint      not null default 0, -- of the last one 'sent': none is sent before it is said
    primary key (topic, partition)
) with (fillfactor = 50);
