-- The case, its history, the queues, and the rules that routed it.

create table cases (
    case_id       uuid primary key,
    number        text        not null,
    open          boolean     not null,
    holder        text        not null,
    role          text        not null,
    stage         text        not null,
    next_deadline timestamptz not null,  -- 'infinity' where no clock runs
    version       integer     not null,
    epoch         integer     not null,
    seq           integer     not null,
    doc           json        not null   -- the whole case as decisions.case.Case
) with (fillfactor = 80);
create index cases_queue on cases (holder, next_deadline, case_id) where open;

create table duties (                    -- running clocks whose owner is not the holder
    case_id  uuid        not null,
    clock    text        not null,
    division text        not null,
    role     text        not null,
    due_at   timestamptz not null,
    primary key (case_id, clock)
);
create index duties_queue on duties (division, due_at, case_id, clock);

create table history (
    case_id     uuid        not null,
    seq         integer     not null,
    epoch       integer     not null,
    version     integer     not null,
    at          timestamptz not null,    -- promise time
    event       text        not null,
    transitions text[]      not null,
    rule        text        not null,
    actor       text        not null,
    role        text        not null,
    division    text        not null,
    caused_by   text        not null,
    detail      json        not null,    -- words are allowed here, and nowhere else
    changed     json        not null,    -- the fields that this step set
    primary key (case_id, epoch, seq)
);

create table blocked_cases (             -- a petition's events wait behind one that was parked
    case_id    uuid primary key,
    reason     text        not null,
    blocked_at timestamptz not null default clock_timestamp()
);

create table commands (                  -- the first answer to an Idempotency-Key
    key         text        not null,
    actor       text        not null,
    body_hash   bytea       not null,
    status      smallint    not null,
    answer      bytea       not null,
    answered_at timestamptz not null default clock_timestamp(),
    primary key (actor, key)
);
create index commands_age on commands (answered_at);

create table policy_versions (
    version   integer primary key,
    sha256    text        not null,
    parts     integer     not null,
    loaded_at timestamptz not null default clock_timestamp(),
    loaded_by text        not null
);

create table policy_parts (
    version integer not null references policy_versions (version),
    kind    text    not null,
    n       integer not null,
    rows    json    not null,
    primary key (version, kind, n)
);
