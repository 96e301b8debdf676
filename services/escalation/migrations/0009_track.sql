-- What is due is counted by tier and track. An older version arms without it, and counts without
-- it: the sums by tier stay right while two versions run.
alter table armed add column track text;
