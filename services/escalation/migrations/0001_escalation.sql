-- Armed cases, open orders, notices. Kept small: a closed case keeps its guard and nothing else.

create table armed (
    case_id          uuid        primary key,
    epoch            integer     not null,
    seq              integer     not null,  -- the greatest (epoch, seq) heard is the truth
    changed_at       timestamptz not null,  -- promise time of that snapshot
    started_at       timestamptz not null,  -- times in `clocks` are milliseconds after it
    tier             text,
    holder           text        not null,
    accused_division text,
    open             boolean     not null,
    clocks           json       not null,  -- fields of decisions.Clock, in its order
    given            json,                 -- of decisions.Given: warnings of clocks that stopped
    next_at          timestamptz,           -- earliest warning, due time or repeat
    order_seq        integer     not null default 0
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05,
        autovacuum_vacuum_cost_delay = 0);
create index armed_next on armed (next_at) where next_at is not null;

-- Orders without an answer; the answer deletes the row. Times of saying are wall time.
create table orders (
    order_id      uuid        primary key,
    case_id       uuid        not null,
    clock         text        not null,
    generation    integer     not null,
    action        text        not null,
    tier          text,
    due_at        timestamptz not null,
    fired_at      timestamptz not null,
    first_said_at timestamptz not null default clock_timestamp(),
    said          integer     not null default 1,
    next_say_at   timestamptz not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
        autovacuum_vacuum_cost_delay = 0);
create index orders_next on orders (next_say_at);

-- Whether an order has left the outbox is asked by its event.
create index outbox_event on outbox (event_id);

create table notices (
    id              uuid        primary key,
    division        text        not null,
    role            text        not null,
    clock           text        not null,
    reason          text        not null,
    count           integer     not null,
    oldest_due_at   timestamptz not null,
    cases           uuid[]      not null,
    posted_at       timestamptz not null,
    acknowledged_at timestamptz,
    acknowledged_role text,
    acknowledged_by text                    -- stays here: no person's name goes to Kafka
);
create index notices_newest on notices (division, posted_at, id);
create index notices_waiting on notices (division, posted_at, id) where acknowledged_at is null;

create table said (
    subject text   primary key,             -- <division>/<role>: the office a digest is for
    seq     bigint not null
) with (fillfactor = 50);
