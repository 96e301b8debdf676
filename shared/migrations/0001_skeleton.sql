-- What every service has: things to say, positions in what it hears, what it could not read.

create table epochs (
    only_row boolean primary key default true check (only_row),
    epoch    integer not null          -- raised when this database is restored from a backup
);
insert into epochs (epoch) values (1);

create table outbox (
    id         bigint generated always as identity primary key,
    topic      text        not null,
    lane       smallint    not null,   -- the partition: Kafka's own murmur2 of the key
    event_id   uuid        not null,
    key        text        not null,
    headers    bytea       not null,
    value      bytea       not null,
    said_at    timestamptz not null default clock_timestamp()
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
        autovacuum_vacuum_cost_delay = 0);

create table offsets (
    topic       text    not null,
    partition   integer not null,
    next_offset bigint  not null,
    primary key (topic, partition)
) with (fillfactor = 50);

create table parked (
    id         bigint generated always as identity primary key,
    topic      text        not null,
    partition  integer     not null,
    "offset"   bigint      not null,
    key        text        not null,
    headers    bytea       not null,
    value      bytea,
    appended_at timestamptz not null,
    reason     text        not null,
    parked_at  timestamptz not null default clock_timestamp(),
    settled_at  timestamptz,            -- replayed or discarded
    settled_as  text,
    unique (topic, partition, "offset")
);
create index parked_waiting on parked (key, id) where settled_at is null;

create table parked_in_a_row (
    topic text primary key,
    n     integer not null
);

create table tally (
    name  text   not null,
    key   text   not null,
    n     bigint not null,
    primary key (name, key)
) with (fillfactor = 50);

create table tally_deltas (
    id    bigint generated always as identity primary key,
    name  text   not null,
    key   text   not null,
    n     bigint not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
        autovacuum_vacuum_cost_delay = 0);
