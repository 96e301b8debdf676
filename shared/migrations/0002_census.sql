-- The census: how far an owner has counted and what he said of it, and what was heard of others'.

create table census (
    only_row boolean primary key default true check (only_row),
    after    uuid        not null default '00000000-0000-0000-0000-000000000000',
    begun_at timestamptz not null default '-infinity',   -- this walk; wall time
    done_at  timestamptz not null default '-infinity',   -- the last whole walk
    said     bigint      not null default 0,             -- pages said
    reported bigint      not null default 0              -- differences said
);
insert into census default values;

create table census_heard (                  -- the last differences that were mended, by topic
    topic text primary key,
    epoch integer not null,
    seq   bigint  not null
);
