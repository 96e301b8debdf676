-- The trace (W3C) of the snapshot that armed a case: it goes on with the orders it leads to.
alter table armed add column traceparent text;
