-- Offices hold cases and own clocks beside the divisions that they serve; officers sign in person.

alter table cases add column office text, add column signed_by text;
create index cases_office on cases (office, next_deadline, case_id)
    where open and office is not null;
create index cases_mine on cases (signed_by, next_deadline, case_id)
    where open and signed_by is not null;

alter table duties add column office text;
create index duties_office on duties (office, due_at, case_id, clock) where office is not null;
