-- What residents said, who they are, what was read from it, and how far it got.
--
-- Rows of one petition are made by one statement, so the hot tables carry no foreign keys to each
-- other: each would be one more look-up per petition for what cannot be otherwise.

create sequence petition_numbers;

create table petitions (
    id              uuid primary key,                -- UUIDv7: its order is the order of accepting
    number          text        not null unique,
    query_code      text        not null,
    kind            text        not null,
    channel         text        not null,
    subject         text,
    text            text        not null,
    category        text,
    place_code      text,
    lat             float8,
    lon             float8,
    place_words     text,
    accused         text,                            -- a division code
    accused_unknown boolean     not null,            -- an accusation that does not say of whom
    happened_at     timestamptz,
    received_at     timestamptz not null,            -- promise time
    stored_at       timestamptz not null default clock_timestamp(),
    contact         boolean     not null,            -- the vault has a way to reach them
    idempotency_key text,
    body_hash       bytea
);
create unique index petitions_key on petitions (idempotency_key)
    where idempotency_key is not null;

create table vault (
    petition_id uuid primary key references petitions (id),
    person      jsonb,
    contact     jsonb
);

create table unread (
    petition_id uuid primary key
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
        autovacuum_vacuum_cost_delay = 0);

create table readings (
    petition_id uuid        not null,
    n           integer     not null,
    policy      integer     not null,
    state       text        not null,
    doc         jsonb       not null,
    read_at     timestamptz not null,                -- promise time
    primary key (petition_id, n)
);

create table receipts (
    petition_id   uuid primary key,
    said_seq      integer not null default 0,        -- what intake said last about it; 0: nothing
    read_at       timestamptz,                       -- all in promise time
    published_at  timestamptz,
    routed_at     timestamptz,
    unit          text,
    stage         text,
    next_deadline timestamptz,
    epoch         integer not null default 0,        -- of the newest snapshot of the router
    seq           integer not null default 0
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05,
        autovacuum_vacuum_cost_delay = 0);

create table supplements (
    id          uuid primary key,                    -- UUIDv7
    petition_id uuid        not null references petitions (id),
    text        text        not null,
    received_at timestamptz not null,                -- promise time
    said        boolean     not null                 -- false: waits until the petition is read
);
create index supplements_of on supplements (petition_id, id);

create table views (
    id          bigint generated always as identity primary key,
    petition_id uuid        not null references petitions (id),
    subject     text        not null,                -- of the token: who looked
    roles       text[]      not null,
    division    text        not null,
    viewed_at   timestamptz not null default clock_timestamp()
);
create index views_of on views (petition_id, id);

create table policy_parts (
    version integer not null,
    kind    text    not null,
    n       integer not null,
    body    bytea   not null,                        -- canonical: the hash of a version runs over it
    primary key (version, kind, n)
);

create table policy_versions (
    version  integer primary key,                    -- a row only when all parts were there
    parts    integer     not null,
    sha256   text        not null,
    heard_at timestamptz not null default clock_timestamp()
);
