-- Residents urge and rate, and are told what comes next.
--
-- An older intake may run beside this one: it leaves out what it does not know, so that all may be
-- null or has a default.

alter table supplements
    alter column text drop not null,                 -- who only urges may say no more than that
    add column urges boolean not null default false,
    add column seq   integer;                        -- of its event; null: not said, or by an older intake
create index supplements_urge on supplements (petition_id, received_at) where urges;

create table ratings (
    id              uuid primary key,                -- UUIDv7
    petition_id     uuid        not null references petitions (id),
    ending          integer     not null,            -- how often the case had been reopened by then
    seq             integer     not null,            -- of its event
    solved          boolean     not null,
    satisfied       boolean     not null,
    reason          text,                            -- what is wrong, where something is
    text            text,
    received_at     timestamptz not null,            -- promise time
    idempotency_key text,
    body_hash       bytea,
    traceparent     text,
    unique (petition_id, ending)                     -- each time it ended it is rated once
);

alter table receipts                                 -- as the newest snapshot of the router says
    add column next_step     text,                   -- the clock of the next promise
    add column next_by       timestamptz,            -- until when; all in promise time
    add column if_missed     text,
    add column paused        text,                   -- why promises stand still
    add column paused_until  timestamptz,
    add column answer_until  timestamptz,            -- more time was given for the final reply
    add column called_back   text,
    add column not_accepted  text,
    add column closed_at     timestamptz,
    add column reopened      integer,
    add column policy        integer;                -- the version under which the case lives
