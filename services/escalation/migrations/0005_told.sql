-- A notice that nobody takes note of goes one level up, once; and each is pushed to who wants that.
-- An older version posts and acknowledges as before: what it does not name has a default.

alter table notices
    add column raised_from   uuid,          -- the first of those below that nobody took note of
    add column unheeded_at   timestamptz,   -- promise time: found to stand too long, and raised
    add column push_at       timestamptz default now(),  -- wall time; null: pushed, or given up
    add column push_attempts integer not null default 0,
    add column pushed_at     timestamptz;   -- wall time

-- Each holds only notices that wait for a person.
create index notices_rising on notices (posted_at)
    where acknowledged_at is null and unheeded_at is null;
create index notices_unheeded on notices (id)
    where acknowledged_at is null and unheeded_at is not null;
create index notices_to_push on notices (push_at)
    where acknowledged_at is null and push_at is not null;
create index notices_not_pushed on notices (id)
    where acknowledged_at is null and push_at is null and pushed_at is null;

-- Whether somebody along the way up took note.
create index notices_raised on notices (raised_from) where raised_from is not null;
