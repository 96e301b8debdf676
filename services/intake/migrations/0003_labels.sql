-- What dispatchers said a petition is about: what the next model of the reading learns from.

create table labels (
    petition_id uuid primary key,
    category    text        not null,
    epoch       integer     not null,                -- of the snapshot in which it was said
    seq         integer     not null,
    said_at     timestamptz not null default clock_timestamp()
);
