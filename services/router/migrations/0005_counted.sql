-- The census counts a closed case for a while: who missed all of its life would never learn of it.
alter table cases add column counted_until timestamptz;
create index cases_counted on cases (case_id) where counted_until is not null;
