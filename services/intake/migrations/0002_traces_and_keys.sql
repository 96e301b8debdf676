-- The trace (W3C) that a request belongs to goes with the petition, to stand on its events.
alter table petitions add column traceparent text;

-- What was added under a key is kept once.
alter table supplements
    add column traceparent     text,
    add column idempotency_key text,
    add column body_hash       bytea;
create unique index supplements_key on supplements (petition_id, idempotency_key)
    where idempotency_key is not null;
